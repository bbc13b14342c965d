"""A bundle in memory, so that the scorer's own engine can evaluate it before it is published."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx

from export.encoder.load import FrozenEncoder
from export.graph.parity import HalfParity, Parity
from export.graph.weights_file import with_weights_files
from scorer.model.bundle import MANIFEST, TOKENIZER, WIDE_FILE, Bundle, check_graphs
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import WIDE, Manifest


def unpublished(
    folder: Path,
    manifest: Manifest,
    tokenizer_json: bytes,
    graphs: Mapping[str, onnx.ModelProto],
    wide: onnx.ModelProto | None = None,
) -> Bundle:
    """Make a bundle in memory.

    Args:
        folder: folder that it will be published to.
        manifest: manifest whose precisions are those of the graphs.
        tokenizer_json: file of the tokenizer.
        graphs: graphs by precision.
        wide: graph of the wide part; None if it has no graph of its own.
    """
    written, weights_files = with_weights_files(graphs, wide)
    files = {MANIFEST: manifest.to_json(), TOKENIZER: tokenizer_json, **weights_files}
    names = {precision: one.file for precision, one in manifest.precisions.items()} | {WIDE: WIDE_FILE}
    files |= {names[stage]: graph for stage, graph in written.items()}
    return Bundle(folder, "not published yet", manifest, files, check_graphs(folder, manifest, files))


def graph_file(precision: str) -> str:
    """Return the file name of a precision's graph."""
    return f"model.{precision}.onnx"


def providers(precisions: Mapping[str, Any]) -> dict[str, str]:
    """Choose the precision of each provider: CPU prefers int8 to fp32, CUDA prefers fp16 to fp32.

    >>> providers({"fp32": b"", "int8": b""}), providers({"fp16": b""})
    ({'cpu': 'int8', 'cuda': 'fp32'}, {'cuda': 'fp16'})
    """
    orders = {"cpu": ("int8", "fp32"), "cuda": ("fp16", "fp32")}
    found = {provider: [one for one in order if one in precisions] for provider, order in orders.items()}
    return {provider: one[0] for provider, one in found.items() if one}


def encoder_fields(encoder: FrozenEncoder, unfrozen: int) -> dict[str, Any]:
    """Return a manifest's ``encoder``.

    Args:
        encoder: encoder of the bundle.
        unfrozen: number of its blocks that were trained here.
    """
    config = encoder.config
    return {
        "name": encoder.name,
        "revision": encoder.revision,
        "sha256": encoder.sha256,
        "unfrozen": unfrozen,
        "architecture": config.model_type,
        "layers": encoder.layers,
        "hidden": config.hidden_size,
        "heads": getattr(config, "num_attention_heads", None),
        "vocabulary": config.vocab_size,
    }


def parity_fields(parity: Parity, half: HalfParity | None) -> dict[str, Any]:
    """Return a manifest's ``parity``.

    Args:
        parity: distance of fp32 from PyTorch.
        half: distance of fp16 from float32; None without fp16.
    """
    return {
        "difference": parity.difference,
        "tolerance": parity.tolerance,
        "rows": parity.rows,
        "batches": len(parity.shapes),
        **({"texts": asdict(parity.texts)} if parity.texts else {}),
        **({"fp16": _half_fields(half)} if half else {}),
    }


def _half_fields(half: HalfParity) -> dict[str, Any]:
    return {name: value for name, value in asdict(half).items() if name != "what"}  # it follows from the task


def scorer_on_cpu(bundle: Bundle, threads: int | None = None) -> LoadedModel:
    """Return a scorer that gives every text to the encoder, in the bundle's precision for CPU, or else in fp16.

    Args:
        bundle: bundle to score with.
        threads: number of rows scored at a time; None for one per usable core.
    """
    precision = bundle.manifest.providers.get("cpu", "fp16")
    return LoadedModel(bundle, provider="cpu", precision=precision, threads=threads, cascade=False)
