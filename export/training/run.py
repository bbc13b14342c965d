"""Inputs that all steps of a training run share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from export.data import Dataset
from export.training.settings import Settings
from scorer.model.tokenizer import Tokens


@dataclass(frozen=True)
class Run:
    """Inputs of a training run.

    Attributes:
        dataset: labelled texts.
        tokens: token ids of the splits ``train`` and ``test``.
        settings: settings of the bundle.
        report: callback for each line of the training log.
    """

    dataset: Dataset
    tokens: Mapping[str, Tokens]
    settings: Settings
    report: Callable[[str], None]
