"""Cross-validated figures beside simple answers, in the log, on the card and as a picture."""

import json
from dataclasses import replace

import numpy as np
import pytest

from export.bundle.place import check_free
from export.evaluation.cross_validation import CrossValidated, Size, cross_validation_figures
from export.evaluation.cross_validation_card import cross_validation_lines, cross_validation_parts
from export.evaluation.judges import judge_of
from export.evaluation.model_card import model_card
from export.evaluation.outputs import LABELS_FIGURE, LEARNING_FIGURE, VALUES_FIGURE
from export.training.card import Card, card_of
from scorer.model.interpretation import MultiLabel, Regression, SingleLabel
from scorer.model.manifest import parse_manifest

THREE = judge_of(SingleLabel(("billing", "delivery", "other")))
TWO = judge_of(SingleLabel(("negative", "positive")))
SEVERAL = judge_of(MultiLabel(("late", "damaged", "lost"), (1.0,) * 3, (0.5,) * 3))
NUMBERS = judge_of(Regression(("score",), (1.0,), (0.0,)))
LABELS = np.array([0, 0, 1, 0, 1] * 20)


def with_right(truth, right, labels=3):
    """Probabilities of the true label for the first texts, and of another one for the others."""
    given = np.where(np.arange(len(truth)) < right, truth, (truth + 1) % labels)
    return np.where(np.eye(labels)[given] > 0, 0.8, 0.2 / (labels - 1))


def validated(rights, judge=THREE, baseline=None, truth=LABELS):
    """Cross-validation with so many right texts at each size."""
    count = len(judge.interpretation.labels)
    each = [with_right(truth, right, count) for right in rights]
    sizes = tuple(Size(10 * 2**at, one[np.newaxis]) for at, one in enumerate(each))
    other = None if baseline is None else with_right(truth, baseline, count)
    return cross_validation_figures(CrossValidated(5, truth, each[-1], other, sizes), judge)


def printed(figures, judge=THREE):
    return "\n".join(cross_validation_lines(figures, judge))


def card_parts(bundle, figures):
    metrics = {**bundle.manifest.metrics, "cross_validation": json.loads(json.dumps(figures))}
    return list(cross_validation_parts(replace(bundle.manifest, metrics=metrics)))


# No better, or better


def test_a_model_that_gives_the_largest_label_is_called_no_better():
    given = np.tile([0.8, 0.1, 0.1], (100, 1))
    found = cross_validation_figures(CrossValidated(5, LABELS, given, None, (Size(80, given[np.newaxis]),)), THREE)
    (one,) = found["against"]
    assert (one["figure"], one["difference"], one["p"]) == (pytest.approx(0.6), 0.0, 1.0)
    text = printed(found)
    assert (
        "This is no better than always giving the largest label, billing (60.00%): the difference is +0.0 points"
        in text
    )
    assert "Give more labels, or check them with `score-model check-labels`." in text


def test_a_model_that_is_a_little_better_may_be_no_better():
    text = printed(validated([68]))
    assert (
        "This may be no better than always giving the largest label, billing (60.00%): the difference is +8.0 points"
        in text
    )


def test_a_model_that_is_better_is_not_called_no_better():
    found = validated([95], baseline=70)
    text = printed(found)
    assert "no better" not in text
    assert "always giving the largest label, billing: 60.00%; TF-IDF + logistic regression: 70.00%" in text
    assert all(one["p"] < 0.05 and one["difference_interval"][0] > 0 for one in found["against"])


def test_tf_idf_that_does_as_well_is_named():
    text = printed(validated([90], baseline=90))
    assert "This is no better than TF-IDF + logistic regression (90.00%)" in text
    assert "no better than always" not in text


def test_the_test_is_paired():
    """Two models that are right on nearly the same texts differ more surely than their intervals show."""
    found = validated([90], baseline=80)
    _, tf_idf = found["against"]
    assert tf_idf["interval"][1] > found["metrics"]["interval"][0]
    assert tf_idf["p"] == pytest.approx(2 * 0.5**10)
    assert "no better" not in printed(found)


def test_several_labels_are_compared_with_the_best_set_of_labels():
    random = np.random.default_rng(0)
    truth = (random.random((200, 3)) < [0.6, 0.5, 0.05]).astype(int)
    same = np.tile([0.9, 0.9, 0.1], (200, 1))
    found = cross_validation_figures(CrossValidated(5, truth, same, same, ()), SEVERAL)
    one, tf_idf = found["against"]
    assert one["name"] == "always giving the 2 largest labels"
    assert one["figure"] == found["metrics"]["micro_f1"] == tf_idf["figure"]
    assert (one["difference"], one["difference_interval"], one["p"]) == (0.0, (0.0, 0.0), None)
    text = printed(found, SEVERAL)
    assert "This is no better than always giving the 2 largest labels (0." in text
    assert "the difference is +0.000 (95%: +0.000 to +0.000)." in text
    best = max(SEVERAL.metrics(np.tile(row, (200, 1)), truth).micro_f1 for row in np.ndindex(2, 2, 2))
    assert one["figure"] == pytest.approx(best)
    right = np.where(truth == 1, 0.9, 0.1)
    assert "no better" not in printed(
        cross_validation_figures(CrossValidated(5, truth, right, same, ()), SEVERAL), SEVERAL
    )


