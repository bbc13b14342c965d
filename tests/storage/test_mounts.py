"""Mount points, where no rename works, are refused before the work; a file system without modes is written to."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from factories import ROOT

from export.bundle.place import check_free
from scorer.base.errors import UsageError
from scorer.storage import atomic, mounts
from scorer.storage.mounts import is_mount_point

MOUNTS = (
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "35 22 8:1 /srv/out.csv {point} rw,relatime - ext4 /dev/sda1 rw\n"
)


@pytest.fixture
def mounted(monkeypatch, tmp_path):
    """Let the system list a mount at a path."""

    def mount(path):
        point = os.fspath(path).replace(" ", "\\040")
        (tmp_path / "mountinfo").write_text(MOUNTS.format(point=point))
        monkeypatch.setattr(mounts, "is_mount_point", lambda path: is_mount_point(path, mounts=tmp_path / "mountinfo"))

    return mount


def in_a_namespace(command, cwd):
    """Run a shell command in a mount namespace of its own."""
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", command], cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def can_mount():
    if sys.platform != "linux":
        return False
    try:
        return in_a_namespace("touch a b && mount --bind a b && rm a", "/tmp").returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize("name", ["out.csv", "a name with blanks.csv"])
def test_output_that_is_a_mount_point_is_refused_before_the_work(score, mounted, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n')
    (tmp_path / name).write_text("old")
    mounted(tmp_path / name)
    found = score("in.jsonl", "-o", name)
    assert found.code == 2
    assert f"--output {name} is a mount point (as with docker -v): no finished file can be moved there" in found.err
    assert (
        f"Mount the folder that contains it, {tmp_path}, instead, or write to another file, or to stdout: --output - > {name}."
        in (found.err)
    )
    assert (tmp_path / name).read_text() == "old"
    assert score("in.jsonl", "-o", "other.csv", "--summary", name).code == 2
    assert score("in.jsonl", "-o", "other.csv").code == 0


def test_a_bundles_folder_that_is_a_mount_point_is_refused_before_training(mounted, tmp_path):
    (tmp_path / "models").mkdir()
    mounted(tmp_path / "models")
    with pytest.raises(UsageError, match=r"--output .*models is a mount point .*, or name a folder within it\."):
        check_free(tmp_path / "models", overwrite=True)
    check_free(tmp_path / "models" / "imdb", overwrite=False)


def test_without_a_list_of_mounts_another_device_counts_as_a_mount(tmp_path):
    missing = tmp_path / "missing"
    assert is_mount_point(Path("/proc"), mounts=missing)
    assert not is_mount_point(tmp_path, mounts=missing)
    assert not is_mount_point(tmp_path / "nothing", mounts=missing)


@pytest.mark.skipif(not can_mount(), reason="may not mount here")
def test_a_real_bind_mount_is_refused_and_stdout_goes_there(bundle, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n{"text": "bad"}\n')
    (tmp_path / "host.csv").write_text("old\n")
    (tmp_path / "out.csv").touch()
    command = f"{sys.executable} -m scorer in.jsonl --model {bundle.path} --provider cpu -o"
    found = in_a_namespace(f"mount --bind host.csv out.csv && {command} out.csv", tmp_path)
    assert found.returncode == 2
    assert "out.csv is a mount point" in found.stderr
    assert (tmp_path / "host.csv").read_text() == "old\n"
    assert sorted(os.listdir(tmp_path)) == ["host.csv", "in.jsonl", "out.csv"]
    found = in_a_namespace(f"mount --bind host.csv out.csv && {command} - > out.csv", tmp_path)
    assert found.returncode == 0, found.stderr
    assert len((tmp_path / "host.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("problem", [errno.EPERM, errno.ENOTSUP])
def test_a_file_system_without_modes_is_written_to_with_one_warning(score, tmp_path, monkeypatch, problem):
    monkeypatch.chdir(tmp_path)

    def fails(descriptor, mode):
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr(atomic.os, "fchmod", fails)
    monkeypatch.setattr(atomic, "_without_modes", set())
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n{"text": ""}\n')
    found = score("in.jsonl", "-o", "out.csv", "--summary", "run.json")
    assert found.code == 3
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 2
    assert found.err.count("Warning: ") == 1
    assert f"Warning: {tmp_path} is on a file system that does not support file modes" in found.err


def test_a_folder_is_published_on_a_file_system_without_modes(tmp_path, monkeypatch, capsys):
    def fails(path, mode, **more):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(atomic.os, "chmod", fails)
    monkeypatch.setattr(atomic, "_without_modes", set())
    atomic.publish_folder(tmp_path / "model", {"a": b"1"})
    assert (tmp_path / "model" / "a").read_bytes() == b"1"
    assert "does not support file modes" in capsys.readouterr().err
