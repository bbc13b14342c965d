"""The wide part: weights of a text's pieces and of its adjacent pairs, beside the encoder's few vectors.

Two words anywhere in a review often decide its label. Linear models of word pairs are hard to beat on long texts (Wang
and Manning 2012, "Baselines and Bigrams"). The sum is part of the graph: one look-up for each piece and pair, a
thousandth of the encoder's work. It covers the whole text, including the tokens that the encoder has no room for.

Each distinct piece or pair counts once, however often it occurs. On texts about films that training has not seen, this
is worth two points of accuracy (docs/ACCURACY.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
import torch
from sklearn.linear_model import LogisticRegression

from export.classifier.head import Step, loss, predict
from export.classifier.settings import WideSettings
from scorer.engine.wide import Keys, exact_sums

Texts = tuple[Sequence[np.ndarray], np.ndarray]
"""Token ids of each text, (sequence,), and label numbers, int64 (texts,)."""


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
    """

    keys: Keys
    weight: np.ndarray
    bias: np.ndarray
    steps: tuple[Step, ...]
    best: Step

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute float32 logits (texts, logits) from the token ids of each text, (sequence,)."""
        return np.asarray(key_matrix(self.keys, rows) @ self.weight + self.bias, dtype=np.float32)

    def wide(self, share: float) -> Wide:
        """Return the wide part with its weights multiplied by ``share``; its bias belongs in the head's."""
        return Wide(self.keys, (share * self.weight).astype(np.float16))

    def on(self, texts: Texts) -> "WideTraining":
        """Train again on other texts, with the penalty that was chosen."""
        weight, bias = _regression(key_matrix(self.keys, texts[0]), texts[1], self.weight.shape[1], self.best.number)
        return replace(self, weight=weight, bias=bias)


def train_wide(
    train: Texts, validation: Texts, *, pieces: int, label_count: int, settings: WideSettings
) -> WideTraining:
    """Train a wide part: logistic regression on keys scaled by naive Bayes log-count ratios (Wang and Manning 2012, 2.3).

    The ratios make the penalty cheap for keys whose counts alone separate the labels. With more than two labels there is
    one regression for each label against all others, because each has ratios of its own.

    Args:
        train: texts to train on.
        validation: texts that choose the penalty.
        pieces: number of pieces in the vocabulary.
        label_count: number of labels; two give one logit, more give C.
        settings: settings of the training.
    """
    keys = Keys(pieces, settings.pairs)
    matrix, held_out = key_matrix(keys, train[0]), key_matrix(keys, validation[0])
    steps: list[Step] = []
    best: tuple[Step, np.ndarray, np.ndarray] | None = None
    for l2 in settings.l2:
        weight, bias = _regression(matrix, train[1], 1 if label_count == 2 else label_count, l2)
        train_loss, validation_loss = (
            loss(torch.from_numpy(x @ weight + bias), torch.from_numpy(labels)).item()
            for x, labels in ((matrix, train[1]), (held_out, validation[1]))
        )
        accuracy = float(np.mean(predict(held_out @ weight + bias) == validation[1]))
        step = Step(l2, train_loss, validation_loss, accuracy)
        steps.append(step)
        if best is None or step.validation_loss < best[0].validation_loss:
            best = step, weight, bias
    assert best is not None, "at least one is tried"
    return WideTraining(keys, best[1], best[2], tuple(steps), best[0])


def _regression(
    matrix: scipy.sparse.csr_matrix, labels: np.ndarray, logits: int, l2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fit float32 weights (keys, logits) and biases (logits,)."""
    targets = [1] if logits == 1 else list(range(logits))
    fitted = [_one_against_others(matrix, labels == target, l2) for target in targets]
    return np.stack([weight for weight, _ in fitted], axis=1), np.array([bias for _, bias in fitted], dtype=np.float32)


def _one_against_others(matrix: scipy.sparse.csr_matrix, is_it: np.ndarray, l2: float) -> tuple[np.ndarray, float]:
    """Fit float32 weights (keys,) and the bias of one label's logit."""
    inside, outside = (1 + np.asarray(matrix[rows].sum(axis=0)).ravel() for rows in (is_it, ~is_it))
    ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    model = LogisticRegression(C=1 / (l2 * len(is_it)), max_iter=1000)
    # The weight of a key that no text has stays 0. With few texts these are nearly all keys, and most of the time.
    used = np.unique(matrix.indices)
    model.fit(matrix[:, used] @ scipy.sparse.diags(ratio[used].astype(np.float32)), is_it)
    weight = np.zeros(matrix.shape[1], dtype=np.float32)
    weight[used] = ratio[used] * model.coef_[0]
    return weight, float(model.intercept_[0])
