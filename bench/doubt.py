"""Promises about tonight's rows, and the truth: expected accuracy and --max-error on files that drift.

    pip install .
    python bench/doubt.py imdb/test.parquet --model models/default

The texts have known labels (column label, numbers into the bundle's labels). One half of them, at random, takes the place
of the bundle's held-out texts. Files are drawn from the other half, and changed as docs/DRIFT.md describes. For each file the
table has what `score` would report, and what is true. The last line of the output is one JSON object with every figure.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet
from report import print_message, print_report

from scorer.model.confidence import (
    CONFIDENCES,
    Correctness,
    confidences,
    correctness_of,
    expected_accuracy,
    least_confidence,
    most_probable,
)
from scorer.model.loaded import LoadedModel
from scorer.model.reference import SCORE_EDGES, TOKEN_EDGES, UNKNOWN_EDGES, Histogram
from scorer.model.tokenizer import unknown_share
from scorer.report.drift import drifts

ERRORS = (0.01, 0.02, 0.05)
"""Errors to promise."""

LIMIT = 0.25
"""Drift beyond which nothing is promised."""

_CHUNK = 1024


@dataclass(frozen=True)
class File:
    """Scored texts with known labels.

    Attributes:
        probabilities: float64 (texts, labels).
        labels: label numbers, int64 (texts,).
        measures: histograms that drift compares, by measure.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    measures: dict[str, Histogram]


def _shuffled(text: str, random: np.random.Generator) -> str:
    words = text.split()
    random.shuffle(words)
    return " ".join(words)


def _with_emoji(text: str, random: np.random.Generator) -> str:
    return " ".join("🙂" if random.random() < 0.1 else word for word in text.split())


CHANGES: dict[str, Callable[[str, np.random.Generator], str]] = {
    "at random": lambda text, random: text,
    "70% negative": lambda text, random: text,
    "all negative": lambda text, random: text,
    "words shuffled in every review": _shuffled,
    "the first 200 characters of each": lambda text, random: text[:200],
    "every a replaced by the two characters of a broken encoding": lambda text, random: text.replace("a", "Ã¤"),
    "every tenth word replaced by an emoji": _with_emoji,
}
"""Kinds of files, with the change of each text."""

_NEGATIVE = {"70% negative": 0.7, "all negative": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", help="Parquet file with the columns text and label")
    parser.add_argument("--model", default="models/default", help="bundle")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rows", type=int, default=2000, help="rows of each file")
    parser.add_argument("--held-out", type=int, help="held-out texts; half of all unless given")
    given = parser.parse_args()
    table = pyarrow.parquet.read_table(given.texts, columns=["text", "label"])
    texts, labels = table["text"].to_pylist(), table["label"].to_numpy().astype(np.int64)
    random = np.random.default_rng(0)
    order = random.permutation(len(texts))
    count = given.held_out or len(texts) // 2
    scorer = LoadedModel(given.model, precision=given.precision)
    held_out = _scored(scorer, [texts[row] for row in order[:count]], labels[order[:count]])
    correctness = correctness_of(held_out.probabilities, held_out.labels)
    print_message(f"{count:,} held-out texts, {scorer.choice.precision}")
    files = {}
    for name, change in CHANGES.items():
        rows = _rows(order[count:], labels, _NEGATIVE.get(name), given.rows)
        changed = [change(texts[row], random) for row in rows]
        files[name] = _report(scorer, correctness, _scored(scorer, changed, labels[rows]))
        print_message(f"{name}: {files[name]}")
    print(_table(files))
    print_report(given, {"held_out": count, "rows": given.rows, "files": files})


def _rows(rows: np.ndarray, labels: np.ndarray, negative: float | None, most: int) -> np.ndarray:
    """Return the numbers of the texts of a file, with a given share of negative ones."""
    if negative is None:
        return rows[:most]
    few = round(most * negative)
    return np.concatenate([rows[labels[rows] == 0][:few], rows[labels[rows] == 1][: most - few]])


def _scored(scorer: LoadedModel, texts: Sequence[str], labels: np.ndarray) -> File:
    values, lengths, unknown = np.empty((len(texts), len(scorer.labels))), [0] * len(texts), [0.0] * len(texts)
    for start in range(0, len(texts), _CHUNK):
        tokens = scorer.tokenizer.encode(texts[start : start + _CHUNK])
        values[start : start + _CHUNK] = scorer.score_tokens(tokens).values
        lengths[start : start + _CHUNK] = map(len, tokens.ids)
        unknown[start : start + _CHUNK] = [unknown_share(ids, scorer.tokenizer.unknown_id) for ids in tokens.ids]
    counted = {
        "score": (SCORE_EDGES, scorer.interpretation.scores(values)),
        "tokens": (TOKEN_EDGES, lengths),
        "unknown": (UNKNOWN_EDGES, unknown),
    }
    measures = {name: Histogram(edges, np.histogram(x, edges)[0].tolist()) for name, (edges, x) in counted.items()}
    return File(values, labels, measures)


def _report(scorer: LoadedModel, correctness: Correctness, file: File) -> dict[str, Any]:
    sure = confidences(file.probabilities)
    wrong = most_probable(file.probabilities) != file.labels
    counts = np.histogram(sure, CONFIDENCES)[0].tolist()
    found = expected_accuracy(correctness, counts, float(sure.sum()), float((sure * (1 - sure)).sum()), len(sure))
    assert scorer.reference is not None, "the bundle has histograms"
    drift = drifts(scorer.reference, file.measures, len(sure))
    promises = {}
    for error in ERRORS:
        least = least_confidence(correctness, error)
        if least is not None:
            labelled = sure >= least
            share = float(wrong[labelled].mean()) if labelled.any() else 0.0
            promises[f"{error:.0%}"] = {"confidence": least, "labelled": float(labelled.mean()), "error": share}
    return {
        "expected": found if isinstance(found, str) else [found.value, found.low, found.high],
        "accuracy": float(1 - wrong.mean()),
        "drift": {name: one.psi for name, one in drift.items()},
        "beyond": [name for name, one in drift.items() if one.passes(LIMIT)],
        "max_error": promises,
    }


def _table(files: dict[str, dict[str, Any]]) -> str:
    head = [
        "file",
        "drift beyond 0.25",
        "expected",
        "true",
        *(f"--max-error {error}: error (labelled)" for error in ERRORS),
    ]
    lines = [head, ["---"] * len(head)]
    for name, one in files.items():
        expected = one["expected"]
        shown = expected if isinstance(expected, str) else "{:.1%} ({:.1%} to {:.1%})".format(*expected)
        promises = [one["max_error"].get(f"{error:.0%}") for error in ERRORS]
        cells = ["none" if found is None else f"{found['error']:.2%} ({found['labelled']:.0%})" for found in promises]
        lines.append([name, ", ".join(one["beyond"]), shown, f"{one['accuracy']:.1%}", *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
