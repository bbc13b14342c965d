"""`score-model parity`: a bundle that is there, against the PyTorch encoder it was made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import safetensors.numpy
import scipy.stats

from export.encoder import FrozenEncoder
from export.errors import ExportError, ParityError
from export.head import LinearHead, predict
from export.parity import TOLERANCE, Parity, compare, torch_logits
from export.train import LEAST_AGREEMENT
from scorer.batches import pad
from scorer.bundle import HEAD, TOKENIZER, Bundle
from scorer.engine import RowEngine
from scorer.runtime import open_session
from scorer.tokens import Tokenizer


@dataclass(frozen=True)
class Agreement:
    """A precision's logits, a row a run, against PyTorch's.

    Attributes:
        precision: of the bundle.
        difference: the biggest absolute difference of a logit.
        mean: the mean absolute difference.
        labels: share of texts that get the same label.
    """

    precision: str
    difference: float
    mean: float
    labels: float


def is_too_low(share: float, rows: int) -> bool:
    """Whether so few equal labels would come from a precision that keeps `LEAST_AGREEMENT` once in 1,000 times at most.

    A sample of 60 texts says little: one label that differs is 1.7% of them already. One-sided binomial test.

    >>> is_too_low(59 / 60, 60), is_too_low(54 / 60, 60), is_too_low(0.987, 25_000)
    (False, True, True)
    """
    differing = round((1 - share) * rows)
    return bool(scipy.stats.binom.sf(differing - 1, rows, 1 - LEAST_AGREEMENT) < 0.001)


def load_head(bundle: Bundle) -> LinearHead:
    """The trained head that a bundle keeps."""
    if HEAD not in bundle.files:
        raise ExportError(f"{bundle.path} has no {HEAD}, so PyTorch cannot compute what it computes.")
    tensors = safetensors.numpy.load(bundle.files[HEAD])
    return LinearHead(tensors["weight"], tensors["bias"])


def check_bundle(
    bundle: Bundle, encoder: FrozenEncoder, texts: Sequence[str], threads: int
) -> tuple[Parity | None, list[Agreement]]:
    """Compare every precision with PyTorch: fp32 in padded batches and a row a run, the others a row a run.

    Raises:
        ParityError: fp32 differs by more than `TOLERANCE`, or a precision agrees on too few labels, see `is_too_low`.
        ExportError: this is another encoder than the bundle's.
    """
    if encoder.sha256 != bundle.manifest.encoder.get("sha256"):
        raise ExportError(
            f"{encoder.name} is not the encoder that {bundle.path} was made with (its weights' sha256 differ). Name the right one with --encoder."
        )
    head, pooling = load_head(bundle), bundle.manifest.pooling
    rows = Tokenizer(bundle.files[TOKENIZER], bundle.manifest.max_length).encode(texts).ids
    sessions = {
        name: open_session(bundle.graph(name), "cpu", external=bundle.external(name))
        for name in sorted(bundle.manifest.precisions)
    }
    parity = None
    if "fp32" in sessions:
        parity = compare(sessions["fp32"], encoder, head, pooling, rows, most_positions=encoder.positions)
    expected = np.concatenate([torch_logits(encoder, head, pooling, *pad([row])) for row in rows])
    found = []
    for precision, session in sessions.items():
        logits = RowEngine(session, threads).logits(rows)
        distance = np.abs(logits - expected)
        same = float(np.mean(predict(logits) == predict(expected)))
        found.append(Agreement(precision, float(distance.max()), float(distance.mean()), same))
        if precision == "fp32" and not distance.max() <= TOLERANCE:
            raise ParityError(
                f"fp32 differs from PyTorch by {distance.max():.2g} in a logit; {TOLERANCE:.0e} is allowed."
            )
        if is_too_low(same, len(rows)):
            raise ParityError(
                f"{precision} gives the label of PyTorch for {same:.2%} of {len(rows)} texts; "
                f"that is less than {LEAST_AGREEMENT:.0%}, and not by chance."
            )
    return parity, found
