"""Unit of an imported regression: its graph computes numbers near a mean of 0 and a deviation of 1, as that of a training does.

So the tolerances of all gates, of golden rows and of float16 hold for values of any size.
"""

from dataclasses import replace

import numpy as np

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from scorer.model.manifest import Unit


def unit_of(values: np.ndarray) -> Unit:
    """Return the unit of a regression's outputs.

    The scale is the power of two that is nearest to the standard deviation, by which weights are divided without an error.
    The offset is the multiple of the scale that is nearest to the mean.

    Args:
        values: values of PyTorch's model, float (texts, outputs).

    >>> unit_of(np.array([[2.0, 7000.0], [4.0, 9000.0]]))
    Unit(scale=(1.0, 1024.0), offset=(3.0, 8192.0))
    """
    deviation, mean = values.astype(np.float64).std(axis=0), values.astype(np.float64).mean(axis=0)
    # A model whose values are all the same gets the unit of their size, or 1.
    size = np.where(deviation > 0, deviation, np.where(mean != 0, np.abs(mean), 1.0))
    scale = 2.0 ** np.round(np.log2(size))
    return Unit(tuple(map(float, scale)), tuple(map(float, np.round(mean / scale) * scale)))


def in_unit(classifier: Classifier, unit: Unit) -> Classifier:
    """Return a classifier whose logits are those of another in a unit."""
    scale, offset = np.array(unit.scale), np.array(unit.offset)
    head = classifier.head
    weight, bias = head.weight / scale[:, np.newaxis], (head.bias - offset) / scale
    return replace(classifier, head=LinearHead(weight.astype(np.float32), bias.astype(np.float32)))


def logits_in_unit(values: np.ndarray, unit: Unit) -> np.ndarray:
    """Return the logits of values, (texts, outputs), in a unit."""
    return np.asarray((values.astype(np.float64) - np.array(unit.offset)) / np.array(unit.scale))
