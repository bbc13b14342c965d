"""The peers of bench/cpu.py, each a function from token rows to logits, and this project's own engine."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
import nncf
import numpy as np
import onnx
import onnxruntime
import openvino
import tokenizers
import torch
import transformers
from onnxruntime.quantization import QuantType, quantize_dynamic
from plain import Rows, Score, TorchClassifier, batched, export_plain, feed
from subject import Subject
from transformers.modeling_outputs import SequenceClassifierOutput

from export.encoder.weights import encoder_weights
from export.graph.fp32 import to_float32
from export.graph.int8 import to_int8
from scorer.engine.batches import by_length, pad, token_budget
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session

# Padded tokens of a sorted batch: about nine reviews of mean length. All contenders share this figure, tuned for none.
SORTED_TOKENS = 2048


@dataclass(frozen=True)
class Contender:
    """A way to score token rows.

    Attributes:
        key: letter of its section of the table.
        name: name in the table.
        precision: precision that it computes in.
        score: function from token rows to logits.
    """

    key: str
    name: str
    precision: str
    score: Score


def contenders(subject: Subject, folder: Path) -> Iterator[Contender]:
    """Prepare and yield every contender; ``folder`` takes converted models."""
    with _quiet():
        torch.set_num_threads(subject.threads)
        model = TorchClassifier(subject.encoder.model, subject.head)
        yield Contender("a", "PyTorch, unsorted, batches of 64", "fp32", batched(_torch(model)))
        yield Contender("b", "transformers pipeline, batches of 32, tokenizing included", "fp32", _pipeline(subject))
        yield Contender("c", "PyTorch, sorted", "fp32", batched(_torch(model), tokens=SORTED_TOKENS))

        exported = _exported(model, folder / "exported.onnx")
        quantized = folder / "dynamic.onnx"
        quantize_dynamic(exported, quantized, weight_type=QuantType.QInt8)
        for path, precision in ((exported, "fp32"), (quantized, "int8")):
            run = _onnxruntime(path, subject.threads)
            yield Contender("d", "onnxruntime, plain export, unsorted", precision, batched(run))
            yield Contender("d", "onnxruntime, plain export, sorted", precision, batched(run, tokens=SORTED_TOKENS))
            rows = RowEngine(_session(path, 1), subject.threads).logits
            yield Contender("d", "onnxruntime, plain export, a row a run", precision, rows)

        with torch.inference_mode():
            ids = torch.ones((2, 7), dtype=torch.long)
            ir = openvino.convert_model(model, example_input={"input_ids": ids, "attention_mask": ids})
        calibration = nncf.Dataset([feed(pad([row])) for row in subject.calibration])
        static = nncf.quantize(
            ir, calibration, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(subject.calibration)
        )
        for graph, precision, hint in (
            (ir, "fp32", "f32"),
            (ir, "bf16", "bf16"),
            (static, "int8", "f32"),
            (static, "int8", "bf16"),
        ):
            label = f"OpenVINO + NNCF static, rest in {hint}" if precision == "int8" else "OpenVINO"
            yield Contender("e", f"{label}, a row a run", precision, _openvino_rows(graph, hint, subject.threads))
            run = _openvino(graph, hint, subject.threads)
            yield Contender("e", f"{label}, sorted", precision, batched(run, tokens=SORTED_TOKENS))

        for precision, kind in (("fp32", "float32"), ("int8", "int8")):
            yield Contender("f", "CTranslate2, sorted", precision, _ctranslate2(subject, kind, folder))

        weights = encoder_weights(subject.encoder)
        fp32 = to_float32(weights, subject.classifier())
        int8 = to_int8(weights, subject.classifier(), subject.calibration)
        for graph, precision in ((fp32, "fp32"), (int8, "int8")):
            session = open_session(graph.SerializeToString(), "cpu")
            yield Contender("g", "this project", precision, RowEngine(session, subject.threads).logits)


def sorted_batches(rows: Rows) -> list[list[int]]:
    return token_budget([len(row) for row in rows], SORTED_TOKENS)


def _torch(model: TorchClassifier) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def run(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(input_ids), torch.from_numpy(attention_mask)).numpy()

    return run


def _pipeline(subject: Subject) -> Score:
    """Build transformers' own pipeline, which tokenizes by itself; its time includes that."""
    encoder = subject.encoder.model
    inner = TorchClassifier(encoder, subject.head)

    class ForPipeline(type(encoder)):
        def forward(self, input_ids=None, attention_mask=None, **_):
            return SequenceClassifierOutput(logits=inner(input_ids, attention_mask))

    config = copy.deepcopy(encoder.config)
    config.num_labels = 1
    model = ForPipeline(config)
    pipeline = transformers.TextClassificationPipeline(model=model, tokenizer=_tokenizer(subject), device="cpu")

    def score(rows: Rows) -> np.ndarray:
        results = pipeline(list(subject.texts), batch_size=32, truncation=True, function_to_apply="none")
        return np.array([[result["score"]] for result in results], dtype=np.float32)

    return score


