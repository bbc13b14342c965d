"""The sentence at the top of a run's page: whether the scores can be used, in words."""

import pytest

from scorer.model.decision import Decision
from scorer.model.interpretation import MultiLabel, Regression, SingleLabel
from scorer.model.reference import SCORE_EDGES, TOKEN_EDGES, UNKNOWN_EDGES, Histogram, Reference
from scorer.report.difference import differences
from scorer.report.drift import as_json, drifts, passed
from scorer.report.verdict import verdict

TWO = SingleLabel(("negative", "positive"))


def histogram(edges, **counts):
    """Make a histogram from counts by bin, as in ``bin_0=5``."""
    return Histogram(edges, [counts.get(f"bin_{at}", 0) for at in range(len(edges) - 1)])


SCORES = histogram(SCORE_EDGES, bin_0=450, bin_9=50, bin_10=50, bin_19=450)
LENGTHS = histogram(TOKEN_EDGES, bin_5=500, bin_6=500)
KNOWN = histogram(UNKNOWN_EDGES, bin_0=1000)


def run(*, score=SCORES, tokens=LENGTHS, unknown=KNOWN, model=TWO, limit=None, rejected=None, reference=True, **fields):
    """Return the verdict on a run with these histograms, of a model whose test data have the usual ones."""
    test_data = Reference(1000, SCORES, LENGTHS, KNOWN) if reference else None
    rows = score.total
    drift = drifts(test_data, {"score": score, "tokens": tokens, "unknown": unknown}, rows) if reference else None
    rejected = rejected or {}
    record = {
        "published": True, "exit_code": 0, "rows_in": rows + sum(rejected.values()), "rows_scored": rows,
        "rows_rejected": sum(rejected.values()), "rows_rejected_by_reason": rejected, "max_error": None,
        "drift": drift and {**as_json(drift), "beyond": passed(drift, limit)},
        **{
            f"{name}_histogram": {"edges": one.edges, "counts": one.counts}
            for name, one in (("score", score), ("token", tokens), ("unknown", unknown))
        },
        **fields,
    }  # fmt: skip
    found = verdict(record, differences(record, test_data, model))
    return found.level, found.sentence


def test_a_run_like_the_test_data_can_be_used():
    assert run() == ("good", "All 1,000 rows have a score, and the texts are like those the model was tested on.")


def test_without_test_data_there_is_nothing_to_compare_with():
    assert run(reference=False) == (
        "good",
        "All 1,000 rows have a score. The model has no test data to compare them with.",
    )


def test_few_rows_are_not_called_alike():
    few = {
        "score": histogram(SCORE_EDGES, bin_19=3),
        "tokens": histogram(TOKEN_EDGES, bin_5=3),
        "unknown": histogram(UNKNOWN_EDGES, bin_0=3),
    }
    assert run(**few) == (
        "good",
        "All 3 rows have a score, but they are too few to compare with the model's test data.",
    )


@pytest.mark.parametrize(
    ("bin_of_lengths", "level", "words"),
    [
        ("bin_0", "bad", "less than a twentieth as long as"),
        ("bin_1", "bad", "about a tenth as long as"),
        ("bin_2", "bad", "about a fifth as long as"),
        ("bin_3", "look", "about a third as long as"),
        ("bin_8", "look", "about twice as long as"),
        ("bin_11", "look", "about six times as long as"),
    ],
)
def test_lengths_are_compared_in_words_and_very_short_texts_are_not_to_be_trusted(bin_of_lengths, level, words):
    todo = "do not trust these scores" if level == "bad" else "check some rows before you use the scores"
    long = Reference(1000, SCORES, histogram(TOKEN_EDGES, bin_6=500, bin_7=500), KNOWN)  # a median of 256 tokens
    tokens = histogram(TOKEN_EDGES, **{bin_of_lengths: 1000})
    drift = drifts(long, {"score": SCORES, "tokens": tokens, "unknown": KNOWN}, 1000)
    record = {
        "published": True, "exit_code": 0, "rows_in": 1000, "rows_scored": 1000, "rows_rejected": 0, "max_error": None,
        "rows_rejected_by_reason": {}, "drift": {**as_json(drift), "beyond": []},
        "score_histogram": {"edges": SCORES.edges, "counts": SCORES.counts},
        "token_histogram": {"edges": tokens.edges, "counts": tokens.counts},
        "unknown_histogram": {"edges": KNOWN.edges, "counts": KNOWN.counts},
    }  # fmt: skip
    found = verdict(record, differences(record, long, TWO))
    assert (found.level, found.sentence) == (level, f"Texts are {words} those the model was tested on; {todo}.")


def test_lengths_of_the_same_median_are_compared_by_the_share_that_differs_most():
    assert run(tokens=histogram(TOKEN_EDGES, bin_0=300, bin_5=200, bin_6=200, bin_9=300)) == (
        "look",
        "30% of the texts have fewer than 16 tokens, against none in the test data; check some rows before you use the scores.",
    )


