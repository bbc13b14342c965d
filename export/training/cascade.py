"""The choice of a cascade: limits beyond which the wide part alone decides, and the calibration of its sums.

It is made on texts that neither part was trained on. The wide part's sums are calibrated like any logits (Platt 1999), by
one scale and a bias a label. Then the limit is lowered from the surest text on, one per cent of the texts a step, and the
walk ends before the first step that costs too much. The last step of all that is good again by chance would be chosen by
luck: the curve is noisy. Fixed-sequence testing walks the same way (Angelopoulos et al. 2021, "Learn then Test").
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from export.classifier.settings import CascadeSettings
from export.classifier.stacking import stack
from export.evaluation.cascade import Loss, Point, StagedTexts
from scorer.engine.cascade import Cascade
from scorer.model.decision import probabilities

_STEPS = 100
# Of logits. Below it the two limits are one, and rounding may put both on one side of the label's change.
_LEAST_MARGIN = 1e-6


@dataclass(frozen=True)
class HeldOut:
    """Texts that neither part of a classifier was trained on.

    Attributes:
        logits: of both parts together, float32 (texts, logits).
        sums: exact sums of the wide part, float64 (texts, logits).
        labels: the truth, int64 (texts,).
        tokens: that the encoder reads, int64 (texts,).
        temperature: what logits are divided by.
    """

    logits: np.ndarray
    sums: np.ndarray
    labels: np.ndarray
    tokens: np.ndarray
    temperature: float

    def staged(self, cascade: Cascade) -> StagedTexts:
        """Return the texts as each stage sees them."""
        own = cascade.logits(self.sums).astype(np.float32)
        whole, wide = (probabilities(logits, self.temperature) for logits in (self.logits, own))
        return StagedTexts(self.labels, whole, wide, cascade.decides(self.sums), self.tokens)


@dataclass(frozen=True)
class CascadeChoice:
    """A cascade, and figures of the held-out texts that it was chosen on.

    Attributes:
        cascade: limits, scale and biases.
        texts: number of held-out texts.
        without: figures with every text through the encoder.
        chosen: figures at the limits.
        loss: accuracy that it costs.
    """

    cascade: Cascade
    texts: int
    without: Point
    chosen: Point
    loss: Loss


def choose_cascade(held_out: HeldOut, settings: CascadeSettings) -> CascadeChoice | str:
    """Choose the widest limits that cost no more than allowed.

    Returns:
        the choice, or the reason why there is none.
    """
    texts = len(held_out.labels)
    too_few = settings.too_few(texts)
    if too_few is not None:
        return too_few
    undecided = calibrated(held_out)
    if undecided is None:
        return "the wide part alone does not tell the labels apart"
    staged = held_out.staged(undecided)
    found: CascadeChoice | None = None
    stopped_by: str | None = None
    for margin in _margins(undecided.margins(held_out.sums)):
        cascade = with_margin(undecided, margin)
        at = replace(staged, early=cascade.decides(held_out.sums))
        step = CascadeChoice(cascade, texts, staged.without, at.chosen, at.loss())
        if not step.chosen.rows:  # the surest texts are equally sure, and more than a step of them
            continue
        stopped_by = _stopped_by(step, settings)
        if stopped_by is not None:
            break
        found = step
    if found is not None:
        return found
    return stopped_by or "there is no limit to try: the wide part alone is hardly surer of one text than of another"


def _stopped_by(step: CascadeChoice, settings: CascadeSettings) -> str | None:
    """Return why a step ends the walk, as a reason against the first one; None if it is allowed."""
    if step.loss.points > settings.loss:
        return f"no limit is sure enough: the first one costs more than {settings.loss:g} points of accuracy"
    if step.chosen.ece > step.without.ece + settings.ece:
        return f"no limit is sure enough: the first one adds more than {settings.ece:.1%} of calibration error"
    if step.chosen.rows > settings.most:
        return (
            f"no limit is narrow enough: the first one decides {step.chosen.rows:.1%} of the held-out texts, more than "
            f"--cascade-most {settings.most:g} allows"
        )
    return None


def told(found: CascadeChoice | str, say: Callable[[str], None]) -> CascadeChoice | None:
    """Report a choice, or why there is none."""
    if isinstance(found, str):
        say(f"no cascade: {found}; every text goes through the encoder")
        return None
    chosen, loss = found.chosen, found.loss
    say(
        f"cascade: the wide part alone decides {chosen.rows:.0%} of {found.texts:,} held-out texts, which saves "
        f"{chosen.tokens:.0%} of the encoder's tokens and costs {loss.points:.2f} points of accuracy (95%: "
        f"{loss.interval[0]:.2f} to {loss.interval[1]:.2f}); calibration error {found.without.ece:.2%} without, "
        f"{chosen.ece:.2%} with it"
    )
    return found


def calibrated(held_out: HeldOut) -> Cascade | None:
    """Fit scale and biases; the cascade that is returned decides nothing. None if the sums say nothing."""
    fitted = stack(np.zeros_like(held_out.logits), held_out.sums, held_out.labels)
    if not fitted.share > 0:
        return None
    scale = fitted.share * held_out.temperature
    bias = tuple(float(one) * held_out.temperature for one in fitted.bias)
    nothing = (-np.inf, np.inf) if len(bias) == 1 else (np.inf,)
    return Cascade(scale, bias, nothing)


def with_margin(cascade: Cascade, margin: float) -> Cascade:
    """Return the same calibration, deciding where the two largest logits are farther apart.

    >>> with_margin(Cascade(2.0, (1.0,), (-9.0, 9.0)), 3.0).limits
    (-2.0, 1.0)
    """
    if len(cascade.bias) > 1:
        return replace(cascade, limits=(margin,))
    low, high = ((side * margin - cascade.bias[0]) / cascade.scale for side in (-1, 1))
    return replace(cascade, limits=(low, high))


def _margins(found: np.ndarray) -> list[float]:
    """Return margins that lie between one text's and the next one's, from the surest down."""
    order = np.sort(found)[::-1]
    counts = sorted({round(len(order) * step / _STEPS) for step in range(1, _STEPS)} - {0, len(order)})
    between = [float((order[count - 1] + order[count]) / 2) for count in counts]
    return [margin for margin in between if margin > _LEAST_MARGIN]
