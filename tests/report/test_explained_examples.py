"""The page of a run shades the words of the wide part, and shows the sentences of rows that --explain asked for."""

import json
import re

import pytest
from factories import as_regression, make_bundle, reviews
from test_run_page import HOSTILE, Page

from export.classifier.settings import WideSettings
from scorer.model.explanation import Contribution, Explanation
from scorer.model.interpretation import SingleLabel
from scorer.model.offsets import Characters
from scorer.report.explained_examples import explained_examples
from scorer.report.nearest import Nearest, NearRow
from scorer.rows.record import Position, Record

TEXTS = [f"The {text} film. It was so, and so {row}." for row, text in enumerate(reviews(30, 2, 5).texts)]


@pytest.fixture
def page(score, tmp_path):
    """Score texts and parse the page; also return the rows that were explained."""

    def run(bundle, texts, *options):
        records = [{"id": f"n{row}", "text": text} for row, text in enumerate(texts, start=1)]
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        command = (tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--report", tmp_path / "run.html")
        result = score(*command, "--model", bundle.path, "--no-cascade", *options)
        assert result.code == 0, result.err
        explained = tmp_path / "out.jsonl.explained.jsonl"
        rows = [json.loads(line) for line in explained.read_text().splitlines()] if explained.exists() else []
        return Page((tmp_path / "run.html").read_text()), rows

    return run


def marks(page):
    return [attributes for tag, attributes in page.elements if tag == "mark"]


def test_words_are_shaded_if_and_only_if_the_bundle_has_a_wide_part(page, staged_bundle, bundle):
    with_it, _ = page(staged_bundle, TEXTS)
    found = [one["title"] for one in marks(with_it) if "title" in one]
    assert found
    assert {title.split(" for ")[1] for title in found} == {"negative", "positive"}
    assert "Words are shaded by what the model's wide part, a sum over words, adds for the row's label" in with_it.text
    without, _ = page(bundle, TEXTS)
    assert marks(without) == []
    assert "Words are shaded" not in without.text


def test_shaded_texts_stay_text(page, staged_bundle):
    found, _ = page(staged_bundle, HOSTILE, "--explain", "6")
    assert len(found.scripts) == 4
    assert "img" not in {tag for tag, _ in found.elements}
    assert "window.harmed" in found.text
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)


def test_values_are_shaded_without_a_label(page, encoder, tmp_path):
    two = make_bundle(encoder("bert"), tmp_path / "wide", wide=WideSettings(pairs=512), precisions=("fp32",))
    found, _ = page(as_regression(two, tmp_path / "stars"), TEXTS)
    titles = [one["title"] for one in marks(found) if "title" in one]
    assert titles
    assert not any(" for " in title for title in titles)
    assert "adds to the value" in found.text


def test_explained_rows_have_their_sentences_and_sums(page, staged_bundle):
    plain, _ = page(staged_bundle, TEXTS)
    assert "another label, explained" not in plain.text
    found, rows = page(staged_bundle, TEXTS, "--explain", "3")
    shown = found.text.replace("\N{MINUS SIGN}", "-")
    assert "All explained rows are in" in shown
    for row in rows:
        one = row["explanation"]
        assert (
            f"{one['label']} {one['margin']:+.2f} ahead of {one['against']} row {row['row']} · id {row['id']}" in shown
        )
        for sentence in one["sentences"]:
            assert f"{sentence['amount']:+.2f} {sentence['text'][:3]}" in shown
        assert f"encoder {one['encoder']:+.2f}" in shown
    # Each row is shown once, explained or not.
    assert all(shown.count(f"id {row['id']}") == 1 for row in rows)
    assert shown.index("Nearest to another label, explained") < shown.index("Next nearest to another label")


def test_a_label_that_a_threshold_chose_is_behind_the_other_and_an_uncertain_row_is_called_so(page, staged_bundle):
    found, rows = page(staged_bundle, TEXTS, "--explain", "3", "--threshold", "0.9999")
    one = rows[0]["explanation"]
    assert one["margin"] < 0
    assert f"{one['label']} {one['margin']:+.2f} behind {one['against']}" in found.text.replace("\N{MINUS SIGN}", "-")
    found, rows = page(staged_bundle, TEXTS, "--explain", "3", "--uncertain", "0.0001,0.9999")
    assert {row["label"] for row in rows} == {"uncertain", "positive"}
    for row in rows:
        label = row["explanation"]["label"]
        shown = f"uncertain, rather {label} +" if row["label"] == "uncertain" else f" {label} +"
        assert re.search(rf"{re.escape(shown)}[\d.]+ ahead of \w+ row {row['row']} ", found.text)


INTERPRETATION = SingleLabel(("a", "b"))


def nearest_of(text):
    outcome = ([0.1], False, 1, 1, 9, 0, False, False, False)
    record = Record(7, text, ("R7",), Position("a.csv", 8, 0), b"", 9)
    return Nearest(1, [NearRow(0.1, 7, outcome)], {7: record})


def test_of_many_sentences_the_largest_are_shown_in_order_and_long_ones_are_cut():
    text = "".join(f"{row:03} {'x' * (500 if row == 3 else 5)}." for row in range(12))
    begins = [text.index(f"{row:03} ") for row in range(12)]
    places = [Characters(begin, end) for begin, end in zip(begins, [*begins[1:], len(text)], strict=True)]
    sentences = tuple(
        Contribution(text[slice(*place)], (place,), (-1) ** row * row / 10) for row, place in enumerate(places)
    )
    word = Contribution("005", (Characters(begins[5], begins[5] + 3),), 0.5)
    explanation = Explanation("a", "b", 1.0, (word,), 0.25, 0.5, -0.25, sentences)
    [one] = explained_examples(nearest_of(text), {7: explanation}, INTERPRETATION, 0)
    assert (one.row, one.id, one.source, one.words, one.more) == (7, "R7", "a.csv", 0.75, 4)
    assert [sentence.amount for sentence in one.sentences] == [(-1) ** row * row / 10 for row in range(4, 12)]
    assert ["".join(span.text for span in sentence.spans)[:3] for sentence in one.sentences] == [
        f"{row:03}" for row in range(4, 12)
    ]
    assert [span for span in one.sentences[1].spans if span.strength] == [("005", 0.5, 1.0)]
    undivided = Explanation("a", None, 1.0, (), 0.0, None, 0.0)
    [whole] = explained_examples(nearest_of(text), {7: undivided}, INTERPRETATION, None)
    [sentence] = whole.sentences
    assert (sentence.amount, sentence.is_cut, whole.id) == (None, True, None)
    assert sum(len(span.text) for span in sentence.spans) == 400
    assert explained_examples(nearest_of(text), {}, INTERPRETATION, None) == []
