"""Records of runs for a history: those of this version, and those of earlier ones with fewer keys."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from scorer.base.errors import ScorerError, UsageError
from scorer.base.text import first_line
from scorer.model.typed import is_of
from scorer.report.summary_file import NotAnObject, json_object, kind_of
from scorer.storage.address import is_address

_FORMAT_VERSION = 1
_MOST = {int: 1e15, float: 1e100}  # no run counts more, and sums of squares stay finite

_Object = Mapping[str, Any]
_COUNTS = Mapping[str, int]
_DRIFT = {"psi": float, "by_chance": float | None}

# Keys of the very first records, then those that came later; the values of the latter may be unknown.
_FIRST = {
    "published": bool, "started": str, "rows_in": int, "rows_scored": int, "rows_rejected": int, "labels": _COUNTS,
    "score_histogram": {"edges": list[float], "counts": list[int], "sum": float},
}  # fmt: skip
_LATER = {
    "error": str, "exit_code": int, "ended": str, "seconds": float, "rows_per_second": float, "resumed_from_row": int, "duplicates": int,
    "rows_without_label": int, "rows_from_cache": int, "rows_decided_early": int, "cascade": bool, "task": str, "provider": str,
    "precision": str, "versions": Mapping[str, str], "cache": {"problem": str | None}, "bundle": {"name": str, "id": str},
    "drift": {"score": _DRIFT, "tokens": _DRIFT, "unknown": _DRIFT}, "forecast": {"error": float | None},
    "shard": {"index": int, "count": int}, "host": _Object, "output": {"path": str}, "arguments": _Object,
}  # fmt: skip


def record_in(path: str) -> dict[str, Any]:
    """Read the record of a run, with values of the types that its schema states.

    A key that the record lacks is None.

    Args:
        path: name or address of the file.

    Raises:
        UsageError: the file is something else, and the message states what.
    """
    if not is_address(path) and not os.path.isfile(path):
        raise UsageError(f"{path} {_no_file(path)}.")
    try:
        content = json_object(path)
    except NotAnObject as error:
        raise UsageError(f"{path} is {error}, and no record of a run.") from error
    except ScorerError as error:
        raise UsageError(f"{path} cannot be read: {first_line(error)}") from error
    kind = kind_of(content)
    if kind == "plan":
        raise UsageError(f"{path} is the summary of `score --plan`, which is no run.")
    if kind == "score-ray":
        raise UsageError(f"{path} is the record of `score-ray`, which has no scores.")
    if kind is None or content.get("format_version") != _FORMAT_VERSION:
        version = (
            f"format_version {str(content.get('format_version'))[:20]}, not {_FORMAT_VERSION}" if kind else "other keys"
        )
        raise UsageError(f"{path} is no record of a run that this version knows: it has {version}.")
    problem = _problem(content)
    if problem is not None:
        raise UsageError(f"{path} is damaged: {problem}.")
    return {key: content.get(key) for key in (*_FIRST, *_LATER)}


def _no_file(path: str) -> str:
    """Describe a name that is not one of a regular file."""
    if os.path.isdir(path):
        return f"is a folder; name the records in it: {os.path.join(path, '*.json')}"
    if os.path.exists(path):
        return "is not a regular file"
    if any(mark in path for mark in "*?["):
        return "does not exist: the shell found no such file, or the pattern stands in quotes"
    return "does not exist"


def moment(stamp: str) -> datetime:
    """Return a time in UTC; raise `ValueError` for any other text.

    >>> moment("2026-12-27T02:00:31.250Z").isoformat()
    '2026-12-27T02:00:31.250000+00:00'
    """
    found = datetime.fromisoformat(stamp)
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)


def _problem(content: Mapping[str, Any]) -> str | None:
    """Describe the first value that no run writes; None if all are possible."""
    for key, kind in (*_FIRST.items(), *_LATER.items()):
        value = content.get(key)
        if not (value is None and key in _LATER) and not _is_of(value, kind):
            return f"{key} is {str(value)[:100]!r}"
    try:
        moment(content["started"])
    except (ValueError, OverflowError):
        return f"started is {content['started'][:100]!r}"
    for key in ("seconds", "rows_per_second"):
        if (content.get(key) or 0) < 0:
            return f"{key} is {content[key]}"
    if content["rows_in"] != content["rows_scored"] + content["rows_rejected"]:
        return "its rows read are not those scored and those rejected"
    histogram = content["score_histogram"]
    if len(histogram["edges"]) != len(histogram["counts"]) + 1:
        return "score_histogram has other edges than counts"
    return None


def _is_of(value: Any, kind: Any) -> bool:
    """Return whether a value is of a type, or an object with such keys, and no number in it is one that no run has."""
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(_is_of(value.get(key), inner) for key, inner in kind.items())
    try:
        if not is_of(value, kind):
            return False
    except OverflowError:  # a whole number beyond all floats
        return False
    if kind in (int, _COUNTS, list[int]):
        numbers = value.values() if kind == _COUNTS else value if kind == list[int] else [value]
        return all(0 <= number <= _MOST[int] for number in numbers)
    floats = value if kind == list[float] else [value]
    return all(abs(number) <= _MOST[float] for number in floats if isinstance(number, int | float))
