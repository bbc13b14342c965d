"""A cache file keeps values for later runs, and whatever happens to it, a run gets right values or none."""

import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from scorer.base.errors import UsageError
from scorer.storage import cache_database, cache_file
from scorer.storage.cache_file import CacheFile
from scorer.storage.cache_settings import APPLICATION, FORM, CacheSettings

DIGEST = bytes(32)


def keys(*numbers):
    return [b"%016d" % number for number in numbers]


def values(*numbers):
    return {key: b"value " + key for key in keys(*numbers)}


@pytest.fixture(autouse=True)
def note_every_use(monkeypatch):
    """Note uses in every run, whether the file has a limit or not."""
    monkeypatch.setattr(cache_file, "_LATELY_SECONDS", 0.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scores.sqlite"


@pytest.fixture
def reports():
    return []


@pytest.fixture
def opened(path, reports):
    """Open the cache, for a `with` statement that closes it."""

    @contextmanager
    def opened(at=None, *, digest=DIGEST, **settings):
        with closing(CacheFile(CacheSettings(str(at or path), **settings), digest, "{}", reports.append)) as cache:
            yield cache

    return opened


@pytest.fixture
def run(opened):
    """Do what a run does: look keys up, add those that are missing; return what was found."""

    def run(*numbers, at=None, **settings):
        with opened(at, **settings) as cache:
            found = cache.get(keys(*numbers))
            cache.put({key: value for key, value in values(*numbers).items() if key not in found})
            cache.write()
            cache.wait()
            return {key: one.value for key, one in found.items()}

    return run


def query(path, statement, *arguments):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, arguments).fetchall()


def kept(path):
    """Keys in the file, least recently used first, after a check of its structure and totals."""
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    found = [int(key) for (key,) in query(path, "SELECT key FROM scores ORDER BY id")]
    assert query(path, "SELECT entries FROM totals") == [(len(found),)]
    return found


class TestValues:
    def test_a_later_run_gets_what_an_earlier_one_put(self, run, path, reports):
        assert run(1, 2) == {}
        assert run(2, 3) == values(2)
        assert run(1, 2, 3, 4) == values(1, 2, 3)
        assert kept(path) == [4, 1, 2, 3]  # uses are noted at the end of a run
        assert [file.name for file in path.parent.iterdir()] == [path.name]  # its log was moved into it
        assert reports == []

    def test_values_are_durable_once_wait_returns_and_not_own_in_the_next_run(self, opened, path):
        with opened() as cache:
            cache.put(values(1))
            assert cache.get(keys(1)) == {}
            cache.write()
            cache.wait()
            assert query(path, "SELECT count(*) FROM scores") == [(1,)]
            assert cache.get(keys(1))[keys(1)[0]].own
            assert cache.added == 1
        with opened() as cache:
            assert not cache.get(keys(1))[keys(1)[0]].own

    def test_close_writes_what_is_left(self, opened, run):
        with opened() as cache:
            cache.put(values(1))
        assert run(1) == values(1)

    def test_more_keys_than_a_query_takes_and_the_same_key_twice(self, run):
        many = range(1_500)
        run(*many)
        assert run(*many, *many) == values(*many)

    def test_the_first_value_of_a_key_stays_and_totals_count_it_once(self, opened, path):
        with opened() as cache:
            cache.put(values(1, 2))
            cache.write()
            cache.put({keys(1)[0]: b"another", **values(3)})
            cache.write()
            cache.wait()
            assert cache.get(keys(1))[keys(1)[0]].value == b"value " + keys(1)[0]
            assert cache.added == 3
        assert kept(path) == [1, 2, 3]

    def test_invalid_values_are_replaced_and_totals_stay_right(self, run, opened, path):
        run(1, 2, 3)
        with opened() as cache:
            cache.get(keys(1, 2))
            cache.put({keys(1)[0]: b"valid"}, invalid=keys(1, 2, 9))
            cache.write()
            cache.wait()
            assert cache.added == 1
        assert kept(path) == [3, 1]
        assert query(path, "SELECT value FROM scores ORDER BY id")[1] == (b"valid",)

    def test_runs_and_contexts_are_numbered(self, run, opened, path):
        run(1, 2)
        with opened(digest=b"other" * 6) as cache:
            cache.put(values(5))
        run(3)
        assert query(path, "SELECT id, first FROM runs") == [(1, 1), (2, 3), (3, 4)]
        assert query(path, "SELECT key, context, run FROM scores ORDER BY id") == [
            (keys(1)[0], 1, 1), (keys(2)[0], 1, 1), (keys(5)[0], 2, 2), (keys(3)[0], 1, 3),
        ]  # fmt: skip

    def test_threads_can_get_and_put_at_the_same_time(self, opened, path, reports):
        with opened() as cache, ThreadPoolExecutor(8) as pool:

            def work(start):
                wrong = 0
                for number in range(start, start + 200):
                    cache.put(values(number, number % 50))
                    cache.write()
                    found = cache.get(keys(number, number % 50))
                    wrong += any(one.value != values(int(key))[key] for key, one in found.items())
                return wrong

            assert sum(pool.map(work, range(0, 800, 100))) == 0
        assert sorted(kept(path)) == list(range(900))
        assert reports == []

    def test_a_failed_write_is_reported_even_if_another_thread_wrote_after_it(self, opened, monkeypatch, reports):
        with opened() as cache:
            begun = threading.Barrier(2)
            submit = cache._writer.submit

            def both(*arguments):
                with pytest.raises(threading.BrokenBarrierError):  # no two are submitted at the same time
                    begun.wait(0.2)
                return submit(*arguments)

            monkeypatch.setattr(cache._writer, "submit", both)

            def put(number):
                cache.put(values(number))
                cache.write()

            with ThreadPoolExecutor(2) as pool:
                list(pool.map(put, (1, 2)))
        assert reports == []


