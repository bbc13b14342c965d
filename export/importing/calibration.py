"""Temperatures of an imported classifier, from labelled texts: one, or one for each label if a text can get several."""

from collections.abc import Sequence

import numpy as np

from export.classifier.stacking import stack
from export.importing.labels import shown
from scorer.base.messages import print_message

_LEAST_CALIBRATING = 50  # texts; with fewer, a temperature depends more on them than on the model
_LEAST_EACH = 20  # texts with a label, and without it


def temperature_of(logits: np.ndarray, truth: np.ndarray, labels: Sequence[str]) -> float:
    """Fit the temperature of a model that chooses one label; it is 1, with a warning, if the texts are too few or lack one.

    Args:
        logits: logits of the calibrating texts, float32 (texts, logits).
        truth: their label numbers, int64 (texts,).
        labels: label names.
    """
    missing = sorted(set(labels) - {labels[one] for one in truth})
    if len(truth) >= _LEAST_CALIBRATING and not missing:
        return float(stack(logits, None, truth).temperature)
    why = f"lack the label {', '.join(missing)}" if missing else f"are fewer than {_LEAST_CALIBRATING}"
    print_message(
        f"The {len(truth):,} calibrating texts {why}, so the scores are not calibrated: they stay the model's own. Give more "
        "texts with --texts and --most-texts.",
        "warning",
    )
    return 1.0


def temperatures_of(logits: np.ndarray, truth: np.ndarray, labels: Sequence[str]) -> list[float]:
    """Fit a temperature for each label; it is 1, with a warning, for those that too few texts have, or lack.

    Args:
        logits: logits of the calibrating texts, float32 (texts, labels).
        truth: labels that they have, 0 and 1, int64 (texts, labels).
        labels: label names.
    """
    having = truth.sum(axis=0)
    enough = np.minimum(having, len(truth) - having) >= _LEAST_EACH
    if not enough.all():
        few = [label for label, one in zip(labels, enough, strict=True) if not one]
        print_message(
            f"Of the {len(truth):,} calibrating texts, fewer than {_LEAST_EACH} have, or lack, the label"
            f"{'s' if len(few) > 1 else ''} {shown(few)}. The probabilities of such a label are not calibrated: they stay the "
            "pipeline's. Give more texts with --texts and --most-texts.",
            "warning",
        )
    return [
        float(stack(logits[:, [label]], None, truth[:, label]).temperature) if enough[label] else 1.0
        for label in range(len(labels))
    ]
