"""The row pipeline: it reads and tokenizes ahead of the engine, and the output does not depend on the chunks."""

import json
import threading

import numpy as np
import pytest
from factories import reviews

from scorer.base.errors import BundleError, InputError
from scorer.base.timing import Phases
from scorer.engine.pending import Pending
from scorer.engine.row_engine import RowEngine
from scorer.model.interpretation import SingleLabel
from scorer.model.outcomes import Outcomes
from scorer.rows.columns import Wanted
from scorer.rows.record import Position, Record, Reject
from scorer.run.chunks import chunks
from scorer.run.limits import Limits, RejectLimitPassed
from scorer.run.pipeline import score_rows


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_output_is_the_same_for_any_threads_and_any_chunk(score, tmp_path, monkeypatch, precision):
    texts = [*reviews(70, 2, 14).texts, "", "good", "good", *reviews(30, 2, 14).texts]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    outputs = set()
    for threads, rows in ((1, 256), (4, 256), (2, 1), (3, 7)):
        monkeypatch.setattr(RowEngine, "chunk_rows", rows)
        arguments = (tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--precision", precision, "--details")
        assert score(*arguments, "--threads", threads).code == 3  # the empty text is rejected
        outputs.add((tmp_path / "out.csv").read_bytes() + (tmp_path / "out.csv.rejects.jsonl").read_bytes())
    assert len(outputs) == 1


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_text_without_a_token_is_rejected_as_a_blank_one_is(score, tmp_path, precision):
    texts = ["good", "\u200b\u200d\ufeff", " ", "bad", "\u00ad", "\u200b"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    result = score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--precision", precision, "--details")
    assert (result.code, "4 rejected (4 empty_text)" in result.err) == (3, True)
    assert [line.split(",")[0] for line in (tmp_path / "out.csv").read_text().splitlines()] == ["row", "1", "4"]
    rejects = [json.loads(line) for line in (tmp_path / "out.csv.rejects.jsonl").read_text().splitlines()]
    assert [(reject["row"], reject["reason"]) for reject in rejects] == [(n, "empty_text") for n in (2, 3, 5, 6)]
    (tmp_path / "in.jsonl").write_text('{"text":"good"}\n{"text":"bad"}\n')
    score(tmp_path / "in.jsonl", "-o", tmp_path / "alone.csv", "--precision", precision)
    alone = [line.split(",")[1:3] for line in (tmp_path / "alone.csv").read_text().splitlines()]
    assert [line.split(",")[1:3] for line in (tmp_path / "out.csv").read_text().splitlines()] == alone


def test_nothing_but_texts_without_a_token_is_nothing_to_publish(score, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text":"\\u200b"}\n')
    result = score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert "the only record was rejected (1 empty_text)" in result.err


class Words:
    """Tokenizer and model in one, which logs the chunks that were tokenized and those that were cancelled."""

    has_cascade = False
    windows = None
    chunk_rows = 2

    def __init__(self, log):
        self.log = log
        self.tokenizer = self
        self.interpretation, self.unknown_id = SingleLabel(("no", "yes")), -1
        self.phases = Phases()
        self.tokenized, self.cancelled = [], []

    def submit_texts(self, texts):
        self.tokenized.append(" ".join(texts))
        rows, number = len(texts), len(self.tokenized)

        def collect():
            self.log.append(f"result {number}")
            one, never = np.ones(rows, dtype=np.int64), np.zeros(rows, dtype=bool)
            return Outcomes(np.zeros((rows, 1)), never, one, one, one, one, never, never, never)

        return Pending(collect, lambda: self.cancelled.append(number))


class Reading:
    selection = None
    empty_files = ()
    input_hash = "of what was read"
    bytes_read = 0

    def __init__(self, items, log=None):
        self.items, self.log = items, [] if log is None else log

    def __iter__(self):
        for item in self.items:
            self.log.append(f"read {item.row}")
            yield item


class Memory:
    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data


def record(row):
    return Record(row=row, text=f"t{row}", carried=(), position=Position("in", row, 0), raw=b"{}", length=2)


NO_LIMITS = Limits()


def run(items, limits=NO_LIMITS):
    """Return the model, the log of reads and results in the caller's thread, the output, and the summary or None."""
    log, output, rejects = [], Memory(), Memory()
    model = Words(log)
    try:
        summary = score_rows(
            Reading(items, log), model, output, rejects, output_format="csv", wanted=Wanted(), limits=limits
        )
    except RejectLimitPassed:
        summary = None
    for thread in threading.enumerate():
        if thread.name.startswith("tokenize"):
            thread.join(20)
    return model, log, output.data, summary


def test_three_chunks_are_on_their_way_while_the_next_is_read():
    model, log, output, summary = run([record(row) for row in range(1, 13)])
    assert log == [
        *(f"read {row}" for row in range(1, 9)), "result 1", "read 9", "read 10", "result 2", "read 11", "read 12",
        "result 3", "result 4", "result 5", "result 6",
    ]  # fmt: skip
    assert model.tokenized == ["t1 t2", "t3 t4", "t5 t6", "t7 t8", "t9 t10", "t11 t12"]
    assert summary.counts.rows_in == summary.counts.rows_scored == 12
    assert [int(line.split(b",")[0]) for line in output.splitlines()[1:]] == list(range(1, 13))
    assert model.phases.seconds.keys() == {"read", "write"}


def test_the_next_chunk_is_read_and_the_last_one_is_written_while_one_is_tokenized():
    reached, model = threading.Event(), Words([])

    class Slow(Reading):
        def __iter__(self):
            for item in self.items:
                if item.row == 5:
                    reached.set()
                yield item

    def encode(texts):
        assert reached.wait(20)  # set two chunks later, which are read meanwhile
        return Words.encode(model, texts)

    model.encode = encode
    rows = [record(row) for row in range(1, 9)]
    summary = score_rows(Slow(rows), model, Memory(), Memory(), output_format="csv", wanted=Wanted())
    assert summary.counts.rows_scored == 8


def test_an_error_of_the_tokenizer_reaches_the_caller_behind_the_rows_before_it():
    output, model = Memory(), Words([])

    def submit_texts(texts):
        if "t5" in texts:
            raise BundleError("the tokenizer cannot be used.")
        return Words.submit_texts(model, texts)

    model.submit_texts = submit_texts
    rows = [record(row) for row in range(1, 9)]
    with pytest.raises(BundleError, match="cannot be used"):
        score_rows(Reading(rows), model, output, Memory(), output_format="csv", wanted=Wanted())
    assert len(output.data.splitlines()) == 5


def test_when_too_much_is_rejected_what_waits_in_the_engine_is_given_up():
    reject = Reject(row=2, position=Position("in", 2, 0), reason="empty_text", raw=b"{}", length=2)
    model, log, _, summary = run([record(1), reject, *(record(row) for row in range(3, 13))], Limits(rejects=0))
    assert summary is None
    assert log == [f"read {row}" for row in range(1, 9)]
    assert model.tokenized == ["t1", "t3 t4", "t5 t6", "t7 t8"][: len(model.tokenized)]
    assert sorted(model.cancelled) == list(range(1, len(model.tokenized) + 1))


@pytest.mark.parametrize("most", [256, 1000, 8192])
def test_chunks_begin_small_and_end_where_the_input_alone_says(most):
    rows = [record(row) for row in range(1, 40_001)]
    cut = list(chunks(rows, most))
    assert [item for chunk in cut for item in chunk] == rows
    assert len(cut[0]) == min(1024, most)
    assert max(map(len, cut)) == most
    ends = [chunk[-1].row for chunk in cut]
    for begin in (4097, 8193, 10_241):  # as in a resumed run
        assert [chunk[-1].row for chunk in chunks(rows[begin - 1 :], most)] == [end for end in ends if end >= begin]
    assert {8192, 16_384, 24_576} <= set(ends) or most == 1000


def test_where_the_input_breaks_off_what_was_read_before_is_still_written():
    def broken():
        yield from (record(row) for row in range(1, 6))  # the third chunk is not full
        raise InputError("the archive ends too early.")

    class Broken(Reading):
        def __iter__(self):
            return broken()

    output = Memory()
    with pytest.raises(InputError, match="too early"):
        score_rows(Broken([]), Words([]), output, Memory(), output_format="csv", wanted=Wanted())
    assert len(output.data.splitlines()) == 6