class TestUses:
    """Uses of a file without a limit, which are noted once in seven days."""

    DAY = 86_400.0

    @pytest.fixture(autouse=True)
    def as_it_is(self, monkeypatch):
        monkeypatch.setattr(cache_file, "_LATELY_SECONDS", 7 * self.DAY)

    def test_a_use_is_noted_if_the_last_one_is_a_week_ago(self, run, path, monkeypatch):
        for days, numbers, expected in (
            (0, (1, 2), [1, 2]),
            (3, (1, 3), [1, 2, 3]),
            (6, (1, 2), [1, 2, 3]),
            (8, (1, 2), [3, 1, 2]),
            (9, (3,), [3, 1, 2]),
            (11, (3,), [1, 2, 3]),
        ):
            with monkeypatch.context() as context:
                context.setattr(cache_file.time, "time", lambda days=days: 1.7e9 + days * self.DAY)
                run(*numbers)
            assert kept(path) == expected, days

    def test_a_limit_has_every_use_noted(self, run, path):
        run(1, 2, 3)
        run(1, max_rows=9)
        assert kept(path) == [2, 3, 1]
        run(4, max_rows=3)
        assert kept(path) == [3, 1, 4]


class TestLimit:
    def test_the_least_recently_used_go_first(self, run, path):
        run(1, 2, 3, 4)
        run(1, 3)
        assert kept(path) == [2, 4, 1, 3]
        run(5, max_rows=3)
        assert kept(path) == [1, 3, 5]

    def test_what_a_run_used_ahead_goes_last(self, opened, run, path):
        run(1, 2, 3)
        with opened(max_rows=3) as cache:
            cache.put(values(8))
            assert len(cache.get(keys(1))) == 1  # looked up for a later chunk, while this one is written
            cache.write()
            cache.wait()
            assert cache.removed == 1
        assert kept(path) == [3, 1, 8]

    def test_a_use_counts_once_a_run(self, opened, run, path):
        run(1, 2)
        with opened() as cache:
            for number in (2, 1, 2):
                cache.get(keys(number))
                cache.write()
        assert kept(path) == [2, 1]

    def test_a_much_lower_limit_is_reached_in_steps(self, run, opened, path, monkeypatch):
        monkeypatch.setattr("scorer.storage.cache_file._REMOVED", 10)
        run(*range(100))
        with opened(max_rows=20) as cache:
            for step in range(1, 9):
                cache.put(values(1_000 + step))
                cache.write()
                cache.wait()
                assert cache.removed == min(10 * step, 80 + step)
        assert kept(path)[-8:] == [1_000 + step for step in range(1, 9)]
        run(2_000, max_rows=20)
        assert len(kept(path)) == 20

    def test_entries_added_at_once_beyond_the_limit_do_not_stay(self, run, path):
        run(*range(100), max_rows=10)
        assert kept(path) == list(range(90, 100))

    @pytest.mark.parametrize("entries", [-5, 0, 1_000_000])
    def test_a_wrong_total_does_no_harm(self, run, path, entries, reports):
        run(1, 2, 3)
        query(path, "UPDATE totals SET entries = ?", entries)
        assert run(1, 2, 3, max_rows=3) == values(1, 2, 3)
        assert reports == []


