"""Figures of a calibration by length on test texts, and the model card's tables of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from export.evaluation.evaluate import LENGTHS, Group, Scored, by_domain, by_group, by_length
from scorer.model.manifest import Manifest

Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]
"""A paragraph, or a table's head and rows."""

_HEAD = (
    "texts", "accuracy, temperature alone", "by length", "calibration error, temperature alone", "by length", "by chance",
)  # fmt: skip
_DRAWS = 20  # of labels, whose mean error varies by some 7% of itself then

# Short texts differ most, so their groups are finer than elsewhere.
_EDGES = (8, 16, 32, *LENGTHS)


def calibration_figures(scored: Scored, before: np.ndarray, after: np.ndarray) -> dict[str, list[dict[str, Any]]]:
    """Compute the calibration error of test texts by length, domain and group, with a temperature alone and by length as well.

    Args:
        scored: test texts, scored by the bundle.
        before, after: probabilities with every text through the encoder, without the calibration by length and with it,
            float64 (texts, labels).
    """
    plain, calibrated = (replace(scored, values=values, stages=None) for values in (before, after))
    longest = int(scored.lengths.max())
    kinds = {
        "by_length": lambda one: by_length(one, longest, _EDGES),
        "by_domain": by_domain,
        "by_group": by_group,
    }
    found = {}
    for title, groups_of in kinds.items():
        drawn = [groups_of(one) for one in _with_drawn_labels(calibrated)]
        groups = zip(groups_of(plain), groups_of(calibrated), *drawn, strict=True)
        found[title] = [_compared(*one) for one in groups]
    return found


def _with_drawn_labels(scored: Scored) -> list[Scored]:
    """Return the texts with labels drawn from their own probabilities, as those of a perfectly calibrated model are."""
    ends, random = scored.values.cumsum(axis=1), np.random.default_rng(0)
    ends[:, -1] = 1.0  # without a rounding error
    draws = random.random((_DRAWS, len(ends), 1))
    return [replace(scored, split=replace(scored.split, labels=(ends > one).argmax(axis=1))) for one in draws]


def _compared(before: Group, after: Group, *drawn: Group) -> dict[str, Any]:
    """Return the size, the accuracy and the calibration error of a group before and after.

    A few texts are never right exactly as often as they should be, so the error of drawn labels is what chance gives.
    """
    return {
        "name": before.name,
        "texts": before.metrics.texts,
        "before": _figures(before),
        "after": _figures(after),
        "chance": float(np.mean([_figures(one)["ece"] for one in drawn])),
    }


def _figures(group: Group) -> dict[str, float]:
    found = asdict(group.metrics)
    return {name: found[name] for name in ("accuracy", "ece")}


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
        "texts with every one through the encoder, with the temperature alone and with both. By chance, a perfectly calibrated "
        "model would have the error in the last column on so many texts:"
    )
    for title, groups in manifest.metrics["calibration_by_length"].items():
        if groups:
            yield (title.removeprefix("by_"), *_HEAD), [_row(one) for one in groups]


def _row(group: Mapping[str, Any]) -> Sequence[str]:
    cells = [f"{group[when][name]:.2%}" for name in ("accuracy", "ece") for when in ("before", "after")]
    return group["name"], f"{group['texts']:,}", *cells, f"{group['chance']:.2%}"
