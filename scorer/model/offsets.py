"""Characters of the window that decided a text, and of its words, so that a person finds them.

Offsets are slow and large, so only the beginning of a text that holds the window is tokenized with them. They are those of
the whole text, less the characters that the tokenizer removes, if four things hold:

- The beginning's tokens are those that were scored, up to the window's end. Tokens follow one another without gaps, and a
  known token has its characters.
- The cut tears no tag or entity that the tokenizer cleans.
- Another token follows. An unknown token ends at the same place unless the cut tears its piece, and then it is the last.
- More characters follow than an added token has. A torn one may become part of the unknown token before it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import tokenizers

from scorer.engine.windows import Windows
from scorer.model.outcomes import Outcomes
from scorer.model.tokenizer import Tokenizer

# English has 4 to 5 characters a token, so most texts need one try.
_CHARACTERS_A_TOKEN = 6
_LONGER = 4
# A normaliser may shorten a text before added tokens are found in it.
_NORMALIZED = 4
# Texts tokenized at a time, so that their offsets take little memory.
_CHUNK = 64
# Places of removed characters, in a text of which none was removed.
_NOTHING = np.zeros((1, 2), dtype=np.int64)

# Thai, Lao, Burmese, Khmer, and then Chinese and Japanese; Korean has blanks.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u312f\u31a0-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff]"
)

_Found = TypeVar("_Found")


class Characters(NamedTuple):
    """Range of a text's characters, as Python counts them: ``text[begin:end]``."""

    begin: int
    end: int


class Passage(NamedTuple):
    """Range of a text's own tokens.

    Attributes:
        text: text, as it was tokenized.
        own: ids of its own tokens as far as they are known, without special ones, int64 (sequence,).
        begin, end: numbers of the range's first token and of the first one after it.
    """

    text: str
    own: np.ndarray
    begin: int
    end: int


class Word(NamedTuple):
    """Neighbouring tokens that are the pieces of one word.

    Words are letters, marks and digits without blanks or other characters between them. In scripts that have no blanks
    between words, each token is a word.

    Attributes:
        begin, end: numbers of the first token and of the first one after it, as in `Passage`.
        characters: its characters, without blanks around them.
    """

    begin: int
    end: int
    characters: Characters


def deciding_characters(
    tokenizer: Tokenizer,
    windows: Windows,
    texts: Sequence[str],
    outcomes: Outcomes,
) -> list[Characters | None]:
    """Find the characters of each text's deciding window; a text that fits in one window has all of its characters.

    Args:
        tokenizer: tokenizer of the texts.
        windows: rule that cut them into windows.
        texts: texts that were scored.
        outcomes: their outcomes; a text that no window decided gets None.

    Returns:
        The characters of each text; also None for a text whose tokens could not be found again.
    """
    found: list[Characters | None] = [None] * len(texts)
    is_whole = (outcomes.windows == 1) & ~outcomes.truncated
    for at in np.flatnonzero(is_whole).tolist():
        found[at] = Characters(0, len(texts[at]))
    # Tokenized again: a text of the cache has no tokens, and few texts have several windows.
    cut = np.flatnonzero(~is_whole & (outcomes.decided_by > 0)).tolist()
    passages: dict[int, Passage] = {}
    for at, ids in zip(cut, tokenizer.encode([texts[at] for at in cut]).ids, strict=True):
        own = ids[windows.before : len(ids) - windows.after]
        passages[at] = Passage(texts[at], own, *windows.spans(len(own))[int(outcomes.decided_by[at]) - 1])
    for at, characters in zip(passages, characters_of(tokenizer, list(passages.values())), strict=True):
        found[at] = characters
    return found


def characters_of(tokenizer: Tokenizer, passages: Sequence[Passage]) -> list[Characters | None]:
    """Find the characters of passages; None for one whose tokens are not those of its text.

    Args:
        tokenizer: tokenizer of the texts.
        passages: passages of any texts.
    """
    return _in_beginnings(tokenizer, passages, _Beginning.characters)


