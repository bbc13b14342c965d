"""Labels that a model doubts, by confident learning, and unlabelled texts that are worth a label.

Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", Journal of Artificial
Intelligence Research 70. All probabilities here are of models that were not trained on the text.
"""

from dataclasses import dataclass

import numpy as np

_CANDIDATES = 5
"""Unsure texts among which each of those to label is chosen."""


@dataclass(frozen=True)
class Doubts:
    """Doubts about the labels of texts.

    Attributes:
        own: probability of each text's given label, its self-confidence, float64 (texts,): the smaller, the more suspicious.
            On real texts with flipped labels it ranked better than its difference to the likeliest other label.
        likeliest: number of the likeliest label, int64 (texts,).
        suspected: whether each label is probably wrong, bool (texts,).
        joint: estimated number of texts by given and true label, float64 (labels, labels).
    """

    own: np.ndarray
    likeliest: np.ndarray
    suspected: np.ndarray
    joint: np.ndarray

    @property
    def wrong_share(self) -> float:
        """Estimated share of wrong labels."""
        return float(1 - np.trace(self.joint) / self.joint.sum())


def doubts_of(probabilities: np.ndarray, labels: np.ndarray) -> Doubts:
    """Find labels that are probably wrong.

    A text counts as one of a label if that label's probability reaches the mean over the texts with the label. As many texts are suspected as count as one of another label: those with the lowest self-confidence, if another
    label is likelier.

    Args:
        probabilities: float64 (texts, labels).
        labels: given label numbers, int64 (texts,).

    >>> sure, unsure, wrong = [0.9, 0.1], [0.6, 0.4], [0.2, 0.8]
    >>> found = doubts_of(np.array([sure, unsure, wrong, wrong, wrong]), np.array([0, 0, 0, 1, 1]))
    >>> found.suspected.tolist(), found.likeliest.tolist(), round(found.wrong_share, 2)
    ([False, False, True, False, False], [0, 0, 1, 1, 1], 0.2)
    """
    own, likeliest = probabilities[np.arange(len(labels)), labels], probabilities.argmax(axis=1)
    counted = _counted(probabilities, limits_of(probabilities, labels))
    least = np.argsort(own, kind="stable")[: np.count_nonzero((counted >= 0) & (counted != labels))]
    suspected = np.zeros(len(labels), dtype=bool)
    suspected[least] = likeliest[least] != labels[least]
    return Doubts(own, likeliest, suspected, _joint(counted, labels, probabilities.shape[1]))


def limits_of(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean probability of each label over the texts with it, float64 (labels,); infinite for one without texts.

    >>> limits_of(np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.2, 0.8, 0.0]]), np.array([0, 0, 1])).tolist()
    [0.7, 0.8, inf]
    """
    count = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    texts = np.bincount(labels, minlength=count)
    sums = np.bincount(labels, weights=own, minlength=count)
    return np.where(texts > 0, sums / np.maximum(texts, 1), np.inf)


def _counted(probabilities: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return the label that each text counts as: the likeliest of those whose limits it reaches, or -1 for none."""
    reached = np.where(probabilities >= limits, probabilities, -1.0)
    return np.where(reached.max(axis=1) < 0, -1, reached.argmax(axis=1))


def _joint(counted: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Return the number of texts by given label and the one that they count as, scaled to the texts of each given label.

    Equation 1 of the paper. A label none of whose texts counts as any is taken to be right.
    """
    found = np.zeros((count, count))
    known = counted >= 0
    np.add.at(found, (labels[known], counted[known]), 1.0)
    nothing = np.flatnonzero(found.sum(axis=1) == 0)
    found[nothing, nothing] = 1.0
    scale = np.bincount(labels, minlength=count) / found.sum(axis=1)
    return np.asarray(found * scale[:, np.newaxis])


def worth_labelling(probabilities: np.ndarray, vectors: np.ndarray, most: int) -> np.ndarray:
    """Choose unlabelled texts to label next: unsure ones that differ from each other.

    The candidates are the texts with the smallest difference between the two highest probabilities (margin sampling:
    Scheffer, Decomain and Wrobel 2001). After the one with the smallest, each next one is the furthest from those chosen so
    far (farthest-first traversal: Gonzalez 1985), so that the first ones already differ.

    Args:
        probabilities: float64 (texts, labels).
        vectors: vectors of the texts, float (texts, hidden).
        most: largest number of texts to choose.

    Returns:
        numbers of the chosen texts, in the order in which they are chosen, int64 (chosen,)

    >>> unsure, sure = [0.5, 0.5], [0.9, 0.1]
    >>> alike, other = [1.0, 0.0], [0.0, 1.0]
    >>> worth_labelling(np.array([unsure, unsure, unsure, sure]), np.array([alike, alike, other, other]), 2).tolist()
    [0, 2]
    """
    two = np.sort(probabilities, axis=1)[:, -2:]
    candidates = np.argsort(two[:, 1] - two[:, 0], kind="stable")[: _CANDIDATES * most]
    return candidates[_farthest_first(vectors[candidates], min(most, len(candidates)))]


def _farthest_first(vectors: np.ndarray, count: int) -> np.ndarray:
    """Return so many numbers of vectors, from 0: each is the furthest by angle from those before it."""
    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    chosen: list[int] = []
    nearest = np.full(len(vectors), np.inf)
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, 1 - directions @ directions[chosen[-1]])
        nearest[chosen] = -np.inf
    return np.array(chosen, dtype=np.int64)
