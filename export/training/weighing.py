"""Weights of texts of several domains, so that neither a domain's number of texts nor its share of a label decides."""

from collections.abc import Sequence

import numpy as np

from export.training.settings import DomainSettings
from scorer.base.errors import UsageError
from scorer.base.text import did_you_mean


def domain_weights(domains: Sequence[str] | np.ndarray, settings: DomainSettings) -> np.ndarray:
    """Return the weight of each text by its domain, float64 (texts,), 1 on average.

    Raises:
        UsageError: there is a factor for a domain without texts.

    >>> domain_weights(["a"] * 4 + ["b"], DomainSettings(0.5)).round(3).tolist()
    [0.833, 0.833, 0.833, 0.833, 1.667]
    >>> domain_weights(["a"] * 4 + ["b"], DomainSettings(1, {"b": 2})).round(3).tolist()
    [0.833, 0.833, 0.833, 0.833, 1.667]
    """
    names, which, counts = np.unique(np.asarray(domains), return_inverse=True, return_counts=True)
    unknown = sorted(settings.factors.keys() - set(names.tolist()))
    if unknown:
        raise UsageError(
            f"--domain-weight names {unknown[0]!r}, which no training text is of: "
            + did_you_mean(unknown[0], names.tolist(), f"the domains are {', '.join(names.tolist())}.")
        )
    factors = np.array([settings.factors.get(name, 1.0) for name in names.tolist()])
    weights = (factors * counts.astype(np.float64) ** (settings.power - 1))[which]
    return np.asarray(weights / weights.mean())


def text_weights(labels: np.ndarray, domains: Sequence[str] | np.ndarray, settings: DomainSettings) -> np.ndarray:
    """Return the weight of each text by its domain and, within it, by its label, float64 (texts,), 1 on average.

    The labels of a domain do not change the weight of the domain.

    Args:
        labels: label numbers, int64 (texts,).
        domains: domain of each text.
        settings: settings of the weights.

    >>> text_weights(np.array([0, 0, 0, 0, 1]), ["a"] * 5, DomainSettings(0.5)).round(3).tolist()
    [0.833, 0.833, 0.833, 0.833, 1.667]
    """
    weights, names = domain_weights(domains, settings), np.asarray(domains)
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        within = domain_weights(labels[rows], DomainSettings(settings.power))
        weights[rows] *= within
    return weights
