"""Writer and reader of a bundle: all files in a new folder, which appears under its name complete or not at all."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from export.bundle.place import check_free
from export.classifier.classifier import Classifier
from export.classifier.head import ACTIVATIONS, Dense, LinearHead
from export.classifier.truncation import Cut, Reading
from export.classifier.wide import Wide
from export.errors import ExportError
from scorer.engine.wide import TABLE, Keys
from scorer.model.bundle import HEAD, MANIFEST, SUMS, TOKENIZER, Bundle, format_sums
from scorer.model.graph_check import UnfitGraph, initializer
from scorer.model.manifest import Manifest
from scorer.model.tokenizer import Tokenizer
from scorer.model.windows import windows_of
from scorer.storage.atomic import cannot_be_written, publish_folder

_LIBRARIES = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime", "onnxruntime-gpu", "numpy", "review-scorer")

_QUERIES = "attention"  # followed by the layer, the name of a tensor beside the head's
_DENSE_WEIGHT, _DENSE_BIAS = "dense.weight", "dense.bias"


def write_bundle(
    folder: Path,
    *,
    manifest: Manifest,
    tokenizer_json: bytes,
    graphs: Mapping[str, bytes],
    classifier: Classifier,
    unlisted: Mapping[str, bytes],
) -> None:
    """Write and publish a bundle.

    Args:
        folder: folder of the bundle; an existing bundle is replaced, and missing parents are made.
        manifest: manifest of the bundle.
        tokenizer_json: file of the tokenizer.
        graphs: files of the manifest's graphs, and those that they read, by name.
        classifier: classifier whose head is kept beside the graphs, so that another precision can be exported later. The
            wide part's weights are the same in all graphs.
        unlisted: model card and its pictures, which the scorer never reads.

    Raises:
        ScorerError: the bundle cannot be written, or something else is in its place by now; see `check_free`.
    """
    listed = {
        MANIFEST: manifest.to_json(),
        TOKENIZER: tokenizer_json,
        HEAD: safetensors.numpy.save(_tensors(classifier)),
        **graphs,
    }
    publish_files(folder, listed, unlisted)


def publish_files(folder: Path, listed: Mapping[str, bytes], unlisted: Mapping[str, bytes]) -> None:
    """Publish the files of a bundle in a new folder; an existing bundle is replaced, and missing parents are made.

    Args:
        folder: folder of the bundle.
        listed: files that SHA256SUMS lists, by name.
        unlisted: model card and its pictures.

    Raises:
        ScorerError: as for `write_bundle`.
    """
    check_free(folder, overwrite=True)  # the first check was hours ago
    try:
        folder.resolve().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_be_written(folder, error) from error
    publish_folder(folder, {**listed, SUMS: format_sums(listed), **unlisted})


def _tensors(classifier: Classifier) -> dict[str, np.ndarray]:
    """Return the tensors of `HEAD`, by name."""
    head, dense = classifier.head, classifier.dense
    found = {"weight": head.weight, "bias": head.bias}
    found |= {f"{_QUERIES}{layer}": queries for layer, queries in classifier.queries.items()}
    if dense is not None:
        found |= {_DENSE_WEIGHT: dense.weight, _DENSE_BIAS: dense.bias}
    return {name: np.ascontiguousarray(tensor) for name, tensor in found.items()}


def head_fields(classifier: Classifier) -> dict[str, Any]:
    """Return a manifest's ``head``, from which `load_classifier` reads whatever is not in `HEAD`."""
    cut, dense, wide = classifier.cut, classifier.dense, classifier.wide
    return {
        "kind": "linear" if wide is None else "linear + wide",
        "logits": len(classifier.head.bias),
        "features": classifier.pooling,
        **({"dense": dense.activation} if dense else {}),
        **({"cut_head": cut.head} if cut else {}),
        **({"wide_pairs": wide.keys.pairs} if wide else {}),
    }


def load_classifier(bundle: Bundle) -> Classifier:
    """Return the classifier of a bundle: everything but its encoder.

    Raises:
        ExportError: a part of the classifier is missing or unusable.
    """
    manifest = bundle.manifest
    if HEAD not in bundle.files:
        raise ExportError(f"{bundle.path} has no {HEAD}, so PyTorch cannot compute its logits. Train the bundle again.")
    tensors = safetensors.numpy.load(bundle.files[HEAD])
    tokenizer = Tokenizer(bundle.files[TOKENIZER], manifest.tokens_kept)
    reading: Reading = windows_of(manifest, tokenizer)
    if "cut_head" in manifest.head:
        reading = Cut(manifest.max_length, manifest.head["cut_head"])
    wide = _load_wide(bundle, tokenizer.highest_id) if "wide_pairs" in manifest.head else None
    queries = {int(name.removeprefix(_QUERIES)): found for name, found in tensors.items() if name.startswith(_QUERIES)}
    head = LinearHead(tensors["weight"], tensors["bias"])
    dense, by_length = _dense(bundle, tensors), manifest.calibration_by_length
    return Classifier(head, manifest.pooling, reading, wide, queries, manifest.cascade, dense, by_length)


def _dense(bundle: Bundle, tensors: Mapping[str, np.ndarray]) -> Dense | None:
    """Return the layer before the head, or None.

    Raises:
        ExportError: its activation is unknown, or its weights are missing.
    """
    activation = bundle.manifest.head.get("dense")
    if activation is None:
        return None
    is_known = isinstance(activation, str) and activation in ACTIVATIONS
    if not is_known or not {_DENSE_WEIGHT, _DENSE_BIAS} <= tensors.keys():
        raise ExportError(
            f"{bundle.path}: {MANIFEST} names a dense layer with the activation {str(activation)[:50]!r}, which is unknown or "
            f"has no weights in {HEAD}. Import the model again."
        )
    return Dense(tensors[_DENSE_WEIGHT], tensors[_DENSE_BIAS], activation)


def _load_wide(bundle: Bundle, highest: int) -> Wide:
    """Return the wide part, from its own graph or from the first one that holds it.

    Args:
        bundle: bundle with a wide part.
        highest: highest id that its tokenizer gives.

    Raises:
        ExportError: its weights are missing, do not fit the manifest, or lack a piece of the tokenizer.
    """
    manifest = bundle.manifest
    own = manifest.wide
    files = [own.file] if own is not None else [one.file for one in manifest.precisions.values()]
    if not files:
        raise ExportError(f"{bundle.path} has no graph. Train the bundle again.")
    try:
        table = initializer(bundle.files[files[0]], bundle.beside(files[0]), TABLE)
    except UnfitGraph as error:
        raise ExportError(
            f"{bundle.path}: the wide part cannot be read from {files[0]}: {error}. Train the bundle again."
        ) from error
    # Keys beyond the table would be read from memory outside it.
    pairs = own.pairs if own is not None else manifest.head["wide_pairs"]
    is_table = table.dtype == np.float16 and table.ndim == 2 and table.shape[1] == manifest.logit_count
    if not is_table or type(pairs) is not int or not 0 < pairs < len(table) - 1:
        raise ExportError(
            f"{bundle.path}: {files[0]} has wide weights of shape {table.shape}, which do not fit {str(pairs)[:50]!r} "
            f"pairs and {len(manifest.labels)} labels in {MANIFEST}. Train the bundle again."
        )
    keys = Keys(len(table) - 1 - pairs, pairs)
    if highest >= keys.pieces:
        raise ExportError(
            f"{bundle.path} has wide weights for {keys.pieces:,} pieces, but the tokenizer's highest id is {highest:,}. "
            "Train the bundle again."
        )
    return Wide(keys, table[:-1])


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that make the bundle."""
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
