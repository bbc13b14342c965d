"""Completions of bash, asked for by its own function and by keys in a terminal."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time

import pytest
from factories import ROOT


def bash_that_can_do_it():
    if shutil.which("bash") is None:
        return False
    version = subprocess.run(["bash", "-c", "echo ${BASH_VERSINFO[@]:0:2}"], capture_output=True, text=True, check=True)
    return tuple(map(int, version.stdout.split())) >= (
        4,
        4,
    )  # macOS has 3.2, which the script of click does not support


pytestmark = pytest.mark.skipif(not bash_that_can_do_it(), reason="needs bash 4.4 or newer")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my reviews.jsonl").touch()
    (tmp_path / "models").mkdir()
    (tmp_path / "models.csv").touch()
    (tmp_path / "score.toml").write_text("an error in this file must not prevent completion")
    (tmp_path / "bin").mkdir()
    for name, module in {"score": "scorer.cli.score", "score-model": "export.cli.score_model"}.items():
        script = tmp_path / "bin" / name  # like an installed command: a process of its own, found on the PATH
        script.write_text(f"#!{sys.executable}\nfrom {module} import main\nmain()\n")
        script.chmod(0o755)
    return tmp_path


@pytest.fixture
def environment(folder):
    found = {name: value for name, value in os.environ.items() if not name.startswith("SCORE_")}
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**found, "PATH": path, "PYTHONPATH": str(ROOT), "TERM": "dumb", "INPUTRC": "/dev/null", "PS1": "$ "}


def completions(folder, environment, *words):
    """Replies of the function of the sourced script to the words of a line, as bash splits it, with quotes."""
    program = words[0]
    variable, function = f"_{program.replace('-', '_')}", f"_{program.replace('-', '_')}_completion"
    # Without a terminal compopt fails, since bash completes nothing. This one prints its arguments.
    script = f"""
        compopt() {{ echo "compopt $1 $2"; }}
        source <({variable.upper()}_COMPLETE=bash_source {program})
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        {function} {program}
        printf '%s\\n' "${{COMPREPLY[@]}}"
        complete -p {program} >&2
    """
    run = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        cwd=folder, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stderr == f"complete -o nosort -F {function} {program}\n"
    return run.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--pro"], ["--provider"]),
        (["--max-rej"], ["--max-rejects", "--max-reject-ratio"]),
        ([r"my\ reviews.jsonl", "--provider", "c"], ["cpu", "cuda"]),
        (["--config", "score.toml", "--provider", "cu"], ["cuda"]),
        (["my"], ["compopt -o default", ""]),  # bash itself completes files
        (["-o", "my"], ["compopt -o default", ""]),
        (["--rejects", "my"], ["compopt -o default", ""]),
        (["--config", "sc"], ["compopt -o default", ""]),
        (["--model", "mo"], ["compopt -o dirnames", ""]),
    ],
)
def test_bash_completes_options_choices_files_and_folders(folder, environment, words, found):
    assert completions(folder, environment, "score", *words) == found


def test_bash_completes_score_model_too(folder, environment):
    assert completions(folder, environment, "score-model", "ev") == ["evaluate"]
    assert completions(folder, environment, "score-model", "train", "--trunc") == ["--truncation"]


def test_a_tab_in_a_terminal_completes_a_file_name_a_folder_and_a_choice(folder, environment):
    here, there = pty.openpty()
    bash = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        cwd=folder, env=environment, stdin=there, stdout=there, stderr=there, start_new_session=True,
    )  # fmt: skip
    os.close(there)

    def typed(keys, expected):
        os.write(here, keys.encode())
        seen, end = "", time.monotonic() + 30
        while expected not in seen and time.monotonic() < end:
            if select.select([here], [], [], 0.2)[0]:
                seen += os.read(here, 4096).decode()
        assert expected in seen

    clear = "\x15"  # Ctrl-U
    try:
        typed('eval "$(_SCORE_COMPLETE=bash_source score)"; echo rea""dy\n', "\nready")
        typed("score my\t", "score my\\ reviews.jsonl ")
        typed(f"{clear}score --model mo\t", "--model models/")  # not models.csv
        typed(f"{clear}score -o a --prov\t", "--provider ")
        typed("cu\t", "cuda ")
    finally:
        bash.kill()
        bash.wait()
        os.close(here)


def test_the_script_and_the_completions_come_from_a_process_that_ends_well(folder, environment):
    for name, more, expected in (
        ("bash_source", {}, "complete -o nosort -F _score_completion score"),
        ("bash_complete", {"COMP_WORDS": "score --pro", "COMP_CWORD": "1"}, "plain,--provider\n"),
        ("zsh_source", {}, "#compdef score\n"),
    ):
        for program in (["score"], [sys.executable, "-m", "scorer"]):  # both are named score
            run = subprocess.run(
                program,
                cwd=folder, env={**environment, "_SCORE_COMPLETE": name, **more}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (run.returncode, run.stderr) == (0, "")
            assert expected in run.stdout