def test_numbers_are_compared_with_the_mean():
    truth = np.random.default_rng(0).normal(size=(100, 1)) + 3
    for values, is_better in ((truth * 0.5 + 1.5, True), (truth[::-1] * 0.2 + 2.4, False)):
        found = cross_validation_figures(CrossValidated(5, truth, values, None, ()), NUMBERS)
        (one,) = found["against"]
        assert one["figure"] == pytest.approx(0.0)
        assert one["difference"] == pytest.approx(found["metrics"]["r2"])
        assert ("no better than always giving the mean (" in printed(found, NUMBERS)) != is_better


# More labels


def test_the_gain_of_more_labels_is_printed_with_its_interval():
    text = printed(validated([40, 60, 73, 82]))
    assert "learning curve, accuracy: 40.00% with 10 texts, 60.00% with 20 texts, 73.00% with 40 texts" in text
    line = next(one for one in text.split("\n") if one.startswith("Twice as many labels would bring about +"))
    assert " points (95%: +" in line
    assert line.endswith(", if the curve continues as it did.")
    assert "Look for wrong labels" not in text


def test_a_flat_curve_is_called_flat_with_what_may_help():
    text = printed(validated([90, 90, 90, 90]))
    assert "The curve is flat: twice as many labels like these would bring little. Look for wrong labels first" in text


def test_a_small_gain_is_called_little():
    assert "That is little. Look for wrong labels first" in printed(validated([93, 93, 94, 95]))


def test_a_gain_that_may_be_nothing_is_called_so():
    figures = validated([40, 60, 73, 82])
    figures["forecast"] |= {"gain": 0.03, "gain_interval": (0.0, 0.08)}
    text = printed(figures)
    assert (
        "about +3.0 points (95%: +0.0 to +8.0), if the curve continues as it did.\nThat may be nothing. Look for"
        in text
    )


@pytest.mark.parametrize("rights", [[60, 70], [60]])
def test_too_few_sizes_have_no_forecast(rights):
    assert "There is no forecast for more labels: it needs 3 sizes that can be trained." in printed(validated(rights))


def test_texts_that_are_all_right_need_no_more_labels():
    found = validated([90, 95, 100, 100])
    assert found["forecast"] is None
    assert (
        "There is no forecast for more labels: cross-validation has no error left, so only the test texts"
        in printed(found)
    )


def test_a_model_near_the_simplest_answer_has_no_forecast():
    found = validated([68, 69, 70, 71])
    assert found["forecast"] is None
    assert "a model that may be no better than the simplest answer may begin to learn later" in printed(found)


# The card


def test_figures_are_json_that_a_manifest_keeps(bundle):
    figures = validated([40, 60, 73, 82], TWO, 70)
    manifest = replace(bundle.manifest, metrics={**bundle.manifest.metrics, "cross_validation": figures})
    assert parse_manifest(manifest.to_json()).metrics["cross_validation"] == json.loads(json.dumps(figures))


def test_the_card_has_a_section_with_the_curve_after_the_evaluation(bundle):
    figures = validated([40, 60, 73, 82], TWO, 70)
    manifest = replace(bundle.manifest, metrics={**bundle.manifest.metrics, "cross_validation": figures})
    card = model_card(manifest, None, "").decode()
    assert card.index("## Evaluation") < card.index("## Cross-validation") < card.index("## Training")
    assert "were divided into 5 folds." in card
    assert "The test texts had no part in it." in card
    assert "| this model | 82.00% | 73.3" in card
    assert "| TF-IDF + logistic regression | 70.00% | " in card
    assert "| 160 (forecast) | " in card
    assert f"]({LEARNING_FIGURE})" in card
    assert "by label" not in card.split("## Cross-validation")[1].split("## Training")[0].lower()


def test_a_card_without_cross_validation_is_as_it_was(bundle):
    assert "cross_validation" not in bundle.manifest.metrics
    assert list(cross_validation_parts(bundle.manifest)) == []
    assert "Cross-validation" not in model_card(bundle.manifest, None, "").decode()
    assert LEARNING_FIGURE not in card_of(bundle, Card({}, None, ""))


def test_more_than_two_labels_have_out_of_fold_figures_each(bundle_of_three):
    judge = judge_of(SingleLabel(bundle_of_three.manifest.labels))
    figures = validated([40, 60, 73, 82], judge)
    parts = card_parts(bundle_of_three, figures)
    at = parts.index("By label, in the same cross-validation:")
    head, rows = parts[at + 1]
    assert head[:2] == ("label", "texts")
    assert [row[1] for row in rows] == ["60", "40", "0"]


def test_a_card_that_is_made_has_the_picture_that_it_names(bundle):
    figures = validated([40, 60, 73, 82], TWO, 70)
    with_figures = replace(
        bundle, manifest=replace(bundle.manifest, metrics={**bundle.manifest.metrics, "cross_validation": figures})
    )
    assert card_of(with_figures, Card({}, None, ""))[LEARNING_FIGURE].startswith(b"\x89PNG")


@pytest.mark.parametrize("picture", [LEARNING_FIGURE, LABELS_FIGURE, VALUES_FIGURE])
def test_overwrite_replaces_every_picture_of_a_card(tmp_path, picture):
    for name in ("SHA256SUMS", picture):
        (tmp_path / name).write_bytes(b"")
    check_free(tmp_path, overwrite=True)
