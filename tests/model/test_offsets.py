"""Characters of the deciding window: those that the library gives for the whole text, at the cost of a beginning."""

import json

import numpy as np
import pytest
import tokenizers
from hypothesis import example, given, settings
from test_tokenizer_kinds import HOSTILE, TEXTS, VARIANTS, file_of
from tiny_tokenizers import KINDS, tiny_tokenizer

from scorer.engine.cascade import Staged
from scorer.engine.windows import Windows
from scorer.model.offsets import Characters, Passage, characters_of, deciding_characters
from scorer.model.outcomes import outcomes_of
from scorer.model.tokenizer import Tokenizer

LENGTH = 30


@pytest.fixture(scope="module", params=[*VARIANTS, *KINDS])
def pair(request):
    """The tokenizer under test, and the library's own for whole texts."""
    if request.param in VARIANTS:
        file = json.loads(file_of(tiny_tokenizer(VARIANTS[request.param].kind)))
        VARIANTS[request.param].change(file)
        data = json.dumps(file).encode()
    else:
        data = file_of(tiny_tokenizer(request.param), clean_text=True)
    whole = tokenizers.Tokenizer.from_buffer(data)
    whole.no_truncation()
    whole.no_padding()
    return Tokenizer(data, LENGTH), whole


def is_that_of_the_whole(pair, text):
    ours, whole = pair
    encoding = whole.encode(text, add_special_tokens=False)
    own = np.array(encoding.ids[: LENGTH - ours.special_tokens], dtype=np.int64)
    spans = [(begin, end) for begin in (0, 3, 11) for end in (1, 5, len(own)) if begin < end <= len(own)]
    found = characters_of(ours, [Passage(text, own, *span) for span in spans])
    # The library's offsets are wrong behind characters that a table (Precompiled) removes.
    vanishing = ours.vanishing(text)
    kept = [at for at, one in enumerate(text) if one not in vanishing]
    plain = whole.encode("".join(text[at] for at in kept), add_special_tokens=False)
    ours_too = [(kept[first], kept[last - 1] + 1) if first < last else (first, last) for first, last in plain.offsets]
    all_offsets = ours_too if plain.ids == encoding.ids else encoding.offsets
    for (begin, end), one in zip(spans, found, strict=True):
        offsets = [pair for pair in all_offsets[begin:end] if pair[0] < pair[1]]
        offsets = offsets or all_offsets[begin : begin + 1]
        expected = Characters(min(first for first, _ in offsets), max(last for _, last in offsets))
        assert one == expected, (begin, end)


@settings(max_examples=40)
@given(TEXTS)
@example("good" * 9 + " film" * 60)
@example("x" * 300 + " good" * 50)
@example("[UNK]<extra_id_0> good" * 9)
@example("good " + " " * 400 + "film " * 60)
@example("電影很好看" * 100)
@example("\u0301" * 33 + "\xa0\u0301\u0301\xa0\x1c\u0301\xa0")
@example("\u200b" * 37 + "<s>\u200b<s>")
@example("\x7f\x7ffilmfilmfilm\x7f\x7f" + " " * 300 + ("film\x7f\x7f" + " " * 300) * 2 + "good " * 20)
def test_they_are_those_of_the_whole_text(pair, text):
    is_that_of_the_whole(pair, text)


def test_those_of_hostile_texts_as_well(pair):
    for text in HOSTILE:
        is_that_of_the_whole(pair, text)


def test_characters_that_a_table_removes_from_the_beginning_are_counted():
    tokenizer = Tokenizer(file_of(tiny_tokenizer("albert"), clean_text=True), LENGTH)
    for text in ("\x7f\x7ffilm good", "\x7f\x7ffilm" + " " * 300 + "good " * 40):
        own = np.array(tokenizer.with_offsets([text])[0].ids)
        found = characters_of(tokenizer, [Passage(text, own, at, at + 1) for at in range(2)])
        assert [text[one.begin : one.end] for one in found] == ["film", "good"]


