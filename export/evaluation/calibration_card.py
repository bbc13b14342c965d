"""Figures of a calibration by length on test texts, and the model card's tables of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from export.evaluation.evaluate import LENGTHS, Group, Scored, by_group, by_length
from scorer.model.manifest import Manifest

Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]
"""A paragraph, or a table's head and rows."""

_HEAD = ("texts", "accuracy, temperature alone", "by length", "calibration error, temperature alone", "by length")

# Short texts differ most, so their groups are finer than elsewhere.
_EDGES = (8, 16, 32, *LENGTHS)


def calibration_figures(scored: Scored, before: np.ndarray, after: np.ndarray) -> dict[str, list[dict[str, Any]]]:
    """Compute the calibration error of test texts by length and by group, with a temperature alone and by length as well.

    Args:
        scored: test texts, scored by the bundle.
        before, after: probabilities with every text through the encoder, without the calibration by length and with it,
            float64 (texts, labels).
    """
    each = [replace(scored, values=values, stages=None) for values in (before, after)]
    longest = int(scored.lengths.max())
    return {
        "by_length": _compared(*(by_length(one, longest, _EDGES) for one in each)),
        "by_group": _compared(*(by_group(one) for one in each)),
    }


def _compared(before: Sequence[Group], after: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the size, the accuracy and the calibration error of each group before and after."""
    return [
        {
            "name": one.name,
            "texts": one.metrics.texts,
            "before": {name: getattr(one.metrics, name) for name in ("accuracy", "ece")},
            "after": {name: getattr(other.metrics, name) for name in ("accuracy", "ece")},
        }
        for one, other in zip(before, after, strict=True)
    ]


def calibration_parts(manifest: Manifest) -> Iterator[Part]:
    """Yield the model card's paragraph and tables; nothing without a calibration by length.

    Args:
        manifest: complete manifest of the bundle.
    """
    found = manifest.calibration_by_length
    if found is None:
        return
    unread = " A text that the wide part alone decides has the calibration of the cascade." if manifest.cascade else ""
    yield (
        f"Before that, logits are scaled and shifted by the length of the text, which can change its label. The scale is "
        f"{found.scale[0]:.2f} at {found.lengths[0]:g} tokens and {found.scale[-1]:.2f} at {found.lengths[-1]:g}.{unread} Test "
        "texts with every one through the encoder, with the temperature alone and with both:"
    )
    for title, groups in manifest.metrics["calibration_by_length"].items():
        if groups:
            yield (title.removeprefix("by_"), *_HEAD), [_row(one) for one in groups]


def _row(group: Mapping[str, Any]) -> Sequence[str]:
    cells = [f"{group[when][name]:.2%}" for name in ("accuracy", "ece") for when in ("before", "after")]
    return group["name"], f"{group['texts']:,}", *cells
