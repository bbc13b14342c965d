"""Advice on how to install an optional library: as an extra, from the source that this program was installed from.

The advice never gives pip the program's name alone: on a package index, that name may belong to somebody else.
"""

import json
import re
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

DISTRIBUTION = "review-scorer"


def install_advice(extra: str) -> str:
    """Return the command that installs an extra from this program's source, or words if that source is unknown.

    Args:
        extra: name of an extra in setup.py, such as ``remote``.
    """
    try:
        recorded = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        origin = json.loads(recorded) if recorded else None
        requirement = _requirement(extra, origin) if origin is not None else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, metadata.PackageNotFoundError):
        requirement = None
    if requirement is None:
        return f"install the extra [{extra}] of this program from the source that the program was installed from"
    return f"pip install {requirement}"


def _requirement(extra: str, origin: dict[str, Any]) -> str | None:
    """Write an installed program's origin as an argument of pip, quoted for a shell; None if pip cannot reuse it.

    Args:
        extra: name of the extra.
        origin: content of direct_url.json (PEP 610).

    >>> _requirement("ray", {"url": "https://me:pw@host/it.git", "vcs_info": {"vcs": "git", "commit_id": "4f1"}})
    "'review-scorer[ray] @ git+https://host/it.git@4f1'"
    >>> _requirement("ray", {"url": "https://host/it.whl?token=pw", "archive_info": {}}) is None
    True
    """
    url = urlsplit(origin["url"])
    if url.scheme == "file" and "vcs_info" not in origin:
        path = Path(url2pathname(url.path), origin.get("subdirectory", ""))
        editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
        return editable + shlex.quote(f"{path}[{extra}]") if path.exists() else None
    if url.query or url.fragment:  # often a signature, without which the address may be useless
        return None
    host = url.netloc.rpartition("@")[2]
    user = "git@" if url.scheme.endswith("ssh") and re.match("git[:@]", url.netloc) else ""
    address = urlunsplit((url.scheme, user + host, url.path, "", ""))
    if "vcs_info" in origin:
        address = f"{origin['vcs_info']['vcs']}+{address}@{origin['vcs_info']['commit_id']}"
    folder = f"#subdirectory={origin['subdirectory']}" if origin.get("subdirectory") else ""
    return shlex.quote(f"{DISTRIBUTION}[{extra}] @ {address}{folder}")
