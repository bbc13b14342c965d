"""Types of passed-through columns in a Parquet output: those of the inputs, if they agree."""

from collections.abc import Sequence

import pyarrow as pa

from scorer.base.errors import UsageError
from scorer.rows.arrow_value import is_string_type
from scorer.rows.formats import PARQUET
from scorer.rows.parquet_reader import schema_of
from scorer.rows.reader import Inputs

_UNITS = ("s", "ms", "us", "ns")


def carried_fields(inputs: Inputs, schemas: dict[str, pa.Schema], names: Sequence[str]) -> list[pa.Field]:
    """Return the type of each passed-through column of a Parquet output.

    A column that only some files have may be null. Values of CSV and JSONL are text.

    Args:
        inputs: all input files.
        schemas: schemas of the Parquet files read so far, by path; those of the others are added.
        names: names of the columns, in order.

    Raises:
        UsageError: no type can hold a column of two files exactly.
        InputError, ScorerError: a later file cannot be read.
    """
    for path in inputs.files:
        if path not in schemas and inputs.format_of(path).kind == PARQUET:
            schemas[path] = schema_of(path)
    found: dict[str, pa.Field] = {}
    where: dict[str, str] = {}
    missing: set[str] = set()
    for path in inputs.files:
        # A schema's own look-up would turn every name into a string first.
        fields = {field.name: field for field in schemas[path]} if path in schemas else None
        for name in names:
            field = pa.field(name, pa.string()) if fields is None else fields.get(name)
            if field is None:
                missing.add(name)
                continue
            before = found.get(name)
            kind = field.type if before is None else _common(before.type, field.type)
            if kind is None:
                here = f"is {field.type} in {path}"
                here = here if fields is not None else f"is text in {path}, as all its values are,"
                raise UsageError(
                    f"the column {name!r} {here} but {found[name].type} in {where[name]}, and a Parquet column has one "
                    "type. Write CSV or JSONL instead, or score the files separately."
                )
            nullable = field.nullable or (before is not None and before.nullable)
            found[name] = pa.field(name, kind, nullable, (before or field).metadata)
            where.setdefault(name, path)
    return [
        found[name].with_nullable(found[name].nullable or name in missing)
        if name in found
        else pa.field(name, pa.string())
        for name in names
    ]


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return a type that holds the values of both types exactly, or None.

    >>> _common(pa.null(), pa.int8()), _common(pa.string(), pa.large_string()), _common(pa.int8(), pa.int16())
    (DataType(int8), DataType(large_string), None)
    """
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other) and one.tz == other.tz:
        # Files of the same writer may differ in the unit of INT96 times, see `scorer.rows.parquet_types`.
        return max(one, other, key=lambda kind: _UNITS.index(kind.unit))
    values = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in (one, other)]
    if not all(map(is_string_type, values)):
        return None
    return pa.large_string() if pa.large_string() in values else pa.string()
