"""The texts that block training reads in each epoch: each text, or a version of it, and crops beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.classifier.truncation import Cut, Reading
from export.classifier.wide import Texts
from export.encoder.load import FrozenEncoder
from export.training.augment import crop, some_with_typos, stretch, with_typos
from export.training.holdout import Divided
from export.training.settings import FitSettings, TuneSettings

_CROPS_WEIGHT = 0.5  # of that of the whole text, since a part may lack what decides the label


@dataclass(frozen=True)
class Curriculum:
    """Texts in versions, and those that each epoch reads.

    Attributes:
        rows: token ids of every version of a text, (sequence,) each.
        targets: targets of the versions; see `export.classifier.objective`.
        weights: weight of each version in the loss, float32 (versions,); None for equal ones.
        epochs: numbers of the versions that each epoch reads, int64 (texts,) each.
    """

    rows: Sequence[np.ndarray]
    targets: np.ndarray
    weights: np.ndarray | None
    epochs: Sequence[np.ndarray]

    def with_versions(
        self, epoch: int, rows: Sequence[np.ndarray], sources: np.ndarray, *, beside: bool
    ) -> "Curriculum":
        """Return the curriculum with versions of some texts in an epoch, beside the texts or instead of them.

        Args:
            epoch: number of the epoch.
            rows: token ids of each version.
            sources: number of the text that each is a version of, int64 (versions,).
            beside: whether the epoch keeps the texts; versions beside them have a lower weight.
        """
        begin, weights = len(self.rows), self.weights
        kept = self.epochs[epoch] if beside else np.setdiff1d(self.epochs[epoch], sources)
        more = np.concatenate([kept, np.arange(begin, begin + len(rows))])
        if weights is None and beside:
            weights = np.ones(begin, dtype=np.float32)
        factor = np.float32(_CROPS_WEIGHT if beside else 1)
        return Curriculum(
            [*self.rows, *rows],
            np.concatenate([self.targets, self.targets[sources]]),
            None if weights is None else np.concatenate([weights, factor * weights[sources]]),
            [more if number == epoch else one for number, one in enumerate(self.epochs)],
        )


def plain(texts: Texts, epochs: int, weights: np.ndarray | None = None) -> Curriculum:
    """Return a curriculum of the same texts in each epoch."""
    of_texts = None if weights is None else weights.astype(np.float32)
    return Curriculum(texts[0], texts[1], of_texts, [np.arange(len(texts[0]))] * epochs)


def curriculum_of(
    texts: Sequence[str], divided: Divided, encoder: FrozenEncoder, settings: FitSettings, tune: TuneSettings
) -> Curriculum:
    """Return the curriculum of a training.

    Args:
        texts: texts of the training split.
        divided: their tokens, of which some are held out.
        encoder: encoder whose tokenizer makes tokens of the versions.
        settings: settings of the training.
        tune: settings of the block training.
    """
    found = plain(divided.train, tune.epochs, divided.training_weights[0])
    own = [texts[row] for row in divided.train_rows]
    for epoch in range(tune.epochs):
        random = np.random.default_rng((tune.seed, epoch, 1))
        read = own
        if epoch < tune.short_epochs:
            read = [stretch(text, random) or text for text in own]
        changed = {number for number, text in enumerate(read) if text is not own[number]}
        if "typos" in settings.augment:
            some = some_with_typos(len(own), random).tolist()
            read = list(read)
            for number in some:
                read[number] = with_typos(read[number], random)
            changed.update(some)
        found = _with(found, epoch, read, sorted(changed), encoder, settings.reading, beside=False)
        if "crops" in settings.augment:
            crops = [crop(text, random) for text in own]
            cropped = [number for number, one in enumerate(crops) if one is not None]
            found = _with(found, epoch, crops, cropped, encoder, settings.reading, beside=True)
    return found


def _with(
    found: Curriculum,
    epoch: int,
    versions: Sequence[str | None],
    numbers: Sequence[int],
    encoder: FrozenEncoder,
    reading: Reading,
    *,
    beside: bool,
) -> Curriculum:
    """Add the versions of some texts, by number, to an epoch, instead of the texts or beside them."""
    tokens = encoder.tokenizer.encode([versions[number] or "" for number in numbers])
    has_tokens = [place for place, empty in enumerate(tokens.empty) if not empty]
    sources = np.array([numbers[place] for place in has_tokens], dtype=np.int64)
    rows = [tokens.ids[place] for place in has_tokens]
    rows = [reading.apply(ids) for ids in rows] if isinstance(reading, Cut) else rows
    return found.with_versions(epoch, rows, sources, beside=beside)
