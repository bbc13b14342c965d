r"""Steps of a tokenizer's normaliser that clean texts of web pages, ahead of its encoder's own steps.

Each is a Replace normaliser, so that a bundle's ``tokenizer.json`` alone states them. They are known by their exact form:
to the guard against growing texts, to the cutting of long texts, and to the quick way for plain texts. So a release that
changes a pattern has to keep the old one known. A pattern means the same to the tokenizers library (Onigmo) as to `re`, in
texts without letters that are equal to an ASCII letter but for case (the long s, the Kelvin sign).

The blanks of a tag may be any number, and its words are shorter than those that `scorer.model.cutting` shortens. The zeros
of an entity are few. So a text has the same tags and entities after its long runs are shortened.
"""

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
_WORD = r"[^ \t\n\r<>]"
# The first word behind a tag's name has an =, so that "<i am not sure>" is no tag.
_ATTRIBUTES = rf"(?:{_BLANK}+[^ \t\n\r<>=]{{1,40}}={_WORD}{{0,200}}(?:{_BLANK}+{_WORD}{{1,200}}){{0,20}})?"


def _number(*numbers: int) -> str:
    """Return the pattern of a character of these numbers, in decimal or hexadecimal digits."""
    decimal, hexadecimal = ("|".join(format(number, kind) for number in numbers) for kind in "dx")
    return rf"#0{{0,4}}(?:{decimal});|#x0{{0,4}}(?:{hexadecimal});"


def _entity(names: str, *numbers: int) -> str:
    """Return the pattern of an entity by its names, whose semicolon people leave out at the end of a word, or numbers."""
    return rf"{_AMPERSAND}(?:(?:{names})(?:;|(?![0-9a-z]))|{_number(*numbers)})"


def _tag(names: str) -> str:
    """Return the pattern of tags, opening or closing; those without attributes may have been escaped."""
    escaped = rf"{_AMPERSAND}(?:lt;|{_number(60)})/?(?:{names}){_BLANK}*/?{_AMPERSAND}(?:gt;|{_number(62)})"
    return rf"(?i)(?:</?(?:{names}){_ATTRIBUTES}{_BLANK}*/?>|{escaped})"


_BLOCKS = (
    "article|aside|blockquote|br|center|dd|div|dl|dt|footer|h[1-6]|header|hr|img|li|main|nav|ol|p|pre|section|table|tbody|td|"
    "tfoot|th|thead|tr|ul"
)
_INLINE = "a|abbr|b|big|cite|code|em|font|i|small|span|strong|sub|sup|tt|u"
_TAGS = (Step(_tag(_BLOCKS), " "), Step(_tag(_INLINE), ""))
# Numbers from 128 to 159 are those of Windows-1252, whose bytes many pages took for Unicode.
_CHARACTERS = (
    Step(rf"(?i){_entity('nbsp|ensp|emsp|thinsp|bull|middot|reg|trade|copy', 9, 10, 13, 32, 149, 160, 8226)}", " "),
    Step(
        rf"(?i)(?:{_entity('quot|[blr]dquo|[lr]aquo', 34, 132, 147, 148, 8220, 8221, 8222)}"
        r"|[\u0084\u0093\u0094\u201c-\u201f])",
        '"',
    ),
    Step(
        rf"(?i)(?:{_entity('apos|[lr]squo|sbquo', 39, 130, 145, 146, 8216, 8217, 8218)}"
        r"|[\u0082\u0091\u0092\u2018-\u201b])",
        "'",
    ),
    Step(rf"(?i)(?:{_entity('[mn]dash', 45, 150, 151, 8211, 8212)}|[\u0096\u0097\u2010-\u2015])", "-"),
    Step(rf"(?i){_entity('hellip', 133, 8230)}", "..."),
    Step(rf"(?i){_entity('lt', 60)}", "<"),
    Step(rf"(?i){_entity('gt', 62)}", ">"),
    Step(r"(?i)&(?:(?:amp|#0{0,4}38|#x0{0,4}26);){1,4}", "&"),
    Step(r"[\u000b\u000c\u001c-\u001f\u0080\u0081\u0083\u0085-\u0090\u0095\u0098-\u009f\u200b\u2028\u2029]", " "),
)
CLEANING = (*_TAGS, *_CHARACTERS)
"""Steps of --clean-text in order: tags, then entities and other spellings of a character, then invisible separators."""

FULL_WIDTH = {"type": "NFKC"}
"""Normaliser behind `CLEANING`, which makes ordinary letters of those of full width."""

EMOJI_VARIANTS = Step("\u200d[\u2640\u2642]|[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]", "")
"""Step of --emoji: drops the marks that choose the look of an emoji, its skin tone and its gender."""
