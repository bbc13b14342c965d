"""Memory that this process may take: of the machine, and within the limits of its cgroup."""

import re
from pathlib import Path

from scorer.base.cores import CGROUPS, MEMBERSHIP, cgroup_folders

_HELD = re.compile(r"^VmData:\s+(\d+) kB$", re.MULTILINE)
_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)

# Names of a cgroup's limit and use, in bytes: version 2, version 1.
_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def available_memory(
    meminfo: Path = Path("/proc/meminfo"), cgroup_root: Path = CGROUPS, membership: Path = MEMBERSHIP
) -> int | None:
    """Return the bytes that this process can take without swapping or reaching a cgroup's limit; None if unknown."""
    try:
        found = _AVAILABLE.search(meminfo.read_text())
    except OSError:
        return None
    if found is None:
        return None
    folders = cgroup_folders(cgroup_root, membership, "memory")
    rooms = [room for folder in folders if (room := _room(folder)) is not None]
    return min([int(found[1]) << 10, *rooms])


def memory_held(status: Path = Path("/proc/self/status")) -> int:
    """Return the bytes of data that this process holds; 0 if unknown."""
    try:
        found = _HELD.search(status.read_text())
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0


def _room(folder: Path) -> int | None:
    """Return the bytes between a cgroup folder's use and limit; None if unlimited."""
    for limit, use in _FILES:
        try:
            return max(0, int((folder / limit).read_text()) - int((folder / use).read_text()))
        except (OSError, ValueError):  # missing, or "max"
            continue
    return None
