"""The peers of bench/gpu.py, each a function from token rows to logits; prepared one by one, as they share memory."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from plain import Score, TorchClassifier, batched, export_plain, feed
from report import print_message
from subject import Subject

from scorer.engine.gpu import BATCH_TOKENS


@dataclass(frozen=True)
class Peer:
    """A way to score token rows.

    Attributes:
        name: name in the report.
        precision: precision that it computes in.
        prepare: function that makes the scoring function.
        rows: largest number of rows in a pass, smaller for slow peers.
    """

    name: str
    precision: str
    prepare: Callable[[], Score]
    rows: int = 1 << 30


def peers(subject: Subject, folder: Path, device: str, *, compiled: bool) -> Iterator[Peer]:
    """Yield PyTorch in float16 with its own attention (SDPA), optionally compiled, and onnxruntime on the plain export.

    "sorted" means sorted by length and cut into batches by this project's budget of padded tokens.
    """
    kind = torch.float16 if device == "cuda" else torch.float32
    model = copy.deepcopy(TorchClassifier(subject)).to(device, kind)

    def run(module: torch.nn.Module) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        def logits(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                tensors = (
                    torch.from_numpy(array).to(device, non_blocking=True) for array in (input_ids, attention_mask)
                )
                return module(*tensors).float().cpu().numpy()

        return logits

    yield Peer("PyTorch SDPA, sorted", "fp16", lambda: batched(run(model), tokens=BATCH_TOKENS))
    yield Peer("PyTorch SDPA, unsorted batches of 64", "fp16", lambda: batched(run(model)), 4096)
    if device == "cuda" and compiled:
        faster = torch.compile(model, dynamic=True)
        yield Peer("PyTorch compiled, sorted", "fp16", lambda: batched(run(faster), tokens=BATCH_TOKENS), 8192)

    def plain() -> Score:
        path = folder / "plain.onnx"
        export_plain(model, path, device)
        print_message(f"  {path.name}: {path.stat().st_size / 1e6:.0f} MB")
        provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
        session = onnxruntime.InferenceSession(path, providers=[provider])
        return batched(lambda *padded: session.run(None, feed(padded))[0], tokens=BATCH_TOKENS)

    yield Peer("onnxruntime, plain export, sorted", "fp16", plain, 4096)