class TestReadOnly:
    def test_nothing_is_added_or_marked(self, run, path, reports):
        run(1, 2, 3)
        before = path.read_bytes()
        assert run(1, 9, read_only=True) == values(1)
        assert path.read_bytes() == before
        assert [file.name for file in path.parent.iterdir()] == [path.name]  # files of its user could lock others out
        assert reports == []

    def test_several_read_while_another_writes(self, opened, run):
        run(1)
        with opened(read_only=True) as reader, opened() as writer:
            writer.put(values(2))
            writer.write()
            writer.wait()
            assert len(reader.get(keys(1, 2))) == 2

    def test_of_a_missing_or_empty_file_it_says_so_and_creates_nothing(self, run, path, reports):
        assert run(1, read_only=True) == {}
        assert not path.exists()
        path.touch()
        assert run(1, read_only=True) == {}
        assert path.read_bytes() == b""
        assert reports == [
            f"The cache {path} cannot be used (it does not exist). The run continues without it.",
            f"The cache {path} cannot be used (it is empty). The run continues without it.",
        ]

    def test_a_limit_has_no_effect_on_it(self, run, path):
        run(1, 2, 3)
        before = path.read_bytes()
        assert run(1, 2, 4, read_only=True, max_rows=1) == values(1, 2)
        assert path.read_bytes() == before


class TestFinish:
    def test_it_leaves_the_counts_of_a_run_final(self, run, opened, path):
        run(1, 2, 3, 4, 5)
        with opened(max_rows=2) as cache:
            cache.get(keys(4, 5))
            cache.write()
            cache.finish()
            assert (cache.added, cache.removed, cache.problem) == (0, 3, None)
        assert kept(path) == [4, 5]

    @pytest.mark.parametrize("how", ["removed", "replaced", "emptied"])
    def test_a_file_that_is_gone_or_another_is_reported(self, opened, path, reports, tmp_path, how):
        with opened() as cache:
            cache.put(values(1))
            cache.write()
            cache.wait()
            if how == "emptied":
                os.truncate(path, 0)
            else:
                path.unlink()
            if how == "replaced":
                path.write_bytes(b"another")
            cache.finish()
            assert cache.problem == "the file was removed, replaced or emptied during the run"
        assert reports[0] == (
            f"The cache {path} was removed, replaced or emptied during the run. What was added to it is lost."
        )

    def test_a_cache_with_entries_of_others_only_is_noticed(self, run, opened):
        with opened() as cache:
            assert not cache.has_only_others
        run(1)
        with opened() as cache:
            assert not cache.has_only_others
        for expected in (True, False):
            with opened(digest=b"another") as cache:
                assert cache.has_only_others == expected


