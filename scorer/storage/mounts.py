"""Files and folders that are mount points themselves, as with `docker -v FILE:FILE`: no rename can replace one."""

import os
import re
from pathlib import Path

from scorer.base.errors import UsageError

_OCTAL = re.compile(r"\\([0-7]{3})")


def is_mount_point(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Return whether a path, which may be a file, is a mount point.

    Args:
        path: path without links.
        mounts: file with the system's list of mounts; if it is missing, only mounts of another device are recognized.
    """
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return os.path.lexists(path) and path.stat().st_dev != path.parent.stat().st_dev
    points = (line.split(" ")[4] for line in lines if line.count(" ") > 4)
    return os.fspath(path) in {_OCTAL.sub(lambda code: chr(int(code[1], 8)), point) for point in points}


def refuse_mount_point(path: str | os.PathLike[str], option: str, advice: str) -> None:
    """Refuse a mount point before any work is done: the complete output could not be moved there.

    Args:
        path: file or folder of the output.
        option: name of the option that gives it.
        advice: alternative to mounting the folder around it, as the end of a sentence.

    Raises:
        UsageError: the path is a mount point.
    """
    place = Path(os.path.realpath(path))
    if is_mount_point(place):
        raise UsageError(
            f"{option} {path} is a mount point (as with docker -v): no finished file can be moved there, so the output "
            f"could be left incomplete. Mount the folder that contains it, {place.parent}, instead, {advice}."
        )
