"""Graphs of an imported classifier in every precision that passes its gate, with a certificate for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import onnx

from export.classifier.agreement import LEAST_AGREEMENT, agreement_words, is_too_low
from export.errors import ExportError
from export.graph.classifier import graph_logits
from export.graph.fp16 import Half
from export.graph.fp16_emulator import half_logits
from export.graph.int8 import CALIBRATION_ROWS
from export.graph.parity import HalfParity, Parity, compare_texts, compare_whole, edge_rows, half_parity
from export.graph.source import GraphSource, graph_source
from export.graph.writer import graph_bytes
from export.importing.certificate import Certificate, Piped, certificate_of, check_fp32, logit_tolerance
from export.importing.checkpoint import Checkpoint
from export.importing.reference import Expected
from export.importing.settings import ImportSettings
from export.importing.texts import Texts
from scorer.base.cores import usable_cores
from scorer.base.progress import Progress
from scorer.base.task import SINGLE_LABEL, Task
from scorer.engine.batches import pad
from scorer.engine.protocols import Session
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session
from scorer.engine.stages import Whole

_MOST_COMPARED = 128  # rows in the gate's padded batches
_LEAST_JUDGING = 30  # texts; with fewer, an int8 that loses one label in ten could pass
_MOST_EMULATED = 32  # texts on which float16 is judged, and half as many rows that calibrate it; the emulator is slow
_MOST_EMULATED_WINDOWS = 96  # of those texts
_AT_A_TIME = 32  # texts between two lines of the progress


@dataclass
class Graphs:
    """Graphs that passed their gates.

    Attributes:
        kind: way in which they are made, ``written`` or ``exported``.
        parity: distance of fp32 from PyTorch in batches of many shapes.
        by_precision: graphs by precision, fp32 first.
        certificates: certificate of each precision that was tried, passed or not.
        logits: logits of fp32 and int8 on the texts that judge, float32 (texts, logits); fp32's even if it is not wanted.
        left_out: reason of each precision that was wanted and is missing.
        half: distance of fp16 from float32 with the same weights; None without fp16.
    """

    kind: str
    parity: Parity
    by_precision: dict[str, onnx.ModelProto] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    logits: dict[str, np.ndarray] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    half: HalfParity | None = None


class GraphMaker:
    """A maker of graphs, one precision after the other.

    Args:
        checkpoint: model to import.
        texts: texts that calibrate and judge.
        expected: results of PyTorch on the texts that judge.
        settings: settings of the bundle.
        report: callback for each line of the log.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        texts: Texts,
        expected: Expected,
        settings: ImportSettings,
        report: Callable[[str], None],
    ) -> None:
        self._checkpoint, self._texts, self._settings, self._report = checkpoint, texts, settings, report
        self._classifier, self._rows = checkpoint.classifier, texts.judging_ids
        self._expected, self._each, self._piped = expected.logits, expected.each, expected.piped
        self._interpretation = checkpoint.interpretation
        self._threads = settings.threads or usable_cores()

    def make(self) -> Graphs:
        """Make and judge every precision that is wanted.

        Raises:
            ParityError: fp32 differs too much from PyTorch.
            UnsupportedEncoder: PyTorch cannot export the model.
            ExportError: no precision is left.
        """
        wanted = self._settings.precisions or ("fp32", "fp16", *(["int8"] if self._texts.of else []))
        source = graph_source(self._checkpoint.encoder)
        self._report(f"fp32: graph {source.kind}{'' if source.kind == 'written' else ' by PyTorch'}")
        float32 = source.float32(self._classifier)
        found = self._judge_fp32(float32, source.kind)
        int8 = self._int8(source, float32, found) if "int8" in wanted else None
        if "fp16" in wanted:
            self._half(source, found, None if "fp32" in wanted else int8)
        if "fp32" not in wanted:
            del found.by_precision["fp32"]
        if not found.by_precision:
            raise ExportError("no precision is left. No bundle was written; add fp32 to --precisions.")
        return found

    def _judge_fp32(self, graph: onnx.ModelProto, kind: str) -> Graphs:
        session = open_session(graph_bytes(graph), "cpu")
        logits = self._logits(session, "fp32")
        certificate = self._certificate(logits)
        self._report(_line("fp32", certificate))
        check_fp32(certificate, logit_tolerance(self._expected, self._interpretation))
        parity = self._parity(session)
        what = "texts" if parity.texts is None else "windows"
        self._report(
            f"fp32, padded batches: logits differ from PyTorch by at most {parity.difference:.1e} over {parity.rows} {what} "
            f"({parity.tolerance:.1e} is allowed)"
        )
        if parity.texts is not None:
            self._report(
                f"fp32, {parity.texts.described}: logits differ from PyTorch by at most {parity.texts.difference:.1e}"
            )
        return Graphs(kind, parity, {"fp32": graph}, {"fp32": certificate}, {"fp32": logits})

    def _parity(self, session: Session) -> Parity:
        """Compare the fp32 graph in padded batches; texts at the boundaries of windows as well, if it reads in windows."""
        tokenizer, windows = self._checkpoint.encoder.tokenizer, self._classifier.windows
        reference, tolerance = self._checkpoint.reference, logit_tolerance(self._each, self._interpretation)
        parity = compare_whole(
            session,
            reference,
            self._classifier,
            _spread(self._classifier.split(self._rows[:_MOST_COMPARED]).rows, _MOST_COMPARED),
            longest=tokenizer.max_length if windows is None else windows.length,
            tolerance=tolerance,
        )
        if windows is None:
            return parity

        def one_by_one(rows: Sequence[np.ndarray]) -> np.ndarray:
            return np.concatenate([reference(*pad([row])) for row in rows])

        edges = edge_rows(windows, tokenizer, self._texts.judging_texts[:_MOST_COMPARED])
        expected = partial(self._classifier.of_graph, one_by_one)
        engine = RowEngine(session, self._threads)
        return replace(parity, texts=compare_texts(engine, expected, windows, edges, tolerance=tolerance))

    def _int8(self, source: GraphSource, float32: onnx.ModelProto, found: Graphs) -> onnx.ModelProto | None:
        if len(self._rows) < _LEAST_JUDGING:
            few = f"{len(self._rows)} texts are too few to judge it, and at least {_LEAST_JUDGING} are needed"
            self._leave_out(found, "int8", f"{few}; give more with --texts and --most-texts")
            return None
        calibration = self._calibration(CALIBRATION_ROWS)
        what = "texts" if self._classifier.windows is None else "windows of texts"
        self._report(f"int8: rounding the weights, with {len(calibration)} {what} for calibration")
        graph = source.int8(self._classifier, calibration, float32)
        session = open_session(graph_bytes(graph), "cpu")
        logits = self._logits(session, "int8")
        certificate = found.certificates["int8"] = self._certificate(logits)
        self._report(_line("int8", certificate))
        if is_too_low(certificate.agreement, certificate.texts, self._interpretation.task):
            why = f"{_agreement(certificate, self._interpretation.task)}, and at least {LEAST_AGREEMENT:.0%} is needed"
            self._leave_out(found, "int8", why)
            return None
        found.by_precision["int8"], found.logits["int8"] = graph, logits
        return graph

    def _half(self, source: GraphSource, found: Graphs, int8: onnx.ModelProto | None) -> None:
        half = source.half(self._classifier, self._calibration(_MOST_EMULATED // 2), int8)
        if half is None:
            self._leave_out(found, "fp16", "no float16 graph is written for a model that PyTorch exports")
            return
        certificate, parity = self._judge_half(half)
        found.certificates["fp16"] = certificate
        self._report(f"{_line('fp16', certificate)} (emulated)")
        if not parity.fits:
            self._leave_out(
                found,
                "fp16",
                f"its {parity.what} differ from float32 with the same weights by up to {parity.difference:.1e}{parity.unit} (emulated), "
                f"and at most {parity.tolerance:.0e} is allowed",
            )
            return
        found.by_precision["fp16"], found.half = half.graph, parity

    def _judge_half(self, half: Half) -> tuple[Certificate, HalfParity]:
        ends = np.cumsum(self._classifier.split(self._rows[:_MOST_EMULATED]).counts)
        count = max(1, int(np.count_nonzero(ends <= _MOST_EMULATED_WINDOWS)))
        rows, expected = self._rows[:count], self._expected[:count]
        logits = self._classifier.of_graph(partial(half_logits, half.graph), rows)
        exact = self._classifier.of_graph(partial(graph_logits, half.exact), rows)
        certificate = certificate_of(self._interpretation, logits, expected, _first(self._piped, count))
        return certificate, half_parity(logits, exact, self._interpretation)

    def _certificate(self, logits: np.ndarray) -> Certificate:
        return certificate_of(self._interpretation, logits, self._expected, self._piped)

    def _calibration(self, most: int) -> list[np.ndarray]:
        """Return at most so many rows of the calibrating texts, as the graph gets them, spread over them."""
        return _spread(self._classifier.split([self._texts.ids[row] for row in self._texts.calibrating]).rows, most)

    def _logits(self, session: Session, precision: str) -> np.ndarray:
        whole = Whole(RowEngine(session, self._threads), windows=self._classifier.windows)
        return with_progress(whole.logits, self._rows, f"comparing {precision}", quiet=self._settings.quiet)

    def _leave_out(self, found: Graphs, precision: str, why: str) -> None:
        found.left_out[precision] = why
        self._report(f"{precision} is left out: {why}.")


def with_progress(
    logits_of: Callable[[Sequence[np.ndarray]], np.ndarray], rows: Sequence[np.ndarray], what: str, *, quiet: bool
) -> np.ndarray:
    """Compute logits of texts a few at a time, with progress: float32 (texts, logits).

    Args:
        logits_of: logits of some texts.
        rows: token ids of each text, (sequence,).
        what: name of the work.
        quiet: show no progress.
    """
    found = []
    with Progress(what, len(rows), quiet=quiet) as progress:
        for start in range(0, len(rows), _AT_A_TIME):
            progress.show(start, f"{start:,} texts")
            found.append(logits_of(rows[start : start + _AT_A_TIME]))
    return np.concatenate(found)


def _spread(rows: Sequence[np.ndarray], most: int) -> list[np.ndarray]:
    """Return at most so many rows, at equal distances.

    >>> _spread([np.array([id]) for id in range(9)], 3)
    [array([0]), array([4]), array([8])]
    """
    return [rows[at] for at in np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]


def _first(piped: Piped | None, count: int) -> Piped | None:
    """Return the results of a pipeline on the first few texts."""
    if piped is None:
        return None
    here = piped.rows < count
    return Piped(piped.rows[here], None if piped.labels is None else piped.labels[here], piped.scores[here])


def _line(precision: str, certificate: Certificate) -> str:
    logits = f"{precision}: logits differ from PyTorch by at most {certificate.logit.largest:.1e}"
    piped = certificate.pipeline
    if certificate.value is not None and certificate.explained is not None:
        against = ""
        if piped is not None and piped.explained is not None:
            against = f", and {piped.explained.share:.2%} of that of the pipeline's over {piped.explained.texts:,}"
        return (
            f"{logits}, values by {certificate.value.largest:.1e}; {certificate.explained.share:.2%} of the variance of "
            f"PyTorch's values is explained over {certificate.texts:,} texts{against}"
        )
    kept, several = certificate.labels, "" if certificate.least is None else "s"
    assert kept is not None, "without values, there are labels"
    assert certificate.probability is not None, "without values, there are probabilities"
    against = ""
    if piped is not None and piped.labels is not None:
        against = f", the pipeline's for {piped.labels.share:.2%} of {piped.labels.texts:,}"
    return (
        f"{logits}, probabilities by {certificate.probability.largest:.1e}; PyTorch's label{several} for {kept.share:.2%} of "
        f"{certificate.texts:,} texts{against}"
    )


def _agreement(certificate: Certificate, task: Task) -> str:
    """Return the agreement of a precision in words."""
    if task != SINGLE_LABEL or certificate.labels is None:
        texts = f"{certificate.texts:,} texts"
        return f"it gives {agreement_words(task, f'{certificate.agreement:.2%}', texts)}"
    low, high = certificate.labels.interval
    return f"it keeps PyTorch's label for {certificate.agreement:.2%} of {certificate.texts:,} texts (95%: {low:.2%} to {high:.2%})"
