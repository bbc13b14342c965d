"""Installed wheels of onnxruntime, which can overwrite each other's files, and advice for a broken installation."""

import contextlib
import platform
import sys
from importlib import metadata

from scorer.base.errors import ScorerError
from scorer.base.shortage import shortage


def installed_wheels() -> list[str]:
    """List the installed distributions of onnxruntime with versions; two of them overwrite each other's files."""
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return found


def broken(error: Exception) -> ScorerError:
    """Make the error for an onnxruntime that cannot be imported: it names what is installed and how to reinstall it.

    If its libraries do not fit in memory, the installation is not to blame, and the error names the limit.

    Args:
        error: error of the import.
    """
    if (short := shortage(error)) is not None:
        return short
    wheels = installed_wheels()
    recorded = f"{' and '.join(wheels)} {'overwrite each other' if len(wheels) > 1 else 'is installed'}"
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return ScorerError(
        f"onnxruntime is missing or broken: {first} ({recorded if wheels else 'no wheel of it is installed'}).\n"
        f"Reinstall it: pip uninstall -y onnxruntime onnxruntime-gpu; pip install {_wheel()}"
    )


def _wheel() -> str:
    """Return the wheel that setup.py requires on this platform."""
    with_cuda = sys.platform == "win32" or (sys.platform == "linux" and platform.machine() == "x86_64")
    return "onnxruntime-gpu" if with_cuda else "onnxruntime"
