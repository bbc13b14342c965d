"""A bundle on disk: found, read once, verified, and then used from memory.

Each listed file is read into memory and hashed, and the tokenizer and the session are built from those very bytes. So
the files may be stored in any way (hard links, symlinks into a cache), and nothing can change between check and use.
"""

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scorer.base.errors import BundleError, UsageError
from scorer.base.shortage import out_of_memory
from scorer.model.graph_check import UnfitGraph, check_onnx
from scorer.model.manifest import Manifest, parse_manifest

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
HEAD = "head.safetensors"
WIDE_FILE = "wide.onnx"

CHECKPOINT = "config.json"
"""File of a model of transformers, which is not a bundle."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)

# The text or binary form of coreutils, with a plain name, so that it cannot refer to anything outside the folder.
_SUMS_LINE = re.compile(rb"([0-9a-f]{64}) [ *]([A-Za-z0-9_][A-Za-z0-9._-]*)\n")

# Largest size of each file, in bytes: a protobuf is limited to 2 GiB, and a tokenizer of a million words has some 60 MB.
_LARGEST = {SUMS: 1 << 16, MANIFEST: 1 << 24, TOKENIZER: 1 << 26}
_LARGEST_OTHER = 1 << 31
_LARGEST_SUM = 1 << 32


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        path: folder that it came from, for messages.
        id: SHA-256 of its SHA256SUMS, hexadecimal.
        manifest: parsed manifest.json.
        files: bytes of every listed file, by name.
        outside: names of the files with external tensors, by the file name of the graph.
    """

    path: Path
    id: str
    manifest: Manifest
    files: Mapping[str, bytes]
    outside: Mapping[str, frozenset[str]]

    def graph(self, precision: str) -> bytes:
        """Return the bytes of a precision's ONNX graph."""
        return self.files[self.manifest.precisions[precision].file]

    def external(self, precision: str) -> dict[str, bytes]:
        """Return the bytes of the files with external tensors of a precision's graph, by name."""
        return self.beside(self.manifest.precisions[precision].file)

    def beside(self, graph: str) -> dict[str, bytes]:
        """Return the bytes of the files with external tensors of a graph file, by name."""
        return {name: self.files[name] for name in self.outside[graph]}


