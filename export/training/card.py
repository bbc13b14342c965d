"""The model card and the pictures of a trained bundle."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.bundle.assemble import scorer_on_cpu
from export.data import Split
from export.evaluation.confidence_card import with_section
from export.evaluation.evaluate import Scored, score_split
from export.evaluation.figures import cascade_curve, learning_figure, outcome_picture, reliability_diagram
from export.evaluation.judges import judge_of
from export.evaluation.model_card import model_card
from export.evaluation.outputs import CARD, CASCADE_FIGURE, LEARNING_FIGURE, OUTCOME_FIGURES, RELIABILITY_FIGURE
from scorer.model.bundle import Bundle
from scorer.model.interpretation import interpretation_of
from scorer.model.manifest import Manifest


@dataclass(frozen=True)
class Card:
    """Parts of a model card that are not in the manifest.

    Attributes:
        pictures: PNG files by name.
        probes: labelled texts to probe the model with, or None.
        notes: Markdown by the user.
    """

    pictures: Mapping[str, bytes]
    probes: Split | None
    notes: str


def card_of(bundle: Bundle, card: Card, threads: int | None = None) -> dict[str, bytes]:
    """Return the model card of a bundle in memory and its pictures, by file name.

    Args:
        bundle: bundle with a complete manifest.
        card: parts of the model card.
        threads: number of rows scored at a time; None for one per usable core.
    """
    probes = None if card.probes is None else score_split(scorer_on_cpu(bundle, threads), card.probes, quiet=True)
    manifest = bundle.manifest
    text, confidence = model_card(manifest, probes, card.notes), manifest.confidence
    return {
        CARD: with_section(text, confidence) if confidence else text,
        **card.pictures,
        **_learning_picture(manifest),
    }


def _learning_picture(manifest: Manifest) -> dict[str, bytes]:
    """Draw the learning curve of a manifest; return nothing without one."""
    figures = manifest.metrics.get("cross_validation")
    if not figures or len(figures["sizes"]) < 2:
        return {}
    return {LEARNING_FIGURE: learning_figure(figures, judge_of(interpretation_of(manifest)))}


def test_pictures(scored: Scored, calibration: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Draw the model card's pictures of the test texts; return them by file name.

    Args:
        scored: test texts, scored by the bundle.
        calibration: probabilities with every text through the encoder, float64 (texts, labels), by name; the
            probabilities with the cascade are drawn beside them. Empty if values are no probabilities.
    """
    interpretation, judge, truth, stages = scored.interpretation, scored.judge, scored.split.labels, scored.stages
    lines = {**calibration, **({"with the cascade": stages.staged} if stages else {})}
    bins = {name: judge.reliability(found, truth) for name, found in lines.items()}
    outcome = OUTCOME_FIGURES[interpretation.task]
    return {
        outcome: outcome_picture("Test split", interpretation, scored.values, truth),
        **({RELIABILITY_FIGURE: reliability_diagram(bins, judge.axes)} if bins else {}),
        **({CASCADE_FIGURE: cascade_curve(stages, "Test split")} if stages else {}),
    }
