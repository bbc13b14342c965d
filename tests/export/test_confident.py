"""Labels that out-of-fold probabilities doubt, and the choice of texts to label next, on cases made by hand."""

import numpy as np
import pytest

from export.classifier.confident import doubts_of, limits_of, worth_labelling


def test_the_limit_of_a_label_is_its_mean_probability_over_the_texts_that_have_it():
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    assert limits_of(probabilities, np.array([0, 0, 1])) == pytest.approx([0.7, 0.7])


def test_a_label_that_no_text_has_is_never_suggested_as_the_true_one():
    probabilities = np.array([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    found = doubts_of(probabilities, np.array([0, 0, 1]))
    assert not found.suspected.any()
    assert found.wrong_share == 0


def test_a_text_that_is_surely_one_of_another_label_is_suspected():
    right, wrong = [[0.9, 0.05, 0.05]] * 4, [[0.05, 0.05, 0.9]]
    others = [[0.05, 0.9, 0.05]] * 4 + [[0.05, 0.05, 0.9]] * 4
    found = doubts_of(np.array(right + wrong + others), np.array([0] * 5 + [1] * 4 + [2] * 4))
    assert np.flatnonzero(found.suspected).tolist() == [4]
    assert found.likeliest[4] == 2
    assert found.joint[0].tolist() == [4, 0, 1]
    assert found.wrong_share == pytest.approx(1 / 13)


def test_a_model_that_prefers_one_label_everywhere_does_not_make_the_texts_of_the_other_suspect():
    probabilities = np.array([[0.9, 0.1]] * 3 + [[0.6, 0.4]] * 3)
    assert not doubts_of(probabilities, np.array([0, 0, 0, 1, 1, 1])).suspected.any()


def test_of_suspected_texts_those_with_the_lowest_probability_of_their_label_are_the_suspects():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.1, 0.9], [0.1, 0.9], [0.2, 0.8]])
    found = doubts_of(probabilities, np.array([0, 0, 0, 0, 1, 1]))
    assert np.flatnonzero(found.suspected).tolist() == [3]
    assert np.argsort(found.own)[:2].tolist() == [3, 2]


def test_the_joint_has_as_many_texts_of_each_given_label_as_there_are():
    random = np.random.default_rng(0)
    probabilities, labels = random.dirichlet(np.ones(4), 200), random.integers(0, 4, 200)
    joint = doubts_of(probabilities, labels).joint
    assert joint.sum(axis=1) == pytest.approx(np.bincount(labels, minlength=4))


def test_unsure_texts_are_proposed_before_sure_ones():
    probabilities = np.array([[0.99, 0.01], [0.51, 0.49], [0.7, 0.3]])
    vectors = np.ones((3, 2))
    assert worth_labelling(probabilities, vectors, 1).tolist() == [1]


def test_neighbours_of_a_proposed_text_come_after_texts_of_another_kind():
    probabilities = np.array([[0.5, 0.5]] * 9)
    vectors = np.array([[1.0, 0.01 * number] for number in range(8)] + [[0.0, 1.0]])
    assert worth_labelling(probabilities, vectors, 2).tolist() == [0, 8]


def test_margins_count_and_not_the_highest_probability_alone():
    between_two, between_all = [0.5, 0.49, 0.01], [0.4, 0.3, 0.3]
    assert worth_labelling(np.array([between_all, between_two]), np.ones((2, 2)), 1).tolist() == [1]


@pytest.mark.parametrize(("texts", "most", "chosen"), [(0, 3, 0), (2, 3, 2), (5, 0, 0), (4, 4, 4)])
def test_as_many_are_proposed_as_there_are_and_each_once(texts, most, chosen):
    random = np.random.default_rng(1)
    found = worth_labelling(random.dirichlet(np.ones(3), texts), np.ones((texts, 4)), most)
    assert len(set(found.tolist())) == len(found) == chosen
