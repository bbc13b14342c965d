"""score-ray on a local cluster, and `PartScorer` on Spark: no row is lost or doubled, whichever process dies."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "SCORE_PROVIDER": "cpu", "SPARK_LOCAL_IP": "127.0.0.1"}
PARTS = {"day=1/part-0.parquet": 300, "day=1/part-1.jsonl": 700, "day=2/part-0.csv": 700, "day=2/part-1.jsonl.gz": 300}
ROWS = sum(PARTS.values())
REJECTED = ROWS // 100
WORDS = (ROOT / "README.md").read_text().split()


def write_lake(folder):
    """Write parts with texts of some length; every 100th row is rejected."""
    texts = random.Random(3)
    number = 0
    for name, count in PARTS.items():
        rows = []
        for _ in range(count):
            number += 1
            words = [texts.choice(WORDS).replace('"', "") for _ in range(texts.randint(50, 250))]
            rows.append({"id": f"r{number}", "text": "" if number % 100 == 0 else " ".join(words)})
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            pq.write_table(pa.Table.from_pylist(rows), path)
        elif name.endswith(".csv"):
            path.write_text("id,text\n" + "".join(f'{row["id"]},"{row["text"]}"\n' for row in rows))
        else:
            plain = path.with_suffix("") if path.suffix == ".gz" else path
            plain.write_text("".join(json.dumps(row) + "\n" for row in rows))
            if path.suffix == ".gz":
                subprocess.run(["gzip", plain], check=True)
    return folder


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Folder of parts, and beside it the output of `score` for each."""
    folder = write_lake(tmp_path_factory.mktemp("cluster") / "lake")
    for name in PARTS:
        expected = folder.parent / "expected" / name.partition(".")[0]
        expected.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "scorer", folder / name, "-o", f"{expected}.csv", "--source", "-q"]
        code = subprocess.run(command, env=ENVIRONMENT, check=False).returncode
        assert code == 3
    return folder


class Cluster:
    """Process that runs score-ray."""

    def __init__(self, lake, out, *more):
        command = [
            "-c",
            "from scorer.cli.score_ray import main; main()",
            lake,
            "-o",
            out,
            "--output-format",
            "csv",
            *more,
        ]
        self.out = out
        self.process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
            # SIGINT is ignored if the tests run in the background, and the process would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def worker(self, name="", windows=1):
        """Wait for a worker with durable entries in a journal and return its pid, or None if the run ends first."""
        while self.process.poll() is None:
            for journal in self.out.glob(f"*/.{name}*.score-journal"):
                try:
                    done = journal.read_bytes().count(b"\n") - 1
                except OSError:  # the part is done
                    continue
                if done >= windows and (pid := holder_of(journal)):
                    return pid
            time.sleep(0.02)
        return None

    def end(self):
        _, err = self.process.communicate(timeout=400)
        return self.process.returncode, err


def holder_of(path):
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) == str(path) for link in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    return None


def check(out, lake, *, source=None):
    """Check that every part has the bytes of `score`, and that each row is scored or rejected once."""
    seen = Counter()
    for name in PARTS:
        stem = name.partition(".")[0]
        for found, expected in (
            (out / f"{stem}.csv", lake.parent / "expected" / f"{stem}.csv"),
            (out / "_rejects" / f"{stem}.jsonl", lake.parent / "expected" / f"{stem}.csv.rejects.jsonl"),
        ):
            assert found.read_bytes() == expected.read_bytes(), found
        seen.update(tuple(line.split(",")[:2]) for line in (out / f"{stem}.csv").read_text().splitlines()[1:])
        rejected = map(json.loads, (out / "_rejects" / f"{stem}.jsonl").read_text().splitlines())
        seen.update((str(row["row"]), row["source"]) for row in rejected)
    assert len(seen) == seen.total() == ROWS
    assert not list(out.rglob(".*.score-*"))


def test_two_workers_one_killed_on_the_way(lake, tmp_path):
    run = Cluster(lake, tmp_path / "out", "--workers", 2)
    killed = run.worker()
    os.kill(killed, signal.SIGKILL)
    code, err = run.end()
    assert code == 3, err
    assert f"\n{ROWS - REJECTED:,} of {ROWS:,} rows in 4 parts scored, written to " in err
    assert "(raylet) A worker died or was killed" in err.replace("\x1b[0m", "").replace("\x1b[33m", "")
    assert "Traceback" not in err
    check(tmp_path / "out", lake)
    found = json.loads((tmp_path / "out" / "_SUCCESS").read_text())
    assert (found["parts"], found["rows_in"], found["rows_rejected"]) == (4, ROWS, REJECTED)
    print(f"killed {killed}; {err}")


