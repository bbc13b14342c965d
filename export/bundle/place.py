"""Checks of a bundle's folder before hours of training; no heavy import."""

import os
from collections.abc import Iterable
from pathlib import Path

from export.errors import ExportError
from export.evaluation.outputs import CARD, CARD_FIGURES
from scorer.base.errors import UsageError
from scorer.model.bundle import SUMS, parse_sums
from scorer.storage.mounts import refuse_mount_point
from scorer.storage.output import lies_in
from scorer.storage.places import check_folder, refuse_address

UNLISTED = (CARD, *CARD_FIGURES)
"""Files of a bundle that its SHA256SUMS does not list."""

_MOST_NAMED = 5


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder where a bundle cannot be written, or would replace anything but a bundle.

    Raises:
        ExportError: the folder exists, and is not a bundle or must not be replaced.
        UsageError: the folder is a mount point, holds files that are not part of its bundle, or has parents that cannot be
            made.
        ScorerError: the parent of the folder is not writable.
    """
    refuse_address(folder, "--output")
    refuse_mount_point(folder, "--output", "or name a folder within it")
    is_empty = folder.is_dir() and not os.listdir(folder)  # people often make it beforehand
    if folder.exists() and not is_empty:
        if not (folder / SUMS).is_file():
            raise ExportError(f"{folder} already exists and is not a bundle; --overwrite replaces bundles only.")
        if not overwrite:
            raise ExportError(f"{folder} already exists; give --overwrite to replace it, or another --output.")
        own = {SUMS, *UNLISTED, *parse_sums((folder / SUMS).read_bytes(), folder)}
        others = sorted(name for name in os.listdir(folder) if name not in own or (folder / name).is_dir())
        if others:
            more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
            raise UsageError(
                f"{folder} holds files that are not part of its bundle and that --overwrite would delete: "
                f"{', '.join(others[:_MOST_NAMED])}{more}. Move them away, or give another --output."
            )
    check_folder(Path(os.path.realpath(folder)).parent, "the parent of --output")


def check_outside(folder: Path, used: Iterable[tuple[str, str]]) -> None:
    """Raise `UsageError` for a file or folder in a bundle's folder, which is replaced as a whole.

    Args:
        folder: folder of the bundle.
        used: options, each with a file or folder that the run reads or writes.
    """
    for option, place in used:
        if lies_in(place, str(folder)):
            raise UsageError(
                f"{option} {place} is in the folder {folder} of --output, which is replaced as a whole; "
                "give one outside it."
            )
