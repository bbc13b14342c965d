"""Variants of a text that differ in how it was typed, stored or copied, not in what a person reads.

Each function takes a text and a generator of random numbers. Tags and entities that a text has already stay as they are.
"""

import re
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

TYPOS = 0.05
"""Share of a text's words that get a typo."""

Change = Callable[[str, Random], str]

_MARKUP = re.compile(r"<[a-zA-Z/!][^<>]{0,200}>|&#?[0-9a-zA-Z]{2,8};")
_WORD = re.compile(r"[^\W\d_]{4,}")
_BLANKS = re.compile(r"\s+")
_TO_MARK_UP = re.compile(r"""['"&<>]|(?<=[\w.!?]) (?=\w)|(?<!['\w])\w+(?!['\w])""")

_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {key: row[max(at - 1, 0) : at] + row[at + 1 : at + 2] for row in _KEYS for at, key in enumerate(row)}
_SPACES = ("\v", "\f", "\x85", "\t", "  ")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F) if chr(code).isalnum()}
_ENTITIES = {
    "'": ("&#39;", "&#x27;", "&rsquo;"),
    '"': ("&quot;", "&#34;"),
    "&": ("&amp;",),
    "<": ("&lt;",),
    ">": ("&gt;",),
}
_BREAKS = ("<br />", "<br><br>", "</p><p>", "\n<br>\n")
_TAGS = ("b", "i", "em", "strong")


def upper_case(text: str, random: Random) -> str:
    """Write all letters in upper case.

    >>> upper_case("Good &amp; cheap.<br>", Random(0))
    'GOOD &amp; CHEAP.<br>'
    """
    return _outside_markup(text, str.upper)


def typos(text: str, random: Random) -> str:
    """Change one letter of some words with at least four letters: `TYPOS` of all words of the text on average.

    Two neighbours change places, or a letter is missing, doubled, or replaced by a neighbour on the keyboard. The first
    letter stays.

    >>> typos("A lovely place, and friendly people everywhere, so we will come back again soon.", Random(3))
    'A lovely place, and friendly people everywhere, so we wiill come back again soon.'
    """
    eligible = sum(len(_WORD.findall(part)) for part in _MARKUP.split(text))
    share = TYPOS * len(text.split()) / max(eligible, 1)

    def changed(word: re.Match[str]) -> str:
        return _mistyped(word[0], random) if random.random() < share else word[0]

    return _outside_markup(text, lambda part: _WORD.sub(changed, part))


def _mistyped(word: str, random: Random) -> str:
    """Return a word with a typo."""
    at, kind = random.randrange(1, len(word) - 1), random.choice(("swapped", "missing", "replaced", "doubled"))
    before, letter, after = word[:at], word[at], word[at + 1 :]
    if kind == "swapped" and after[0] != letter:
        return before + after[0] + letter + after[1:]
    if kind == "missing":
        return before + after
    if kind == "replaced" and letter in _NEIGHBOURS:
        return before + random.choice(_NEIGHBOURS[letter]) + after
    return before + letter + letter + after


def markup(text: str, random: Random) -> str:
    """Write a text as HTML: a paragraph with entities, some breaks between sentences, and some emphasized words.

    >>> markup('It is "fine" & cheap.', Random(1))
    '<p>It is &#34;fine&#34; &amp; cheap.</p>'
    """

    def marked_up(found: re.Match[str]) -> str:
        piece, chance = found[0], random.random()
        if piece in _ENTITIES:
            return random.choice(_ENTITIES[piece])
        if piece != " ":
            tag = random.choice(_TAGS)
            return f"<{tag}>{piece}</{tag}>" if chance < 0.05 else piece
        if found.string[found.start() - 1] in ".!?":
            return random.choice(_BREAKS) if chance < 0.3 else " "
        return "&nbsp;" if chance < 0.05 else " "

    return f"<p>{_outside_markup(text, lambda part: _TO_MARK_UP.sub(marked_up, part))}</p>"


def white_space(text: str, random: Random) -> str:
    """Replace each run of blanks by a vertical tab, a form feed, a next line (U+0085), a tab or two spaces.

    >>> white_space("good and cheap", Random(0))
    'good\\tand\\tcheap'
    """
    return _outside_markup(text, lambda part: _BLANKS.sub(lambda blank: random.choice(_SPACES), part))


def full_width(text: str, random: Random) -> str:
    """Replace ASCII letters and digits by their full-width forms.

    >>> print(ascii(full_width("OK!", Random(0))))
    '\\uff2f\\uff2b!'
    """
    return _outside_markup(text, lambda part: part.translate(_WIDE))


def zero_width(text: str, random: Random) -> str:
    """Add characters without width: after or instead of half of the blanks, and inside of a tenth of the words.

    >>> print(ascii(zero_width("It is good and cheap", Random(2))))
    'It\\u200bis\\u200bgood and cheap'
    """

    def blank(found: re.Match[str]) -> str:
        chance = random.random()
        return "\u200b" if chance < 0.25 else f"{found[0]}\u200b" if chance < 0.5 else found[0]

    def word(found: re.Match[str]) -> str:
        if random.random() >= 0.1:
            return found[0]
        at = random.randrange(1, len(found[0]))
        return found[0][:at] + random.choice("\u200d\ufeff") + found[0][at:]

    return _outside_markup(text, lambda part: _BLANKS.sub(blank, _WORD.sub(word, part)))


VARIANTS: Mapping[str, Change] = MappingProxyType(
    {
        "upper case": upper_case,
        "typos": typos,
        "entities and markup": markup,
        "white space": white_space,
        "full width": full_width,
        "zero width": zero_width,
    }
)
"""Functions that make the variants, by name."""


def variant(name: str, text: str, seed: int) -> str:
    """Return a variant of a text, which depends on name, text and seed alone."""
    return VARIANTS[name](text, Random(f"{seed} {name} {text}"))


def _outside_markup(text: str, change: Callable[[str], str]) -> str:
    """Apply a change to the parts of a text between its tags and entities.

    >>> _outside_markup("a<br/>b&amp;c", str.upper)
    'A<br/>B&amp;C'
    """
    pieces, end = [], 0
    for found in _MARKUP.finditer(text):
        pieces += [change(text[end : found.start()]), found[0]]
        end = found.end()
    return "".join([*pieces, change(text[end:])])
