"""Reasons for a label: the amounts by which words, the encoder and its sentences move it.

An explanation weighs two labels of a text, or one label and its threshold. Their margin is a difference of logits, after all
calibration, so that an amount of 1 multiplies the odds by e. Every calibration is a scale and a bias of the logits. So the
margin is a sum: the weights of the wide part's pieces and pairs, the encoder's part, and a constant.

The wide part's amounts are exact and free. The encoder's sentences are not: the text is read again without each of them, and
an amount is the difference that this makes to the encoder's part. These amounts do not add up to it.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import fsum, log
from typing import Any, NamedTuple, Self

import numpy as np

from scorer.base.errors import UsageError
from scorer.base.task import REGRESSION
from scorer.engine.wide import WideWeights
from scorer.model.confidence import most_probable
from scorer.model.interpretation import Answer, Interpretation, MultiLabel, Regression, SingleLabel
from scorer.model.loaded import LoadedModel, refuse_unscored
from scorer.model.offsets import Characters, Passage, Word, words_of
from scorer.model.outcomes import Outcomes
from scorer.model.sentences import sentences_of, without

LARGEST = 20
"""Number of a text's words that `score --explain` names."""

_DIGITS = 6
_NEAREST_TO_1 = 1 - 1e-9  # a threshold of 1 has no finite odds
_TIMED = 8  # texts whose time forecasts that of all
_TOGETHER = 64  # texts whose words are found at a time, so that they take little memory


class Contribution(NamedTuple):
    """Passage of a text, and the amount that it adds to the margin.

    Attributes:
        text: passage, as the text has it first.
        places: characters of each of its occurrences, in order.
        amount: amount of all occurrences together; one of a word counts once in the wide part.
    """

    text: str
    places: tuple[Characters, ...]
    amount: float

    def as_json(self) -> dict[str, Any]:
        begin, end = self.places[0]
        # A text may have half a surrogate pair, which no output can hold.
        text = self.text.encode(errors="replace").decode()
        return {"text": text, "begin": begin, "end": end, "times": len(self.places), "amount": rounded(self.amount)}


@dataclass(frozen=True)
class Explanation:
    """Explanation of a text's label: ``margin`` is the sum of all amounts but those of sentences.

    Attributes:
        label: label that is weighed: the text's own, the most probable one if that is uncertain, or the one that is nearest
            to its threshold.
        against: next label; None for a threshold.
        margin: distance of both, in logits after all calibration; the label has it above 0.
        words: amounts of the wide part's words and of pairs of neighbouring words, the largest first.
        other_words: amount of the wide part that no word has, as that of special tokens.
        encoder: amount of the encoder's part; None if the wide part alone decided.
        constant: amount that does not depend on words: the calibration's bias, and the threshold.
        sentences: amounts that the encoder's part loses without each sentence, in order; none for a single sentence.
    """

    label: str
    against: str | None
    margin: float
    words: tuple[Contribution, ...]
    other_words: float
    encoder: float | None
    constant: float
    sentences: tuple[Contribution, ...] = ()

    def shortened(self, most: int = LARGEST) -> Self:
        """Return the explanation with the ``most`` largest words; the amounts of all others go to ``other_words``."""
        others = fsum([self.other_words, *(word.amount for word in self.words[most:])])
        return replace(self, words=self.words[:most], other_words=others)

    def as_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "against": self.against,
            "margin": rounded(self.margin),
            "words": [word.as_json() for word in self.words],
            "other_words": rounded(self.other_words),
            "encoder": None if self.encoder is None else rounded(self.encoder),
            "constant": rounded(self.constant),
            "sentences": [sentence.as_json() for sentence in self.sentences],
        }


class Contrast(NamedTuple):
    """Two labels, and their margin as a function of a text's logits: ``direction @ logits + offset``.

    Attributes:
        label, against: as for `Explanation`.
        direction: float64 (logits,).
        offset: number to add.
    """

    label: str
    against: str | None
    direction: np.ndarray
    offset: float = 0.0


