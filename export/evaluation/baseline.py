"""A baseline that a model has to beat: logistic regression on TF-IDF of words and word pairs."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

NAME = "TF-IDF + logistic regression"

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
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2 if len(texts) > 100 else 1, sublinear_tf=True)
    try:
        matrix: scipy.sparse.csr_matrix = vectorizer.fit_transform(texts)
    except ValueError:  # the vocabulary would be empty
        return found
    if len(np.unique(labels)) < 2:
        return found
    model = LogisticRegression(C=_C, max_iter=1000).fit(matrix, labels)
    found[:, model.classes_] = model.predict_proba(vectorizer.transform(others))
    return found


def cross_validated(texts: Sequence[str], labels: np.ndarray, label_count: int) -> np.ndarray:
    """Score each fifth of the texts with a baseline trained on the other fifths; see `trained_on`.

    The folds consist of runs of neighbours, because neighbours belong together in many files. Split between folds, they
    would make a text too easy to predict from its neighbours.
    """
    found = np.full((len(texts), label_count), 1 / label_count)
    runs = min(_RUNS, len(texts))
    fold = np.arange(len(texts)) * runs // len(texts) % _FOLDS
    for number in range(_FOLDS):
        inside = fold == number
        if inside.any() and not inside.all():
            some = [text for text, here in zip(texts, inside, strict=True) if not here]
            others = [text for text, here in zip(texts, inside, strict=True) if here]
            found[inside] = trained_on(some, labels[~inside], others, label_count)
    return found
