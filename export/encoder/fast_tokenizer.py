"""Loader of a checkpoint's fast tokenizer, which transformers makes of whatever files there are."""

from pathlib import Path
from typing import Any

import transformers

from export.encoder.folder import cannot_be_loaded
from export.errors import UnsupportedEncoder
from scorer.base.shortage import shortage
from scorer.base.text import first_line

_FILES = (
    "Give one with tokenizer.json, or with the vocabulary of its family (vocab.txt, vocab.json and merges.txt, or a "
    "SentencePiece model)."
)


def load_tokenizer(name: str, revision: str | None = None) -> str:
    """Return the contents of the ``tokenizer.json`` that gives the same tokens as transformers for a checkpoint.

    Args:
        name: hub name, or folder with tokenizer.json or the vocabulary files of its family.
        revision: branch, tag or commit on the hub.

    Raises:
        UnsupportedEncoder: the tokenizer exists only in Python, has no vocabulary, or does what such a file cannot.
        ExportError: the tokenizer cannot be found or read.
    """
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except ImportError as error:  # a package that only this tokenizer needs, and that transformers names
        raise cannot_be_loaded(name, first_line(error)) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise shortage(error) or cannot_be_loaded(name, first_line(error)) from error
    return tokenizer_json_of(tokenizer, name)


def tokenizer_json_of(tokenizer: Any, name: str) -> str:
    """Return the contents of the ``tokenizer.json`` that gives the same tokens as a tokenizer of transformers.

    Args:
        tokenizer: tokenizer of transformers.
        name: name of its checkpoint, for messages.

    Raises:
        UnsupportedEncoder: the tokenizer exists only in Python, has no vocabulary, or does what such a file cannot.
    """
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise UnsupportedEncoder(
            f"the tokenizer of {name!r} ({type(tokenizer).__name__}) exists only in Python, and scoring needs one that can be "
            f"saved as tokenizer.json. Give an encoder with such a tokenizer."
        )
    backend = tokenizer.backend_tokenizer
    if backend.get_vocab().keys() <= {token.content for token in backend.get_added_tokens_decoder().values()}:
        # Without any file, transformers makes one that knows only its special tokens.
        where = "folder" if Path(name).is_dir() else "checkpoint"
        raise UnsupportedEncoder(f"the {where} {name!r} has no vocabulary for its tokenizer. {_FILES}")
    if backend.encode_special_tokens:
        raise UnsupportedEncoder(
            f"the tokenizer of {name!r} has split_special_tokens, which tokenizer.json cannot state. Remove it from "
            "tokenizer_config.json if texts do not contain special tokens."
        )
    return str(backend.to_str())
