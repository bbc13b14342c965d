"""Calibration by length: a scale and biases of a text's logits, as functions of the number of its tokens."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

MOST_KNOTS = 100
"""Largest number of knots."""

_SCALE = 1000.0
_LARGEST_BIAS = 1e6
_LARGEST_LOGIT = 1e30  # float32 holds it


@dataclass(frozen=True)
class LengthCalibration:
    """Scale and biases of a text's logits: ``scale * logits + bias``, before the temperature divides them.

    Both are linear in the logarithm of the length between two knots, and constant beyond the first and the last one. A
    model is often as sure of a few words as of a whole review, but is not as often right.

    Attributes:
        lengths: numbers of tokens kept, special tokens included, ascending, at least 1 each; the knots.
        scale: factor of the logits at each knot, above 0.
        bias: terms added to the scaled logits at each knot, (knots, logits).

    Raises:
        ValueError: the parts do not fit together, or a number is out of range.
    """

    lengths: tuple[float, ...]
    scale: tuple[float, ...]
    bias: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.lengths) == len(self.scale) == len(self.bias) <= MOST_KNOTS:
            raise ValueError(
                f"a calibration by length needs 1 to {MOST_KNOTS} lengths, and as many scales and biases, not "
                f"{len(self.lengths)}, {len(self.scale)} and {len(self.bias)}"
            )
        if not self.lengths[0] >= 1 or not all(low < high for low, high in pairwise(self.lengths)):
            raise ValueError("the lengths of a calibration must be at least 1 and ascend")
        if not all(1 / _SCALE <= one <= _SCALE for one in self.scale):
            raise ValueError(f"a scale by length must be between {1 / _SCALE:g} and {_SCALE:g}")
        if not all(abs(one) <= _LARGEST_BIAS for row in self.bias for one in row):
            raise ValueError(f"a bias by length must be at most {_LARGEST_BIAS:g}")
        if len({len(row) for row in self.bias}) != 1:
            raise ValueError("a calibration by length needs a bias for each logit at every length")

    @property
    def logit_count(self) -> int:
        """Number of logits that there are biases for."""
        return len(self.bias[0])

    def apply(self, logits: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Calibrate logits of texts, float32 (texts, logits); NaN stays NaN.

        Args:
            logits: logits of the encoder and the wide part together, float32 (texts, logits).
            tokens: number of tokens kept of each text, special tokens included, int64 (texts,).

        >>> found = LengthCalibration((4, 16), (0.5, 1.0), ((1.0,), (0.0,)))
        >>> found.apply(np.full((4, 1), 2, dtype=np.float32), np.array([2, 4, 8, 99])).ravel().tolist()
        [2.0, 2.0, 2.0, 2.0]
        >>> found.apply(np.full((4, 1), 4, dtype=np.float32), np.array([2, 4, 8, 99])).ravel().tolist()
        [3.0, 3.0, 3.5, 4.0]
        """
        scale, bias = self.of(tokens)
        found = logits.astype(np.float64) * scale[:, np.newaxis] + bias
        return found.clip(-_LARGEST_LOGIT, _LARGEST_LOGIT).astype(np.float32)

    def of(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the scale, float64 (texts,), and the biases, float64 (texts, logits), of texts by their numbers of tokens."""
        scale, bias = self._at_each_length
        at = np.clip(tokens, 0, len(scale) - 1)
        return scale[at], bias[at]

    @cached_property
    def _at_each_length(self) -> tuple[np.ndarray, np.ndarray]:
        """Scale, float64 (lengths,), and biases, float64 (lengths, logits), of every length up to the last knot.

        They are looked up, because a vectorised logarithm may round differently beside other texts.
        """
        most = math.ceil(self.lengths[-1])
        at = [math.log(max(1, length)) for length in range(most + 1)]
        knots = [math.log(length) for length in self.lengths]
        bias = [np.interp(at, knots, column) for column in zip(*self.bias, strict=True)]
        return np.interp(at, knots, self.scale), np.stack(bias, axis=1)


def parse_length_calibration(fields: Mapping[str, Any]) -> LengthCalibration:
    """Parse a calibration by length from its JSON fields; raise `ValueError`, `TypeError` or `KeyError` if it is invalid."""
    if set(fields) != {"lengths", "scale", "bias"}:
        raise ValueError(f"calibration_by_length has the wrong fields: {sorted(fields)}")
    return LengthCalibration(tuple(fields["lengths"]), tuple(fields["scale"]), tuple(map(tuple, fields["bias"])))
