"""The device that PyTorch computes features and trains blocks on, and an encoder there."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from export.encoder.load import FrozenEncoder
from export.encoder.pooling import pool
from export.encoder.vectors import Queries, Vector
from scorer.base.errors import OutOfMemory, UsageError
from scorer.engine.batches import pad

CPU = torch.device("cpu")

# Padded tokens of a batch. A base model then needs some 3 GB: 14 tensors of 16,384 x 768 numbers, and those of a block.
_TOKENS = 16_384


def device_of(name: str) -> torch.device:
    """Return the device of --device; ``auto`` is a GPU with CUDA if PyTorch can use one, and else the CPU.

    Raises:
        UsageError: PyTorch cannot use the device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        if torch.version.cuda is None:
            raise UsageError(
                f"--device cuda needs a build of PyTorch with CUDA, and PyTorch {torch.__version__} has none. docs/OWN-MODEL.md "
                "describes how to install one; --device cpu trains without."
            )
        raise UsageError(
            f"--device cuda: PyTorch {torch.__version__} finds no GPU. Check `nvidia-smi` and CUDA_VISIBLE_DEVICES, or give "
            "--device cpu."
        )
    if name == "mps" and not torch.backends.mps.is_available():
        raise UsageError(
            "--device mps: PyTorch finds no GPU of Apple here. It needs macOS on Apple silicon; give --device cpu."
        )
    return torch.device(name)


@contextmanager
def memory_of(device: torch.device, advice: str) -> Iterator[None]:
    """Turn a lack of the device's memory into an error that names what to set.

    Args:
        device: device that computes.
        advice: what to give instead, as a noun phrase.

    Raises:
        OutOfMemory: the device has too little memory.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            f"out of memory on the device {device.type}: give {advice}, or --device cpu. What was computed is kept, so that "
            "the same command resumes."
        ) from error


class DeviceEngine:
    """An encoder on a device, for features or hidden states; the counterpart of `feature_engine` for the CPU.

    Args:
        encoder: encoder to copy to the device.
        device: device that computes.
    """

    def __init__(self, encoder: FrozenEncoder, device: torch.device) -> None:
        self._device = device
        with memory_of(device, "a smaller --encoder"):
            self._model = copy.deepcopy(encoder.model).to(device)

    def features(self, rows: Sequence[np.ndarray], wanted: Sequence[Vector], queries: Queries) -> np.ndarray:
        """Compute vectors of token rows, float32 (rows, vectors, hidden), in the order of ``wanted``."""
        own = {layer: torch.from_numpy(some).to(self._device) for layer, some in queries.items()}
        return np.concatenate([self._features(batch, wanted, own) for batch in _batches(rows)])

    def hidden(self, rows: Sequence[np.ndarray], layer: int) -> np.ndarray:
        """Compute the output of a layer for every token of rows, end to end, float32 (tokens, hidden)."""
        found = []
        for batch in _batches(rows):
            layers, mask = self._layers(batch)
            found.append(layers[layer - 1][mask == 1].cpu().numpy())
        return np.concatenate(found)

    def _features(
        self, rows: Sequence[np.ndarray], wanted: Sequence[Vector], queries: Mapping[int, torch.Tensor]
    ) -> np.ndarray:
        layers, mask = self._layers(rows)
        hidden = layers[0].shape[-1]
        found = [
            pool(layers[layer - 1], mask, kind, queries.get(layer)).reshape(len(rows), -1, hidden)
            for kind, layer in wanted
        ]
        return torch.cat(found, dim=1).cpu().numpy()

    def _layers(self, rows: Sequence[np.ndarray]) -> tuple[Sequence[torch.Tensor], torch.Tensor]:
        """Return the outputs of all layers, (rows, sequence, hidden) each, and the mask, (rows, sequence)."""
        ids, mask = (torch.from_numpy(one).to(self._device) for one in pad(rows))
        with torch.inference_mode(), memory_of(self._device, "a smaller --max-length"):
            found = self._model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        # The last hidden state may be normalised once more than the last layer's output.
        return (*found.hidden_states[1:-1], found.last_hidden_state), mask


def _batches(rows: Sequence[np.ndarray]) -> Iterator[Sequence[np.ndarray]]:
    """Cut rows into batches of at most `_TOKENS` padded tokens, at least one row each.

    >>> [len(batch) for batch in _batches([np.zeros(9_000), np.zeros(8_000), np.zeros(10), np.zeros(9_000)])]
    [1, 2, 1]
    """
    begin = longest = 0
    for number, row in enumerate(rows):
        longest = max(longest, len(row))
        if number > begin and longest * (number + 1 - begin) > _TOKENS:
            yield rows[begin:number]
            begin, longest = number, len(row)
    yield rows[begin:]
