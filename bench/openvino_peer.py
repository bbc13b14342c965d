"""OpenVINO as a contender of bench/cpu.py, in float32, in bfloat16, and quantized by NNCF."""

from collections.abc import Callable, Iterator

import nncf
import numpy as np
import openvino
import torch
from plain import SORTED_TOKENS, Contender, Rows, Score, TorchClassifier, batched, feed
from subject import Subject

from scorer.engine.batches import by_length, pad


def openvino_contenders(subject: Subject) -> Iterator[Contender]:
    """Yield OpenVINO with a row a run and with sorted batches, in each precision."""
    with torch.inference_mode():
        ids = torch.ones((2, 7), dtype=torch.long)
        example = {"input_ids": ids, "attention_mask": ids}
        graph = openvino.convert_model(TorchClassifier(subject), example_input=example)
    rows = subject.read(subject.calibration)
    calibration = nncf.Dataset([feed(pad([row])) for row in rows])
    static = nncf.quantize(graph, calibration, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows))
    for one, precision, hint in (
        (graph, "fp32", "f32"),
        (graph, "bf16", "bf16"),
        (static, "int8", "f32"),
        (static, "int8", "bf16"),
    ):
        engine, rest = ("OpenVINO + NNCF static", f"rest in {hint}, ") if precision == "int8" else ("OpenVINO", "")
        shared = f"{engine}, {rest}{precision}"
        score = _row_by_row(one, hint, subject.threads)
        yield Contender("e", engine, f"{rest}a row a run", precision, score, shared)
        score = batched(_in_batches(one, hint, subject.threads), tokens=SORTED_TOKENS)
        yield Contender("e", engine, f"{rest}sorted", precision, score, shared)


def _compiled(graph: openvino.Model, hint: str, threads: int, streams: int) -> openvino.CompiledModel:
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "INFERENCE_PRECISION_HINT": hint,
    }
    return openvino.Core().compile_model(graph, "CPU", settings)


def _in_batches(graph: openvino.Model, hint: str, threads: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    request = _compiled(graph, hint, threads, 1).create_infer_request()
    return lambda *padded: request.infer(feed(padded))[0].copy()


def _row_by_row(graph: openvino.Model, hint: str, threads: int) -> Score:
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
