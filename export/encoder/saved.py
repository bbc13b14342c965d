"""Files of an encoder that --save-encoder writes, and a check of their folder; no heavy import."""

import json
import os
from pathlib import Path

from scorer.base.errors import UsageError
from scorer.storage.places import check_folder

TOKENIZER = "tokenizer.json"
TOKENIZER_SETTINGS = "tokenizer_config.json"
SETTINGS = (json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}) + "\n").encode()
"""Content of the tokenizer's settings, which identifies an earlier output."""

_FILES = ("config.json", "model.safetensors", TOKENIZER, TOKENIZER_SETTINGS)


def check_saved(folder: Path, *, encoder: str, overwrite: bool) -> None:
    """Refuse a folder where --save-encoder would replace anything but an encoder that it wrote earlier.

    Args:
        folder: value of --save-encoder.
        encoder: value of --encoder, a hub name or a folder.
        overwrite: whether another encoder's files may be replaced.

    Raises:
        UsageError: the folder holds another encoder's files or the encoder that training starts from, or cannot be made.
        ScorerError: the folder is not writable.
    """
    check_folder(folder, "--save-encoder")
    if os.path.isdir(encoder) and folder.exists() and os.path.samefile(encoder, folder):
        raise UsageError(f"--save-encoder {folder} is the encoder that training starts from; give another folder.")
    there = [name for name in _FILES if (folder / name).exists()]
    if not there or overwrite or _is_ours(folder / TOKENIZER_SETTINGS):
        return
    raise UsageError(
        f"--save-encoder {folder} holds files that no earlier run wrote: {', '.join(there)}. Give --overwrite to replace "
        "them, or another folder."
    )


def _is_ours(settings: Path) -> bool:
    return settings.is_file() and settings.stat().st_size == len(SETTINGS) and settings.read_bytes() == SETTINGS
