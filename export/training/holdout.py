"""The training split, divided: texts to train on, and texts held out for choices and calibration."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from export.classifier.truncation import Cut
from export.classifier.wide import Texts
from export.errors import ExportError
from export.training.settings import FitSettings

# Runs of neighbours that are held out: enough that every region of a file is there, if that leaves each so many texts.
_RUNS = 25
_RUN_LENGTH = 10


@dataclass(frozen=True)
class Divided:
    """Tokenized texts, some of them held out.

    Attributes:
        ids: token ids of every text, (sequence,) each.
        labels: int64 (texts,).
        label_count: number of different labels.
        train_rows, validation_rows: rows to train on and rows held out, int64 (rows,).
    """

    ids: Sequence[np.ndarray]
    labels: np.ndarray
    label_count: int
    train_rows: np.ndarray
    validation_rows: np.ndarray

    @property
    def every(self) -> Texts:
        return self.ids, self.labels

    @property
    def train(self) -> Texts:
        return self._some(self.train_rows)

    @property
    def validation(self) -> Texts:
        return self._some(self.validation_rows)

    def shortened(self, cut: Cut | None) -> "Divided":
        """Return the texts with the tokens that a cut leaves; all of them without a cut."""
        return self if cut is None else replace(self, ids=[cut.apply(ids) for ids in self.ids])

    def _some(self, rows: np.ndarray) -> Texts:
        return [self.ids[row] for row in rows], self.labels[rows]


def divide(ids: Sequence[np.ndarray], labels: np.ndarray, label_count: int, settings: FitSettings) -> Divided:
    """Divide texts by `split_rows`.

    Raises:
        ExportError: there are too few texts.
    """
    return Divided(ids, labels, label_count, *split_rows(labels, settings))


def split_rows(labels: np.ndarray, settings: FitSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to train on and rows held out, the latter in runs of neighbours spread evenly over the file.

    Every label is among both; one that the runs have missed, or have to the last text, is held out in a run of its own
    texts, and one with a single text is trained on.

    Neighbours often belong together: reviews of one film, messages of one day. Were single rows held out, others of
    their kind would be trained on, and validation would promise what no new text keeps: on IMDb two points
    of accuracy (docs/ACCURACY.md).

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
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if np.isin(rows, validation).sum() in (0, len(rows)):
            some = min(len(rows) - 1, max(1, round(len(rows) * share)))
            start = int(random.integers(len(rows) - some + 1))
            validation = np.union1d(np.setdiff1d(validation, rows), rows[start : start + some])
    if not len(validation):
        raise ExportError(f"{count} training texts are too few to hold out a validation part.")
    return np.setdiff1d(np.arange(count), validation), validation