def default_bundle() -> Path:
    """Return the folder of the bundle that comes with the package, installed or in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "default"
    return installed if installed.is_dir() else package.parent / "models" / "default"


def load_bundle(path: str | os.PathLike[str] | None = None) -> Bundle:
    """Read and verify a bundle.

    Args:
        path: folder of the bundle; None for the one that comes with the package.

    Raises:
        BundleError: the bundle or one of its files is missing, a file was altered, or the manifest cannot be used.
    """
    folder = Path(path) if path is not None else default_bundle()
    if not _is_folder(folder):
        raise BundleError(
            f"there is no bundle at {folder}. Name a folder written by `score-model train` or `score-model import`."
            f"{_if_on_the_hub(folder)}"
        )
    if (folder / CHECKPOINT).is_file() and not (folder / SUMS).exists():
        name = folder.resolve().name
        raise BundleError(
            f"{folder} is a model of transformers (it has {CHECKPOINT}), not a bundle. Make one of it with "
            f"`score-model import {folder} -o models/{name}`, and score with `--model models/{name}`."
        )
    sums = _read(folder, SUMS)
    files: dict[str, bytes] = {}
    for name, expected in parse_sums(sums, folder).items():
        files[name] = _read(folder, name, _LARGEST_SUM - sum(map(len, files.values())))
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise BundleError(
                f"{folder / name} does not match its checksum in {SUMS}: it was damaged or changed. "
                "Copy the bundle again from its source."
            )
    for required in (MANIFEST, TOKENIZER):
        if required not in files:
            raise BundleError(f"{folder / SUMS} does not list {required}. Copy the bundle again from its source.")
    manifest = parse_manifest(files[MANIFEST], folder / MANIFEST)
    return Bundle(folder, hashlib.sha256(sums).hexdigest(), manifest, files, check_graphs(folder, manifest, files))


def _if_on_the_hub(path: Path) -> str:
    """Return advice for a name that may be a model's on the hub, such as ``owner/name``.

    >>> _if_on_the_hub(Path("owner/name"))
    ' If owner/name is a model on the hub, run `score-model import owner/name -o models/name` first.'
    >>> _if_on_the_hub(Path("/srv/models/name"))
    ''
    """
    if _HUB_NAME.fullmatch(str(path)) is None:
        return ""
    return f" If {path} is a model on the hub, run `score-model import {path} -o models/{path.name}` first."


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError) as error:  # a name that is too long or invalid, a parent folder without permission
        raise BundleError(f"{str(path)[:200]!r} cannot be opened: {error.args[-1]}.") from error


def check_graphs(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> dict[str, frozenset[str]]:
    """Check that every graph is safe for onnxruntime, and return the files with external tensors of each."""
    sizes = {name: len(data) for name, data in files.items()}
    outside = {}
    graphs = {precision.file for precision in manifest.precisions.values()}
    for name in sorted(graphs | ({manifest.wide.file} if manifest.wide is not None else set())):
        if name not in files:
            raise BundleError(f"{folder / MANIFEST} names the graph {name}, which {SUMS} does not list.")
        try:
            outside[name] = check_onnx(files[name], sizes)
        except UnfitGraph as error:
            raise BundleError(f"{folder / name} is refused: {error}. Use a bundle from someone you trust.") from error
    return outside


def parse_sums(data: bytes, folder: Path) -> dict[str, str]:
    """Parse the strict form of coreutils' sha256sum to hexadecimal digests by name.

    >>> parse_sums(b"0" * 64 + b"  manifest.json\\n", Path("m"))["manifest.json"][:4]
    '0000'
    """
    digests: dict[str, str] = {}
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        match = _SUMS_LINE.fullmatch(line)
        if match is None or match[2].decode() in digests:
            raise BundleError(
                f"{folder / SUMS}, line {number}: not a SHA-256 and a plain file name, or a file that is listed twice."
            )
        digests[match[2].decode()] = match[1].decode()
    return digests


def format_sums(files: Mapping[str, bytes]) -> bytes:
    """Return the SHA256SUMS of the given files, sorted by name; `sha256sum -c SHA256SUMS` can check it.

    >>> format_sums({"a.onnx": b""})[:16], format_sums({"a.onnx": b""})[-8:]
    (b'e3b0c44298fc1c14', b' a.onnx\\n')
    """
    return b"".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n".encode() for name in sorted(files))


def refuse_bundle(folder: str | os.PathLike[str], option: str) -> None:
    """Raise `UsageError` if a folder for output is a bundle, which never changes."""
    if all(os.path.exists(os.path.join(folder, name)) for name in (SUMS, MANIFEST)):
        raise UsageError(f"{option}: {folder} is a bundle, which never changes; write elsewhere.")


def refuse_file_in_bundle(path: str, option: str) -> None:
    """Raise `UsageError` if the folder of an output file, after following links, is a bundle."""
    refuse_bundle(os.path.dirname(os.path.realpath(path)), option)


def _read(folder: Path, name: str, left: int = _LARGEST_SUM) -> bytes:
    """Return a file's bytes, at most ``left``. The path may be anything, even a disk or a pipe that never ends."""
    path = folder / name
    try:
        # Without O_NONBLOCK, opening a pipe would wait.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(f"{path} is not a regular file, so {folder} is not a bundle.")
            largest = min(left, _LARGEST.get(name, _LARGEST_OTHER))
            if status.st_size > largest:
                raise BundleError(f"{path} has {status.st_size:,} bytes; at most {largest:,} are allowed.")
            return stream.read(status.st_size)
    except MemoryError as error:
        raise out_of_memory(f"{path} cannot be read into memory") from error
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read ({error.strerror}): {folder} is not a bundle, or it is incomplete."
        ) from error
