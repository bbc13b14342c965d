"""Statistics of a cache file: entries by context, and when they were last used."""

import sqlite3
from contextlib import closing

import pytest

from scorer.storage import cache_file
from scorer.storage.cache_file import CacheFile
from scorer.storage.cache_settings import CacheSettings
from scorer.storage.cache_statistics import Statistics, Unreadable, Uses, statistics


@pytest.fixture(autouse=True)
def note_every_use(monkeypatch):
    """Note uses in every run, whether the file has a limit or not."""
    monkeypatch.setattr(cache_file, "_LATELY_SECONDS", 0.0)


@pytest.fixture
def night(tmp_path, monkeypatch):
    """Run a night that starts at a given time: use some keys, and add others."""

    def run(start, context, use=(), add=()):
        with monkeypatch.context() as patched:
            patched.setattr(cache_file.time, "time", lambda: float(start))
            settings = CacheSettings(str(tmp_path / "scores.sqlite"))
            file = CacheFile(settings, context.encode(), f"of {context}", report=pytest.fail)
        assert file.get([key.encode() for key in use]).keys() == {key.encode() for key in use}
        file.put({key.encode(): b"value" for key in add})
        file.close()
        return statistics(tmp_path / "scores.sqlite")

    return run


def test_entries_and_their_last_uses_are_those_of_each_context(night, tmp_path):
    assert night(100, "a", add="pqr").all == Uses(3, 100, 100)
    found = night(200, "b", add="xy")
    assert found.contexts == [("of b", Uses(2, 200, 200)), ("of a", Uses(3, 100, 100))]
    found = night(300, "a", use="q")
    assert found.contexts == [("of a", Uses(3, 100, 300)), ("of b", Uses(2, 200, 200))]
    assert night(400, "a", use="pr").contexts == [("of a", Uses(3, 300, 400)), ("of b", Uses(2, 200, 200))]
    found = night(500, "none")
    assert (found.all, found.stated) == (Uses(5, 200, 400), 5)
    assert found.size == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_a_cache_without_entries_has_no_uses(night):
    found = night(100, "a")
    assert (found.all, found.stated, found.contexts) == (Uses(), 0, [])


def test_a_wrong_count_of_the_file_is_beside_the_right_one(night, tmp_path):
    night(100, "a", add="pq")
    with closing(sqlite3.connect(tmp_path / "scores.sqlite")) as connection, connection:
        connection.execute("UPDATE totals SET entries = 7")
    found = statistics(tmp_path / "scores.sqlite")
    assert (found.stated, found.all.entries) == (7, 2)


def test_the_file_stays_as_it_is_while_another_process_adds(night, tmp_path):
    night(100, "a", add="pq")
    path = tmp_path / "scores.sqlite"
    before = path.read_bytes()
    assert statistics(path).all.entries == 2
    assert path.read_bytes() == before
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO scores VALUES (9, x'00', 1, 1, x'00')")
        assert statistics(path).all.entries == 2


@pytest.mark.parametrize("change", ["UPDATE totals SET entries = 'many'", "UPDATE scores SET context = 'x'", "DELETE FROM totals", "DELETE FROM runs; UPDATE scores SET context = 2.5"])  # fmt: skip
def test_damaged_numbers_are_damage(night, tmp_path, change):
    night(100, "a", add="pq")
    with closing(sqlite3.connect(tmp_path / "scores.sqlite")) as connection, connection:
        connection.executescript(change)
    with pytest.raises(Unreadable) as caught:
        statistics(tmp_path / "scores.sqlite")
    assert (caught.value.is_damaged, caught.value.is_missing) == (True, False)


def test_contexts_and_runs_that_are_gone_are_unknown(night, tmp_path):
    night(100, "a", add="pq")
    with closing(sqlite3.connect(tmp_path / "scores.sqlite")) as connection, connection:
        connection.execute("DELETE FROM contexts")
        connection.execute("DELETE FROM runs")
    found = statistics(tmp_path / "scores.sqlite")
    assert found == Statistics(found.size, 2, Uses(2), [("unknown", Uses(2))])


def test_what_is_missing_or_empty_is_missing_and_stays_so(tmp_path):
    path = tmp_path / "scores.sqlite"
    for _ in range(2):
        with pytest.raises(Unreadable) as caught:
            statistics(path)
        assert (caught.value.is_missing, caught.value.is_damaged) == (True, False)
    assert not path.exists()
    path.touch()
    with pytest.raises(Unreadable, match="it is empty") as caught:
        statistics(path)
    assert caught.value.is_missing
    assert [one.name for one in tmp_path.iterdir()] == ["scores.sqlite"]
