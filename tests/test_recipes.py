"""docs/recipes: every recipe treats every exit code as docs/EVERY-NIGHT.md describes."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types
from datetime import UTC, datetime
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from factories import ROOT

RECIPES = ROOT / "docs" / "recipes"
CODES = (0, 1, 2, 3, 4, 5, 130, 137, 141, 143)
DONE, AGAIN = (0, 3), (1, 4, 137)  # 143 is tried again unless the scheduler itself ended the run


@pytest.fixture
def tools(tmp_path, bundle):
    """Folder for PATH with the tools of recipes, and a `score` that notes its arguments and returns given codes."""
    folder = tmp_path / "tools"
    folder.mkdir()

    def tool(name, lines):
        (folder / name).write_text("#!/bin/sh\n" + lines)
        (folder / name).chmod(0o755)

    def make(*codes):
        """Make a `score` that ends with ``codes`` in turn, then always with the last; the real one without codes."""
        (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
        real = f'exec "{sys.executable}" -m scorer "$@"\n'
        noted = f'echo "$*" >> "{tmp_path}/calls"\n'
        told = (
            f'code=$(head -n 1 "{tmp_path}/codes"); [ $(wc -l < "{tmp_path}/codes") = 1 ] || sed -i 1d "{tmp_path}/codes"\n'
            "exit $code\n"
        )
        tool("score", noted + (told if codes else real))
        tool("scontrol", f'echo "scontrol $*" >> "{tmp_path}/calls"\n')
        tool("srun", 'shift; exec "$@"\n')
        return {
            **os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "PAUSE": "0",
            "SCORE_MODEL": str(bundle.path), "SCORE_PROVIDER": "cpu",
        }  # fmt: skip

    return make


def calls(tmp_path):
    return (tmp_path / "calls").read_text().splitlines()


def run(arguments, environment, tmp_path, **more):
    return subprocess.run(
        arguments, env={**environment, **more}, cwd=tmp_path, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_the_exit_codes_that_are_tried_are_all_there_are():
    table = (ROOT / "docs" / "EVERY-NIGHT.md").read_text().split("exit code\n")[1]
    assert sorted(map(int, re.findall(r"\b\d+\b", " ".join(re.findall(r"^\| ([\d, ]+)[|(]", table, re.M))))) == list(
        CODES
    )
    readme = (ROOT / "README.md").read_text()
    assert set(map(int, re.findall(r"\d+", " ".join(re.findall(r"^\| ([\d, ]+) \|", readme, re.M))))) == set(CODES) - {
        137
    }


# cron


@pytest.mark.parametrize("code", CODES)
def test_nightly(tools, tmp_path, code):
    (tmp_path / "in.jsonl").touch()
    done = run([RECIPES / "nightly.sh", "in.jsonl", "out.csv"], tools(code), tmp_path)
    assert done.returncode == (0 if code in DONE else code)
    assert len(calls(tmp_path)) == (3 if code in AGAIN else 1)
    assert (done.stderr == "") == (code == 0)
    assert done.stdout == ""
    if code == 3:
        assert done.stderr == "out.csv: published with warnings, see above and out.csv.run.html\n"
    assert "kept" not in done.stderr  # a `score` that printed nothing may have kept nothing


def test_nightly_goes_on_when_a_try_succeeds(tools, tmp_path):
    (tmp_path / "in.jsonl").touch()
    done = run([RECIPES / "nightly.sh", "in.jsonl", "out.csv"], tools(1, 137, 0), tmp_path)
    assert (done.returncode, done.stderr) == (0, "out.csv: try 3 succeeded\n")
    assert len(set(calls(tmp_path))) == 1 < len(calls(tmp_path)) == 3


def test_nightly_waits_for_an_input_that_is_not_there_yet(tools, tmp_path):
    done = run([RECIPES / "nightly.sh", "in.jsonl", "out.csv"], tools(), tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("Error: the input in.jsonl does not exist") == 3
    assert done.stderr.endswith("out.csv: failed with exit code 2 after 3 tries\n")
    assert "kept" not in done.stderr
    assert not (tmp_path / "out.csv").exists()
    (tmp_path / "tools" / "sleep").write_text('#!/bin/sh\necho \'{"text": "good"}\' > in.jsonl\n')
    (tmp_path / "tools" / "sleep").chmod(0o755)
    done = run([RECIPES / "nightly.sh", "in.jsonl", "out.csv"], tools(), tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "out.csv: try 2 succeeded")


@pytest.mark.parametrize("given", ["in-*.jsonl", "lake", "in-1.jsonl"])
def test_nightly_takes_every_input_that_score_takes(tools, tmp_path, given):
    (tmp_path / "lake").mkdir()
    for place in ("in-1.jsonl", "lake/a.jsonl"):
        (tmp_path / place).write_text('{"text": "good"}\n')
    done = run([RECIPES / "nightly.sh", given, "out.csv"], tools(), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_nightly_has_a_place_for_the_model_and_the_text_and_every_default_can_be_replaced(tools, tmp_path, bundle):
    (tmp_path / "in.csv").write_text("body,words\ngood,bad\n")
    environment = tools()
    del environment["SCORE_MODEL"]
    more = ["--model", str(bundle.path), "--text", "words", "--min-rows", "0", "--max-drift", "9", "--cache", ""]
    done = run([RECIPES / "nightly.sh", "in.csv", "out.csv", *more, "--report", "other.html"], environment, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads((tmp_path / "out.csv.run.json").read_text())["arguments"]
    assert (record["text"], record["min-rows"], record["cache"], record["report"]) == ("words", 0, None, "other.html")


def test_nightly_publishes_nothing_of_an_empty_input(tools, tmp_path):
    (tmp_path / "in.csv").write_text("text\n")
    (tmp_path / "out.csv").write_text("of yesterday")
    done = run([RECIPES / "nightly.sh", "in.csv", "out.csv"], tools(), tmp_path)
    assert (done.returncode, (tmp_path / "out.csv").read_text()) == (4, "of yesterday")
    assert (
        done.stderr.count("the input has 0 records, fewer than --min-rows 1 requires. Files without a record: in.csv.")
        == 3
    )


def test_nightly_shows_rejects_with_their_hints_and_the_notes_of_a_good_night(tools, tmp_path):
    (tmp_path / "in.csv").write_text('text,stars\ngood,5\nbad,"1\n')
    done = run([RECIPES / "nightly.sh", "in.csv", "out.csv", "--max-drift", "1000"], tools(), tmp_path)
    assert done.returncode == 0
    assert "1 rejected (1 unterminated_quote): see out.csv.rejects.jsonl." in done.stderr
    assert done.stderr.endswith("out.csv: published with warnings, see above and out.csv.run.html\n")
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n{"text": "bad", "id": 7}\n')
    done = run([RECIPES / "nightly.sh", "in.jsonl", "new.csv", "--max-drift", "1000"], tools(), tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith("Note: later records have columns that the first one lacks: 'id'.")
    assert len(done.stderr.splitlines()) == 1


def test_nightly_resumes_after_it_was_killed(tools, tmp_path):
    (tmp_path / "in.jsonl").write_text("".join(f'{{"text": "good film number {row}"}}\n' for row in range(20_000)))
    environment = tools()
    work = tmp_path / ".out.csv.score-journal"
    with subprocess.Popen(
        ["bash", RECIPES / "nightly.sh", "in.jsonl", "out.csv"], env=environment, cwd=tmp_path, start_new_session=True
    ) as process:
        while not work.exists() or work.stat().st_size < 3000:
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert not (tmp_path / "out.csv").exists()
    done = run(["bash", RECIPES / "nightly.sh", "in.jsonl", "out.csv"], environment, tmp_path)
    assert (done.returncode, len((tmp_path / "out.csv").read_text().splitlines())) == (0, 20_001)
    assert json.loads((tmp_path / "out.csv.run.json").read_text())["resumed_from_row"] > 1


def test_nightly_says_at_once_that_score_is_not_in_path(tmp_path):
    (tmp_path / "in.jsonl").touch()
    done = run(["bash", RECIPES / "nightly.sh", "in.jsonl", "out.csv"], {"PATH": "/usr/bin:/bin"}, tmp_path)
    assert done.returncode == 127
    assert "is its folder in PATH?" in done.stderr


def test_nightly_with_the_command_itself(tools, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n' * 3)
    done = run([RECIPES / "nightly.sh", "in.jsonl", "out.csv"], tools(), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("out.csv", "out.csv.run.json", "out.csv.run.html"):
        assert (tmp_path / name).exists()


def test_the_crontab_runs_nightly(tools, tmp_path):
    lines = (RECIPES / "README.md").read_text().splitlines()
    schedule = next(line.split() for line in lines if line.startswith("    30 2 * * *"))
    assert [bool(re.fullmatch(r"\d+|\*", field)) for field in schedule[:5]] == [True] * 5
    (tmp_path / "reviews.jsonl").touch()
    command = " ".join(schedule[5:]).replace("/srv/reviews", str(tmp_path))
    command = command.replace("nightly.sh", str(RECIPES / "nightly.sh"))
    assert run(["sh", "-c", command], tools(0), tmp_path).returncode == 0
    assert calls(tmp_path) == ["reviews.jsonl -o scores.csv"]


# systemd


def settings(unit):
    return dict(line.split("=", 1) for line in (RECIPES / unit).read_text().splitlines() if re.match(r"\w+=", line))


@pytest.mark.parametrize("code", CODES)
def test_the_service_is_started_again_where_that_can_help(code):
    service = settings("score.service")
    success = {0, *map(int, service["SuccessExitStatus"].split())}
    prevented, forced = (
        {int(one) for one in service[key].split()} for key in ("RestartPreventExitStatus", "RestartForceExitStatus")
    )
    assert service["Restart"] == "on-failure"
    again = code not in prevented and (code in forced or code not in success)
    assert again == (code in (*AGAIN, 143))
    assert (code in success) == (code in (*DONE, 143))
    assert int(service["StartLimitBurst"]) < 10
    assert (RECIPES / service["OnFailure"]).exists()


def test_systemd_takes_the_units(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = ("score.service", "score.timer", "score-failed.service")
    for unit in units:  # systemd requires that the program exists
        text = (RECIPES / unit).read_text()
        (tmp_path / unit).write_text(re.sub(r"(?<=ExecStart=)\S+", "/bin/true", text))
    done = run(["systemd-analyze", "verify", *(f"./{unit}" for unit in units)], os.environ, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_calls_score_as_it_can_be_called(score, tmp_path, monkeypatch):
    words = settings("score.service")["ExecStart"].replace("/var/lib/node_exporter/", "").split()
    assert words[0].endswith("/score")
    monkeypatch.chdir(tmp_path)
    Path("reviews.jsonl").write_text('{"text": "good"}\n')
    assert score(*words[1:]).code == 0
    Path("reviews.jsonl").write_text("")
    assert score(*words[1:]).code == 4


@pytest.mark.parametrize(
    "recipe",
    [
        "nightly.sh",
        "score.sbatch",
        "score.service",
        "cronjob.yaml",
        "score_dag.py",
        "spark_job.py",
        "score_database.py",
    ],
)
def test_every_recipe_has_a_place_for_the_model_and_the_text_and_a_least_number_of_records(recipe):
    text = (RECIPES / recipe).read_text()
    assert re.search(r"[Nn]ame your model and the column of the texts", text)
    assert re.search(r"(?i)min.rows", text)


# Kubernetes


@pytest.fixture
def cronjob():
    return yaml.safe_load((RECIPES / "cronjob.yaml").read_text())


@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_the_cronjob_is_one_by_the_published_schema(cronjob, version):
    kubernetes_validate.validate(cronjob, version, strict=True)
    broken = yaml.safe_load((RECIPES / "cronjob.yaml").read_text().replace("backoffLimit", "backOffLimit"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


def container(cronjob):
    return cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("code", CODES)
def test_the_cronjob_ends_its_container_and_tries_again_where_that_can_help(tools, cronjob, tmp_path, code):
    (tmp_path / "reviews.jsonl").touch()
    words = [*container(cronjob)["command"], *container(cronjob)["args"]]
    done = run(words, tools(code), tmp_path, TERMINATION_LOG=str(tmp_path / "log"))
    assert done.returncode == (0 if code in DONE else code)
    assert (tmp_path / "log").exists() == (code == 3)
    rules = cronjob["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    fatal = next(rule for rule in rules if rule["action"] == "FailJob")["onExitCodes"]
    assert (fatal["operator"], fatal["containerName"]) == ("In", container(cronjob)["name"])
    assert (done.returncode in fatal["values"]) == (code not in (*DONE, *AGAIN, 143))


def test_the_cronjobs_shell_hands_sigterm_on_and_waits(tools, cronjob, tmp_path):
    environment = tools(0)
    (tmp_path / "reviews.jsonl").touch()
    (tmp_path / "tools" / "score").write_text(
        '#!/bin/sh\ntrap "sleep 0.3; echo finished > rows; exit 143" TERM\necho > started\nwhile :; do sleep 0.05; done\n'
    )
    words = [*container(cronjob)["command"], *container(cronjob)["args"]]
    with subprocess.Popen(words, env=environment, cwd=tmp_path) as process:
        while not (tmp_path / "started").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    assert (tmp_path / "rows").read_text() == "finished\n"


# Slurm


@pytest.mark.parametrize("restarts", [0, 3])
@pytest.mark.parametrize("code", CODES)
def test_the_slurm_task_queues_itself_again_where_that_can_help(tools, tmp_path, code, restarts):
    more = {
        "SLURM_ARRAY_TASK_ID": "2", "SLURM_CPUS_PER_TASK": "4", "SLURM_ARRAY_JOB_ID": "17",
        "SLURM_RESTART_COUNT": str(restarts),
    }  # fmt: skip
    words = ["bash", RECIPES / "score.sbatch", "in-*.csv", "scores", "--text", "body"]
    done = run(words, tools(code), tmp_path, **more)
    assert done.returncode == (0 if code in DONE else code)
    again = code in (*AGAIN, 143) and restarts < 3
    assert calls(tmp_path) == [
        "in-*.csv -o scores/0003.csv --shard 3/8 --threads 4 --text body", *(["scontrol requeue 17_2"] if again else []),
    ]  # fmt: skip
    assert (done.stderr == "") == (code == 0)


def test_a_slurm_task_without_records_publishes_nothing(tools, tmp_path):
    (tmp_path / "in.jsonl").touch()
    more = {"SLURM_ARRAY_TASK_ID": "0", "SLURM_CPUS_PER_TASK": "1", "SLURM_ARRAY_JOB_ID": "17"}
    done = run(["bash", RECIPES / "score.sbatch", "in.jsonl", "scores"], tools(), tmp_path, **more)
    assert (done.returncode, list((tmp_path / "scores").iterdir())) == (4, [])
    assert "fewer than --min-rows 1 requires" in done.stderr
    assert run(["bash", RECIPES / "score.sbatch", "missing.jsonl", "scores"], tools(), tmp_path, **more).returncode == 2


def test_the_slurm_tasks_together_are_one_run(tools, tmp_path):
    (tmp_path / "in.jsonl").write_text("".join(f'{{"text": "good film {row}"}}\n' for row in range(11)))
    environment = tools()
    count = {"SLURM_CPUS_PER_TASK": "1"}
    for task in "01234567":
        words = ["bash", RECIPES / "score.sbatch", "in.jsonl", "scores"]
        assert run(words, environment, tmp_path, SLURM_ARRAY_TASK_ID=task, **count).returncode == 0
    recipe = (RECIPES / "README.md").read_text()
    joining = "\n".join(re.findall(r"^    ((?:head|tail) -q .*)$", recipe, re.M))
    assert run(["bash", "-ec", joining], environment, tmp_path).returncode == 0
    assert (
        run([tmp_path / "tools" / "score", "in.jsonl", "-o", "whole.csv", "-q"], environment, tmp_path).returncode == 0
    )
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


# Airflow


class FailAtOnce(Exception):
    """Stand-in for Airflow's exception."""


