r"""Steps of a tokenizer's normaliser that clean texts of web pages, ahead of its encoder's own steps.

Each is a Replace normaliser, so that a bundle's ``tokenizer.json`` alone states them. They are known by their exact form:
to the guard against growing texts, to the cutting of long texts, and to the quick way for plain texts. So a release that
changes a pattern has to keep the old one known. A pattern means the same to the tokenizers library (Onigmo) as to `re`, in
texts without letters that are equal to an ASCII letter but for case (the long s, the Kelvin sign).

The blanks of a tag may be any number, and its words are shorter than those that `scorer.model.cutting` shortens. The zeros
of an entity are few. So a text has the same tags and entities after its long runs are shortened.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Step(NamedTuple):
    """A Replace normaliser that never makes a text longer.

    Attributes:
        pattern: regular expression whose matches have at least as many characters as ``content``, and at least one.
        content: text that replaces each match.
    """

    pattern: str
    content: str

    @property
    def normalizer(self) -> dict[str, Any]:
        """The step as ``tokenizer.json`` states it."""
        return {"type": "Replace", "pattern": {"Regex": self.pattern}, "content": self.content}


BR_TAG = r"(?i)<br\s*/?>"
"""The only pattern that bundles of earlier releases have."""

# An & that was escaped up to three times more.
_AMPERSAND = r"&(?:(?:amp|#0{0,4}38|#x0{0,4}26);){0,3}"
_BLANK = r"[ \t\n\r]"
# Marks of removed tags until the last steps, so that what is left around one never becomes another tag or an entity.
APART, TOGETHER = "\u000b", "\u0007"
_WORD = r"[^ \t\n\r<>\u0007\u000b]"
# The first word behind a tag's name has an =, so that "<i am not sure>" is no tag.
_ATTRIBUTES = rf"(?:{_BLANK}+[^ \t\n\r<>=\u0007\u000b]{{1,40}}={_WORD}{{0,200}}(?:{_BLANK}+{_WORD}{{1,200}}){{0,20}})?"


def _number(*numbers: int) -> str:
    """Return the pattern of a character of these numbers, in decimal or hexadecimal digits."""
    decimal, hexadecimal = ("|".join(format(number, kind) for number in numbers) for kind in "dx")
    return rf"#0{{0,4}}(?:{decimal});|#x0{{0,4}}(?:{hexadecimal});"


def _entity(names: str, *numbers: int) -> str:
    """Return the pattern of an entity by its names, whose semicolon people leave out at the end of a word, or numbers."""
    return rf"{_AMPERSAND}(?:(?:{names})(?:;|(?![0-9a-z]))|{_number(*numbers)})"


def _tag(names: str) -> str:
    """Return the pattern of tags, opening or closing, with or without attributes."""
    return rf"(?i)</?(?:{names}){_ATTRIBUTES}{_BLANK}*/?>"


def _escaped_tag(names: str) -> str:
    """Return the pattern of tags without attributes whose < and > were escaped."""
    opening, closing = (rf"{_AMPERSAND}(?:{name};|{_number(number)})" for name, number in (("lt", 60), ("gt", 62)))
    return rf"(?i){opening}/?(?:{names}){_BLANK}*/?{closing}"


_BLOCKS = (
    "article|aside|blockquote|br|center|dd|div|dl|dt|footer|h[1-6]|header|hr|img|li|main|nav|ol|p|pre|section|table|tbody|td|"
    "tfoot|th|thead|tr|ul"
)
_INLINE = "a|abbr|b|big|cite|code|em|font|i|small|span|strong|sub|sup|tt|u"
TAGS = (Step(_tag(_BLOCKS), APART), Step(_tag(_INLINE), TOGETHER))
ESCAPED_TAGS = (Step(_escaped_tag(_BLOCKS), APART), Step(_escaped_tag(_INLINE), TOGETHER))
# Numbers from 128 to 159 are those of Windows-1252, whose bytes many pages took for Unicode. Alternatives take the library
# half the time of a class.
CHARACTERS = (
    Step(rf"(?i){_entity('nbsp|ensp|emsp|thinsp|bull|middot|reg|trade|copy', 9, 10, 13, 32, 149, 160, 8226)}", " "),
    Step(
        rf"(?i)(?:{_entity('quot|[blr]dquo|[lr]aquo', 34, 132, 147, 148, 8220, 8221, 8222)}"
        r"|\u201c|\u201d|\u201e|\u201f|\u0084|\u0093|\u0094)",
        '"',
    ),
    Step(
        rf"(?i)(?:{_entity('apos|[lr]squo|sbquo', 39, 130, 145, 146, 8216, 8217, 8218)}"
        r"|\u2018|\u2019|\u201a|\u201b|\u0082|\u0091|\u0092)",
        "'",
    ),
    Step(
        rf"(?i)(?:{_entity('[mn]dash', 45, 150, 151, 8211, 8212)}"
        r"|\u2010|\u2011|\u2012|\u2013|\u2014|\u2015|\u0096|\u0097)",
        "-",
    ),
    Step(rf"(?i){_entity('hellip', 133, 8230)}", "..."),
    Step(rf"(?i){_entity('lt', 60)}", "<"),
    Step(rf"(?i){_entity('gt', 62)}", ">"),
    Step(r"(?i)&(?:(?:amp|#0{0,4}38|#x0{0,4}26);){1,4}", "&"),
)
_SEPARATORS = (
    Step(r"[\u000b\u000c\u001c-\u001f\u0080\u0081\u0083\u0085-\u0090\u0095\u0098-\u009f\u200b\u2028\u2029]", " "),
    Step(TOGETHER, ""),
)
CLEANING = (*TAGS, *ESCAPED_TAGS, *CHARACTERS, *_SEPARATORS)
"""Steps of --clean-text in order: tags, then entities and other spellings of a character, then invisible separators."""

FULL_WIDTH = {"type": "NFKC"}
"""Normaliser behind `CLEANING`, which makes ordinary letters of those of full width."""

EMOJI_VARIANTS = Step("\u200d[\u2640\u2642]|[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]", "")
"""Step of --emoji: drops the marks that choose the look of an emoji, its skin tone and its gender."""

CLEANING_NORMALIZERS = [*(step.normalizer for step in CLEANING), FULL_WIDTH]
"""What --clean-text puts ahead of the steps of an encoder's normaliser."""


