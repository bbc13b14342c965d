"""Files of an encoder that --save-encoder writes, and a check of their place; no heavy import."""

import json
import os
from pathlib import Path

from scorer.base.errors import UsageError
from scorer.storage.places import check_folder

TOKENIZER = "tokenizer.json"
TOKENIZER_SETTINGS = "tokenizer_config.json"
SETTINGS = (json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}) + "\n").encode()
"""Content of the tokenizer's settings, by which an earlier output is told."""

_FILES = ("config.json", "model.safetensors", TOKENIZER, TOKENIZER_SETTINGS)


def check_saved(folder: Path, *, encoder: str, overwrite: bool) -> None:
    """Refuse a folder in which --save-encoder would replace anything but an encoder that it wrote earlier.

    Args:
        folder: of --save-encoder.
        encoder: of --encoder, a hub name or a folder.
        overwrite: replace another encoder's files, too.

    Raises:
        UsageError: it holds another encoder's files, or the one that training begins with, or cannot be made.
        ScorerError: it is not writable.
    """
    check_folder(folder, "--save-encoder")
    if os.path.isdir(encoder) and folder.exists() and os.path.samefile(encoder, folder):
        raise UsageError(f"--save-encoder {folder} is the encoder that training begins with; write to another folder.")
    there = [name for name in _FILES if (folder / name).exists()]
    if not there or overwrite or _is_ours(folder / TOKENIZER_SETTINGS):
        return
    raise UsageError(
        f"--save-encoder {folder} holds {', '.join(there)}, not written by an earlier run; give --overwrite to replace "
        "them, or another folder."
    )


def _is_ours(settings: Path) -> bool:
    return settings.is_file() and settings.stat().st_size == len(SETTINGS) and settings.read_bytes() == SETTINGS
