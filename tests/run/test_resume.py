"""Resuming: after an interruption the same command continues, and its output is that of an uninterrupted run."""

import json
import os
import re
import signal
import threading
import time
import zlib
from functools import partial

import numpy as np
import pytest
from factories import CHUNK, for_each_row, reviews

from scorer.base.errors import DeviceLost
from scorer.base.signals import Interrupted
from scorer.report.examples import Example, Examples
from scorer.report.summary import Counts, Summary
from scorer.run.checkpoint import Work
from scorer.run.chunks import chunks
from scorer.run.journal import Entry, Header, Journal, Part
from scorer.storage.atomic import LocalPlace, sibling
from scorer.storage.lock import hold, release
from scorer.storage.output import same_place

pytestmark = pytest.mark.usefixtures("small_chunks")


@pytest.fixture
def folder(tmp_path):
    """Folder with 40 records as JSONL and as CSV, every 9th without a text."""
    records = [
        {"id": row, "text": "" if row % 9 == 0 else text, "note": f"so, {row}\nso"}
        for row, text in enumerate(reviews(40, 2, 3).texts, start=1)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records) + "\n \n")
    lines = (f'{record["id"]},{record["text"]},"{record["note"]}"\n' for record in records)
    (tmp_path / "in.csv").write_text("id,text,note\n" + "".join(lines))
    return tmp_path


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith((".", "out", "whole")))


def published(folder, name="out.csv"):
    return [(folder / each).read_bytes() for each in (name, f"{name}.rejects.jsonl")]


@pytest.mark.parametrize("source", ["in.jsonl", "in.csv"])
@pytest.mark.parametrize("options", [[], ["--details", "--keep", "*", "--output-format", "jsonl"]])
def test_a_rerun_says_where_it_resumes_and_ends_with_the_same_bytes(score, folder, interrupted, source, options):
    score(folder / source, "-o", folder / "whole.csv", *options)
    command = (folder / source, "-o", folder / "out.csv", *options)
    first = interrupted(2, *command)
    assert first.code == 143
    assert first.err == "\nTerminated: 16 rows are done and kept. The same command resumes at row 17.\n"
    assert not (folder / "out.csv").exists()
    again = score(*command)
    assert again.code == 3
    lines = again.err.splitlines()
    assert lines[0] == "Resuming at row 17: the rows before it are done."
    assert re.match(rf"36 of 40 rows scored, the last 24 in \d+ s, written to {folder / 'out.csv'}: \d", lines[1])
    assert lines[-1].startswith("4 rejected (4 empty_text): see ")
    assert published(folder) == published(folder, "whole.csv")
    assert files(folder) == ["out.csv", "out.csv.rejects.jsonl", "whole.csv", "whole.csv.rejects.jsonl"]


def test_a_run_of_several_inputs_resumes_in_whichever_it_stopped(score, folder, interrupted):
    inputs = [folder / "in.csv", folder / "in.jsonl", folder / "again.csv"]
    inputs[2].write_bytes(inputs[0].read_bytes())
    score(*inputs, "-o", folder / "whole.csv")
    for count in (3, 5, 5):
        assert interrupted(count, *inputs, "-o", folder / "out.csv").code == 143
    assert "Resuming at row 105:" in score(*inputs, "-o", folder / "out.csv").err
    assert published(folder) == published(folder, "whole.csv")


def test_a_run_with_rejects_on_a_descriptor_resumes_in_any_process(score, folder, interrupted):
    with open(folder / "log", "ab") as log:
        place = f"/dev/fd/{log.fileno()}"
        assert (
            same_place(f"/proc/self/fd/{log.fileno()}") == place
        )  # the name in the journal, without the id of this process
        command = (folder / "in.jsonl", "-o", folder / "out.csv", "--rejects", place)
        assert interrupted(2, *command).code == 143
        assert "Resuming at row 17" in score(*command).err
    score(folder / "in.jsonl", "-o", folder / "whole.csv")
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()


def test_quiet_says_nothing_and_restart_starts_over(score, folder, interrupted):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    interrupted(2, *command)
    assert score(*command, "-q").err == ""
    interrupted(2, *command)
    assert score(*command, "--restart").err.startswith("36 of 40 rows scored ")


