"""The contenders of bench/cpu.py, each a function from token rows to logits: PyTorch, onnxruntime and this project's engine.

OpenVINO and CTranslate2 have modules of their own, which are imported if they are asked for.
"""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tokenizers
import torch
import transformers
from onnxruntime.quantization import QuantType, quantize_dynamic
from plain import SORTED_TOKENS, Contender, Rows, Score, TorchClassifier, batched, export_plain, feed
from subject import MAX_LENGTH, Subject
from transformers.modeling_outputs import SequenceClassifierOutput

from export.graph.source import graph_source
from export.graph.writer import graph_bytes
from scorer.base.timing import Phases
from scorer.engine.batches import Lengths
from scorer.engine.cascade import Cascade
from scorer.engine.gpu import BATCH_TOKENS, Gpu
from scorer.engine.protocols import Engine
from scorer.engine.row_engine import RowEngine
from scorer.engine.spec import EngineSpec
from scorer.engine.stages import Stages

PYTORCH = "PyTorch"
"""Computation that all others are compared with."""


def contenders(subject: Subject, folder: Path, keys: str) -> Iterator[Contender]:
    """Prepare and yield the contenders of some sections.

    Args:
        subject: model and texts.
        folder: folder for converted models.
        keys: letters of the sections.
    """
    with _quiet():
        torch.set_num_threads(subject.threads)
        for key, section in _SECTIONS.items():
            if key in keys:
                for one in section(subject, folder):
                    # This project's engine does the rest by itself.
                    yield one if key == "g" else replace(one, score=whole(subject, one.score))


def whole(subject: Subject, score: Score) -> Score:
    """Return a function that scores whole texts, given one for the encoder's part of the classifier.

    The wide part is the same code for all peers, a look-up in NumPy, and so is the calibration by length.
    """
    classifier, wide = subject.classifier, subject.classifier.wide

    def score_whole(rows: Rows) -> np.ndarray:
        logits = score(subject.read(rows))
        return classifier.calibrated(logits if wide is None else logits + wide.logits(rows), rows)

    return score_whole


def _pytorch_unsorted(subject: Subject, folder: Path) -> Iterator[Contender]:
    score = batched(_torch(subject))
    yield Contender("a", "PyTorch", "unsorted, batches of 64", "fp32", score, PYTORCH)


def _transformers(subject: Subject, folder: Path) -> Iterator[Contender]:
    way = "batches of 32, tokenizing included"
    yield Contender("b", "transformers pipeline", way, "fp32", _pipeline(subject), PYTORCH)


def _pytorch_sorted(subject: Subject, folder: Path) -> Iterator[Contender]:
    score = batched(_torch(subject), tokens=SORTED_TOKENS)
    yield Contender("c", "PyTorch", "sorted", "fp32", score, PYTORCH)


def _onnxruntime(subject: Subject, folder: Path) -> Iterator[Contender]:
    """Yield onnxruntime on the plain export.

    Its int8 has a scale for each batch, so that the logits depend on how texts are batched.
    """
    engine, exported, quantized = "onnxruntime", _exported(subject, folder / "exported.onnx"), folder / "dynamic.onnx"
    quantize_dynamic(exported, quantized, per_channel=True, weight_type=QuantType.QInt8)
    for path, precision, shared in ((exported, "fp32", "onnxruntime, fp32"), (quantized, "int8", "")):
        session = _session(path, subject.threads)

        def run(*padded: np.ndarray, session: onnxruntime.InferenceSession = session) -> np.ndarray:
            return session.run(None, feed(padded))[0]

        yield Contender("d", engine, "plain export, unsorted", precision, batched(run), shared)
        score = batched(run, tokens=SORTED_TOKENS)
        yield Contender("d", engine, "plain export, sorted", precision, score, shared)
        rows = RowEngine(_session(path, 1), subject.threads).logits
        yield Contender("d", engine, "plain export, a row a run", precision, rows, shared)


def _openvino(subject: Subject, folder: Path) -> Iterator[Contender]:
    from openvino_peer import openvino_contenders

    return openvino_contenders(subject)


