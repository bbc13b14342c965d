"""Explained rows for a page: the nearest ones, with shaded words and the amounts of their sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import NamedTuple

from scorer.base.text import shown_source
from scorer.model.decision import UNCERTAIN
from scorer.model.explanation import Explanation
from scorer.model.interpretation import Interpretation
from scorer.model.offsets import Characters
from scorer.report.examples import shown_id
from scorer.report.nearest import Nearest
from scorer.report.shading import Span, spans, within

_MOST = 8
_SENTENCES = 8
_CHARACTERS = 400


class Sentence(NamedTuple):
    """Sentence of an explained row.

    Attributes:
        amount: amount that the encoder's part loses without it; None if it is the whole text.
        spans: its text, or the beginning of it.
        is_cut: whether more text follows.
    """

    amount: float | None
    spans: Sequence[Span]
    is_cut: bool


@dataclass(frozen=True)
class ExplainedExample:
    """Explained row.

    Attributes:
        row: row number.
        id: its id; None if the rows have none.
        source: name of its input file.
        label: label that is weighed, and that the row is uncertain if it is.
        explanation: its explanation.
        words: amount of all words together.
        sentences: its sentences in order, those with the largest amounts if there are many.
        more: number of further sentences.
    """

    row: int
    id: str | None
    source: str
    label: str
    explanation: Explanation
    words: float
    sentences: Sequence[Sentence]
    more: int


def explained_examples(
    nearest: Nearest, explanations: Mapping[int, Explanation], interpretation: Interpretation | None, id_at: int | None
) -> list[ExplainedExample]:
    """Return the nearest rows that are explained.

    Args:
        nearest: rows with their records.
        explanations: explanations of all of these rows by row number; empty if none is explained.
        interpretation: meaning of the model's logits; None if no model was loaded.
        id_at: position of the id among the values that each record carries; None if they have none.
    """
    if interpretation is None or not explanations:
        return []
    answers = interpretation.answers(interpretation.values(nearest.outcomes.logits))
    found = []
    for row, answer in [*zip(nearest.rows, answers, strict=True)][:_MOST]:
        record, one = nearest.records[row.row], explanations[row.row]
        sentences = _sentences(record.text, one)
        found.append(
            ExplainedExample(
                row.row,
                shown_id(record, id_at),
                shown_source(record.position.source),
                f"{UNCERTAIN}, rather {one.label}" if answer == UNCERTAIN else one.label,
                one,
                fsum([one.other_words, *(word.amount for word in one.words)]),
                sentences,
                max(0, len(one.sentences) - len(sentences)),
            )
        )
    return found


def _sentences(text: str, explanation: Explanation) -> list[Sentence]:
    """Return the sentences to show; the whole text if it is not divided."""
    shaded = spans(text, explanation.words)
    largest = sorted(explanation.sentences, key=lambda one: -abs(one.amount))[:_SENTENCES]
    shown = sorted((one.places[0], one.amount) for one in largest)
    return [_sentence(shaded, place, amount) for place, amount in shown] or [
        _sentence(shaded, Characters(0, len(text)), None)
    ]


def _sentence(shaded: Sequence[Span], place: Characters, amount: float | None) -> Sentence:
    cut = Characters(place.begin, min(place.end, place.begin + _CHARACTERS))
    return Sentence(amount, within(shaded, cut), cut != place)
