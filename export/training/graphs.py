"""Graphs of the trained classifier in every precision, with fp32 compared to PyTorch and fp16 to float32."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from export.classifier.classifier import Classifier
from export.classifier.wide import Wide
from export.errors import ExportError
from export.graph.fp16 import Half
from export.graph.int8 import CALIBRATION_ROWS, calibration_rows
from export.graph.parity import HalfParity, Parity, compare, compare_half, compare_wide, edge_rows, longest_row
from export.graph.source import graph_source
from export.graph.wide import wide_graph
from export.graph.writer import graph_bytes
from export.training.fitted import Fit
from export.training.run import Run
from export.training.stages import FP16, GRAPHS, INT8, PARITY, stage
from scorer.base.cores import usable_cores
from scorer.base.task import SINGLE_LABEL
from scorer.engine.protocols import Session
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session, session_options

_EDGE_TEXTS = 100  # test texts whose tokens make texts at the boundaries of windows
_MOST_HALF = 2_000  # test texts that show how often fp16 is right if no other precision has its weights


@dataclass(frozen=True)
class Exported:
    """The classifier's graphs and their distances from PyTorch.

    Attributes:
        graphs: graphs by precision, in the order of the settings.
        parity: distance of fp32 from PyTorch, even if fp32 is not among the graphs.
        half: distance of fp16 from float32; None without fp16.
        wide: graph of the wide part; None if it has no graph of its own.
        wide_parity: distance of that graph from the exact sums, or None.
        half_logits: calibrated logits of float32 with the weights of fp16, float32 (texts, logits), for the test texts of
            `half_rows`; None if fp16 has the weights of fp32.
    """

    graphs: dict[str, onnx.ModelProto]
    parity: Parity
    half: HalfParity | None
    wide: onnx.ModelProto | None = None
    wide_parity: Parity | None = None
    half_logits: np.ndarray | None = None


@stage(GRAPHS)
def export_graphs(run: Run, fitted: Fit) -> Exported:
    """Export every precision, and compare fp32 with PyTorch and fp16 with float32.

    Raises:
        ParityError: the logits of fp32 differ too much from PyTorch's.
        ExportError: no precision is left.
    """
    settings, classifier = run.settings, fitted.classifier
    source, seed, precisions = graph_source(fitted.encoder), settings.fit.seed, settings.precisions
    test, train = run.tokens["test"].ids, run.tokens["train"].ids
    compared = _few_rows(classifier, _at_random(test, np.arange(len(test)), settings.parity_rows, seed))
    calibration = calibration_rows(classifier, _at_random(train, fitted.train_rows, CALIBRATION_ROWS, seed), seed)
    graphs = {"fp32": source.float32(classifier.encoders_part)}
    parity = _compare_fp32(graphs["fp32"], fitted, compared, run)
    if "int8" in precisions:
        rows = "training texts" if classifier.windows is None else "windows of training texts"
        run.report(f"int8: rounding the weights, with {len(calibration)} {rows} for calibration")
        with stage(INT8):
            graphs["int8"] = source.int8(classifier.encoders_part, calibration, graphs["fp32"])
    apart = classifier.wide_apart
    half, half_parity, exact = None, None, None
    if "fp16" in precisions:
        # fp16 reads the weights of fp32, or those of int8 in a bundle without fp32.
        shared = None if "fp32" in precisions else graphs.get("int8")
        with stage(FP16):
            half = source.half(classifier.encoders_part, calibration, shared)
        half_parity = _compare_fp16(half, compared, fitted, run)
    if half is not None and half_parity is not None:
        graphs["fp16"] = half.graph
        if shared is not None and run.dataset.task == SINGLE_LABEL:
            some = [test[row] for row in half_rows(len(test))]
            exact = classifier.calibrated(_whole(half.exact, some, classifier), some)
    chosen = {precision: graphs[precision] for precision in precisions if precision in graphs}
    if not chosen:
        raise ExportError("no precision is left. No bundle was written; add fp32 or int8 to --precisions.")
    if apart is None:
        return Exported(chosen, parity, half_parity, half_logits=exact)
    wide = wide_graph(apart)
    session = open_session(graph_bytes(wide), "cpu")
    longest = max(fitted.encoder.tokenizer.max_length, _longest(fitted))  # the wide part reads whole texts
    wide_parity = compare_apart(session, apart, compared, longest, run.report)
    return Exported(chosen, parity, half_parity, wide, wide_parity, exact)


def half_rows(count: int) -> np.ndarray:
    """Return the numbers of the test texts for `Exported.half_logits`, int64 (texts,): at random, but always the same ones.

    Args:
        count: number of test texts.
    """
    return np.sort(np.random.default_rng(0).permutation(count)[:_MOST_HALF])


def _whole(graph: onnx.ModelProto, rows: Sequence[np.ndarray], classifier: Classifier) -> np.ndarray:
    """Compute logits of both parts of the classifier, float32 (texts, logits)."""
    session = open_session(graph_bytes(graph), "cpu")
    return classifier.of_graph(RowEngine(session, usable_cores()).logits, rows)


@stage(PARITY)
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


def _few_rows(classifier: Classifier, texts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the first of the texts, at least one, whose rows of the graph are no more than all the texts."""
    ends = np.cumsum(classifier.split(texts).counts)
    return list(texts[: max(1, int(np.searchsorted(ends, len(texts), side="right")))])


@stage(PARITY)
def _compare_fp32(graph: onnx.ModelProto, fitted: Fit, compared: Sequence[np.ndarray], run: Run) -> Parity:
    # Batches are computed one after the other, so that each may have all cores.
    options = session_options("cpu")
    options.intra_op_num_threads = usable_cores()
    session = open_session(graph_bytes(graph), "cpu", options=options)
    encoder, classifier = fitted.encoder, fitted.classifier
    windows, edges, rows = classifier.windows, list[np.ndarray](), "texts"
    if windows is not None:
        edges, rows = edge_rows(windows, encoder.tokenizer, run.dataset.test.texts[:_EDGE_TEXTS]), "windows"
    parity = compare(
        session, encoder, classifier, compared, longest=_longest(fitted), edges=edges, threads=usable_cores()
    )
    run.report(
        f"parity: logits differ from PyTorch by at most {parity.difference:.1e} over {parity.rows} {rows} ({parity.tolerance:.0e} is allowed)"
    )
    if parity.texts is not None:
        run.report(f"parity of {parity.texts.described}: logits differ by at most {parity.texts.difference:.1e}")
    return parity


def _longest(fitted: Fit) -> int:
    """Return the length of the longest row that the graphs are compared on."""
    return longest_row(fitted.encoder, fitted.classifier, fitted.encoder.tokenizer.max_length)


@stage(FP16)
def _compare_fp16(half: Half | None, compared: Sequence[np.ndarray], fitted: Fit, run: Run) -> HalfParity | None:
    """Report the distance of fp16 from float32 and return it; return None if it is too large or there is no fp16."""
    if half is None:
        run.report("fp16 is left out: no float16 graph is written for an encoder that PyTorch exports.")
        return None
    interpretation = fitted.calibration.before or fitted.interpretation
    parity = compare_half(half, compared, interpretation, fitted.classifier)
    run.report(
        f"fp16: {parity.what} differ from float32 with the same weights by at most {parity.difference:.1e}{parity.unit}, "
        f"and by {parity.mean:.1e} on average, over {parity.rows} texts (emulated)"
    )
    if parity.fits:
        return parity
    run.report(f"fp16 is left out: at most {parity.tolerance:.0e} is allowed.")
    return None
