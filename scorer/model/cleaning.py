r"""Steps of a tokenizer's normaliser that clean the text of reviews from web pages, ahead of its encoder's own steps.

Each is a Replace normaliser, so that a bundle's ``tokenizer.json`` alone states them. The patterns mean the same to the
tokenizers library (Onigmo) and, in ASCII texts, to `re`. They are known by their exact form: to the guard against growing
texts, to the cutting of long texts, and to the quick way for plain texts. A changed pattern must leave the old one known.
"""

from typing import Any, NamedTuple

BR_TAG = r"(?i)<br\s*/?>"
"""The only pattern of bundles of earlier releases; it stays known."""


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


# An & that was escaped up to three times.
_AMPERSAND = r"(?:amp|#0{0,4}38|#x0{0,4}26);"


def _entity(names: str, *numbers: int) -> str:
    """Return the pattern of an entity by its names and by the numbers of its character.

    People leave out the semicolon of a name at the end of a word. The zeros of a number are few, and so are the escaped &:
    a very long word that is shortened (`scorer.model.cutting`) must not become an entity.
    """
    decimal = "|".join(map(str, numbers))
    hexadecimal = "|".join(f"{number:x}" for number in numbers)
    return (
        rf"&(?:{_AMPERSAND}){{0,3}}"
        rf"(?:(?:{names})(?:;|(?![0-9a-z]))|#0{{0,4}}(?:{decimal});|#x0{{0,4}}(?:{hexadecimal});)"
    )


def _tag(names: str) -> str:
    """Return the pattern of a tag, opening or closing, with or without attributes.

    The first word behind the name must have an =, so that "<i am not sure>" stays. Blanks may be any number, words may
    not be as long as those that are shortened: neither changes what is a tag.
    """
    words = r"[ \t\n\r]+[^ \t\n\r<>=]{1,40}=[^ \t\n\r<>]{0,200}(?:[ \t\n\r]+[^ \t\n\r<>]{1,200}){0,20}"
    return rf"(?i)</?(?:{names})(?:{words})?[ \t\n\r]*/?>"


# Numbers from 128 to 159 are those of Windows-1252, whose characters many pages took for Unicode ones.
_DECODING = (
    Step(rf"(?i){_entity('nbsp|ensp|emsp|thinsp|bull|middot|reg|trade|copy', 9, 10, 13, 32, 149, 160, 8226)}", " "),
    Step(
        rf"(?i){_entity('quot|[blr]dquo|[lr]aquo', 34, 132, 147, 148, 8220, 8221, 8222)}"
        r"|[\u0084\u0093\u0094\u201c-\u201f]",
        '"',
    ),
    Step(
        rf"(?i){_entity('apos|[lr]squo|sbquo', 39, 130, 145, 146, 8216, 8217, 8218)}"
        r"|[\u0082\u0091\u0092\u2018-\u201b]",
        "'",
    ),
    Step(rf"(?i){_entity('[mn]dash', 45, 150, 151, 8211, 8212)}|[\u0096\u0097\u2010-\u2015]", "-"),
    Step(rf"(?i){_entity('hellip', 133, 8230)}", "..."),
    Step(rf"(?i){_entity('lt', 60)}", "<"),
    Step(rf"(?i){_entity('gt', 62)}", ">"),
)
_TAGS = (
    Step(
        _tag(
            "article|aside|blockquote|br|center|dd|div|dl|dt|footer|h[1-6]|header|hr|img|li|main|nav|ol|p|pre|section|table|"
            "tbody|td|tfoot|th|thead|tr|ul"
        ),
        " ",
    ),
    Step(_tag("a|abbr|b|big|cite|code|em|font|i|small|span|strong|sub|sup|tt|u"), ""),
)
CLEANING = (
    *_DECODING,
    *_TAGS,
    Step(rf"(?i)&(?:{_AMPERSAND}){{1,4}}", "&"),
    Step(r"[\u000b\u000c\u001c-\u001f\u0080\u0081\u0083\u0085-\u0090\u0095\u0098-\u009f\u200b\u2028\u2029]", " "),
)
"""Steps of --clean-text, in order: entities, then tags (which may have been escaped), then & and invisible separators."""

FULL_WIDTH = {"type": "NFKC"}
"""Normaliser behind `CLEANING`, which makes ordinary letters of those of full width."""

EMOJI_VARIANTS = Step("\u200d[\u2640\u2642]|[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]", "")
"""Step of --emoji: drops the marks that choose the look of an emoji, its skin tone and its gender."""
