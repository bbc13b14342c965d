"""Short texts, written for this project, whose logits travel with every bundle."""

from collections.abc import Mapping, Sequence

import onnx

from export.graph import graph_logits
from scorer.manifest import GoldenRow
from scorer.tokens import Tokenizer

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

# Room between the noise of instruction sets and what a wrong kernel gets wrong. The noise of fp32 is some 1e-5.
_FP32_TOLERANCE = 1e-3
# Measured (docs/PERFORMANCE.md): one rounding that turned moved a logit of an earlier default model by up to 1.1% of
# the largest golden logit; 16-bit saturation, which CPUs without VNNI run into, moves one of today's by 5.5%.
_INT8_TOLERANCE = 0.02
# Some ten times what float16 rounds (docs/PERFORMANCE.md).
_FP16_TOLERANCE = 0.01


def golden_rows(graphs: Mapping[str, onnx.ModelProto], tokenizer: Tokenizer) -> tuple[GoldenRow, ...]:
    """Score the golden texts with each precision's graph, as the scorer will on CPU."""
    ids = tokenizer.encode(TEXTS).ids
    logits = {precision: graph_logits(graph, ids) for precision, graph in graphs.items()}
    return tuple(
        GoldenRow(text, {precision: tuple(map(float, logits[precision][row])) for precision in graphs})
        for row, text in enumerate(TEXTS)
    )


def tolerance(precision: str, golden: Sequence[GoldenRow]) -> float:
    """By how much a golden row's logits may differ on another machine.

    In int8 and fp16 the last bit of a sum can turn a rounding, which then shows in the logit, the more so the larger
    logits are.
    """
    if precision == "fp32":
        return _FP32_TOLERANCE
    share = _INT8_TOLERANCE if precision == "int8" else _FP16_TOLERANCE
    return round(share * max(1.0, *(abs(logit) for row in golden for logit in row.logits[precision])), 4)
