"""The help of every command, the short usage on a terminal, and the pointer to the help after an error of usage."""

import os
import pty
import re
import shlex
import subprocess
import sys

import click
import pytest
from factories import ROOT

from export.cli.score_model import command as score_model
from scorer.cli.help import OTHER, Option, group, option
from scorer.cli.program import Command
from scorer.cli.score import command as score
from scorer.cli.score_ray import command as score_ray

PROGRAMS = {"score": score, "score-ray": score_ray, "score-model": score_model}
COMMANDS = PROGRAMS | {f"score-model {name}": one for name, one in score_model.commands.items()}
OPTIONS = [(name, one) for name, command in COMMANDS.items() for one in command.params if isinstance(one, click.Option)]

GROUPS = {
    "score": ["Input", "Output", "Model and labels", "Rejects and limits", "Speed", "GPU", "Reports and messages", "Forecast",
              OTHER],
    "score-ray": ["Input", "Output", "Model and labels", "Rejects and limits", "Cluster", "Speed", "GPU",
                  "Reports and messages", OTHER],
    "score-model": [OTHER],
    "score-model train": ["Data", "Reading files", "Columns and labels", "Task", "Encoder", "Head", "Wide part", "Cascade",
                          "Fine-tuning", "Bundle", "Run", OTHER],
    "score-model import": ["Model", "Labels", "Texts", "Reading files", "Bundle", "Run", OTHER],
    "score-model cascade": ["Data of the training", "Reading files", "Columns and labels", "Cascade", "New bundle", "Run",
                            OTHER],
    "score-model check-labels": ["Output", "Reading files", "Columns and labels", "Check", OTHER],
    "score-model confidence": ["Data", "Reading files", "Columns and labels", "New bundle", "Speed", "Other"],
    "score-model evaluate": ["Data", "Reading files", "Columns and labels", "Baseline", "Output", "Speed", OTHER],
    "score-model parity": ["Data", "Reading files", "Encoder", "Run", OTHER],
    "score-model compare": ["Comparison", "Rows that flipped or moved most", "Output", OTHER],
    "score-model verify": ["Run", "Sample", "Speed", OTHER],
    "score-model history": ["Result", "Output", OTHER],
}  # fmt: skip


def help_of(name, width=80):
    """The help of a command on a terminal of this width."""
    parent = click.Context(score_model, info_name="score-model") if name.startswith("score-model ") else None
    last = name.split()[-1]
    context = click.Context(COMMANDS[name], parent=parent, info_name=last, terminal_width=min(width, 80) - 2)
    return context.get_help()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_a_command_are_in_titled_groups(name):
    lines = help_of(name).splitlines()
    titles = [line.removesuffix(":") for line in lines if re.fullmatch(r"[A-Z][^.]*:", line) and line != "Commands:"]
    assert titles == GROUPS[name]


@pytest.mark.parametrize(("name", "one"), OPTIONS, ids=lambda value: getattr(value, "name", value))
def test_every_option_has_a_group_and_one_plain_sentence(name, one):
    assert isinstance(one, Option)
    assert one.group in GROUPS[name]
    assert re.fullmatch(r"[A-Z].*\.", one.help), one.help
    assert not re.search(r"[.;!?] +[A-Z]|\bdefault\b", one.help), one.help  # a default stands in brackets behind it


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_fits_80_columns_and_breaks_no_name_of_an_option(name):
    lines = help_of(name).splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines if re.search(r" --?[a-z-]*-$", line)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_fit_a_narrower_terminal_but_for_a_list_of_choices(name):
    options = help_of(name, 60).partition(f"\n{GROUPS[name][0]}:\n")[2]
    assert [line for line in options.splitlines() if len(line) > 60 and "|" not in line] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_leads_with_examples_of_options_that_exist(name):
    text = COMMANDS[name].help
    first, rest = text.split("\n\n")[:2]
    assert first.count("\n") == 0
    assert rest.startswith("\b\nExamples:\n")
    examples = rest.replace("\\\n", " ").splitlines()[2:]
    assert 2 <= len(examples) <= 10
    for line in examples:
        words = shlex.split(line.split("  # ")[0].split("| ")[-1])
        command = PROGRAMS[words[0]]
        if isinstance(command, click.Group):
            command = command.commands[words[1]]
        known = {each for parameter in command.params for each in parameter.opts}
        assert {word for word in words if re.match(r"--?[a-z]", word)} <= known, line


def test_a_default_in_words_has_no_parentheses_of_its_own():
    assert "[default: every usable core; x>=1]" in " ".join(help_of("score").split())


