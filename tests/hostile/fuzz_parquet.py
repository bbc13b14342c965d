"""A fuzzer of Parquet files: it changes one to three bytes of them for --seconds, and reports wrong outcomes.

    PYTHONPATH=.:tests python tests/hostile/fuzz_parquet.py --seconds 600

The files have the shapes of six writers. Each changed file is scored in its own process, since a library that aborts
must not end the fuzzer. pyarrow then reads the whole file in another process. A run must end with one of the documented
exit codes and without an "unexpected" error. Its output must have the rows, values and types of the file. If pages have
checksums and the changed bytes are in a page, the values must be the original ones, or the file must be refused.

Each finding is kept in --findings, and the exit code is 1 if there are any. Without --seed, a new seed is printed.
"""

import argparse
import datetime
import decimal
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from cases import Model

import scorer.run.score
from scorer.cli.program import run_command
from scorer.cli.score import command

ROWS = 40
TRIAL_SECONDS = 30
MEMORY = 8 << 30
FAR = datetime.datetime(9999, 12, 31)


def table(**more):
    """Return a table with a text in each row, and columns of the types that tables usually have."""
    numbers = range(ROWS)
    return pa.table(
        {
            "id": pa.array([f"r{n}" for n in numbers]),
            "text": pa.array([f"a {'good' if n % 2 else 'bad'} film, number {n}" * (1 + n % 3) for n in numbers]),
            "stars": pa.array([None if n % 7 == 0 else n % 5 for n in numbers], pa.int32()),
            "price": pa.array([n / 4 for n in numbers]),
            "money": pa.array([decimal.Decimal(n) / 100 for n in numbers], pa.decimal128(12, 2)),
            "day": pa.array([datetime.date(2020, 1, 1 + n % 28) for n in numbers]),
            "at": pa.array([datetime.datetime(2020, 1, 1, 0, n) for n in numbers], pa.timestamp("us", "UTC")),
            "kind": pa.array([("film", "book", "hotel")[n % 3] for n in numbers]).dictionary_encode(),
            "tags": pa.array([[f"t{n % 4}"] * (n % 3) for n in numbers]),
            "place": pa.array([{"city": f"c{n % 5}", "zip": n} for n in numbers]),
            **more,
        }
    )


def shapes():
    """Return files as six writers write them, by name: the bytes, and whether every page has a checksum."""
    times = pa.array(
        [FAR if n % 9 == 0 else datetime.datetime(1900 + n, 1, 1) for n in range(ROWS)], pa.timestamp("us")
    )
    nested = pa.array([[(f"k{n % 2}", n)] for n in range(ROWS)], pa.map_(pa.string(), pa.int32()))
    plain = table().drop_columns(["kind"])
    written = {
        "pyarrow": (table(), {"row_group_size": 16}),
        "pyarrow with checksums": (
            table(),
            {"row_group_size": 16, "write_page_checksum": True, "compression": "zstd", "data_page_size": 256},
        ),
        "Spark": (
            plain.append_column("created", times),
            {"use_deprecated_int96_timestamps": True, "store_schema": False, "use_compliant_nested_type": False},
        ),
        "DuckDB": (plain, {"compression": "zstd", "store_schema": False, "row_group_size": 32, "version": "1.0"}),
        "polars": (
            table(view=pa.array(["v"] * ROWS, pa.string_view())),
            {"compression": "zstd", "data_page_version": "2.0", "row_group_size": 8, "write_page_index": True},
        ),
        "parquet-mr": (
            plain.append_column("map", nested),
            {"compression": "none", "use_dictionary": False, "store_schema": False, "data_page_version": "2.0",
             "column_encoding": {"stars": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY", "price": "BYTE_STREAM_SPLIT"}},
        ),
    }  # fmt: skip
    found = {}
    for name, (rows, options) in written.items():
        out = io.BytesIO()
        pq.write_table(rows, out, **options)
        found[name] = (out.getvalue(), bool(options.get("write_page_checksum")))
    return found


def mutate(chance, data):
    """Change one to three bytes, half of the time in the footer, where each matters; return the data and the offsets."""
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    places = []
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 3])):
        at = chance.randrange(footer, len(data)) if chance.random() < 0.5 else chance.randrange(len(data))
        changed[at] = chance.choice([changed[at] ^ 1 << chance.randrange(8), chance.randrange(256), 0, 255])
        places.append(at)
    return bytes(changed), places


