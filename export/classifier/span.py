"""Features of few texts on as many axes as there are texts, which hold the optimum of any linear model of them.

The best weights under an L2 penalty are a sum of the texts' features (Kimeldorf and Wahba 1971, "Some results on
Tchebycheffian spline functions"). So 200 texts with 30,000 word pieces and pairs need 200 weights, not 30,000.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.linalg
import scipy.sparse

Matrix: TypeAlias = "np.ndarray | scipy.sparse.csr_matrix"

MOST_TEXTS = 2_000
"""Largest number of texts that are turned; the products of more texts cost as much as they save."""

# Share of the mean square of a text that is added to its own, so that equal texts have a Cholesky factor too.
_RIDGE = 1e-9


@dataclass(frozen=True)
class Span:
    """Features of texts, and the way back from weights of these features to weights of the given ones.

    Attributes:
        features: float64 (texts, texts), lower triangular, with the products of the given features; or those themselves.
        given: features that were turned, float64 (texts, keys); None if ``features`` are the given ones.
    """

    features: Matrix
    given: "Matrix | None" = None

    def weights(self, found: np.ndarray) -> np.ndarray:
        """Return the weights of the given features that are the same model as ``found``.

        Args:
            found: weights of the features, (features,) or (features, logits).

        Returns:
            (keys,) or (keys, logits)
        """
        if self.given is None:
            return found
        return np.asarray(self.given.T @ scipy.linalg.solve_triangular(self.features, found, trans="T", lower=True))


def span_of(features: Matrix, most: int = MOST_TEXTS) -> Span:
    """Turn the features of few texts with more features; keep those of others.

    The penalty stays what it was, since the weights of both features have the same length.

    Args:
        features: dense or sparse matrix (texts, keys).
        most: largest number of texts to turn.

    >>> span = span_of(scipy.sparse.csr_matrix([[1.0, 2, 0, 2]]))
    >>> span.features.round(6).tolist(), span.weights(np.array([3.0])).round(6).tolist()
    ([[3.0]], [1.0, 2.0, 0.0, 2.0])
    """
    texts, keys = features.shape
    if texts > most or texts >= keys:
        return Span(features)
    given = features.astype(np.float64)
    products = given @ given.T
    if not isinstance(products, np.ndarray):
        products = products.toarray()
    products[np.diag_indices(texts)] += _RIDGE * (products.trace() / texts or 1.0)
    return Span(scipy.linalg.cholesky(products, lower=True), given)