def test_options_of_one_title_are_printed_together_and_the_last_group_is_other():
    @click.command(cls=Command)
    @group(OTHER, option("--z", help="Z."))
    @group("One", option("--a", help="A."))
    @group("Two", option("--b", help="B."))
    @group("One", option("--c", help="C."))
    def command() -> None:
        pass

    text = click.Context(command).get_help()
    assert re.findall(r"^\w+:$|--[a-z]+", text, flags=re.MULTILINE) == [
        "One:", "--a", "--c", "Two:", "--b", "Other:", "--z", "--help",
    ]  # fmt: skip


def started(program, *arguments, terminal, **environment):
    """Exit code, stdout and stderr of a program, whose stdin is a terminal or empty."""
    module = {"score": "scorer.cli.score", "score-ray": "scorer.cli.score_ray", "score-model": "export.cli.score_model"}
    here, there = pty.openpty()
    try:
        run = subprocess.run(
            [sys.executable, "-c", f"from {module[program]} import main; main()", *arguments],
            env={name: value for name, value in os.environ.items() if not name.startswith("SCORE_")}
            | {"PYTHONPATH": str(ROOT), **environment},
            stdin=there if terminal else subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        os.close(here)
        os.close(there)
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize("program", ["score", "score-ray"])
def test_without_arguments_on_a_terminal_a_short_usage_is_printed(program):
    code, out, err = started(program, terminal=True)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[0] == f"Usage: {program} [OPTIONS] INPUT..."
    assert [line.split()[0] for line in lines[2:5]] == [program] * 3
    assert lines[5:] == ["", f"Try '{program} --help' for all options."]


def test_a_subcommand_that_lacks_arguments_has_a_short_usage_on_a_terminal():
    code, out, err = started("score-model", "train", terminal=True)
    assert (code, out) == (2, "")
    assert err.startswith(
        "Usage: score-model train [OPTIONS]\n\n  score-model train -o models/own --train-file labelled.csv\n"
    )
    assert err.endswith("\nTry 'score-model train --help' for all options.\n")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("score", "name an input, for instance: score reviews.jsonl -o out.csv\n"),
        ("score-ray", "Missing option '-o' / '--output'.\nTry 'score-ray --help'.\n"),
    ],
)
def test_without_arguments_off_a_terminal_the_error_is_printed(program, message):
    assert started(program, terminal=False) == (2, "", f"Error: {message}")


@pytest.mark.parametrize(
    ("program", "arguments", "environment", "message"),
    [
        ("score", ["-o", "out.csv"], {}, "name an input, "),
        ("score-ray", ["-o", "out"], {}, "name an input, "),
        ("score-model", ["parity"], {"SCORE_MODEL_PARITY_DATA": "in.csv"}, None),
        ("score-model", ["parity", "none"], {}, "Missing option '--data'."),
    ],
)
def test_with_arguments_the_error_is_printed_on_a_terminal_as_well(program, arguments, environment, message):
    code, _, err = started(program, *arguments, terminal=True, **environment)
    assert code == 2
    assert err.startswith(f"Error: {message}" if message else "Usage: ")


def test_a_check_that_the_environment_asks_for_needs_no_arguments_on_a_terminal():
    code, out, _ = started("score", terminal=True, SCORE_CHECK="1", SCORE_MODEL="none")
    assert code == 5
    assert out.startswith("review-scorer ")


def test_score_model_without_a_command_prints_its_help():
    for terminal in (True, False):
        code, out, err = started("score-model", terminal=terminal)
        assert (code, out) == (2, "")
        assert err.startswith("Usage: score-model [OPTIONS] COMMAND")
        commands = err.split("\nCommands:\n")[1].split("\n\n")[0]
        assert re.findall(r"^  (\S+)", commands, flags=re.MULTILINE) == list(score_model.commands)
        assert "..." not in commands


@pytest.mark.parametrize(
    ("program", "arguments", "first", "hint"),
    [
        ("score", ["--modle", "x"], "No such option", "score"),
        ("score", ["--threshold", "7"], "Invalid value for '--threshold'", "score"),
        ("score-ray", ["--outptu"], "No such option", "score-ray"),
        ("score-model", ["trian"], "No such command 'trian'.", "score-model"),
        ("score-model", ["train", "--encodre", "x"], "No such option", "score-model train"),
    ],
)
def test_an_error_of_usage_ends_with_a_pointer_to_the_help(program, arguments, first, hint):
    code, out, err = started(program, *arguments, terminal=False)
    assert (code, out) == (2, "")
    error, last = err.splitlines()
    assert error.startswith(f"Error: {first}")
    assert last == f"Try '{hint} --help'."
