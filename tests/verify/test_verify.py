"""score-model verify: outputs of every kind agree with their record; whatever is changed afterwards is found."""

import contextlib
import csv
import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import ROOT, held_out, reviews, with_confidence, with_fields

from scorer.verify.label_counts import OTHER, LabelCounts
from scorer.verify.rescoring import Comparison, units_of
from scorer.verify.row_file import Row
from scorer.verify.sample import chance_to_miss, draw
from scorer.verify.sampled_reader import Published

pytestmark = pytest.mark.usefixtures("small_chunks")

ROWS = 60


def records(rows=ROWS):
    """Records with every kind of trouble: blank texts, texts without a token, equal texts, formulas, quotes, line ends."""
    texts = [f"{text} {row % 7}" for row, text in enumerate(reviews(rows, 2, 3).texts)]
    for row in range(8, rows, 9):
        texts[row] = "\u200b" if row % 2 else " "
    texts[10:12] = ["so " * 100, '=good, "bad"\r\nvery bad']
    texts[20:25] = texts[0:5]
    return [{"id": f"n{row}", "text": text, "stars": row % 5} for row, text in enumerate(texts, start=1)]


def write(path, found):
    """Write records in the format of a path, with a line that is broken in JSONL."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(found), path, row_group_size=25)
    elif ".csv" in path.name:
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows([[*found[0]], *([*record.values()] for record in found)])
    else:
        lines = [json.dumps(record) + "\n" for record in found]
        data = "".join([*lines[:30], "broken\n", *lines[30:]]).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """Folder with the records in each format."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("in.jsonl", "in.csv", "in.parquet", "in.jsonl.gz"):
        write(folder / name, records())
    write(folder / "more.jsonl", records(20))
    (folder / "none.jsonl").touch()
    (folder / "none.csv").write_text("id,text\n")
    return folder


@pytest.fixture
def night(score, tmp_path, sources):
    """Run `score`, and return its output and its record."""

    def run(name="out.csv", *options, source="in.jsonl", of=score):
        given = [sources / one for one in (source if isinstance(source, tuple) else (source,))]
        out = tmp_path / name
        result = of(*given, "-o", out, "--summary", tmp_path / "run.json", *options)
        assert result.code in (0, 3), result.err
        return out

    return run


@pytest.fixture
def verify(score_model, tmp_path):
    """Verify an output with its record."""

    def run(out, *options, summary=tmp_path / "run.json"):
        return score_model("verify", out, "--summary", summary, *options)

    return run


def states(result):
    """Return the state of each check by its subject."""
    lines = [line for line in result.out.splitlines() if not line.startswith(" ")]
    return {line[12:].split(":")[0]: line[:12].strip() for line in lines}


def change_record(folder, **fields):
    """Change fields of the record, or, by a function, their values."""
    path = folder / "run.json"
    record = json.loads(path.read_text())
    for name, value in fields.items():
        record[name] = value(record[name]) if callable(value) else value
    path.write_text(json.dumps(record))


def adapt(out):
    """Adapt the hashes in the record to the changed output, as somebody who hides a change would."""
    data = out.read_bytes()
    found = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    change_record(out.parent, output=lambda output: {**output, **found})


ALL = ("--details", "--keep", "*", "--source")


@pytest.mark.parametrize(
    ("name", "source", "options"),
    [
        ("out.csv", "in.jsonl", ()),
        ("out.csv", "in.csv", (*ALL, "--escape-formulas")),
        ("out.tsv", "in.parquet", ALL),
        ("out.jsonl", "in.csv", ALL),
        ("out.jsonl", "in.jsonl", ("--keep", "stars", "--keep", "missing")),
        ("out.parquet", "in.jsonl", ALL),
        ("out.parquet", "in.parquet", ALL),
        ("out.parquet", ("in.jsonl", "in.csv"), ALL),
        ("out.csv.gz", "in.jsonl.gz", ALL),
        ("out.jsonl.zst", ("in.csv", "more.jsonl"), ALL),
        ("out.csv", "in.parquet", ("--shard", "2/3", "--details")),
        ("out.jsonl", "in.jsonl", ("--shard", "3/3", "--limit", "40")),
        ("out.csv", "in.jsonl", ("--limit", "35")),
        ("out.csv", "in.jsonl", ("--threshold", "0.8", "--precision", "fp32")),
        ("out.bin", "in.jsonl", ("--output-format", "jsonl.gz")),
        ("out.csv", "none.jsonl", ALL),
        ("out.csv", "none.csv", ()),
        ("out.jsonl", "none.csv", ()),
        ("out.parquet", "none.csv", ()),
    ],
)
def test_an_output_agrees_with_its_record(night, verify, name, source, options):
    result = verify(night(name, *options, source=source))
    assert result.code == 0, result.out
    known = "not checked" if "--limit" in options else "ok"
    expected = {"record": "ok", "output": "ok", "inputs": known, "bundle": "ok", "rows": "ok", "sample": "ok"}
    assert states(result).items() >= expected.items(), result.out


