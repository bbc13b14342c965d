"""The page of a run: `score --report`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scorer.base.errors import ExitCode
from scorer.model.decision import Decision
from scorer.model.reference import Reference
from scorer.report.drift import MEASURES
from scorer.report.examples import Examples
from scorer.report.page import render, share
from scorer.report.throughput import Throughput

# Of the population stability index; by these everybody who uses it speaks of none, some, and much.
_SOME, _MUCH = 0.1, 0.25


@dataclass(frozen=True)
class Details:
    """What the page shows beside the record of the run.

    Attributes:
        examples: rows that are worth a look.
        throughput: of this run.
        reference: the model's test data, if the bundle says something of it.
        decision: how labels were chosen.
        labels: the model's.
    """

    examples: Examples
    throughput: Throughput
    reference: Reference | None
    decision: Decision
    labels: Sequence[str]


def run_page(record: Mapping[str, Any], details: Details) -> str:
    """The page as HTML.

    Args:
        record: as `scorer.run.record.RunRecord.content` gives it.
        details: what is not in it.
    """
    return render("run.html", _charts(record, details), _view(record, details))


def _charts(record: Mapping[str, Any], details: Details) -> dict[str, Any]:
    reference, scored = details.reference, record["rows_scored"]
    found: dict[str, Any] = {}
    if scored:
        for name, key, unit in (
            ("score", "score_histogram", "number"),
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
        found["labels"] = _bars(record["labels"], {label: place for place, label in enumerate(details.labels)})
    if record["rows_rejected_by_reason"]:
        found["rejects"] = _bars(record["rows_rejected_by_reason"], {})
    if details.throughput.stretches:
        found["pace"] = {"kind": "pace", "stretches": [stretch._asdict() for stretch in details.throughput.stretches]}
    return found


def _bars(counts: Mapping[str, int], places: Mapping[str, int]) -> dict[str, Any]:
    """Those of the first places in this order, then by count."""
    order = sorted(counts, key=lambda name: (places.get(name, len(places)), -counts[name], name))
    return {"kind": "bars", "bars": [{"name": name, "rows": counts[name]} for name in order]}


def _thresholds(details: Details) -> Sequence[float]:
    """Scores at which the label changes, of two labels."""
    decision = details.decision
    if len(details.labels) != 2:
        return ()
    return decision.uncertain or (0.5 if decision.threshold is None else decision.threshold,)


def _view(record: Mapping[str, Any], details: Details) -> dict[str, Any]:
    beyond = record["drift"]["beyond"] if record["drift"] else []
    drift = _drift(record, beyond)
    return {
        "record": record,
        "status": _status(record, bool(beyond), much=any(one["verdict"] == "much" for one in drift)),
        "drift": drift,
        "examples": details.examples,
        "thresholds": _thresholds(details),
        "two_labels": len(details.labels) == 2,
        "positive": details.labels[1] if len(details.labels) == 2 else None,
        "rejected_share": share(record["rows_rejected"], record["rows_in"]),
        "early_share": share(record["tokens_decided_early"], record["tokens"]),
    }


def _status(record: Mapping[str, Any], beyond: bool, *, much: bool) -> dict[str, str]:
    """In a word, and how good that is: ``good``, ``look`` or ``bad``."""
    if not record["published"]:
        return {"level": "bad", "words": "Nothing was published"}
    if not ExitCode(record["exit_code"]).published:
        return {"level": "bad", "words": "Published, but the run failed"}
    looks = [
        *(["records were rejected"] if record["rows_rejected"] else []),
        *(["the data has drifted"] if beyond else []),
    ]
    if looks:
        return {"level": "look", "words": f"Published, but look: {' and '.join(looks)}"}
    if not record["rows_in"]:
        return {"level": "look", "words": "There was no record to score"}
    if much:
        return {"level": "look", "words": "Every record was scored, but look at the drift"}
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
        return "no more than chance" if (one["by_chance"] or 0) < _MUCH else "too few rows to tell"
    if one["psi"] < _SOME:
        return "little"
    return "some" if one["psi"] < _MUCH else "much"