def _ctranslate2(subject: Subject, folder: Path) -> Iterator[Contender]:
    from ctranslate2_peer import ctranslate2_contenders

    return ctranslate2_contenders(subject, transformers_tokenizer(subject), folder)


def _project(subject: Subject, folder: Path) -> Iterator[Contender]:
    """Yield this project's engine on its own graphs, and with the cascade if the classifier has one."""
    source, classifier = graph_source(subject.encoder), subject.classifier
    part = classifier.encoders_part
    fp32 = source.float32(part)
    int8 = source.int8(part, subject.calibration, fp32)
    engines = {
        precision: _engine(graph_bytes(graph), subject.threads) for precision, graph in (("fp32", fp32), ("int8", int8))
    }
    for precision, engine in engines.items():
        yield Contender("g", "this project", "", precision, _staged(subject, engine))
    if classifier.cascade is not None:
        score = _staged(subject, engines["int8"], classifier.cascade)
        yield Contender("g", "this project", "with the cascade", "int8", score)


def _engine(graph: bytes, threads: int) -> Engine:
    """Open the engine that the scorer computes with."""
    spec = EngineSpec(graph, {}, "cpu", Gpu(), threads, BATCH_TOKENS, Lengths(MAX_LENGTH), 1, own_sessions=True)
    return spec.open(Phases())


_SECTIONS: dict[str, Callable[[Subject, Path], Iterator[Contender]]] = {
    "a": _pytorch_unsorted,
    "b": _transformers,
    "c": _pytorch_sorted,
    "d": _onnxruntime,
    "e": _openvino,
    "f": _ctranslate2,
    "g": _project,
}


def _staged(subject: Subject, engine: Engine, cascade: Cascade | None = None) -> Score:
    by_length = subject.classifier.by_length
    stages = Stages(engine, subject.wide, cascade, calibrate=None if by_length is None else by_length.apply)
    return lambda rows: stages.submit(rows).result().logits


def _torch(subject: Subject) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    model = TorchClassifier(subject)

    def run(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(input_ids), torch.from_numpy(attention_mask)).numpy()

    return run


def _pipeline(subject: Subject) -> Score:
    """Build transformers' own pipeline, which tokenizes by itself; its time includes that.

    Its function scores as many of the subject's texts, from the first, as there are rows.
    """
    encoder, inner = subject.encoder.model, TorchClassifier(subject)

    class ForPipeline(type(encoder)):
        def forward(self, input_ids=None, attention_mask=None, **_):
            return SequenceClassifierOutput(logits=inner(input_ids, attention_mask))

    class Reading(transformers.TextClassificationPipeline):
        def preprocess(self, text, **_):
            ids = self.tokenizer(text, truncation=True)["input_ids"]
            (read,) = subject.read([np.array(ids)])
            return self.tokenizer.pad({"input_ids": [read.tolist()]}, return_tensors="pt")

    config = copy.deepcopy(encoder.config)
    config.num_labels = 1
    pipeline = Reading(model=ForPipeline(config), tokenizer=transformers_tokenizer(subject), device="cpu")

    def score(rows: Rows) -> np.ndarray:
        results = pipeline(list(subject.texts[: len(rows)]), batch_size=32, function_to_apply="none")
        return np.array([[result["score"]] for result in results], dtype=np.float32)

    return score


def transformers_tokenizer(subject: Subject) -> transformers.PreTrainedTokenizerFast:
    """Convert the subject's tokenizer to one of transformers."""
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_buffer(subject.encoder.tokenizer_json),
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=subject.encoder.tokenizer.max_length,
        model_input_names=["input_ids", "attention_mask"],
    )


def _exported(subject: Subject, path: Path) -> Path:
    export_plain(TorchClassifier(subject), path)
    plain = onnx.load(path)
    del plain.graph.value_info[:]  # onnxruntime's quantizer infers them itself and stumbles over these
    onnx.save(plain, path)
    return path


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence converters, which print progress and advice on stdout, where the last line has to be JSON."""
    for name in ("torch.onnx", "nncf", "root", "openvino"):
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
