"""Sampled texts as the model reads them: tokens, windows, and the texts that the wide part alone decides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scorer.base import signals
from scorer.base.timing import Stopwatch
from scorer.model.loaded import LoadedModel
from scorer.model.tokenizer import Tokens
from scorer.model.windows import tokens_read


@dataclass(frozen=True)
class ReadTexts:
    """Texts as the model reads them: arrays with a value for every text.

    Attributes:
        ids: token ids of each text, int64 (sequence,).
        tokens: number of them, int64 (texts,).
        truncated, empty: bool (texts,), as in `scorer.model.tokenizer.Tokens`.
        early: bool (texts,), true if the wide part alone decides.
        windows: number of windows that the encoder reads, int64 (texts,).
        work: number of tokens that the encoder computes, those of all windows, int64 (texts,).
        clock, cores: seconds that reading them took, on the clock and on all cores.
    """

    ids: Sequence[np.ndarray]
    tokens: np.ndarray
    truncated: np.ndarray
    empty: np.ndarray
    early: np.ndarray
    windows: np.ndarray
    work: np.ndarray
    clock: float
    cores: float

    @property
    def deep(self) -> list[np.ndarray]:
        """Token ids of the texts that the encoder computes."""
        return [ids for ids, work in zip(self.ids, self.work.tolist(), strict=True) if work]


def read_texts(texts: Sequence[str], scorer: LoadedModel) -> ReadTexts:
    """Tokenize texts, and ask the wide part of a cascade which of them it decides."""
    watch = Stopwatch()
    tokens = Tokens([], [], [])
    early: list[bool] = []
    for start in range(0, len(texts), scorer.chunk_rows):
        signals.check()
        with watch:
            found = scorer.tokenizer.encode(texts[start : start + scorer.chunk_rows])
            early += _early(found, scorer)
        tokens.ids.extend(found.ids)
        tokens.truncated.extend(found.truncated)
        tokens.empty.extend(found.empty)
    lengths, empty, decided = (np.array(values) for values in (list(map(len, tokens.ids)), tokens.empty, early))
    computed = ~(empty.astype(bool) | decided.astype(bool))
    return ReadTexts(
        tokens.ids,
        lengths.astype(np.int64),
        np.array(tokens.truncated, dtype=bool),
        empty.astype(bool),
        decided.astype(bool),
        np.array([_windows(length, scorer) for length in lengths.tolist()], dtype=np.int64) * computed,
        np.array([tokens_read(scorer.manifest, scorer.windows, length) for length in lengths.tolist()], dtype=np.int64)
        * computed,
        watch.busy,
        watch.cores,
    )


def _early(tokens: Tokens, scorer: LoadedModel) -> list[bool]:
    """Return whether the wide part alone decides each text; a text without a token is not decided at all."""
    some = [ids for ids, empty in zip(tokens.ids, tokens.empty, strict=True) if not empty]
    if scorer.cascade is None or not some:
        return [False] * len(tokens.ids)
    decided = iter(scorer.wide_alone(Tokens(some, [False] * len(some), [False] * len(some))).early.tolist())
    return [not empty and next(decided) for empty in tokens.empty]


def _windows(length: int, scorer: LoadedModel) -> int:
    rule = scorer.windows
    return 1 if rule is None or length <= rule.length else rule.tokens(length) // rule.length
