"""Conversion of a bundle without a cascade to one with it: a wide part within the graphs becomes a graph of its own."""

from dataclasses import replace
from pathlib import Path

import onnx

from export.classifier.wide import Wide
from export.errors import ExportError
from export.graph.split import without_wide
from export.graph.wide import wide_graph
from scorer.engine.cascade import Cascade
from scorer.engine.wide import TABLE
from scorer.model.bundle import TOKENIZER, WIDE_FILE, Bundle, check_graphs
from scorer.model.manifest import WIDE, GoldenRow, Manifest, WideGraph
from scorer.model.tokenizer import Tokenizer


def with_wide_apart(bundle: Bundle, wide: Wide, cascade: Cascade, path: Path) -> Bundle:
    """Return the bundle in memory with a cascade; each weight stays where it is in the files.

    Its reference is dropped, because the test texts have other scores now.

    Args:
        bundle: bundle whose graphs hold the wide part, or that has a graph for it.
        wide: its wide part.
        cascade: its cascade.
        path: folder that it will be written to.

    Raises:
        ExportError: a graph does not hold the wide part as this program writes it.
    """
    before = bundle.manifest
    files = dict(bundle.files)
    if before.wide is not None:  # as in every bundle that reads in windows
        manifest = replace(before, cascade=cascade, reference=None)
        return Bundle(path, "not published yet", manifest, files, check_graphs(path, manifest, files))
    graphs = {one.file: onnx.load_from_string(files[one.file]) for one in before.precisions.values()}
    apart = wide_graph(wide)
    files |= {name: without_wide(graph).SerializeToString() for name, graph in graphs.items()}
    file, graph = next(iter(graphs.items()))
    table, where = _table(apart, WIDE_FILE), _table(graph, file)
    table.CopyFrom(where)
    files[WIDE_FILE] = apart.SerializeToString()
    manifest = replace(
        before,
        golden=_golden(bundle, wide),
        wide=WideGraph(WIDE_FILE, wide.keys.pairs),
        cascade=cascade,
        reference=None,
    )
    return Bundle(path, "not published yet", manifest, files, check_graphs(path, manifest, files))


def _table(graph: onnx.ModelProto, file: str) -> onnx.TensorProto:
    """Return the tensor of a graph's wide weights, which may lie in another file.

    Raises:
        ExportError: the tensor is missing.
    """
    for tensor in graph.graph.initializer:
        if tensor.name == TABLE:
            return tensor
    raise ExportError(f"{file} has no tensor {TABLE!r}, the weights of its wide part. Train the bundle again.")


def _golden(bundle: Bundle, wide: Wide) -> tuple[GoldenRow, ...]:
    """Return the golden rows with the wide part's exact sums beside the logits."""
    manifest: Manifest = bundle.manifest
    ids = Tokenizer(bundle.files[TOKENIZER], manifest.tokens_kept).encode([row.text for row in manifest.golden]).ids
    return tuple(
        GoldenRow(row.text, {**row.logits, WIDE: tuple(sums)})
        for row, sums in zip(manifest.golden, wide.sums(ids).tolist(), strict=True)
    )