@pytest.mark.parametrize(
    "kind", ["multi_label", "regression", "ordered", "windows", "staged", "staged_windows", "of_three"]
)
@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_an_output_of_every_kind_of_bundle_agrees(request, night, verify, kind, name):
    bundle = request.getfixturevalue(
        {"staged_windows": "staged_windows_bundle", "of_three": "bundle_of_three"}.get(kind, f"{kind}_bundle")
    )
    result = verify(night(name, "--details", "--model", bundle.path))
    assert (result.code, "every byte agrees" in result.out) == (0, True), result.out


def test_an_output_without_the_cascade_agrees_only_with_the_same_setting(night, verify, staged_bundle, tmp_path):
    out = night("out.csv", "--model", staged_bundle.path, "--no-cascade", "--precision", "fp32")
    assert verify(out).code == 0
    change_record(tmp_path, arguments=lambda arguments: {**arguments, "no-cascade": False})
    assert states(verify(out))["sample"] == "different"


def test_uncertain_rows_and_a_promised_error_are_verified_too(night, verify, bundle, tmp_path):
    sure = with_confidence(bundle, tmp_path / "sure", int8=held_out(0.9))
    out = night("out.csv", "--model", sure.path, "--max-error", "0.05", "--uncertain-rows", tmp_path / "ask.csv")
    result = verify(out)
    assert (result.code, states(result)["uncertain rows"]) == (0, "ok")
    with open(tmp_path / "ask.csv", "a") as file:
        file.write("labelled\n")
    result = verify(out)
    assert (result.code, states(result)["uncertain rows"]) == (0, "not checked")
    (tmp_path / "ask.csv").unlink()
    assert "ask.csv is missing; people may have moved it" in verify(out).out


def test_a_resumed_run_and_one_with_a_cache_agree(night, verify, interrupted, tmp_path):
    assert interrupted(3, tmp_path / "none.jsonl").code == 2
    with contextlib.suppress(AssertionError):
        night(of=lambda *arguments: interrupted(3, *arguments))
    out = night()
    assert json.loads((tmp_path / "run.json").read_text())["resumed_from_row"] > 1
    assert verify(out).code == 0
    for _ in range(2):
        out = night("cached.csv", "--cache", tmp_path / "scores.sqlite")
    assert json.loads((tmp_path / "run.json").read_text())["rows_from_cache"] > 40
    assert verify(out).code == 0


def test_an_output_that_was_moved_is_verified_with_its_rejects(night, verify, tmp_path):
    out = night()
    (tmp_path / "elsewhere").mkdir()
    for name in (out.name, f"{out.name}.rejects.jsonl"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    moved = tmp_path / "elsewhere" / out.name
    assert verify(moved).code == 0
    (tmp_path / "elsewhere" / f"{out.name}.rejects.jsonl").unlink()
    result = verify(moved)
    assert (result.code, states(result)) == (
        3,
        {
            "record": "ok",
            "output": "ok",
            "rejects": "different",
            "inputs": "ok",
            "bundle": "ok",
            "rows": "ok",
            "sample": "ok",
        },
    )
    assert (
        "7 records without a row, as many as the record has rejects, which were not checked; all others are rows, in order"
        in result.out
    )
    assert "is a row or a reject" not in result.out


def test_a_renamed_copy_of_an_output_is_verified_with_the_recorded_rejects(night, verify, tmp_path):
    out, copy = night(), tmp_path / "copy.csv"
    rejects = tmp_path / "out.csv.rejects.jsonl"
    shutil.copy(out, copy)
    result = verify(copy)
    assert (result.code, states(result)["rejects"]) == (0, "ok")
    assert f"{rejects}, " in result.out
    shutil.copy(rejects, tmp_path / "copy.csv.rejects.jsonl")
    assert "copy.csv.rejects.jsonl, " in verify(copy).out
    for one in (rejects, tmp_path / "copy.csv.rejects.jsonl"):
        one.unlink()
    result = verify(copy)
    assert (result.code, states(result)["rejects"]) == (3, "different")
    assert f"rejects: {copy}.rejects.jsonl and {rejects} are missing" in result.out
    assert f"rejects: {rejects} is missing" in verify(out).out


def test_no_pytorch_is_needed(night, tmp_path):
    out = night()
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'datasets', 'onnx'))); "
        "from export.cli.score_model import main; main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, "verify", out, "--summary", tmp_path / "run.json"], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, "every byte agrees" in run.stdout) == (0, True), run.stderr