@dataclass(frozen=True)
class Weighed:
    """Text that is explained but for its sentences.

    Attributes:
        text: part of the text that the model reads.
        ids: its token ids, (sequence,).
        explanation: explanation without sentences.
        factors: factors of the encoder's logits in the margin, float64 (logits,).
        sentences: characters of the sentences to leave out, one after the other; empty if there is nothing to read.
    """

    text: str
    ids: np.ndarray
    explanation: Explanation
    factors: np.ndarray
    sentences: Sequence[Characters]

    def shortened(self) -> Self:
        """Return it with the largest words of the explanation, see `Explanation.shortened`."""
        return replace(self, explanation=self.explanation.shortened())

    def with_sentences(self, model: LoadedModel) -> Explanation:
        """Return the explanation with its sentences, after reading the text without each of them.

        A sentence without which the text has no token has no amount, and neither has one for which the device has too
        little memory.
        """
        tokens = model.tokenizer.encode([without(self.text, one) for one in self.sentences])
        there = [at for at, empty in enumerate(tokens.empty) if not empty]
        if self.explanation.encoder is None or not there:
            return self.explanation
        amounts = self.explanation.encoder - model.encoder_logits([tokens.ids[at] for at in there]) @ self.factors
        found = [
            Contribution(
                self.text[slice(*self.sentences[at])].strip(), (_stripped(self.text, self.sentences[at]),), amount
            )
            for at, amount in zip(there, amounts.tolist(), strict=True)
            if not np.isnan(amount)
        ]
        return replace(self.explanation, sentences=tuple(found))


def explain(model: LoadedModel, texts: Sequence[str]) -> list[Explanation]:
    """Score texts and explain their labels.

    Args:
        model: model that scores them.
        texts: texts as they are.

    Raises:
        UsageError: the model gives numbers, which have no explanation.
        ValueError: a text has no token.
        OutOfMemory: the device has too little memory for one of the texts.
    """
    if model.interpretation.task == REGRESSION:
        raise UsageError("only labels can be explained, but this model gives numbers.")
    outcomes = model.submit_texts(texts, empty_allowed=False).result()
    refuse_unscored(outcomes.logits)
    return [one.with_sentences(model) for one in weighed(model, texts, outcomes)]