def test_texts_that_the_model_cannot_read_are_not_to_be_trusted():
    assert run(unknown=histogram(UNKNOWN_EDGES, bin_0=200, bin_9=800)) == (
        "bad",
        "80% of the texts consist mostly of word pieces that the model does not know, against none in the test data; do not "
        "trust these scores.",
    )


def test_a_few_unknown_pieces_in_each_text_need_a_look():
    assert run(unknown=histogram(UNKNOWN_EDGES, bin_6=1000)) == (
        "look",
        "All texts have at least 5% unknown word pieces, against none in the test data; check some rows before you use the "
        "scores.",
    )


@pytest.mark.parametrize(
    ("model", "score", "words"),
    [
        (TWO, {"bin_0": 900, "bin_19": 100}, "90% of the texts are negative, against 50% in the test data"),
        (TWO, {"bin_9": 500, "bin_10": 500}, "The model is unsure of all of the texts, against 10% in its test data"),
        (
            SingleLabel(("negative", "positive"), decision=Decision(threshold=0.7)), {"bin_19": 1000},
            "All texts are rather positive than not, against 50% in the test data",
        ),
        (
            SingleLabel(("a", "b", "c")), {"bin_9": 1000},
            "All texts have no label with a probability of 0.5 or more, against 50% in the test data",
        ),
        (
            MultiLabel(("a", "b"), (1.0, 1.0), (0.5, 0.5)), {"bin_19": 1000},
            "All texts have a label with a probability of at least 0.95, against 45% in the test data",
        ),
        (Regression(("stars",), (1.0,), (0.0,)), {"bin_0": 1000}, "All texts have a value below 0.05, against 45% in the test data"),
    ],
)  # fmt: skip
def test_scores_that_differ_alone_are_named_by_what_they_mean(model, score, words):
    found = run(model=model, score=histogram(SCORE_EDGES, **score))
    assert found == ("look", f"{words}; check some rows before you use the scores.")


def test_a_small_difference_beyond_the_limit_is_named_too():
    scores = histogram(SCORE_EDGES, bin_0=560, bin_9=50, bin_10=50, bin_19=340)
    assert run(score=scores)[0] == "good"
    assert run(score=scores, limit=0.001) == (
        "look",
        "61% of the texts are negative, against 50% in the test data; check some rows before you use the scores.",
    )


def test_a_few_rejects_leave_the_others_usable():
    assert run(rejected={"empty_text": 1}) == (
        "look",
        "1 of 1,001 rows was rejected because the text is empty; the others can be used.",
    )
    assert run(rejected={"empty_text": 1, "invalid_json": 3}) == (
        "look",
        "4 of 1,004 rows were rejected, most of them because the line is not valid JSON; the others can be used.",
    )


def test_many_rejects_need_a_look_at_the_input():
    assert run(rejected={"empty_text": 200, "invalid_json": 200}) == (
        "look",
        "29% of the rows were rejected; check the input before you use the scores.",
    )


def test_drift_comes_before_rejects():
    assert run(tokens=histogram(TOKEN_EDGES, bin_9=1000), rejected={"empty_text": 500}) == (
        "look",
        "Texts are about three times as long as those the model was tested on, and 33% of the rows were rejected because the "
        "text is empty; check some rows before you use the scores.",
    )


def test_a_promise_that_does_not_hold_is_named():
    promise = {"limit": 0.05, "holds": False}
    assert run(max_error=promise) == (
        "look",
        "The promise of at most 5% wrong labels does not hold; check some labels before you use them.",
    )


@pytest.mark.parametrize(
    ("code", "fields", "sentence"),
    [
        (130, {}, "The run was stopped after 1,000 rows, so it has no scores yet; run the same command again."),
        (143, {"rows_in": 0}, "The run was stopped, so it has no scores yet; run the same command again."),
        (141, {}, "The program that reads the output ended, so the scores are incomplete; run the command again."),
        (1, {}, "There are no scores from this run: the machine or one of its files failed."),
        (2, {}, "There are no scores from this run: the command or its input does not fit."),
        (4, {}, "There are no scores from this run: the input cannot be used."),
        (4, {"rejected": {"not_text": 1000}}, "50% of the rows were rejected because the text is a number or an object; this run published nothing."),
        (4, {"rows_in": 1, "rows_rejected": 1, "rows_rejected_by_reason": {"invalid_json": 1}}, "The only row was rejected because the line is not valid JSON; this run published nothing."),
        (5, {}, "There are no scores from this run: the model cannot be used here."),
    ],
)  # fmt: skip
def test_a_run_that_published_nothing_says_so_and_why(code, fields, sentence):
    assert run(published=False, exit_code=code, **fields) == ("bad", sentence)


def test_an_empty_input_is_not_called_ready():
    assert run(rows_in=0) == ("look", "The input has no rows to score; check that it is the right one.")


def test_a_failure_after_publishing_is_not_called_ready():
    assert run(exit_code=1) == ("bad", "The scores are complete; what failed after them is below.")