@pytest.mark.parametrize(
    ("options", "change"),
    [
        (["--keep", "note"], '--keep was [], now ["note"]'),
        (["--details"], "--details was false, now true"),
        (["--precision", "fp32"], '--precision was "int8", now "fp32"'),
        (["--quote-char", "'"], '--quote-char was "\\"", now "\'"'),
        (["--rejects", "other.jsonl"], 'the rejects file was "{cwd}/out.csv.rejects.jsonl", now "{cwd}/other.jsonl"'),
    ],
)
def test_a_changed_option_is_named_and_the_run_starts_over(score, folder, interrupted, monkeypatch, options, change):
    monkeypatch.chdir(folder)
    interrupted(2, "in.jsonl", "-o", "out.csv")
    result = score("in.jsonl", "-o", "out.csv", *options)
    message = f"Not resuming the interrupted run: {change.format(cwd=folder)}. Starting over."
    assert result.err.splitlines()[0] == message
    assert score("in.jsonl", "-o", "whole.csv", *options).code == 3
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()


def test_another_model_starts_over(score, folder, interrupted, bundle_of_three):
    interrupted(2, folder / "in.jsonl", "-o", folder / "out.csv", "--precision", "fp32")
    result = score(
        folder / "in.jsonl", "-o", folder / "out.csv", "--precision", "fp32", "--model", bundle_of_three.path
    )
    assert result.err.startswith('Not resuming the interrupted run: the model was "tiny, id ')


def test_threads_and_limits_may_change(score, folder, interrupted):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    interrupted(1, *command, "--threads", "1", "--strict", "--limit", "30")
    second = interrupted(1, *command, "--threads", "2", "--max-reject-ratio", "0.5")
    assert second.err.startswith("Resuming at row 9:")
    assert score(*command, "--threads", "3", "--limit", "30").err.startswith("Resuming at row 17:")
    assert len((folder / "out.csv").read_text().splitlines()) == 28
    interrupted(2, *command)
    assert score(*command, "--limit", "10").err.startswith(
        "Not resuming the interrupted run: it had done more rows than the input has now. Starting over.\n"
    )


def test_a_passed_limit_keeps_what_is_done_for_a_wider_one_or_a_fixed_input(score, folder, interrupted):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    interrupted(2, *command)
    result = score(*command, "--strict")
    assert result.code == 4
    assert "1 of the first 16 records were rejected" in result.err
    assert result.err.endswith("; if the input still begins with them, the same command resumes at row 17.\n")
    again = score(*command, "--max-rejects", "2")
    assert again.code == 4
    assert "3 of the first 32 records were rejected" in again.err
    assert len((folder / "out.csv.rejects.jsonl").read_text().splitlines()) == 3
    lines = (folder / "in.jsonl").read_text().splitlines(keepends=True)
    (folder / "in.jsonl").write_text("".join(lines).replace('"id": 27, "text": ""', '"id": 27, "text": "good"'))
    last = score(*command, "--max-rejects", "3")
    assert last.code == 3
    assert last.err.startswith("Resuming at row 25:")
    score(folder / "in.jsonl", "-o", folder / "whole.csv")
    assert published(folder) == published(folder, "whole.csv")


def test_a_command_that_cannot_work_costs_nothing_of_what_is_done(score, folder, interrupted):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    interrupted(2, *command)
    (folder / "empty.csv").touch()
    held = hold(sibling(folder / "busy.jsonl", "partial"), "busy.jsonl")
    for options, code in ((["--text", "bdoy"], 2), (["--rejects", folder / "busy.jsonl"], 1)):
        result = score(*command, *options)
        assert (result.code, result.err.count("\n")) == (code, 1)
    release(held)
    assert score(folder / "empty.csv", "-o", folder / "out.csv").code == 4
    result = interrupted(0, *command, "--details", "--model", folder)
    assert "kept" not in result.err
    assert score(*command).err.startswith("Resuming at row 17:")


@pytest.mark.parametrize(("name", "data"), [("none.jsonl", ""), ("none.csv", "id,text\n")])
def test_an_empty_input_whose_publication_failed_is_scored_again(score, folder, monkeypatch, name, data):
    (folder / name).write_text(data)
    command = (folder / name, "-o", folder / "out.csv")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        result = score(*command)
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert score(*command).code == 0
    assert (folder / "out.csv").read_text() == ("row,label,score\n" if name == "none.jsonl" else "row,id,label,score\n")


