"""Text to token ids, the same way when a model is trained, checked and used for scoring."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tokenizers

from scorer.errors import BundleError


class Tokens(NamedTuple):
    """Token ids of a list of texts.

    Attributes:
        ids: one int64 array of shape (sequence,) per text, special tokens included, never empty.
        truncated: for each text, whether tokens beyond ``max_length`` were cut off.
    """

    ids: list[np.ndarray]
    truncated: list[bool]


class Tokenizer:
    """A bundle's fast tokenizer; its file is the only description of how text is cleaned and split.

    Args:
        tokenizer_json: the bytes of ``tokenizer.json``.
        max_length: tokens kept of a text, special tokens included; the end of a longer text is cut.

    Raises:
        BundleError: the bytes are no tokenizer, or ``max_length`` leaves no room for a token of text.
    """

    def __init__(self, tokenizer_json: bytes, max_length: int) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(tokenizer_json)
        except ValueError as error:
            raise BundleError(f"tokenizer.json cannot be read: {error}") from error
        special = self._tokenizer.num_special_tokens_to_add(False)
        if max_length <= special:
            raise BundleError(f"max_length {max_length} leaves no room for text beside {special} special tokens")
        # The file's own settings are replaced: some published files cut at 128 tokens and pad to 128.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self.max_length = max_length

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Tokenize ``texts`` on all cores, without offsets, the GIL released."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        return Tokens(
            ids=[np.array(encoding.ids, dtype=np.int64) for encoding in encodings],
            truncated=[bool(encoding.overflowing) for encoding in encodings],
        )
