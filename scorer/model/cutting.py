r"""Places where a long text may be cut, so that the tokens before the cut are those of the whole text.

A text may be cut right before a blank that follows a character, if the tokenizer treats the two sides of the cut
independently. These parts of a tokenizer do:

- BertNormalizer, Lowercase, Nmt and the Unicode forms change characters one by one, or together with combining marks,
  and a blank combines with nothing.
- Strip and Prepend change only the two ends. A text that is cut before a blank does not end in one.
- Replace changes only what it matches. A pattern without a blank cannot match across the cut. The known patterns of runs
  of blanks match only behind the cut, because the character before it is not a blank. Those of the two ends do what Strip
  and Prepend do.
- The steps of `scorer.model.cleaning` match tags and entities, and no text is cut inside of one. They may remove what is
  next to the cut, or make blanks of it. So the character before the blank must not end a tag or an entity, nor be a mark
  that becomes a blank; before Precompiled, the one behind it must not begin one.
- Precompiled replaces grapheme clusters by a table. It may be any table, so two things are needed. The blank must be a
  cluster of its own: the character before it must not be one that joins the next (Prepend), and the one behind it must
  not be a mark. And the tokenizer's own normaliser, tried on each blank, must give something that separates pieces.
- BertPreTokenizer, Whitespace, WhitespaceSplit, Metaspace and the known patterns of byte-level tokenizers never put a
  blank into the same piece as the character before it. Punctuation and Digits only split further.
- WordPiece, BPE, Unigram and WordLevel work within a piece. The BPE and Unigram of SentencePiece may get the whole text
  as one piece. They treat the two sides independently if no token of the vocabulary has a blank after another character.
  Then BPE has no merge across the cut, and the best path of Unigram has a node that ends there.
- Added tokens, which are matched before all that, have no blank after another character.

Byte-level tokenizers may also be cut between a letter and a punctuation mark, which are never in the same piece.

If a text has no such place for long (Chinese, rows of dashes), some tokenizers allow a cut anywhere:

- With WordPiece, if many more tokens follow those that count. A cut changes only the piece that it is in, and WordPiece
  makes a limited number of tokens from a piece.
- With Unigram, if many cuts agree. The path to a position depends only on the text before it, and a token has at most
  ``window`` characters. So of any ``window`` positions in a row, the path of the whole text passes through one. If the
  beginnings up to each of them have the same first tokens, the whole text has them, too. The characters there must be
  ones that the normaliser turns into one character each, independently of their neighbours.

Byte-level BPE has no such place in a single word, because one merge depends on all others in the word.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from scorer.model.cleaning import BR_TAG, EMOJI_VARIANTS, first_steps, opened_before, steps_of

# WordPiece makes one unknown token from a word longer than max_input_chars_per_word, however long it is, and none from
# blanks, however many there are.
LONG_WORD = 256

# Blanks belong to the pieces of a byte-level tokenizer, so that its normaliser may neither add nor remove any.
_KEEPING = frozenset({"Lowercase", "NFC", "NFD"})
_PER_CHARACTER = _KEEPING | {"BertNormalizer", "NFKC", "NFKD", "Nmt", "StripAccents"}
_LOCAL = _PER_CHARACTER | {"Precompiled", "Strip", "Prepend"}
_RUNS_OF_BLANKS = frozenset({r" {2,}", r"\s{2,}|[\n\r\t]", r"[\n\r\t]", r"\n", r"\s+"})
_AT_THE_ENDS = frozenset({(r"\A +| +\z", ""), (r"\A +|(?<! ) +\z", ""), ("\\A\u2581", "\u2581\u2581")})

_SPLITTING = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit"})
_SPLITTING_FURTHER = frozenset({"Punctuation", "Digits"})
_MODELS = frozenset({"WordPiece", "BPE", "Unigram", "WordLevel"})

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# These take line ends into the piece of the punctuation before them, so only a space separates pieces.
_LATER = [
    rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{numbers}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
    for numbers in (r"\p{N}{1,3}", r"\p{N}")
]

_BLANKS = " \t\n\r"
_SPACE = "\u2581"  # the blank of SentencePiece
_AFTER_ANY = r"(?<=\S)"
_AFTER_ASCII = r"(?<=[A-Za-z])"
# Not the end of a tag or an entity, and no mark that becomes a blank.
_KEPT = r"(?<=[^\s>;\u0007\u0080-\u009f\u200b])"
# Letters, digits, punctuation and symbols. Marks, controls and emoji modifiers are left out, which join the character
# before them, and so are letters that join the one behind them (Prepend) or before them (SpacingMark, Extend).
_PLAIN = (
    r"(?:(?![\u0d4e\u0e33\u0eb3\uff9e\uff9f\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]|[\U000110bd-\U00011fff])"
    r"[\w!-~\u00a1-\u00ac\u00ae-\u00bf\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u2190-\u2bff\u3001-\u3029\uff01-\uff65"
    r"\U0001f300-\U0001f3fa\U0001f400-\U0001faff])"
)
# Characters of a window for Unigram: of these, no two neighbours are normalised together.
_STEADY = (
    r"[!#-&(-;=?-_a-~\u00c0-\u024f\u0391-\u03ff\u0400-\u0481\u048a-\u04ff\u3001\u3002\u3041-\u3096\u30a1-\u30fa\u30fc"
    r"\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff01\uff03-\uff06\uff08-\uff1b\uff1d\uff1f-\uff3f\uff41-\uff5e]"
)
_LONGEST_WINDOW = 64

_BEFORE_PUNCTUATION = r"(?<=[^\W\d_])(?=[,.;:!?\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f])"
_LONG_RUN_OR_WORD = re.compile(
    rf"(?<![A-Za-z0-9])([A-Za-z0-9]{{{LONG_WORD}}})[A-Za-z0-9]+"
    rf"|(?<![ \t\n\r])([ \t\n\r])[ \t\n\r]{{{LONG_WORD},}}"
)
_LONG_RUN = re.compile(rf"(?<![ \t\n\r])(?P<kept>[ \t\n\r])[ \t\n\r]{{{LONG_WORD},}}+(?=(?![<&]){_PLAIN}|\Z)")


class Cutting(NamedTuple):
    """The cuts that a tokenizer allows.

    Attributes:
        places: pattern whose matches begin where a text may be cut, unless it tears a tag; None if it must stay whole.
        runs: pattern of very long words and runs of blanks that may be replaced by their groups.
        anywhere: whether a text may be cut anywhere, if many tokens follow (WordPiece).
        window: number of neighbouring cuts that must agree for a cut anywhere (Unigram); 0 for other models.
        markup: whether the tokenizer cleans a text of tags or entities.
        normalize: the tokenizer's normaliser.
    """

    places: re.Pattern[str] | None
    runs: re.Pattern[str] | None = None
    anywhere: bool = False
    window: int = 0
    markup: bool = False
    normalize: Callable[[str], str] = str

    def place(self, text: str, start: int, end: int) -> int | None:
        """Return the first place between two positions where a text may be cut; None if there is no such place."""
        found = self.places.finditer(text, start, end) if self.places else ()
        return next((match.start() for match in found if self.untorn(text, match.start()) == match.start()), None)

    def untorn(self, text: str, cut: int) -> int:
        """Return the last place up to a cut that surely tears no tag or entity which the tokenizer would clean."""
        opened = opened_before(text, cut) if self.markup else None
        return cut if opened is None else opened

    def neighbours(self, text: str, start: int, end: int) -> range | None:
        """Return ``window`` neighbouring cuts between two positions, one of which no token crosses; None if unknown."""
        around = len(self.normalize("aa"))
        for match in re.finditer(f"{_STEADY}{{{self.window + 1}}}", text[start:end]) if self.window else ():
            cuts = range(start + match.start() + 1, start + match.end())
            whole = all(self.untorn(text, cut) == cut for cut in cuts)
            if whole and all(len(self.normalize(f"a{character}a")) == around + 1 for character in set(match[0])):
                return cuts
        return None


NOWHERE = Cutting(None)
"""For a tokenizer that must get whole texts."""


def cutting(settings: Mapping[str, Any], normalize: Callable[[str], str] = str) -> Cutting:
    """Return the cuts that are known to be safe before a tokenizer with these settings.

    Args:
        settings: contents of its ``tokenizer.json``.
        normalize: its normaliser, applied to a text.
    """
    model, added = settings.get("model") or {}, settings.get("added_tokens") or []
    steps, pieces = steps_of(settings.get("normalizer")), steps_of(settings.get("pre_tokenizer"))
    first = first_steps(steps)
    markup, steps = first > 0, steps[first:]
    if model.get("type") not in _MODELS or any(_crosses_a_blank(token["content"], normalize) for token in added):
        return NOWHERE
    if pieces and pieces[-1].get("type") == "ByteLevel":
        return _byte_level(model, steps, pieces, added, markup=markup)
    separators = _separators(model, pieces)
    if not separators or not all(map(_is_local, steps)):
        return NOWHERE
    return Cutting(
        _before_blanks(steps, separators, normalize, markup=markup),
        _runs(model, steps, pieces, added, normalize),
        anywhere=_is_wordpiece_of_words(model, steps, pieces, added),
        window=_window(model, steps, added, normalize),
        markup=markup,
        normalize=normalize,
    )


def _byte_level(
    model: Mapping[str, Any],
    steps: list[dict[str, Any]],
    pieces: list[dict[str, Any]],
    added: list[dict[str, Any]],
    *,
    markup: bool,
) -> Cutting:
    *splits, last = pieces
    if not splits and last.get("use_regex", True):
        blanks = _BLANKS
    elif [_known_split(split) for split in splits] == [True] and not last.get("use_regex", True):
        blanks = _BLANKS if splits[0]["pattern"]["Regex"] == _GPT2 else " "
    else:
        return NOWHERE
    if model["type"] != "BPE" or not all(step.get("type") in _KEEPING for step in steps):
        return NOWHERE
    places = rf"{_KEPT if markup else _AFTER_ANY}[{blanks}]"
    if not any(re.search(_BEFORE_PUNCTUATION, token["content"]) for token in added):
        # Letters of other scripts may be cleaned to something with punctuation at its end.
        places += f"|{_AFTER_ASCII if markup else ''}{_BEFORE_PUNCTUATION}"
    return Cutting(re.compile(places), markup=markup)


def _known_split(split: dict[str, Any]) -> bool:
    pieces = (str(split.get("behavior")), bool(split.get("invert"))) in (("Isolated", False), ("Removed", True))
    return pieces and split.get("type") == "Split" and split["pattern"].get("Regex") in (_GPT2, *_LATER)


def _separators(model: Mapping[str, Any], pieces: list[dict[str, Any]]) -> str:
    """Return normalised characters that begin a new piece, or that no token has after another; none if unknown."""
    kinds = {str(step.get("type")) for step in pieces}
    metaspaces = [step for step in pieces if step.get("type") == "Metaspace"]
    known = kinds <= _SPLITTING | _SPLITTING_FURTHER | {"Metaspace"}
    if not known or any(step.get("replacement") != _SPACE for step in metaspaces):
        return ""
    if kinds & _SPLITTING:
        return _BLANKS
    if any(step.get("split", True) for step in metaspaces):
        return " " + _SPACE
    if kinds - {"Metaspace"} or not _has_blanks_only_in_front(model):
        return ""
    return " " + _SPACE if metaspaces else _SPACE


def _has_blanks_only_in_front(model: Mapping[str, Any]) -> bool:
    """Return whether a model of SentencePiece never joins a blank with the character before it."""
    if model.get("type") not in ("BPE", "Unigram") or model.get("ignore_merges"):
        return False
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        return False
    vocabulary = _vocabulary(model)
    return _SPACE in vocabulary and not any(_SPACE in token.lstrip(_SPACE) for token in vocabulary)


def _vocabulary(model: Mapping[str, Any]) -> set[str]:
    vocabulary = model.get("vocab") or []
    return {entry if isinstance(entry, str) else entry[0] for entry in vocabulary}


def _is_local(step: dict[str, Any]) -> bool:
    """Return whether a step of a normaliser treats the two sides of a cut before a blank independently."""
    if step.get("type") != "Replace" or step == EMOJI_VARIANTS.normalizer:
        return step == EMOJI_VARIANTS.normalizer or step.get("type") in _LOCAL
    pattern, content = step["pattern"], step["content"]
    if "Regex" in pattern:
        runs = pattern["Regex"] in _RUNS_OF_BLANKS and content in (" ", _SPACE)
        return runs or (pattern["Regex"], content) in _AT_THE_ENDS
    string = pattern["String"]
    return (string == " " and content == _SPACE) or not (string == "" or re.search(rf"[\s{_SPACE}]", string))


def _before_blanks(
    steps: list[dict[str, Any]], separators: str, normalize: Callable[[str], str], *, markup: bool
) -> re.Pattern[str] | None:
    tables = any(step.get("type") == "Precompiled" for step in steps)
    # A table may have an entry for the line end of Windows as a whole.
    blanks = [blank for blank in (" \t\n" if tables else _BLANKS) if normalize(f"a{blank}a")[-2:-1] in [*separators]]
    if not blanks:
        return None
    if tables:
        before, behind = (f"(?<={_PLAIN}){_KEPT}", f"(?![<&]){_PLAIN}") if markup else (f"(?<={_PLAIN})", _PLAIN)
        return re.compile(rf"{before}[{''.join(blanks)}](?={behind}|[ \t\n])")
    return re.compile(rf"{_KEPT if markup else _AFTER_ANY}[{''.join(blanks)}]")


def _runs(
    model: Mapping[str, Any],
    steps: list[dict[str, Any]],
    pieces: list[dict[str, Any]],
    added: list[dict[str, Any]],
    normalize: Callable[[str], str],
) -> re.Pattern[str] | None:
    if _is_wordpiece_of_words(model, steps, pieces, added):
        return _LONG_RUN_OR_WORD
    if any(re.search(rf"[\s{_SPACE}]", text) for token in added for text in _forms(token["content"], normalize)):
        return None
    splits = any(step.get("type") in _SPLITTING for step in pieces)
    runs = [normalize(f"a{one}{other}a") for one in ("", *_BLANKS) for other in _BLANKS]
    same = {" ".join(run.split()) if splits else run for run in (*runs, normalize(f"a{_BLANKS * 3}a"))}
    return _LONG_RUN if len(same) == 1 else None


def _is_wordpiece_of_words(
    model: Mapping[str, Any], steps: list[dict[str, Any]], pieces: list[dict[str, Any]], added: list[dict[str, Any]]
) -> bool:
    """Return whether a long word has limited tokens and a run of blanks none, whatever is added or removed there."""
    return (
        model.get("type") == "WordPiece"
        and model.get("max_input_chars_per_word", LONG_WORD) < LONG_WORD
        and all(step.get("type") in _PER_CHARACTER or step == EMOJI_VARIANTS.normalizer for step in steps)
        and all(step.get("type") in _SPLITTING for step in pieces)
        and not any(token.get("normalized", True) or token["content"][0].isalnum() for token in added)
        and not any(re.search(r"\s", unicodedata.normalize("NFKC", token["content"])) for token in added)
        and all(len(token["content"]) < LONG_WORD for token in added)
    )


def _window(
    model: Mapping[str, Any],
    steps: list[dict[str, Any]],
    added: list[dict[str, Any]],
    normalize: Callable[[str], str],
) -> int:
    """Return the length of the longest token of a Unigram model; 0 for other models and far longer tokens."""
    patterns = [step["pattern"].get("String", "") for step in steps if step.get("type") == "Replace"]
    if (
        model["type"] != "Unigram"
        or any(token.get("single_word") for token in added)
        or any(re.search(_STEADY, pattern) for pattern in patterns)
    ):
        return 0
    tokens = {*_vocabulary(model), *(form for token in added for form in _forms(token["content"], normalize))}
    longest = max(map(len, tokens), default=0)
    return longest if longest <= _LONGEST_WINDOW else 0


def _forms(content: str, normalize: Callable[[str], str]) -> tuple[str, ...]:
    """Return an added token as it may be matched: as it is, or normalised."""
    return content, unicodedata.normalize("NFKC", content), normalize(content)


def _crosses_a_blank(content: str, normalize: Callable[[str], str]) -> bool:
    forms = _forms(content, normalize)
    return any(re.search(rf"[^\s{_SPACE}][\s{_SPACE}]", form) or re.search(BR_TAG, form) for form in forms)