@pytest.fixture
def dag(monkeypatch):
    """The recipe's module with its tasks as plain functions; stand-ins replace Airflow's decorators."""
    airflow = importlib.util.find_spec("airflow")
    if airflow is None:
        sdk, errors = types.ModuleType("airflow.sdk"), types.ModuleType("airflow.sdk.exceptions")

        def task(function=None, **options):
            if function is None:
                return lambda function: task(function, **options)
            function.options = options
            tasks[function.__name__] = function
            return lambda *arguments, **more: Node()

        task.short_circuit = task
        sdk.task, sdk.dag, errors.AirflowFailException = task, lambda **options: lambda function: function, FailAtOnce
        monkeypatch.setitem(sys.modules, "airflow", types.ModuleType("airflow"))
        monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
        monkeypatch.setitem(sys.modules, "airflow.sdk.exceptions", errors)

    class Node:
        def __rshift__(self, other):
            return other

    tasks = {}
    spec = importlib.util.spec_from_file_location("score_dag", RECIPES / "score_dag.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if airflow is not None:
        found = module.score_reviews()
        tasks = {one.task_id: one.python_callable for one in found.tasks}
        assert found.get_task("score").retries == 3
    return module, tasks


@pytest.mark.parametrize("code", CODES)
def test_the_airflow_task_is_tried_again_where_that_can_help(dag, tools, tmp_path, monkeypatch, code, capsys):
    module, tasks = dag
    monkeypatch.setattr(module, "FOLDER", str(tmp_path))
    monkeypatch.setattr(os, "environ", tools(code))
    now = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
    with pytest.raises(FileNotFoundError, match="does not exist yet"):
        tasks["score"](logical_date=now)
    (tmp_path / "2026-11-22.jsonl").touch()
    if code in DONE:
        found = tasks["score"](logical_date=now)
        assert found == {"output": f"{tmp_path}/2026-11-22.csv", "warnings": code == 3}
        assert tasks["has_warnings"](found) == (code == 3)
        tasks["notify"](found)
        assert "published with warnings" in capsys.readouterr().out
    else:
        at_once = module.AirflowFailException if code in (2, 5, 130, 141) else RuntimeError
        with pytest.raises(at_once, match=f"exit code {code}"):
            tasks["score"](logical_date=now)
    assert calls(tmp_path) == [
        f"{tmp_path}/2026-11-22.jsonl -o {tmp_path}/2026-11-22.csv --min-rows 1 --max-drift 0.1 "
        f"--summary {tmp_path}/2026-11-22.run.json --report {tmp_path}/2026-11-22.run.html"
    ]


# Containers


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_the_linter_has_nothing_against_the_dockerfile(name):
    done = run([Path(sys.executable).parent / "hadolint", RECIPES / name], os.environ, ROOT)
    assert (done.returncode, done.stdout) == (0, "")
    text = (RECIPES / name).read_text()
    assert 'ENTRYPOINT ["score"]' in text
    extra = re.search(r"/src\[(\w+)\]", text)
    assert extra is None or f'"{extra[1]}": ' in (ROOT / "setup.py").read_text()


@pytest.mark.engine
@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_the_image_is_built_and_scores(tmp_path, name):
    engine = shutil.which("docker") or shutil.which("podman")
    assert engine, "no docker and no podman"
    image = f"review-scorer-test:{name.lower()}"
    built = run([engine, "build", "-f", RECIPES / name, "-t", image, "."], os.environ, ROOT)
    assert built.returncode == 0, built.stderr
    (tmp_path / "in.jsonl").write_text('{"text": "A wonderful film."}\n')
    mounted = [engine, "run", "--rm", "-v", f"{tmp_path}:/reviews", "--user", str(os.getuid()), image]
    done = run([*mounted, "in.jsonl", "-o", "out.csv", "--provider", "cpu"], os.environ, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "positive" in (tmp_path / "out.csv").read_text()


def test_what_the_image_is_built_of_is_all_that_is_needed(tmp_path):
    """The package's metadata is built from only the files that the build context lets in."""
    ignored = (RECIPES / "Dockerfile.dockerignore").read_text()
    assert ignored == (RECIPES / "Dockerfile.cuda.dockerignore").read_text()
    for name in re.findall(r"^!(.*)$", ignored, re.M):
        source = ROOT / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    done = run([sys.executable, "setup.py", "-q", "--name", "--version"], os.environ, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "review-scorer"


# Several GPUs


@pytest.fixture
def two_gpus(tools, tmp_path):
    """The loop of docs/GPU.md, and what it needs, with the CPU as both GPUs."""
    loop = re.search(r"^    gpus=\$\(nvidia-smi .*?\n    fi$", (ROOT / "docs" / "GPU.md").read_text(), re.M | re.S)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "reviews.jsonl").write_text(
        "".join(f'{{"text": "{"" if row % 5 == 4 else f"good film {row}"}"}}\n' for row in range(11))
    )
    environment = tools()
    listing = tmp_path / "tools" / "nvidia-smi"
    listing.write_text("#!/bin/sh\ntest $1 = --list-gpus && echo GPU 0: a && echo GPU 1: b\n")
    listing.chmod(0o755)
    return re.sub(r"^    ", "", loop[0], flags=re.M), environment


def test_a_process_for_each_gpu_together_are_one_run(two_gpus, tmp_path):
    loop, environment = two_gpus
    score = tmp_path / "tools" / "score"
    score.write_text(score.read_text().replace("#!/bin/sh\n", '#!/bin/sh\necho "$CUDA_VISIBLE_DEVICES $*" >> seen\n'))
    done = run(["bash", "-ec", loop], environment, tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted((tmp_path / "seen").read_text().splitlines()) == [
        f"{gpu - 1} examples/reviews.jsonl -o scores-{gpu}.csv --shard {gpu}/2" for gpu in (1, 2)
    ]
    whole = run([score, "examples/reviews.jsonl", "-o", "whole.csv"], environment, tmp_path)
    assert whole.returncode == 3  # a record without a text
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    rejects = [(tmp_path / f"{name}.csv.rejects.jsonl").read_bytes() for name in ("scores-1", "scores-2", "whole")]
    assert rejects[0] + rejects[1] == rejects[2]


def test_without_the_shard_of_one_gpu_nothing_is_joined(two_gpus, tmp_path):
    loop, environment = two_gpus
    score = tmp_path / "tools" / "score"
    real = score.read_text()
    score.write_text(real.replace("exec", 'case "$*" in *2/2) exit 1;; esac\nexec'))
    done = run(["bash", "-ec", f'{loop}\necho "failed:$failed"'], environment, tmp_path)
    assert done.stdout == "failed: 2\n"
    assert (tmp_path / "scores-1.csv").exists()
    assert not (tmp_path / "scores.csv").exists()