def test_rejects_of_another_output_are_never_taken_for_this_ones(score, folder, interrupted):
    other = folder / "other.jsonl"
    other.write_text((folder / "in.jsonl").read_text().replace("so, ", "no, "))
    first = (folder / "in.jsonl", "-o", folder / "out.csv", "--rejects", folder / "r.jsonl")
    second = (other, "-o", folder / "b.csv", "--rejects", folder / "r.jsonl")
    interrupted(2, *first)
    interrupted(3, *second)
    message = "Not resuming the interrupted run: its rejects are missing or have changed. Starting over.\n"
    assert score(*first).err.startswith(message)
    lines = (folder / "r.jsonl").read_text().splitlines()
    assert [json.loads(line)["source"] for line in lines] == [str(folder / "in.jsonl")] * 4
    assert score(*second).err.startswith(message)


def test_with_another_rejects_file_the_unpublished_old_one_is_deleted(score, folder, interrupted):
    interrupted(2, folder / "in.jsonl", "-o", folder / "out.csv")
    assert score(folder / "in.jsonl", "-o", folder / "out.csv", "--rejects", folder / "r.jsonl").code == 3
    assert files(folder) == ["out.csv"]


def test_the_rejects_of_a_publication_that_failed_keep_their_mode(score, folder, monkeypatch):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    score(*command)
    (folder / "out.csv.rejects.jsonl").chmod(0o600)
    replace = os.replace

    def fails(source, target):
        if str(target).endswith("out.csv"):
            raise OSError(5, "Input/output error")
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fails)
        assert score(*command).code == 1
    assert score(*command).code == 3
    assert (folder / "out.csv.rejects.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_journal_of_another_version_is_reported_and_no_obstacle(score, folder, interrupted):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    interrupted(2, *command)
    journal = sibling(folder / "out.csv", "journal")
    lines = [b'{"journal": 99}', b'{"summary": {"cached": 5}}']
    journal.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(line), line) for line in lines))
    assert score(*command, "--model", folder).code == 5
    assert journal.read_bytes().count(b"\n") == 2
    assert score(*command).err.startswith(
        "Not resuming the interrupted run: it was started by another version of this program. Starting over.\n"
    )


