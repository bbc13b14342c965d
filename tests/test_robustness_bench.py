"""bench/robustness.py: variants that a person reads as the same text, and accuracies of what `score` gives for them."""

import csv
import html
import importlib
import json
import os
import re
import subprocess
import sys
import unicodedata
from random import Random

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from factories import ROOT, reviews

from scorer import Scorer

TEXT = (
    'The hotel was "lovely" & quiet, although breakfast isn\'t cheap. We would come back! Rooms: 10 out of 10.<br /><br />'
    "Only the parking garage (on the 2nd floor) was somewhat narrow; otherwise everything worked without any problems."
)


@pytest.fixture
def variants(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("variants")


def test_a_variant_depends_on_text_and_seed_alone(variants):
    for name in variants.VARIANTS:
        assert variants.variant(name, TEXT, 1) == variants.variant(name, TEXT, 1) != TEXT, name
    assert variants.variant("typos", TEXT * 5, 1) != variants.variant("typos", TEXT * 5, 2)


def test_tags_and_entities_of_a_text_stay_as_they_are(variants):
    given = "Fine<br />and&nbsp;cheap &amp; <a href='somewhere'>friendly</a>"
    for name, change in variants.VARIANTS.items():
        for seed in range(20):
            found = change(given, Random(seed))
            for piece in ("<br />", "&nbsp;", "&amp;", "<a href='somewhere'>", "</a>"):
                assert piece in found, name


@pytest.mark.parametrize("seed", range(20))
def test_html_shows_the_words_of_the_text(variants, seed):
    found = variants.markup(TEXT, Random(seed))
    shown = html.unescape(re.sub("</?(b|i|em|strong)>", "", found))
    words = re.sub("<[^>]*>", " ", shown).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split()
    assert words == TEXT.replace("<br />", " ").split()


@pytest.mark.parametrize("seed", range(20))
def test_blanks_and_forms_of_letters_change_and_no_word_does(variants, seed):
    spaced = variants.white_space(TEXT, Random(seed))
    assert spaced.split() == TEXT.split()
    assert not re.search(r"\S \S", spaced.replace("<br />", ""))
    assert unicodedata.normalize("NFKC", variants.full_width(TEXT, Random(seed))) == TEXT
    without = re.sub("[\u200d\ufeff]", "", variants.zero_width(TEXT, Random(seed)))
    assert re.sub("[ \u200b]+", " ", without) == TEXT


def test_five_in_a_hundred_words_have_a_typo_of_one_letter(variants):
    words, changed = 0, 0
    for seed in range(200):
        found = variants.typos(TEXT, Random(seed)).split()
        pairs = list(zip(TEXT.split(), found, strict=True))
        words += len(pairs)
        for before, after in pairs:
            changed += before != after
            assert abs(len(before) - len(after)) <= 1
            assert before[0] == after[0]
    assert changed / words == pytest.approx(variants.TYPOS, abs=0.01)


def test_the_benchmark_of_robustness_gives_the_accuracies_of_variants(variants, bundle, tmp_path):
    one, other = reviews(40, 2, 1), reviews(20, 2, 2)
    table = {"text": one.texts, "label": one.labels, "domain": ["books"] * 10 + ["apps"] * 30}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "mixed.parquet")
    with open(tmp_path / "hotels.csv", "w", newline="") as file:
        names = np.array(["negative", "positive"])[other.labels]
        csv.writer(file).writerows([("text", "label"), *zip(other.texts, names, strict=True)])
    command = [sys.executable, ROOT / "bench" / "robustness.py", bundle.path, "--data", tmp_path / "mixed.parquet"]
    command += ["--data", tmp_path / "hotels.csv", "--domain-column", "domain", "--most", "25"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    found = report["bundles"][str(bundle.path)]
    assert {name: figures["texts"] for name, figures in found["by_domain"].items()} == {
        "apps": 25,
        "books": 10,
        "hotels": 20,
    }
    scorer = Scorer(bundle, provider="cpu")
    for name in ("plain", *variants.VARIANTS):
        texts = [text if name == "plain" else variants.variant(name, text, 0) for text in other.texts]
        right = scorer.score(texts).probabilities.argmax(axis=1) == other.labels
        assert found["by_domain"]["hotels"][name] == right.mean(), name
    lines = done.stdout.splitlines()
    assert lines[2].startswith("| domain | texts | plain | upper case | typos |")
    assert [line.split(" | ")[0] for line in lines[4:10]] == [
        "| apps", "| books", "| hotels", "| macro mean of 3 domains", "| all texts", "| 95% interval",
    ]  # fmt: skip
    hotels, plain = lines[6].strip("| ").split(" | "), found["by_domain"]["hotels"]["plain"]
    assert hotels[1:3] == ["20", f"{plain:.2%}"]
    assert hotels[4] == f"{100 * (found['by_domain']['hotels']['typos'] - plain):+.2f}"
