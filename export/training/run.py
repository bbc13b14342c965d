"""Inputs of a training run, which its stages share."""

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
        say: is given each line of the report.
    """

    dataset: Dataset
    tokens: Mapping[str, Tokens]
    settings: Settings
    say: Callable[[str], None]