class TestNames:
    @pytest.mark.parametrize(
        "name", ["a b.sqlite", "a?mode=ro", "a#b", "a%41%00", "ä:日", "file:x", "x&vfs=none", ":memory:"]
    )
    def test_any_name_is_the_name_of_the_file(self, run, tmp_path, name, reports):
        run(1, at=tmp_path / name)
        assert [file.name for file in tmp_path.iterdir()] == [name]
        assert run(1, at=tmp_path / name) == values(1)
        assert run(1, at=tmp_path / name, read_only=True) == values(1)
        assert reports == []

    def test_bytes_that_are_no_text(self, run, tmp_path, reports):
        at = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.sqlite")
        run(1, at=at)
        assert os.listdir(os.fsencode(tmp_path)) == [b"\xff\xfe.sqlite"]
        assert run(1, at=at) == values(1)
        assert reports == []

    def test_a_name_relative_to_the_current_folder(self, run, tmp_path, monkeypatch, path):
        monkeypatch.chdir(tmp_path)
        run(1, at=path.name)
        assert kept(path) == [1]

    def test_a_link_is_followed_and_a_damaged_target_set_aside_with_its_log(self, run, tmp_path, path, reports):
        (tmp_path / "there").mkdir()
        target = tmp_path / "there" / "target.sqlite"
        path.symlink_to(target)
        run(1)
        assert run(1) == values(1)
        assert kept(target) == [1]
        _damage(target)
        target.with_name("target.sqlite-wal").write_bytes(b"x" * 5_000)
        assert run(1) == {}
        assert path.is_symlink()
        assert sorted(file.name for file in target.parent.iterdir()) == ["target.sqlite", "target.sqlite.damaged"]
        assert kept(target) == [1]

    def test_a_link_to_nothing_that_can_exist_is_reported(self, run, tmp_path, path, reports):
        path.symlink_to(tmp_path / "missing" / "target")
        assert run(1) == {}
        path.unlink()
        path.symlink_to(path)
        assert run(1) == {}
        assert len(reports) == 2
        assert all("The run continues without it." in report for report in reports)

    def test_a_folder_of_its_own_name_in_the_way_of_its_log_is_reported(self, run, path, reports):
        path.with_name(f"{path.name}-wal").mkdir()
        assert run(1) == {}
        assert len(reports) == 1


class TestForeign:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda path: path.mkdir(), "is not a regular file; name another"),
            (os.mkfifo, "is not a regular file; name another"),
            (lambda path: path.symlink_to("/dev/null"), "is not a regular file; name another"),
            (lambda path: path.write_text("id,text\n"), "exists and is no cache of this program; name another file"),
            (lambda path: path.write_bytes(bytes(8192)), "exists and is no cache of this program; name another file"),
            (lambda path: query(path, "CREATE TABLE mine (x)"), "exists and is no cache of this program"),
            (lambda path: query(path, "PRAGMA application_id = 7"), "exists and is no cache of this program"),
            (lambda path: _newer(path), f"is of a newer version of this program (form {FORM + 1}, and this version"),
        ],
    )  # fmt: skip
    def test_another_file_is_refused_by_name_and_stays(self, path, make, message, opened):
        make(path)
        content = path.read_bytes() if path.is_file() else None
        for read_only in (False, True):
            with pytest.raises(UsageError) as caught, opened(read_only=read_only):
                pass
            assert str(caught.value).startswith(f"--cache {path} ")
            assert message in str(caught.value)
            assert caught.value.exit_code == 2
        assert (path.read_bytes() if path.is_file() else None) == content

    @pytest.mark.parametrize("parent", ["missing", "file"])
    def test_a_missing_folder_is_refused(self, tmp_path, parent):
        (tmp_path / "file").touch()
        with pytest.raises(UsageError) as caught:
            CacheSettings(str(tmp_path / parent / "scores.sqlite")).check()
        assert "does not exist; create it first" in str(caught.value)

    def test_an_address_is_refused(self):
        with pytest.raises(UsageError, match="is an address; name a file on a local disk"):
            CacheSettings("s3://bucket/scores.sqlite").check()

    def test_an_empty_file_becomes_a_cache(self, run, path, reports):
        path.touch()
        run(1)
        assert run(1) == values(1)
        assert reports == []


def _newer(path):
    query(path, f"PRAGMA application_id = {APPLICATION}")
    query(path, f"PRAGMA user_version = {FORM + 1}")


