"""A faster way to the same tokens for most texts: in ASCII, the normaliser only lowercases letters.

BertNormalizer looks up the Unicode class of each character and tracks its origin, which takes a third of the tokenizing
time. In ASCII it removes control characters, lowercases letters, and turns tabs and line ends into blanks.
BertPreTokenizer treats those as blanks anyway, and Python lowercases a text in almost no time.

Letters with accents, typographic marks and control characters are each normalised independently of their neighbours. The
tokenizer's own normaliser, applied to each of them, gives a table. The patterns of `scorer.model.cleaning` mean the same to
`re` in a text that has no other characters.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import tokenizers

from scorer.model.cleaning import (
    APART,
    CHARACTERS,
    EMOJI_VARIANTS,
    ESCAPED_TAGS,
    TAGS,
    TOGETHER,
    Step,
    first_steps,
    is_br_tag,
    steps_of,
)

_OTHER = re.compile(r"[^\t\n\r -~]")
# No combining marks, no joiners, and no letters that are equal to ASCII letters but for case.
_ALONE = [
    chr(number)
    for first, last in ((0x00, 0x24F), (0x200B, 0x200B), (0x2010, 0x2027), (0x2030, 0x205E), (0x20A0, 0x20BF))
    for number in range(first, last + 1)
    if _OTHER.match(chr(number)) and chr(number) not in "\u0130\u0131\u0149\u017f\u01f0"
]
# The blanks of these characters, as the tokenizers library knows them.
_BR_TAG = re.compile(r"<[bB][rR][\t-\r \x85\xa0]*/?>")


def _compiled(*steps: Step) -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(step.pattern), step.content) for step in steps]


_OF_TAGS, _OF_ENTITIES = _compiled(*TAGS), _compiled(*ESCAPED_TAGS, *CHARACTERS)


def _cleaned(text: str) -> str:
    """Apply `scorer.model.cleaning.CLEANING` to a text, but for characters that the table has."""
    if "<" in text:
        for pattern, content in _OF_TAGS:
            text = pattern.sub(content, text)
    if "&" in text:
        for pattern, content in _OF_ENTITIES:
            text = pattern.sub(content, text)
    return text.replace(APART, " ").replace(TOGETHER, "")


class PlainTokenizer:
    """A tokenizer of the BERT family for texts that are `plain`: it shares everything but the normaliser.

    Args:
        tokenizer: tokenizer that would give the same tokens.
        clean: function that applies the first steps of its normaliser.
        alone: text that the normaliser makes of each character besides printable ASCII that a plain text may have.
        lowercase: whether the normaliser lowercases letters.
        added: pattern of its added tokens, which it looks for in the text before any normalising or after it.
    """

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        clean: Callable[[str], str],
        alone: Mapping[str, str],
        *,
        lowercase: bool,
        added: re.Pattern[str] | None,
    ) -> None:
        self.tokenizer = tokenizers.Tokenizer(tokenizer.model)
        self.tokenizer.pre_tokenizer = tokenizer.pre_tokenizer
        self.tokenizer.post_processor = tokenizer.post_processor
        self._clean = clean
        self._alone = alone
        self._lowercase = lowercase
        self._added = added

    def plain(self, text: str) -> str | None:
        """Return the text to tokenize instead; None for a text that is not plain."""
        others = set(_OTHER.findall(text))
        if not others <= self._alone.keys() or self._has_added(text):
            return None
        text = self._clean(text)
        if others:
            text = _OTHER.sub(lambda other: self._alone[other[0]], text)
        if self._lowercase:
            text = text.lower()
        return None if self._has_added(text) else text

    def _has_added(self, text: str) -> bool:
        return self._added is not None and self._added.search(text) is not None


def plain_tokenizer(tokenizer: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> PlainTokenizer | None:
    """Return the faster tokenizer, or None for settings that it does not support.

    Args:
        tokenizer: tokenizer of a bundle.
        settings: contents of its ``tokenizer.json``.
    """
    steps = steps_of(settings.get("normalizer"))
    first = first_steps(steps)
    *between, last = steps[first:] or [{}]
    if last.get("type") != "BertNormalizer" or any(step != EMOJI_VARIANTS.normalizer for step in between):
        return None
    if (settings.get("pre_tokenizer") or {}).get("type") != "BertPreTokenizer":
        return None
    clean = _first_steps(steps[:first])
    contents = [str(token["content"]) for token in settings.get("added_tokens") or []]
    normalize = tokenizer.normalizer.normalize_str
    forms = {form for content in contents for form in (content, normalize(content))}
    if clean is None or any(not form or re.search(r"\s", form) for form in forms):
        return None
    lowercase = bool(last["lowercase"])
    return PlainTokenizer(
        tokenizer, clean, _table(normalize, forms, lowercase=lowercase), lowercase=lowercase, added=_any_of(forms)
    )


def _first_steps(steps: list[dict[str, Any]]) -> Callable[[str], str] | None:
    """Return the function that does the same as a normaliser's first steps; None for a replacement of another kind."""
    if not steps:
        return str
    if not is_br_tag(steps[0]):
        return _cleaned
    content = steps[0]["content"]
    # Other replacements would have to be normalised themselves.
    return (lambda text: _BR_TAG.sub(content, text) if "<" in text else text) if content in ("", " ") else None


def _table(normalize: Callable[[str], str], added: set[str], *, lowercase: bool) -> dict[str, str]:
    """Return the normalised form of each character that a plain text may have besides printable ASCII."""
    found = {character: normalize(character) for character in _ALONE if not any(character in form for form in added)}
    return {character: form for character, form in found.items() if not lowercase or form == form.lower()}


def _any_of(forms: set[str]) -> re.Pattern[str] | None:
    """Return a pattern of the added tokens that a plain text may have; None if it may have none."""
    some = sorted(
        form for form in forms if all(character in _ALONE or not _OTHER.match(character) for character in form)
    )
    return re.compile("|".join(map(re.escape, some))) if some else None
