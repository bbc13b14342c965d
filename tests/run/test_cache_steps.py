"""Steps of a run with a cache: rows that cost little are made durable in larger steps, and nothing is lost by it."""

import contextlib
import json
import sqlite3
from collections import Counter
from dataclasses import replace

import pytest
from factories import CHUNK, reviews

from scorer.run.journal import Journal
from scorer.storage import cache_file
from scorer.storage.cache_file import CacheFile
from scorer.storage.cache_settings import CacheSettings

pytestmark = pytest.mark.usefixtures("small_chunks")


@pytest.fixture(autouse=True)
def note_every_use(monkeypatch):
    """Note uses in every run, whether the file has a limit or not."""
    monkeypatch.setattr(cache_file, "_LATELY_SECONDS", 0.0)


@pytest.fixture
def folder(tmp_path):
    """Folder with 40 records."""
    texts = reviews(40, 2, 3).texts
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return tmp_path


@pytest.fixture
def calls(monkeypatch):
    """Count entries of the journal and transactions of the cache."""
    found = Counter()

    def count(owner, name):
        method = getattr(owner, name)

        def counting(*arguments):
            found[name] += 1
            return method(*arguments)

        monkeypatch.setattr(owner, name, counting)

    count(Journal, "append")
    count(CacheFile, "_write")
    return found


def with_new_rows(folder, *rows):
    lines = (folder / "in.jsonl").read_text().splitlines(keepends=True)
    for row in rows:
        lines[row - 1] = json.dumps({"text": f"another text {row}"}) + "\n"
    (folder / "in.jsonl").write_text("".join(lines))


def test_chunks_from_the_cache_are_one_step_of_the_journal_and_of_the_cache(score, folder, calls):
    command = (folder / "in.jsonl", "-o", folder / "out.csv", "--cache", folder / "c.sqlite")
    score(*command)
    assert calls == {"append": 40 // CHUNK + 1, "_write": 40 // CHUNK}
    first = (folder / "out.csv").read_bytes()
    calls.clear()
    score(*command)
    assert calls == {"append": 1, "_write": 1}, "the end of the run is the only step"
    assert (folder / "out.csv").read_bytes() == first


def test_new_rows_are_in_the_cache_after_their_chunk(score, folder, calls):
    command = (folder / "in.jsonl", "-o", folder / "out.csv", "--cache", folder / "c.sqlite")
    score(*command)
    with_new_rows(folder, 3, 20)
    calls.clear()
    score(*command, "--summary", folder / "run.json")
    assert calls == {"append": 1, "_write": 3}, "fewer rows than a chunk has were computed"
    assert json.loads((folder / "run.json").read_text())["rows_from_cache"] == 38


def test_as_many_computed_rows_as_a_chunk_has_are_a_step_of_the_journal(score, folder, calls):
    command = (folder / "in.jsonl", "-o", folder / "out.csv", "--cache", folder / "c.sqlite")
    score(*command)
    with_new_rows(folder, *range(1, 5), *range(17, 21))
    calls.clear()
    score(*command)
    assert calls["append"] == 2


def test_uses_are_noted_many_together_and_once_a_run(tmp_path, calls, monkeypatch):
    monkeypatch.setattr(cache_file, "_USES", 3)
    settings = CacheSettings(str(tmp_path / "c.sqlite"))
    with contextlib.closing(CacheFile(settings, b"d", "{}")) as file:
        file.put({key(number): b"value" for number in range(4)})
    with contextlib.closing(CacheFile(settings, b"d", "{}")) as file:
        calls.clear()
        for used, written in ((range(2), 0), (range(2, 4), 1), (range(4), 1)):
            file.get([key(number) for number in used])
            file.write()
            file.wait()
            assert calls["_write"] == written


def test_what_a_run_used_goes_last_although_nobody_noted_it_yet(tmp_path):
    settings = CacheSettings(str(tmp_path / "c.sqlite"))
    with contextlib.closing(CacheFile(settings, b"d", "{}")) as file:
        file.put({key(n): b"value" for n in range(4)})
        file.write()
    with contextlib.closing(CacheFile(replace(settings, max_rows=3), b"d", "{}")) as file:
        file.get([key(0), key(2)])
        file.put({key(4): b"value"})
        file.write()
    with contextlib.closing(CacheFile(settings, b"d", "{}")) as file:
        assert file.get([key(n) for n in range(5)]).keys() == {key(0), key(2), key(4)}


def test_uses_are_noted_in_their_order_without_what_is_gone(tmp_path):
    settings = CacheSettings(str(tmp_path / "c.sqlite"))
    with contextlib.closing(CacheFile(settings, b"d", "{}")) as file:
        file.put({key(number): b"value" for number in range(6)})
    with contextlib.closing(CacheFile(settings, b"d", "{}")) as file, sqlite3.connect(settings.path) as other:
        for number in (4, 3, 0, 1):
            file.get([key(number)])
        other.execute("DELETE FROM scores WHERE key = ?", (key(3),))
        other.commit()
        file.write(last=True)
        file.wait()
        found = [one for (one,) in other.execute("SELECT key FROM scores ORDER BY id")]
    assert found == [key(number) for number in (2, 5, 4, 0, 1)]


def key(number):
    return number.to_bytes(16)


def test_an_interrupted_run_of_cached_rows_ends_with_the_same_bytes(score, folder, interrupted):
    cache = ("--cache", folder / "c.sqlite")
    score(folder / "in.jsonl", "-o", folder / "whole.csv", *cache)
    with_new_rows(folder, *range(1, 9))
    score(folder / "in.jsonl", "-o", folder / "whole.csv")
    stopped = interrupted(4, folder / "in.jsonl", "-o", folder / "out.csv", *cache)
    assert "8 rows are done and kept" in stopped.err
    again = score(folder / "in.jsonl", "-o", folder / "out.csv", *cache)
    assert "Resuming at row 9" in again.err
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()
