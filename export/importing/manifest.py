"""The manifest of an imported classifier."""

from typing import Any

import numpy as np

from export.bundle.assemble import encoder_fields, graph_file, parity_fields, providers
from export.bundle.bundle import head_fields, library_versions
from export.bundle.golden import golden_rows, tolerances_of
from export.importing.checkpoint import Checkpoint
from export.importing.graphs import Graphs
from export.importing.settings import ImportSettings
from export.importing.texts import Texts
from scorer.model.manifest import Manifest, Precision

KIND = "imported"
"""``kind`` of a manifest's ``source``."""


def manifest_of(checkpoint: Checkpoint, texts: Texts, graphs: Graphs, settings: ImportSettings) -> Manifest:
    """Return the manifest of a bundle whose texts are not scored yet."""
    encoder, classifier, labels = checkpoint.encoder, checkpoint.classifier, checkpoint.labels
    golden = golden_rows(graphs.by_precision, encoder.tokenizer, classifier)
    tolerances = tolerances_of(golden, encoder.tokenizer, classifier)
    return Manifest(
        name=settings.name,
        labels=labels.names,
        positive_label=None if labels.positive is None else labels.names[1],
        max_length=checkpoint.max_length,
        max_tokens=None if classifier.reading is None else encoder.tokenizer.max_length,
        truncation=checkpoint.truncation,
        pooling=classifier.pooling,
        precisions={one: Precision(graph_file(one), tolerances[one]) for one in graphs.by_precision},
        providers=providers(graphs.by_precision),
        golden=golden,
        encoder=encoder_fields(encoder, unfrozen=0),
        head=head_fields(classifier),
        metrics={**_texts(texts), **_windows(checkpoint, texts)},
        parity=parity_fields(graphs.parity, graphs.half),
        versions=library_versions(),
        source=_source(checkpoint, graphs),
        task=labels.task,
        unit=checkpoint.unit,
        windows=checkpoint.windows,
    )


def _source(checkpoint: Checkpoint, graphs: Graphs) -> dict[str, Any]:
    return {
        "kind": KIND,
        "format": "state dict" if checkpoint.model is None else "checkpoint",
        "checkpoint": checkpoint.encoder.name,
        "revision": checkpoint.encoder.revision,
        "sha256": checkpoint.sha256,
        "model": checkpoint.kind,
        "labels": list(checkpoint.labels.by_id),
        "graph": graphs.kind,
        "certificate": {one: certificate.fields() for one, certificate in graphs.certificates.items()},
        "left_out": graphs.left_out,
        "remarks": list(checkpoint.remarks),
    }


def _texts(texts: Texts) -> dict[str, Any]:
    """Return the numbers of texts; 0 for an import without texts."""
    return {
        "texts": len(texts.texts) if texts.of else 0,
        "texts_of": texts.of,
        "calibrating_texts": len(texts.calibrating) if texts.of else 0,
        "judging_texts": len(texts.judging) if texts.of else 0,
        "labelled": texts.labels is not None,
    }


def _windows(checkpoint: Checkpoint, texts: Texts) -> dict[str, float]:
    """Return the shares of texts that have several windows, and more tokens than windows cover; empty without windows."""
    windows = checkpoint.classifier.windows
    if windows is None or not texts.of:
        return {}
    return {
        "several_windows": float(np.mean([len(ids) > windows.length for ids in texts.ids])),
        "truncated": float(texts.truncated.mean()),
    }
