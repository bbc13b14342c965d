"""The parity gate: the exported graph against the PyTorch model, on real texts, in batches of many shapes.

If a model reads in windows, these are the rows of its graph. Whole texts of one to the most windows are compared as well.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice

import numpy as np
import torch

from export.classifier.agreement import TOLERANCE, agreement_of_values
from export.classifier.classifier import Classifier
from export.classifier.wide import Wide
from export.encoder.load import FrozenEncoder
from export.encoder.pooling import pooled
from export.errors import ParityError
from export.graph.classifier import graph_logits
from export.graph.fp16 import Half
from export.graph.fp16_emulator import half_logits
from scorer.engine.batches import pad
from scorer.engine.protocols import Computing, Session
from scorer.engine.row_engine import RowEngine
from scorer.engine.stages import Whole
from scorer.engine.windows import Windows
from scorer.model.interpretation import Interpretation, Regression
from scorer.model.tokenizer import Tokenizer

HALF_TOLERANCE = 5e-3
"""Largest difference of an fp16 probability that is allowed; the target is 1e-3."""

VALUE_TOLERANCE = 4 * HALF_TOLERANCE
"""Largest difference of an fp16 value that is allowed, in standard deviations of the exact values: the derivative of a
probability by its logit is at most a quarter."""

# Windows that PyTorch reads at a time, so that a text of many windows needs no more memory than a batch of others.
_WINDOWS_AT_ONCE = 16


@dataclass(frozen=True)
class TextParity:
    """Result of the gate on whole texts that are read in windows.

    Attributes:
        texts: number of texts that were compared.
        windows: numbers of windows that these texts have, in order.
        difference: largest absolute difference of a text's logit, without the wide part.
    """

    texts: int
    windows: tuple[int, ...]
    difference: float

    @property
    def described(self) -> str:
        """The texts in words.

        >>> TextParity(30, (1, 2, 8), 0.0).described
        '30 whole texts of 1 to 8 windows'
        """
        return f"{self.texts:,} whole texts of {self.windows[0]} to {self.windows[-1]} windows"


@dataclass(frozen=True)
class Parity:
    """Result of the gate.

    Attributes:
        rows: number of rows that were compared.
        shapes: (batch, sequence) of the batches that were compared, the fixed ones first.
        difference: largest absolute difference of a logit.
        tolerance: largest difference that was allowed.
        texts: comparison of whole texts, if they are read in windows; otherwise a row is a text.
    """

    rows: int
    shapes: tuple[tuple[int, int], ...]
    difference: float
    tolerance: float = TOLERANCE
    texts: TextParity | None = None


@dataclass(frozen=True)
class HalfParity:
    """Error of float16 against float32 with the same weights; emulated, see `export.graph.fp16_emulator`.

    Attributes:
        rows: number of rows that were compared.
        difference: largest absolute difference of a probability, or of a value in standard deviations of the exact values.
        mean: mean of such differences.
        labels: agreement of the answers, see `export.classifier.agreement.agreement_of_values`.
        what: numbers that were compared, ``probabilities`` or ``values``.
    """

    rows: int
    difference: float
    mean: float
    labels: float
    what: str = "probabilities"

    @property
    def tolerance(self) -> float:
        """Largest difference that is allowed."""
        return HALF_TOLERANCE if self.what == "probabilities" else VALUE_TOLERANCE

    @property
    def unit(self) -> str:
        """Unit of the differences, to follow a number; empty for probabilities."""
        return "" if self.what == "probabilities" else " standard deviations"

    @property
    def fits(self) -> bool:
        return self.difference <= self.tolerance  # False for a NaN


def compare_half(
    half: Half, rows: Sequence[np.ndarray], interpretation: Interpretation, classifier: Classifier
) -> HalfParity:
    """Compare the float16 graph with float32 on texts.

    Args:
        half: both graphs.
        rows: token ids of each text, (sequence,).
        interpretation: meaning of the logits.
        classifier: classifier of the graphs, which reads long texts, and adds a wide part that is not in the graphs.
    """
    found, exact = (
        classifier.of_graph(partial(logits_of, graph), rows)
        for logits_of, graph in ((half_logits, half.graph), (graph_logits, half.exact))
    )
    return half_parity(found, exact, interpretation)


def half_parity(found: np.ndarray, exact: np.ndarray, interpretation: Interpretation) -> HalfParity:
    """Compare logits of float16, (rows, logits), with those of float32 with the same weights."""
    values, expected = interpretation.values(found), interpretation.values(exact)
    distance, what = np.abs(values - expected), "probabilities"
    if isinstance(interpretation, Regression):
        # Values that hardly vary are compared like logits of fp32.
        distance = distance / np.maximum(expected.std(axis=0), TOLERANCE * np.array(interpretation.scale))
        what = "values"
    same = agreement_of_values(interpretation, values, expected)
    return HalfParity(len(found), float(distance.max()), float(distance.mean()), same, what)


def torch_logits(
    encoder: FrozenEncoder, classifier: Classifier, input_ids: np.ndarray, attention_mask: np.ndarray
) -> np.ndarray:
    """Compute logits with PyTorch, from transformers' own model to the head, and the wide part's with numpy.

    A classifier that reads in windows gets whole texts.

    (batch, sequence), twice -> float32 (batch, logits)
    """
    rows = _rows(input_ids, attention_mask)
    read = [classifier.encoder_reads(row) for row in classifier.split(rows).rows]
    at_once = len(read) if classifier.windows is None else _WINDOWS_AT_ONCE
    features = [_features(encoder, classifier, read[start : start + at_once]) for start in range(0, len(read), at_once)]
    return classifier.logits(np.concatenate(features), rows)


def _features(encoder: FrozenEncoder, classifier: Classifier, rows: Sequence[np.ndarray]) -> np.ndarray:
    """Compute the pooled vectors of rows in one padded batch, float32 (rows, hidden)."""
    ids, mask = map(torch.from_numpy, pad(rows))
    with torch.inference_mode():
        found = encoder.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        # The last hidden state may be normalised once more than the last layer's output.
        layers = (*found.hidden_states[1:-1], found.last_hidden_state)
        return pooled(layers, mask, classifier.pooling, classifier.queries).numpy()


def _rows(input_ids: np.ndarray, attention_mask: np.ndarray) -> list[np.ndarray]:
    """Return the token ids of each row of a batch without its padding, (sequence,)."""
    return [ids[mask == 1] for ids, mask in zip(input_ids, attention_mask, strict=True)]


def longest_row(encoder: FrozenEncoder, classifier: Classifier, kept: int) -> int:
    """Return the length of the longest row that the graph of a classifier is compared on.

    Args:
        encoder, classifier: parts of the model.
        kept: number of tokens kept of a text.
    """
    if classifier.windows is not None:
        return classifier.windows.length
    return encoder.positions if classifier.cut is None else kept


def compare(
    session: Session,
    encoder: FrozenEncoder,
    classifier: Classifier,
    rows: Sequence[np.ndarray],
    *,
    longest: int,
    tolerance: float = TOLERANCE,
    edges: Sequence[np.ndarray] = (),
    threads: int = 1,
) -> Parity:
    """Compare the graph with PyTorch on the fixed shapes and on every row; whole texts as well, if they are read in windows.

    Args:
        session: session of the fp32 graph.
        encoder, classifier: model that PyTorch computes. A wide part with its own graph is not compared.
        rows: token ids of at least two real texts.
        longest: length of the longest sequence that the graph can be given, see `longest_row`.
        tolerance: largest difference of a logit that is allowed.
        edges: token ids of texts at the boundaries of windows, see `edge_rows`.
        threads: number of windows of whole texts that the graph computes at a time.

    Raises:
        ParityError: a logit differs by more, or is not a number.
    """
    expected = partial(torch_logits, encoder, classifier.encoders_part)
    cut = classifier.split(rows).rows
    parity = _compare(session, expected, cut, "the exported graph", longest=longest, tolerance=tolerance)
    if classifier.windows is None:
        return parity
    expected_of, whole = partial(_torch_texts, encoder, classifier), [*edges, *rows]
    engine = RowEngine(session, threads)
    return replace(parity, texts=compare_texts(engine, expected_of, classifier.windows, whole, tolerance=tolerance))


def _torch_texts(encoder: FrozenEncoder, classifier: Classifier, rows: Sequence[np.ndarray]) -> np.ndarray:
    """Compute the logits of texts with PyTorch, one text at a time, without the wide part: float32 (texts, logits)."""
    deep = replace(classifier, wide=None, cascade=None)
    return np.concatenate([torch_logits(encoder, deep, *pad([row])) for row in rows])


def compare_whole(
    session: Session,
    whole: Callable[[np.ndarray, np.ndarray], np.ndarray],
    classifier: Classifier,
    rows: Sequence[np.ndarray],
    *,
    longest: int,
    tolerance: float,
) -> Parity:
    """Compare the graph of an imported classifier with the whole model that it came from, on the same batches as `compare`.

    The model computes each text alone, so that a graph whose scores depend on padding does not pass.

    Args:
        session: session of the fp32 graph.
        whole: logits of the whole model, given input_ids and attention_mask, (batch, sequence) each.
        classifier: classifier of the graph, whose cut decides which tokens of a text the model reads.
        rows, longest, tolerance: as for `compare`.

    Raises:
        ParityError: a logit differs by more, or is not a number.
    """

    def expected(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        read = [classifier.encoder_reads(row) for row in _rows(input_ids, attention_mask)]
        return np.concatenate([whole(*pad([row])) for row in read])

    return _compare(session, expected, rows, "the exported graph", longest=longest, tolerance=tolerance)


def compare_texts(
    engine: Computing,
    expected_of: Callable[[Sequence[np.ndarray]], np.ndarray],
    windows: Windows,
    rows: Sequence[np.ndarray],
    *,
    tolerance: float = TOLERANCE,
) -> TextParity:
    """Compare whole texts, whose windows the graph computes one at a time, with PyTorch.

    Args:
        engine: engine of the fp32 graph, whose rows are windows.
        expected_of: PyTorch's logits of texts without a wide part, float32 (texts, logits), given their token ids.
        windows: rule that cuts long texts.
        rows: token ids of each text, (sequence,); `edge_rows` are those at the boundaries.
        tolerance: largest difference of a logit that is allowed.

    Raises:
        ParityError: a logit differs by more, or is not a number.
    """
    found = Whole(engine, windows=windows).logits(rows)
    counts = windows.split(rows).counts
    distance = np.abs(found - expected_of(rows)).max(axis=1)
    worst = int(np.argmax(np.where(np.isnan(distance), np.inf, distance)))
    if not distance[worst] <= tolerance:  # a NaN must not pass
        raise ParityError(
            f"the exported graph differs from PyTorch by {distance[worst]:.2g} in a logit of a text of {counts[worst]} windows "
            f"({len(rows[worst]):,} tokens); at most {tolerance:.3g} is allowed. No bundle was written."
        )
    return TextParity(len(rows), tuple(sorted(set(counts.tolist()))), float(distance[worst]))


def edge_rows(windows: Windows, tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """Return texts at the boundaries of windows, as token ids, (sequence,), made of the tokens of real texts.

    Their own tokens are as many as a window has, one more, those of exactly two windows, and those of the most windows.
    The last one is a text with tokens beyond that, which the tokenizer cuts.

    Args:
        windows: rule that cuts long texts.
        tokenizer: tokenizer of the model, which keeps as many tokens as the most windows cover.
        texts: real texts, at least one.
    """
    rows = tokenizer.encode(texts).ids
    stream = np.concatenate([row[windows.before : len(row) - windows.after] for row in rows])
    most = tokenizer.max_length - windows.before - windows.after
    lengths = sorted(
        {*(n for n in (windows.width, windows.width + 1, windows.width + windows.stride) if n < most), most}
    )
    first, last = rows[0][: windows.before], rows[0][len(rows[0]) - windows.after :]
    found = [np.concatenate([first, np.resize(stream, length), last]) for length in lengths]
    long = " ".join([*texts] * (most // max(1, len(stream)) + 2))
    return [*found, *tokenizer.encode([long]).ids]


def compare_wide(session: Session, wide: Wide, rows: Sequence[np.ndarray], *, longest: int) -> Parity:
    """Compare the wide part's own graph with its exact sums, on the same batches as `compare`.

    Args:
        session: session of the wide part's graph.
        wide: wide part with the exact sums.
        rows, longest: as for `compare`.

    Raises:
        ParityError: a logit differs by more than `TOLERANCE`, or is not a number.
    """

    def expected(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        return wide.logits(_rows(input_ids, attention_mask))

    return _compare(session, expected, rows, "the wide part's graph", longest=longest, tolerance=TOLERANCE)


def _compare(
    session: Session,
    expected_of: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rows: Sequence[np.ndarray],
    what: str,
    *,
    longest: int,
    tolerance: float,
) -> Parity:
    shapes, biggest, count = [], 0.0, 0
    for input_ids, attention_mask in batches(rows, longest):
        expected = expected_of(input_ids, attention_mask)
        found = session.run(["logits"], {"input_ids": input_ids, "attention_mask": attention_mask})[0]
        difference = float(np.abs(found - expected).max())
        shapes.append(input_ids.shape)
        if not difference <= tolerance:  # a NaN must not pass
            raise ParityError(
                f"{what} differs from PyTorch by {difference:.2g} in a logit of a batch of shape {input_ids.shape}; "
                f"at most {tolerance:.3g} is allowed. No bundle was written."
            )
        biggest, count = max(biggest, difference), count + len(input_ids)
    return Parity(count, tuple((int(batch), int(sequence)) for batch, sequence in shapes), biggest, tolerance)


def batches(rows: Sequence[np.ndarray], longest: int, batch_size: int = 16) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the batches of the gate: one token, the longest possible text, an odd block, then all rows in order.

    The rows are not sorted, so short and long ones share a batch and most are padded.
    """
    stream = np.concatenate(rows)
    long = np.resize(stream, 7 * 33 + longest)
    for shape in ((1, 1), (1, longest), (7, 33)):
        input_ids = long[: shape[0] * shape[1]].reshape(shape)
        yield input_ids, np.ones_like(input_ids)
    # One batch mixes all lengths, however long the texts are: a single token at least, the longest text at most.
    yield pad([row[:length] for row, length in zip(islice(cycle(rows), 5), (1, 2, 9, 30, longest), strict=True)])
    for start in range(0, len(rows), batch_size):
        yield pad(rows[start : start + batch_size])
