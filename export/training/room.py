"""Memory and disk that a training needs, checked before hours of work, and what to set if there is too little."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export.errors import ExportError
from export.training.settings import FitSettings
from scorer.base.cores import cgroup_folders
from scorer.base.errors import OutOfMemory
from scorer.base.shortage import memory_left, out_of_memory, shortage

# Bytes of a weight of the wide part while it is trained and rounded: two float32, a float64 and a float16.
_BYTES_OF_A_WEIGHT = 18


def check_disk(folder: Path, needed: int) -> None:
    """Refuse to compute vectors that the disk has no room for.

    Args:
        folder: folder of the cache; it is created.
        needed: bytes that will be written.

    Raises:
        ExportError: less is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ExportError(
            f"{folder} has {free / 1e9:.1f} GB free, and the encoder's vectors of the texts need {needed / 1e9:.1f} GB. Give "
            "another folder with --cache-dir, or free some room."
        )


def check_memory(settings: FitSettings, pieces: int, logits: int) -> None:
    """Refuse a wide part that does not fit into the memory of this process.

    Args:
        settings: settings of the training.
        pieces: number of pieces in the vocabulary.
        logits: number of logits.

    Raises:
        OutOfMemory: it needs more than there is.
    """
    most = memory_of_process()
    needed = _wide_bytes(settings, pieces, logits)
    if most is not None and needed > most:
        raise OutOfMemory(
            f"the wide part of {logits:,} labels needs {needed / 1e9:.1f} GB, and this process has {most / 1e9:.1f} GB. Give "
            "--no-wide, or a smaller --wide-pairs."
        )


def memory_of_process(meminfo: Path = Path("/proc/meminfo"), folders: list[Path] | None = None) -> int | None:
    """Return the bytes that this process may use by the machine, its cgroups and its own limits; None if unknown.

    Args:
        meminfo: file of Linux with the machine's memory.
        folders: folders of the cgroups; None for those of this process.
    """
    limits = [memory_left()]
    try:
        found = re.search(r"^MemTotal:\s+(\d+) kB$", meminfo.read_text(), re.M)
        limits.append(int(found[1]) << 10 if found else None)
    except OSError:
        pass
    for folder in cgroup_folders() if folders is None else folders:
        try:
            limits.append(int((folder / "memory.max").read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min((limit for limit in limits if limit is not None), default=None)


@contextmanager
def advice_on_memory(settings: FitSettings, pieces: int, logits: int) -> Iterator[None]:
    """Name what to set if a training runs out of memory.

    Args:
        settings, pieces, logits: as for `check_memory`.

    Raises:
        OutOfMemory: a library got no memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not isinstance(shortage(error), OutOfMemory):
            raise
        raise OutOfMemory(
            f"{out_of_memory('this training cannot get more memory')} It needs less with {_smaller(settings, pieces, logits)}."
        ) from error


def _smaller(settings: FitSettings, pieces: int, logits: int) -> str:
    """Return the options that save memory, in words.

    >>> _smaller(FitSettings(), 30_522, 40)
    '--no-wide or a smaller --wide-pairs (the wide part has 0.8 GB of weights), a smaller --max-length, or fewer texts'
    """
    found = []
    if settings.wide is not None:
        size = _wide_bytes(settings, pieces, logits) / 1e9
        found.append(f"--no-wide or a smaller --wide-pairs (the wide part has {size:.1f} GB of weights)")
    if settings.tune is not None:
        found.append("a smaller --batch-size")
    return ", ".join([*found, "a smaller --max-length, or fewer texts"])


def _wide_bytes(settings: FitSettings, pieces: int, logits: int) -> int:
    return 0 if settings.wide is None else _BYTES_OF_A_WEIGHT * (pieces + settings.wide.pairs) * logits
