"""The page of a run: `score --report`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scorer.base.text import share, shown_number
from scorer.model.explanation import Contribution
from scorer.model.interpretation import Interpretation, MultiLabel, Regression, SingleLabel
from scorer.model.reference import Reference
from scorer.report.difference import Difference, differences, percent
from scorer.report.drift import MEASURES
from scorer.report.examples import Example, Examples
from scorer.report.explained_examples import ExplainedExample
from scorer.report.page import Bar, bars_of, render
from scorer.report.shading import Span, spans
from scorer.report.throughput import Throughput
from scorer.report.verdict import verdict

NO_LABEL = "(no label)"
"""Name of the bar for rows without a label."""

_FEWEST_STRETCHES = 8  # fewer show nothing that the mean speed does not
_LEAST_SHARE = 0.01  # of the rows in a bin that can be seen in a chart
_LABELS_BY_COLUMN = 6


@dataclass(frozen=True)
class Details:
    """Contents of the page beyond the record of the run.

    Attributes:
        examples: rows worth looking at.
        throughput: throughput of this run.
        reference: histograms of the model's test data; None if the bundle has none.
        interpretation: meaning of the model's logits; None if no model was loaded.
        words: amounts of the wide part's words in the text of each example; empty without a wide part.
        explained: rows that --explain asked for.
    """

    examples: Examples
    throughput: Throughput
    reference: Reference | None
    interpretation: Interpretation | None
    words: Mapping[Example, Sequence[Contribution]] = field(default_factory=dict)
    explained: Sequence[ExplainedExample] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names of the model, in logit order."""
        return () if self.interpretation is None else self.interpretation.labels

    @property
    def of_two(self) -> SingleLabel | None:
        """Interpretation of a model that chooses one of two labels; None for other models."""
        found = self.interpretation
        return found if isinstance(found, SingleLabel) and len(found.labels) == 2 else None


class Shade(NamedTuple):
    """Shaded text of an example.

    Attributes:
        label: label that the amounts are for; empty for a value.
        spans: spans of the text.
    """

    label: str
    spans: Sequence[Span]


@dataclass(frozen=True)
class ByValue:
    """Scored rows with the same value in a kept column.

    Attributes:
        value: value; None if it is missing.
        rows: number of rows.
        shares: share of the rows with each of the table's labels.
        mean: mean score, in words.
        position: mean score between the least (0) and the greatest (1) score of the run.
    """

    value: str | None
    rows: int
    shares: Sequence[float]
    mean: str
    position: float


@dataclass(frozen=True)
class ColumnTable:
    """Scores by the values of a kept column.

    Attributes:
        name: name of the column.
        labels: labels whose shares are shown; none of a regression, the positive one of two.
        more_labels: number of further labels.
        values: rows by value.
    """

    name: str
    labels: Sequence[str]
    more_labels: int
    values: Sequence[ByValue]

    @property
    def most(self) -> float:
        """Largest share, which has the strongest colour."""
        return max((share for one in self.values for share in one.shares), default=0.0) or 1.0


def run_page(record: Mapping[str, Any], details: Details) -> str:
    """Return the page as HTML.

    Args:
        record: record, as `scorer.run.record.RunRecord.content` returns it.
        details: contents that are not in the record.
    """
    return render("run.html", _charts(record, details), _view(record, details))


def _charts(record: Mapping[str, Any], details: Details) -> dict[str, Any]:
    """Return the charts that show more than a line of text would."""
    found: dict[str, Any] = {}
    if record["rows_scored"]:
        is_value = isinstance(details.interpretation, Regression)
        for name, key, unit in (
            ("score", "score_histogram", "value" if is_value else "number"),
            ("tokens", "token_histogram", "count"),
            ("unknown", "unknown_histogram", "share"),
        ):
            chart = _histogram(record[key], record["rows_scored"], name, unit, details.reference)
            if _is_telling(chart):
                found[name] = chart
        if "score" in found:
            found["score"]["rules"] = list(_thresholds(details))
    stretches = details.throughput.stretches
    if len(stretches) >= _FEWEST_STRETCHES:
        found["pace"] = {"kind": "pace", "stretches": [stretch._asdict() for stretch in stretches]}
    return found


def _histogram(
    histogram: Mapping[str, Any], scored: int, name: str, unit: str, reference: Reference | None
) -> dict[str, Any]:
    expected = None
    if reference is not None and reference.texts:
        expected = [count * scored / reference.texts for count in getattr(reference, name).counts]
    edges, counts = list(histogram["edges"]), histogram["counts"]
    return {"kind": "histogram", "edges": edges, "counts": counts, "expected": expected, "unit": unit}


def _is_telling(chart: Mapping[str, Any]) -> bool:
    """Return whether the rows, or those of the test data, are in several bins that can be seen."""
    least = _LEAST_SHARE * sum(chart["counts"])
    both = zip(chart["counts"], chart["expected"] or chart["counts"], strict=True)
    return sum(max(one) >= least for one in both) > 1


