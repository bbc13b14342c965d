"""Division of the training split into texts to train on and texts held out for choices and calibration.

One part is held out, or each text once: with few texts, every choice is made by cross-validation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from export.classifier.choice import Fold, Weights, held_out_rows, scaled
from export.classifier.truncation import Cut, Reading
from export.classifier.wide import Texts
from export.data import Split
from export.errors import ExportError
from export.training.folds import both_sides, fold_count, folds_of
from export.training.settings import FEW_TEXTS, FitSettings
from export.training.weighing import domain_weights, text_weights
from scorer.engine.windows import Windows

# Number of held-out runs of neighbours, enough to cover every region of a file. There are fewer runs if each would have
# less than _RUN_LENGTH texts.
_RUNS = 25
_RUN_LENGTH = 10


@dataclass(frozen=True)
class Divided:
    """Tokenized texts that are held out from a training.

    Attributes:
        ids: token ids of every text, (sequence,) each.
        labels: targets, see `export.classifier.objective`; numbers are not standardised at first.
        folds: texts to train on and texts held out; several folds if each text is held out once.
        domains: domain of each text, str (texts,); None if all texts are of one.
        weights: weight of each text in training, float64 (texts,); None for equal ones.
        calibration_weights: weight of each text where outputs are fitted to the texts as they are, float64 (texts,), which
            depends on its domain alone; None for equal ones.
    """

    ids: Sequence[np.ndarray]
    labels: np.ndarray
    folds: tuple[Fold, ...]
    domains: np.ndarray | None = None
    weights: np.ndarray | None = None
    calibration_weights: np.ndarray | None = None

    @property
    def crosses(self) -> bool:
        """Return whether choices are made by cross-validation, and the final parts are trained on all texts."""
        return len(self.folds) > 1

    @property
    def train_rows(self) -> np.ndarray:
        """Numbers of the texts that the final parts are trained on, int64 (rows,)."""
        return np.arange(len(self.labels)) if self.crosses else self.folds[0].train

    @property
    def validation_rows(self) -> np.ndarray:
        """Numbers of the texts that are held out from a training, int64 (rows,), in ascending order."""
        return held_out_rows(self.folds)

    @property
    def every(self) -> Texts:
        return self.ids, self.labels

    @property
    def train(self) -> Texts:
        return self._some(self.train_rows)

    @property
    def validation(self) -> Texts:
        return self._some(self.validation_rows)

    @property
    def validation_domains(self) -> np.ndarray | None:
        """Domain of each held-out text, str (texts,); None if all texts are of one."""
        return None if self.domains is None else self.domains[self.validation_rows]

    @property
    def all_weights(self) -> Weights:
        """Weights of all texts in training, and where choices are made."""
        return self.weights, self.calibration_weights

    @property
    def training_weights(self) -> Weights:
        """Weights of the texts to train on, and of the held-out ones, by which choices are made."""
        return scaled(self.weights, self.train_rows), scaled(self.calibration_weights, self.validation_rows)

    def shortened(self, reading: Reading) -> "Divided":
        """Return the texts with only the tokens that a cut keeps; other readings keep all."""
        return replace(self, ids=[reading.apply(ids) for ids in self.ids]) if isinstance(reading, Cut) else self

    def tokens_read(self, reading: Reading) -> np.ndarray:
        """Return the number of tokens that the encoder reads of each text, in all its windows, int64 (texts,)."""
        if isinstance(reading, Windows):
            return np.array([reading.tokens(len(ids)) for ids in self.ids])
        return np.array([len(ids) for ids in self.shortened(reading).ids])

    def _some(self, rows: np.ndarray) -> Texts:
        return [self.ids[row] for row in rows], self.labels[rows]


def divide(ids: Sequence[np.ndarray], split: Split, settings: FitSettings) -> Divided:
    """Divide texts into training and validation texts, each domain by itself; see `split_rows` and `folds_of`.

    Args:
        ids: token ids of the texts, (sequence,) each.
        split: texts with their targets, and the domains to weigh them by.
        settings: settings of the training.

    Raises:
        ExportError: there are too few texts.
        UsageError: a domain has a factor, but no texts.
    """
    labels, domains = split.labels, split.domains
    names = np.array(domains) if domains else None
    if crosses(len(labels), settings):
        folds = folds_of(split.texts, labels, fold_count(len(labels)), origins=split.origins, domains=domains)
    else:
        folds = (_held_out(labels, names, settings),)
    divided = Divided(ids, labels, folds, names)
    if names is None or labels.dtype.kind == "f" or labels.ndim > 1:
        return divided
    return replace(
        divided,
        weights=text_weights(labels, names, settings.domains),
        calibration_weights=domain_weights(names, settings.domains),
    )


def crosses(texts: int, settings: FitSettings) -> bool:
    """Return whether choices are made by cross-validation, which a training of blocks would need too much time for."""
    return texts < FEW_TEXTS and settings.validation_share is None and settings.tune is None


def _held_out(labels: np.ndarray, domains: np.ndarray | None, settings: FitSettings) -> Fold:
    """Hold out some texts, of each domain by itself."""
    if domains is None:
        return Fold(*split_rows(labels, settings))
    of_domains = [np.flatnonzero(domains == name) for name in dict.fromkeys(domains.tolist())]
    parts = [(rows, split_rows(labels[rows], settings)) for rows in of_domains]
    train, validation = (np.sort(np.concatenate([rows[part[side]] for rows, part in parts])) for side in (0, 1))
    return Fold(train, validation)


def split_rows(labels: np.ndarray, settings: FitSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and the held-out rows, the latter in runs of neighbours spread evenly over the file.

    Both sides contain every label. If the runs contain no text of a label, or all of them, a run among the texts of that
    label is held out instead. A label with a single text is only trained on. If a text may have any number of labels, the
    same is tried for the texts with each label and for those without it. There are always texts of both kinds to train on,
    but some labels may have none that is held out. Numbers are held out in runs alone.

    Neighbours often belong together, such as reviews of one film or messages of one day. If single rows were held out,
    their neighbours would be trained on, and the validation accuracy would be too high. On IMDb the difference is two
    points (docs/ACCURACY.md).

    Raises:
        ExportError: there are too few rows.
    """
    count, share = len(labels), settings.held_out_share
    held_out = max(1, round(count * share))
    random = np.random.default_rng(settings.seed)
    runs = min(_RUNS, max(1, held_out // _RUN_LENGTH))
    starts = np.arange(runs) * count // runs
    sizes = held_out // runs + (np.arange(runs) < held_out % runs)
    phase = int(random.integers(max(1, count // runs - sizes.max() + 1)))
    validation = np.concatenate(
        [np.arange(start, start + size) + phase for start, size in zip(starts, sizes, strict=True)]
    )
    validation = validation[validation < count]
    groups = both_sides(labels)
    for rows in groups:
        if np.isin(rows, validation).sum() in (0, len(rows)):
            some = min(len(rows) - 1, max(1, round(len(rows) * share)))
            start = int(random.integers(len(rows) - some + 1))
            validation = np.union1d(np.setdiff1d(validation, rows), rows[start : start + some])
    for rows in groups:  # one text may have held out the last one of another label
        if np.isin(rows, validation).all():
            validation = np.setdiff1d(validation, rows[:1])
    if not len(validation):
        raise ExportError(f"{count} training texts are too few to hold out validation texts; give more.")
    return np.setdiff1d(np.arange(count), validation), validation