LONG = 1_000_000
HUGE = {
    "words": ("good film was " * (LONG // 14), "good film was " * 9),
    "Chinese": ("電影很好看" * (LONG // 5), "電影很好看" * 20),
    "a word": ("goodfilm" * (LONG // 8), "goodfilm" * 20),
}
"""Long texts, each with a short one of the same first tokens."""


def is_found_at_little_cost(kind, texts, end, monkeypatch, most):
    """Find a range of a long text's first tokens, for which few characters are tokenized once more."""
    tokenizer, (text, short), given = Tokenizer(file_of(tiny_tokenizer(kind)), LENGTH), texts, []
    own = np.array(tokenizer.with_offsets([short])[0].ids[:end])
    with_offsets = Tokenizer.with_offsets
    monkeypatch.setattr(
        Tokenizer, "with_offsets", lambda self, texts: given.extend(map(len, texts)) or with_offsets(self, texts)
    )
    [found] = characters_of(tokenizer, [Passage(text, own, end // 2, end)])
    assert found is not None
    assert sum(given) <= most, given
    return text[found.begin : found.end]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["words", "Chinese"])
def test_of_a_huge_text_only_a_beginning_is_tokenized_again(kind, text, monkeypatch):
    is_found_at_little_cost(kind, HUGE[text], 20, monkeypatch, 400)


@pytest.mark.parametrize("kind", ["bpe", "unigram", "llama"])
def test_a_huge_word_is_torn_and_still_found(kind, monkeypatch):
    is_found_at_little_cost(kind, HUGE["a word"], 20, monkeypatch, 400)


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "deberta"])
def test_runs_of_blanks_are_shortened_and_found_in_the_text(kind, monkeypatch):
    one = ("good" + " " * LONG + "film " * 100, "good film " + "film " * 50)
    assert is_found_at_little_cost(kind, one, 4, monkeypatch, 1500).split() == ["film", "film"]
    monkeypatch.undo()
    many = (("good" + " " * (LONG // 50)) * 50, "good " * 50)
    assert is_found_at_little_cost(kind, many, 4, monkeypatch, 1500).split() == ["good", "good"]


def test_a_huge_word_that_is_unknown_is_shortened_too(monkeypatch):
    text = "goodfilm" * (LONG // 8) + " good film" * 30
    assert is_found_at_little_cost("wordpiece", (text, text[-2000:]), 4, monkeypatch, 1500) == "film good"


# Windows


WINDOWS = Windows(8, 1, 1, 4)


def of_windows(texts, decided_by, tokenizer=None):
    """Return the characters that decided some texts, read in windows of six words, one every four."""
    tokenizer = tokenizer or Tokenizer(file_of(tiny_tokenizer("wordpiece")), WINDOWS.reach(4))
    tokens = tokenizer.encode(texts)
    number = np.array(decided_by)
    counts = np.array([len(WINDOWS.spans(len(ids) - 2)) for ids in tokens.ids]) * (number > 0)
    staged = Staged(np.zeros((len(texts), 1), dtype=np.float32), number == 0, counts, number)
    found = deciding_characters(tokenizer, WINDOWS, texts, outcomes_of(tokens, staged, tokenizer.unknown_id))
    return [one and text[one.begin : one.end] for text, one in zip(texts, found, strict=True)]


WORDS = [
    "Good",
    "bad",
    "great",
    "awful",
    "fine",
    "dull",
    "warm",
    "cold",
    "so",
    "very",
    "the",
    "film",
    "was",
    "a",
    "plot",
    "and",
    "it",
    "scene",
]


def test_each_window_has_its_own_words():
    text = "\t" + "  ".join(WORDS) + "."
    windows = [" ".join(one.split()) for one in of_windows([text] * 4, [1, 2, 3, 4])]
    assert windows == [" ".join(WORDS[begin : begin + 6]) for begin in (0, 4, 8, 12)]


def test_the_last_window_ends_where_the_text_does():
    text = " ".join(WORDS[:7])
    assert of_windows([text, text], [1, 2]) == [" ".join(WORDS[:6]), " ".join(WORDS[1:7])]


def test_a_text_of_one_window_is_read_from_its_first_to_its_last_character():
    texts = ["  good film \n", " ".join(WORDS[:6]) + " ", "good \U0001f3ac e\u0301"]
    assert of_windows(texts, [1, 1, 1]) == texts


def test_a_text_that_no_window_decided_has_no_characters():
    assert of_windows(["good", " ".join(WORDS)], [0, 0]) == [None, None]


def test_of_a_text_that_is_cut_the_characters_end_where_the_model_stops():
    tokenizer = Tokenizer(file_of(tiny_tokenizer("wordpiece")), 8)
    assert of_windows(["good film " * 9], [1], tokenizer) == ["good film good film good film"]


def test_the_order_and_the_number_of_texts_change_nothing():
    texts = [" ".join(WORDS[at % 5 :]) for at in range(150)]
    numbers = [1 + at % 3 for at in range(150)]
    tokenizer = Tokenizer(file_of(tiny_tokenizer("wordpiece")), WINDOWS.reach(4))
    together = of_windows(texts, numbers, tokenizer)
    alone = [of_windows([text], [number], tokenizer)[0] for text, number in zip(texts, numbers, strict=True)]
    assert together == alone


def test_tokens_of_another_text_have_no_characters():
    tokenizer = Tokenizer(file_of(tiny_tokenizer("wordpiece")), LENGTH)
    own = np.array(tokenizer.with_offsets(["good film"])[0].ids)
    passages = [Passage("bad film " * 50, own, 0, 2), Passage("good film", own, 0, 2)]
    assert characters_of(tokenizer, passages) == [None, (0, 9)]
