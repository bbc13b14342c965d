"""Texts that belong together: equal ones, near duplicates, and those of one thread or product."""

import numpy as np
import pytest

from export.together import sets_of

WORDS = [f"word{number}" for number in range(2000)]


def text_of(length, seed):
    return " ".join(np.random.default_rng(seed).choice(WORDS, length))


def test_texts_with_the_same_words_belong_together_whatever_their_case_and_punctuation():
    one, other, *same = sets_of(["A good film!", "A bad film", "a GOOD film", "a  good—film"])
    assert (same, one == other) == ([one, one], False)


def test_texts_without_a_word_belong_together_only_if_they_are_equal():
    found = sets_of(["😀😀", "😡", "😀😀", "!!"])
    assert (found[0] == found[2], len(set(found))) == (True, 3)


@pytest.mark.parametrize("seed", range(10))
def test_a_long_text_with_a_few_words_changed_is_a_near_duplicate(seed):
    words = text_of(200, seed).split()
    words[50], words[150] = "another", "word"
    found = sets_of([text_of(200, seed), text_of(200, 99), " ".join(words), " ".join(words[10:])])
    assert (found[0] == found[2] == found[3], found[0] == found[1]) == (True, False)


def test_near_duplicates_of_a_language_without_spaces_are_found():
    text = "这家酒店的房间非常干净。服务员也很热情。早餐种类丰富。下次还会再来住的。"
    found = sets_of([text, text.replace("热情", "友好"), "物流太慢了。等了两个星期才收到。包装也破了。非常失望。"])
    assert (found[0] == found[1], found[0] == found[2]) == (True, False)


def test_different_texts_stay_apart():
    assert len(set(sets_of([text_of(40, seed) for seed in range(500)]))) == 500


def test_texts_of_one_thread_belong_together_and_those_without_a_thread_are_alone():
    found = sets_of(["a", "b", "c", "d"], ["x", " ", "x", ""])
    assert (found[0] == found[2], len(set(found))) == (True, 3)
    linked = sets_of(["a", "b", "b", "c"], ["x", "x", "y", "y"])  # b is in both threads
    assert len(set(linked)) == 1


def test_sets_do_not_depend_on_the_order_of_the_texts():
    texts = [text_of(30, seed) for seed in range(50)] + [f"{text_of(30, seed)} more" for seed in range(20)]
    order = np.random.default_rng(0).permutation(len(texts))
    assert (sets_of([texts[row] for row in order]) == sets_of(texts)[order]).all()


def test_a_thousand_copies_with_another_word_each_are_one_set():
    text = text_of(60, 1)
    assert len(set(sets_of([f"{text} {word}" for word in WORDS[:1000]]))) == 1
