"""Texts that calibrate and judge an import: a random sample of a file, in two halves."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from export.bundle.golden import TEXTS
from export.data import each_row, each_text
from export.data_source import Columns
from export.errors import DatasetError
from export.importing.labels import Labels, numbers_of
from export.importing.settings import TextSettings
from scorer.base.messages import print_message
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
    raw: list[str] | None
    of: int


@dataclass(frozen=True)
class Texts:
    """Texts with their token ids and labels.

    Attributes:
        texts: texts, each of which has a token.
        ids: token ids of each, (sequence,).
        labels: label numbers, int64 (texts,); None without labels.
        of: number of texts in their file; 0 for the golden texts.
        calibrating, judging: numbers of the texts that calibrate, and of those that judge. The golden texts do both.
    """

    texts: list[str]
    ids: list[np.ndarray]
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


def read_sample(settings: TextSettings) -> Sample:
    """Read a random sample of a file, in one pass that holds no more texts than the sample has.

    Raises:
        DatasetError: the file has no texts, or a record without a usable label.
        UsageError, InputError, ScorerError: the file or a column is missing, or cannot be read.
    """
    found, of = reservoir(_pairs(settings), settings.most, settings.seed)
    raw = None if settings.label_column is None else [label for _, label in found]
    return Sample([text for text, _ in found], raw, of)


def _pairs(settings: TextSettings) -> Iterator[tuple[str, str]]:
    """Yield each text of a file with its raw label, which is empty without labels."""
    if settings.label_column is None:
        yield from ((text, "") for text in each_text(settings.file, settings.text_column, settings.reading))
    else:
        columns = Columns(settings.text_column, settings.label_column)
        yield from ((row.text, row.label) for row in each_row(settings.file, columns, settings.reading))


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
        numbers, are_ids = numbers_of(sample.raw, labels)
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
        labels=None if numbers is None else numbers[kept],
        of=sample.of,
        calibrating=np.sort(order[:half]),
        judging=np.sort(order[half:]),
    )


def golden_texts(tokenizer: Tokenizer) -> Texts:
    """Return the golden texts, for an import without texts."""
    every = np.arange(len(TEXTS))
    return Texts([*TEXTS], tokenizer.encode(TEXTS).ids, None, 0, every, every)
