"""Files of a finished run, found again and compared with its record."""

import os
from collections.abc import Sequence

from scorer.base.errors import UsageError
from scorer.base.text import counted
from scorer.model.bundle import Bundle, default_bundle, load_bundle
from scorer.rows.explained import explained_beside
from scorer.rows.reader import Inputs
from scorer.rows.rejects import rejects_beside
from scorer.run.resolve import STDERR
from scorer.storage.address import is_address
from scorer.storage.digest import Content
from scorer.storage.inputs import STDIN, is_repeatable, opened_file
from scorer.storage.output import is_stream
from scorer.verify.finding import MOST_SHOWN, Finding
from scorer.verify.recorded import Recorded, RecordedFile

_PIECE = 1 << 20


def check_files(output: str, recorded: Recorded) -> None:
    """Raise `UsageError` if the run wrote to a stream or read one, if the record lacks a hash, or the output is no file."""
    path = recorded.output.path
    if is_stream(path) and not os.path.isdir(path):
        raise UsageError(f"the run wrote to {path}, which is a stream; only runs that write a file can be verified.")
    for one in recorded.inputs:
        if one.path == STDIN or (os.path.exists(one.path) and not is_repeatable(one.path)):
            raise UsageError(
                f"the run read {'stdin' if one.path == STDIN else one.path}, which cannot be read again; only runs that read "
                "files can be verified."
            )
    if recorded.unhashed is not None:
        raise UsageError(
            f"the record is damaged: it lacks the size or the SHA-256 of {recorded.unhashed}, which every such run records. "
            "Get the file again."
        )
    if os.path.isdir(output):
        raise UsageError(f"{output} is a folder. Outputs of `score` can be verified, but not those of `score-ray`.")
    if not exists(output):
        raise UsageError(f"{output} {'is not a regular file' if os.path.exists(output) else 'does not exist'}.")


def inputs_of(recorded: Recorded) -> Inputs:
    """Return the inputs of a run; raise `UsageError` if one is missing."""
    try:
        return recorded.options.reading.inputs([one.path for one in recorded.inputs])
    except UsageError as error:
        raise UsageError(
            f"{error} The record names the inputs as the run did: verify in the folder of the run, with its inputs in place."
        ) from error


def bundle_of(recorded: Recorded, model: str | None) -> Bundle:
    """Load the bundle of a run, or another folder of it.

    Raises:
        UsageError: it is missing.
        BundleError: it is damaged.
    """
    path = model or recorded.options.model or str(default_bundle())
    if not os.path.isdir(path):
        raise UsageError(
            f"the bundle {path} does not exist; name the bundle {recorded.bundle} (id {recorded.bundle_id[:12]}...) with "
            "--model, or verify in the folder of the run."
        )
    return load_bundle(path)


def rejects_paths(output: str, recorded: Recorded) -> tuple[str, ...]:
    """Return the names that the rejects file may have, the likeliest first; empty if they went to a stream.

    It moves along with the output, unless its name was given or the output was merely copied.
    """
    if recorded.rejects is None:
        return ()
    path = recorded.rejects.path
    if path == rejects_beside(recorded.output.path):
        return tuple(dict.fromkeys((rejects_beside(output), path)))
    return () if path == STDERR or is_stream(path) else (path,)


def explained_paths(output: str, recorded: RecordedFile) -> tuple[str, ...]:
    """Return the names that the file of explained rows may have, which moves along with the output, the likeliest first."""
    kind = recorded.path.rpartition(".")[2]
    return tuple(dict.fromkeys((explained_beside(output, kind), recorded.path)))


def of_beside(what: str, paths: Sequence[str], recorded: RecordedFile) -> tuple[Finding, str | None]:
    """Compare a file beside the output with its record, and return the name that it was found by; None if it was not found.

    Args:
        what: its rows, as a plural.
        paths: names that it may have, the likeliest first; empty if it cannot be read again.
        recorded: its record.
    """
    path = next(filter(exists, paths), None)
    if path is not None:
        return of_file(what, path, recorded), path
    if not paths:
        return Finding("not checked", what, f"they went to {recorded.path}, which cannot be read again"), None
    missing = f"{paths[0]} is missing" if len(paths) == 1 else f"{' and '.join(paths)} are missing"
    return Finding("different", what, missing), None


def exists(path: str) -> bool:
    """Return whether a path is a regular file; an address is taken for one until it is opened."""
    return is_address(path) or os.path.isfile(path)


def of_record(recorded: Recorded) -> Finding:
    """Check that the numbers of a record agree with each other."""
    problem = recorded.contradiction
    if problem is not None:
        return Finding("different", "record", f"it contradicts itself, as no run's does: {problem}")
    rows, rejects = counted(recorded.rows_scored, "row"), counted(recorded.rows_rejected, "reject")
    counts = f"{counted(recorded.rows_in, 'record')} read: {rows}, {rejects}"
    return Finding("ok", "record", f"the run published its output; {counts}")


def of_file(what: str, path: str, recorded: RecordedFile) -> Finding:
    """Compare a published file with its record."""
    if not exists(path):
        return Finding("different", what, f"{path} is missing")
    changed = _changed(path, recorded)
    if changed is not None:
        return Finding("different", what, changed)
    return Finding("ok", what, f"{path}, {counted(recorded.bytes or 0, 'byte')}, has the recorded SHA-256")


def of_uncertain(recorded: RecordedFile) -> Finding:
    """Compare the file of --uncertain-rows, which people may change or move."""
    path = recorded.path
    if not exists(path):
        return Finding("not checked", "uncertain rows", f"{path} is missing; people may have moved it")
    if _changed(path, recorded) is not None:
        return Finding("not checked", "uncertain rows", f"{path} has changed; people may have labelled its rows")
    return of_file("uncertain rows", path, recorded)


def of_inputs(recorded: Recorded) -> Finding:
    """Compare the inputs with their record."""
    known = [one for one in recorded.inputs if one.sha256 is not None]
    changed = [text for one in known if (text := _changed(one.path, one)) is not None]
    files = counted(len(recorded.inputs), "file")
    if changed:
        more = [f"and {len(changed) - MOST_SHOWN:,} more"] if len(changed) > MOST_SHOWN else []
        return Finding("different", "inputs", f"{len(changed):,} of {files} changed", (*changed[:MOST_SHOWN], *more))
    unknown = len(recorded.inputs) - len(known)
    if unknown:
        return Finding(
            "not checked", "inputs", f"the run did not read {unknown:,} of {files} to the end, nor hash them"
        )
    return Finding("ok", "inputs", f"{files}, with the recorded SHA-256")


def _changed(path: str, recorded: RecordedFile) -> str | None:
    """Describe how a file differs from its record; None if it does not."""
    content = Content()
    with opened_file(path) as stream:
        while data := stream.read(_PIECE):
            content.update(data)
    if (content.count, content.digest) == (recorded.bytes, recorded.sha256):
        return None
    return (
        f"{path} has {counted(content.count, 'byte')} and the SHA-256 {content.digest[:12]}..., but the record has "
        f"{counted(recorded.bytes or 0, 'byte')} and {str(recorded.sha256)[:12]}..."
    )


def of_bundle(recorded: Recorded, bundle: Bundle) -> Finding:
    """Compare a bundle with that of the record."""
    if bundle.id != recorded.bundle_id:
        return Finding(
            "different",
            "bundle",
            f"{bundle.path} has the id {bundle.id[:12]}..., but the run used {recorded.bundle}, id "
            f"{recorded.bundle_id[:12]}...; name that one with --model",
        )
    return Finding("ok", "bundle", f"{recorded.bundle}, id {bundle.id[:12]}...")