def _tokenizer(subject: Subject) -> transformers.PreTrainedTokenizerFast:
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


def _exported(model: TorchClassifier, path: Path) -> Path:
    export_plain(model, path)
    plain = onnx.load(path)
    del plain.graph.value_info[:]  # onnxruntime's quantizer infers them itself and stumbles over these
    onnx.save(plain, path)
    return path


def _onnxruntime(path: Path, threads: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    session = _session(path, threads)
    return lambda *padded: session.run(None, feed(padded))[0]


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _compiled(graph: openvino.Model, hint: str, threads: int, streams: int) -> openvino.CompiledModel:
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "INFERENCE_PRECISION_HINT": hint,
    }
    return openvino.Core().compile_model(graph, "CPU", settings)


def _openvino(graph: openvino.Model, hint: str, threads: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    request = _compiled(graph, hint, threads, 1).create_infer_request()
    return lambda *padded: request.infer(feed(padded))[0].copy()


def _openvino_rows(graph: openvino.Model, hint: str, threads: int) -> Score:
    """Score one row at a time on a stream per thread, longest first: OpenVINO's equivalent of this project's engine."""
    queue = openvino.AsyncInferQueue(_compiled(graph, hint, threads, threads), threads)

    def score(rows: Rows) -> np.ndarray:
        logits = np.empty((len(rows), 1), dtype=np.float32)
        queue.set_callback(lambda request, row: logits.__setitem__(row, request.get_output_tensor(0).data[0]))
        for row in by_length([len(row) for row in rows]):
            queue.start_async(feed(pad([rows[row]])), row)
        queue.wait_all()
        return logits

    return score


def _ctranslate2(subject: Subject, kind: str, folder: Path) -> Score:
    source, converted = folder / "source", folder / f"ctranslate2-{kind}"
    if not source.exists():
        subject.encoder.model.save_pretrained(source)
        _tokenizer(subject).save_pretrained(source)
    ctranslate2.converters.TransformersConverter(str(source)).convert(str(converted), quantization=kind)
    # One worker per core, each with a batch of its own.
    encoder = ctranslate2.Encoder(
        str(converted), device="cpu", compute_type=kind, inter_threads=subject.threads, intra_threads=1
    )
    pool = ThreadPoolExecutor(subject.threads)

    def run(rows: Rows) -> np.ndarray:
        output = encoder.forward_batch([row.tolist() for row in rows])
        return subject.head.logits(np.array(output.last_hidden_state)[:, 0])

    def score(rows: Rows) -> np.ndarray:
        logits = np.empty((len(rows), 1), dtype=np.float32)
        batches = sorted_batches(rows)
        for batch, found in zip(
            batches, pool.map(lambda batch: run([rows[row] for row in batch]), batches), strict=True
        ):
            logits[batch] = found
        return logits

    return score


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence converters, which print progress and advice on stdout, where the last line has to be JSON."""
    for name in ("torch.onnx", "nncf", "root", "openvino"):
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
