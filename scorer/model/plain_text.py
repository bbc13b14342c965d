"""A faster way to the same tokens for most texts: in ASCII, the normaliser only lowercases letters.

BertNormalizer looks up the Unicode class of each character and tracks its origin, which takes a third of the tokenizing
time. In ASCII it removes control characters, lowercases letters, and turns tabs and line ends into blanks.
BertPreTokenizer treats those as blanks anyway, and Python lowercases a text in almost no time.
"""

import re
from collections.abc import Mapping
from typing import Any

import tokenizers

from scorer.model.cleaning import BR_TAG

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class PlainTokenizer:
    """A tokenizer of the BERT family for texts that are `plain`: it shares everything but the normaliser.

    Args:
        tokenizer: tokenizer that would give the same tokens.
        lowercase: whether its normaliser lowercases letters.
        begin_added: first characters of its added tokens, which it looks for in the text before any normalising.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, *, lowercase: bool, begin_added: frozenset[str]) -> None:
        self.tokenizer = tokenizers.Tokenizer(tokenizer.model)
        self.tokenizer.pre_tokenizer = tokenizer.pre_tokenizer
        self.tokenizer.post_processor = tokenizer.post_processor
        self._lowercase = lowercase
        self._begin_added = begin_added

    def plain(self, text: str) -> str | None:
        """Return the text to tokenize instead; None for a text that is not plain."""
        if not text.isascii() or _CONTROL.search(text) or any(letter in text for letter in self._begin_added):
            return None
        return text.lower() if self._lowercase else text


def plain_tokenizer(tokenizer: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> PlainTokenizer | None:
    """Return the faster tokenizer, or None for settings that it does not support.

    Args:
        tokenizer: tokenizer of a bundle.
        settings: contents of its ``tokenizer.json``.
    """
    normalizer = settings.get("normalizer") or {}
    steps = normalizer.get("normalizers", [normalizer])
    tags, last = steps[:-1], steps[-1:]
    if [step.get("type") for step in last] != ["BertNormalizer"] or not all(map(_removes_tags, tags)):
        return None
    if (settings.get("pre_tokenizer") or {}).get("type") != "BertPreTokenizer":
        return None
    lowercase = bool(last[0]["lowercase"])
    added = [str(token["content"]) for token in settings.get("added_tokens", [])]
    if any(tokenizer.normalizer.normalize_str(token) != (token.lower() if lowercase else token) for token in added):
        return None  # such a token also matches texts that begin differently
    begins = frozenset(letter for token in added for letter in (token[:1].lower(), token[:1].upper()))
    found = PlainTokenizer(tokenizer, lowercase=lowercase, begin_added=begins)
    replacing = [tokenizers.normalizers.Replace(tokenizers.Regex(BR_TAG), step["content"]) for step in tags]
    if replacing:
        found.tokenizer.normalizer = tokenizers.normalizers.Sequence(replacing)
    return found


def _removes_tags(step: Mapping[str, Any]) -> bool:
    """Return whether a step replaces <br> tags with a blank or nothing, which gives the same in lowercase."""
    known = step.get("type") == "Replace" and step.get("pattern") == {"Regex": BR_TAG}
    return known and step.get("content") in ("", " ")