def test_relative_names_are_those_of_the_folder_of_the_run(night, verify, sources, tmp_path, monkeypatch, score):
    monkeypatch.chdir(sources)
    assert score("in.csv", "-o", tmp_path / "out.csv", "--summary", tmp_path / "run.json").code == 3
    assert verify(tmp_path / "out.csv").code == 0
    monkeypatch.chdir(tmp_path)
    result = verify(tmp_path / "out.csv")
    assert result.code == 2
    assert "the input in.csv does not exist" in result.err
    assert "verify in the folder of the run, with its inputs in place." in result.err


def lines_changed(change):
    """Return a function that changes the lines of a text output."""

    def changed(out):
        lines = out.read_text().splitlines(keepends=True)
        change(lines)
        out.write_text("".join(lines))

    return changed


def swap(lines, one, other):
    lines[one], lines[other] = lines[other], lines[one]


def swap_results(lines):
    """Swap labels and scores of two rows, but not their numbers and ids."""
    at = next(n for n in range(2, len(lines)) if lines[n].split(",")[2:] != lines[1].split(",")[2:])
    one, other = lines[1].split(","), lines[at].split(",")
    lines[1], lines[at] = ",".join(one[:2] + other[2:]), ",".join(other[:2] + one[2:])


def set_cell(lines, at, cell, value):
    cells = lines[at].rstrip("\n").split(",")
    cells[cell] = value(cells[cell])
    lines[at] = ",".join(cells) + "\n"


