"""`score --cache FILE --check`: the entries of a cache, and what computed them."""

import contextlib
import json
import platform
import re
import sqlite3
from types import SimpleNamespace

import pytest
import tokenizers
from factories import reviews

from scorer.engine.cpu_features import cpu_features
from scorer.engine.runtime import onnxruntime_version
from scorer.storage import cache_file
from scorer.storage.cache_settings import APPLICATION


@pytest.fixture
def jsonl(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in dict.fromkeys(reviews(12, 2, 3).texts)))
    return path


def test_check_describes_a_cache(score, jsonl, tmp_path, bundle, staged_bundle, monkeypatch):
    cache = tmp_path / "scores.sqlite"
    arguments = (jsonl, "-o", tmp_path / "out.csv", "--cache", cache)
    assert f"\ncache {cache}: missing; a run creates it\n" in score("--check", "--cache", cache).out
    assert not cache.exists()
    monkeypatch.setattr(cache_file, "time", SimpleNamespace(time=lambda: 1_795_971_600.0))
    score(*arguments)
    rows = len((tmp_path / "out.csv").read_text().splitlines()) - 1
    monkeypatch.setattr(cache_file, "time", SimpleNamespace(time=lambda: 1_796_058_000.0))
    score(*arguments, "--model", staged_bundle.path, "--precision", "fp32", "--limit", "1")
    monkeypatch.undo()
    result = score("--check", "--cache", cache, "--model", bundle.path)
    assert result.code == 0
    machine = f"{platform.machine()} with {' '.join(cpu_features()) or 'unknown features'}"
    versions = f"onnxruntime {onnxruntime_version()}, tokenizers {tokenizers.__version__}; {machine}\n"
    found = result.out[result.out.index("cache ") : result.out.index("bundle ")]
    head, dates, staged, tiny = found.splitlines(keepends=True)
    assert re.fullmatch(rf"cache {cache}: {rows + 1} entries, [0-9.]+ kB\n", head)
    assert dates == "  last used: the oldest entry on 2026-11-29 17:00 UTC, the newest on 2026-11-30 17:00 UTC\n"
    assert staged.startswith(
        f"  1 entry, last used on 2026-11-30 17:00 UTC, by staged (id {staged_bundle.id[:12]}), fp32 on cpu, with its "
        "cascade; review-scorer "
    )
    assert tiny.startswith(
        f"  {rows} entries, last used on 2026-11-29 17:00 UTC, by tiny (id {bundle.id[:12]}), int8 on cpu, "
    )
    assert staged.endswith(versions)
    assert tiny.endswith(versions)
    assert "without a cascade" in tiny
    with contextlib.closing(sqlite3.connect(cache)) as connection, connection:
        connection.execute("UPDATE totals SET entries = 77")
        connection.execute("UPDATE contexts SET description = CAST('{}' AS BLOB)")
    found = score("--check", "--cache", cache, "--model", bundle.path).out
    assert (
        "\n  the file's own count is 77, so --cache-max-rows removes too many or too few; delete the file to begin a new "
        "one\n"
    ) in found
    assert "last used on 2026-11-30 17:00 UTC, by something unknown\n" in found


def test_check_says_that_a_cache_is_damaged_or_something_else(score, tmp_path):
    cache = tmp_path / "scores.sqlite"
    with contextlib.closing(sqlite3.connect(cache)) as connection, connection:
        connection.execute("CREATE TABLE diary (entry TEXT)")
    result = score("--check", "--cache", cache)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"Error: --cache {cache} exists and is no cache of this program; name another file.")
    with contextlib.closing(sqlite3.connect(cache)) as connection, connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
    before = cache.read_bytes()
    result = score("--check", "--cache", cache)
    assert result.code == 0
    assert f"\ncache {cache}: damaged (its tables are not those of a cache); a run begins a new one\n" in result.out
    assert cache.read_bytes() == before
