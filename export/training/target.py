"""Numbers as training sees them: standardised, so that one setting suits every unit."""

from dataclasses import replace

import numpy as np

from export.errors import ExportError
from export.training.holdout import Divided
from scorer.model.manifest import Unit

_LARGEST = 1e30  # as for a manifest's unit


def standardised(texts: Divided) -> tuple[Divided, Unit]:
    """Standardise numbers by the mean and the deviation of the texts to train on; return their unit as well.

    Args:
        texts: texts whose labels are numbers, float64 (texts, outputs).

    Raises:
        ExportError: all texts to train on have the same number, or numbers are too large.
    """
    values = texts.labels[texts.train_rows]
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = values.mean(axis=0), values.std(axis=0)
    if not (deviation <= _LARGEST).all() or (np.abs(mean) > _LARGEST).any():
        raise ExportError(f"the numbers of the training texts are larger than {_LARGEST:g}; give them in another unit.")
    if not (deviation > 0).all():
        raise ExportError("the numbers of the training texts are all the same, so there is nothing to learn.")
    unit = Unit(tuple(deviation.tolist()), tuple(mean.tolist()))
    return replace(texts, labels=(texts.labels - mean) / deviation), unit
