"""The encoder's logits and the wide part's as one (Wolpert 1992), and how sure of them one may be (Platt 1999)."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from export.classifier.head import LinearHead, loss
from export.classifier.wide import Wide, WideTraining

# A normal prior with this deviation on each parameter, log T among them: thousands of texts do not feel it, and a few
# dozen, or such as can be told apart without a mistake, do not drive a parameter beyond all measure.
_PRIOR = 1.0


@dataclass(frozen=True)
class Stack:
    """p = softmax((encoder + share * wide + bias) / temperature)

    Attributes:
        share: of the wide part; 0 where there is none.
        bias: float32 (logits,); 0 where there is no wide part.
        temperature: what logits are divided by before they become probabilities.
    """

    share: float
    bias: np.ndarray
    temperature: float

    def logits(self, encoder: np.ndarray, wide: np.ndarray | None) -> np.ndarray:
        """The sum, (texts, logits), not divided by the temperature."""
        return encoder if wide is None else encoder + self.share * wide + self.bias

    def parts(self, head: LinearHead, wide: WideTraining | None) -> tuple[LinearHead, Wide | None]:
        """A head and a wide part (or none) whose logits, added up, are that sum."""
        if wide is None:
            return head, None
        bias = head.bias + self.share * wide.bias + self.bias
        return replace(head, bias=bias.astype(np.float32)), wide.wide(self.share)


def stack(encoder: np.ndarray, wide: np.ndarray | None, labels: np.ndarray) -> Stack:
    """Fit it to logits of texts that neither was trained on, by maximum likelihood.

    Without a wide part it is the temperature alone (Guo et al. 2017, "On Calibration of Modern Neural Networks",
    section 4.2), which changes no label.

    Args:
        encoder: logits of the head, float32 (texts, logits).
        wide: of the wide part, the same; or None.
        labels: int64 (texts,).
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
