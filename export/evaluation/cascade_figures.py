"""Figures of a bundle's cascade on test texts: overall, by group, and on shortened texts."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from export.data import Split
from export.evaluation.cascade import SHARES, StagedGroup, StagedTexts, staged_group
from export.evaluation.evaluate import Scored, score_split
from scorer.model.loaded import LoadedModel
from scorer.model.tokenizer import Tokenizer

SHORT_WORDS = 30
"""Words in a shortened text: a cascade is chosen on texts of natural length, and short ones hold less evidence."""

_MOST_SHORT = 5_000


def staged_groups(scored: Scored) -> list[StagedGroup]:
    """Compute figures by the value of the group column, else by domain; return none without these or a cascade."""
    names = scored.split.groups or scored.split.domains
    return [] if scored.stages is None or not names else scored.stages.by_name(np.array(names))


def cascade_figures(scorer: LoadedModel, scored: Scored, *, quiet: bool) -> dict[str, Any]:
    """Compute all figures of a cascade on test texts, as a manifest holds them; return none without a cascade.

    Args:
        scorer: scorer of the bundle that gives every text to the encoder.
        scored: test texts, scored by it.
        quiet: show no progress.
    """
    stages = scored.stages
    if stages is None:
        return {}
    short = score_split(scorer, shortened(scored.split, scorer.tokenizer), quiet=quiet).stages
    assert short is not None, "the same bundle has a cascade"
    return {
        "test": asdict(scored.metrics),
        "points": asdict(staged_group("test texts", stages)),
        "short": asdict(staged_group(f"cut to {SHORT_WORDS} words", short)),
        "by_group": [asdict(group) for group in staged_groups(scored)],
        "curve": curve_figures(stages),
    }


def curve_figures(stages: StagedTexts) -> list[dict[str, float]]:
    """Return the points of `StagedTexts.curve`, each with its share."""
    return [{"share": share, **asdict(at)} for share, at in zip(SHARES, stages.curve(), strict=True)]


def shortened(split: Split, tokenizer: Tokenizer) -> Split:
    """Cut texts to their first `SHORT_WORDS` words.

    Only `_MOST_SHORT` texts are used if there are more, chosen at random but always the same ones.

    Args:
        split: labelled texts.
        tokenizer: tokenizer of the bundle; a text whose first words hold no token is omitted.
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(split))[:_MOST_SHORT])
    texts = [" ".join(split.texts[row].split()[:SHORT_WORDS]) for row in rows]
    kept = np.flatnonzero(~np.array(tokenizer.encode(texts).empty))
    found = [texts[number] for number in kept]
    return replace(split, texts=found, labels=split.labels[rows[kept]], ids=(), groups=(), domains=())