def test_a_window_whose_journal_line_could_not_be_made_durable_does_not_count(score, folder, monkeypatch):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    fsync, left = os.fsync, [0]

    def fails(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("journal"):
            left[0] += 1
            if left[0] == 4:  # the header, two entries, and this one
                raise OSError(5, "Input/output error")
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        result = score(*command)
    assert result.code == 1
    assert result.err.endswith("16 rows are done and kept. The same command resumes at row 17.\n")
    assert score(*command).err.startswith("Resuming at row 17:")


def test_after_a_restart_that_was_interrupted_the_advice_is_without_it(score, folder, interrupted):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    interrupted(2, *command)
    result = interrupted(3, *command, "--restart")
    assert result.err.endswith("24 rows are done and kept. The same command without --restart resumes at row 25.\n")


@pytest.mark.parametrize("calls", [5, 9, 14])
def test_windows_are_of_a_fixed_number_of_records_however_large_they_are(
    score, folder, interrupted, monkeypatch, calls
):
    monkeypatch.setattr("scorer.run.chunks.chunks", partial(chunks, size=200))  # about three records
    result = interrupted(calls, folder / "in.jsonl", "-o", folder / "out.csv")
    found = re.search(r"(\d+) rows are done", result.err)
    assert found is not None
    assert int(found[1]) % CHUNK == 0
    score(folder / "in.jsonl", "-o", folder / "out.csv")
    score(folder / "in.jsonl", "-o", folder / "whole.csv")
    assert published(folder) == published(folder, "whole.csv")


def test_what_was_appended_to_the_input_is_scored_too(score, folder, interrupted):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    interrupted(2, *command)
    with open(folder / "in.jsonl", "a") as file:
        file.write('{"text": "good"}\n')
    assert score(*command).err.startswith("Resuming at row 17:")
    score(folder / "in.jsonl", "-o", folder / "whole.csv")
    assert published(folder) == published(folder, "whole.csv")


def test_another_input_of_the_same_name_starts_over(score, folder, interrupted):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    interrupted(2, *command)
    (folder / "in.jsonl").write_text('{"text": "good"}\n' * 30)
    result = score(*command)
    assert result.code == 0
    assert result.err.startswith("Not resuming the interrupted run: the input has changed. Starting over.\n")
    assert len((folder / "out.csv").read_text().splitlines()) == 31


def test_an_input_that_changed_behind_its_time_is_refused(score, folder, interrupted):
    source = folder / "in.jsonl"
    command = (source, "-o", folder / "out.csv")
    interrupted(2, *command)
    before = source.stat()
    source.write_text(source.read_text().replace('{"id": 2,', '{"id": 3,'))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    result = score(*command)
    assert result.code == 4
    assert result.err.startswith(
        "Error: the input has changed: its first 16 rows are done and now differ, although the files' sizes and times "
        "are the same. Nothing was published; use --restart to score all rows again.\n"
    )
    assert not (folder / "out.csv").exists()
    assert score(*command, "--restart").code == 3
    score(*command[:2], folder / "whole.csv")
    assert published(folder) == published(folder, "whole.csv")


@pytest.mark.parametrize("change", ["append", "touch", "remove"])
@pytest.mark.parametrize("windows", [1, 5])
def test_an_input_that_changes_during_the_run_is_noticed(score, folder, monkeypatch, change, windows):
    source = folder / "in.jsonl"
    (folder / "out.csv").write_text("old")
    commit, left = Work.commit, [windows]

    def changing(work, summary, *, complete=False):
        commit(work, summary, complete=complete)
        left[0] -= 1
        if left[0] == 0:
            if change == "append":
                with open(source, "a") as file:
                    file.write('{"text": "good"}\n')
            elif change == "touch":
                os.utime(source, (time.time() + 10, time.time() + 10))
            else:
                source.rename(folder / "away.jsonl")

    monkeypatch.setattr(Work, "commit", changing)
    result = score(source, "-o", folder / "out.csv")
    assert result.code == 4
    assert result.err.startswith(
        f"Error: {source} cannot be read any more: No such file or directory.\n"
        if change == "remove"
        else f"Error: {source} changed while it was read. Nothing was published; run the command again once the file is complete.\n"
    )
    assert result.err.endswith(
        f"{windows * CHUNK} rows are done and kept; if the input still begins with them, the same command resumes at "
        f"row {windows * CHUNK + 1}.\n"
    )
    assert (folder / "out.csv").read_text() == "old"


def test_a_run_killed_between_the_two_renames_is_finished(score, folder, monkeypatch):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    replace, renamed = os.replace, []

    def fails_for_the_output(source, target):
        if str(target).endswith("out.csv"):
            raise OSError(5, "Input/output error")
        renamed.append(target)
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fails_for_the_output)
        result = score(*command)
    assert (result.code, len(renamed)) == (1, 1)
    assert result.err.endswith(
        "cannot be written: Input/output error.\n40 rows are done and kept. The same command resumes at row 41.\n"
    )
    with open(folder / "in.jsonl", "a") as file:  # the rejects may grow even now
        file.write('{"text": ""}\n')
    assert score(*command).err.startswith("Resuming at row 41:")
    score(folder / "in.jsonl", "-o", folder / "whole.csv")
    assert published(folder) == published(folder, "whole.csv")


@pytest.mark.parametrize("again", [[], ["--keep", "note"]])
def test_a_run_killed_after_the_commit_point_is_done(score, folder, monkeypatch, again):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    with monkeypatch.context() as patched:
        patched.setattr("scorer.run.journal.Journal.close", lambda journal, *, keep: os.close(journal._descriptor))
        score(*command)
    assert sibling(folder / "out.csv", "journal").exists()
    before = published(folder)
    # A rerun is a new run, whatever its options; if it fails at once, all published files stay.
    assert score(*command, "--model", folder).err.count("\n") == 1
    failed = score(*command, "--text", "none")
    assert (failed.code, failed.err.count("\n")) == (2, 1)
    assert published(folder) == before
    with monkeypatch.context() as patched:
        patched.setattr("scorer.run.journal.Journal.close", lambda journal, *, keep: os.close(journal._descriptor))
        score(*command)
    assert score(*command, *again).err.startswith("36 of 40 rows scored ")
    assert published(folder)[1] == before[1]
    assert files(folder) == ["out.csv", "out.csv.rejects.jsonl"]


