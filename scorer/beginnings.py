"""The beginning of a long text that has the same first tokens as the whole, so that the rest is never tokenized.

A text may be cut right before a blank that follows something else, if the tokenizer treats what is before and what is
after such a place independently. That holds for the tokenizers of the BERT family:

- BertNormalizer and the Unicode forms change characters one by one, or together with combining marks, and a blank
  combines with nothing;
- BertPreTokenizer and ByteLevel's pattern never put a blank behind something else into one piece with it;
- WordPiece and BPE work within a piece.

One normaliser looks across blanks: the one that removes ``<br />``. A tag that the cut tears apart was at the very
end, because blanks are all that may stand between ``<br`` and the cut. So the first tokens are safe if there are some
more behind them, and that is asked for (`MARGIN`).
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from scorer.errors import BundleError

BR_TAG = r"(?i)<br\s*/?>"
"""The only pattern of a Replace normaliser that is known to be safe."""

MARGIN = 8
"""Tokens beyond those that are kept, for a cut to be trusted; a torn tag is two or three."""

_FORMS = {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"}
_PIECES = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_CUT = re.compile(r"(?<=\S)[ \t\n\r]")

# WordPiece makes one unknown token of a word of more than max_input_chars_per_word characters, however long it is,
# and none of blanks, however many there are.
_LONG_WORD = 256
_LONG_RUN = re.compile(rf"([A-Za-z0-9]{{{_LONG_WORD}}})[A-Za-z0-9]+|([ \t\n\r])[ \t\n\r]{{{_LONG_WORD},}}")


class Cutting(NamedTuple):
    """What a tokenizer allows.

    Attributes:
        texts: a text may be cut before a blank.
        runs: words and blanks without end may be shortened.
    """

    texts: bool
    runs: bool


def cutting(tokenizer_json: bytes) -> Cutting:
    """What may be done to texts before this tokenizer sees them; nothing where it is not known to be safe."""
    try:
        settings = json.loads(tokenizer_json)
        model, pieces = settings["model"], settings["pre_tokenizer"] or {}
        local = pieces.get("type") in _PIECES or (pieces.get("type") == "ByteLevel" and pieces.get("use_regex", True))
        added = [token["content"] for token in settings.get("added_tokens", [])]
        texts = (
            model["type"] in ("WordPiece", "BPE")
            and local
            and _is_local(settings["normalizer"])
            and not any(re.search(r"\s", content) for content in added)
        )
        runs = (
            texts
            and model["type"] == "WordPiece"
            and model["max_input_chars_per_word"] < _LONG_WORD
            and not any(content.isalnum() for content in added)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"tokenizer.json cannot be read: {type(error).__name__}: {error}") from error
    return Cutting(texts, runs)


def beginnings(text: str, length: int, runs: bool) -> Iterator[str]:
    """Beginnings of a text, each longer than the one before, the last one equal to the whole (its runs shortened).

    Args:
        text: any text.
        length: of the first beginning, in characters; the next place to cut is taken.
        runs: whether runs may be shortened, see `Cutting`.

    >>> list(beginnings("a film of some length", 5, runs=False))
    ['a film', 'a film of some length']
    """
    if len(text) > length and (cut := _CUT.search(text, length, 2 * length)):
        yield text[: cut.start()]
    if runs and len(text) > length:
        text = _LONG_RUN.sub(r"\1\2", text)
    while (length := 8 * length) < len(text):
        if not (cut := _CUT.search(text, length)):
            break
        yield text[: cut.start()]
    yield text


def _is_local(normalizer: dict[str, Any] | None) -> bool:
    if normalizer is None:
        return True
    if normalizer["type"] == "Sequence":
        return all(map(_is_local, normalizer["normalizers"]))
    if normalizer["type"] == "Replace":
        return bool(normalizer["pattern"] == {"Regex": BR_TAG})
    return normalizer["type"] in _FORMS
