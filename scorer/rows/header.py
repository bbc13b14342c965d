"""Headers: the columns that a file states, each with a name of its own."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count


@dataclass(frozen=True)
class Header:
    """Columns that a file or a record states.

    Attributes:
        names: name of each column, in order.
        repeated: for each name that the file states more than once, the names that its columns have here.
        renamed: names that the file does not state, with the column that each stands for, from 1.
    """

    names: tuple[str, ...]
    repeated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    renamed: Mapping[str, int] = field(default_factory=dict)


def header_of(names: Sequence[str]) -> Header:
    """Return the header of columns whose names stay as they are, even if some are the same.

    >>> header_of(["a", "b", "a"]).repeated
    {'a': ('a', 'a')}
    """
    counts = Counter(names)
    return Header(tuple(names), {name: (name,) * times for name, times in counts.items() if times > 1})


def header_apart(names: Sequence[str]) -> Header:
    """Return the header of columns that are named apart: the second ``x`` is ``x_2``, an empty third name is ``column_3``.

    A name that the file states is never given to another column.

    >>> header_apart(["x", "x", "", "x_2"]).names
    ('x', 'x_3', 'column_3', 'x_2')
    """
    stated, seen = set(names), Counter[str]()
    numbers: dict[str, Iterator[int]] = {}  # of each repeated name, since many may be taken
    apart: dict[str, list[str]] = {}
    renamed: dict[str, int] = {}
    for at, name in enumerate(names, start=1):
        seen[name] += 1
        new = name
        if not name or seen[name] > 1:
            base = name or f"column_{at}"
            later = numbers.setdefault(base, count(2))
            candidates = chain(() if name else (base,), (f"{base}_{number}" for number in later))
            new = next(one for one in candidates if one not in stated and one not in renamed)
            renamed[new] = at
        apart.setdefault(name, []).append(new)
    order = {name: iter(each) for name, each in apart.items()}
    repeated = {name: tuple(each) for name, each in apart.items() if name and len(each) > 1}
    return Header(tuple(next(order[name]) for name in names), repeated, renamed)
