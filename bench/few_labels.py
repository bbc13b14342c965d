"""Few labels: accuracy of a linear head on the vectors of frozen encoders, beside TF-IDF.

    pip install '.[bench]'
    python bench/few_labels.py SENTENCES.parquet --domain product-sentences --encoder FOLDER --each 8,64
    python bench/few_labels.py imdb/train.parquet --test imdb/test.parquet --encoder FOLDER --each 50,500 --draws 5

A draw takes the same number of texts of each label at random. Penalty and pooling are those with the lowest
cross-validated loss on the drawn texts alone. Without --test, a draw is tested on the texts that it did not take. Prints
mean and standard deviation of the accuracy over the draws, and as the last line one JSON object.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet
from report import print_message, print_report

from export.classifier.choice import loss_of
from export.classifier.objective import OneOf
from export.classifier.optimum import cross_entropy, descended
from export.classifier.threads import threads_for
from export.encoder.load import FrozenEncoder, load_encoder
from export.evaluation.baseline import NAME, trained_on
from export.training.features import extract

_FOLDS = 5
_SHARED = 1_000  # seed of the texts that all draws are taken from
_CHOSEN = "chosen"
_OBJECTIVE = OneOf(2)
_STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)


@dataclass(frozen=True)
class Texts:
    """Texts with their labels, int64 (texts,), and the rows that may be drawn and that are always tested, if any."""

    texts: list[str]
    labels: np.ndarray
    free: np.ndarray
    tested: np.ndarray


@dataclass(frozen=True)
class Draw:
    """Rows to train on and to test, int64 (rows,)."""

    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Line:
    """Accuracies of a learner over the draws: their mean and their standard deviation."""

    learner: str
    each: int
    pooling: str
    mean: float
    deviation: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with the columns id, text and label (0 or 1)")
    parser.add_argument("--test", type=Path, help="the same for test texts")
    parser.add_argument("--tested", type=int, default=5_000, help="number of texts of --test to take at random")
    parser.add_argument("--domain", help="value of the column domain; other texts are ignored")
    parser.add_argument("--leave-out", type=Path, help="a file with ids of texts to ignore, one a line")
    parser.add_argument("--encoder", type=Path, action="append", default=[], help="folder; repeat for several")
    parser.add_argument("--max-length", type=int, default=400)
    parser.add_argument("--each", default="8,64", help="numbers of texts of each label to train on")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--most", type=int, help="texts of each label that all draws are taken from, to save time")
    parser.add_argument("--cache-dir", type=Path, default=Path("cache"))
    arguments = parser.parse_args()
    texts = load(arguments)
    draws = {each: drawn(texts, each, arguments.draws) for each in map(int, arguments.each.split(","))}
    lines = [line for each, some in draws.items() for line in lines_of(NAME, each, [by_words(texts, x) for x in some])]
    wanted = np.append(texts.free, texts.tested) if arguments.most else needed(draws)
    for folder in arguments.encoder:
        encoder = load_encoder(str(folder), max_length=arguments.max_length)
        pooled = vectors(encoder, texts, wanted, arguments.cache_dir)
        for each, some in draws.items():
            lines += lines_of(folder.name, each, [by_vectors(pooled, texts.labels, one) for one in some])
    print("| learner | texts a label | pooling | accuracy | deviation |\n|---|---|---|---|---|")
    for line in lines:
        print(f"| {line.learner} | {line.each} | {line.pooling} | {line.mean:.1%} | {line.deviation:.1%} |")
    print_report(arguments, {"lines": [asdict(line) for line in lines]})


def load(arguments: argparse.Namespace) -> Texts:
    """Read the texts, and those of --test after them."""
    ignored = set(arguments.leave_out.read_text().split()) if arguments.leave_out else set()
    rows = [row for row in read(arguments.texts, arguments.domain) if row["id"] not in ignored]
    own, others = len(rows), read(arguments.test, arguments.domain) if arguments.test else []
    rows += [others[row] for row in np.sort(np.random.default_rng(0).permutation(len(others))[: arguments.tested])]
    labels, free = np.array([row["label"] for row in rows]), np.arange(own)
    if arguments.most:
        free = np.sort(of_each(labels, free, arguments.most, _SHARED))
    return Texts([row["text"] for row in rows], labels, free, np.arange(own, len(rows)))


def read(path: Path, domain: str | None) -> list[dict]:
    """Read the rows of a file, or only those of a domain."""
    return [row for row in pyarrow.parquet.read_table(path).to_pylist() if domain in (None, row.get("domain"))]


def of_each(labels: np.ndarray, rows: np.ndarray, each: int, seed: int) -> np.ndarray:
    """Draw at most so many of the rows of each label; fewer are the first ones of more."""
    random = np.random.default_rng(seed)
    return np.concatenate([random.permutation(rows[labels[rows] == label])[:each] for label in (0, 1)])


def drawn(texts: Texts, each: int, draws: int) -> list[Draw]:
    """Draw several times; the test texts are the given ones, or all that were not drawn."""
    train = [of_each(texts.labels, texts.free, each, seed) for seed in range(draws)]
    return [Draw(rows, texts.tested if len(texts.tested) else np.setdiff1d(texts.free, rows)) for rows in train]


def needed(draws: dict[int, list[Draw]]) -> np.ndarray:
    """Return the rows of all draws, int64 (rows,)."""
    return np.unique(np.concatenate([np.append(one.train, one.test) for some in draws.values() for one in some]))


def vectors(encoder: FrozenEncoder, texts: Texts, wanted: np.ndarray, cache: Path) -> dict[str, np.ndarray]:
    """Compute the vectors of the wanted rows for each pooling, float32 (texts, width); those of other rows are zero."""
    ids = encoder.tokenizer.encode([texts.texts[row] for row in wanted]).ids
    features, last = extract(encoder, ids, cache, name=encoder.name), encoder.layers
    found = {}
    for pooling in ("cls", "mean", f"mean{last - 1}", f"mean{last - 2}+mean{last - 1}"):
        some = features.pooled(pooling)
        found[pooling] = np.zeros((len(texts.labels), some.shape[1]), dtype=np.float32)
        found[pooling][wanted] = some
    return found


def by_words(texts: Texts, one: Draw) -> dict[str, float]:
    """Return the accuracy of TF-IDF."""
    train, test = ([texts.texts[row] for row in rows] for rows in (one.train, one.test))
    probabilities = trained_on(train, texts.labels[one.train], test, 2)
    return {"": float((probabilities.argmax(axis=1) == texts.labels[one.test]).mean())}


def by_vectors(pooled: dict[str, np.ndarray], labels: np.ndarray, one: Draw) -> dict[str, float]:
    """Return the accuracy of the head for each pooling, and for the one that is chosen."""
    losses, found = {}, {}
    for pooling, features in pooled.items():
        losses[pooling], l2 = best_penalty(features[one.train], labels[one.train])
        logits = fitted(features[one.train], labels[one.train], features[one.test], [l2])[l2]
        found[pooling] = float(((logits[:, 0] > 0) == labels[one.test]).mean())
    return {**found, _CHOSEN: found[min(losses, key=losses.__getitem__)]}


def best_penalty(features: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the lowest cross-validated loss and its penalty; each label is dealt evenly to the folds."""
    fold = np.empty(len(labels), dtype=np.int64)
    for label in (0, 1):
        fold[labels == label] = np.arange((labels == label).sum()) % _FOLDS
    losses = dict.fromkeys(_STRENGTHS, 0.0)
    for inside in (fold == number for number in range(_FOLDS)):
        for l2, logits in fitted(features[~inside], labels[~inside], features[inside], _STRENGTHS).items():
            losses[l2] += loss_of(_OBJECTIVE, logits, labels[inside]) * inside.mean()
    return min((loss, l2) for l2, loss in losses.items())