OTHER_LABEL = {"negative": "positive", "positive": "negative"}
TAMPERED = {
    "a score": lambda lines: set_cell(lines, 5, 3, lambda score: f"{float(score) / 2:.6f}"),
    "the last digit of a score": lambda lines: set_cell(lines, 5, 3, lambda score: f"{score[:-1]}{(int(score[-1]) + 1) % 10}"),
    "a label": lambda lines: set_cell(lines, 7, 2, OTHER_LABEL.get),
    "an id": lambda lines: set_cell(lines, 9, 1, lambda one: f"{one}x"),
    "swapped rows": lambda lines: swap(lines, 3, 4),
    "swapped results": swap_results,
    "a removed row": lambda lines: lines.pop(11),
    "the last row removed": lambda lines: lines.pop(),
    "a doubled row": lambda lines: lines.insert(6, lines[6]),
    "a row appended": lambda lines: lines.append(lines[-1].replace(lines[-1].split(",")[0], "99", 1)),
    "a row of a reject": lambda lines: lines.insert(9, "9," + lines[8].split(",", 1)[1]),
    "another number": lambda lines: set_cell(lines, 9, 0, lambda row: "9"),
    "no number": lambda lines: set_cell(lines, 9, 0, lambda row: "x"),
    "a blank line": lambda lines: lines.insert(4, "\n"),
    "blank lines at the end": lambda lines: lines.append("\n\n"),
    "another column name": lambda lines: set_cell(lines, 0, 3, lambda name: "scores"),
    "quotes in the header": lambda lines: set_cell(lines, 0, 3, lambda name: f'"{name}"'),
    "another column": lambda lines: [set_cell(lines, n, 3, lambda cell: f"{cell},1") for n in range(len(lines))],
    "a cell too many": lambda lines: set_cell(lines, 5, 3, lambda cell: f"{cell},1"),
    "quotes": lambda lines: set_cell(lines, 5, 2, lambda label: f'"{label}"'),
    "an open quote": lambda lines: set_cell(lines, 5, 2, lambda label: f'"{label}'),
    "carriage returns": lambda lines: [lines.__setitem__(n, line.replace("\n", "\r\n")) for n, line in enumerate(lines)],
    "nothing": lambda lines: lines.clear(),
    "a header alone": lambda lines: lines.__delitem__(slice(1, None)),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_whatever_is_changed_in_an_output_is_found_even_if_its_hash_is_adapted(night, verify, what):
    out = night()
    lines_changed(TAMPERED[what])(out)
    found = states(verify(out))
    assert found["output"] == "different"
    adapt(out)
    result = verify(out)
    found = states(result)
    assert (result.code, found["output"]) == (3, "ok")
    assert "different" in (found["rows"], found.get("sample")), result.out
    assert "expected: " in result.out or "is empty" in result.out


def is_same(out, whole):
    """Return whether a changed container still holds all that it held, without the code under test."""
    try:
        if out.suffix == ".gz":
            return gzip.decompress(out.read_bytes()) == gzip.decompress(whole)
        if out.suffix != ".parquet":
            return False
        table, before = (pq.read_table(one, page_checksum_verification=True) for one in (out, pa.BufferReader(whole)))
        return table.equals(before, check_metadata=True)
    except Exception:
        return False


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.csv.gz", "out.parquet"])
def test_a_single_changed_byte_is_found(night, verify, name):
    out = night(name, *ALL, source="in.csv")
    whole = out.read_bytes()
    draws = random.Random(name)
    for _ in range(25):
        at, byte = draws.randrange(len(whole)), draws.randrange(256)
        if whole[at] == byte:
            continue
        out.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
        adapt(out)
        result = verify(out)
        assert result.code == (0 if is_same(out, whole) else 3), (
            f"{at}: {whole[at : at + 1]} is {bytes([byte])}\n{result.out}{result.err}"
        )


def test_the_first_differences_are_shown_and_the_others_counted(night, verify):
    out = night()
    lines = out.read_text().splitlines(keepends=True)
    first = lines[1].rstrip("\n")
    for at in range(1, 8):
        set_cell(lines, at, 2, OTHER_LABEL.get)
    out.write_text("".join(lines))
    result = verify(out)
    shown = result.out.splitlines()
    at = shown.index(" " * 12 + "row 1")
    assert shown[at + 1 : at + 3] == [
        f"{'':12}  expected: {first}",
        f"{'':12}  found:    {lines[1].rstrip()}",
    ]
    assert "            and 2 more" in shown
    assert ": 7 differ" in result.out


def test_one_is_written_as_one(night, verify, tmp_path):
    source = tmp_path / "one.csv"
    source.write_text("text\ngood\n")
    out = night(source=source)
    result = verify(out)
    assert "1 record read: 1 row, 0 rejects" in result.out
    assert "1 record in the inputs, 1 row in the output; each record" in result.out
    lines_changed(lambda lines: set_cell(lines, 1, 1, OTHER_LABEL.get))(out)
    result = verify(out)
    assert "1 row in the output; 1 difference\n" in result.out
    assert "1 of 1 row, drawn with " in result.out
    assert ": 1 differs\n" in result.out


def test_a_row_out_of_order_is_shown_where_it_stands(night, verify):
    out = night()
    lines = out.read_text().splitlines()
    lines_changed(TAMPERED["swapped rows"])(out)
    shown = [line.strip() for line in verify(out).out.splitlines()]
    at = shown.index("row 3")
    assert shown[at + 1 : at + 3] == ["expected: a row or a reject", "found:    neither in its place"]
    assert shown[at + 3 : at + 6] == ["row 3", "expected: not behind row 4", f"found:    {lines[3]}"]
    assert "found:    no row in its place" in shown


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_a_changed_line_of_jsonl_is_found(night, verify, name):
    out = night(name, *ALL)
    data = out.read_bytes()
    text = gzip.decompress(data) if name.endswith("gz") else data
    for old, new in ((b'"stars":1', b'"stars":1.0'), (b'"row":1,', b'"row":1, '), (b'"row":4,', b'"row":4,"row":4,')):
        changed = text.replace(old, new, 1)
        assert changed != text
        out.write_bytes(gzip.compress(changed) if name.endswith("gz") else changed)
        adapt(out)
        assert verify(out).code == 3, new


def test_a_changed_parquet_file_is_found(night, verify):
    out = night("out.parquet", *ALL, source="in.parquet")
    table = pq.read_table(out)
    score = table["score"].to_pylist()
    at = table.schema.get_field_index("score")
    changes = {
        "score": table.set_column(at, table.field("score"), pa.array([score[0] / 2, *score[1:]])),
        "type": table.set_column(at, pa.field("score", pa.float32()), pa.array(score, pa.float32())),
        "order": table.take([1, 0, *range(2, len(table))]),
        "missing": table.slice(0, len(table) - 1),
        "column": table.drop_columns(["source"]),
        "metadata": table.replace_schema_metadata({"a": "b"}),
        "row": table.set_column(
            0, table.field("row"), pa.array([n if n != 5 else None for n in table["row"].to_pylist()])
        ),
    }
    for what, changed in changes.items():
        pq.write_table(changed, out)
        adapt(out)
        result = verify(out)
        assert result.code == 3, f"{what}\n{result.out}"
    out.write_bytes(out.read_bytes()[:-100])
    result = verify(out)
    assert (result.code, states(result)["rows"]) == (3, "different")
    assert "is not a Parquet file, or it is truncated or damaged" in result.out


def test_a_truncated_archive_is_a_difference_and_no_failure(night, verify):
    out = night("out.csv.gz")
    out.write_bytes(out.read_bytes()[:-20])
    result = verify(out)
    assert (result.code, states(result)["rows"]) == (3, "different")
    assert "is truncated or damaged" in result.out


def test_a_changed_rejects_file_is_found(night, verify, tmp_path):
    out = night()
    rejects = tmp_path / "out.csv.rejects.jsonl"
    whole = rejects.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert b"invalid_json" in whole
    assert len({json.loads(line)["reason"] for line in lines}) == 2
    for changed in (
        lines[1:],
        lines[::-1],
        [lines[0].replace(b"empty_text", b"too_long"), *lines[1:]],
        [*lines, lines[-1]],
    ):
        rejects.write_bytes(b"".join(changed))
        found = states(verify(out))
        assert (found["rejects"], found["rows"]) == ("different", "different")


def outside_of_the_sample(rows=ROWS + 1):
    """Return options for a sample that has the last row alone."""
    seed = next(seed for seed in range(10_000) if draw(range(1, rows + 1), 1, seed) == {rows})
    return "--rows", 1, "--seed", seed


def test_rows_that_are_not_in_the_sample_are_joined_all_the_same(night, verify, tmp_path):
    out, rejects = night("out.jsonl"), tmp_path / "out.jsonl.rejects.jsonl"
    row, reject = (one.read_text().splitlines(keepends=True)[0] for one in (out, rejects))
    first, empty = json.loads(row)["row"], json.loads(reject)["row"]
    moved = reject.replace(f'"row":{empty}', f'"row":{first}')
    for changes, words in (
        ({out: (row, row.replace('"row":1,', '"row":1,"row":1,'))}, "a row with its number"),
        ({out: (row, "")}, "neither in its place"),
        ({rejects: (reject, moved + reject)}, "both: "),
        ({out: (row, ""), rejects: (reject, moved.replace("empty_text", "not_text") + reject)}, "rejected: "),
        ({rejects: (reject, "")}, "no line in "),
    ):
        for path, (old, new) in changes.items():
            path.write_text(path.read_text().replace(old, new, 1))
        adapt(out)
        result = verify(out, *outside_of_the_sample())
        assert (result.code, states(result)["rows"]) == (3, "different"), words
        assert words in result.out
        for path, (old, new) in changes.items():
            text = path.read_text()
            path.write_text(text.replace(new, old, 1) if new else old + text)
    with open(rejects, "a") as file:
        file.write(reject.replace(f'"row":{empty}', '"row":999'))
    result = verify(out, *outside_of_the_sample())
    assert "row 999" in result.out
    assert "no such row in " in result.out


@pytest.mark.parametrize(
    "changed", ['"row",id,label,score\n', "row,id,label,score\n\n", "row,id,label\n", "row,id,label,score"]
)
def test_a_changed_header_of_no_rows_is_found(night, verify, changed):
    out = night("out.csv", source="none.csv")
    assert out.read_text() == "row,id,label,score\n"
    out.write_text(changed)
    adapt(out)
    result = verify(out)
    assert (result.code, states(result)["rows"]) == (3, "different"), result.out


def test_a_row_hidden_among_the_rejects_is_found_in_any_sample(night, verify, tmp_path):
    out = night()
    rejects = tmp_path / "out.csv.rejects.jsonl"
    lines = out.read_text().splitlines(keepends=True)
    hidden = json.loads((rejects.read_text()).splitlines()[0])
    hidden |= {"row": 1, "line": 1, "offset": 0}
    rejects.write_text(json.dumps(hidden, separators=(",", ":")) + "\n" + rejects.read_text())
    out.write_text("".join([lines[0], *lines[2:]]))
    adapt(out)
    data = rejects.read_bytes()
    change_record(
        tmp_path,
        rejects=lambda one: {**one, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        rows_scored=lambda rows: rows - 1,
        rows_rejected=lambda rows: rows + 1,
        labels=lambda labels: {**labels, (label := lines[1].split(",")[2]): labels[label] - 1},
        rows_rejected_by_reason=lambda reasons: {**reasons, "empty_text": reasons["empty_text"] + 1},
    )
    for options in ((), outside_of_the_sample()):
        result = verify(out, *options)
        found = states(result)
        assert (found.pop("sample"), set(found.values())) == ("different", {"ok"})
        assert "found:    rejected: " in result.out


def test_a_changed_input_is_named_and_its_rows_are_not_compared(night, verify, tmp_path, sources):
    source = tmp_path / "mine.jsonl"
    shutil.copy(sources / "in.jsonl", source)
    out = night(source=source)
    source.write_text(source.read_text().replace("the", "The", 1))
    result = verify(out)
    assert (result.code, states(result)["inputs"], states(result)["rows"]) == (3, "different", "not checked")
    assert f"{source} has " in result.out
    data = source.read_bytes()
    adapted = [{"path": str(source), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]
    change_record(tmp_path, inputs=adapted)
    result = verify(out)
    assert (result.code, states(result)["rows"], states(result)["sample"]) == (3, "different", "ok")
    assert "            duplicates\n" in result.out
    change_record(tmp_path, duplicates=lambda texts: texts - 1)  # "The ..." is another text than "the ..."
    assert verify(out).code == 0  # this tokenizer ignores case, so the output is right
    source.write_text(source.read_text().replace("good", "bad"))
    data = source.read_bytes()
    change_record(tmp_path, inputs=[{**adapted[0], "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}])
    assert states(verify(out))["sample"] == "different"


def test_an_input_that_the_run_did_not_hash_has_other_rows(night, verify, tmp_path, sources):
    source = write(tmp_path / "mine.csv", records())
    out = night("out.csv", "--shard", "1/2", source=source)
    source.write_text(source.read_text() + "x,good,1\n")
    result = verify(out)
    assert (result.code, states(result)["rows"]) == (3, "different")
    assert f"the inputs have {ROWS + 1} rows, but those of all shards are {ROWS}" in result.out


def test_another_bundle_is_named_and_one_that_was_moved_can_be(night, verify, bundle, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(bundle.path, mine)
    out = night("out.csv", "--model", mine)
    shutil.move(mine, tmp_path / "moved")
    result = verify(out)
    assert (result.code, result.out) == (2, "")
    assert f"the bundle {mine} does not exist; name the bundle tiny (id {bundle.id[:12]}...) with --model" in result.err
    assert verify(out, "--model", tmp_path / "moved").code == 0
    other = with_fields(bundle, tmp_path / "other", name="other")
    result = verify(out, "--model", other.path)
    assert (result.code, states(result)["bundle"], states(result)["rows"]) == (3, "different", "not checked")
    assert f"has the id {other.id[:12]}..., but the run used tiny, id {bundle.id[:12]}...; name that one" in result.out
    (tmp_path / "moved" / "tokenizer.json").write_text("{}")
    assert verify(out, "--model", tmp_path / "moved").code == 5


def test_a_record_that_contradicts_itself_is_named(night, verify, tmp_path):
    out = night("out.csv", "--shard", "1/2")
    whole = (tmp_path / "run.json").read_text()
    for fields, words in (
        ({"rows_in": 7}, "rows read are not"),
        ({"rows_rejected_by_reason": {}}, "rejects are not the 0 by reason"),
        ({"shard": None}, "only one of"),
        ({"shard": lambda shard: {**shard, "first_row": 2}}, "has other rows"),
        ({"rejects": None}, "rejects file"),
        ({"rows_from_cache": 99}, "rows_from_cache is 99, of "),
        ({"rows_from_cache": -1}, "rows_from_cache is -1, of "),
        ({"rows_truncated": 99}, "rows_truncated is 99, of "),
        ({"duplicates": 99}, "duplicates is 99, of "),
        ({"rows_uncertain": 1}, "rows_uncertain is 1, but 0 by label"),
    ):
        change_record(tmp_path, **fields)
        result = verify(out)
        assert (result.code, states(result)["record"]) == (3, "different"), fields
        assert words in result.out
        (tmp_path / "run.json").write_text(whole)


def test_counts_of_the_record_are_compared_with_the_files(night, verify, tmp_path):
    out = night()
    change_record(tmp_path, rows_in=lambda rows: rows - 1, rows_scored=lambda rows: rows - 1)
    result = verify(out)
    assert (result.code, states(result)["rows"]) == (3, "different")
    assert "rows of the inputs" in result.out
    assert f"found:    {ROWS + 1}" in result.out


@pytest.mark.parametrize("kind", ["bundle", "multi_label_bundle"])
@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_labels_and_duplicates_are_counted_over_all_rows(request, night, verify, tmp_path, kind, name):
    out = night(name, "--model", request.getfixturevalue(kind).path)
    whole = json.loads((tmp_path / "run.json").read_text())
    assert whole["duplicates"] > 0
    assert verify(out, *outside_of_the_sample()).code == 0
    label, count = max(whole["labels"].items(), key=lambda one: one[1])
    for fields, where, expected, found in (
        (
            {"labels": {**whole["labels"], label: count + 1}},
            "rows by label",
            f"{count + 1} {label}",
            f"{count} {label}",
        ),
        ({"labels": {**whole["labels"], "no such": 2}}, "rows by label", "2 no such", "0 no such"),
        ({"duplicates": whole["duplicates"] - 1}, "duplicates", whole["duplicates"] - 1, whole["duplicates"]),
        ({"rows_without_label": (none := whole["rows_without_label"]) + 1}, "rows without a label", none + 1, none),
    ):
        (tmp_path / "run.json").write_text(json.dumps({**whole, **fields}))
        result = verify(out, *outside_of_the_sample())
        assert (result.code, states(result)["rows"], states(result)["sample"]) == (3, "different", "ok")
        lines = [line.strip() for line in result.out.splitlines()]
        at = lines.index(where)
        assert lines[at + 1 : at + 3] == [f"expected: {expected}, by the record", f"found:    {found}"]


def test_uncertain_rows_of_the_record_are_those_by_label(night, verify, tmp_path):
    out = night("out.csv", "--uncertain", "0.3,0.7")
    assert json.loads((tmp_path / "run.json").read_text())["rows_uncertain"] > 0
    assert verify(out).code == 0
    change_record(tmp_path, rows_uncertain=lambda rows: rows - 1)
    result = verify(out)
    assert (result.code, states(result)["record"]) == (3, "different")


def test_labels_that_no_model_gives_count_as_one(multi_label_bundle, bundle):
    from scorer.model.interpretation import interpretation_of
    from scorer.rows.record import JsonValue

    interpretation = interpretation_of(multi_label_bundle.manifest)
    first, second = interpretation.labels[:2]
    found = LabelCounts(interpretation)
    for value in (
        f"{first}|{second}", "", "x", f"{first}|y", None,
        *(JsonValue(source, None) for source in (f'["{first}"]', "[]", "7", "[7]", '{"a": 1}', "[" * 100_000)),
    ):  # fmt: skip
        found.add({} if value is None else {"labels": value})
    assert (found.labels, found.without) == ({first: 3, second: 1, OTHER: 7}, 2)
    alone = LabelCounts(interpretation_of(bundle.manifest))
    for value in (
        "positive",
        JsonValue('"positive"', None),
        "uncertain",
        "positive|negative",
        JsonValue('["positive"]', None),
    ):
        alone.add({"label": value})
    assert (alone.labels, alone.without) == ({"positive": 2, "uncertain": 1, OTHER: 2}, 0)


def test_other_versions_and_another_cpu_are_named_if_scores_differ(night, verify, tmp_path, monkeypatch):
    out = night()
    lines_changed(TAMPERED["the last digit of a score"])(out)
    assert "may be the reason" not in verify(out).out
    change_record(
        tmp_path,
        versions=lambda versions: {**versions, "tokenizers": "0.0.1"},
        host=lambda host: {**host, "cpu_features": ["sve", *host["cpu_features"]]},
    )
    result = verify(out)
    assert "1 of them differs in numbers alone, by at most 0.0000" in result.out
    assert "this may be the reason, if nobody changed the output: tokenizers was 0.0.1, and is " in result.out
    assert "; only one of the two CPUs has sve" in result.out
    change_record(tmp_path, host=lambda host: {"name": "other", "platform": host["platform"]})
    assert "the run was on another machine, other" in verify(out).out


def test_a_sample_finds_a_change_with_the_stated_probability(night, verify, tmp_path, sources):
    rows, changed, drawn = 300, 3, 60
    source = write(tmp_path / "many.csv", [{"text": text} for text in reviews(rows, 2, 8).texts])
    out = night(source=source)
    result = verify(out, "--rows", drawn, "--seed", 1)
    assert "60 of 300 rows, drawn with --seed 1: every byte agrees" in result.out
    chance = 1 - chance_to_miss(rows, changed, drawn)
    assert f"a change in 1% of the rows (3) would have been found with a probability of {chance:.1%}" in result.out
    at = random.Random(0).sample(range(1, rows + 1), changed)
    lines_changed(lambda lines: [set_cell(lines, n, 1, OTHER_LABEL.get) for n in at])(out)
    adapt(out)
    assert "rows by label" in verify(out, "--rows", 1).out
    with open(out) as file:
        change_record(tmp_path, labels=Counter(row["label"] for row in csv.DictReader(file)))
    tries = 40
    found = [verify(out, "--rows", drawn, "--seed", seed).code for seed in range(tries)]
    expected = [3 if draw(range(1, rows + 1), drawn, seed) & set(at) else 0 for seed in range(tries)]
    assert found == expected
    # More than 4 standard deviations apart would be chance once in 15,000 seeds.
    seeds = 4000
    share = sum(bool(draw(range(1, rows + 1), drawn, seed) & set(at)) for seed in range(seeds)) / seeds
    assert abs(share - chance) < 4 * (chance * (1 - chance) / seeds) ** 0.5


def test_each_draw_is_another_one_unless_its_seed_is_given(night, verify):
    out = night()
    first, second = (verify(out, "--rows", 5).out.split("--seed ")[1].split(":")[0] for _ in range(2))
    assert first != second


def test_chances_are_those_of_drawing_without_putting_back():
    for rows, changed, drawn in ((20, 3, 5), (20, 5, 3), (7, 1, 7), (50, 0, 10), (50, 10, 41)):
        hits = [draw(range(rows), drawn, seed) & set(range(changed)) != set() for seed in range(3000)]
        chance = 1 - chance_to_miss(rows, changed, drawn)
        assert abs(sum(hits) / 3000 - chance) <= 4 * (chance * (1 - chance) / 3000) ** 0.5


def published(score, label="a", tokens="7"):
    cells = {"row": "1", "label": label, "tokens": tokens, "score": score}
    return Published(Row(",".join(cells.values()).encode(), cells), None)


def test_on_cuda_labels_are_equal_and_scores_within_a_thousandth():
    differences = []
    found = Comparison({"score": 1.0}, exact=False, report=differences.append)
    for number, other in enumerate(
        [published("0.5"), published("0.5009"), published("0.5011"), published("0.5", "b"), published("0.5", tokens="8"),
         published("x"), Published(None, None)], start=1
    ):  # fmt: skip
        found.add(number, published("0.5"), other)
    assert (found.rows, found.tolerated, found.different, found.numbers_only) == (7, 1, 5, 1)
    assert [one.where for one in differences] == [f"row {number}" for number in (3, 4, 5, 6, 7)]
    assert found.gap == pytest.approx(0.0011)


def test_values_count_in_the_unit_of_their_logits(regression_bundle, ordered_bundle):
    from scorer.model.interpretation import interpretation_of
    from scorer.rows.columns import Results, Selection, Wanted, output_columns

    def units(bundle, **results):
        found = interpretation_of(bundle.manifest)
        columns = output_columns(
            Selection("text", ()), Results(found.task, found.labels, **results), Wanted(details=True)
        )
        return units_of(columns, found)

    assert units(regression_bundle) == {"score": 2.0}
    assert units(ordered_bundle, ordered=True) == {
        "score": 1.0, "score_1": 1.0, "score_2.5": 1.0, "score_5": 1.0, "expected": 4.0,
    }  # fmt: skip


def refused(verify, *arguments, words, **more):
    result = verify(*arguments, **more)
    assert (result.code, result.out) == (2, "")
    assert words in result.err


def without_hash(files):
    return [{**one, "bytes": None, "sha256": None} for one in files]


def test_the_summary_of_a_plan_is_not_the_record_of_a_run(night, verify, tmp_path, score, sources):
    out = night()
    assert score("--plan", sources / "in.jsonl", "--summary", tmp_path / "plan.json").code in (0, 3)
    refused(verify, out, summary=tmp_path / "plan.json", words="plan.json is the summary of `score --plan`")


def test_what_cannot_be_verified_is_refused_with_the_reason(night, verify, tmp_path, score, sources, score_model):
    out = night()
    whole = (tmp_path / "run.json").read_text()
    refused(verify, tmp_path / "none.csv", words="none.csv does not exist.")
    refused(verify, tmp_path, words="is a folder. Outputs of `score` can be verified, but not those of `score-ray`.")
    refused(verify, out, summary=out, words="out.csv is not the record of a run; name the JSON file")
    refused(verify, out, summary=tmp_path / "none.json", words="none.json does not exist.")
    refused(verify, out, summary=tmp_path, words=" is not a regular file.")
    assert "--summary" in score_model("verify", out).err
    for fields, words in (
        ({"format_version": 2}, "its format_version is 2, not 1"),
        ({"published": False}, "published nothing (exit code 3), so there is no output to verify"),
        ({"exit_code": 4}, "published nothing (exit code 4)"),
        ({"rows_in": "many"}, "run.json is damaged: rows_in is 'many'"),
        ({"inputs": None}, "is damaged: inputs is 'None'"),
        ({"inputs": []}, "run.json is damaged: inputs is '[]', but every run has one. Get the file again."),
        ({"inputs": without_hash}, "the record is damaged: it lacks the size or the SHA-256 of "),
        ({"output": lambda one: {**one, "sha256": None}}, "it lacks the size or the SHA-256 of "),
        ({"output": lambda one: {**one, "bytes": None}}, "run.json is damaged: bytes is 'None'"),
        ({"rejects": lambda one: {**one, "sha256": None}}, "out.csv.rejects.jsonl, which every such run records. Get"),
        (
            {"kind": "plan"},
            "run.json is the summary of `score --plan`, which publishes no output. Name the JSON file that",
        ),
        ({"arguments": {"plan": "x", "later": 1}}, "has arguments that cannot be repeated here"),
        ({"output": {"path": "-", "bytes": 1, "sha256": None}}, "the run wrote to -, which is a stream"),
        ({"output": {"path": "-", "bytes": 1, "sha256": "0" * 64}}, "the run wrote to -, which is a stream"),
        ({"inputs": [{"path": "-", "bytes": 1, "sha256": None}]}, "the run read stdin, which cannot be read again"),
        ({"parts": 3, "format_version": None}, "its format_version is None"),
    ):
        change_record(tmp_path, **fields)
        refused(verify, out, words=words)
        (tmp_path / "run.json").write_text(whole)
    (tmp_path / "run.json").write_text('{"parts": 3, "rows_in": 5}')
    refused(verify, out, words="is the record of `score-ray`")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "run.json").write_text(whole)
    refused(verify, tmp_path / "fifo", words="fifo is not a regular file.")
    change_record(tmp_path, inputs=[{"path": str(tmp_path / "fifo"), "bytes": None, "sha256": None}])
    refused(verify, out, words="which cannot be read again")


def test_rejects_on_stderr_are_not_checked_but_counted(night, verify, tmp_path):
    out = night("out.csv", "--rejects", "/dev/stderr")
    result = verify(out)
    assert (result.code, states(result)["rejects"]) == (0, "not checked"), result.out
    change_record(
        tmp_path,
        rows_rejected_by_reason=lambda reasons: {
            "invalid_json": reasons["invalid_json"] - 1,
            "empty_text": reasons["empty_text"] + 1,
        },
    )
    result = verify(out)
    assert (result.code, states(result)["rows"]) == (3, "different")
    assert "rejects by reason" in result.out
