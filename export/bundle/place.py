"""Checks of a bundle's place before hours of training; no heavy import."""

import os
from collections.abc import Iterable
from pathlib import Path

from export.errors import ExportError
from export.evaluation.outputs import CARD, CASCADE_FIGURE, CONFUSION_FIGURE, LOSS_FIGURE, RELIABILITY_FIGURE
from scorer.base.errors import UsageError
from scorer.model.bundle import SUMS, parse_sums
from scorer.storage.mounts import refuse_mount_point
from scorer.storage.output import lies_in
from scorer.storage.places import check_folder, refuse_address

UNLISTED = (CARD, LOSS_FIGURE, CONFUSION_FIGURE, RELIABILITY_FIGURE, CASCADE_FIGURE)
"""Files of a bundle that its SHA256SUMS does not list."""

_MOST_NAMED = 5


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse a place where a bundle cannot be written, or would take the place of anything but a bundle.

    Raises:
        ExportError: it exists, and is no bundle or must not be replaced.
        UsageError: it is a mount point, files lie in it that do not belong to it, or its parents cannot be made.
        ScorerError: its parent is not writable.
    """
    refuse_address(folder, "--output")
    refuse_mount_point(folder, "--output", "or name a folder within it")
    is_empty = folder.is_dir() and not os.listdir(folder)  # made beforehand, as people do
    if folder.exists() and not is_empty:
        if not (folder / SUMS).is_file():
            raise ExportError(f"{folder} is there already and is no bundle; --overwrite replaces bundles only.")
        if not overwrite:
            raise ExportError(f"{folder} is there already; give --overwrite to replace it, or another --output.")
        own = {SUMS, *UNLISTED, *parse_sums((folder / SUMS).read_bytes(), folder)}
        others = sorted(name for name in os.listdir(folder) if name not in own or (folder / name).is_dir())
        if others:
            more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
            raise UsageError(
                f"{folder} holds {', '.join(others[:_MOST_NAMED])}{more}, no part of the bundle, which --overwrite would "
                "delete; move it away, or give another --output."
            )
    check_folder(Path(os.path.realpath(folder)).parent, "the parent of --output")


def check_outside(folder: Path, used: Iterable[tuple[str, str]]) -> None:
    """Raise `UsageError` for a file or folder in a bundle's folder, which is replaced as a whole.

    Args:
        folder: the bundle's.
        used: options, each with a file or folder that the run reads or writes.
    """
    for option, place in used:
        if lies_in(place, str(folder)):
            raise UsageError(
                f"{option} {place} is in the folder {folder} of --output, which is replaced as a whole; "
                "use one outside of it."
            )
