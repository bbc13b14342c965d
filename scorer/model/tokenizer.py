"""Text to token ids, in the same way for training, checks and scoring."""

import base64
import contextlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import tokenizers

from scorer.base.errors import BundleError
from scorer.base.shortage import shortage
from scorer.model.bundle import TOKENIZER
from scorer.model.cleaning import CLEANING_NORMALIZERS
from scorer.model.cutting import NOWHERE, cutting
from scorer.model.plain_text import plain_tokenizer
from scorer.model.prefixes import Beginning, beginnings

# A text longer than this times the token limit is first tried by its beginning. English has 4 to 5 characters per token.
_CHARACTERS_A_TOKEN = 12
_REPLACEMENTS = 8
# Bytes that a table of a SentencePiece normaliser may insert for a character; NFKC has up to 33.
_ENTRY = 64
# Texts of which some tokenizers make no token, but hardly any makes none of all.
_PROBES = ("a", "0", "A b", "\u4e00", "!")
# Texts tokenized at a time: enough for many cores, while the tokenizers keep some 30 KB for each text.
_CHUNK = 1024


class Tokens(NamedTuple):
    """Token ids of a list of texts.

    Attributes:
        ids: token ids of each text, int64 (sequence,), special tokens included.
        truncated: whether each text had tokens beyond ``max_length`` that were cut off.
        empty: whether each text has only special tokens, as a text of zero-width characters does.
    """

    ids: list[np.ndarray]
    truncated: list[bool]
    empty: list[bool]


def unknown_share(ids: np.ndarray, unknown_id: int) -> float:
    """Return the share of unknown tokens in a text.

    >>> unknown_share(np.array([101, 100, 7, 102]), 100)
    0.25
    """
    return int(np.count_nonzero(ids == unknown_id)) / len(ids)  # a mean takes three times as long


@contextlib.contextmanager
def _blamed_on_the_file(*errors: type[Exception]) -> Iterator[None]:
    """Turn ``errors``, and those of the tokenizers library, into `BundleError`, because the file causes them."""
    try:
        yield
    except BaseException as error:
        # The library raises bare Exceptions, or panics with a class that cannot be imported.
        if not (type(error) is Exception or isinstance(error, errors) or type(error).__name__ == "PanicException"):
            raise
        if (short := shortage(error)) is not None:
            raise short from error
        raise BundleError(f"{TOKENIZER} cannot be used: {type(error).__name__}: {error}") from error


def _check_growth(normalizer: dict[str, Any] | None) -> None:
    """Raise `ValueError` if a text could grow without bound: each replacement can double it, one after the other."""
    steps, replaced, prepended, entry = [normalizer], [], [], 0
    while steps:
        step = steps.pop() or {}
        steps += step.get("normalizers", [])
        if step.get("type") == "Replace" and not _never_grows(step):
            replaced.append(step["content"])
        elif step.get("type") == "Prepend":
            prepended.append(step["prepend"])
        elif step.get("type") == "Precompiled":
            entry = max(entry, _longest_entry(step["precompiled_charsmap"]))
    if len(replaced) > _REPLACEMENTS or any(len(content) > 1 for content in (*replaced, *prepended)):
        raise ValueError(f"more than {_REPLACEMENTS} Replace normalizers, or one that inserts several characters")
    if entry > _ENTRY:
        raise ValueError(f"a Precompiled normalizer that inserts {entry} bytes for a character, more than {_ENTRY}")


def _never_grows(step: dict[str, Any]) -> bool:
    """Return whether a Replace normalizer adds at most a few characters to a text: it matches once, or never grows it."""
    pattern, content = step["pattern"], step["content"]
    if content == "" or step in CLEANING_NORMALIZERS:
        return True
    if pattern == {"Regex": "\\A\u2581"}:  # a blank of SentencePiece, at the beginning only
        return len(content) <= 2
    return "String" in pattern and len(content) <= len(pattern["String"]) > 0


def _longest_entry(charsmap: str) -> int:
    """Return the length in bytes of the longest replacement in a SentencePiece table: a trie, then its strings."""
    table = base64.b64decode(charsmap)
    strings = table[4 + int.from_bytes(table[:4], "little") :]
    return max(map(len, strings.split(b"\0")), default=0)