def _overwrite(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def _damage(path):
    """Overwrite everything behind the header of the file."""
    _overwrite(path, 100, b"\xff" * (path.stat().st_size - 100))


DAMAGES = {
    "a read-only header": lambda path: _overwrite(path, 18, b"\x03"),
    "a header of another SQLite": lambda path: _overwrite(path, 44, b"\0\0\0\x05"),
    "a schema that is no text": lambda path: _overwrite(path, path.read_bytes().index(b"autoindex"), b"\xff\xf4"),
    "bytes": _damage,
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "other tables": lambda path: query(path, "ALTER TABLE scores ADD COLUMN x"),
    "no totals": lambda path: query(path, "DELETE FROM totals"),
    "a total that is no number": lambda path: query(path, "UPDATE totals SET entries = 'many'"),
    "no table": lambda path: query(path, "DROP TABLE runs"),
    "the last id": lambda path: query(path, "UPDATE scores SET id = 9223372036854775807 WHERE id = 1"),
    "nearly the last id": lambda path: query(path, "UPDATE scores SET id = 9223372036854775800 WHERE id = 1"),
    "a trigger": lambda path: query(
        path, "CREATE TRIGGER t AFTER INSERT ON scores BEGIN SELECT randomblob(1e9) FROM scores a, scores b; END"
    ),
    "a view": lambda path: query(path, "CREATE VIEW v AS SELECT 1"),
    "values that are numbers": lambda path: query(path, "UPDATE scores SET value = 7"),
}


class TestDamage:
    @pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
    def test_a_damaged_file_is_kept_under_another_name_and_a_new_one_begins(self, run, path, damage, reports):
        run(*range(100))
        damage(path)
        content = path.read_bytes()
        found = run(*range(50, 150))  # the damage is found at once, or while the file is used
        assert found.items() <= values(*range(50, 100)).items()
        assert len(reports) in (1, 2)
        assert reports[0].startswith(f"The cache {path} is damaged (")
        assert f"{path}.damaged" in reports[-1]
        if len(reports) == 1:  # found before anything was written
            assert Path(f"{path}.damaged").read_bytes() == content
        reports.clear()
        run(1)
        assert run(1) == values(1)
        assert reports == []
        assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}.damaged"]

    def test_a_flipped_bit_of_the_schema_is_damage_or_changes_nothing(self, run, path, reports):
        run(*range(50))
        content = path.read_bytes()
        chosen = random.Random(1)
        for at in chosen.choices(
            range(100, 4096), k=60
        ):  # the first page; its header may make it another program's file
            path.write_bytes(content)
            _overwrite(path, at, bytes([content[at] ^ 1 << chosen.randrange(8)]))
            reports.clear()
            assert run(*range(50)).items() <= values(*range(50)).items()
            assert len(reports) in (0, 1, 2)
            assert all("damaged" in report for report in reports)
            assert run(*range(50)) == values(*range(50))

    def test_a_damaged_file_keeps_its_mode(self, run, path):
        run(1)
        path.chmod(0o640)
        _damage(path)
        run(1)
        assert [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()] == [0o640, 0o640]

    def test_a_damaged_file_that_another_run_uses_stays(self, run, path, opened, reports):
        run(*range(100))
        process = _other_process(path)  # has read all that it needs
        _damage(path)
        content = path.read_bytes()
        assert run(1) == {}
        assert reports == [f"The cache {path} is damaged ({_reason(reports)}). The run continues without it."]
        assert path.read_bytes() == content
        process.communicate()
        assert run(1) == {}
        assert f"It is now {path}.damaged, and a new cache begins." in reports[1]

    def test_a_damaged_file_that_this_process_uses_stays(self, run, path, opened, reports):
        run(*range(100))
        with opened() as other:
            other.get(keys(1))
            _damage(path)
            assert run(1) == {}
            assert not path.with_name(f"{path.name}.damaged").exists()
        assert reports[0] == f"The cache {path} is damaged ({_reason(reports)}). The run continues without it."

    def test_a_damaged_file_that_cannot_be_copied_stays(self, run, path, reports):
        run(*range(100))
        _damage(path)
        path.with_name(f"{path.name}.damaged").mkdir()
        content = path.read_bytes()
        for _ in range(2):
            assert run(1) == {}
        assert path.read_bytes() == content
        assert len(reports) == 2
        assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}.damaged"]

    def test_a_new_cache_stays_when_another_run_that_met_the_damaged_one_ends(self, run, path, opened):
        run(*range(100))
        with opened() as late:
            query(path, "DELETE FROM totals")
            late.put(values(200))
            late.write()
            late.wait()
            assert late.problem is not None
            late._disconnect()  # as if it had met the damage while it opened the file
            run(1)  # sets it aside
            run(2)
            assert kept(path) == [2]
        assert kept(path) == [2]

    def test_read_only_leaves_a_damaged_file_as_it_is(self, run, path, reports):
        run(*range(100))
        _damage(path)
        content = path.read_bytes()
        assert run(1, read_only=True) == {}
        assert path.read_bytes() == content
        assert reports == [f"The cache {path} is damaged ({_reason(reports)}). The run continues without it."]

    def test_processes_that_find_the_same_damage_share_the_new_cache(self, run, path):
        """Each either begins the new cache, or joins it; nothing that one of them wrote is lost."""
        for _ in range(3):
            run(*range(100))
            _damage(path)
            others = [_other_process(path, number) for number in range(4)]
            said = [other.communicate("\n")[0] for other in others]
            added = [number for number in range(4) if "continues without" not in said[number]]
            assert len(added) >= 1
            assert set(added) <= set(kept(path))
            assert query(path, "PRAGMA journal_mode") == [("wal",)]
            path.unlink()