def test_a_fifo_in_the_place_of_the_input_is_read_once(score, folder, interrupted):
    source = folder / "in.jsonl"
    command = (source, "-o", folder / "out.csv")
    interrupted(2, *command)
    data = source.read_bytes()
    source.unlink()
    os.mkfifo(source)
    writer = threading.Thread(target=source.write_bytes, args=(data,))
    writer.start()
    message = "Not resuming the interrupted run: the input is now a stream. Starting over."
    assert score(*command).err.startswith(f"{message}\n36 of 40 rows scored in ")
    writer.join()


@pytest.mark.parametrize(("name", "gone"), [("out.csv", "output is"), ("out.csv.rejects.jsonl", "rejects are")])
@pytest.mark.parametrize("change", ["gone", "shorter", "other"])
def test_a_missing_or_changed_partial_file_is_reported(score, folder, interrupted, name, gone, change):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    interrupted(2, *command)
    partial, has = sibling(folder / name, "partial"), "has" if gone == "output is" else "have"
    data = partial.read_bytes()
    partial.unlink() if change == "gone" else partial.write_bytes(data[:-9] + b"x" * 9 * (change == "other"))
    assert score(*command).err.startswith(
        f"Not resuming the interrupted run: its {gone} missing or {has} changed. Starting over.\n"
    )


@pytest.mark.parametrize("damage", ["torn", "flipped", "zeros"])
def test_a_journal_line_that_is_not_whole_does_not_count(score, folder, interrupted, damage):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    interrupted(3, *command)
    journal = sibling(folder / "out.csv", "journal")
    data = journal.read_bytes()
    assert data.count(b"\n") == 4
    end = data.rindex(b"\n", 0, -1) + 1
    last = data[end:]
    journal.write_bytes(
        data[:end] + {"torn": last[:-3], "flipped": last.replace(b"24", b"23"), "zeros": b"\0" * len(last)}[damage]
    )
    assert score(*command).err.startswith("Resuming at row 17:")
    score(folder / "in.jsonl", "-o", folder / "whole.csv")
    assert published(folder) == published(folder, "whole.csv")


def test_examples_are_in_the_journal_where_they_changed_and_the_last_ones_count(tmp_path):
    journal = Journal(LocalPlace(tmp_path / "out.csv"))
    journal.begin(Header({}, {}))
    part, beside = Part(0, ""), {"the rejects file": Part(0, "")}
    first, second = (Example(0.1, row, None, "in.csv", "positive", 0.6, 'so "examples": so') for row in (1, 2))
    for rows, best in enumerate(([first], [first], [first, second], [first, second]), start=1):
        journal.append(
            Entry(Summary(Counts(rows_in=rows, rows_scored=rows), examples=Examples(best)), part, beside, False)
        )
    journal.close(keep=True)
    lines = (tmp_path / ".out.csv.score-journal").read_text().splitlines()
    assert ['"examples": ' in line for line in lines[1:]] == [True, False, True, False]
    again = Journal(LocalPlace(tmp_path / "out.csv"))
    assert again.last.summary == Summary(Counts(rows_in=4, rows_scored=4), examples=Examples([first, second]))
    again.close(keep=False)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b'3fe92a11 {"journal": 1, "finger'])
def test_a_journal_that_a_power_failure_left_half_written_is_no_obstacle(score, folder, content):
    sibling(folder / "out.csv", "journal").write_bytes(content)
    assert score(folder / "in.jsonl", "-o", folder / "out.csv").code == 3


def test_a_file_that_is_no_journal_is_never_overwritten(score, folder):
    other = sibling(folder / "out.csv", "journal")
    other.write_text("somebody's notes\n")
    result = score(folder / "in.jsonl", "-o", folder / "out.csv")
    assert (result.code, result.err) == (
        1,
        f"Error: {other} is not a journal, but the run needs that name for its own; move it away.\n",
    )
    assert other.read_text() == "somebody's notes\n"


