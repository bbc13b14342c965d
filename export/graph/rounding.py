"""Rounding to int8: the span of an activation with its extra channels, and weights with a scale for each output."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

# Price of extra channels: one per cent more channels must narrow the span by more than ten per cent. Measured on MiniLM
# (docs/PERFORMANCE.md), this takes most outliers, but no outputs of attention and no ordinary tails.
_PRICE = 10.0
_MOST_EXTRA = 1 / 16
_STEPS = 400  # of each end of the span
_TURNS = 2
# Added to the diagonal of the second moment, relative to its mean (Frantar et al. 2023, section 3.3).
_DAMPING = 0.01
_LARGEST = 127  # of an int8 weight; -128 is not used, so that the range is symmetric
# Significant bits of a scale. With the 7 of a weight they make 11, as many as float16 has. So the float16 graph, which
# reads the int8 weights, represents them exactly.
_SCALE_BITS = 4


@dataclass(frozen=True)
class Span:
    """Range of an activation's values that the 256 steps of uint8 span, and the extra channels that extend it.

    An extra channel spans the values of one channel that lie some widths of the span further up or down. A value is
    within one of these ranges, and at the nearest end of all others. So it is rounded once, however far out it is.

    Attributes:
        low, high: ends of the span, which includes 0.
        channels: channel of each extra channel, int (extra channels,).
        shifts: distance of its range from the span, in widths of the span and never 0, int (extra channels,).
    """

    low: float
    high: float
    channels: np.ndarray
    shifts: np.ndarray

    @property
    def scale(self) -> np.float32:
        return np.float32((self.high - self.low) / 255)

    @property
    def zero(self) -> np.uint8:
        return np.uint8(np.rint(-self.low / self.scale))

    @property
    def offsets(self) -> np.ndarray:
        """Amount to subtract from the channels, so that each extra channel's range becomes the span, float32 (extra channels,)."""
        return self.shifts.astype(np.float32) * np.float32(255) * self.scale

    @property
    def rest(self) -> np.ndarray:
        """Values that the extra channels have while their channel is within the span, float64 (extra channels,)."""
        ends = np.where(self.shifts > 0, -float(self.zero), 255 - float(self.zero))
        return ends * float(self.scale)

    def narrowed(self, low: np.ndarray, high: np.ndarray) -> "Span":
        """Return the narrowest span of these proportions that the channels fit into, with the same extra channels.

        >>> Span(-4.0, 4.0, np.array([1]), np.array([1])).narrowed(np.array([-1.0, -2.0]), np.array([2.0, 6.0])).high
        2.0
        """
        low, high = np.minimum(low, -1e-6), np.maximum(high, 1e-6)
        width = self.high - self.low
        up, down = (np.bincount(self.channels[some], minlength=len(low)) for some in (self.shifts > 0, self.shifts < 0))
        share = max((low / (self.low - width * down)).max(), (high / (self.high + width * up)).max())
        return Span(self.low * float(share), self.high * float(share), self.channels, self.shifts)


def choose_span(low: np.ndarray, high: np.ndarray) -> Span:
    """Choose a span of low cost, one end after the other: log(width) + price * (share of extra channels).

    Args:
        low, high: each channel's smallest and largest value, (channels,).

    >>> span = choose_span(np.full(48, -1.0), np.array([1.0] * 47 + [3.0]))
    >>> round(span.high, 1), span.channels.tolist(), span.shifts.tolist()
    (1.0, [47], [1])
    """
    low, high = np.minimum(low, -1e-6), np.maximum(high, 1e-6)
    lows, highs = np.linspace(low.min(), 0, _STEPS, endpoint=False), np.linspace(high.max(), 0, _STEPS, endpoint=False)
    # The best limit of both ends, and then one end after the other: all pairs would be a hundred times the work.
    limits = np.linspace(max(-lows[0], highs[0]), 0, _STEPS, endpoint=False)
    span_low, span_high = min(
        ((max(lows[0], -limit), min(highs[0], limit)) for limit in limits), key=lambda ends: _cost(low, high, *ends)
    )
    for _ in range(_TURNS):
        span_high = min([span_high, *highs], key=lambda end: _cost(low, high, span_low, end))
        span_low = min([span_low, *lows], key=lambda end: _cost(low, high, end, span_high))
    up, down = _beyond(low, high, span_low, span_high)
    channels = np.arange(len(low))
    shifts = [np.arange(1, count + 1) for count in up] + [-np.arange(1, count + 1) for count in down]
    return Span(
        float(span_low), float(span_high), np.repeat(np.tile(channels, 2), np.append(up, down)), np.concatenate(shifts)
    )


