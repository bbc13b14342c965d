"""Twice the labels: the learning curve's forecast of the gain, beside the gain itself.

    pip install '.[bench]'
    python bench/more_labels.py TEXTS.parquet --domains films,hotels --encoder FOLDER --task domain --task label

Draws some texts at random, and computes their learning curve and its forecast as training does, but without the wide part.
The vectors are those of a frozen encoder. The forecast gain is that of twice as many texts as a classifier of the curve is
trained on. The gain itself is a mean over draws of twice as many texts: accuracy on the test texts with all of them, less
that with half of them. No draw holds a test text. Prints how often the interval of the gain held it, and as the last line
one JSON object.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet
from report import print_message, print_report

from export.classifier.choice import held_out_rows
from export.classifier.head import Inputs, cross_validate_head, fit_head
from export.classifier.objective import OneOf, predict
from export.encoder.load import load_encoder
from export.evaluation.cross_validation import CrossValidated, Size, cross_validation_figures
from export.evaluation.judges import judge_of
from export.training.crossfit import out_of_fold
from export.training.features import extract
from export.training.folds import fold_count, folds_of
from export.training.holdout import Divided
from export.training.learning import learning_curve
from export.training.settings import FitSettings
from scorer.model.interpretation import SingleLabel

_SETTINGS = FitSettings()
_LENGTH = 128  # tokens


@dataclass(frozen=True)
class Texts:
    """Texts with their vectors, float32 (texts, hidden), and labels, int64 (texts,), named by ``names``."""

    texts: Sequence[str]
    vectors: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def some(self, rows: np.ndarray) -> "Texts":
        """Return some of the texts, by number."""
        return Texts([self.texts[row] for row in rows], self.vectors[rows], self.labels[rows], self.names)


@dataclass(frozen=True)
class Line:
    """Forecasts of one size beside the gain, all in accuracy.

    Attributes:
        texts: number of texts that were drawn for a forecast.
        gain: the gain; its standard error is ``error``.
        held: share of the intervals that held it.
        bias: mean of forecast gain less gain.
        rmse: root of the mean square of that difference.
        width: mean width of the intervals.
    """

    task: str
    texts: int
    forecasts: int
    gain: float
    error: float
    held: float
    bias: float
    rmse: float
    width: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with the columns text, domain and those of the tasks")
    parser.add_argument("--encoder", type=Path, required=True, help="folder")
    parser.add_argument("--task", action="append", required=True, help="column of labels; repeat for several")
    parser.add_argument("--domains", required=True, help="values of the column domain; other texts are ignored")
    parser.add_argument("--each", type=int, default=1_500, help="largest number of texts of a domain to use")
    parser.add_argument("--tested", type=int, default=2_500, help="number of test texts")
    parser.add_argument("--sizes", default="100,200,400,800", help="numbers of texts to forecast from")
    parser.add_argument("--draws", type=int, default=15, help="number of forecasts of each size")
    parser.add_argument("--gain-draws", type=int, default=20, help="number of draws that the gain is a mean of")
    parser.add_argument("--cache-dir", type=Path, default=Path("cache"))
    arguments = parser.parse_args()
    rows = read(arguments)
    texts, lines = [row["text"] for row in rows], []
    vectors = vectors_of(texts, arguments)
    for task in arguments.task:
        names, labels = np.unique([str(row[task]) for row in rows], return_inverse=True)
        every = Texts(texts, vectors, labels.astype(np.int64), tuple(names.tolist()))
        for size in map(int, arguments.sizes.split(",")):
            lines.append(compared(task, every, size, arguments))
            print_message(str(lines[-1]))
    print("| task | texts | forecasts | gain | held | bias | RMSE | width |\n|---|---|---|---|---|---|---|---|")
    for line in lines:
        print(
            f"| {line.task} | {line.texts} | {line.forecasts} | {line.gain:.1%} ({line.error:.1%}) | {line.held:.0%} | "
            f"{line.bias:+.1%} | {line.rmse:.1%} | {line.width:.1%} |"
        )
    print_report(arguments, {"lines": [asdict(line) for line in lines]})


def read(arguments: argparse.Namespace) -> list[dict]:
    """Read the texts, of each domain at most so many at random."""
    rows = pyarrow.parquet.read_table(arguments.texts).to_pylist()
    counts, found = dict.fromkeys(arguments.domains.split(","), 0), []
    for number in np.random.default_rng(0).permutation(len(rows)):
        domain = rows[number]["domain"]
        if counts.get(domain, arguments.each) < arguments.each:
            counts[domain] += 1
            found.append(rows[number])
    return found


def vectors_of(texts: Sequence[str], arguments: argparse.Namespace) -> np.ndarray:
    """Compute the vectors of texts with the default pooling, float32 (texts, hidden)."""
    encoder = load_encoder(str(arguments.encoder), max_length=_LENGTH)
    features = extract(encoder, encoder.tokenizer.encode(texts).ids, arguments.cache_dir, name=encoder.name)
    return features.pooled(f"mean{encoder.layers - 2}+mean{encoder.layers - 1}")


def compared(task: str, every: Texts, size: int, arguments: argparse.Namespace) -> Line:
    """Forecast from several draws of one size, and measure the gain."""
    order = np.random.default_rng(0).permutation(len(every.texts))
    test, pool = every.some(order[: arguments.tested]), order[arguments.tested :]
    random = np.random.default_rng(size)
    drawn = [forecast_of(every.some(random.choice(pool, size, replace=False))) for _ in range(arguments.draws)]
    # A model without an error left, or that may be no better than the simplest answer, has no forecast.
    found = [one for one in drawn if one is not None]
    if not found:
        raise SystemExit(f"none of {size} texts of the task {task} have a forecast; give more texts")
    half = found[0]["texts"] // 2
    gains = []
    for _ in range(arguments.gain_draws):
        rows = random.choice(pool, 2 * half, replace=False)
        gains.append(accuracy(every.some(rows), test) - accuracy(every.some(rows[:half]), test))
    gain, (low, high) = float(np.mean(gains)), np.transpose([one["gain_interval"] for one in found])
    differences = np.array([one["gain"] for one in found]) - gain
    return Line(
        task, size, len(found), gain,
        error=float(np.std(gains, ddof=1) / len(gains) ** 0.5),
        held=float(((low <= gain) & (gain <= high)).mean()),
        bias=float(differences.mean()),
        rmse=float((differences**2).mean() ** 0.5),
        width=float((high - low).mean()),
    )  # fmt: skip


def forecast_of(texts: Texts) -> dict | None:
    """Return the forecast of a learning curve, a `Forecast` as JSON holds it, or None without one."""
    inputs, objective, of = Inputs(texts.vectors), OneOf(len(texts.names)), SingleLabel(texts.names)
    folds = folds_of(texts.texts, texts.labels, fold_count(len(texts.labels)))
    smaller = learning_curve(inputs, Divided((), texts.labels, folds), objective, _SETTINGS, None, 0)
    whole = out_of_fold({"": inputs}, (), texts.labels, objective, folds, head=_SETTINGS.head, wide=None, pieces=0)
    values = of.values(whole.logits)
    sizes = [Size(round(one.texts), np.stack([of.values(logits) for logits in one.logits])) for one in smaller]
    sizes.append(Size(round(float(np.mean([len(fold.train) for fold in folds]))), values[np.newaxis]))
    truth = texts.labels[held_out_rows(folds)]
    found = CrossValidated(len(folds), truth, values, None, tuple(sizes))
    return cross_validation_figures(found, judge_of(of))["forecast"]


def accuracy(train: Texts, test: Texts) -> float:
    """Train a head, whose penalty cross-validation chooses; return its accuracy on other texts."""
    inputs, objective, settings = Inputs(train.vectors), OneOf(len(train.names)), _SETTINGS.head
    folds = folds_of(train.texts, train.labels, fold_count(len(train.labels)))
    choice = cross_validate_head(inputs, train.labels, folds, objective=objective, settings=settings)
    head = fit_head(inputs, train.labels, choice.best.number, objective=objective, settings=settings)
    return float((predict(head.logits(test.vectors)) == test.labels).mean())


if __name__ == "__main__":
    main()
