"""The check of `score-model parity`: an existing bundle against the PyTorch encoder that it was made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.bundle.bundle import load_classifier
from export.classifier.agreement import (
    LEAST_AGREEMENT,
    TOLERANCE,
    agreement,
    agreement_words,
    is_too_low,
)
from export.encoder.load import FrozenEncoder
from export.errors import ExportError, ParityError
from export.graph.parity import Parity, compare, compare_wide, edge_rows, longest_row, torch_logits
from scorer.engine.batches import pad
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session
from scorer.engine.stages import Whole
from scorer.model.bundle import TOKENIZER, Bundle
from scorer.model.interpretation import interpretation_of
from scorer.model.manifest import Manifest
from scorer.model.tokenizer import Tokenizer

_LARGEST_TOLERANCE = 1e-2  # of a file that somebody may have changed


@dataclass(frozen=True)
class Agreement:
    """Agreement of a precision's logits, computed one row at a time, with PyTorch's.

    Attributes:
        precision: name of the precision.
        difference: largest absolute difference of a logit.
        mean: mean absolute difference of a logit.
        labels: agreement of the answers, see `export.classifier.agreement.agreement_of_values`.
    """

    precision: str
    difference: float
    mean: float
    labels: float


def check_bundle(
    bundle: Bundle, encoder: FrozenEncoder, texts: Sequence[str], threads: int
) -> tuple[Parity | None, list[Agreement]]:
    """Compare every precision with PyTorch, one row at a time; fp32 in padded batches as well.

    If the bundle reads in windows, these are the rows of the batches, and texts at their boundaries are compared too.

    Raises:
        ParityError: fp32 differs by more than its tolerance, or a precision agrees too rarely, see `is_too_low`.
        ExportError: the encoder is not the bundle's.
    """
    if encoder.sha256 != bundle.manifest.encoder.get("sha256"):
        where = " (the folder that --save-encoder wrote, because its blocks were trained)"
        raise ExportError(
            f"{encoder.name} is not the encoder that {bundle.path} was made with (the sha256 of its weights differs). "
            f"Give the right one with --encoder{where if bundle.manifest.encoder.get('unfrozen') else ''}."
        )
    classifier, manifest = load_classifier(bundle), bundle.manifest
    tokenizer = Tokenizer(bundle.files[TOKENIZER], manifest.tokens_kept)
    rows = tokenizer.encode(texts).ids
    sessions = {
        name: open_session(bundle.graph(name), "cpu", external=bundle.external(name))
        for name in sorted(bundle.manifest.precisions)
    }
    parity, tolerance = None, _tolerance(manifest)
    windows, longest = classifier.windows, longest_row(encoder, classifier, tokenizer.max_length)
    if "fp32" in sessions:
        edges = [] if windows is None else edge_rows(windows, tokenizer, texts)
        parity = compare(
            sessions["fp32"],
            encoder,
            classifier,
            rows,
            longest=longest,
            tolerance=tolerance,
            edges=edges,
            threads=threads,
        )
    side: np.ndarray | np.float32 = np.float32(0)
    if manifest.wide is not None and classifier.wide_apart is not None:
        graph = open_session(bundle.files[manifest.wide.file], "cpu", external=bundle.beside(manifest.wide.file))
        compare_wide(graph, classifier.wide_apart, rows, longest=max(longest, tokenizer.max_length))
        side = RowEngine(graph, threads).logits(rows)
    expected = np.concatenate([torch_logits(encoder, classifier, *pad([row])) for row in rows])
    interpretation, found = interpretation_of(manifest), []
    for precision, session in sessions.items():
        logits = Whole(RowEngine(session, threads), windows=windows).logits(rows) + side
        distance = np.abs(logits - expected)
        same = agreement(interpretation, *(classifier.calibrated(each, rows) for each in (logits, expected)))
        found.append(Agreement(precision, float(distance.max()), float(distance.mean()), same))
        if precision == "fp32" and not distance.max() <= tolerance:
            raise ParityError(
                f"fp32 differs from PyTorch by {distance.max():.2g} in a logit; at most {tolerance:.1g} is allowed."
            )
        if is_too_low(same, len(rows), manifest.task):
            gives = agreement_words(manifest.task, f"only {same:.2%}", f"{len(rows)} texts")
            raise ParityError(
                f"{precision} gives {gives}; at least {LEAST_AGREEMENT:.0%} is needed, and chance does not explain the "
                "difference."
            )
    return parity, found


def _tolerance(manifest: Manifest) -> float:
    """Return the largest difference of an fp32 logit that is allowed; an imported model may have much larger logits."""
    found = manifest.parity.get("tolerance") if manifest.source is not None else None
    return found if isinstance(found, float) and TOLERANCE <= found <= _LARGEST_TOLERANCE else TOLERANCE
