"""Judges: the figures, tables and errors of a task's predictions, so that all that shows them needs no task."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from export.data import Split
from export.evaluation.baseline import Learner, cross_validated
from export.evaluation.headline import Figure, Headline
from export.evaluation.metrics import Bin
from scorer.model.interpretation import Interpretation


class Metrics(Protocol):
    """Metrics of labelled texts: a frozen dataclass, whose fields a manifest and evaluation.json hold."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def texts(self) -> int:
        """Number of texts."""
        ...


@dataclass(frozen=True)
class Compared:
    """A baseline with its metrics.

    Attributes:
        name: name of the baseline.
        how: texts that it was trained on, in words.
        metrics: metrics of the texts that it scored.
    """

    name: str
    how: str
    metrics: Metrics


@dataclass(frozen=True)
class Constant:
    """An answer that is the same for every text.

    Attributes:
        name: the answer in words, as in "always giving the largest label, a".
        values: its probabilities or values, float64 (texts, labels).
    """

    name: str
    values: np.ndarray


@dataclass(frozen=True)
class Table:
    """A table under a title."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Axes:
    """Names of a reliability diagram's axes.

    Attributes:
        share: share of events that happened.
        probability: probability of the events.
        count: events that are counted.
    """

    share: str
    probability: str
    count: str


class Judge(Protocol):
    """A judge of predictions. Values are those of `Interpretation.values`; truth is that of `export.data.Split.labels`.

    Attributes:
        main: figure that models are compared by.
        grouped: figure that groups of texts are compared by.
        averaged: further figures of domains; their means, and that of ``grouped``, are macro means.
        head: names of `cells`.
        axes: axes of a reliability diagram.
        kept: names of `details` that a manifest holds, too.
    """

    @property
    def interpretation(self) -> Interpretation: ...
    @property
    def main(self) -> Headline: ...
    @property
    def grouped(self) -> Headline: ...
    @property
    def averaged(self) -> tuple[Figure, ...]: ...
    @property
    def head(self) -> tuple[str, ...]: ...
    @property
    def axes(self) -> Axes: ...
    @property
    def kept(self) -> tuple[str, ...]: ...

    def metrics(self, values: np.ndarray, truth: np.ndarray) -> Metrics:
        """Compute the metrics of texts, of which there is at least one."""
        ...

    def parts(self, values: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return each text's contribution to the sums that `main` follows from, float64 (texts, sums)."""
        ...

    def main_of(self, sums: np.ndarray, texts: int) -> np.ndarray:
        """Compute `main` from sums of `parts` over so many texts, (rows, sums): float64 (rows,); NaN if it is undefined."""
        ...

    def constant(self, truth: np.ndarray) -> Constant:
        """Return the answer with the best main figure of those that are the same for every text."""
        ...

    def cells(self, metrics: Mapping[str, Any]) -> tuple[str, ...]:
        """Format metrics, by field, as cells of a table; those of `main` come first."""
        ...

    def details(self, values: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
        """Compute further figures by name, as JSON holds them."""
        ...

    def tables(self, details: Mapping[str, Any]) -> list[Table]:
        """Format those of `details` that a mapping holds."""
        ...

    def reliability(self, values: np.ndarray, truth: np.ndarray) -> tuple[Bin, ...]:
        """Compute probabilities and shares of events by bin; none if values are no probabilities."""
        ...

    def uncalibrated(self) -> Interpretation | None:
        """Return the interpretation without calibration; None if values are no probabilities."""
        ...

    def costs(self, values: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return the cost of each text's error, float64 (texts,); -1 for a text without one."""
        ...

    def error(self, values: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
        """Return what an error of `--errors` states about one text, given values and truth of that text alone."""
        ...

    def baselines(self) -> "tuple[tuple[str, Learner, Judge], ...]":
        """Return the name of each baseline, how it is trained, and the judge of its predictions; the strongest first."""
        ...


def compare(judge: Judge, split: Split, train: Split | None, how: str) -> list[Compared]:
    """Train the baselines, score texts with them, and compute their metrics.

    Args:
        judge: judge of the model that they are compared with.
        split: labelled texts to score.
        train: texts to train on; None to cross-validate on the scored texts.
        how: texts that they are trained on, in words.
    """
    count, found = len(judge.interpretation.labels), []
    for name, learner, of in judge.baselines():
        if train is None:
            values = cross_validated(split.texts, split.labels, count, learner)
        else:
            values = learner(train.texts, train.labels, split.texts, count)
        found.append(Compared(name, how, of.metrics(values, split.labels)))
    return found


def is_no_better(main: Headline, metrics: Metrics, baseline: Compared) -> bool:
    """Return whether a model's main figure is at most that of a baseline; one that is undefined is not."""
    own, other = (main.value(asdict(one)) for one in (metrics, baseline.metrics))
    return own is not None and other is not None and own <= other