def in_child(work, said):
    """Run a function in its own process, and return the exit code, negative for a signal."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 70
    try:
        stream = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 1), os.dup2(stream, 2)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(TRIAL_SECONDS)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = int(work())
    except BaseException as error:
        os.write(2, f"unexpected {type(error).__name__}: {error}".encode(errors="backslashreplace"))
    finally:
        os._exit(code)


def try_file(folder, data, original=None):
    """Score a file, compare the output with it, and return the outcome and the problem, or None.

    Args:
        folder: folder to work in, which is emptied.
        data: bytes of the file.
        original: bytes before the change if no value may differ from them, or None.
    """
    for path in folder.iterdir():
        path.unlink()
    source, out, said = folder / "in.parquet", folder / "out.parquet", folder / "said"
    source.write_bytes(data)
    options = [str(source), "-o", str(out), "--keep", "*", "-q", "--provider", "cpu", "--max-record-bytes", "100000"]

    def score():
        scorer.run.score.LoadedModel = Model
        return run_command(command, options, name="score", interrupted="")

    code = in_child(score, said)
    text = said.read_text(errors="replace")
    if code < 0 or code not in (0, 2, 3, 4) or "Error: unexpected" in text or "Traceback" in text:
        return f"exit code {code}", f"exit code {code}: {text}"
    if code not in (0, 3):
        return f"exit code {code}", None
    reading = in_child(lambda: compare(out, data, original), said)
    return (
        f"exit code {code}",
        None if reading == 0 else f"exit code {code}, then {reading}: {said.read_text(errors='replace')}",
    )


def compare(out, data, original):
    """Raise `AssertionError` unless an output has the values of a file, and those of the original."""
    written = pq.read_table(out)
    unit = next((field.type.unit for field in written.schema if pa.types.is_timestamp(field.type)), "us")
    says = [
        pq.read_table(
            io.BytesIO(data), use_threads=False, page_checksum_verification=True, coerce_int96_timestamp_unit=unit
        )
    ]
    says += [] if original is None else [pq.read_table(io.BytesIO(original), coerce_int96_timestamp_unit=unit)]
    rows = [row - 1 for row in written["row"].to_pylist()]
    for whole in says:
        names = list(dict.fromkeys([*(["id"] if "id" in whole.column_names else []), *whole.column_names]))
        chosen = whole.select(names)  # row by row: Arrow cannot take rows of string views
        expected = pa.concat_tables([chosen.slice(row, 1) for row in rows] or [chosen.slice(0, 0)])
        for at, name in enumerate(names, start=1):
            found, wanted = written.column(at), expected.column(name)
            assert found.type == wanted.type, f"{name!r} became {found.type} from {wanted.type}"
            same = found.equals(wanted) or str(found.to_pylist()) == str(
                wanted.to_pylist()
            )  # the second comparison is for NaN
            assert same, f"values of {name!r} changed"
    return 0


def in_a_page(data, places):
    """Return whether all offsets are in the data of a page, which its checksum covers, not in a header or the footer."""
    spans = []
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            first = min(filter(None, (column.dictionary_page_offset, column.data_page_offset)))
            spans.append((first, first + column.total_compressed_size))
    return all(any(start + HEADER_BYTES <= at < end for start, end in spans) for at in places)


HEADER_BYTES = 120
"""More bytes than the header of a column's first page has; those of later pages are within the span."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--tries", type=int, default=1 << 62, help="End after so many, too.")
    parser.add_argument("--findings", type=Path, default=Path("findings"))
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    counts, findings = fuzz(
        random.Random(seed), time.monotonic() + arguments.seconds, arguments.tries, arguments.findings
    )
    for outcome, count in sorted(counts.items()):
        print(f"{outcome}: {count:,}")
    print(json.dumps({"seed": seed, "tried": sum(counts.values()), "findings": findings}))
    return 1 if findings else 0


def fuzz(chance, end, most, place):
    """Try changed files up to a time or a number; return counts by outcome, and the number of findings."""
    counts, findings = Counter(), 0
    files = shapes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        while time.monotonic() < end and sum(counts.values()) < most:
            shape = chance.choice(list(files))
            original, has_checksums = files[shape]
            data, places = mutate(chance, original)
            checked = has_checksums and in_a_page(original, places)
            outcome, problem = try_file(folder, data, original if checked else None)
            counts[f"{shape}: {outcome}"] += 1
            if problem is not None:
                findings += 1
                place.mkdir(exist_ok=True)
                (place / f"{findings}.parquet").write_bytes(data)
                (place / f"{findings}.txt").write_text(f"{shape}, bytes {places} changed\n\n{problem}")
                print(f"finding {findings}: {shape}: {problem.strip().splitlines()[-1][:300]}", flush=True)
    return counts, findings


if __name__ == "__main__":
    sys.exit(main())