def words_of(tokenizer: Tokenizer, passages: Sequence[Passage]) -> list[list[Word] | None]:
    """Find the words of passages; None for a passage whose tokens are not those of its text.

    A token without characters, which some tokenizers insert before a text, is in no word.

    Args:
        tokenizer: tokenizer of the texts.
        passages: passages of any texts.
    """
    return _in_beginnings(tokenizer, passages, _Beginning.words)


_Read = Callable[["_Beginning", Passage, tokenizers.Encoding], _Found | None]
"""Function that reads a passage from the tokens of a beginning; None if those may be others than the text's."""


def _in_beginnings(tokenizer: Tokenizer, passages: Sequence[Passage], read: _Read[_Found]) -> list[_Found | None]:
    found: list[_Found | None] = []
    for start in range(0, len(passages), _CHUNK):
        found += _some_in_beginnings(tokenizer, passages[start : start + _CHUNK], read)
    return found


def _some_in_beginnings(tokenizer: Tokenizer, passages: Sequence[Passage], read: _Read[_Found]) -> list[_Found | None]:
    found: list[_Found | None] = [None] * len(passages)
    tries = {at: _beginnings(passage, tokenizer) for at, passage in enumerate(passages)}
    while tries:
        # A text that has no further beginning stays without.
        tried = {at: one for at, more in tries.items() if (one := next(more, None)) is not None}
        encodings = tokenizer.with_offsets([beginning.text for beginning in tried.values()])
        for (at, beginning), encoding in zip(tried.items(), encodings, strict=True):
            found[at] = read(beginning, passages[at], encoding)
        tries = {at: more for at, more in tries.items() if at in tried and found[at] is None}
    return found


class _Beginning(NamedTuple):
    """Beginning of a text.

    Attributes:
        text: beginning, or that of the text without the removed characters.
        is_whole: whether nothing follows.
        margin: number of characters at its end whose tokens may be others than in the whole text.
        removed: places in ``text`` before which characters were removed, and their number so far, int64 (places, 2); the
            first place is the beginning.
    """

    text: str
    is_whole: bool
    margin: int
    removed: np.ndarray

    def characters(self, passage: Passage, encoding: tokenizers.Encoding) -> Characters | None:
        """Return the characters of a passage in the text; None if the beginning may have other tokens.

        Args:
            passage: passage of the same text.
            encoding: tokens of the beginning, without special ones.
        """
        begin, end = passage.begin, passage.end
        # Without some characters, other tokens may begin alike.
        known = len(passage.own) if self.is_whole else end
        if encoding.ids[:known] != passage.own[:known].tolist():
            return None
        first, last = _range(encoding.offsets[begin:end])
        follows = len(encoding.ids) > end or encoding.overflowing
        if not self.is_whole and (not follows or last + self.margin > len(self.text)):
            return None
        return self._originals(first, last)

    def words(self, passage: Passage, encoding: tokenizers.Encoding) -> list[Word] | None:
        """Return the words of a passage in the text; None if the beginning may have other tokens.

        Args:
            passage, encoding: as for `characters`.
        """
        if self.characters(passage, encoding) is None:
            return None
        found: list[Word] = []
        for at in range(passage.begin, passage.end):
            characters = self._without_blanks(passage.text, encoding.offsets[at])
            if characters is None:
                continue
            before = found[-1] if found else None
            if before is not None and before.end == at and _is_one_word(passage.text, before.characters, characters):
                both = Characters(before.characters.begin, max(before.characters.end, characters.end))
                found[-1] = Word(before.begin, at + 1, both)
            else:
                found.append(Word(at, at + 1, characters))
        return found

    def _without_blanks(self, text: str, offsets: tuple[int, int]) -> Characters | None:
        """Return the characters of a token in the whole text; None if it has none but blanks."""
        begin, end = self._originals(*offsets)
        shown = text[begin:end]
        begin += len(shown) - len(shown.lstrip())
        return Characters(begin, begin + len(shown.strip())) if shown.strip() else None

    def _originals(self, first: int, last: int) -> Characters:
        """Return the characters in the whole text of a range of characters."""
        start = self._original(first)
        return Characters(start, self._original(last - 1) + 1 if first < last else start)

    def _original(self, at: int) -> int:
        """Return the place in the whole text of a character."""
        number = int(np.searchsorted(self.removed[:, 0], at, side="right"))
        return at + int(self.removed[number - 1, 1])


