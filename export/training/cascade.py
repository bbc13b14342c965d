"""The choice of a cascade: limits beyond which the wide part alone decides, and the calibration of its sums.

The choice is made on texts that neither part was trained on. The wide part's sums are calibrated like any logits (Platt
1999), with one scale and one bias per label. Then the limits are widened, starting with the surest texts, by one per cent
of the texts per step. The walk ends before the first step that costs too much. A later step may be good enough again, but
only by chance, because the curve is noisy. Fixed-sequence testing walks in the same way (Angelopoulos et al. 2021, "Learn
then Test").

Each domain of the texts, if there are several, may end the walk. The wide part can be sure and wrong about texts of one
domain while all texts together lose nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from export.classifier.settings import CascadeSettings
from export.classifier.stacking import stack
from export.evaluation.cascade import Loss, Point, StagedGroup, StagedTexts
from scorer.engine.cascade import Cascade
from scorer.model.decision import probabilities

_STEPS = 100
# Least margin between logits. Below it, rounding may put both limits on the same side of the point where the label changes.
_LEAST_MARGIN = 1e-6


@dataclass(frozen=True)
class HeldOut:
    """Texts that neither part of a classifier was trained on.

    Attributes:
        logits: logits of both parts together, float32 (texts, logits).
        sums: exact sums of the wide part, float64 (texts, logits).
        labels: true label numbers, int64 (texts,).
        tokens: numbers of tokens that the encoder reads, int64 (texts,).
        temperature: divisor of the logits.
        domains: domain of each text, str (texts,); None if all texts are of one.
        weights: weight of each text in the calibration of the sums, float64 (texts,); None for equal ones.
    """

    logits: np.ndarray
    sums: np.ndarray
    labels: np.ndarray
    tokens: np.ndarray
    temperature: float
    domains: np.ndarray | None = None
    weights: np.ndarray | None = None

    def staged(self, cascade: Cascade) -> StagedTexts:
        """Return the texts with the probabilities of each stage."""
        own = cascade.logits(self.sums).astype(np.float32)
        whole, wide = (probabilities(logits, self.temperature) for logits in (self.logits, own))
        return StagedTexts(self.labels, whole, wide, cascade.decides(self.sums), self.tokens)


@dataclass(frozen=True)
class CascadeChoice:
    """A cascade with figures of the held-out texts that it was chosen on.

    Attributes:
        cascade: limits, scale and biases.
        texts: number of held-out texts.
        without: figures with every text through the encoder.
        chosen: figures with the cascade.
        loss: accuracy that the cascade costs.
        domains: figures of each domain, if the texts are of several.
        ended_by: reason why the limits are no wider; None if wider ones would be allowed.
    """

    cascade: Cascade
    texts: int
    without: Point
    chosen: Point
    loss: Loss
    domains: tuple[StagedGroup, ...] = ()
    ended_by: str | None = None


@dataclass(frozen=True)
class _Domain:
    """Held-out texts of one domain, from the one that the wide part is surest of.

    Attributes:
        name: name of the domain.
        texts: texts with the probabilities of each stage.
        margins: margins between their two largest logits, float64 (texts,).
    """

    name: str
    texts: StagedTexts
    margins: np.ndarray

    def stopped_by(self, margin: float, settings: CascadeSettings) -> str | None:
        """Return the reason why texts of the domain cannot be decided early beyond a margin, or None."""
        early, texts = int((self.margins > margin).sum()), len(self.margins)
        if not early:
            return None
        if texts < settings.least_of_domain:
            return f"decides texts of {self.name}, of which {texts:,} are held out, but {settings.least_of_domain} are needed"
        judged = max(early, settings.least_of_domain)
        loss = self.texts.loss(np.arange(texts) < judged)
        if loss.points - loss.deviation > settings.domain_loss:
            return (
                f"costs texts of {self.name} {loss.points:.2f} points of accuracy, more than --cascade-domain-loss "
                f"{settings.domain_loss:g} allows"
            )
        return None


def choose_cascade(held_out: HeldOut, settings: CascadeSettings) -> CascadeChoice | str:
    """Choose the widest limits that cost no more than allowed.

    A domain ends the walk if its loss exceeds ``settings.domain_loss`` by more than one standard deviation. Without that
    allowance a single text would end it in a domain of a hundred, whatever the wide part is worth there. The limits reach
    the surest texts of a domain first, and a handful of them proves nothing. The loss is therefore that of its
    ``settings.least_of_domain`` surest texts at least. If so many are not held out, no text of the domain may be decided
    early. Thirty texts without an error exclude an error rate of 10% with a confidence of 95%.

    Returns:
        the choice, or the reason why no cascade can be chosen.
    """
    texts = len(held_out.labels)
    too_few = settings.too_few(texts)
    if too_few is not None:
        return too_few
    undecided = calibrated(held_out)
    if undecided is None:
        return "the wide part alone does not distinguish the labels"
    staged, margins = held_out.staged(undecided), undecided.margins(held_out.sums)
    domains = _domains(staged, margins, held_out.domains)
    found: CascadeChoice | None = None
    ended_by: str | None = None
    for margin in _margins(margins):
        cascade = with_margin(undecided, margin)
        at = replace(staged, early=cascade.decides(held_out.sums))
        if not at.early.any():  # the surest texts are equally sure and more than one step, so the margin excludes them
            continue
        step = CascadeChoice(cascade, texts, staged.without, at.chosen, at.loss())
        ended_by = _ended_by(step, settings) or _ended_by_domain(domains, margin, settings)
        if ended_by is not None:
            break
        found = step
    if found is None:
        if ended_by is None:
            return "no limit can be tried: the wide part alone is about equally sure of all texts"
        return f"no limit is narrow enough: even the narrowest one {ended_by}"
    if held_out.domains is not None:
        found = replace(found, domains=tuple(held_out.staged(found.cascade).by_name(held_out.domains)))
    return replace(found, ended_by=ended_by)


def _domains(staged: StagedTexts, margins: np.ndarray, names: np.ndarray | None) -> list[_Domain]:
    """Return the texts of each domain; none without names of domains, str (texts,)."""
    found = []
    for name in () if names is None else np.unique(names):
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(-margins[rows], kind="stable")]
        found.append(_Domain(str(name), staged.some(rows), margins[rows]))
    return found


def _ended_by(step: CascadeChoice, settings: CascadeSettings) -> str | None:
    """Return the reason why a step ends the walk, or None if it is allowed."""
    if step.loss.points > settings.loss:
        return f"costs more than {settings.loss:g} points of accuracy"
    if step.chosen.ece > step.without.ece + settings.ece:
        return f"adds more than {settings.ece:.1%} of calibration error"
    if step.chosen.rows > settings.most:
        return (
            f"decides {step.chosen.rows:.1%} of the held-out texts, more than --cascade-most {settings.most:g} allows"
        )
    return None


def _ended_by_domain(domains: Sequence[_Domain], margin: float, settings: CascadeSettings) -> str | None:
    """Return the reason why a domain ends the walk at a margin, or None if none of them does."""
    reasons = (domain.stopped_by(margin, settings) for domain in domains)
    return next((reason for reason in reasons if reason is not None), None)


def report_choice(found: CascadeChoice | str, report: Callable[[str], None]) -> CascadeChoice | None:
    """Report a choice, or the reason why no cascade can be chosen; return the choice or None."""
    if isinstance(found, str):
        report(f"no cascade: {found}; every text goes through the encoder")
        return None
    chosen, loss = found.chosen, found.loss
    report(
        f"cascade: the wide part alone decides {chosen.rows:.0%} of {found.texts:,} held-out texts, which saves "
        f"{chosen.tokens:.0%} of the encoder's tokens and costs {loss.points:.2f} points of accuracy (95%: "
        f"{loss.interval[0]:.2f} to {loss.interval[1]:.2f}); calibration error {found.without.ece:.2%} without the cascade, "
        f"{chosen.ece:.2%} with it"
    )
    if found.ended_by is not None:
        report(f"cascade: a wider limit {found.ended_by}")
    for domain in found.domains:
        report(
            f"cascade: {domain.name}: {domain.chosen.rows:.0%} of {domain.texts:,} held-out texts decided early, "
            f"{domain.loss.points:.2f} points lost"
        )
    return found


def calibrated(held_out: HeldOut) -> Cascade | None:
    """Fit scale and biases; return a cascade that decides no text, or None if the sums do not distinguish the labels."""
    fitted = stack(np.zeros_like(held_out.logits), held_out.sums, held_out.labels, weights=held_out.weights)
    share = float(fitted.share)
    if not share > 0:
        return None
    scale = share * held_out.temperature
    bias = tuple(float(one) * held_out.temperature for one in fitted.bias)
    nothing = (-np.inf, np.inf) if len(bias) == 1 else (np.inf,)
    return Cascade(scale, bias, nothing)


def with_margin(cascade: Cascade, margin: float) -> Cascade:
    """Return a cascade with the same calibration that decides texts by the margin between their two largest logits.

    >>> with_margin(Cascade(2.0, (1.0,), (-9.0, 9.0)), 3.0).limits
    (-2.0, 1.0)
    """
    if len(cascade.bias) > 1:
        return replace(cascade, limits=(margin,))
    low, high = ((side * margin - cascade.bias[0]) / cascade.scale for side in (-1, 1))
    return replace(cascade, limits=(low, high))


def _margins(found: np.ndarray) -> list[float]:
    """Return margins halfway between those of adjacent texts, one per step, from the surest text down."""
    order = np.sort(found)[::-1]
    counts = sorted({round(len(order) * step / _STEPS) for step in range(1, _STEPS)} - {0, len(order)})
    between = [float((order[count - 1] + order[count]) / 2) for count in counts]
    return [margin for margin in between if margin > _LEAST_MARGIN]
