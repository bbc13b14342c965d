"""Accuracy of a bundle on labelled texts, through the engine that will really score."""

from dataclasses import dataclass

import numpy as np

from export.data import Rows, sort_labels
from export.errors import DatasetError
from scorer.model import Scorer
from scorer.progress import Progress

_WINDOW = 1024


@dataclass(frozen=True)
class Evaluation:
    """Predictions against the truth.

    Attributes:
        predicted: label numbers (texts,).
        confusion: texts by true and predicted label, int (labels, labels).
    """

    predicted: np.ndarray
    confusion: np.ndarray

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.confusion) / max(self.confusion.sum(), 1))


def confusion(labels: np.ndarray, predicted: np.ndarray, label_count: int) -> np.ndarray:
    """Count texts by true (rows) and predicted (columns) label.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    counts = np.zeros((label_count, label_count), dtype=np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def evaluate(scorer: Scorer, texts: list[str], labels: np.ndarray, *, quiet: bool = False) -> Evaluation:
    """Score texts with a bundle and count.

    Args:
        scorer: the bundle, ready to score.
        texts: to score.
        labels: int64 (texts,), numbers into ``scorer.labels``.
        quiet: show no progress.
    """
    number = {label: position for position, label in enumerate(scorer.labels)}
    predicted: list[int] = []
    with Progress(f"evaluating {scorer.choice.precision}", len(texts), quiet=quiet) as progress:
        progress.show(0, "")
        for start in range(0, len(texts), _WINDOW):
            predicted += [number[label] for label in scorer.score(texts[start : start + _WINDOW]).labels]
            progress.show(len(predicted), f"{len(predicted):,} texts")
    found = np.array(predicted, dtype=np.int64)
    return Evaluation(found, confusion(labels, found, len(scorer.labels)))


def number_labels(rows: Rows, labels: tuple[str, ...], names: tuple[str, ...] | None) -> np.ndarray:
    """The numbers of a file's raw labels among a bundle's labels.

    Args:
        rows: texts with raw labels.
        labels: the bundle's.
        names: what the raw labels, sorted, are called; None if they are the bundle's labels already.

    Raises:
        DatasetError: a label is none of the bundle's.
    """
    raw = sort_labels({label for _, label in rows})
    if names is not None and len(names) != len(raw):
        raise DatasetError(f"--label-names gives {len(names)} names for the {len(raw)} labels {', '.join(raw)}.")
    by_raw = dict(zip(raw, names or raw, strict=True))
    unknown = sorted(set(by_raw.values()) - set(labels))
    if unknown:
        raise DatasetError(
            f"the data has labels that the bundle lacks: {', '.join(unknown)}. The bundle has: {', '.join(labels)}; "
            f"name the data's labels ({', '.join(raw)}) in this order with --label-names."
        )
    return np.array([labels.index(by_raw[label]) for _, label in rows], dtype=np.int64)
