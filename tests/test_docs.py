"""README and docs: what they link to, list and mention exists; test_snippets.py runs their commands."""

import ast
import csv
import json
import re

import click
import pytest
from factories import ROOT

from export.cli.score_model import command as score_model
from scorer.cli.score import command as score
from scorer.cli.score_ray import command as score_ray
from scorer.rows.record import Reason

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/*.md")))
COMMANDS: dict[str, click.Command] = {"score": score, "score-ray": score_ray, **score_model.commands}

# Options of other programs that the docs mention.
FOREIGN = {
    "--array", "--mail-type", "--break-system-packages", "--collect-only", "--no-deps", "--rm", "--dry-run", "--seconds", "--rows", "--rounds",
}  # fmt: skip


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(text):
    """Anchors of a page's headings, as GitHub makes them.

    >>> anchors("# The `id`, and more\\n")
    {'the-id-and-more'}
    """
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_files_and_headings_that_a_page_links_to_exist(path):
    for place, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", path.read_text(encoding="utf-8")):
        target = path.parent / place if place else path
        assert target.exists(), f"{path.name}: {place}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{path.name}: {place}#{anchor}"


def test_the_start_page_and_the_readme_lead_to_every_page():
    start = page("docs/README.md")
    for path in (*ROOT.glob("docs/*.md"), ROOT / "docs" / "recipes" / "README.md"):
        name = str(path.relative_to(ROOT / "docs"))
        assert name == "README.md" or f"]({name})" in start, name
    assert "](docs/README.md)" in README


def test_the_readme_is_one_page():
    assert len(README.splitlines()) <= 130


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_options_that_a_page_mentions_exist(path):
    known = {
        option
        for command in COMMANDS.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    mentioned = re.findall(
        r"(?<![\w-])--[a-z][a-z-]*", " ".join(re.findall(r"`[^`\n]*`", path.read_text(encoding="utf-8")))
    )
    if path.name != "CHANGELOG.md":  # which has those that are gone
        assert set(mentioned) <= known | FOREIGN


def test_the_picture_of_a_terminal_loads_nothing_and_shows_a_run_that_is_resumed():
    picture = (ROOT / "docs" / "terminal.svg").read_text(encoding="utf-8")
    assert "docs/terminal.svg" in README
    assert not re.search(r"href|url\(|<script", picture)
    for words in ("$ score reviews.jsonl", "rows/s", "left", "Resuming at row", "rows scored"):
        assert words in picture


def test_every_option_of_score_and_score_model_is_explained():
    for name, command in COMMANDS.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts[0]}"


def test_every_reason_for_a_reject_is_explained():
    for reason in Reason.__args__:
        assert f"`{reason}`" in page("docs/SCORING.md")


def test_the_messages_that_troubleshooting_quotes_exist():
    strings = "\n".join(
        node.value
        for package in ("scorer", "export")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    symptoms = re.findall(r"^\| (?!message or symptom)([^|]*) \|", page("docs/TROUBLESHOOTING.md"), flags=re.MULTILINE)
    quoted = [words for one in symptoms if "(from " not in one for words in re.findall(r"`([^`]*)`", one)]
    assert len(quoted) > 15
    for words in quoted:
        assert words in strings or words.startswith(".out.csv"), words


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
