"""Files and folders that are mount points themselves, as of `docker -v FILE:FILE`: no rename can replace one."""

import os
import re
from pathlib import Path

from scorer.base.errors import UsageError

_OCTAL = re.compile(r"\\([0-7]{3})")


def is_mount_point(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether something is mounted at a path, a file too.

    Args:
        path: without links.
        mounts: the system's list; where it has none, only mounts of another device are recognised.
    """
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return os.path.lexists(path) and path.stat().st_dev != path.parent.stat().st_dev
    points = (line.split(" ")[4] for line in lines if line.count(" ") > 4)
    return os.fspath(path) in {_OCTAL.sub(lambda code: chr(int(code[1], 8)), point) for point in points}


def refuse_mount_point(path: str | os.PathLike[str], option: str, advice: str) -> None:
    """Refuse a mount point, before any work is done: the complete output could not be moved there.

    Args:
        path: of the output, a file or a folder.
        option: its name.
        advice: what else can be done than to mount the folder around it.

    Raises:
        UsageError: it is one.
    """
    place = Path(os.path.realpath(path))
    if is_mount_point(place):
        raise UsageError(
            f"{option} {path} is a mount point (as of docker -v), which nothing can be moved to, so that it would be complete "
            f"or absent. Mount the folder around it, {place.parent}, instead, {advice}."
        )
