"""Files that --summary wrote, read again: the record of a run, the summary of a plan, the record of `score-ray`."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from scorer.storage.inputs import opened_file

PLAN = "plan"
"""Value of the key ``kind`` of the summary of a plan; records have no such key."""

_LARGEST = 100_000_000  # bytes of a file; a record names each of its inputs
_KINDS = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}


class NotAnObject(ValueError):
    """Content of another kind, in words: ``not JSON``."""


def json_object(path: str) -> dict[str, Any]:
    """Read a file as one JSON object.

    Args:
        path: name or address of the file.

    Raises:
        NotAnObject: it holds something else.
        ScorerError: it cannot be read.
    """
    with opened_file(path) as file:
        data = file.read(_LARGEST)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotAnObject("not JSON" if data else "an empty file") from error
    if not isinstance(content, dict):
        raise NotAnObject(f"{_KINDS.get(type(content), 'null')} in JSON")
    return content


def kind_of(content: Mapping[str, Any]) -> Literal["run", "plan", "score-ray"] | None:
    """Return the command that wrote a JSON object, as far as its keys show; None if none did.

    >>> kind_of({"kind": "plan"}), kind_of({"parts": 3}), kind_of({"rows_in": 1, "seconds": 2.5}), kind_of({"a": 1})
    ('plan', 'score-ray', 'run', None)
    """
    if content.get("kind") == PLAN:
        return "plan"
    if "parts" in content and "arguments" not in content:
        return "score-ray"
    return "run" if {"rows_in", "seconds"} <= content.keys() else None
