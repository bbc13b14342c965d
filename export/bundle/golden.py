"""Golden rows: short texts, written for this project, and their logits, which travel with every bundle."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from export.classifier.classifier import Classifier
from export.graph.classifier import graph_logits
from export.graph.wide import wide_graph
from scorer.model.manifest import WIDE, GoldenRow
from scorer.model.tokenizer import Tokenizer

TEXTS = (
    "Loved every minute of it.",
    "A dull, endless film; I walked out before the second act.",
    "It was fine.",
    "Not the masterpiece everyone promised, but the last scene alone is worth the ticket.",
    "Why would anybody pay for this?",
    "¡Qué película tan bonita! 10/10",
    "The camera never rests, the actors never act, and the plot never arrives. Still, my daughter laughed from beginning "
    "to end, and on the way home she told me the whole story again with all the voices, so perhaps it was not made for me.",
    "ok",
)

# Tolerances lie between the noise of instruction sets and the error of a wrong kernel. The noise of fp32 is about 1e-5.
_FP32_TOLERANCE = 1e-3
# Shares of the largest golden logit. Measured (docs/PERFORMANCE.md): a single rounding that flipped moved a logit of an
# earlier default model by up to 1.1% of it. The 16-bit saturation of CPUs without VNNI moves one of today's by 5.5%.
# The share of fp16 is about ten times the rounding error of float16 (docs/PERFORMANCE.md).
_SHARES = {"int8": 0.02, "fp16": 0.01}

_LONGEST = 10_000  # characters, the most that a manifest may have


def golden_rows(
    graphs: Mapping[str, onnx.ModelProto], tokenizer: Tokenizer, classifier: Classifier
) -> tuple[GoldenRow, ...]:
    """Score the golden texts with each precision's graph, as the scorer does on CPU if every text goes through the encoder.

    If the wide part is a graph of its own, its exact sums are part of each row.
    """
    texts = [*TEXTS]
    if classifier.reading is not None:
        texts.append(_longer_than(classifier.reading.length, tokenizer))
    ids = tokenizer.encode(texts).ids
    split = classifier.split(ids)
    logits = {precision: split.combined(graph_logits(graph, split.rows)) for precision, graph in graphs.items()}
    if classifier.wide_apart is not None:
        side = graph_logits(wide_graph(classifier.wide_apart), ids)
        logits = {precision: deep + side for precision, deep in logits.items()}
        logits[WIDE] = classifier.wide_apart.sums(ids)
    return tuple(
        GoldenRow(text, {stage: tuple(map(float, found[row])) for stage, found in logits.items()})
        for row, text in enumerate(texts)
    )


def _longer_than(length: int, tokenizer: Tokenizer) -> str:
    """Repeat the golden texts until they are longer than the encoder reads at once, within `_LONGEST` characters."""
    text = " ".join(TEXTS)
    while len(text) < _LONGEST and len(tokenizer.encode([text]).ids[0]) <= length:
        text += " " + text
    return text[:_LONGEST]


def tolerances_of(golden: Sequence[GoldenRow], tokenizer: Tokenizer, classifier: Classifier) -> dict[str, float]:
    """Return the difference that golden logits may have on another machine, by precision.

    In int8 and fp16 the last bit of a sum can flip a rounding. The effect on a logit grows with the encoder's share of
    it; the wide part is float32 in every precision.
    """
    ids = tokenizer.encode([row.text for row in golden]).ids
    wide = 0 if classifier.wide is None else classifier.wide.logits(ids)
    found = {}
    for precision in golden[0].logits.keys() - {WIDE}:
        largest = np.abs(np.array([row.logits[precision] for row in golden]) - wide).max()
        share = _SHARES.get(precision)
        found[precision] = _FP32_TOLERANCE if share is None else round(share * max(1.0, float(largest)), 4)
    return found
