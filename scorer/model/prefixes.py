"""Beginnings of long texts with the same first tokens as the whole, so that the rest is never tokenized.

A text may be cut right before a blank that follows a character, if the tokenizer treats the two sides of the cut
independently. The tokenizers of the BERT family do:

- BertNormalizer and the Unicode forms change characters one by one, or together with combining marks, and a blank
  combines with nothing;
- BertPreTokenizer and the pattern of ByteLevel never put a blank into the same piece as the character before it;
- WordPiece and BPE work within a piece;
- added tokens, which are matched before all that, contain no blank.

One normaliser looks across blanks: the one that removes ``<br />``. A tag torn by the cut is at the very end, because
only blanks may be between ``<br`` and the cut. So the first tokens are safe if a few more follow them, which is checked.

If a text has no blank for long (Chinese, rows of dashes), it may be cut anywhere, if many more tokens follow those that
count. A cut changes only the piece that it is in, and WordPiece makes a limited number of tokens from a piece.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

BR_TAG = r"(?i)<br\s*/?>"
"""The only pattern of a Replace normaliser that is known to be safe."""

# Tokens that must follow those that count after a cut before a blank: a torn tag is two or three.
_MARGIN = 8

_KEEPING = frozenset({"Lowercase", "NFC", "NFD"})
_DELETING = frozenset({"BertNormalizer", "NFKC", "NFKD", "StripAccents"})
_PIECES = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_CUT = re.compile(r"(?<=\S)[ \t\n\r]")

# WordPiece makes one unknown token from a word longer than max_input_chars_per_word, however long it is, and none from
# blanks, however many there are.
_LONG_WORD = 256
# The same for a cut anywhere: the tokens of a torn piece, and of a torn added token.
_WIDE_MARGIN = 2 * _LONG_WORD + _MARGIN
_LONG_RUN = re.compile(
    rf"(?<![A-Za-z0-9])([A-Za-z0-9]{{{_LONG_WORD}}})[A-Za-z0-9]+"
    rf"|(?<![ \t\n\r])([ \t\n\r])[ \t\n\r]{{{_LONG_WORD},}}"
)


class Beginning(NamedTuple):
    """A beginning of a text, and the number of tokens that must follow those that count for it to replace the whole."""

    text: str
    margin: int


class Cutting(NamedTuple):
    """The cuts that a tokenizer allows.

    Attributes:
        texts: whether a text may be cut before a blank.
        runs: whether very long words and runs of blanks may be shortened, and a text may be cut anywhere.
    """

    texts: bool
    runs: bool


def cutting(settings: Mapping[str, Any]) -> Cutting:
    """Return the cuts that are known to be safe before a tokenizer with these settings.

    Args:
        settings: contents of its ``tokenizer.json``.
    """
    model, pieces = settings.get("model") or {}, settings.get("pre_tokenizer") or {}
    normalizer, added = settings.get("normalizer"), settings.get("added_tokens") or []
    if not all(_holds_no_blank(token) for token in added):
        return Cutting(False, False)
    if pieces.get("type") == "ByteLevel":  # blanks belong to pieces there, so none may be added or removed
        texts = model.get("type") == "BPE" and pieces.get("use_regex", True) and _is_local(normalizer, _KEEPING)
        return Cutting(bool(texts), False)
    local = pieces.get("type") in _PIECES and _is_local(normalizer, _KEEPING | _DELETING)
    runs = (
        model.get("type") == "WordPiece"
        and model.get("max_input_chars_per_word", _LONG_WORD) < _LONG_WORD
        and not any(token.get("normalized", True) or token["content"][0].isalnum() for token in added)
        and all(len(token["content"]) < _LONG_WORD for token in added)
    )
    return Cutting(local and model.get("type") in ("WordPiece", "BPE"), local and runs)


def beginnings(text: str, length: int, runs: bool) -> Iterator[Beginning]:
    """Yield beginnings of a text, each longer than the one before, and finally the whole text with its runs shortened.

    Args:
        text: any text.
        length: least length of the first beginning, in characters; it may be twice as long, to end before a blank.
        runs: whether runs may be shortened and words may be cut, see `Cutting`.

    >>> list(beginnings("a film of some length", 5, runs=False))
    [Beginning(text='a film', margin=8), Beginning(text='a film of some length', margin=0)]
    """
    if len(text) > length and (cut := _CUT.search(text, length, 2 * length)):
        yield Beginning(text[: cut.start()], _MARGIN)
        length = 8 * cut.start()
    if runs and len(text) > length:
        text = _LONG_RUN.sub(r"\1\2", text)
    while 2 * length < len(text):
        if cut := _CUT.search(text, length, 2 * length if runs else len(text)):
            yield Beginning(text[: cut.start()], _MARGIN)
        elif runs:
            yield Beginning(text[: 2 * length], _WIDE_MARGIN)
        length = 8 * (cut.start() if cut else length)
    yield Beginning(text, 0)


def _is_local(normalizer: dict[str, Any] | None, known: frozenset[str]) -> bool:
    if normalizer is None:
        return True
    if normalizer.get("type") == "Sequence":
        return all(_is_local(step, known) for step in normalizer["normalizers"])
    if normalizer.get("type") == "Replace":
        return bool(normalizer["pattern"] == {"Regex": BR_TAG})
    return normalizer.get("type") in known


def _holds_no_blank(added_token: dict[str, Any]) -> bool:
    """Return whether an added token can never match across a blank, as it is or normalised."""
    content = added_token["content"]
    return not (re.search(r"\s", unicodedata.normalize("NFKC", content)) or re.search(BR_TAG, content))
