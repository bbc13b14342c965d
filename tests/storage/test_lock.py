"""One run at a time writes an output, and a run that died does not block the next."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from scorer.base.errors import ScorerError
from scorer.storage.lock import hold, release

PURPOSE = "out.csv"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


def holder(path, then):
    """Start a process that holds the file, prints that it does, and then runs some code."""
    code = (
        "import os, sys, subprocess, signal\nfrom pathlib import Path\nfrom scorer.storage.lock import hold\n"
        f"hold(Path({str(path)!r}), 'out.csv')\n{then}"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_while_the_first_lives_and_not_after_it_was_killed(path):
    first = holder(path, "print('held', flush=True)\nsys.stdin.read()")
    with pytest.raises(ScorerError) as caught:
        hold(path, PURPOSE)
    assert str(caught.value) == "another run is writing out.csv; wait until it ends, or write to another file."
    assert caught.value.exit_code == 1
    first.kill()
    first.wait()
    release(hold(path, PURPOSE))


@pytest.mark.parametrize(
    "child",
    [
        "subprocess.Popen(['sleep', '20'], close_fds=False)",
        "here, there = os.pipe()\nos.fork() or (os.write(there, b'x'), signal.alarm(20), signal.pause())\nos.read(here, 1)",
    ],
)
def test_a_child_does_not_hold_what_its_parent_held(path, child):
    first = holder(path, f"{child}\nprint('held', flush=True)\nsys.stdin.read()")
    first.kill()
    first.wait()
    release(hold(path, PURPOSE))


def test_a_file_that_was_removed_and_made_again_in_the_meantime_is_not_held(path, monkeypatch):
    flock, taken = fcntl.flock, []

    def slow(descriptor, how):
        if not taken:  # the earlier run ends between our open and our lock, and another one makes a new file
            taken.append(path.rename(path.with_name("gone")))
            path.write_bytes(b"")
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    held = hold(path, PURPOSE)
    assert os.path.samestat(os.fstat(held), path.stat())
    release(held)


def test_without_support_for_locks_it_warns_and_continues(path, monkeypatch, capsys):
    def unsupported(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    release(hold(path, PURPOSE))
    assert capsys.readouterr().err == (
        f"Warning: {path.parent} does not support locks; make sure that only one run writes out.csv.\n"
    )


def test_links_and_other_files_in_its_place_are_refused_and_left_alone(path, tmp_path):
    (tmp_path / "precious").write_text("precious")
    refused = "is needed for work in progress, but it is not a regular file of this user with a single name; remove it."
    for make, message in (
        (lambda: path.symlink_to("precious"), "it is a symbolic link; remove it."),
        (lambda: path.symlink_to("nothing"), "it is a symbolic link; remove it."),
        (lambda: path.hardlink_to(tmp_path / "precious"), refused),
        (lambda: os.mkfifo(path), refused),
        (path.mkdir, "Is a directory."),
    ):
        make()
        with pytest.raises(ScorerError) as caught:
            hold(path, PURPOSE)
        assert str(caught.value).endswith(message)
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_new_file_is_for_its_user_alone(path):
    before = os.umask(0)
    try:
        release(hold(path, PURPOSE))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
