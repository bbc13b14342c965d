"""The wheels that onnxruntime comes in, which overwrite each other's files, and an installation of it that is broken."""

import contextlib
import platform
import sys
from importlib import metadata

from scorer.base.errors import ScorerError
from scorer.base.shortage import shortage


def installed_wheels() -> list[str]:
    """The onnxruntime distributions that are installed, with versions; two overwrite each other's files."""
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return found


def broken(error: Exception) -> ScorerError:
    """The error to raise where onnxruntime cannot be imported, or lacks its core: what is installed, how to reinstall it.

    Where there is no memory for its libraries the installation is not to blame, and the limit is named.

    Args:
        error: what the import raised.
    """
    if (short := shortage(error)) is not None:
        return short
    wheels = installed_wheels()
    recorded = f"{' and '.join(wheels)} {'overwrite each other' if len(wheels) > 1 else 'is recorded'}"
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return ScorerError(
        f"onnxruntime is missing or broken: {first} ({recorded if wheels else 'no wheel of it is recorded'}).\n"
        f"Reinstall it: pip uninstall -y onnxruntime onnxruntime-gpu; pip install {_wheel()}"
    )


def _wheel() -> str:
    """The one that setup.py asks for on this platform."""
    with_cuda = sys.platform == "win32" or (sys.platform == "linux" and platform.machine() == "x86_64")
    return "onnxruntime-gpu" if with_cuda else "onnxruntime"
