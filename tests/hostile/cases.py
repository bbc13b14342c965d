"""A file of any bytes through the whole command, in this process, with every check of the result."""

import base64
import csv
import io
import json
from dataclasses import dataclass

import numpy as np
import reference

import scorer.run.score
from scorer.base.errors import ScorerError
from scorer.base.timing import Phases
from scorer.engine.reuse import Reuse
from scorer.engine.row_engine import RowEngine
from scorer.engine.stages import Stages
from scorer.model.choice import Choice
from scorer.model.interpretation import SingleLabel
from scorer.model.loaded import LoadedModel
from scorer.model.tokenizer import Tokens
from scorer.rows.signatures import kind_of
from scorer.run.options import ScoreOptions


@dataclass(frozen=True)
class Case:
    """A file, with the options to read it."""

    data: bytes
    kind: str
    delimiter: str | None = None
    quote_char: str = '"'
    escape_char: str = ""
    no_header: bool = False
    text: str | None = None
    limit: int = 10_000_000
    output_kind: str = "csv"
    keep: tuple[str, ...] = ()
    details: bool = False
    escape_formulas: bool = False
    skip_initial_space: bool = False
    comment: str = ""
    skip_lines: int = 0
    ragged: str = "reject"
    null: tuple[str, ...] = ()


class Model(LoadedModel):
    """A model that costs nothing; its scores depend only on the text, and differ for nearly all texts."""

    class Manifest:
        name = "none"
        task = "single_label"
        reference = confidence = cascade = None

    def __init__(self, *arguments, **options):
        self.bundle_id, self.manifest, self.labels = "none", self.Manifest, ("negative", "positive")
        self.choice, self.tokenizer = Choice("cpu", "fp32", "as requested"), self
        self.engine, self.interpretation = _SHARED, SingleLabel(self.labels)
        self.phases, self.unknown_id = Phases(), -1
        self.cascade, self.has_cascade, self.windows = None, False, None
        self._reuse = Reuse(Stages(self.engine))
        self.chunk_rows = self.journal_rows = 8

    def encode(self, texts):
        codes = [np.array([*text.encode("utf-8", "surrogatepass"), 0], dtype=np.int64) for text in texts]
        return Tokens(codes, [False] * len(texts), [False] * len(texts))


class _Session:
    def run(self, names, feed):
        ids = feed["input_ids"][0]
        return [np.array([[logit(ids)]], dtype=np.float32)]


def logit(codes):
    return float((codes * (np.arange(len(codes)) % 251 + 1)).sum() % 9973) / 1500 - 3


_SHARED = RowEngine(_Session(), 2)


def score_of(text):
    codes = np.array([*text.encode(), 0], dtype=np.int64)
    return f"{1 / (1 + np.exp(-np.float64(np.float32(logit(codes))))):.6f}"


def check(case, folder):
    """Score a case, compare the result with the reference, and return the exit code.

    Raises:
        AssertionError: the result is wrong; the message describes how.
    """
    source, out = folder / f"in.{case.kind}", folder / f"out.{case.output_kind}"
    rejects = folder / "rejects.jsonl"
    for path in folder.iterdir():
        path.unlink()
    source.write_bytes(case.data)
    code, error = _run(case, source, out, rejects)
    assert code in (0, 2, 3, 4), f"exit code {code}: {error}"
    there = {path.name for path in folder.iterdir()} - {source.name, out.name, rejects.name}
    # A run that is cut short keeps its work for the next one.
    assert code in (2, 4) or not there, "work was left behind"
    expected = _expected(case)
    if expected is None:
        assert code in (2, 4), "published, where the whole file is to be refused"
        assert not out.exists()
        return code
    if code == 4 and kind_of(case.data.removeprefix(b"\xef\xbb\xbf")) is not None:  # a workbook, an archive, ...
        return code
    if code == 4 and "is not utf-8. This looks like" in str(error):
        assert _may_be_of_another_encoding(case.data)
        return code
    rejected = [json.loads(line) for line in rejects.read_text().split("\n")[:-1]] if rejects.exists() else []
    if code == 2:  # a named column is missing
        assert case.keep or case.text, error
        return code
    reasons = {number: one.reason for number, one in enumerate(expected, start=1) if one.reason}
    assert {one["row"]: one["reason"] for one in rejected} == reasons
    for one in rejected:
        place = expected[one["row"] - 1]
        assert (one["offset"], one["length"]) == (place.offset, place.length)
        raw = one["raw"].encode() if "raw" in one else base64.b64decode(one["raw_base64"])
        assert case.data[place.offset : place.offset + place.length].startswith(raw), "a reject's bytes are not its own"
        assert len(raw) == min(place.length, 65536) or one["raw_truncated"]
    if expected and len(reasons) == len(expected):
        assert code == 4
        assert not out.exists()
        return code
    assert code == (3 if reasons else 0), error
    rows = _read(out.read_bytes(), case.output_kind)
    scored = {number: one.text for number, one in enumerate(expected, start=1) if one.reason is None}
    assert [int(row["row"]) for row in rows] == list(scored), "rows are missing, doubled or out of order"
    assert [row["score"] for row in rows] == [score_of(text) for text in scored.values()], "a score is another text's"
    assert all(row["label"] == ("positive" if float(row["score"]) >= 0.5 else "negative") for row in rows)
    return code


def _run(case, source, out, rejects):
    options = ScoreOptions(
        inputs=(str(source),), output=str(out), rejects=str(rejects), quiet=True, provider="cpu",
        delimiter=case.delimiter, quote_char=case.quote_char, escape_char=case.escape_char,
        no_header=case.no_header, skip_initial_space=case.skip_initial_space, comment=case.comment,
        skip_lines=case.skip_lines, ragged=case.ragged, null=case.null, text=case.text, max_record_bytes=case.limit, keep=case.keep,
        details=case.details, escape_formulas=case.escape_formulas and case.output_kind != "jsonl",
    )  # fmt: skip
    scorer.run.score.LoadedModel, real = Model, scorer.run.score.LoadedModel
    try:
        return scorer.run.score.run(options), None
    except ScorerError as error:
        return error.exit_code, error
    finally:
        scorer.run.score.LoadedModel = real


def _expected(case):
    """Return the expected records, or None if the whole file should be refused."""
    delimiter = case.delimiter or {"tsv": "\t"}.get(case.kind, ",")
    try:
        if case.kind == "jsonl":
            return reference.jsonl(case.data, case.limit, case.text, case.keep)
        dialect = reference.Csv(
            delimiter, case.quote_char, case.escape_char, not case.no_header, case.skip_initial_space, case.comment,
            case.skip_lines, case.ragged == "pad", case.null,
        )  # fmt: skip
        return reference.csv(case.data, case.limit, dialect, case.text, case.keep)
    except reference.Refused:
        return None


def _may_be_of_another_encoding(data):
    return data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4096]


def _read(data, kind):
    """Read an output as another program would."""
    if kind == "jsonl":
        lines = data.decode().split("\n")
        assert lines.pop() == ""
        return [json.loads(line, parse_int=str, parse_float=str) for line in lines]
    stream = io.StringIO(data.decode(), newline="")
    csv.field_size_limit(max(csv.field_size_limit(), len(data)))
    rows = list(csv.DictReader(stream, delimiter={"csv": ",", "tsv": "\t"}[kind], strict=True, restkey="more"))
    assert all("more" not in row and None not in row.values() for row in rows), "a row has other columns than the head"
    return rows