def _beyond(low: np.ndarray, high: np.ndarray, span_low: float, span_high: float) -> tuple[np.ndarray, np.ndarray]:
    """Count the widths of a span by which each channel goes beyond its upper and its lower end, int (channels,) each."""
    width = span_high - span_low
    up = np.ceil(np.maximum(high - span_high, 0) / width - 1e-9)
    down = np.ceil(np.maximum(span_low - low, 0) / width - 1e-9)
    return up.astype(np.int64), down.astype(np.int64)


def _cost(low: np.ndarray, high: np.ndarray, span_low: float, span_high: float) -> float:
    up, down = _beyond(low, high, span_low, span_high)
    extra = (up.sum() + down.sum()) / len(low)
    return float(np.log(span_high - span_low) + _PRICE * extra) if extra <= _MOST_EXTRA else np.inf


def round_weights(weight: np.ndarray, moment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round weights to int8 with a scale for each output, so that the product's error on real inputs is small.

    Rows are rounded one by one. The remaining rows compensate for the error of each, as far as their inputs correlate
    (Frantar et al. 2023, "GPTQ", section 3).

    Args:
        weight: (in, out).
        moment: E[x x^T] of the inputs, (in, in).

    Returns:
        int8 (in, out), and float32 scales (out,).
    """
    scales = power_scales(np.abs(weight).max(axis=0))
    rows = len(weight)
    order = np.argsort(
        -np.diag(moment), kind="stable"
    )  # the most important rows first, while all others can still compensate
    left = weight[order].astype(np.float64)
    damped = moment[np.ix_(order, order)].astype(np.float64)
    damped[np.diag_indices(rows)] += _DAMPING * np.mean(np.diag(moment)) + 1e-12
    factor = _inverse_factor(damped)
    rounded = np.empty(weight.shape, dtype=np.int8)
    for start in range(0, rows, 64):  # in blocks, so that the effect of each on all later rows is one matrix product
        end = min(start + 64, rows)
        errors = np.empty((end - start, weight.shape[1]))
        for row in range(start, end):
            steps = np.clip(np.rint(left[row] / scales), -_LARGEST, _LARGEST)
            rounded[order[row]] = steps
            errors[row - start] = (left[row] - steps * scales) / factor[row, row]
            left[row + 1 : end] -= np.outer(factor[row, row + 1 : end], errors[row - start])
        left[end:] -= factor[start:end, end:].T @ errors
    return rounded, scales


def _inverse_factor(matrix: np.ndarray) -> np.ndarray:
    """Return the upper factor U of a positive definite matrix's inverse, U^T U; the inverse itself is not computed.

    The reversed matrix has a lower Cholesky factor L, so the matrix is R R^T with the upper R, L reversed. Thus U is R^-1.

    >>> matrix = np.array([[4.0, 1.0], [1.0, 3.0]])
    >>> factor = _inverse_factor(matrix)
    >>> bool(np.allclose(factor.T @ factor @ matrix, np.eye(2))), float(factor[1, 0])
    (True, 0.0)
    """
    lower = scipy.linalg.cholesky(matrix[::-1, ::-1], lower=True)
    inverse, info = scipy.linalg.lapack.dtrtri(lower, lower=1, overwrite_c=1)
    assert info == 0, "a Cholesky factor has no zero on its diagonal"
    return np.asarray(inverse[::-1, ::-1])


def power_scales(largest: np.ndarray) -> np.ndarray:
    """Compute float32 scales with which `_LARGEST` steps reach these values, rounded up to `_SCALE_BITS` bits.

    >>> power_scales(np.array([127.0, 130.0])).tolist()
    [1.0, 1.125]
    """
    mantissa, exponent = np.frexp(np.maximum(largest / _LARGEST, np.finfo(np.float16).tiny))
    steps = 2.0**_SCALE_BITS
    return np.ldexp(np.ceil(mantissa * steps) / steps, exponent).astype(np.float32)
