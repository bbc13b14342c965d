"""The made-up reviews that turn on a negation, and how far the test texts are from the training texts."""

import csv
import itertools
import re
import runpy
import subprocess
import sys
from types import SimpleNamespace

import pytest
from factories import ROOT

EXAMPLES = ROOT / "examples"
RUN = 4  # words in a row that no two templates of different splits share


@pytest.fixture(scope="module")
def negation():
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / "negation.py")))


def read(name):
    with open(EXAMPLES / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def runs(templates):
    """Return the runs of words between the slots of templates."""
    forms = [form for by_label in templates.values() for some in by_label.values() for form in some]
    between = [part for form in forms for part in re.split(r"\{\w+\}|.*\|", form.lower())]
    words = [re.findall(r"[\w'-]+", part) for part in between]
    return {tuple(one[start : start + RUN]) for one in words for start in range(len(one) - RUN + 1)}


def fillers(things, shared):
    for thing in things.values():
        parts = ((part.name, *part.good, *part.bad) for part in thing.parts)
        own = (thing.items, thing.good, thing.bad, thing.prizes, thing.duds, thing.joys, thing.flaws, thing.verb)
        yield from itertools.chain(*own, thing.neutral, *parts)
    yield from itertools.chain(*shared.values())


def test_the_files_are_what_the_generator_makes(tmp_path):
    subprocess.run([sys.executable, EXAMPLES / "negation.py", "--folder", tmp_path], check=True)
    for name in ("negation-train.csv", "negation-test.csv"):
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes(), f"python examples/negation.py: {name}"


@pytest.mark.parametrize(("name", "rows"), [("negation-train.csv", 4_000), ("negation-test.csv", 800)])
def test_half_of_the_texts_are_positive_and_none_comes_twice(name, rows):
    found = read(name)
    assert len({row["text"].lower() for row in found}) == len(found) == rows
    assert sum(row["label"] == "1" for row in found) == sum(row["label"] == "0" for row in found) == rows / 2
    assert {row["domain"] for row in found} == {"negation"}
    assert not [row["text"] for row in found if "{" in row["text"] or "  " in row["text"]]


def test_no_test_text_has_a_construction_or_a_filler_of_a_training_text(negation):
    assert not set(negation.TRAIN_TEMPLATES) & set(negation.TEST_TEMPLATES)
    assert not runs(negation.TRAIN_TEMPLATES) & runs(negation.TEST_TEMPLATES)
    train = set(fillers(negation.TRAIN_THINGS, negation.TRAIN_WORDS))
    test = set(fillers(negation.TEST_THINGS, negation.TEST_WORDS))
    assert not train & test
    assert len(train) > 250
    assert len(test) > 250


def test_no_text_is_one_of_the_probes():
    probes = {re.sub(r"\W", "", row["text"]).lower() for row in read("probes.csv")}
    for name in ("negation-train.csv", "negation-test.csv"):
        assert not [row["text"] for row in read(name) if re.sub(r"\W", "", row["text"]).lower() in probes]


def test_words_that_only_one_label_has_are_no_part_of_the_test_texts(negation):
    """The adjectives give no label away: each is as often in texts of either label, within chance."""
    texts = read("negation-test.csv")
    for kind in ("TEST_GOOD", "TEST_BAD"):
        by_label = [
            sum(
                any(word in row["text"].lower() for word in getattr(negation, kind))
                for row in texts
                if row["label"] == one
            )
            for one in "01"
        ]
        assert max(by_label) < 2 * min(by_label), f"{kind}: {by_label}"


def test_an_emoji_fits_the_label(negation):
    texts = read("negation-train.csv")
    for row in texts:
        other = negation.FROWNS if row["label"] == "1" else negation.SMILES
        assert not [emoji for emoji in other if emoji in row["text"]], row["text"]
    assert not set(negation.SMILES) & set(negation.FROWNS)
    used = {emoji for emoji in (*negation.SMILES, *negation.FROWNS) if any(emoji in row["text"] for row in texts)}
    assert len(used) >= 100
