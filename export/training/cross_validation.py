"""Figures of the training texts, each scored by classifiers and baselines that were not trained on it."""

from dataclasses import replace
from typing import Any

import numpy as np

from export.classifier.choice import held_out_rows
from export.data import Split
from export.evaluation.cross_validation import CrossValidated, Size, cross_validation_figures
from export.evaluation.cross_validation_card import cross_validation_lines
from export.evaluation.judge import Judge
from export.evaluation.judges import judge_of
from export.training.fitted import Crossed
from export.training.run import Run
from export.training.stages import CROSS_VALIDATION, stage
from scorer.model.interpretation import Interpretation, MultiLabel, Regression, SingleLabel, interpretation_of
from scorer.model.manifest import Manifest


@stage(CROSS_VALIDATION)
def cross_validated(run: Run, manifest: Manifest, crossed: Crossed | None) -> dict[str, Any]:
    """Compute and report the figures of a cross-validation, as a manifest holds them; nothing without one.

    Args:
        run: inputs of the training run.
        manifest: manifest of the bundle, with the meaning of its logits.
        crossed: logits of the training texts by folds; None if a part was held out for good.
    """
    if crossed is None:
        return {}
    interpretation = interpretation_of(manifest)
    judge, plain = judge_of(interpretation), _calibrated(interpretation)
    rows, train = held_out_rows(crossed.folds), run.dataset.train
    values = plain.values(crossed.logits)
    smaller = [
        Size(round(one.texts), np.stack([plain.values(logits) for logits in one.logits])) for one in crossed.smaller
    ]
    whole = Size(round(float(np.mean([len(fold.train) for fold in crossed.folds]))), values[np.newaxis])
    found = CrossValidated(
        len(crossed.folds),
        train.labels[rows],
        values,
        _baseline(train, crossed, judge) if run.settings.baseline else None,
        (*smaller, whole),
    )
    figures = cross_validation_figures(found, judge)
    for line in cross_validation_lines(figures, judge):
        run.report(line)
    return {"cross_validation": figures}


def _calibrated(interpretation: Interpretation) -> Interpretation:
    """Return the meaning of logits that are already divided by their temperatures."""
    if isinstance(interpretation, Regression):
        return interpretation
    if isinstance(interpretation, MultiLabel):
        return replace(interpretation, temperatures=(1.0,) * len(interpretation.labels))
    assert isinstance(interpretation, SingleLabel), "there are three tasks"
    return replace(interpretation, temperature=1.0)


def _baseline(train: Split, crossed: Crossed, judge: Judge) -> np.ndarray:
    """Train the strongest baseline on each fold; return its probabilities or values of the held-out texts."""
    _, learner, own = judge.baselines()[0]
    labels = len(own.interpretation.labels)
    found = np.zeros((len(train), labels))
    for fold in crossed.folds:
        some, others = ([train.texts[row] for row in rows] for rows in (fold.train, fold.held_out))
        found[fold.held_out] = learner(some, train.labels[fold.train], others, labels)
    return found[held_out_rows(crossed.folds)]
