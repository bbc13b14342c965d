"""Writing a bundle: all files in a new folder, which appears under its name complete or not at all."""

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.classifier.truncation import Cut
from export.classifier.wide import Keys, Wide
from export.errors import ExportError
from export.graph.weights_file import constant
from export.graph.wide import TABLE
from scorer.model.bundle import HEAD, MANIFEST, SUMS, TOKENIZER, Bundle, format_sums
from scorer.model.manifest import Manifest
from scorer.storage.atomic import publish_folder
from scorer.storage.mounts import check_replaceable

_LIBRARIES = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime", "onnxruntime-gpu", "numpy", "review-scorer")

_QUERIES = "attention"  # of that layer: the name of a tensor beside the head's


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Raise `ExportError` or `UsageError` if a bundle cannot be written there, before hours of training."""
    check_replaceable(folder, "--output", "or name a folder within it")
    if folder.exists() and not overwrite:
        raise ExportError(f"{folder} is there already; give --overwrite to replace it, or another --output.")
    if folder.exists() and not (folder / SUMS).is_file():
        raise ExportError(f"{folder} is there already and is no bundle; --overwrite replaces bundles only.")
    if not folder.resolve().parent.is_dir():
        raise ExportError(f"the folder {folder.resolve().parent} is not there; create it first.")
    if not os.access(folder.resolve().parent, os.W_OK | os.X_OK):
        raise ExportError(f"the folder {folder.resolve().parent} is not writable.")


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
        folder: its place; one that is there is replaced.
        manifest: what the bundle says of itself.
        tokenizer_json: the tokenizer's file.
        graphs: the files of the manifest's graphs, and those that they read, by name.
        classifier: whose head is kept beside the graphs, so that another precision can be exported later; the wide part's
            weights are the same in all of them.
        unlisted: the model card and its pictures; never read by the scorer.
    """
    head, own = classifier.head, classifier.queries
    listed = {
        MANIFEST: manifest.to_json(),
        TOKENIZER: tokenizer_json,
        HEAD: safetensors.numpy.save(
            {
                "weight": np.ascontiguousarray(head.weight),
                "bias": head.bias,
                **{f"{_QUERIES}{layer}": np.ascontiguousarray(queries) for layer, queries in own.items()},
            }
        ),
        **graphs,
    }
    publish_folder(folder, {**listed, SUMS: format_sums(listed), **unlisted})


def load_classifier(bundle: Bundle) -> Classifier:
    """What a bundle was trained to, beside its encoder.

    Raises:
        ExportError: the bundle does not say.
    """
    manifest = bundle.manifest
    if HEAD not in bundle.files:
        raise ExportError(f"{bundle.path} has no {HEAD}, so PyTorch cannot compute what it computes.")
    tensors = safetensors.numpy.load(bundle.files[HEAD])
    cut = Cut(manifest.max_length, manifest.head["cut_head"]) if "cut_head" in manifest.head else None
    wide = None
    if "wide_pairs" in manifest.head:
        precision, pairs = next(iter(manifest.precisions)), manifest.head["wide_pairs"]
        weight = constant(bundle.graph(precision), bundle.external(precision), TABLE)[:-1]
        wide = Wide(Keys(len(weight) - pairs, pairs), weight)
    queries = {int(name.removeprefix(_QUERIES)): found for name, found in tensors.items() if name.startswith(_QUERIES)}
    return Classifier(LinearHead(tensors["weight"], tensors["bias"]), manifest.pooling, cut, wide, queries)


def library_versions() -> dict[str, str]:
    """The versions of the libraries that made the bundle."""
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
