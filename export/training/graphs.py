"""Graphs of the trained classifier in every precision, with fp32 compared to PyTorch and fp16 to float32."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from export.classifier.wide import Wide
from export.errors import ExportError
from export.graph.fp16 import Half
from export.graph.int8 import CALIBRATION_ROWS
from export.graph.parity import HALF_TOLERANCE, HalfParity, Parity, compare, compare_half, compare_wide
from export.graph.source import graph_source
from export.graph.wide import wide_graph
from export.graph.writer import graph_bytes
from export.training.fit import Fit
from export.training.run import Run
from scorer.engine.protocols import Session
from scorer.engine.runtime import open_session


@dataclass(frozen=True)
class Exported:
    """The classifier's graphs and their distances from PyTorch.

    Attributes:
        graphs: graphs by precision, in the order of the settings.
        parity: distance of fp32 from PyTorch, even if fp32 is not among the graphs.
        half: distance of fp16 from float32; None without fp16.
        wide: graph of the wide part; None if it has no graph of its own.
        wide_parity: distance of that graph from the exact sums, or None.
    """

    graphs: dict[str, onnx.ModelProto]
    parity: Parity
    half: HalfParity | None
    wide: onnx.ModelProto | None = None
    wide_parity: Parity | None = None


def export_graphs(run: Run, fitted: Fit) -> Exported:
    """Export every precision, and compare fp32 with PyTorch and fp16 with float32.

    Raises:
        ParityError: the logits of fp32 differ too much from PyTorch's.
        ExportError: no precision is left.
    """
    settings, classifier = run.settings, fitted.classifier.encoders_part
    source, seed, precisions = graph_source(fitted.encoder), settings.fit.seed, settings.precisions
    test, train = run.tokens["test"].ids, run.tokens["train"].ids
    compared = _at_random(test, np.arange(len(test)), settings.parity_rows, seed)
    calibration = _at_random(train, fitted.train_rows, CALIBRATION_ROWS, seed)
    graphs = {"fp32": source.float32(classifier)}
    parity = _compare_fp32(graphs["fp32"], fitted, compared, run.report)
    if "int8" in precisions:
        run.report(f"int8: rounding the weights, with {len(calibration)} training texts for calibration")
        graphs["int8"] = source.int8(classifier, calibration, graphs["fp32"])
    half, half_parity = None, None
    if "fp16" in precisions:
        # fp16 reads the weights of fp32, or those of int8 in a bundle without fp32.
        half = source.half(classifier, calibration, None if "fp32" in precisions else graphs.get("int8"))
        half_parity = _compare_fp16(half, compared, fitted.classifier.wide_apart, run.report)
    if half is not None and half_parity is not None:
        graphs["fp16"] = half.graph
    chosen = {precision: graphs[precision] for precision in precisions if precision in graphs}
    if not chosen:
        raise ExportError("no precision is left. No bundle was written; add fp32 or int8 to --precisions.")
    apart = fitted.classifier.wide_apart
    if apart is None:
        return Exported(chosen, parity, half_parity)
    wide = wide_graph(apart)
    session = open_session(graph_bytes(wide), "cpu")
    wide_parity = compare_apart(session, apart, compared, _longest(fitted), run.report)
    return Exported(chosen, parity, half_parity, wide, wide_parity)


def compare_apart(
    session: Session, wide: Wide, compared: Sequence[np.ndarray], longest: int, report: Callable[[str], None]
) -> Parity:
    """Compare the wide part's graph with its exact sums and report the result; see `export.graph.parity.compare_wide`."""
    parity = compare_wide(session, wide, compared, longest=longest)
    report(
        f"parity of the wide part: logits differ from its exact sums by at most {parity.difference:.1e} over {parity.rows} "
        f"texts ({parity.tolerance:.0e} is allowed)"
    )
    return parity


def _at_random(ids: Sequence[np.ndarray], rows: np.ndarray, most: int, seed: int) -> list[np.ndarray]:
    """Return the token ids of at most `most` of the rows, in random order."""
    return [ids[row] for row in np.random.default_rng(seed).permutation(rows)[:most]]


def _compare_fp32(
    graph: onnx.ModelProto, fitted: Fit, compared: Sequence[np.ndarray], report: Callable[[str], None]
) -> Parity:
    session = open_session(graph_bytes(graph), "cpu")
    parity = compare(session, fitted.encoder, fitted.classifier.encoders_part, compared, longest=_longest(fitted))
    report(
        f"parity: logits differ from PyTorch by at most {parity.difference:.1e} over {parity.rows} texts ({parity.tolerance:.0e} is allowed)"
    )
    return parity


def _longest(fitted: Fit) -> int:
    """Return the length of the longest sequence that the graphs accept."""
    encoder = fitted.encoder
    return encoder.positions if fitted.classifier.cut is None else encoder.tokenizer.max_length


def _compare_fp16(
    half: Half | None, compared: Sequence[np.ndarray], wide: Wide | None, report: Callable[[str], None]
) -> HalfParity | None:
    """Report the distance of fp16 from float32 and return it; return None if it is too large or there is no fp16."""
    if half is None:
        report("fp16 is left out: no float16 graph is written for an encoder that PyTorch exports.")
        return None
    parity = compare_half(half, compared, wide)
    report(
        f"fp16: probabilities differ from float32 with the same weights by at most {parity.difference:.1e}, "
        f"and by {parity.mean:.1e} on average, over {parity.rows} texts (emulated)"
    )
    if parity.fits:
        return parity
    report(f"fp16 is left out: at most {HALF_TOLERANCE:.0e} is allowed.")
    return None