def _reason(reports):
    return reports[0].partition("(")[2].partition(")")[0]


OTHER = """
import sys
from pathlib import Path
from scorer.storage.cache_file import CacheFile
from scorer.storage.cache_settings import CacheSettings

path, *numbers = sys.argv[1:]
cache = CacheFile(CacheSettings(path), bytes(32), "{}", lambda report: print(report, flush=True))
cache.put({b"%016d" % int(number): b"value" for number in numbers})
cache.write()
cache.wait()
print("ready", flush=True)
sys.stdin.read()
cache.close()
"""


def _other_process(path, *numbers):
    """Start a process that opens the cache, adds some keys, and keeps it open until its stdin ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, path, *map(str, numbers)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if not numbers:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    return process


class TestProcesses:
    def test_several_create_and_fill_one_file(self, path):
        others = [_other_process(path, number, 100 + number) for number in range(6)]
        assert [other.communicate("")[0] for other in others] == ["ready\n"] * 6
        assert sorted(kept(path)) == [*range(6), *range(100, 106)]

    def test_a_forked_child_leaves_it_alone(self, opened, run, path):
        run(1, 2)
        with opened() as cache:
            cache.put(values(3))
            cache.write()
            if not (child := os.fork()):
                right = cache.get(keys(1)) == {}
                cache.put(values(4))
                cache.write()
                cache.wait()
                cache.close()
                right &= cache._batch.values == {}
                os._exit(not right)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            cache.put(values(5))
        assert kept(path) == [1, 2, 3, 5]

    def test_a_child_that_opens_its_parents_file_goes_without(self, opened, run, path):
        """SQLite in the child would suppose that it has the locks of its parent."""
        run(1)
        with opened():
            if not (child := os.fork()):
                said = []
                cache = CacheFile(CacheSettings(str(path)), DIGEST, "{}", said.append)
                os._exit(
                    not ("the process that this one was forked from has it open" in said[0] and not cache.get(keys(1)))
                )
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def test_a_child_can_use_a_file_that_its_parent_has_closed(self, run, path):
        run(1)
        if not (child := os.fork()):
            with closing(CacheFile(CacheSettings(str(path)), DIGEST, "{}")) as cache:
                os._exit(len(cache.get(keys(1))) != 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def test_a_check_of_the_file_releases_no_lock(self, opened, path):
        """A process that closed another descriptor of the file would lose the locks of SQLite."""
        with opened() as cache:
            cache.put(values(1))
            CacheSettings(str(path)).check()
            with cache_database.transaction(cache._connections[0]):
                CacheSettings(str(path)).check()
                code = (
                    "import sqlite3, sys\n"
                    "try: sqlite3.connect(sys.argv[1], timeout=0).execute('PRAGMA journal_mode = DELETE')\n"
                    "except sqlite3.OperationalError as error: print(error)"
                )
                said = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
                assert said.stdout == "database is locked\n"

    def test_another_process_that_writes_for_too_long_is_reported(self, opened, run, path, monkeypatch, reports):
        monkeypatch.setattr(cache_database, "_BUSY_SECONDS", 0.1)
        run(1)
        with opened() as cache, closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            cache.put(values(2))
            cache.write()
            cache.wait()
            assert reports == [
                f"The cache {path} cannot be written (database is locked). The run adds nothing more to it."
            ]
            assert cache.problem == "database is locked"
            assert len(cache.get(keys(1))) == 1  # it can still be read
            other.execute("COMMIT")
        assert kept(path) == [1]

    def test_a_run_that_ends_does_not_wait_as_long(self, opened, run, path, monkeypatch, reports):
        monkeypatch.setattr(cache_database, "_CLOSING_SECONDS", 0.1)
        run(1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            with opened() as cache:
                other.execute("BEGIN IMMEDIATE")
                cache.put(values(2))
                cache.write()
                cache.get(keys(1))
                start = time.monotonic()
            assert time.monotonic() - start < 0.5 * cache_database._BUSY_SECONDS
        assert len(reports) == 1

    def test_a_transaction_that_ends_is_waited_for(self, opened, run, path, reports):
        run(1)
        with opened() as cache, closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            cache.put(values(2))
            cache.write()
            timer = threading.Timer(0.7, lambda: other.execute("COMMIT"))
            timer.start()
            cache.wait()
            timer.join()
        assert kept(path) == [1, 2]
        assert reports == []

    def test_it_can_be_closed_while_another_thread_looks_up(self, opened, run, reports):
        run(*range(1_000))
        for _ in range(5):
            with opened() as cache, ThreadPoolExecutor(2) as pool:
                looking = [pool.submit(lambda cache=cache: [len(cache.get(keys(*range(1_000)))) for _ in range(20)])]
                time.sleep(0.02)
                cache.close()
            assert set(looking[0].result()) <= {0, 1_000}
        assert reports == []


class TestPlaces:
    @pytest.fixture
    def locked(self, tmp_path):
        """Folder that cannot be written, even by root: a read-only mount."""
        folder, mount = tmp_path / "folder", shutil.which("mount")
        folder.mkdir()
        if mount is None or os.geteuid() != 0:
            pytest.skip("only root can mount")

        def lock():
            subprocess.run([mount, "--bind", folder, folder], check=True, capture_output=True)
            subprocess.run([mount, "-o", "remount,ro,bind", folder], check=True, capture_output=True)

        probe = subprocess.run([mount, "--bind", folder, folder], check=False, capture_output=True)
        if probe.returncode:
            pytest.skip("this user may not mount")
        subprocess.run(["umount", folder], check=True)
        yield folder, lock
        subprocess.run(["umount", folder], check=False, capture_output=True)

    def test_a_read_only_folder_can_be_read_and_is_reported_to_those_who_write(self, locked, run, reports):
        folder, lock = locked
        at = folder / "scores.sqlite"
        run(1, at=at)
        lock()
        assert run(1, at=at, read_only=True) == values(1)
        assert reports == []
        assert run(1, at=at) == {}
        assert len(reports) == 1
        assert "Read-only file system" in reports[0]

    def test_a_file_system_without_locks_is_reported_at_once(self, run, path, reports, monkeypatch):
        def no_locks(*arguments):
            raise OSError(37, "No locks available")

        monkeypatch.setattr("scorer.storage.cache_locks.fcntl.lockf", no_locks)
        for read_only in (False, True):
            path.touch()
            assert run(1, read_only=read_only) == {}
        assert (
            reports
            == [
                f"The cache {path} cannot be used ([Errno 37] its file system has no locks: No locks available). "
                "The run continues without it."
            ]
            * 2
        )