def _bars(record: Mapping[str, Any], details: Details) -> list[Bar]:
    """Return a bar for each label of a row; if a row can have several, for each of the model, and for rows without any."""
    counts, scored = record["labels"], record["rows_scored"]
    if not isinstance(details.interpretation, MultiLabel):
        return bars_of(counts, scored, details.labels)
    bars = bars_of(dict.fromkeys(details.labels, 0) | counts, scored, details.labels)
    return [*bars, Bar(NO_LABEL, record["rows_without_label"], record["rows_without_label"] / max(scored, 1))]


def _thresholds(details: Details) -> Sequence[float]:
    """Return the scores at which the label changes; none unless there are two labels."""
    if details.of_two is None:
        return ()
    decision = details.of_two.decision
    return decision.edges


def _view(record: Mapping[str, Any], details: Details) -> dict[str, Any]:
    found = differences(record, details.reference, details.interpretation)
    return {
        "record": record,
        "verdict": verdict(record, found),
        "differences": found,
        "indices": _indices(record, found),
        "in_one_bin": dict(_in_one_bin(record, details)) if record["rows_scored"] else {},
        "labels": _bars(record, details) if record["rows_scored"] else [],
        "rejects": bars_of(record["rows_rejected_by_reason"], record["rows_rejected"]),
        "examples": details.examples,
        "doubtful": [
            one for one in details.examples.doubtful if one.row not in {each.row for each in details.explained}
        ],
        "shades": _shades(details),
        "explained": details.explained,
        "thresholds": _thresholds(details),
        "score_is": _score_is(details),
        "thresholds_by_label": _thresholds_by_label(details),
        "threshold_notes": {label: f"needs {share(least)}" for label, least in _thresholds_by_label(details).items()},
        "by_column": list(_by_column(record, details)),
        "early_share": share(record["tokens_decided_early"], record["tokens"]),
        "cached_share": share(record["rows_from_cache"], record["rows_scored"]),
        "uncertain_share": share(record["rows_uncertain"], record["rows_scored"]),
        "rejected_share": share(record["rows_rejected"], record["rows_in"]),
    }


def _shades(details: Details) -> dict[Example, Shade]:
    """Return the shaded text of each example."""
    is_value, labels = isinstance(details.interpretation, Regression), details.labels
    return {
        one: Shade("" if is_value else one.label if one.label in labels else labels[-1], spans(one.text, words))
        for one, words in details.words.items()
    }


def _indices(record: Mapping[str, Any], found: Sequence[Difference]) -> list[dict[str, Any]]:
    return [
        {"name": MEASURES[one.measure], "extent": one.extent, "beyond": one.beyond, **record["drift"][one.measure]}
        for one in found
    ]


def _in_one_bin(record: Mapping[str, Any], details: Details) -> Iterator[tuple[str, str]]:
    """Yield a sentence for each histogram, for when a chart would be one full bar."""
    for name, key, what in (
        ("score", "score_histogram", "values" if isinstance(details.interpretation, Regression) else "scores"),
        ("tokens", "token_histogram", "texts"),
        ("unknown", "unknown_histogram", "texts"),
    ):
        edges, counts = record[key]["edges"], record[key]["counts"]
        most = max(range(len(counts)), key=counts.__getitem__)
        part = percent(counts[most] / record["rows_scored"])
        of = f"{part.capitalize()} {what}" if part == "all" else f"{part.capitalize()} of the {what}"
        low, high = edges[most], edges[most + 1]
        if name == "unknown":
            rest = (
                "have only word pieces that the model knows"
                if not low
                else f"have at least {100 * low:g}% unknown ones"
            )
            yield name, f"{of} {rest}."
        elif name == "tokens":
            yield name, f"{of} have {f'{low:,} to {high - 1:,}' if low else f'fewer than {high:,}'} tokens."
        else:
            yield name, f"{of} are between {low:g} and {high:g}."


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
    """Return the least probability at which a text has each label, if it can have several."""
    found = details.interpretation
    return dict(zip(found.labels, found.thresholds, strict=True)) if isinstance(found, MultiLabel) else {}


def _by_column(record: Mapping[str, Any], details: Details) -> Iterator[ColumnTable]:
    """Yield a table for each kept column that the record has."""
    least, greatest = record["score_histogram"]["least"], record["score_histogram"]["greatest"]
    found = sorted(record["labels"], key=lambda label: (-record["labels"][label], label))
    labels = [details.labels[1]] if details.of_two is not None else found[:_LABELS_BY_COLUMN]
    if isinstance(details.interpretation, Regression):
        labels = []
    places = {label: place for place, label in enumerate(details.labels)}
    labels.sort(key=lambda label: places.get(label, len(places)))
    more = 0 if details.of_two is not None or not labels else len(found) - len(labels)
    for name, values in record["by_column"].items():
        yield ColumnTable(
            name,
            labels,
            more,
            [
                ByValue(
                    one["value"],
                    one["rows"],
                    [one["labels"].get(label, 0) / one["rows"] for label in labels],
                    shown_number(one["score_mean"]) if not labels else f"{one['score_mean']:.3f}",
                    (one["score_mean"] - least) / (greatest - least) if greatest > least else 0.5,
                )
                for one in values
            ],
        )
