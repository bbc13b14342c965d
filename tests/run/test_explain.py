"""--explain, from the command line to its file: rows, reasons, and a file that is complete or absent."""

import csv
import json
import os
import re
from math import exp, fsum

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import ROOT, reviews

from scorer import Explanation, Scorer
from scorer.base.errors import UsageError
from scorer.cluster.part_scorer import PartScorer
from scorer.model.outcomes import Outcomes
from scorer.report.nearest import LARGEST_RECORD, Nearest
from scorer.rows.arrow_value import ArrowValue
from scorer.rows.parquet_writer import _TYPES
from scorer.rows.record import JsonValue, Position, Record

KINDS = ["csv", "tsv", "jsonl", "parquet"]
TEXTS = [f"{text} and so. The film was so, {row}\nso it was." for row, text in enumerate(reviews(60, 2, 5).texts)]
TEXTS[40:50] = TEXTS[:10]


@pytest.fixture
def source(tmp_path):
    """Folder with 60 records as CSV, JSONL and Parquet; ten repeat the text of an earlier one."""
    records = [{"id": f"r{row}", "text": text, "stars": row % 5} for row, text in enumerate(TEXTS, start=1)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with open(tmp_path / "in.csv", "w", newline="") as file:
        csv.writer(file).writerows([["id", "text", "stars"], *([*record.values()] for record in records)])
    table = pa.Table.from_pylist(records)
    pq.write_table(table.append_column("kind", table["id"].dictionary_encode()), tmp_path / "in.parquet")
    return tmp_path / "in.jsonl"


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    return [{name: json.loads(cell) if name == "explanation" else cell for name, cell in row.items()} for row in rows]


def explained(out):
    return out.with_name(f"{out.name}.explained.{out.suffix[1:]}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
def test_the_nearest_rows_are_explained_beside_an_output_that_has_the_same_bytes(score, source, tmp_path, name, kind):
    plain, out = tmp_path / f"plain.{kind}", tmp_path / f"out.{kind}"
    options = ("--keep", "stars", "--details")
    assert score(tmp_path / name, "-o", plain, *options).code == 0
    result = score(tmp_path / name, "-o", out, *options, "--explain", "7")
    assert result.code == 0, result.err
    assert out.read_bytes() == plain.read_bytes()
    all_rows = {str(row["row"]): row for row in read(out)}
    first = [row for row, text in enumerate(TEXTS, start=1) if TEXTS.index(text) == row - 1]
    nearest = sorted(first, key=lambda row: abs(float(all_rows[str(row)]["score"]) - 0.5))[:7]
    found = read(explained(out))
    assert [int(row["row"]) for row in found] == nearest
    for row in found:
        explanation = row.pop("explanation")
        assert row == all_rows[str(row["row"])]
        assert (explanation["label"], explanation["against"]) == (
            row["label"], "negative" if row["label"] == "positive" else "positive",
        )  # fmt: skip
        probability = float(row[f"score_{explanation['label']}"])
        assert 1 / (1 + exp(-explanation["margin"])) == pytest.approx(probability, abs=2e-6)
        assert [one["text"] for one in explanation["sentences"]][1:] == [
            f"The film was so, {int(row['row']) - 1}", "so it was.",
        ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_has_the_same_explanations(score, source, staged_bundle, tmp_path, kind):
    command = (source, "--model", staged_bundle.path, "--explain", "5")
    for out in (tmp_path / "a.jsonl", tmp_path / f"out.{kind}"):
        assert score(*command, "-o", out).code == 0
    expected, found = read(explained(tmp_path / "a.jsonl")), read(explained(tmp_path / f"out.{kind}"))
    assert [row["explanation"] for row in found] == [row["explanation"] for row in expected]
    assert any(row["explanation"]["words"] for row in found)
    for row in found:
        one = row["explanation"]
        words = [word["amount"] for word in one["words"]]
        total = fsum([*words, one["other_words"], one["encoder"] or 0, one["constant"]])
        assert total == pytest.approx(one["margin"], abs=2e-5)
        text = TEXTS[int(row["row"]) - 1]
        for passage in (*one["words"], *one["sentences"]):
            assert text[passage["begin"] : passage["end"]] == passage["text"]


def test_the_parquet_type_has_the_fields_of_the_json_form(score, source, staged_bundle, tmp_path):
    assert score(source, "-o", tmp_path / "o.jsonl", "--model", staged_bundle.path, "--explain", "3").code == 0
    one = read(explained(tmp_path / "o.jsonl"))[0]["explanation"]
    kind = _TYPES["explanation"]
    assert [field.name for field in kind] == list(one)
    for name in ("words", "sentences"):
        assert [field.name for field in kind.field(name).type.value_type] == list(one[name][0])


def test_several_labels_and_any_number_of_labels_are_explained(
    score, source, bundle_of_three, multi_label_bundle, tmp_path
):
    for bundle in (bundle_of_three, multi_label_bundle):
        out = tmp_path / f"{bundle.path.name}.jsonl"
        assert score(source, "-o", out, "--model", bundle.path, "--explain", "4", "--details").code == 0
        for row in read(explained(out)):
            one = row["explanation"]
            assert one["label"] in bundle.manifest.labels
            assert (one["against"] is None) == (bundle is multi_label_bundle)
            assert one["words"] == []
            assert one["encoder"] + one["constant"] == pytest.approx(one["margin"], abs=2e-6)
        margins = [abs(row["explanation"]["margin"]) for row in read(explained(out))]
        assert margins[0] < 1


def test_the_cost_of_one_row_is_named_in_the_singular(score, source, tmp_path):
    result = score(source, "-o", tmp_path / "out.csv", "--explain", "1")
    assert "Explaining 1 row: the encoder reads it again without each of 3 sentences, in about " in result.err


def test_the_cost_is_named_before_the_file_and_the_record_has_its_hash(score, source, tmp_path):
    out, summary = tmp_path / "out.csv", tmp_path / "run.json"
    result = score(source, "-o", out, "--explain", "5", "--summary", summary, "--report", tmp_path / "run.html")
    assert re.search(
        r"Explaining 5 rows: the encoder reads them again without each of 15 sentences, in about [\d.]+ s\.\n"
        rf"60 of 60 rows scored .*\n(.*\n)*The 5 rows nearest to another label are explained in {explained(out)}\.\n",
        result.err,
    )
    record = json.loads(summary.read_text())
    jsonschema.validate(record, json.loads((ROOT / "scorer/report/summary.schema.json").read_text()))
    assert record["explained_rows"]["path"] == str(explained(out))
    assert record["explained_rows"]["bytes"] == explained(out).stat().st_size
    assert record["seconds_by_phase"]["explain"] >= 0
    assert record["explained_rows"]["sha256"] in (tmp_path / "run.html").read_text()
    score(source, "-o", out, "--summary", summary)
    record = json.loads(summary.read_text())
    assert record["explained_rows"] is None
    assert "explain" not in record["seconds_by_phase"]


def test_a_text_that_is_one_sentence_costs_nothing(score, tmp_path):
    (tmp_path / "in.csv").write_text("text\ngood film\n")
    result = score(tmp_path / "in.csv", "-o", tmp_path / "out.jsonl", "--explain", "5")
    assert "Explaining" not in result.err
    assert "The row nearest to another label is explained in" in result.err
    [row] = read(explained(tmp_path / "out.jsonl"))
    assert row["explanation"]["sentences"] == []


def test_without_rows_an_earlier_file_is_removed(score, source, tmp_path):
    out = tmp_path / "out.csv"
    score(source, "-o", out, "--explain", "5")
    assert explained(out).exists()
    (tmp_path / "in.csv").write_text("text\n")
    result = score(tmp_path / "in.csv", "-o", out, "--explain", "5", "--summary", tmp_path / "run.json")
    assert result.code == 0
    assert not explained(out).exists()
    assert json.loads((tmp_path / "run.json").read_text())["explained_rows"] is None
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("kind", KINDS)
def test_only_an_earlier_file_of_explained_rows_is_replaced(score, source, tmp_path, kind):
    out = tmp_path / f"out.{kind}"
    assert score(source, "-o", out, "--explain", "2").code == 0
    assert score(source, "-o", out, "--explain", "3").code == 0
    assert len(read(explained(out))) == 3
    os.replace(out, explained(out))  # an output is not one of them
    result = score(source, "-o", out, "--explain", "2")
    assert result.code == 2
    assert (
        f"--explain {explained(out)} exists and is not the list of explained rows of an earlier run; move it"
        in result.err
    )
    assert not out.exists()


def test_a_kept_column_of_the_same_name_gets_another(score, tmp_path):
    (tmp_path / "in.csv").write_text("text,explanation,input_explanation\ngood film,a,b\n")
    out = tmp_path / "out.csv"
    assert score(tmp_path / "in.csv", "-o", out, "--keep", "*", "--explain", "1").code == 0
    [row] = read(explained(out))
    assert row["explanation"]["label"] == "positive"
    assert (row["input_explanation"], row["input_input_explanation"]) == ("b", "a")
    assert list(read_plain(out)[0]) == ["row", "text", "explanation", "input_explanation", "label", "score"]


def read_plain(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "-", "--explain", "3"], "--explain writes a file beside the output, but --output - is a stream; name a file."),
        (["-o", "out.csv", "--explain", "1001"], "1001 is not in the range 0<=x<=1000."),
        (["-o", "out.csv", "--explain", "3", "--rejects", "out.csv.explained.csv"], "--explain and --rejects are the same file"),
        (["-o", "out.csv", "--explain", "3", "--summary", "out.csv.explained.csv"], "--summary and --explain are the same file"),
        (["-o", "out.csv", "--explain", "3", "--cache", "out.csv.explained.csv"], "are the same file; name another for the cache."),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_refused(score, source, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    result = score("in.jsonl", *options)
    assert result.code == 2
    assert message in result.err
    assert not (tmp_path / "out.csv").exists()


def test_numbers_and_parts_are_refused(score, source, regression_bundle, bundle, tmp_path):
    result = score(source, "-o", tmp_path / "out.csv", "--model", regression_bundle.path, "--explain", "3")
    assert result.code == 2
    assert "--explain needs a model that gives labels; this one gives numbers. Omit it." in result.err
    with pytest.raises(UsageError, match="--explain is for `score`"):
        PartScorer(str(tmp_path), model=str(bundle.path), provider="cpu", explain=3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet"])
def test_an_interrupted_run_resumes_with_the_rows_of_all(
    small_chunks, interrupted, score, source, tmp_path, name, kind
):
    def command(out, rows=9):
        return (tmp_path / name, "-o", tmp_path / f"{out}.{kind}", "--keep", "*", "--details", "--explain", rows)

    assert score(*command("whole")).code == 0
    for chunk in (2, 1, 3):
        assert interrupted(chunk, *command("out")).code == 143
    assert not explained(tmp_path / f"out.{kind}").exists()
    again = score(*command("out"))
    assert again.err.startswith("Resuming at row")
    for each in (tmp_path / f"out.{kind}", explained(tmp_path / f"out.{kind}")):
        whole = each.with_name(each.name.replace("out.", "whole.", 1))
        assert each.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".out*"))

    assert interrupted(2, *command("out")).code == 143
    assert "--explain was 9, now 3" in score(*command("out", 3)).err


def test_an_interruption_while_rows_are_explained_keeps_all_rows(small_chunks, score, source, tmp_path, monkeypatch):
    def command(out):
        return (source, "-o", tmp_path / out, "--explain", "4")

    assert score(*command("whole.parquet")).code == 0
    with monkeypatch.context() as patched:
        patched.setattr("scorer.run.explain.weighed", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        assert score(*command("out.parquet")).code == 130
    assert not (tmp_path / "out.parquet").exists()
    assert "Resuming at row 57" in score(*command("out.parquet")).err
    for name in ("parquet", "parquet.explained.parquet"):
        assert (tmp_path / f"out.{name}").read_bytes() == (tmp_path / f"whole.{name}").read_bytes()


def test_rows_from_the_cache_are_explained_alike(score, source, tmp_path):
    for _ in range(2):
        command = (source, "-o", tmp_path / "cached.csv", "--explain", "6", "--cache", tmp_path / "cache.sqlite")
        assert score(*command).code == 0
    assert score(source, "-o", tmp_path / "plain.csv", "--explain", "6").code == 0
    found, plain = (explained(tmp_path / f"{name}.csv").read_bytes() for name in ("cached", "plain"))
    assert found == plain


def test_the_file_is_verified(score, score_model, source, tmp_path):
    out = tmp_path / "out.csv"
    score(source, "-o", out, "--explain", "3", "--summary", tmp_path / "run.json")
    for path in (out, explained(out)):
        path.rename(tmp_path / path.name.replace("out", "moved"))
    moved = tmp_path / "moved.csv"
    verified = score_model("verify", moved, "--summary", tmp_path / "run.json")
    assert verified.code == 0, verified.out
    assert re.search(rf"ok +explained rows: {explained(moved)}", verified.out)
    with open(explained(moved), "a") as file:
        file.write("\n")
    assert score_model("verify", moved, "--summary", tmp_path / "run.json").code == 3


def test_python_gets_the_same_explanations(score, source, staged_bundle, tmp_path):
    score(source, "-o", tmp_path / "out.jsonl", "--model", staged_bundle.path, "--explain", "4")
    rows = read(explained(tmp_path / "out.jsonl"))
    with Scorer(staged_bundle, provider="cpu") as scorer:
        found = scorer.explain([TEXTS[row["row"] - 1] for row in rows])
        with pytest.raises(TypeError, match="score\\(\\) takes a list of texts"):
            scorer.explain("a text")
    assert all(isinstance(one, Explanation) for one in found)
    assert [one.shortened().as_json() for one in found] == [row["explanation"] for row in rows]


def outcomes_of(count):
    none = np.zeros(count, dtype=np.int64)
    logits = np.arange(count, dtype=np.float32)[:, np.newaxis]
    return Outcomes(logits, none.astype(bool), none, none, none, none, *[none.astype(bool)] * 3)


def test_a_kept_record_holds_no_other_values_in_memory():
    texts = [f"{row} " * 50 for row in range(1000)]
    for array in (pa.array(texts), pa.array(texts).dictionary_encode(), pa.array([{"a": [one]} for one in texts])):
        value = ArrowValue(array, 500)
        record = Record(1, "text", (value, None, "x", JsonValue("1.0", "1.0")), Position("a", 1, 0), b"x" * 999, 9)
        alone = record.alone()
        assert (alone.raw, alone.carried[1:]) == (b"", record.carried[1:])
        assert (alone.carried[0].source, alone.carried[0].array.type) == (value.source, array.type)
        assert alone.carried[0].array.get_total_buffer_size() < 4000 < array.get_total_buffer_size()


def test_the_nearest_of_all_chunks_are_kept_and_restored_and_huge_records_are_not():
    random = np.random.default_rng(4)
    doubts = [random.random(20).round(1) for _ in range(6)]
    doubts[2][3] = np.nan
    nearest, journaled = Nearest(7), Nearest(7)
    every = []
    for chunk, doubt in enumerate(doubts):
        records = [
            Record(20 * chunk + at + 1, "text", (), Position("a", 1, 0), b"x", LARGEST_RECORD + (at == 5), at == 9)
            for at in range(20)
        ]
        before = nearest.copy()
        nearest.add(records, doubt, outcomes_of(20))
        journaled = journaled.merged(Nearest.from_json(json.loads(json.dumps(nearest.since(before).as_json()))))
        every += [
            (one, record.row) for one, record in zip(doubt, records, strict=True) if record.row % 20 not in (6, 10)
        ]
    expected = sorted(pair for pair in every if not np.isnan(pair[0]))[:7]
    assert [row[:2] for row in nearest.rows] == expected
    assert {row.row for row in nearest.rows} == nearest.records.keys()
    assert all(record.raw == b"" for record in nearest.records.values())
    assert journaled.rows == nearest.rows
    assert nearest.outcomes.logits[:, 0].tolist() == [(row - 1) % 20 for _, row in expected]
    assert nearest.outcomes.logits.dtype == np.float32