def steps_of(step: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the steps of a normaliser or pre-tokenizer, which may be sequences of sequences."""
    if step is None:
        return []
    if step.get("type") == "Sequence":
        return [one for inner in step.get("normalizers", step.get("pretokenizers", [])) for one in steps_of(inner)]
    return [step]


def is_br_tag(step: Mapping[str, Any]) -> bool:
    """Return whether a step replaces tags as those of earlier releases do."""
    return step.get("type") == "Replace" and step["pattern"] == {"Regex": BR_TAG}


def first_steps(steps: Sequence[dict[str, Any]]) -> int:
    """Return the number of a normaliser's first steps that clean the text before its encoder's own steps see it."""
    if steps[: len(CLEANING_NORMALIZERS)] == CLEANING_NORMALIZERS:
        return len(CLEANING_NORMALIZERS)
    return int(len(steps) > 0 and is_br_tag(steps[0]))


# Parts of a tag or an entity that begin it: as many words, and words as long, as the patterns above allow.
_OPEN_TAG = re.compile(r"<(?:[^ \t\n\r<>]{1,16}(?:[ \t\n\r]+[^ \t\n\r<>]{1,241}){0,21}[ \t\n\r]*)?|<[bB][rR]\s*/?")
_OPEN_ENTITY = re.compile(r"&[^&\s]{0,60}[ \t\n\r]*/?")
_OPEN_ESCAPED_TAG = re.compile(r"&[^&\s]{0,60}[ \t\n\r]*/?&[^&\s]{0,60}")


def opened_before(text: str, cut: int) -> int | None:
    """Return the beginning of a tag or an entity that a cut may tear; None if it surely tears none.

    >>> opened_before('a <p class="b"> c', 12), opened_before('a <p class="b"> c', 15)
    (2, None)
    """
    tag = text.rfind("<", 0, cut)
    if tag >= 0 and _OPEN_TAG.fullmatch(text, tag, cut):
        return tag
    last = text.rfind("&", 0, cut)
    before = text.rfind("&", 0, max(last, 0))
    if before >= 0 and _OPEN_ESCAPED_TAG.fullmatch(text, before, cut):
        return before
    return last if last >= 0 and _OPEN_ENTITY.fullmatch(text, last, cut) else None
