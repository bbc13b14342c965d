"""Figures of out-of-fold scores: the cross-validated figure beside others on the same texts, and the learning curve."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from export.evaluation.bootstrap import RESAMPLES, bootstrap_interval, resampled
from export.evaluation.judge import Judge
from export.evaluation.learning_curve import Forecast, forecast
from export.evaluation.paired import paired
from scorer.base.task import SINGLE_LABEL

_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Size:
    """One size of a learning curve.

    Attributes:
        texts: mean number of texts that a model of this size was trained on.
        values: probabilities or values of each text by models that were not trained on it, float64
            (draws, texts, labels). A draw is a random choice of the texts to train on.
    """

    texts: int
    values: np.ndarray


@dataclass(frozen=True)
class CrossValidated:
    """Training texts, each scored by models that were not trained on it.

    Attributes:
        folds: number of parts that the texts were divided into.
        truth: truth of the texts, as in `export.data.Split.labels`.
        values: probabilities or values by head and wide part, float64 (texts, labels).
        baseline: those of the strongest baseline of `Judge.baselines`, by the same folds; None without it.
        sizes: sizes of the learning curve, ascending; the last has ``values``. Those that cannot be trained are missing.
    """

    folds: int
    truth: np.ndarray
    values: np.ndarray
    baseline: np.ndarray | None
    sizes: tuple[Size, ...]


def cross_validation_figures(found: CrossValidated, judge: Judge) -> dict[str, Any]:
    """Compute the figures as JSON holds them: `metrics["cross_validation"]` of a manifest.

    The keys are ``folds``, ``metrics``, those of `Judge.kept`, ``against`` (one `_against` for each other answer),
    ``sizes`` and ``forecast`` (a `Forecast`, or None). There is no forecast without an error left. Nor is there one if the
    model may be no better than the simplest answer: its curve may begin to rise later.
    """
    metrics = asdict(judge.metrics(found.values, found.truth))
    details = judge.details(found.values, found.truth)
    constant = judge.constant(found.truth)
    others = [(constant.name, constant.values, judge)]
    if found.baseline is not None:
        name, _, its_judge = judge.baselines()[0]
        others.append((name, found.baseline, its_judge))
    sizes, curve = _curve(found, judge)
    against = [_against(name, values, of, found, judge) for name, values, of in others]
    return {
        "folds": found.folds,
        "metrics": metrics,
        **{name: details[name] for name in judge.kept if name in details},
        "against": against,
        "sizes": sizes,
        "forecast": asdict(curve) if curve and is_better(against[0]) and sizes[-1]["figure"] < 1 else None,
    }


def is_better(one: Mapping[str, Any]) -> bool:
    """Return whether the model is better than another answer, an entry of ``against``, beyond chance."""
    interval, p = one["difference_interval"], one["p"]
    return interval is not None and interval[0] > 0 and (p is None or p < _SIGNIFICANT)


def _against(name: str, values: np.ndarray, of: Judge, found: CrossValidated, judge: Judge) -> dict[str, Any]:
    """Compare with another answer to the same texts.

    Args:
        name: name of the other answer.
        values: its probabilities or values, float64 (texts, labels).
        of: its judge.
        found, judge: out-of-fold scores and their judge.

    Returns:
        main figure of the other answer, and the difference from it, both with their intervals; the p of McNemar's exact
        test if a text has one label, otherwise None
    """
    parts, own = of.parts(values, found.truth), judge.parts(found.values, found.truth)
    figure, difference = _main(parts, of), _main(own, judge) - _main(parts, of)
    texts, resamples = len(found.truth), resampled(np.concatenate([parts, own], axis=1))
    others, owns = np.split(resamples, 2, axis=1)
    interval, p = bootstrap_interval(judge.main_of(owns, texts) - of.main_of(others, texts)), None
    if judge.interpretation.task == SINGLE_LABEL:
        test = paired(parts[:, 0] > 0, own[:, 0] > 0)
        interval, p = test.interval, test.p
    return {
        "name": name,
        "figure": figure,
        "interval": of.main.bounds(asdict(of.metrics(values, found.truth))),
        "difference": difference,
        "difference_interval": interval,
        "p": p,
    }


def _curve(found: CrossValidated, judge: Judge) -> tuple[list[dict[str, Any]], Forecast | None]:
    """Return the figure of each size with its interval, and the forecast."""
    draws = [np.stack([judge.parts(one, found.truth) for one in size.values]) for size in found.sizes]
    figures = np.array([_main(parts.mean(axis=0), judge) for parts in draws])
    replicates = [_replicates(parts, judge) for parts in draws]
    sizes = [
        {"texts": size.texts, "figure": float(figure), "interval": bootstrap_interval(each)}
        for size, figure, each in zip(found.sizes, figures, replicates, strict=True)
    ]
    if not sizes:
        return [], None
    # The figure of all labels has one interval, wherever it is shown.
    sizes[-1]["interval"] = judge.main.bounds(asdict(judge.metrics(found.values, found.truth)))
    texts = [size.texts for size in found.sizes]
    return sizes, forecast(texts, figures, np.stack(replicates, axis=1), 0.5 / len(found.truth))


def _replicates(draws: np.ndarray, judge: Judge) -> np.ndarray:
    """Draw texts again, the same for all sizes, and draws of training texts; return the main figures, float64 (resamples,).

    Args:
        draws: parts of each draw, float64 (draws, texts, sums).
    """
    count, texts, sums = draws.shape
    found = resampled(draws.transpose(1, 0, 2).reshape(texts, count * sums)).reshape(RESAMPLES, count, sums)
    picked = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    return judge.main_of(found[np.arange(RESAMPLES)[:, np.newaxis], picked].mean(axis=1), texts)


def _main(parts: np.ndarray, judge: Judge) -> float:
    return float(judge.main_of(parts.sum(axis=0)[np.newaxis], len(parts))[0])