class Tokenizer:
    """A bundle's fast tokenizer; its file alone describes how text is cleaned and split.

    Args:
        tokenizer_json: bytes of ``tokenizer.json``.
        max_length: tokens kept of a text, special tokens included; the end of a longer text is cut off.

    Attributes:
        highest_id: highest id that it gives, be it of the vocabulary or around a text.
        unknown_id: id of the unknown token; -1 if the vocabulary has none.
        special_tokens: number of special tokens around a text.
        special_places: number of them before a text and after it.
        longest_added: number of characters of the longest added token; those are found in a text before all others.

    Raises:
        BundleError: the bytes are not a tokenizer, or ``max_length`` leaves no room for a token of text.
    """

    def __init__(self, tokenizer_json: bytes, max_length: int) -> None:
        with _blamed_on_the_file(ValueError, LookupError, TypeError, AttributeError, RecursionError):
            settings = json.loads(tokenizer_json)
            _check_growth(settings.get("normalizer"))
            self._tokenizer = tokenizers.Tokenizer.from_buffer(tokenizer_json)
            self._cutting = cutting(
                settings, normalizer.normalize_str if (normalizer := self._tokenizer.normalizer) else str
            )
            vocabulary, model = self._tokenizer.get_vocab(), settings["model"]
            unknown = model.get("unk_id")  # of Unigram; the others name the token
            self.unknown_id = vocabulary.get(model.get("unk_token") or "", -1) if unknown is None else int(unknown)
            # Those around a text have ids of their own in the file, which need not be in the vocabulary.
            self._tokenizer.no_padding()
            around = self._tokenizer.encode("").ids
        self.highest_id = max([*vocabulary.values(), self.unknown_id, *around], default=0)
        self.longest_added = max((len(token["content"]) for token in settings.get("added_tokens") or []), default=0)
        self.special_tokens = self._tokenizer.num_special_tokens_to_add(False)
        self.special_places = self._special_places()
        if max_length <= self.special_tokens:
            raise BundleError(
                f"max_length {max_length} leaves no room for text besides {self.special_tokens} special tokens"
            )
        # Replaces the file's own settings: some published files cut at 128 tokens and pad to 128.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        with _blamed_on_the_file(LookupError, TypeError, AttributeError):
            self._plain = plain_tokenizer(self._tokenizer, settings)
        if self._plain is not None:
            self._plain.tokenizer.enable_truncation(max_length)
        self.max_length = max_length

    def _special_places(self) -> tuple[int, int]:
        """Count the special tokens before and after a text by those of a text with any token of its own."""
        for probe in _PROBES:
            own = np.flatnonzero(np.array(self._tokenizer.encode(probe).special_tokens_mask) == 0)
            if len(own):
                return int(own[0]), self.special_tokens - int(own[0])
        return self.special_tokens, 0

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Tokenize ``texts`` on all cores, without offsets, with the GIL released.

        A text that is far too long is tokenized only up to where it has the same first tokens as the whole.
        """
        chunks = [texts[start : start + _CHUNK] for start in range(0, len(texts), _CHUNK)]
        if len(chunks) < 2:
            return self._tokens(self._encodings(texts))
        # While a chunk is tokenized, one core turns the ids of the previous one into arrays.
        tokens = Tokens([], [], [])
        with ThreadPoolExecutor(1, thread_name_prefix="tokenize") as ahead:
            coming = ahead.submit(self._encodings, chunks[0])
            for chunk in (*chunks[1:], None):
                encodings = coming.result()
                if chunk is not None:
                    coming = ahead.submit(self._encodings, chunk)
                more = self._tokens(encodings)
                tokens.ids.extend(more.ids)
                tokens.truncated.extend(more.truncated)
                tokens.empty.extend(more.empty)
        return tokens

    def with_offsets(self, texts: Sequence[str]) -> list[tokenizers.Encoding]:
        """Tokenize short texts with the characters of each token, and without special tokens.

        The result's ``ids`` and ``offsets`` have at most ``max_length`` tokens; ``overflowing`` has the others.
        """
        with _blamed_on_the_file():
            return self._tokenizer.encode_batch(list(texts), add_special_tokens=False)

    def untorn(self, text: str, cut: int) -> int:
        """Return the last place up to a cut that surely tears no tag or entity which the tokenizer would clean."""
        return self._cutting.untorn(text, cut)

    def vanishing(self, text: str) -> set[str]:
        """Return the control and format characters of a text that the tokenizer removes; it makes blanks of others.

        The library's offsets are wrong behind those that a table (Precompiled) removes from the beginning of a piece.
        """
        normalize = self._cutting.normalize
        controls = {one for one in set(text) if unicodedata.category(one)[0] == "C"}
        # Between letters, because one that becomes a blank is removed at the ends of a text.
        return {one for one in controls if normalize(f"a{one}a") == normalize("aa")}

    @property
    def runs(self) -> re.Pattern[str] | None:
        """Pattern of runs that may be replaced by their group without any change of tokens; None if unknown."""
        return self._cutting.runs

    def _tokens(self, encodings: Sequence[tokenizers.Encoding]) -> Tokens:
        ids = [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]
        return Tokens(
            ids,
            truncated=[bool(encoding.overflowing) for encoding in encodings],
            empty=[len(one) <= self.special_tokens for one in ids],
        )

    def _encodings(self, texts: Sequence[str]) -> list[tokenizers.Encoding]:
        longest = _CHARACTERS_A_TOKEN * self.max_length
        long = [number for number, text in enumerate(texts) if len(text) > longest] if self._cutting != NOWHERE else []
        tries = {number: beginnings(texts[number], longest, self._cutting) for number in long}
        tried = {number: next(tries[number]) for number in tries}
        encodings = self._encode(
            [tried[number].texts[0] if number in tried else text for number, text in enumerate(texts)]
        )
        while failed := [number for number in tried if not self._is_enough(encodings[number], tried[number])]:
            tried = {number: next(tries[number]) for number in failed}
            for number, encoding in zip(tried, self._encode([one.texts[0] for one in tried.values()]), strict=True):
                encodings[number] = encoding
        return encodings

    def _encode(self, texts: Sequence[str]) -> list[tokenizers.Encoding]:
        quick = self._plain
        plain = [None if quick is None else quick.plain(text) for text in texts]
        with _blamed_on_the_file():
            others = iter(
                self._tokenizer.encode_batch_fast(
                    [text for text, instead in zip(texts, plain, strict=True) if instead is None]
                )
            )
            if quick is None:
                return list(others)
            found = iter(quick.tokenizer.encode_batch_fast([instead for instead in plain if instead is not None]))
        return [next(others if instead is None else found) for instead in plain]

    def _is_enough(self, encoding: tokenizers.Encoding, beginning: Beginning) -> bool:
        """Return whether the tokens of a beginning are known to be those of the whole text."""
        encodings = [encoding, *self._encode(beginning.texts[1:])]
        return all(one.ids == encoding.ids and self._has_beyond(one, beginning.margin) for one in encodings)

    def _has_beyond(self, encoding: tokenizers.Encoding, margin: int) -> bool:
        """Return whether at least ``margin`` tokens follow those that are kept."""
        return sum(len(beyond.ids) - self.special_tokens for beyond in encoding.overflowing) >= margin
