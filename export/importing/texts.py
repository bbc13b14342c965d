"""Texts that calibrate and judge an import: a random sample of a file, in two halves."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from export.bundle.golden import TEXTS
from export.data_files import each_row, each_text
from export.data_source import Columns
from export.errors import DatasetError
from export.importing.labels import Labels
from export.importing.settings import TextSettings
from export.importing.truth import truth_of
from export.raw_label import Label
from scorer.base.errors import UsageError
from scorer.base.messages import print_message
from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.model.tokenizer import Tokenizer

_Item = TypeVar("_Item")

_LEAST = 4  # texts: two to calibrate, two to judge


@dataclass(frozen=True)
class Sample:
    """Texts of a file, in its order.

    Attributes:
        texts: texts.
        raw: raw label of each; None without labels.
        of: number of texts in the file.
    """

    texts: list[str]
    raw: list[Label] | None
    of: int


@dataclass(frozen=True)
class Texts:
    """Texts with their token ids and labels.

    Attributes:
        texts: texts, each of which has a token.
        ids: token ids of each, (sequence,).
        truncated: whether each had tokens beyond those that are kept, bool (texts,).
        labels: label numbers int64 (texts,), 0 and 1 int64 (texts, labels) or values float64 (texts, outputs), by task; None
            without labels.
        of: number of texts in their file; 0 for the golden texts.
        calibrating, judging: numbers of the texts that calibrate, and of those that judge. The golden texts do both.
    """

    texts: list[str]
    ids: list[np.ndarray]
    truncated: np.ndarray
    labels: np.ndarray | None
    of: int
    calibrating: np.ndarray
    judging: np.ndarray

    @property
    def judging_ids(self) -> list[np.ndarray]:
        return [self.ids[row] for row in self.judging]

    @property
    def judging_texts(self) -> list[str]:
        return [self.texts[row] for row in self.judging]


def read_sample(settings: TextSettings, labels: Labels) -> Sample:
    """Read a random sample of a file, in one pass that holds no more texts than the sample has.

    Args:
        settings: settings of the texts.
        labels: labels of the model, whose task decides what the label column holds.

    Raises:
        DatasetError: the file has no texts, or a record without a usable label.
        UsageError, InputError, ScorerError: the file or a column is missing, or cannot be read.
    """
    if settings.label_column is None:
        texts = each_text(settings.file, settings.text_column, settings.reading)
        chosen, of = reservoir(texts, settings.most, settings.seed)
        return Sample(chosen, None, of)
    columns = _columns(settings.text_column, settings.label_column, settings.label_separator, labels)
    rows = each_row(settings.file, columns, settings.reading)
    found, of = reservoir(((row.text, row.label) for row in rows), settings.most, settings.seed)
    return Sample([text for text, _ in found], [label for _, label in found], of)


def _columns(text: str | None, label: str, separator: str | None, labels: Labels) -> Columns:
    outputs = len(labels.names) if labels.task == REGRESSION else 1
    if separator is not None and labels.task != MULTI_LABEL and outputs == 1:
        raise UsageError(
            f"--label-separator is for several labels or values a text; the model gives one ({labels.task}). Omit it."
        )
    return Columns(text, label, task=labels.task, separator=separator, outputs=outputs)


def reservoir(items: Iterable[_Item], most: int, seed: int) -> tuple[list[_Item], int]:
    """Choose items at random, each with the same chance, in one pass; return them in their order, and how many there were.

    This is algorithm R of Vitter 1985, "Random sampling with a reservoir".

    Args:
        items: items to choose from.
        most: largest number to choose.
        seed: seed of the choice.

    >>> reservoir("abc", 5, 0)
    (['a', 'b', 'c'], 3)
    """
    rng = random.Random(seed)
    chosen: list[tuple[int, _Item]] = []
    count = 0
    for item in items:
        place = count if count < most else rng.randrange(count + 1)
        if place == len(chosen) < most:
            chosen.append((count, item))
        elif place < most:
            chosen[place] = (count, item)
        count += 1
    return [item for _, item in sorted(chosen, key=lambda one: one[0])], count


def prepared(sample: Sample, tokenizer: Tokenizer, labels: Labels, seed: int) -> Texts:
    """Tokenize a sample and divide it; a text without a token, which `score` rejects, is dropped with a warning.

    Raises:
        DatasetError: a label is not one of the model's, or too few texts are left.
    """
    numbers = None
    if sample.raw is not None:
        numbers, are_ids = truth_of(sample.raw, labels)
        if are_ids:
            named = ", ".join(f"{one} for {name}" for one, name in sorted(zip(labels.ids, labels.names, strict=True)))
            print_message(f"The texts have the model's ids as labels: {named}.")
    tokens = tokenizer.encode(sample.texts)
    kept = np.flatnonzero(~np.array(tokens.empty, dtype=bool))
    if len(kept) < len(sample.texts):
        print_message(
            f"{len(sample.texts) - len(kept):,} of the texts have no token; `score` would reject them, and they are ignored.",
            "warning",
        )
    if len(kept) < _LEAST:
        raise DatasetError(
            f"--texts has {len(kept)} usable texts; at least {_LEAST} are needed, and some hundred to prove anything."
        )
    order = np.random.default_rng(seed).permutation(len(kept))
    half = len(kept) // 2
    return Texts(
        texts=[sample.texts[row] for row in kept],
        ids=[tokens.ids[row] for row in kept],
        truncated=np.array(tokens.truncated)[kept],
        labels=None if numbers is None else numbers[kept],
        of=sample.of,
        calibrating=np.sort(order[:half]),
        judging=np.sort(order[half:]),
    )


def golden_texts(tokenizer: Tokenizer) -> Texts:
    """Return the golden texts, for an import without texts."""
    every, tokens = np.arange(len(TEXTS)), tokenizer.encode(TEXTS)
    return Texts([*TEXTS], tokens.ids, np.array(tokens.truncated), None, 0, every, every)
