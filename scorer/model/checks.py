"""Checks of a bundle while it is loaded: its memory, its golden rows, the longest row that it promises."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scorer.base.errors import BundleError, OutOfMemory, ScorerError, UsageError
from scorer.base.messages import silenced
from scorer.base.shortage import memory_left, out_of_memory, shortage
from scorer.engine import memory_limit
from scorer.engine.protocols import Computing
from scorer.engine.spec import EngineSpec
from scorer.model.choice import Choice
from scorer.model.manifest import Manifest
from scorer.model.tokenizer import Tokenizer

# Memory to load a model, in bytes: to parse, optimize and lay out its graph, and to compute the golden rows.
_LOADING_BYTES = 1 << 30
_LOADING_TIMES = 8
_LOADING_BYTES_A_CORE = 32 << 20
# With less than this, libraries that run out of memory abort the process instead of raising an error.
_LEAST_LOADING_BYTES = 64 << 20
_LEAST_LOADING_TIMES = 3
_STACK_BYTES = 16 << 20
# Address space that the two threads of a core, one to tokenize and one to compute, reserve for heaps if they can.
_HEAP_BYTES = 256 << 20
# Memory on a GPU beside the weights, in bytes: buffers, and a single text.
_LEAST_ON_GPU = 128_000_000


@contextlib.contextmanager
def loading(path: Path, precision: str, spec: EngineSpec) -> Iterator[None]:
    """Name the bundle in errors while it is loaded and checked, and limit its memory to what its size needs.

    The limit is for the CPU only; a GPU's driver reserves address space as it likes.

    Args:
        path: folder of the bundle.
        precision: precision of the graph.
        spec: spec of the engine that is opened in the meantime.
    """
    least = _LEAST_LOADING_BYTES + _LEAST_LOADING_TIMES * spec.size + _STACK_BYTES * spec.cores
    left = memory_left() if spec.provider == "cpu" else None
    if left is not None and left < least:
        raise out_of_memory(
            f"loading {precision} of {path} takes at least {least / 1e6:.0f} MB, and {left / 1e6:.0f} MB are left"
        )
    if left is not None and left < least + _HEAP_BYTES * spec.cores:
        memory_limit.share_heap()
    more = _LOADING_BYTES + _LOADING_TIMES * spec.size + _LOADING_BYTES_A_CORE * spec.cores
    try:
        with memory_limit.limited(more) if spec.provider == "cpu" else contextlib.nullcontext():
            yield
    except (OutOfMemory, MemoryError) as error:
        if spec.provider != "cpu":
            raise
        if left is not None and left < more:  # the process's own limit was hit, not ours
            raise out_of_memory(f"{precision} of {path} cannot be loaded") from error
        raise BundleError(
            f"{path} is refused: {precision} needs more than {more / 1e9:.1f} GB to be loaded, or this machine "
            "has less memory than that."
        ) from error
    except BundleError as error:
        if str(path) in str(error):
            raise
        raise BundleError(f"{path} is refused: {error}") from error
    except ScorerError:
        raise
    except Exception as error:  # from a library, or from onnxruntime on a GPU for another reason than the GPU
        raise shortage(error) or BundleError(f"{path} is refused: {error}") from error


def check_gpu_limit(spec: EngineSpec) -> None:
    """Raise `UsageError` if the limit is too small for the weights: onnxruntime would then ignore it."""
    least, limit = _LEAST_ON_GPU + 2 * spec.size, spec.gpu.mem_limit  # int8 becomes float16
    if spec.provider == "cuda" and limit is not None and limit < least:
        raise UsageError(f"--gpu-mem-limit is too small for this model: set at least {-(-least // 1_000_000)} MB.")


def check_largest_row(tokenizer: Tokenizer, engine: Computing) -> None:
    """Check that the graph accepts as many tokens as the manifest states, and every id that the tokenizer may give.

    Otherwise a run would fail at the first long review, or at the first rare word.
    """
    try:
        logits = engine.logits([np.full(tokenizer.max_length, tokenizer.highest_id)])
    except BundleError as error:
        raise BundleError(
            f"the graph cannot compute {tokenizer.max_length} tokens with id {tokenizer.highest_id} (the "
            f"tokenizer's highest), so graph, manifest and tokenizer do not belong to the same model: {error}"
        ) from error
    if np.isnan(logits).any():
        raise OutOfMemory(f"the device does not have enough memory for a single text of {tokenizer.max_length} tokens.")


def check_golden_rows(path: Path, manifest: Manifest, choice: Choice, tokenizer: Tokenizer, engine: Computing) -> float:
    """Score the golden rows, and return the largest difference of a logit from the machine that made the bundle.

    Raises:
        BundleError: the difference is larger than the precision's tolerance.
    """
    rows = [row for row in manifest.golden if choice.precision in row.logits]
    if not rows:
        raise BundleError(f"{path} has no golden rows for {choice.precision}; export the bundle again.")
    expected = np.array([row.logits[choice.precision] for row in rows])
    with silenced():
        ids = tokenizer.encode([row.text for row in rows]).ids
    found = engine.logits(ids)
    if found.shape != expected.shape:
        raise BundleError(
            f"{path}: the graph gives {found.shape[1]} logits, but the manifest states {expected.shape[1]}."
        )
    difference = float(np.abs(found - expected).max())
    tolerance = manifest.precisions[choice.precision].tolerance
    if not difference <= tolerance:
        others = [one for one in ("fp32", "int8", "fp16") if one in manifest.precisions and one != choice.precision]
        raise BundleError(
            f"{path}: {choice.precision} on {choice.provider} gives logits up to {difference:.4f} away from those of the "
            f"machine that made the bundle (tolerance {tolerance}), so its scores cannot be trusted here."
            + (f" Try --precision {others[0]}." if others else " Export the bundle again with another precision.")
        )
    return difference
