"""What is published is complete; what is not published leaves nothing behind."""

import os

import pytest

from scorer.errors import ScorerError
from scorer.publish import FileDestination, destination, publish_folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_it_is_published(tmp_path):
    with FileDestination(tmp_path / "out.csv") as out:
        out.write(b"abc")
        assert "out.csv" not in names(tmp_path)
        out.publish()
    assert (tmp_path / "out.csv").read_bytes() == b"abc"
    assert names(tmp_path) == ["out.csv"]


def test_an_error_leaves_the_old_bytes_and_no_partial_file(tmp_path):
    (tmp_path / "out.csv").write_bytes(b"old")
    with pytest.raises(RuntimeError), destination(str(tmp_path / "out.csv")) as out:
        out.write(b"new")
        raise RuntimeError
    assert (tmp_path / "out.csv").read_bytes() == b"old"
    assert names(tmp_path) == ["out.csv"]


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod"])
def test_a_failing_system_call_is_an_error_and_leaves_the_old_bytes(tmp_path, monkeypatch, call):
    (tmp_path / "out.csv").write_bytes(b"old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"scorer.publish.os.{call}", fail)
    with pytest.raises(ScorerError) as caught, FileDestination(tmp_path / "out.csv") as out:
        out.write(b"new")
        out.publish()
    assert str(caught.value) == f"{tmp_path / 'out.csv'} cannot be written: No space left on device."
    assert caught.value.exit_code == 1
    assert (tmp_path / "out.csv").read_bytes() == b"old"
    assert names(tmp_path) == ["out.csv"]


def test_a_file_is_durable_before_it_is_visible(tmp_path, monkeypatch):
    calls = []
    for call in ("fsync", "replace"):
        original = getattr(os, call)
        monkeypatch.setattr(f"scorer.publish.os.{call}", lambda *a, f=original, n=call: (calls.append(n), f(*a))[1])
    with FileDestination(tmp_path / "out.csv") as out:
        out.publish()
    assert calls == ["fsync", "replace", "fsync"]  # the file, the rename, the folder


def test_a_new_file_has_the_users_normal_mode(tmp_path):
    before = os.umask(0o027)
    try:
        with FileDestination(tmp_path / "out.csv") as out:
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

    monkeypatch.setattr("scorer.publish.os.rename", fail)
    with pytest.raises(ScorerError, match="Permission denied"):
        publish_folder(tmp_path / "bundle", {"a": b"2"})
    assert names(tmp_path) == ["bundle"]
    assert (tmp_path / "bundle" / "a").read_bytes() == b"1"
