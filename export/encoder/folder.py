"""Settings of an encoder in a local folder, checked before any heavy import."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.encoder.families import Family, check_positions, family_named
from export.errors import ExportError

CONFIG = "config.json"


@dataclass(frozen=True)
class EncoderFolder:
    """Settings that the config of an encoder states.

    Attributes:
        name: folder of the encoder.
        layers: number of blocks; None if it is not stated.
        family: family of its kind; None if no family has it.
    """

    name: str
    layers: int | None
    family: Family | None


def is_path(name: str) -> bool:
    """Return True for a path that exists, or a name that is not of the hub's form, ``name`` or ``owner/name``.

    >>> is_path("./MiniLM"), is_path("a/b/c"), is_path("owner/name")
    (True, True, False)
    """
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or os.path.exists(name)


def check_encoder_folder(name: str, max_length: int) -> EncoderFolder | None:
    """Check a local encoder's settings without reading its weights; return None for a hub name.

    Args:
        name: value of --encoder.
        max_length: largest number of tokens of a text that the encoder will read.

    Raises:
        ExportError: the folder is missing or has no readable settings.
        UnsupportedEncoder: the encoder has fewer positions.
    """
    if not is_path(name):
        return None
    config = read_config(Path(name))
    family = family_named(config.get("model_type"))
    positions = config.get("max_position_embeddings")
    if family is not None and isinstance(positions, int):
        padding = config.get("pad_token_id")
        first = family.first_position(padding if isinstance(padding, int) else 1)
        check_positions(name, positions - first, max_length)
    return EncoderFolder(name, _layers(config), family)


def cannot_be_loaded(name: str, why: str) -> ExportError:
    return ExportError(
        f"the encoder {name!r} cannot be loaded: {why}\n"
        "Give a hub name (the hub must be reachable), or a local folder with config.json, the weights and the tokenizer."
    )


def _layers(config: Mapping[str, Any]) -> int | None:
    """Return the number of blocks that a config states; groups of shared blocks may run several a layer."""
    layers, inner = config.get("num_hidden_layers", config.get("n_layers")), config.get("inner_group_num", 1)
    return layers * inner if isinstance(layers, int) and isinstance(inner, int) else None


def read_config(folder: Path, refused: Callable[[str, str], ExportError] = cannot_be_loaded) -> dict[str, Any]:
    """Read the settings of a model in a folder.

    Args:
        folder: folder of the model.
        refused: error for a folder that cannot be used, given its name and the reason.

    Raises:
        ExportError: the folder is missing or has no readable settings.
    """
    if not folder.is_dir():
        raise refused(str(folder), f"the folder {folder} does not exist.")
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except FileNotFoundError as error:
        raise refused(str(folder), f"it has no {CONFIG}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise refused(str(folder), f"{folder / CONFIG} cannot be read: {error}.") from error
    if not isinstance(config, dict):
        raise refused(str(folder), f"{folder / CONFIG} is not a JSON object.")
    return config
