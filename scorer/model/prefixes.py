"""The beginning of a long text that has the same first tokens as the whole, so that the rest is never tokenized.

A text may be cut right before a blank that follows something else, if the tokenizer treats what is before and what is
after such a place independently. That holds for the tokenizers of the BERT family:

- BertNormalizer and the Unicode forms change characters one by one, or together with combining marks, and a blank
  combines with nothing;
- BertPreTokenizer and ByteLevel's pattern never put a blank behind something else into one piece with it;
- WordPiece and BPE work within a piece;
- added tokens, which are looked for before all that, hold no blank.

One normaliser looks across blanks: the one that removes ``<br />``. A tag that the cut tears apart was at the very
end, because blanks are all that may stand between ``<br`` and the cut. So the first tokens are safe if there are some
more behind them, and that is asked for.

Where there is no blank for long (Chinese, rows of dashes) a text may be cut anywhere, if many more tokens are behind
those that count: a cut changes nothing but the piece that it is in, and WordPiece makes a limited number of tokens of a
piece.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

BR_TAG = r"(?i)<br\s*/?>"
"""The only pattern of a Replace normaliser that is known to be safe."""

# Tokens that have to be there beyond those that count, for a cut before a blank: a torn tag is two or three.
_MARGIN = 8

_KEEPING = frozenset({"Lowercase", "NFC", "NFD"})
_DELETING = frozenset({"BertNormalizer", "NFKC", "NFKD", "StripAccents"})
_PIECES = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_CUT = re.compile(r"(?<=\S)[ \t\n\r]")

# WordPiece makes one unknown token of a word of more than max_input_chars_per_word characters, however long it is,
# and none of blanks, however many there are.
_LONG_WORD = 256
# The same for a cut anywhere: the tokens of the piece that is cut, and of an added token that is.
_WIDE_MARGIN = 2 * _LONG_WORD + _MARGIN
_LONG_RUN = re.compile(
    rf"(?<![A-Za-z0-9])([A-Za-z0-9]{{{_LONG_WORD}}})[A-Za-z0-9]+"
    rf"|(?<![ \t\n\r])([ \t\n\r])[ \t\n\r]{{{_LONG_WORD},}}"
)


class Beginning(NamedTuple):
    """A beginning of a text, and how many tokens it must have beyond those that count to be as good as the whole."""

    text: str
    margin: int


class Cutting(NamedTuple):
    """What a tokenizer allows.

    Attributes:
        texts: a text may be cut before a blank.
        runs: words and blanks without end may be shortened, and a text may be cut anywhere.
    """

    texts: bool
    runs: bool


def cutting(settings: Mapping[str, Any]) -> Cutting:
    """What may be done to texts before a tokenizer with these settings sees them; nothing where it is not known to be safe.

    Args:
        settings: what its ``tokenizer.json`` says.
    """
    model, pieces = settings.get("model") or {}, settings.get("pre_tokenizer") or {}
    normalizer, added = settings.get("normalizer"), settings.get("added_tokens") or []
    if not all(_holds_no_blank(token) for token in added):
        return Cutting(False, False)
    if pieces.get("type") == "ByteLevel":  # blanks are pieces there, so none may come or go before it
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
    """Beginnings of a text, each longer than the one before, the last one equal to the whole (its runs shortened).

    Args:
        text: any text.
        length: of the first beginning, in characters, or up to twice that: there is a place to cut.
        runs: whether runs may be shortened and words be cut, see `Cutting`.

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
    """Whether an added token cannot match across a blank, as it is or normalised."""
    content = added_token["content"]
    return not (re.search(r"\s", unicodedata.normalize("NFKC", content)) or re.search(BR_TAG, content))
