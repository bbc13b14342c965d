"""Two outputs of `score`, joined row by row."""

from collections.abc import Iterator

from scorer.base.errors import InputError
from scorer.report.scored_file import BY_ROW, Scored


def by_row(first: Iterator[Scored], second: Iterator[Scored]) -> Iterator[tuple[Scored | None, Scored | None]]:
    """Join two outputs by row number. Both are in row order, so no row is held in memory."""
    ahead, behind = _numbered(first), _numbered(second)
    one, other = next(ahead, None), next(behind, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[1], None
            one = next(ahead, None)
        elif one is None or other[0] < one[0]:
            yield None, other[1]
            other = next(behind, None)
        else:
            yield one[1], other[1]
            one, other = next(ahead, None), next(behind, None)


def _numbered(rows: Iterator[Scored]) -> Iterator[tuple[int, Scored]]:
    last = 0
    for scored in rows:
        number = int(scored.key) if scored.key.isdecimal() and len(scored.key) < 20 else 0
        if number <= last:
            raise InputError(
                f"row {scored.key} comes after row {last}, but the rows of an output are ascending numbers."
            )
        last = number
        yield number, scored


def by_id(
    first: Iterator[Scored], second: Iterator[Scored], names: tuple[str, str]
) -> Iterator[tuple[Scored | None, Scored | None]]:
    """Join two outputs by id: the rows of the second in order, then those that only the first has.

    Args:
        first, second: rows of the outputs.
        names: names of the outputs.
    """
    waiting: dict[str, Scored] = {}
    for scored in first:
        if waiting.setdefault(scored.key, scored) is not scored:
            raise _ambiguous(scored.key, names[0])
    seen: set[str] = set()
    for scored in second:
        if scored.key in seen:
            raise _ambiguous(scored.key, names[1])
        seen.add(scored.key)
        yield waiting.pop(scored.key, None), scored
    for scored in waiting.values():
        yield scored, None


def _ambiguous(key: str, name: str) -> InputError:
    return InputError(f"{name} has the id {key!r} more than once.{BY_ROW}")