def fitted(
    train: np.ndarray, labels: np.ndarray, others: np.ndarray, strengths: Sequence[float]
) -> dict[float, np.ndarray]:
    """Fit a head to standardised features for each penalty; return its logits of other texts, (texts, 1).

    The optimum is a sum of the training texts, so that it needs as many axes as there are texts. The basis is orthonormal,
    and the penalty stays the same.
    """
    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64) + 1e-8
    basis = np.linalg.qr(((train - mean) / deviation).T)[0]
    own, rest = (((some - mean) / deviation) @ basis for some in (train, others))
    found, start, targets = {}, None, labels[:, np.newaxis].astype(np.float64)
    with threads_for(len(labels)):
        for l2 in strengths:
            start = descended(own, targets, l2, cross_entropy, start)
            found[l2] = rest @ start[:-1] + start[-1]
    return found


def lines_of(learner: str, each: int, draws: Sequence[dict[str, float]]) -> list[Line]:
    """Return a line for each pooling, and print it as progress."""
    lines = []
    for pooling in draws[0]:
        values = [one[pooling] for one in draws]
        lines.append(Line(learner, each, pooling, statistics.mean(values), float(np.std(values, ddof=len(values) > 1))))
        print_message(str(lines[-1]))
    return lines


if __name__ == "__main__":
    main()
