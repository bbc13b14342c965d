"""The wide part: weights of a text's pieces and of its adjacent pairs, beside the encoder's few vectors.

Two words anywhere in a review often decide its label. Linear models of word pairs are hard to beat on long texts (Wang
and Manning 2012, "Baselines and Bigrams"). The sum is part of the graph: one look-up for each piece and pair, a
thousandth of the encoder's work. It covers the whole text, including the tokens that the encoder has no room for.

Each distinct piece or pair counts once, however often it occurs. On texts about films that training has not seen, this
is worth two points of accuracy (docs/ACCURACY.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.linear_model import LogisticRegression

from export.classifier.choice import (
    NO_WEIGHTS,
    Attempt,
    Choice,
    Fold,
    Step,
    Weights,
    across,
    choose,
    held_out_rows,
    in_order,
    loss_of,
    scaled,
)
from export.classifier.grid import Grid
from export.classifier.objective import AnyOf, Objective, Value
from export.classifier.optimum import huber
from export.classifier.settings import WideSettings
from export.classifier.span import span_of
from export.classifier.threads import threads_for
from scorer.engine.wide import Keys, exact_sums

Texts = tuple[Sequence[np.ndarray], np.ndarray]
"""Token ids of each text, (sequence,), and targets, see `export.classifier.objective`."""

# Number of texts with the mean target that the mean of a key is taken together with, so that rare keys weigh little.
_SHRINKAGE = 10.0
# Largest slope of the loss at which a fit ends, with the axes of `export.classifier.span` and with the keys themselves.
_EXACT, _CLOSE = 1e-8, 1e-4


def key_matrix(keys: Keys, rows: Sequence[np.ndarray]) -> scipy.sparse.csr_matrix:
    """Build a sparse float32 matrix (texts, keys), with a 1 for each key of a text.

    Args:
        keys: numbering of pieces and pairs.
        rows: token ids of each text, (sequence,), at least one text.
    """
    numbers, begins = keys.of(rows)
    ones = np.ones(len(numbers), dtype=np.float32)
    return scipy.sparse.csr_matrix((ones, numbers, [*begins, len(numbers)]), shape=(len(rows), keys.count))


@dataclass(frozen=True)
class Wide:
    """Weights of a text's `Keys`; their sum is added to the logits.

    Attributes:
        keys: numbering of pieces and pairs.
        weight: float16 (keys, logits).
    """

    keys: Keys
    weight: np.ndarray

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute float32 logits (texts, logits) from the token ids of each text, (sequence,)."""
        return self.sums(rows).astype(np.float32)

    def sums(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute the same logits exactly, in float64; see `scorer.engine.wide.exact_sums`."""
        return exact_sums(self.keys, self.weight.astype(np.float32), rows)


@dataclass(frozen=True)
class WideTraining:
    """A trained wide part by itself: not yet rounded, and with a bias of its own.

    Attributes:
        keys: numbering of pieces and pairs.
        weight: float32 (keys, logits).
        bias: float32 (logits,).
        steps: a step for each penalty that was tried.
        best: step of the penalty that was chosen.
        objective: objective that was minimised.
    """

    keys: Keys
    weight: np.ndarray
    bias: np.ndarray
    steps: tuple[Step, ...]
    best: Step
    objective: Objective

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute float32 logits (texts, logits) from the token ids of each text, (sequence,)."""
        return np.asarray(key_matrix(self.keys, rows) @ self.weight + self.bias, dtype=np.float32)

    def wide(self, share: "float | np.ndarray") -> Wide:
        """Return the wide part with its weights multiplied by ``share``; its bias belongs in the head's.

        Args:
            share: one factor, or one a logit, (logits,).
        """
        return Wide(self.keys, (share * self.weight).astype(np.float16))

    def on(self, texts: Texts, weights: np.ndarray | None = None) -> "WideTraining":
        """Train again on other texts, with weights (texts,) or equal ones, and with the penalty that was chosen."""
        fitted = fit_wide(self.keys, texts, self.objective, self.best.number, weights)
        return replace(self, weight=fitted.used.spread(fitted.weight), bias=fitted.bias)


def train_wide(
    train: Texts,
    validation: Texts,
    *,
    pieces: int,
    objective: Objective,
    settings: WideSettings,
    weights: Weights = NO_WEIGHTS,
) -> WideTraining:
    """Train a wide part: a linear model of keys, scaled by what the texts with each key have in common.

    Labels: logistic regression on keys scaled by naive Bayes log-count ratios (Wang and Manning 2012, 2.3). The ratios
    make the penalty cheap for keys whose counts alone separate the labels. With more than two labels, there is one
    regression for each label against all others, because each has ratios of its own. So it is with any number of labels a
    text.

    Numbers: ridge regression, or Huber's, on keys scaled by the shrunken mean target of the texts with the key. The mean
    does for a number what the ratio does for a label.

    Args:
        train: texts to train on.
        validation: texts that choose the penalty.
        pieces: number of pieces in the vocabulary.
        objective: objective to minimise.
        settings: settings of the training.
        weights: weights of the texts, for an objective of one label a text.
    """
    keys, grid = Keys(pieces, settings.pairs), Grid(settings.l2)
    matrices = [key_matrix(keys, rows) for rows, _ in (train, validation)]
    attempts = _attempts(matrices[0], train[1], matrices[1], objective, grid, weights[0])
    choice = choose(attempts, validation[1], objective, grid, weights[1])
    return training_of(keys, choice.model, choice, objective)


def cross_validate_wide(
    keys: Keys,
    texts: Texts,
    folds: Sequence[Fold],
    *,
    objective: Objective,
    settings: WideSettings,
    weights: Weights = NO_WEIGHTS,
) -> "Choice[tuple[Fitted, ...]]":
    """Train a wide part for each fold and each penalty; the loss of all held-out texts chooses a penalty for all folds.

    Args:
        keys: numbering of pieces and pairs.
        texts: all texts.
        folds: texts to train on and to hold out.
        objective: objective to minimise.
        settings: settings of the training.
        weights: weights of all texts in training, and in the choice.
    """
    matrix, targets = key_matrix(keys, texts[0]), texts[1]
    grid, held_out = Grid(settings.l2), held_out_rows(folds)
    of_folds = [
        _attempts(
            matrix[fold.train],
            targets[fold.train],
            matrix[fold.held_out],
            objective,
            grid,
            scaled(weights[0], fold.train),
        )
        for fold in folds
    ]
    return choose(across(folds, of_folds), targets[held_out], objective, grid, scaled(weights[1], held_out))


def fit_wide(keys: Keys, texts: Texts, objective: Objective, l2: float, weights: np.ndarray | None = None) -> "Fitted":
    """Train a wide part with one penalty; see `train_wide`."""
    matrix = key_matrix(keys, texts[0])
    return next(_attempts(matrix, texts[1], matrix[:0], objective, [l2], weights)).model


@dataclass(frozen=True)
class Fitted:
    """Weights of the used keys, float32 (used, logits), and biases, float32 (logits,)."""

    used: "_Used"
    weight: np.ndarray
    bias: np.ndarray


def training_of(keys: Keys, fitted: Fitted, choice: Choice[Any], objective: Objective) -> WideTraining:
    """Return a wide part with the weights of all keys, and with the steps of its choice."""
    weight = fitted.used.spread(fitted.weight)
    return WideTraining(keys, weight, fitted.bias, in_order(choice.steps), choice.best, objective)


def _attempts(
    train: scipy.sparse.csr_matrix,
    targets: np.ndarray,
    held_out: scipy.sparse.csr_matrix,
    objective: Objective,
    strengths: Iterable[float],
    weights: np.ndarray | None,
) -> Iterator[Attempt[Fitted]]:
    """Yield a wide part for each strength of the penalty."""
    used = _used(train)
    matrix, others = used.of(train), used.of(held_out)
    for l2 in strengths:
        fitted = Fitted(used, *_fit(matrix, targets, objective, l2, weights, used.count))
        logits, held_out_logits = (some @ fitted.weight + fitted.bias for some in (matrix, others))
        yield Attempt(l2, loss_of(objective, logits, targets, weights), held_out_logits, fitted)


@dataclass(frozen=True)
class _Used:
    """Keys of the training texts; with few texts these are few of all keys. The weight of any other stays 0.

    Attributes:
        numbers: number of each key that a text has, int64 (used,).
        count: number of all keys.
    """

    numbers: np.ndarray
    count: int

    def of(self, matrix: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
        """Return the columns of these keys, (texts, used)."""
        return matrix[:, self.numbers]

    def spread(self, weight: np.ndarray) -> np.ndarray:
        """Return the weights of all keys, float32 (keys, logits), given those of these, (used, logits)."""
        every = np.zeros((self.count, weight.shape[1]), dtype=np.float32)
        every[self.numbers] = weight
        return every


def _used(matrix: scipy.sparse.csr_matrix) -> _Used:
    return _Used(np.unique(matrix.indices), matrix.shape[1])


def _fit(
    matrix: scipy.sparse.csr_matrix,
    targets: np.ndarray,
    objective: Objective,
    l2: float,
    weights: np.ndarray | None,
    count: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit float32 weights (used, logits) and biases (logits,).

    Args:
        matrix: used keys of the texts.
        targets: targets of the texts.
        objective: objective to minimise.
        l2: strength of the penalty.
        weights: weights of the texts; None for equal ones.
        count: number of all keys.
    """
    with threads_for(len(targets)):
        if isinstance(objective, Value):
            fitted = [_value(matrix, targets[:, 0], objective.delta, l2)]
        else:
            of_texts = objective.text_weights(targets, weights)
            fitted = [_one_against_others(matrix, one, of_texts, l2, count) for one in _indicators(targets, objective)]
    weight, bias = zip(*fitted, strict=True)
    return np.stack(weight, axis=1).astype(np.float32), np.array(bias, dtype=np.float32)


def _indicators(targets: np.ndarray, objective: Objective) -> list[np.ndarray]:
    """Return the texts that have the label of each logit, bool (texts,) each."""
    if isinstance(objective, AnyOf):
        return list(targets.T == 1)
    labels = [1] if objective.logit_count == 1 else range(objective.logit_count)
    return [targets == label for label in labels]


def _one_against_others(
    matrix: scipy.sparse.csr_matrix, is_it: np.ndarray, weights: np.ndarray | None, l2: float, count: int
) -> tuple[np.ndarray, float]:
    """Fit weights (used,) and the bias of one label's logit."""
    inside, outside = (1 + np.asarray(matrix[rows].sum(axis=0)).ravel() for rows in (is_it, ~is_it))
    unused = count - len(inside)  # each counts once on both sides
    ratio = np.log(inside / (inside.sum() + unused)) - np.log(outside / (outside.sum() + unused))
    span = span_of(_scaled(matrix, ratio))
    # Each step on few axes is quick, so that the optimum itself is reached.
    tolerance = _EXACT if span.given is not None else _CLOSE
    model = LogisticRegression(C=1 / (l2 * len(is_it)), max_iter=1000, tol=tolerance)
    model.fit(span.features, is_it, weights)
    return ratio * span.weights(model.coef_[0]), float(model.intercept_[0])


def _value(matrix: scipy.sparse.csr_matrix, values: np.ndarray, delta: float, l2: float) -> tuple[np.ndarray, float]:
    """Fit weights (used,) and the bias of standardised values.

    Args:
        matrix: used keys of the texts.
        values: values, float64 (texts,), with a mean of about 0.
        delta: largest residual that counts squared; larger values count as much for the means.
        l2: strength of the penalty.
    """
    counts = np.asarray(matrix.sum(axis=0)).ravel()
    means = matrix.T @ np.clip(values, -delta, delta) / (counts + _SHRINKAGE)
    span = span_of(_scaled(matrix, means))
    weight, bias = huber(span.features, values, l2, delta)
    return means * span.weights(weight), bias


def _scaled(matrix: scipy.sparse.csr_matrix, factors: np.ndarray) -> scipy.sparse.csr_matrix:
    return matrix @ scipy.sparse.diags(factors.astype(np.float32))
