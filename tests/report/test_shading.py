"""Shaded texts: amounts of words become spans whose text is the whole text, and HTML that harms nothing."""

import re
from html.parser import HTMLParser
from math import fsum

import jinja2
import pytest

from scorer.model.explanation import Contribution
from scorer.model.offsets import Characters
from scorer.report.page import _environment
from scorer.report.shading import Span, spans

TEXT = "not good, so <b>good</b> & \u202egood"


def word(text, amount):
    places = [Characters(*found.span()) for found in re.finditer(re.escape(text), TEXT)]
    return Contribution(text, tuple(places), amount)


@pytest.mark.parametrize(
    "words",
    [[], [word("good", 0.5)], [word("good", 0.5), word("not good", -1.25), word("good,", 0.125), word("so", 0.01)]],
)
def test_the_spans_are_the_text_and_their_amounts_those_of_the_words(words):
    found = spans(TEXT, words)
    assert "".join(span.text for span in found) == TEXT
    assert fsum(span.amount for span in found) == pytest.approx(fsum(one.amount for one in words))
    assert all(0 <= span.strength <= 1 for span in found)


def test_small_amounts_have_weak_shades_and_the_smallest_have_none():
    strengths = {span.text: span.strength for span in spans(TEXT, [word("so", 0.1), word("not", 0.01)])}
    assert strengths["so"] == 0.4
    assert strengths["not"] == 0
    assert max(span.strength for span in spans(TEXT, [word("so", 7.0), word("not", -3.5)])) == 1


def test_an_empty_text_has_no_spans():
    assert spans("", []) == []


class Marks(HTMLParser):
    """Texts inside and outside of marks, with the attributes of the marks."""

    def __init__(self, html):
        super().__init__()
        self.text, self.marks, self.others = "", [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        (self.marks if tag == "mark" else self.others).append(dict(attributes))

    def handle_data(self, data):
        self.text += data


def drawn(found, label):
    template = _environment().from_string('{% from "shading.html" import shaded %}{{ shaded(found, label) }}')
    return Marks(template.render(found=found, label=label))


def test_marks_have_a_sign_a_strength_and_a_figure_and_nothing_else_is_markup():
    page = drawn(spans(TEXT, [word("good", 0.5), word("so", -0.25), word("<b>", 0.75)]), 'a "label"')
    assert page.others == []
    assert page.text.replace("\\u202e", "\u202e") == TEXT
    assert page.marks[0] == {"class": "for", "style": "--strength: 0.22", "title": '+0.17 for a "label"'}
    assert page.marks[1] == {
        "class": "against",
        "style": "--strength: 0.33",
        "title": '\N{MINUS SIGN}0.25 for a "label"',
    }
    assert drawn([Span("x", 1.0, 1.0)], "").marks == [{"class": "for", "style": "--strength: 1.0", "title": "+1.00"}]


def test_the_macro_adds_no_blank():
    assert drawn([Span("go", 1.0, 1.0), Span("od", 0.0, 0.0), Span(" x", 0.0, 0.0)], "a").text == "good x"


def test_undefined_values_are_errors():
    with pytest.raises(jinja2.UndefinedError):
        _environment().from_string('{% from "shading.html" import shaded %}{{ shaded(nothing, "") }}').render()
