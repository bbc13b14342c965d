"""The made-up reviews that turn on a negation, and how far the test texts are from the training texts."""

import collections
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
RUN = 4  # words in a row that no template of a held-out construction shares with a training template
TRAIN_ONLY = "emoji alone"  # would give the label away
FILLERS = {
    *("a", "an", "the", "this", "it", "is", "was", "very", "so", "that", "really", "honestly", "definitely"),
    *("{part}", "{item}", "{it}", "{them}", "{is}", "{was}", "{very}", "{atall}"),
}


@pytest.fixture(scope="module")
def negation():
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / "negation.py")))


def read(name):
    with open(EXAMPLES / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def skeleton(form):
    """Return the words and slots of a template without fillers and punctuation; those of either label look the same."""
    form = re.sub(r"\{(\w+?)2\}", r"{\1}", form.rpartition("|")[2].lower())
    form = re.sub(r"\{[pl]?(good|bad)\}", "{adjective}", form)
    form = re.sub(r"\{(prize|dud)\}", "{name}", re.sub(r"\{(joy|flaw)\}", "{moment}", form))
    return tuple(word for word in re.findall(r"\{\w+\}|[\w'-]+", form) if word not in FILLERS)


def forms(constructions, side):
    """Return the templates of either label for a file."""
    return [form for one in constructions for pair in getattr(one, side) for form in pair]


def runs(some):
    """Return the runs of words between the slots of templates."""
    between = [part for form in some for part in re.split(r"\{\w+\}|.*\|", form.lower())]
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


@pytest.mark.parametrize(("name", "rows"), [("negation-train.csv", 12_000), ("negation-test.csv", 1_200)])
def test_half_of_the_texts_are_positive_and_none_comes_twice(name, rows):
    found = read(name)
    assert len({row["text"].lower() for row in found}) == len(found) == rows
    assert sum(row["label"] == "1" for row in found) == sum(row["label"] == "0" for row in found) == rows / 2
    assert {row["domain"] for row in found} == {"negation"}
    assert not [row["text"] for row in found if "{" in row["text"] or "  " in row["text"]]


@pytest.mark.parametrize("name", ["negation-train.csv", "negation-test.csv"])
def test_a_construction_has_as_many_texts_of_either_label(name):
    labels = collections.Counter((row["construction"], row["label"]) for row in read(name))
    assert not [one for one, _ in labels if labels[one, "0"] != labels[one, "1"]]


def test_no_template_is_in_both_files_nor_one_that_differs_in_punctuation_or_a_filler(negation):
    train, test = (
        {skeleton(form): form for form in forms(negation.TEMPLATES.values(), side)} for side in ("train", "test")
    )
    assert not [(train[one], test[one]) for one in train.keys() & test.keys()]


def test_a_quarter_of_the_templates_of_a_construction_are_held_out(negation):
    for name, one in negation.TEMPLATES.items():
        if one.held_out == "template" and name != TRAIN_ONLY:
            assert 0.15 <= len(one.test) / (len(one.train) + len(one.test)) <= 0.35, name
    assert len(forms(negation.TEMPLATES.values(), "train")) > 600
    assert len(forms(negation.TEMPLATES.values(), "test")) > 250


def test_eight_constructions_are_held_out_as_a_whole(negation):
    held_out = [one for one in negation.TEMPLATES.values() if one.held_out == "construction"]
    assert len(held_out) == 8
    assert not runs(forms(held_out, "test")) & runs(forms(negation.TEMPLATES.values(), "train"))


def test_the_column_held_out_names_the_unit_that_training_lacks():
    train, test = read("negation-train.csv"), read("negation-test.csv")
    assert list(train[0]) == ["text", "label", "domain", "construction"]
    assert list(test[0]) == ["text", "label", "domain", "construction", "held_out"]
    assert collections.Counter(row["held_out"] for row in test) == {"template": 800, "construction": 400}
    trained = {row["construction"] for row in train}
    for row in test:
        assert row["held_out"] == ("template" if row["construction"] in trained else "construction")
    assert trained - {row["construction"] for row in test} == {TRAIN_ONLY}


def test_no_test_text_has_a_filler_of_a_training_text(negation):
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
