"""Division of the training split into texts to train on and texts held out for choices and calibration."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from export.classifier.choice import Weights
from export.classifier.truncation import Cut, Reading
from export.classifier.wide import Texts
from export.errors import ExportError
from export.training.settings import FitSettings
from export.training.weighing import domain_weights, text_weights
from scorer.engine.windows import Windows

# Number of held-out runs of neighbours, enough to cover every region of a file. There are fewer runs if each would have
# less than _RUN_LENGTH texts.
_RUNS = 25
_RUN_LENGTH = 10


@dataclass(frozen=True)
class Divided:
    """Tokenized texts, some of them held out.

    Attributes:
        ids: token ids of every text, (sequence,) each.
        labels: targets, see `export.classifier.objective`; numbers are not standardised at first.
        train_rows, validation_rows: numbers of the texts to train on and of the held-out texts, int64 (rows,).
        domains: domain of each text, str (texts,); None if all texts are of one.
        weights: weight of each text in training, float64 (texts,); None for equal ones.
        calibration_weights: weight of each text where outputs are fitted to the texts as they are, float64 (texts,), which
            depends on its domain alone; None for equal ones.
    """

    ids: Sequence[np.ndarray]
    labels: np.ndarray
    train_rows: np.ndarray
    validation_rows: np.ndarray
    domains: np.ndarray | None = None
    weights: np.ndarray | None = None
    calibration_weights: np.ndarray | None = None

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
    def training_weights(self) -> Weights:
        """Weights of the texts to train on, and of the held-out ones, by which choices are made."""
        return _of(self.weights, self.train_rows), _of(self.calibration_weights, self.validation_rows)

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


def _of(weights: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    """Return the weights of some texts, scaled to 1 on average; None for equal ones."""
    return None if weights is None else weights[rows] / weights[rows].mean()


def divide(
    ids: Sequence[np.ndarray], labels: np.ndarray, settings: FitSettings, domains: Sequence[str] = ()
) -> Divided:
    """Divide texts into training and validation texts, each domain by itself; see `split_rows`.

    Args:
        ids: token ids of the texts, (sequence,) each.
        labels: targets of the texts.
        settings: settings of the training.
        domains: domain of each text; empty if all texts are of one.

    Raises:
        ExportError: there are too few texts.
        UsageError: a domain has a factor, but no texts.
    """
    if not domains:
        return Divided(ids, labels, *split_rows(labels, settings))
    names = np.array(domains)
    of_domains = [np.flatnonzero(names == name) for name in dict.fromkeys(domains)]
    parts = [(rows, split_rows(labels[rows], settings)) for rows in of_domains]
    train, validation = (np.sort(np.concatenate([rows[part[side]] for rows, part in parts])) for side in (0, 1))
    divided = Divided(ids, labels, train, validation, names)
    if labels.dtype.kind == "f" or labels.ndim > 1:
        return divided
    return replace(
        divided,
        weights=text_weights(labels, names, settings.domains),
        calibration_weights=domain_weights(names, settings.domains),
    )


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
    count, share = len(labels), settings.validation_share
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
    groups = _groups(labels)
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


def _groups(labels: np.ndarray) -> list[np.ndarray]:
    """Return the rows of the texts that both sides need some of, int64 (rows,) each; the smallest group last."""
    if labels.dtype.kind == "f":
        return []
    if labels.ndim == 1:
        return [np.flatnonzero(labels == label) for label in np.unique(labels)]
    groups = [np.flatnonzero(column == value) for column in labels.T for value in (0, 1)]
    return sorted((rows for rows in groups if len(rows)), key=len, reverse=True)
