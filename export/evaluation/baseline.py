"""What a model has to beat: TF-IDF of words and word pairs, and logistic regression."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

NAME = "TF-IDF + logistic regression"

# Of the penalty; the usual ones of text classification do within half a point of each other on reviews.
_C = 10.0
_FOLDS = 5
_RUNS = 100


def trained_on(texts: Sequence[str], labels: np.ndarray, others: Sequence[str], label_count: int) -> np.ndarray:
    """Probabilities that a baseline trained on some texts gives others, float64 (others, labels).

    Words and pairs of neighbours that at least two texts hold, sublinear counts, rows of length one.

    Args:
        texts, labels: to train on, int64 (texts,).
        others: to score.
        label_count: of all labels; one that does not occur gets 0.

    Where no word is in two texts, as in scripts without spaces, it gives everyone the labels' shares.
    """
    found = np.tile(np.bincount(labels, minlength=label_count) / len(labels), (len(others), 1))
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2 if len(texts) > 100 else 1, sublinear_tf=True)
    try:
        matrix: scipy.sparse.csr_matrix = vectorizer.fit_transform(texts)
    except ValueError:  # its vocabulary would be empty
        return found
    if len(np.unique(labels)) < 2:
        return found
    model = LogisticRegression(C=_C, max_iter=1000).fit(matrix, labels)
    found[:, model.classes_] = model.predict_proba(vectorizer.transform(others))
    return found


def cross_validated(texts: Sequence[str], labels: np.ndarray, label_count: int) -> np.ndarray:
    """The same of texts for which there is nothing else to train on: each fifth by a baseline trained on the others.

    The fifths are runs of neighbours: in many files those belong together, and would be too easy to tell from another.
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
