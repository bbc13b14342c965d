"""The input of a forecast from files that state their rows: only some of their row groups are read."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from scorer.base import signals
from scorer.base.timing import Stopwatch
from scorer.forecast.counted import SAMPLED, CountedInput, empty_input
from scorer.forecast.sample import SEED
from scorer.model.loaded import LoadedModel
from scorer.report.figure import share
from scorer.rows.formats import INPUT_FORMATS
from scorer.rows.reader import Inputs, Reader
from scorer.rows.record import Record

_GROUPS = 64  # row groups to read, at most
_RECORD_SECONDS = 2e-5  # to make a record of a decoded row


@dataclass(frozen=True)
class Group:
    """Row group of a file.

    Attributes:
        path: name of the file.
        begin: number of its first row in the file, from 0.
        rows: number of its rows.
    """

    path: str
    begin: int
    rows: int


def groups_in(inputs: Inputs, first: int, last: int) -> list[Group] | None:
    """Return the row groups of all files, cut to a range of records; None unless every file has row groups.

    Args:
        inputs: input files.
        first, last: numbers of the first and the last record over all files, from 1.

    Raises:
        InputError, ScorerError: a file cannot be read.
    """
    found: list[Group] = []
    before = 0
    for path in inputs.files:
        groups_of = INPUT_FORMATS[inputs.format_of(path).kind].groups
        if groups_of is None:
            return None
        sizes = groups_of(path)
        for size, end in zip(sizes, accumulate(sizes), strict=True):
            begin, stop = max(before + end - size, first - 1), min(before + end, last)
            if begin < stop:
                found.append(Group(path, begin - before, stop - begin))
        before += sum(sizes)
    return found


def drawn_input(groups: Sequence[Group], reader: Reader, scorer: LoadedModel) -> CountedInput:
    """Draw rows from row groups, up to `SAMPLED`, and read only these.

    If there are many groups, some are drawn first, each with the same chance, and then rows of these.

    Raises:
        InputError, ScorerError: the input cannot be read.
    """
    draw = random.Random(SEED)
    found = empty_input(scorer)
    total = found.counts.rows_in = sum(group.rows for group in groups)
    chosen = list(range(len(groups)))
    if len(chosen) > _GROUPS:
        chosen = sorted(draw.sample(chosen, _GROUPS))
        found.are_groups_drawn = True
    some = [groups[number] for number in chosen]
    held = sum(group.rows for group in some)
    rows = deque(sorted(draw.sample(range(held), min(held, SAMPLED))))
    watch = Stopwatch()
    decoded = drawn = before = 0
    for path, of_file in groupby(zip(chosen, some, strict=True), lambda each: each[1].path):
        numbers: list[int] = []
        wanted: list[int] = []
        for number, group in of_file:
            last = 0
            while rows and rows[0] < before + group.rows:
                last = rows.popleft() - before
                numbers.append(number)
                wanted.append(group.begin + last)
            decoded += last + 1
            before += group.rows
        signals.check()
        drawn += len(wanted)
        for number, record in zip(numbers, watch.each(reader.drawn(path, wanted)), strict=True):
            if isinstance(record, Record):
                found.computed.add(record.text)
                found.keep(record)
                found.groups.append(number)
            else:
                found.groups_of_rejects.append(number)
    found.is_whole = False
    found.texts = share(len(found.computed.texts), drawn, total)
    found.computed.rows = round(found.texts.value)
    found.counts.rows_scored = found.computed.rows
    found.read_seconds = total * (watch.busy / max(1, decoded) + _RECORD_SECONDS)
    return found
