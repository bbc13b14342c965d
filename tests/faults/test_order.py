"""The order of write, fsync and rename in one run, as the system saw it."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from harness import ENVIRONMENT, HERE, MARKS, ROOT, write_input

pytestmark = MARKS

CALLS = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,ftruncate"


def trace(folder, source):
    """Run `score` and list its calls on files of a folder, as ``fsync .out.csv.score-partial``."""
    log = folder.parent / "trace"
    subprocess.run(
        ["strace", "-f", "-y", "-o", log, "-e", f"trace={CALLS}", sys.executable, HERE / "runner.py", "--once", source,
         "-o", folder / "out.csv"],
        env=ENVIRONMENT, check=False, capture_output=True,
    )  # fmt: skip
    found = []
    for line in log.read_text().splitlines():
        call = re.match(r"\d+ +(\w+)\(", line)
        names = [name for name in re.findall(rf"[<\"]({folder}[^>\"]*)[>\"]", line) if call]
        if call and names:
            found.append(" ".join([call[1], *(os.path.relpath(name, folder) for name in names)]))
    return found


@pytest.fixture
def calls(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    probe = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("strace may not trace here")
    (tmp_path / "folder").mkdir()
    return trace(tmp_path / "folder", write_input(tmp_path / "in.jsonl", 20))


def test_each_window_is_durable_before_its_journal_entry_and_all_before_the_output_is_visible(calls):
    output, rejects, journal = (
        ".out.csv.score-partial",
        ".out.csv.rejects.jsonl.score-partial",
        ".out.csv.score-journal",
    )
    window = [
        f"write {rejects}", f"write {output}", f"fsync {output}", f"fsync {rejects}", f"write {journal}",
        f"fsync {journal}",
    ]  # fmt: skip
    begin = [f"ftruncate {journal}", f"ftruncate {journal}", f"write {journal}", f"fsync {journal}"]
    begin += [f"ftruncate {output}", f"ftruncate {rejects}"]
    assert calls == [
        *begin,
        # The first window's output begins with the header; the new names become durable with it.
        *window[:4], "fsync .", *window[4:],
        *window,
        # The last window has 4 rows and no reject; all rows are done, so it is complete.
        f"write {output}", f"fsync {output}", f"write {journal}", f"fsync {journal}",
        f"fsync {rejects}", f"rename {rejects} out.csv.rejects.jsonl", "fsync .",
        f"fsync {output}", f"rename {output} out.csv", "fsync .",
        f"unlink {journal}",
    ]  # fmt: skip
    if report := os.environ.get("FAULTS_ORDER"):  # for the listing in docs/RELIABILITY.md
        (ROOT / report).write_text("\n".join(calls) + "\n")