def _range(offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the range that several tokens have together.

    Blanks and tokens that the tokenizer inserts, as some do before the first word, may have none.

    >>> _range([(0, 0), (2, 6), (7, 9), (9, 9)])
    (2, 9)
    >>> _range([(4, 4), (5, 5)])
    (4, 4)
    """
    some = [(first, last) for first, last in offsets if first < last] or offsets[:1]
    return min(first for first, _ in some), max(last for _, last in some)


def _is_one_word(text: str, before: Characters, after: Characters) -> bool:
    """Return whether two neighbouring tokens are pieces of one word, or of one character.

    >>> _is_one_word("films", Characters(0, 4), Characters(4, 5)), _is_one_word("film.", Characters(0, 4), Characters(4, 5))
    (True, False)
    >>> _is_one_word("電影", Characters(0, 1), Characters(1, 2)), _is_one_word("a b", Characters(0, 1), Characters(2, 3))
    (False, False)
    """
    if after.begin != before.end:
        return after.begin < before.end
    return all(
        unicodedata.category(one)[0] in "LMN" and not _UNSPACED.match(one)
        for one in text[after.begin - 1 : after.begin + 1]
    )


def _beginnings(passage: Passage, tokenizer: Tokenizer) -> Iterator[_Beginning]:
    """Yield ever longer beginnings of a text, then of the text with its long runs of blanks shortened.

    A text of which the tokenizer removes characters is yielded as a whole, first without them.
    """
    margin = _NORMALIZED * tokenizer.longest_added
    text, length = passage.text, _CHARACTERS_A_TOKEN * passage.end + margin
    runs, vanishing = tokenizer.runs, tokenizer.vanishing(passage.text)
    if vanishing:
        vanish = re.compile(f"[{re.escape(''.join(sorted(vanishing)))}]+")
        some = vanish if runs is None else re.compile(f"{runs.pattern}|{vanish.pattern}", runs.flags)
        thinned, removed = _without(some, text)
        yield _Beginning(thinned, True, margin, removed)
        length = len(text)
    removed = _NOTHING
    if length < len(text):
        yield _Beginning(text[: tokenizer.untorn(text, length)], False, margin, removed)
        length *= _LONGER
        if runs is not None:
            text, removed = _without(runs, text)
    while length < len(text):
        yield _Beginning(text[: tokenizer.untorn(text, length)], False, margin, removed)
        length *= _LONGER
    yield _Beginning(text, True, margin, removed)


def _without(pattern: re.Pattern[str], text: str) -> tuple[str, np.ndarray]:
    """Replace what a pattern matches by its group if it has one, as `scorer.model.prefixes` does.

    Returns:
        The text, and its places before which characters were removed with their number so far, int64 (places, 2).
    """
    kept, removed, at = [], [(0, 0)], 0
    total = length = 0
    for match in pattern.finditer(text):
        first, last = match.span(match.lastindex) if match.lastindex else (match.end(), match.end())
        kept += [text[at : match.start()], text[first:last]]
        length += match.start() - at + last - first
        total += match.end() - match.start() - (last - first)
        # The last character kept of a run stands for the run's last one.
        removed.append((length - (first < last), total))
        at = match.end()
    return "".join([*kept, text[at:]]), np.array(removed, dtype=np.int64)
