"""Doubt about a run's labels: whether the promise of --max-error holds, and the accuracy that the model expects."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from scorer.base.task import SINGLE_LABEL
from scorer.model.confidence import ExpectedAccuracy, expected_accuracy
from scorer.model.decision import Decision
from scorer.report.drift import MEASURES, Drift, passed

if TYPE_CHECKING:
    from scorer.model.manifest import Manifest
    from scorer.report.summary import Counts

DRIFT_LIMIT = 0.1
"""Drift beyond which held-out texts prove nothing about a run's, if --max-drift is not given (docs/DRIFT.md)."""


@dataclass(frozen=True)
class Promise:
    """Promise of --max-error.

    Attributes:
        limit: largest share of wrong labels among the rows that are not uncertain.
        confidence: least probability of the label that such a row got.
        holds: False if the texts have drifted from those that prove it; None if that is unknown.
        reason: reason that it does not hold, or that this is unknown; None if it holds.
    """

    limit: float
    confidence: float
    holds: bool | None
    reason: str | None


@dataclass(frozen=True)
class Doubt:
    """Doubt about a run's labels.

    Attributes:
        promise: promise of --max-error; None without that option.
        expected: expected accuracy of the rows that got a label and are not uncertain; None if it is withheld.
        withheld: reason that it is withheld, or None.
        moved: drift because of which it is withheld, in words; None without any.
    """

    promise: Promise | None
    expected: ExpectedAccuracy | None
    withheld: str | None
    moved: str | None = None

    @property
    def is_broken(self) -> bool:
        """A promise of --max-error that does not hold."""
        return self.promise is not None and self.promise.holds is False

    def as_json(self) -> dict[str, Any]:
        """Return the form of a run's record."""
        expected = None
        if self.expected is not None:
            expected = {name: round(number, 6) for name, number in asdict(self.expected).items()}
        return {
            "max_error": None if self.promise is None else asdict(self.promise),
            "expected_accuracy": expected,
            "expected_accuracy_withheld": self.withheld,
        }


NO_MODEL = Doubt(None, None, "no model was loaded")
"""Doubt of a run that failed before its model was loaded."""


def doubt_of(
    manifest: "Manifest",
    precision: str,
    decision: Decision,
    counts: "Counts",
    drift: Mapping[str, Drift] | None,
    *,
    cascade: bool,
    max_drift: float | None,
) -> Doubt:
    """Return the doubt about the labels of counted rows.

    Args:
        manifest: manifest of the bundle that scored.
        precision: name of the precision.
        decision: rule that chose the labels, with its confidence if it has a largest error.
        counts: counts of the rows.
        drift: drift of the rows from the model's test data; None if there is nothing to compare.
        cascade: False if the bundle's cascade, if any, was switched off.
        max_drift: limit of the drift; None for `DRIFT_LIMIT`.
    """
    limit = DRIFT_LIMIT if max_drift is None else max_drift
    moved, unknown = _moved(drift, limit), _unknown(manifest, counts)
    promise = None
    if decision.max_error is not None and decision.confidence is not None:
        doubtful = unknown or _perhaps(drift, limit)
        holds = False if moved is not None else True if doubtful is None else None
        promise = Promise(decision.max_error, decision.confidence, holds, moved or doubtful)
    found = _expected(manifest, precision, decision, counts, unknown or moved, cascade=cascade)
    if not isinstance(found, str):
        return Doubt(promise, found, None)
    return Doubt(promise, None, found, moved if found == moved else None)


def _moved(drift: Mapping[str, Drift] | None, limit: float) -> str | None:
    """Return the drift beyond a limit in words; None without any.

    >>> _moved({"score": Drift(0.4121, 0.1), "tokens": Drift(0.1, 0.1), "unknown": Drift(0.0, 0.1)}, 0.1)
    'the drift of scores (0.412) exceeds 0.1'
    """
    beyond = [f"{MEASURES[name]} ({(drift or {})[name].psi:.3f})" for name in passed(drift or {}, limit)]
    return f"the drift of {' and '.join(beyond)} exceeds {limit:g}" if beyond else None


def _unknown(manifest: "Manifest", counts: "Counts") -> str | None:
    """Return the reason that drift is unknown; None if it is known."""
    if manifest.reference is None:
        return "the bundle has no histograms of its test data, so drift is unknown"
    return None if counts.rows_scored else "no row was scored"


def _perhaps(drift: Mapping[str, Drift] | None, limit: float) -> str | None:
    """Return the drift beyond a limit that chance may explain, in words; None without any.

    >>> _perhaps({"score": Drift(4.3, 5.34), "tokens": Drift(0.1, 0.1), "unknown": Drift(0.0, 0.1)}, 0.25)
    'the drift of scores (4.300) is beyond 0.25, but may be chance: there are too few rows'
    """
    found = [
        f"{MEASURES[name]} ({one.psi:.3f})" for name, one in (drift or {}).items() if one.by_chance >= one.psi > limit
    ]
    return (
        f"the drift of {' and '.join(found)} is beyond {limit:g}, but may be chance: there are too few rows"
        if found
        else None
    )


def _expected(
    manifest: "Manifest", precision: str, decision: Decision, counts: "Counts", moved: str | None, *, cascade: bool
) -> ExpectedAccuracy | str:
    """Return the expected accuracy, or the reason to withhold it, such as ``moved``."""
    if manifest.task != SINGLE_LABEL:
        return "the model does not choose one label of several"
    if not manifest.confidence:
        return "the bundle has no held-out texts by confidence"
    correctness = manifest.confidence.get(precision)
    if correctness is None:
        return f"the bundle has no held-out texts by confidence in {precision}"
    if decision.threshold is not None:
        return "--threshold gives other labels than the most probable ones"
    if manifest.cascade is not None and not cascade:
        return "the cascade is off, with which the held-out texts were scored"
    if moved is not None:
        return moved
    found = counts.confidences
    different = found.total * (1 - counts.duplicates / counts.rows_scored)
    return expected_accuracy(correctness, found.counts, counts.confidence_sum, counts.confidence_variance, different)
