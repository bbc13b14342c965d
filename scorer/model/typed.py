"""Dataclasses read from JSON: each field has its annotated type."""

import types
import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from math import isfinite
from typing import Any, Literal


def check_types(record: Any) -> None:
    """Raise `TypeError` unless every field of a dataclass has its annotated type."""
    for name, hint in typing.get_type_hints(type(record)).items():
        value = getattr(record, name)
        if not is_of(value, hint):
            raise TypeError(f"{name} has an invalid value: {str(value)[:100]!r}")


def is_of(value: Any, hint: Any) -> bool:
    """Return whether a value read from JSON is of a type.

    >>> is_of((1, 2.5), tuple[float, ...]), is_of(True, int), is_of({"a": 1}, Mapping[str, str])
    (True, False, False)
    """
    if hint is Any:
        return True
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return any(is_of(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(is_of(item, inner[0]) for item in value)
    if origin is list:
        return isinstance(value, list) and all(is_of(item, inner[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(is_of(item, inner[1]) for item in value.values())
    if hint in (int, float):
        kinds = (int, float) if hint is float else (int,)
        return isinstance(value, kinds) and not isinstance(value, bool) and isfinite(value)
    if origin is Literal:
        return value in inner
    if not isinstance(value, hint):
        return False
    if is_dataclass(value):
        check_types(value)
    return True
