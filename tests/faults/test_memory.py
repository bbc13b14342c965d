"""Memory does not grow with the number of rows."""

import json
import random

import pytest
from factories import BAD, FILLER, GOOD, peak_memory
from harness import MARKS, counted

pytestmark = MARKS


WORDS = [*GOOD, *BAD, *FILLER]


def distinct(row, chosen):
    return json.dumps({"id": row, "text": " ".join(chosen.choices(WORDS, k=15))})


def equal(row, chosen):
    return '{"text": "good film"}'


def rejected(row, chosen):
    return '{"text": ' if row else '{"text": "good"}'


@pytest.mark.parametrize("line", [distinct, equal, rejected])
def test_peak_memory_for_many_rows_is_that_for_few(bundle, tmp_path, tally, line):
    chosen = random.Random(7)
    few, many = counted(10_000, 10_000), counted(1_000_000, 60_000)
    for rows in (few, many):
        with open(tmp_path / f"{rows}.jsonl", "w") as file:
            file.writelines(f"{line(row, chosen)}\n" for row in range(rows))
    used = {rows: peak_memory(bundle, tmp_path / f"{rows}.jsonl", tmp_path / "out.csv") for rows in (few, many)}
    share = used[many] / used[few]
    what = f"peak memory for {many:,} {line.__name__} rows within 10% of that for {few:,} ({used[many]:.0f} and {used[few]:.0f} MB)"
    tally(what, 1, int(share <= 1.1))
