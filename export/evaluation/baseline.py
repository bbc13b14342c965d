"""Baselines that a model has to beat: linear models on TF-IDF of words and word pairs, and the mean of numbers."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

NAME = "TF-IDF + logistic regression"
LABELS_NAME = "TF-IDF + one-vs-rest logistic regression, thresholds 0.5"
VALUES_NAME = "TF-IDF + ridge regression"
MEAN_NAME = "the mean"

Learner = Callable[[Sequence[str], np.ndarray, Sequence[str], int], np.ndarray]
"""Function that trains on texts, their truth, and scores others, given the number of labels; see `trained_on`."""

# Inverse of the L2 penalty. The values common in text classification are within half a point of each other on reviews.
_C = 10.0
_FOLDS = 5
_RUNS = 100


def trained_on(texts: Sequence[str], labels: np.ndarray, others: Sequence[str], label_count: int) -> np.ndarray:
    """Train a baseline on some texts and return its probabilities for others, float64 (others, labels).

    Its features are words and pairs of adjacent words, with sublinear counts, in rows of length one. Above 100 texts, a
    feature has to occur in at least two of them. If none does, as in scripts without spaces, each text gets the shares of
    the labels.

    Args:
        texts: texts to train on.
        labels: their label numbers, int64 (texts,).
        others: texts to score.
        label_count: number of labels; a label that does not occur gets probability 0.
    """
    found = np.tile(np.bincount(labels, minlength=label_count) / len(labels), (len(others), 1))
    features = _features(texts, others)
    if features is None or len(np.unique(labels)) < 2:
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # labels with few texts: `export.label_checks` has reported them
        model = LogisticRegression(C=_C, max_iter=1000).fit(features[0], labels)
    found[:, model.classes_] = model.predict_proba(features[1])
    return found


def labels_trained_on(texts: Sequence[str], truth: np.ndarray, others: Sequence[str], label_count: int) -> np.ndarray:
    """Train one baseline for each label; return the probability of each label, float64 (others, labels).

    A label that all or none of the texts have gets probability 1 or 0.

    Args:
        texts, others: as for `trained_on`.
        truth: labels of the texts, int64 (texts, labels), 0 or 1.
        label_count: number of labels.
    """
    found = np.tile(truth.mean(axis=0, dtype=np.float64), (len(others), 1))
    features = _features(texts, others)
    if features is None:
        return found
    for label in range(label_count):
        if len(np.unique(truth[:, label])) == 2:
            model = LogisticRegression(C=_C, max_iter=1000).fit(features[0], truth[:, label])
            found[:, label] = model.predict_proba(features[1])[:, 1]
    return found


def values_trained_on(texts: Sequence[str], truth: np.ndarray, others: Sequence[str], label_count: int) -> np.ndarray:
    """Train a ridge regression; return its values, float64 (others, outputs).

    Args:
        texts, others: as for `trained_on`.
        truth: values of the texts, float64 (texts, outputs).
        label_count: number of outputs.
    """
    features = _features(texts, others)
    if features is None:
        return mean_of(texts, truth, others, label_count)
    return np.asarray(Ridge().fit(features[0], truth).predict(features[1])).reshape(len(others), label_count)


def mean_of(texts: Sequence[str], truth: np.ndarray, others: Sequence[str], label_count: int) -> np.ndarray:
    """Return the mean value of some texts for each of the others, float64 (others, outputs); see `values_trained_on`."""
    return np.tile(truth.mean(axis=0), (len(others), 1))


def cross_validated(
    texts: Sequence[str], labels: np.ndarray, label_count: int, learner: Learner = trained_on
) -> np.ndarray:
    """Score each fifth of the texts with a baseline trained on the other fifths, float64 (texts, labels).

    The folds consist of runs of neighbours, because neighbours belong together in many files. Split between folds, they
    would make a text too easy to predict from its neighbours.

    Args:
        texts: texts to train on and to score.
        labels: their labels or values, as the learner takes them.
        label_count: number of labels.
        learner: baseline to train.
    """
    found = np.full((len(texts), label_count), 1 / label_count)
    runs = min(_RUNS, len(texts))
    fold = np.arange(len(texts)) * runs // len(texts) % _FOLDS
    for number in range(_FOLDS):
        inside = fold == number
        if inside.any() and not inside.all():
            some = [text for text, here in zip(texts, inside, strict=True) if not here]
            others = [text for text, here in zip(texts, inside, strict=True) if here]
            found[inside] = learner(some, labels[~inside], others, label_count)
    return found


def _features(
    texts: Sequence[str], others: Sequence[str]
) -> tuple[scipy.sparse.csr_matrix, scipy.sparse.csr_matrix] | None:
    """Return the features of some texts and of others; None if the vocabulary would be empty."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2 if len(texts) > 100 else 1, sublinear_tf=True)
    try:
        return vectorizer.fit_transform(texts), vectorizer.transform(others)
    except ValueError:
        return None
