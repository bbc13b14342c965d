"""The wide part of a bundle: its own graph, or its weights within the other graphs."""

from pathlib import Path

import numpy as np

from scorer.base.errors import BundleError
from scorer.base.messages import silenced
from scorer.base.timing import Phases
from scorer.engine import runtime
from scorer.engine.wide import TABLE, WidePart, WideWeights
from scorer.model.bundle import Bundle
from scorer.model.graph_check import UnfitGraph, initializer
from scorer.model.manifest import WIDE, Manifest
from scorer.model.tokenizer import Tokenizer

# Largest difference between the graph's float32 sums, of some hundred weights, and the exact ones.
_TOLERANCE = 1e-3


def open_wide(bundle: Bundle, threads: int, phases: Phases) -> WidePart | None:
    """Open the wide part; return None if the bundle's graphs include it.

    Raises:
        BundleError: the graph of the wide part cannot be used.
    """
    wide = bundle.manifest.wide
    if wide is None:
        return None
    graph, beside = bundle.files[wide.file], bundle.beside(wide.file)
    try:
        table = initializer(graph, beside, TABLE)
    except UnfitGraph as error:
        raise BundleError(f"{wide.file} cannot be used: {error}") from error
    if table.shape[1:] != (bundle.manifest.logit_count,):
        raise BundleError(
            f"{wide.file} has weights of the shape {table.shape} for {len(bundle.manifest.labels)} labels"
        )
    session = runtime.Session(graph, "cpu", external=beside)
    return WidePart(session, table, wide.pairs, bundle.manifest.tokens_kept, threads, phases)


def weights_within(bundle: Bundle, precision: str, tokenizer: Tokenizer) -> WideWeights | None:
    """Read the weights of a wide part that a bundle's graphs include; they explain scores, and take no part in scoring.

    Args:
        bundle: bundle without a graph of its wide part.
        precision: precision whose graph is read.
        tokenizer: tokenizer of the bundle.

    Returns:
        the weights; None if the bundle has no wide part, or none that fits its tokenizer and labels.
    """
    pairs = bundle.manifest.head.get("wide_pairs")
    if type(pairs) is not int:
        return None
    try:
        found = WideWeights.of(initializer(bundle.graph(precision), bundle.external(precision), TABLE), pairs)
    except (UnfitGraph, BundleError):
        return None
    fits = tokenizer.highest_id < found.keys.pieces and found.table.shape[1] == bundle.manifest.logit_count
    return found if fits else None


def check_wide(path: Path, manifest: Manifest, tokenizer: Tokenizer, wide: WidePart) -> None:
    """Compare the golden rows' sums with the exact ones of the machine that made the bundle, and with the graph's.

    Raises:
        BundleError: the sums differ, or an id of the tokenizer has no weight.
    """
    if tokenizer.highest_id >= wide.weights.keys.pieces:
        raise BundleError(
            f"{path}: the wide part has weights for {wide.weights.keys.pieces} pieces, but the tokenizer's highest id is "
            f"{tokenizer.highest_id}, so graph, manifest and tokenizer do not belong to the same model."
        )
    rows = [row for row in manifest.golden if WIDE in row.logits]
    if not rows:
        raise BundleError(f"{path} has no golden rows for its wide part; export the bundle again.")
    with silenced():
        ids = tokenizer.encode([row.text for row in rows]).ids
    expected, sums, logits = (
        np.array([row.logits[WIDE] for row in rows]),
        wide.sums(ids),
        wide.submit(ids).result(),
    )
    if logits.shape != expected.shape or (sums != expected).any() or not np.abs(logits - sums).max() <= _TOLERANCE:
        raise BundleError(
            f"{path}: the sums of the wide part differ from those of the machine that made the bundle, so its scores "
            "cannot be trusted here."
        )
