"""The README says what is there, and what it says works."""

import csv
import json
import re
import shlex

import click
import pytest
from factories import ROOT

from export.cli.score_model import command as score_model
from scorer.cli.score import command as score
from scorer.cli.score_ray import command as score_ray
from scorer.rows.record import Reason

README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands():
    """Every `score`, `score-model` and `score-ray` line of the README's code blocks."""
    text = README.replace("\\\n", " ")
    for line in re.findall(r"^    (?:.*\| )?(score(?:-model|-ray)? [^>#\n]*)", text, flags=re.MULTILINE):
        yield line.strip()


@pytest.mark.parametrize("line", list(commands()))
def test_every_command_line_of_the_readme_has_options_that_exist(line):
    words = shlex.split(line)
    command: click.Command = {"score": score, "score-ray": score_ray, "score-model": score_model}[words[0]]
    if isinstance(command, click.Group):
        command = command.commands[words[1]]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if re.match(r"--?[a-z]", word)} <= known


def test_what_the_readme_and_the_docs_link_to_is_there():
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for place in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / place).exists(), f"{path.name}: {place}"


def test_the_picture_of_a_terminal_loads_nothing_and_shows_a_run_that_is_resumed():
    picture = (ROOT / "docs" / "terminal.svg").read_text(encoding="utf-8")
    assert "docs/terminal.svg" in README
    assert not re.search(r"href|url\(|<script", picture)
    for words in ("$ score reviews.jsonl", "rows/s", "left", "Resuming at row", "rows scored"):
        assert words in picture


def test_every_option_of_score_and_score_model_is_explained():
    for name, command in {"score": score, "score-ray": score_ray, **score_model.commands}.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts[0]}"


def test_every_reason_for_a_reject_is_in_the_readme():
    for reason in Reason.__args__:
        assert f"`{reason}`" in README


def test_nothing_is_left_to_be_filled_in():
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        assert "@@" not in path.read_text(encoding="utf-8")


def test_the_examples_are_valid_and_the_same(score, tmp_path):
    jsonl, csv = ROOT / "examples" / "reviews.jsonl", ROOT / "examples" / "reviews.csv"
    assert len([json.loads(line) for line in jsonl.read_text(encoding="utf-8").splitlines()]) == 20
    for path in (jsonl, csv):
        assert score(path, "-o", tmp_path / f"{path.name}.csv", "--model", ROOT / "models" / "default").code == 0
    assert (tmp_path / "reviews.jsonl.csv").read_bytes() == (tmp_path / "reviews.csv.csv").read_bytes()


@pytest.mark.parametrize("package", ["scorer", "export"])
def test_the_rooms_and_modules_that_the_docs_list_are_those_there_are(package):
    assert "docs/DEVELOPING.md" in README
    text = (ROOT / "docs" / "DEVELOPING.md").read_text(encoding="utf-8")
    table = text.split(f"| {package}/ | purpose | modules |")[1].split("\n\n")[0]
    listed = {}
    for room, _, modules in re.findall(r"^\| (\S+) \| (.*?) \| (.*) \|$", table, flags=re.MULTILINE):
        names = re.sub(r"\([^)]*\)", "", modules).split(";")[0]
        listed[room] = {name.strip() for one in names.split(",") for name in one.split(" and ")}
    there = {}
    for path in (ROOT / package).glob("*/*.py"):
        there.setdefault(path.parent.name, set()).add(path.stem)
    there["(root)"] = {path.stem for path in (ROOT / package).glob("*.py")} - {"__main__"}
    there = {room: names - {"__init__"} for room, names in there.items() if names - {"__init__"}}
    assert listed == there


def test_the_probes_are_labelled_as_the_default_model_labels():
    with open(ROOT / "examples" / "probes.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"negative", "positive"}
    assert len({row["text"] for row in rows}) == len(rows) == 63
    assert all(row["kind"] for row in rows)