def test_a_command_that_cannot_start_leaves_an_interrupted_run_alone(score, folder, interrupted):
    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    interrupted(2, *command)
    refused = score(*command, "--model", folder)
    assert refused.code == 5
    assert "kept" not in refused.err  # a run with this model would resume nothing
    assert score(*command).err.startswith("Resuming at row 17:")


def test_an_interrupt_that_python_dropped_stops_the_run_at_the_next_window(score, folder, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("scorer.base.signals._deferred", False)
        patched.setattr("scorer.base.signals._received", signal.SIGTERM)
        result = score(folder / "in.jsonl", "-o", folder / "out.csv")
    assert (result.code, result.err) == (143, "\nTerminated: Nothing was published, and no row is done yet.\n")


def test_before_the_first_window_nothing_is_kept(folder, score, monkeypatch):
    monkeypatch.setattr(Work, "commit", lambda work, summary: (_ for _ in ()).throw(Interrupted(signal.SIGINT)))
    result = score(folder / "in.jsonl", "-o", folder / "out.csv")
    assert (result.code, result.err) == (130, "\nInterrupted: Nothing was published, and no row is done yet.\n")
    assert files(folder) == []


def test_an_output_stream_says_that_it_cannot_be_resumed(interrupted, folder):
    result = interrupted(2, folder / "in.jsonl", "--rejects", folder / "rejects.jsonl")
    assert result.code == 143
    assert result.err == "\nTerminated: The output stream is incomplete, and a stream cannot be resumed.\n"
    assert result.out.count("\n") == 16  # the header and 15 of the first 16 rows
    assert not (folder / "rejects.jsonl").exists()


def test_a_row_that_the_device_has_no_memory_for_is_rejected_in_its_place(score, folder, monkeypatch):
    score(folder / "in.jsonl", "-o", folder / "whole.csv")
    longest = 10
    # Other processes take memory later: at the start there was enough for the golden rows and the longest row.
    monkeypatch.setattr("scorer.model.loaded.check_golden_rows", lambda *arguments: 0.0)
    monkeypatch.setattr("scorer.model.loaded.check_largest_row", lambda *arguments: None)
    for_each_row(monkeypatch, lambda row: np.nan if len(row) > longest else 1)
    result = score(folder / "in.jsonl", "-o", folder / "out.csv", "--details")
    assert result.code == 3
    rejects = [json.loads(line) for line in (folder / "out.csv.rejects.jsonl").read_text().splitlines()]
    texts = [json.loads(line) for line in (folder / "in.jsonl").read_text().splitlines()[:40]]
    refused = [row for row, record in enumerate(texts, start=1) if len(record["text"].split()) + 2 > longest]
    assert refused
    assert [(reject["row"], reject["reason"]) for reject in rejects] == sorted(
        [(row, "out_of_memory") for row in refused] + [(row, "empty_text") for row in (9, 18, 27, 36)]
    )
    assert all(json.loads(reject["raw"]) == texts[reject["row"] - 1] for reject in rejects)
    scored = {int(line.split(",")[0]) for line in (folder / "out.csv").read_text().splitlines()[1:]}
    assert scored == set(range(1, 41)) - {reject["row"] for reject in rejects}


def test_a_lost_device_is_an_error_and_the_journal_is_kept(score, folder, monkeypatch):
    score(folder / "in.jsonl", "-o", folder / "whole.csv")
    left = [30]

    def lost(row):
        left[0] -= 1
        if left[0] < 0:
            raise DeviceLost("cuda device 0 failed, and this process cannot use it any more: CUDA failure 719")

    command = (folder / "in.jsonl", "-o", folder / "out.csv")
    with monkeypatch.context() as patched:
        for_each_row(patched, lost)
        result = score(*command)
    assert result.code == 1
    assert result.err.startswith("Error: cuda device 0 failed")
    assert re.fullmatch(
        r"\d+ rows are done and kept\. The same command resumes at row \d+\.", result.err.splitlines()[1]
    )
    assert score(*command).err.startswith("Resuming at row ")
    assert published(folder) == published(folder, "whole.csv")
