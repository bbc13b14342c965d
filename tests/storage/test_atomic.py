"""Published files are complete; unpublished ones leave nothing behind, or a file that can be resumed."""

import hashlib
import os

import pytest

from scorer.base.errors import ScorerError
from scorer.storage.atomic import FileDestination, LocalPlace, publish_folder, sibling, sync_folder
from scorer.storage.output import destination


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def out(tmp_path):
    place = FileDestination(LocalPlace(tmp_path / "out.csv"))
    place.reserve()
    place.begin()
    yield place
    place.close()


def test_a_file_appears_only_when_it_is_published(tmp_path, out):
    out.write(b"abc")
    assert names(tmp_path) == [".out.csv.score-partial"]
    out.publish()
    assert (tmp_path / "out.csv").read_bytes() == b"abc"
    assert names(tmp_path) == ["out.csv"]


def test_discarding_leaves_the_old_bytes_and_no_partial_file(tmp_path):
    (tmp_path / "out.csv").write_bytes(b"old")
    out = destination(str(tmp_path / "out.csv"))
    out.reserve()
    out.begin()
    out.write(b"new")
    out.discard()
    assert (tmp_path / "out.csv").read_bytes() == b"old"
    assert names(tmp_path) == ["out.csv"]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def reserved(place):
    found = FileDestination(LocalPlace(place))
    found.reserve()
    return found


def test_an_earlier_runs_bytes_are_resumed_if_they_exist(tmp_path, out):
    out.write(b"abcdef")
    out.close()
    later = reserved(tmp_path / "out.csv")
    assert not later.resume(7, sha256(b"abcdefg"))
    assert not later.resume(4, sha256(b"abcX"))
    assert later.resume(4, sha256(b"abcd"))
    later.write(b"XY")
    assert (later.length, later.digest) == (6, sha256(b"abcdXY"))
    later.publish()
    assert (tmp_path / "out.csv").read_bytes() == b"abcdXY"
    assert names(tmp_path) == ["out.csv"]


def test_a_published_file_is_taken_back_as_a_copy_if_its_digest_fits(tmp_path, out):
    out.write(b"abcdef")
    out.publish()
    (tmp_path / "out.csv").chmod(0o604)
    later = reserved(tmp_path / "out.csv")
    later.undo_publish(6, sha256(b"another"))
    later.undo_publish(5, sha256(b"abcdef"))
    assert later.is_new()
    later.undo_publish(6, sha256(b"abcdef"))
    assert later.resume(6, sha256(b"abcdef"))
    assert names(tmp_path) == [".out.csv.score-partial", "out.csv"]
    later.write(b"gh")
    later.publish()
    assert (tmp_path / "out.csv").read_bytes() == b"abcdefgh"
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o604


def test_writing_continues_after_a_copy_is_published(tmp_path, out):
    out.write(b"abc")
    out.publish_copy()
    assert (tmp_path / "out.csv").read_bytes() == b"abc"
    out.write(b"def")
    assert names(tmp_path) == [".out.csv.score-partial", "out.csv"]
    out.publish()
    assert (tmp_path / "out.csv").read_bytes() == b"abcdef"


def test_closing_deletes_an_unused_reservation_and_keeps_earlier_bytes(tmp_path, out):
    out.close()
    reserved(tmp_path / "other.csv").close()
    assert names(tmp_path) == [".out.csv.score-partial"]
    sibling(tmp_path / "out.csv", "partial").write_bytes(b"rows")
    sibling(tmp_path / "out.csv", "partial").chmod(0o644)  # as after a failed publication
    later = reserved(tmp_path / "out.csv")
    later.close()
    assert sibling(tmp_path / "out.csv", "partial").read_bytes() == b"rows"
    later.reserve()
    later.begin()
    assert sibling(tmp_path / "out.csv", "partial").stat().st_mode & 0o777 == 0o600
    later.discard()
    assert names(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod"])
def test_a_failing_system_call_is_an_error_and_leaves_the_old_bytes(tmp_path, monkeypatch, out, call):
    (tmp_path / "out.csv").write_bytes(b"old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    out.write(b"new")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(ScorerError) as caught:
        out.publish()
    assert str(caught.value) == f"{tmp_path / 'out.csv'} cannot be written: No space left on device."
    assert caught.value.exit_code == 1
    assert (tmp_path / "out.csv").read_bytes() == b"old"


def test_a_file_is_durable_before_it_is_visible(monkeypatch, out):
    calls = []
    for call in ("fsync", "replace"):
        original = getattr(os, call)
        monkeypatch.setattr(os, call, lambda *a, f=original, n=call: (calls.append(n), f(*a))[1])
    out.publish()
    assert calls == ["fsync", "replace", "fsync"]  # the file, the rename, the folder


def test_a_folder_that_cannot_be_synced_is_an_error_unless_its_file_system_never_can(tmp_path, monkeypatch):
    def fails_with(number):
        def fsync(descriptor):
            raise OSError(number, os.strerror(number))

        return fsync

    monkeypatch.setattr(os, "fsync", fails_with(22))  # as on a network file system without fsync of folders
    sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", fails_with(5))
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)


def test_a_new_file_has_the_users_normal_mode(tmp_path):
    before = os.umask(0o027)
    try:
        out = FileDestination(LocalPlace(tmp_path / "out.csv"))
        out.reserve()
        out.begin()
        assert next(tmp_path.iterdir()).stat().st_mode & 0o777 == 0o600
        out.publish()
    finally:
        os.umask(before)
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o640


def test_a_folder_replaces_another_as_a_whole(tmp_path):
    publish_folder(tmp_path / "bundle", {"a": b"1", "b": b"2"})
    publish_folder(tmp_path / "bundle", {"a": b"3"})
    assert names(tmp_path) == ["bundle"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()} == {"a": b"3"}


def test_a_folder_that_cannot_be_moved_leaves_the_old_one(tmp_path, monkeypatch):
    publish_folder(tmp_path / "bundle", {"a": b"1"})
    rename = os.rename

    def fail(source, target):
        if str(source).endswith(".partial"):
            raise OSError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr("scorer.storage.atomic.os.rename", fail)
    with pytest.raises(ScorerError, match="Permission denied"):
        publish_folder(tmp_path / "bundle", {"a": b"2"})
    assert names(tmp_path) == ["bundle"]
    assert (tmp_path / "bundle" / "a").read_bytes() == b"1"
