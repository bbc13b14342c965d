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
TAGS = (Step(_tag(_BLOCKS), " "), Step(_tag(_INLINE), ""))
ESCAPED_TAGS = (Step(_escaped_tag(_BLOCKS), " "), Step(_escaped_tag(_INLINE), ""))
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
SEPARATORS = Step(
    r"[\u000b\u000c\u001c-\u001f\u0080\u0081\u0083\u0085-\u0090\u0095\u0098-\u009f\u200b\u2028\u2029]", " "
)
CLEANING = (*TAGS, *ESCAPED_TAGS, *CHARACTERS, SEPARATORS)
"""Steps of --clean-text in order: tags, then entities and other spellings of a character, then invisible separators."""

FULL_WIDTH = {"type": "NFKC"}
"""Normaliser behind `CLEANING`, which makes ordinary letters of those of full width."""

EMOJI_VARIANTS = Step("\u200d[\u2640\u2642]|[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]", "")
"""Step of --emoji: drops the marks that choose the look of an emoji, its skin tone and its gender."""