def test_two_workers_fill_one_cache_and_what_a_killed_one_added_is_used(lake, tmp_path):
    cache = tmp_path / "scores.sqlite"
    run = Cluster(lake, tmp_path / "first", "--workers", 2, "--cache", cache)
    os.kill(run.worker(), signal.SIGKILL)
    code, err = run.end()
    assert code == 3, err
    check(tmp_path / "first", lake)
    code, err = Cluster(lake, tmp_path / "second", "--workers", 2, "--cache", cache, "--cache-read-only").end()
    assert code == 3, err
    assert f"\n{ROWS - REJECTED:,} rows (100%) came from the cache {cache}.\n" in err
    assert "Warning" not in err
    assert json.loads((tmp_path / "second" / "_SUCCESS").read_text())["rows_from_cache"] == ROWS - REJECTED
    check(tmp_path / "second", lake)


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "Interrupted"), (signal.SIGTERM, "Terminated")])
def test_an_interrupted_run_ends_soon_and_says_what_is_done(lake, tmp_path, number, word):
    run = Cluster(lake, tmp_path / "out", "--workers", 2)
    assert run.worker()
    start = time.monotonic()
    run.process.send_signal(number)
    code, err = run.end()
    assert code == 128 + number, err
    assert time.monotonic() - start < 20
    assert f"{word}: " in err
    assert " of 4 parts are done and kept. The same command scores the others." in err
    assert "Traceback" not in err


def test_a_run_that_is_killed_as_a_whole_is_resumed(lake, tmp_path):
    run = Cluster(lake, tmp_path / "out", "--workers", 2)
    assert run.worker()
    while not list((tmp_path / "out" / "_parts").rglob("*.json")):
        time.sleep(0.02)
    run.process.kill()
    run.end()
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    # Ray's own processes end once they notice; until then, a new run waits for the parts that they hold.
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.csv")}
    code, err = Cluster(lake, tmp_path / "out", "--workers", 2).end()
    assert code == 3, err
    assert " of them earlier) scored, written to " in err
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    check(tmp_path / "out", lake)
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_a_part_that_kills_its_worker_again_and_again_is_given_up_and_the_others_are_done(lake, tmp_path):
    run = Cluster(lake, tmp_path / "out", "--workers", 2)
    killed = set()
    while (pid := run.worker("part-1.csv", len(killed) % 2)) is not None:
        killed.add(pid)
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)
    code, err = run.end()
    assert code == 1, err
    assert "parts failed." in err
    assert "its worker died 4 times: it ran out of memory, or a library aborted on the file's content" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    code, err = Cluster(lake, tmp_path / "out", "--workers", 2).end()
    assert code == 3, err
    check(tmp_path / "out", lake)


def test_a_run_that_cannot_work_fails_without_a_traceback(lake, tmp_path):
    code, err = Cluster(lake, tmp_path / "out", "--workers", 2, "--gpus-per-worker", 1).end()
    assert code == 2
    assert "2 workers with 1 cores and 1 GPUs each do not fit into the cluster, which has" in err
    code, err = Cluster(lake, tmp_path / "out", "--address", "127.0.0.1:1").end()
    assert code == 1
    assert "no Ray cluster at 127.0.0.1:1: [Errno 111] Connection refused. Check `ray status` and --address." in err
    code, err = Cluster(lake, tmp_path / "out", "--text", "body", "--workers", 2).end()
    assert code == 2
    assert "4 of 4 parts failed." in err
    assert "Traceback" not in err


def test_the_same_class_on_spark(lake, tmp_path):
    """Run docs/recipes/spark_job.py unchanged, with two Python workers."""
    job = [sys.executable, ROOT / "docs" / "recipes" / "spark_job.py", lake, tmp_path / "out"]
    environment = {
        **ENVIRONMENT,
        "PYSPARK_SUBMIT_ARGS": "--master local[2] pyspark-shell",
        "PYSPARK_PYTHON": sys.executable,
    }
    done = subprocess.run(
        list(map(str, job)), env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "_SUCCESS").exists()
    for name in PARTS:
        stem = name.partition(".")[0]
        table = pq.read_table(tmp_path / "out" / f"{stem}.parquet")
        lines = (lake.parent / "expected" / f"{stem}.csv").read_text().splitlines()[1:]
        found = zip(*(table[column].to_pylist() for column in ("row", "source", "id", "label")), strict=True)
        assert [",".join(map(str, row)) for row in found] == [line.rpartition(",")[0] for line in lines]
        assert [f"{score:.6f}" for score in table["score"].to_pylist()] == [line.rpartition(",")[2] for line in lines]
