"""The page of a run: `score --report`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scorer.base.errors import ExitCode
from scorer.base.text import share
from scorer.model.interpretation import Interpretation, MultiLabel, Regression, SingleLabel
from scorer.model.reference import Reference
from scorer.report.drift import MEASURES
from scorer.report.examples import Examples
from scorer.report.page import render
from scorer.report.throughput import Throughput

# Conventional limits of the population stability index between small, moderate and large.
_MODERATE, _LARGE = 0.1, 0.25

NO_LABEL = "(no label)"
"""Name of the bar for rows without a label."""


@dataclass(frozen=True)
class Details:
    """Contents of the page beyond the record of the run.

    Attributes:
        examples: rows worth looking at.
        throughput: throughput of this run.
        reference: histograms of the model's test data; None if the bundle has none.
        interpretation: meaning of the model's logits; None if no model was loaded.
    """

    examples: Examples
    throughput: Throughput
    reference: Reference | None
    interpretation: Interpretation | None

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names of the model, in logit order."""
        return () if self.interpretation is None else self.interpretation.labels

    @property
    def of_two(self) -> SingleLabel | None:
        """Interpretation of a model that chooses one of two labels; None for other models."""
        found = self.interpretation
        return found if isinstance(found, SingleLabel) and len(found.labels) == 2 else None


def run_page(record: Mapping[str, Any], details: Details) -> str:
    """Return the page as HTML.

    Args:
        record: record, as `scorer.run.record.RunRecord.content` returns it.
        details: contents that are not in the record.
    """
    return render("run.html", _charts(record, details), _view(record, details))


def _charts(record: Mapping[str, Any], details: Details) -> dict[str, Any]:
    reference, scored = details.reference, record["rows_scored"]
    found: dict[str, Any] = {}
    if scored:
        is_value = isinstance(details.interpretation, Regression)
        for name, key, unit in (
            ("score", "score_histogram", "value" if is_value else "number"),
            ("tokens", "token_histogram", "count"),
            ("unknown", "unknown_histogram", "share"),
        ):
            counts = record[key]["counts"]
            expected = None
            if reference is not None and reference.texts:
                expected = [count * scored / reference.texts for count in getattr(reference, name).counts]
            edges = list(record[key]["edges"])
            found[name] = {"kind": "histogram", "edges": edges, "counts": counts, "expected": expected, "unit": unit}
        found["score"]["rules"] = list(_thresholds(details))
        if not is_value:
            found["labels"] = _labels(record, details)
    if record["rows_rejected_by_reason"]:
        found["rejects"] = _bars(record["rows_rejected_by_reason"], {})
    if details.throughput.stretches:
        found["pace"] = {"kind": "pace", "stretches": [stretch._asdict() for stretch in details.throughput.stretches]}
    return found


def _labels(record: Mapping[str, Any], details: Details) -> dict[str, Any]:
    """Return a bar for each label of a row; if a row can have several, for each of the model, and for rows without any."""
    places = {label: place for place, label in enumerate(details.labels)}
    if not isinstance(details.interpretation, MultiLabel):
        return _bars(record["labels"], places)
    bars = _bars(dict.fromkeys(places, 0) | record["labels"], places)
    bars["bars"].append({"name": NO_LABEL, "rows": record["rows_without_label"]})
    return {**bars, "total": record["rows_scored"]}  # a row counts in several bars


def _bars(counts: Mapping[str, int], places: Mapping[str, int]) -> dict[str, Any]:
    """Return a bar for each name: first those with places, in that order, then the others by count."""
    order = sorted(counts, key=lambda name: (places.get(name, len(places)), -counts[name], name))
    return {"kind": "bars", "bars": [{"name": name, "rows": counts[name]} for name in order]}


def _thresholds(details: Details) -> Sequence[float]:
    """Return the scores at which the label changes; none unless there are two labels."""
    if details.of_two is None:
        return ()
    decision = details.of_two.decision
    return decision.edges


def _view(record: Mapping[str, Any], details: Details) -> dict[str, Any]:
    beyond = record["drift"]["beyond"] if record["drift"] else []
    drift = _drift(record, beyond)
    return {
        "record": record,
        "status": _status(record, bool(beyond), large=any(one["verdict"] == "large" for one in drift)),
        "drift": drift,
        "examples": details.examples,
        "thresholds": _thresholds(details),
        "score_is": _score_is(details),
        "thresholds_by_label": _thresholds_by_label(details),
        "rejected_share": share(record["rows_rejected"], record["rows_in"]),
        "early_share": share(record["tokens_decided_early"], record["tokens"]),
        "cached_share": share(record["rows_from_cache"], record["rows_scored"]),
    }


def _score_is(details: Details) -> str:
    """Return the meaning of the scores."""
    found = details.interpretation
    if isinstance(found, MultiLabel):
        return "Highest probability of any label in each text"
    if isinstance(found, Regression):
        value = "Value of each text" if len(found.labels) == 1 else f"Value of {found.labels[0]} for each text"
        return f"{value}; the outer bins hold all values beyond the edges"
    if details.of_two is not None:
        return f"Probability of the label {details.labels[1]}"
    return "Probability of the predicted label"


def _thresholds_by_label(details: Details) -> Mapping[str, float]:
    """Return the probability from which on a text has each label, if it can have several."""
    found = details.interpretation
    return dict(zip(found.labels, found.thresholds, strict=True)) if isinstance(found, MultiLabel) else {}


def _status(record: Mapping[str, Any], beyond: bool, *, large: bool) -> dict[str, str]:
    """Return the status of the run in words, and its level: ``good``, ``look`` or ``bad``."""
    if not record["published"]:
        return {"level": "bad", "words": "Nothing was published"}
    if not ExitCode(record["exit_code"]).published:
        return {"level": "bad", "words": "Published, but the run failed"}
    looks = [
        *(["records were rejected"] if record["rows_rejected"] else []),
        *(["the data has drifted"] if beyond else []),
        *(["--max-error does not hold"] if record["max_error"] and record["max_error"]["holds"] is False else []),
    ]
    if looks:
        return {"level": "look", "words": f"Published, but {' and '.join(looks)}"}
    if not record["rows_in"]:
        return {"level": "look", "words": "There were no records to score"}
    if large:
        return {"level": "look", "words": "Every record was scored, but the drift is large"}
    return {"level": "good", "words": "Every record was scored"}


def _drift(record: Mapping[str, Any], beyond: Sequence[str]) -> list[dict[str, Any]]:
    if record["drift"] is None:
        return []
    found = []
    for name, words in MEASURES.items():
        one = record["drift"][name]
        found.append({"name": words, **one, "verdict": _verdict(one), "beyond": name in beyond})
    return found


def _verdict(one: Mapping[str, Any]) -> str:
    if one["by_chance"] is None or one["psi"] <= one["by_chance"]:
        return "no more than chance" if (one["by_chance"] or 0) < _LARGE else "too few rows to judge"
    if one["psi"] < _MODERATE:
        return "small"
    return "moderate" if one["psi"] < _LARGE else "large"
