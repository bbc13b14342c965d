"""The peers of bench/gpu.py, each a function from token rows to logits; prepared one at a time, since memory is shared."""

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from classifier import TorchClassifier
from subject import Subject

from scorer.batches import pad, token_budget
from scorer.defaults import BATCH_TOKENS

Rows = Sequence[np.ndarray]
Score = Callable[[Rows], np.ndarray]

UNSORTED_BATCH = 64


@dataclass(frozen=True)
class Peer:
    """A way to score token rows.

    Attributes:
        name: for people.
        precision: what it computes in.
        prepare: makes the function.
        rows: how many rows a pass has at most: the slow ones need not run as many.
    """

    name: str
    precision: str
    prepare: Callable[[], Score]
    rows: int = 1 << 30


def peers(subject: Subject, folder: Path, device: str, *, compiled: bool) -> Iterator[Peer]:
    """PyTorch in float16 with its own attention (SDPA), compiled too if asked for, and onnxruntime on the plain export.

    "sorted" is sorted by length and cut by padded tokens, with the budget of this project.
    """
    kind = torch.float16 if device == "cuda" else torch.float32
    model = copy.deepcopy(TorchClassifier(subject.encoder.model, subject.head)).to(device, kind)

    def run(module: torch.nn.Module) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        def logits(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                tensors = (
                    torch.from_numpy(array).to(device, non_blocking=True) for array in (input_ids, attention_mask)
                )
                return module(*tensors).float().cpu().numpy()

        return logits

    yield Peer("PyTorch SDPA, sorted", "fp16", lambda: batched(run(model), sorted_batches))
    yield Peer("PyTorch SDPA, unsorted batches of 64", "fp16", lambda: batched(run(model), unsorted), 4096)
    if device == "cuda" and compiled:
        faster = torch.compile(model, dynamic=True)
        yield Peer("PyTorch compiled, sorted", "fp16", lambda: batched(run(faster), sorted_batches), 8192)

    def plain() -> Score:
        session = plain_export(model, folder / "plain.onnx", device)
        feed = ("input_ids", "attention_mask")
        return batched(lambda *padded: session.run(None, dict(zip(feed, padded, strict=True)))[0], sorted_batches)

    yield Peer("onnxruntime, plain export, sorted", "fp16", plain, 4096)


def unsorted(rows: Rows) -> list[list[int]]:
    return [list(range(start, min(start + UNSORTED_BATCH, len(rows)))) for start in range(0, len(rows), UNSORTED_BATCH)]


def sorted_batches(rows: Rows) -> list[list[int]]:
    return token_budget([len(row) for row in rows], BATCH_TOKENS)


def batched(run: Callable[[np.ndarray, np.ndarray], np.ndarray], cut: Callable[[Rows], list[list[int]]]) -> Score:
    def score(rows: Rows) -> np.ndarray:
        logits = np.empty((len(rows), 1), dtype=np.float32)
        for batch in cut(rows):
            logits[batch] = run(*pad([rows[row] for row in batch]))
        return logits

    return score


def plain_export(model: TorchClassifier, path: Path, device: str) -> onnxruntime.InferenceSession:
    """What torch.onnx.export makes of the model, in a session with onnxruntime's own settings."""
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 0, 0]], device=device)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", max=512)}
    torch.onnx.export(
        model,
        (ids, (ids != 0).long()),
        path,
        dynamo=True,
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_shapes=(axes, axes),
        external_data=False,
        verbose=False,
    )
    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    print(f"  {path.name}: {path.stat().st_size / 1e6:.0f} MB", file=sys.stderr)
    return onnxruntime.InferenceSession(path, providers=[provider])
