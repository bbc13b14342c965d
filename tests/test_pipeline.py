"""The row pipeline reads and tokenizes ahead of the engine, and what comes out does not depend on how it is cut."""

import json

import numpy as np
import pytest
from conftest import reviews

from scorer.engine import RowEngine
from scorer.errors import InputError
from scorer.model import Scores
from scorer.pipeline import Limits, RejectLimitPassed, score_rows
from scorer.rows.columns import Wanted
from scorer.rows.record import Position, Record, Reject
from scorer.tokens import Tokens


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_output_is_the_same_for_any_threads_and_any_window(score, tmp_path, monkeypatch, precision):
    texts = [*reviews(70, 2, 14).texts, "", "good", "good", *reviews(30, 2, 14).texts]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    outputs = set()
    for threads, window in ((1, 256), (4, 256), (2, 1), (3, 7)):
        monkeypatch.setattr(RowEngine, "window_rows", window)
        arguments = (tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--precision", precision, "--details")
        assert score(*arguments, "--threads", threads).code == 3  # the empty text is rejected
        outputs.add((tmp_path / "out.csv").read_bytes() + (tmp_path / "out.csv.rejects.jsonl").read_bytes())
    assert len(outputs) == 1


class Words:
    """A tokenizer and a model in one, which write down what happens."""

    labels = ("no", "yes")
    window_rows = 2

    def __init__(self, log):
        self.log = log
        self.tokenizer = self

    def encode(self, texts):
        self.log.append(f"tokenize {' '.join(texts)}")
        return Tokens([np.array([len(text)]) for text in texts], [False] * len(texts))

    def submit(self, tokens):
        return Later(self.log, len(tokens.ids), sum(1 for line in self.log if line.startswith("tokenize")))


class Later:
    def __init__(self, log, rows, number):
        self.log, self.rows, self.number = log, rows, number

    def result(self):
        self.log.append(f"result {self.number}")
        return Scores(["yes"] * self.rows, np.full((self.rows, 2), 0.5))

    def cancel(self):
        self.log.append(f"cancel {self.number}")


class Reading:
    selection = None
    input_hash = "of what was read"

    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


class Memory:
    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data


def record(row):
    return Record(row=row, text=f"t{row}", carried=(), position=Position("in", row, 0), raw=b"{}", length=2)


NO_LIMITS = Limits()


def run(items, limits=NO_LIMITS):
    log, output, rejects = [], Memory(), Memory()
    try:
        summary = score_rows(
            Reading(items), Words(log), output, rejects, output_format="csv", wanted=Wanted(), limits=limits
        )
    except RejectLimitPassed:
        summary = None
    return log, output.data, summary


def test_two_windows_are_in_the_engine_while_the_next_is_read():
    log, output, summary = run([record(row) for row in range(1, 9)])
    assert log == [
        "tokenize t1 t2", "tokenize t3 t4", "tokenize t5 t6", "result 1", "tokenize t7 t8", "result 2", "result 3",
        "result 4",
    ]  # fmt: skip
    assert summary.rows_in == summary.rows_scored == 8
    assert [line.split(b",")[0] for line in output.splitlines()[1:]] == [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8"]


def test_when_too_much_is_rejected_what_waits_in_the_engine_is_given_up():
    reject = Reject(row=2, position=Position("in", 2, 0), reason="empty_text", raw=b"{}", length=2)
    log, _, summary = run([record(1), reject, *(record(row) for row in range(3, 9))], Limits(rejects=0))
    assert summary is None
    assert log == ["tokenize t1", "tokenize t3 t4", "tokenize t5 t6", "cancel 1", "cancel 2", "cancel 3"]


def test_where_the_input_breaks_off_what_was_read_before_is_still_written():
    def broken():
        yield from (record(row) for row in range(1, 7))
        raise InputError("the archive ends too early.")

    class Broken(Reading):
        def __iter__(self):
            return broken()

    output = Memory()
    with pytest.raises(InputError, match="too early"):
        score_rows(Broken([]), Words([]), output, Memory(), output_format="csv", wanted=Wanted())
    assert len(output.data.splitlines()) == 7