def weighed(model: LoadedModel, texts: Sequence[str], outcomes: Outcomes) -> Iterator[Weighed]:
    """Explain texts that are scored, one after the other, but for their sentences.

    Args:
        model: model that scored them.
        texts: texts, none of them without a token.
        outcomes: their outcomes.
    """
    values = model.interpretation.values(outcomes.logits)
    answers = model.interpretation.answers(values)
    # Without a wide part, words only show where a text ends for the model.
    wanted = outcomes.truncated | (model.wide_weights is not None)
    for start in range(0, len(texts), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        for at, (ids, words) in enumerate(zip(*_words(model, texts[some], wanted[some]), strict=True), start=start):
            contrast = contrast_of(model.interpretation, answers[at], values[at])
            outcome = outcomes.of(np.arange(len(texts)) == at)
            yield _weighed(model, texts[at], ids, words, contrast, outcome)


def words_alone(model: LoadedModel, texts: Sequence[str], labels: Sequence[str]) -> list[tuple[Contribution, ...]]:
    """Return the amounts of the wide part's words for a label of each text, before any calibration by length.

    A label of several is weighed against the mean of the others, and one of any number against nothing. A number has the
    amounts of its first output, in its unit.

    Args:
        model: model with or without a wide part.
        texts: texts, or beginnings of them.
        labels: label of each; one that the model does not have stands for its last label.
    """
    weights = model.wide_weights
    if weights is None or not texts:
        return [()] * len(texts)
    before = model.tokenizer.special_places[0]
    each = zip(texts, *_words(model, texts, np.ones(len(texts), dtype=bool)), labels, strict=True)
    return [
        word_amounts(weights, text, ids, before, words or (), _factors_for(model.interpretation, label))[0]
        for text, ids, words, label in each
    ]


def _factors_for(interpretation: Interpretation, label: str) -> np.ndarray:
    """Return the factors of the logits that `words_alone` describes, float64 (logits,)."""
    count, names = interpretation.logit_count, interpretation.labels
    if isinstance(interpretation, Regression):
        return np.array([interpretation.scale[0], *[0.0] * (count - 1)])
    at = names.index(label) if label in names else len(names) - 1
    if isinstance(interpretation, MultiLabel):
        return np.eye(count)[at] / interpretation.temperatures[at]
    assert isinstance(interpretation, SingleLabel), "there is no other task"
    factors = np.eye(count)[at] - (1 - np.eye(count)[at]) / (count - 1) if count > 1 else np.array([2.0 * at - 1])
    return factors / interpretation.temperature


def _words(
    model: LoadedModel, texts: Sequence[str], wanted: np.ndarray
) -> tuple[list[np.ndarray], list[list[Word] | None]]:
    """Return the token ids of texts, and the words of those that are wanted, bool (texts,); None for unknown words."""
    tokens = model.tokenizer.encode(texts)
    before, after = model.tokenizer.special_places
    words: list[list[Word] | None] = [None] * len(texts)
    there = np.flatnonzero(wanted & ~np.array(tokens.empty, dtype=bool)).tolist()
    own = [tokens.ids[at][before : len(tokens.ids[at]) - after] for at in there]
    passages = [Passage(texts[at], ids, 0, len(ids)) for at, ids in zip(there, own, strict=True)]
    for at, found in zip(there, words_of(model.tokenizer, passages), strict=True):
        words[at] = found
    return tokens.ids, words


def _weighed(
    model: LoadedModel,
    text: str,
    ids: np.ndarray,
    words: Sequence[Word] | None,
    contrast: Contrast,
    outcome: Outcomes,
) -> Weighed:
    """Explain one text, given its outcome alone; ``words`` is None if its words are unknown."""
    early = bool(outcome.early[0])
    scale, bias = _calibration(model, outcome)
    factors = contrast.direction * scale
    margin = float(contrast.direction @ outcome.logits[0].astype(np.float64)) + contrast.offset
    constant = float(contrast.direction @ bias) + contrast.offset
    found: tuple[Contribution, ...] = ()
    others = 0.0
    if model.wide_weights is not None:
        found, others = word_amounts(
            model.wide_weights, text, ids, model.tokenizer.special_places[0], words or (), factors
        )
    encoder = None if early else margin - fsum([constant, others, *(word.amount for word in found)])
    read = text if not outcome.truncated[0] else text[: words[-1].characters.end] if words else ""
    sentences = [] if early else sentences_of(read)
    explanation = Explanation(contrast.label, contrast.against, margin, found, others, encoder, constant)
    return Weighed(read, ids, explanation, factors, sentences if len(sentences) > 1 else [])


def forecast_seconds(model: LoadedModel, texts: Sequence[Weighed]) -> float:
    """Estimate the seconds that the sentences take, by the time that the encoder takes for some of the texts."""
    read = [one for one in texts if one.sentences]
    if not read:
        return 0.0
    some = [one.ids for one in read[:_TIMED]]
    start = time.perf_counter()
    model.encoder_logits(some)
    pace = (time.perf_counter() - start) / sum(map(len, some))
    return pace * sum(len(one.ids) * (len(one.sentences) - 1) for one in read)


def contrast_of(interpretation: Interpretation, answer: Answer, values: np.ndarray) -> Contrast:
    """Return the labels that the explanation of a text weighs.

    Args:
        interpretation: meaning of the logits, which are not those of numbers.
        answer: answer to the text.
        values: its probabilities, float64 (labels,).

    >>> contrast_of(SingleLabel(("a", "b"), 2.0), "a", np.array([0.6, 0.4]))
    Contrast(label='a', against='b', direction=array([-0.5]), offset=0.0)
    >>> contrast_of(MultiLabel(("a", "b"), (1.0, 2.0), (0.5, 0.5)), ("a",), np.array([0.9, 0.4]))
    Contrast(label='b', against=None, direction=array([0. , 0.5]), offset=0.0)
    """
    direction = np.zeros(interpretation.logit_count)
    if isinstance(interpretation, MultiLabel):
        label = int(np.abs(values - np.array(interpretation.thresholds)).argmin())
        direction[label] = 1 / interpretation.temperatures[label]
        threshold = min(interpretation.thresholds[label], _NEAREST_TO_1)
        return Contrast(interpretation.labels[label], None, direction, log((1 - threshold) / threshold) + 0.0)
    assert isinstance(interpretation, SingleLabel), "numbers have no labels to weigh"
    names = interpretation.labels
    label = names.index(str(answer)) if answer in names else int(most_probable(values[np.newaxis])[0])
    against = int(np.where(np.arange(len(names)) == label, -np.inf, values).argmax())
    if len(direction) == 1:
        direction[0] = (label - against) / interpretation.temperature
    else:
        direction[[label, against]] = 1 / interpretation.temperature, -1 / interpretation.temperature
    return Contrast(names[label], names[against], direction)


def word_amounts(
    weights: WideWeights, text: str, ids: np.ndarray, before: int, words: Sequence[Word], factors: np.ndarray
) -> tuple[tuple[Contribution, ...], float]:
    """Divide the wide part's sum among a text's words and pairs of neighbouring words.

    A weight counts once, however often a text uses it: its places share it. A pair within a word belongs to the word, and so
    does one with a special token.

    Args:
        weights: weights of the wide part.
        text: text.
        ids: its token ids, int64 (sequence,).
        before: number of special tokens before it.
        words: its words.
        factors: factors of the logits in the margin, float64 (logits,).

    Returns:
        amounts, the largest first; and the amount that no word has.
    """
    shares = _shares(weights, ids, factors)
    word_of = np.full(len(ids), -1)
    for number, word in enumerate(words):
        word_of[before + word.begin : before + word.end] = number
    left, right = np.concatenate([word_of, word_of[:-1]]), np.concatenate([word_of, word_of[1:]])
    left, right = np.where(left < 0, right, left), np.where(right < 0, left, right)
    pieces = [ids[before + word.begin : before + word.end].tobytes() for word in words]
    amounts: dict[tuple[bytes, ...], list[float]] = {}
    places: dict[tuple[bytes, ...], dict[Characters, None]] = {}
    for amount, first, last in zip(shares.tolist(), left.tolist(), right.tolist(), strict=True):
        if first >= 0:
            key = (pieces[first],) if first == last else (pieces[first], pieces[last])
            amounts.setdefault(key, []).append(amount)
            places.setdefault(key, {})[Characters(words[first].characters.begin, words[last].characters.end)] = None
    found = [
        Contribution(text[slice(*next(iter(places[key])))], tuple(sorted(places[key])), amount)
        for key, some in amounts.items()
        if (amount := fsum(some))
    ]
    found.sort(key=lambda one: (-abs(one.amount), one.places))
    return tuple(found), fsum(shares[left < 0])


def _shares(weights: WideWeights, ids: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the share of each piece, and then of each pair, in the amount of its weight: float64 (2 * sequence - 1,)."""
    numbers = np.concatenate([ids, weights.keys.of_pairs(ids)])
    _, which, uses = np.unique(numbers, return_inverse=True, return_counts=True)
    return np.asarray((weights.table[numbers].astype(np.float64) @ factors) / uses[which])


def _calibration(model: LoadedModel, outcome: Outcomes) -> tuple[float, np.ndarray]:
    """Return the scale and the bias, float64 (logits,), between the parts' sum and the logits of one text."""
    if outcome.early[0]:
        assert model.cascade is not None, "it has decided"
        return model.cascade.scale, np.array(model.cascade.bias)
    by_length = model.manifest.calibration_by_length
    if by_length is None:
        return 1.0, np.zeros(outcome.logits.shape[1])
    scale, bias = by_length.of(outcome.tokens)
    return float(scale[0]), bias[0]


def _stripped(text: str, sentence: Characters) -> Characters:
    """Return the characters of a sentence without the blanks around it."""
    shown = text[sentence.begin : sentence.end]
    begin = sentence.begin + len(shown) - len(shown.lstrip())
    return Characters(begin, begin + len(shown.strip()))


def rounded(amount: float) -> float:
    """Round an amount as outputs do, without a minus before a zero."""
    return round(amount, _DIGITS) + 0.0
