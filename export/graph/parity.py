"""The parity gate: the exported graph against the PyTorch model, on real texts, in batches of many shapes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from scorer.engine.protocols import Session
from scorer.model.interpretation import Interpretation, Regression

HALF_TOLERANCE = 5e-3
"""Largest difference of an fp16 probability that is allowed; the target is 1e-3."""

VALUE_TOLERANCE = 4 * HALF_TOLERANCE
"""Largest difference of an fp16 value that is allowed, in standard deviations of the exact values: the derivative of a
probability by its logit is at most a quarter."""


@dataclass(frozen=True)
class Parity:
    """Result of the gate.

    Attributes:
        rows: number of rows that were compared.
        shapes: (batch, sequence) of the batches that were compared, the fixed ones first.
        difference: largest absolute difference of a logit.
        tolerance: largest difference that was allowed.
    """

    rows: int
    shapes: tuple[tuple[int, int], ...]
    difference: float
    tolerance: float = TOLERANCE


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
    half: Half, rows: Sequence[np.ndarray], interpretation: Interpretation, wide: Wide | None = None
) -> HalfParity:
    """Compare the float16 graph with float32 on token rows.

    Args:
        half: both graphs.
        rows: token ids of each row, (sequence,).
        interpretation: meaning of the logits.
        wide: wide part whose logits are added, if it is not in the graphs.
    """
    side = np.float32(0) if wide is None else wide.logits(rows)
    return half_parity(half_logits(half.graph, rows) + side, graph_logits(half.exact, rows) + side, interpretation)


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

    (batch, sequence), twice -> float32 (batch, logits)
    """
    rows = _rows(input_ids, attention_mask)
    ids, mask = map(torch.from_numpy, pad([classifier.encoder_reads(row) for row in rows]))
    with torch.inference_mode():
        found = encoder.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        # The last hidden state may be normalised once more than the last layer's output.
        layers = (*found.hidden_states[1:-1], found.last_hidden_state)
        logits = classifier.head_logits(pooled(layers, mask, classifier.pooling, classifier.queries).numpy())
    return logits if classifier.wide is None else logits + classifier.wide.logits(rows)


def _rows(input_ids: np.ndarray, attention_mask: np.ndarray) -> list[np.ndarray]:
    """Return the token ids of each row of a batch without its padding, (sequence,)."""
    return [ids[mask == 1] for ids, mask in zip(input_ids, attention_mask, strict=True)]


def compare(
    session: Session,
    encoder: FrozenEncoder,
    classifier: Classifier,
    rows: Sequence[np.ndarray],
    *,
    longest: int,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare the graph with PyTorch on the fixed shapes and on every row.

    Args:
        session: session of the fp32 graph.
        encoder, classifier: model that PyTorch computes.
        rows: token ids of at least two real texts.
        longest: length of the longest sequence that the graph can be given.
        tolerance: largest difference of a logit that is allowed.

    Raises:
        ParityError: a logit differs by more, or is not a number.
    """
    expected = partial(torch_logits, encoder, classifier)
    return _compare(session, expected, rows, "the exported graph", longest=longest, tolerance=tolerance)


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
