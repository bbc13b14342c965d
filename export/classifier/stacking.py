"""Stacking of the encoder's and the wide part's logits (Wolpert 1992), and calibration of the sum (Platt 1999)."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from export.classifier.head import LinearHead, loss
from export.classifier.wide import Wide, WideTraining

# Deviation of a normal prior on each parameter, log T included. Thousands of texts outweigh it; a few dozen, or texts
# that can be separated without a mistake, would drive a parameter towards infinity without it.
_PRIOR = 1.0


@dataclass(frozen=True)
class Stack:
    """A sum of two kinds of logits, calibrated: ``p = softmax((encoder + share * wide + bias) / temperature)``.

    Attributes:
        share: factor of the wide part's logits; 0 without a wide part.
        bias: float32 (logits,); 0 without a wide part.
        temperature: divisor of the logits before they become probabilities.
    """

    share: float
    bias: np.ndarray
    temperature: float

    def logits(self, encoder: np.ndarray, wide: np.ndarray | None) -> np.ndarray:
        """Compute the sum, (texts, logits), before it is divided by the temperature."""
        return encoder if wide is None else encoder + self.share * wide + self.bias

    def parts(self, head: LinearHead, wide: WideTraining | None) -> tuple[LinearHead, Wide | None]:
        """Return a head and a wide part, or None, whose logits add up to that sum."""
        if wide is None:
            return head, None
        bias = head.bias + self.share * wide.bias + self.bias
        return replace(head, bias=bias.astype(np.float32)), wide.wide(self.share)


def stack(encoder: np.ndarray, wide: np.ndarray | None, labels: np.ndarray) -> Stack:
    """Fit a stack by maximum likelihood to logits of texts that neither part was trained on.

    Without a wide part only the temperature is fitted, which changes no label (Guo et al. 2017, "On Calibration of
    Modern Neural Networks", section 4.2).

    Args:
        encoder: logits of the head, float32 (texts, logits).
        wide: logits of the wide part, of the same shape; or None.
        labels: label numbers, int64 (texts,).
    """
    target = torch.from_numpy(labels)
    deep, side = (torch.from_numpy(x).double() for x in (encoder, np.zeros_like(encoder) if wide is None else wide))
    log_scale = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    share = torch.zeros(1, dtype=torch.float64, requires_grad=wide is not None)
    bias = torch.zeros(encoder.shape[1], dtype=torch.float64, requires_grad=wide is not None)
    free = [one for one in (log_scale, share, bias) if one.requires_grad]
    optimizer = torch.optim.LBFGS(free, max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        value = loss(log_scale.exp() * deep + share * side + bias, target)
        value = value + sum((one**2).sum() for one in free) / (2 * _PRIOR**2 * len(labels))
        value.backward()  # type: ignore[no-untyped-call]
        return value.item()

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    temperature = float(torch.exp(-log_scale.detach()))
    return Stack(
        float(share.detach()) * temperature, (bias.detach().numpy() * temperature).astype(np.float32), temperature
    )
