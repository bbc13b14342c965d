"""Parts of an import by themselves: labels, samples, halves, and the figures of a certificate."""

import csv
from collections import Counter

import numpy as np
import pytest
import transformers
from tiny_checkpoints import Notebook

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.classifier.settings import PRECISIONS
from export.cli.import_model import _texts, import_model
from export.cli.options import fill
from export.errors import DatasetError, ExportError, ParityError
from export.importing.certificate import (
    Distance,
    Piped,
    certify,
    certify_sets,
    certify_values,
    check_fp32,
    logit_tolerance,
)
from export.importing.folder import check_checkpoint_folder
from export.importing.labels import Labels, labels_of
from export.importing.settings import CheckpointSettings, ImportSettings, TextSettings
from export.importing.task import contradiction, task_of
from export.importing.texts import Sample, prepared, read_sample, reservoir
from export.importing.truth import numbers_of, sets_of, truth_of
from export.importing.unit import in_unit, logits_in_unit, unit_of
from scorer.base.errors import UsageError
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from scorer.model.interpretation import Regression
from scorer.rows.input_options import InputOptions

TWO = Labels(("a", "b"), 1, chosen=False)


def test_options_reach_their_settings_and_defaults_are_theirs():
    given = ("--texts", "t.csv", "--text-column", "t", "--label-column", "l", "--most-texts", "9", "--seed", "3")
    found = _texts(import_model.make_context("import", ["x", "-o", "b", *given, "--delimiter", ";"]).params)
    assert found == TextSettings("t.csv", "t", "l", 9, 3, InputOptions(delimiter=";"))
    plain = import_model.make_context("import", ["x", "-o", "b"]).params
    assert fill(CheckpointSettings, plain, name="x") == CheckpointSettings("x")
    names = {"notes": None}
    assert fill(ImportSettings, {**plain, **names}, name="b").precisions is None
    assert set(PRECISIONS) == {"fp32", "fp16", "int8"}


@pytest.mark.parametrize("name", ["LABEL_0", "label-1", "Label 7"])
def test_names_that_say_nothing_are_refused_unless_they_are_meant(name):
    made_up = {0: name, 1: "good"}
    with pytest.raises(ExportError, match="has no names for its labels, only"):
        labels_of(made_up, None, keep=False, positive=None, name="x")
    assert labels_of(made_up, None, keep=True, positive=None, name="x").names == (name, "good")
    assert labels_of(made_up, ("a", "b"), keep=False, positive=None, name="x").names == ("a", "b")


def test_logits_are_folded_in_the_order_of_the_bundle():
    rows = np.array([[1.0, 5.0], [4.0, 2.0]])  # of two labels, for two texts
    assert Labels(("a", "b"), 1, chosen=False).folded(rows).tolist() == [[3.0, -3.0]]
    assert Labels(("a", "b"), 0, chosen=True).folded(rows).tolist() == [[-3.0, 3.0]]
    three = Labels(("a", "b", "c"), None, chosen=False)
    assert three.folded(np.eye(3)).tolist() == np.eye(3).tolist()
    assert (three.names, three.ids) == (("a", "b", "c"), (0, 1, 2))


def test_labels_of_a_file_are_names_first_and_then_ids():
    numbered = Labels(("1", "0"), 0, chosen=True)  # the names are digits that are not the ids
    assert numbers_of(["0", "1"], numbered)[0].tolist() == [0, 1]
    assert numbers_of(["0", "1"], Labels(("a", "b"), 0, chosen=True))[0].tolist() == [1, 0]
    with pytest.raises(DatasetError, match=r"labels that the model lacks: 2\. It has: a, b, or by their ids 0, 1\."):
        numbers_of(["0", "2"], Labels(("a", "b"), 1, chosen=False))


def test_every_text_has_the_same_chance_of_being_chosen():
    found: Counter[int] = Counter()
    for seed in range(3_000):
        chosen, of = reservoir(iter(range(10)), 3, seed)
        assert (of, len(chosen), sorted(chosen)) == (10, 3, chosen)
        found.update(chosen)
    assert all(abs(count - 900) < 120 for count in found.values())  # 4.8 deviations
    assert reservoir(iter(range(100)), 5, 7) == reservoir(iter(range(100)), 5, 7)


def test_a_sample_keeps_texts_and_labels_together_and_the_order_of_the_file(tmp_path):
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["text", "label"], *([f"text {row}", f"label {row}"] for row in range(500))])
    found = read_sample(TextSettings(str(path), label_column="label", most=40), TWO)
    numbers = [int(text.split()[1]) for text in found.texts]
    assert (found.of, len(numbers)) == (500, 40)
    assert numbers == sorted(numbers)
    assert numbers[-1] > 300, "the whole file is sampled"
    assert found.raw == [f"label {number}" for number in numbers]
    assert read_sample(TextSettings(str(path), most=40), TWO).raw is None


def test_a_half_calibrates_and_the_other_judges(encoder, capfd):
    texts = [*(f"good film {'very ' * row}" for row in range(9)), "\u200b"]
    found = prepared(
        Sample(texts, ["1", "0"] * 5, 10), encoder("bert").tokenizer, Labels(("a", "b"), 1, chosen=False), 0
    )
    assert "1 of the texts have no token" in capfd.readouterr().err
    assert sorted([*found.calibrating, *found.judging]) == list(range(9))
    assert abs(len(found.calibrating) - len(found.judging)) == 1
    assert found.labels.tolist() == [1, 0, 1, 0, 1, 0, 1, 0, 1]
    with pytest.raises(DatasetError, match="--texts has 3 usable texts; at least 4 are needed"):
        prepared(Sample(texts[:3], None, 3), encoder("bert").tokenizer, Labels(("a", "b"), 1, chosen=False), 0)


def logit(probability):
    return np.log(probability / (1 - probability))


def test_the_figures_of_a_certificate_are_those_of_a_case_computed_by_hand():
    expected = logit(np.array([[0.9], [0.2], [0.6], [0.500002]]))
    found = logit(np.array([[0.8], [0.2], [0.4], [0.499998]]))
    piped = Piped(np.array([0, 1, 2]), np.array([1, 0, 1]), np.array([0.9, 0.8, 0.6]))
    certificate = certify(found, expected, piped)
    assert certificate.texts == 4
    # log(9) - log(4) of the first text, log(1.5) - log(2/3) of the third; the fourth is nearly 0.
    assert certificate.logit.largest == pytest.approx(np.log(9 / 4))
    assert certificate.logit.mean == pytest.approx((2 * np.log(9 / 4) + logit(0.500002) - logit(0.499998)) / 4)
    assert certificate.probability.largest == pytest.approx(0.2)
    assert certificate.probability.mean == pytest.approx((0.1 + 0.2 + 4e-6) / 4)
    assert certificate.labels.share == 0.75  # the third text is lost; the fourth has no clear label
    assert certificate.labels.interval == pytest.approx((0.3006, 0.9544), abs=1e-4)  # Wilson, 3 of 4
    assert certificate.pipeline.labels.texts == 3
    assert certificate.pipeline.labels.share == pytest.approx(2 / 3)
    assert certificate.pipeline.probability.largest == pytest.approx(0.2)
    assert certificate.pipeline.probability.mean == pytest.approx(0.1)


def test_with_more_labels_the_winners_probability_of_the_pipeline_is_compared():
    expected = np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]))
    found = np.log(np.array([[0.3, 0.5, 0.2], [0.1, 0.25, 0.65]]))
    certificate = certify(found, expected, Piped(np.array([0, 1]), np.array([0, 2]), np.array([0.5, 0.7])))
    assert certificate.labels.share == certificate.pipeline.labels.share == 0.5
    assert certificate.pipeline.probability.largest == pytest.approx(0.2)
    assert certificate.pipeline.probability.mean == pytest.approx(0.125)


def test_the_figures_of_label_sets_are_those_of_a_case_computed_by_hand():
    expected = logit(np.array([[0.9, 0.1], [0.2, 0.500002], [0.6, 0.8]]))
    found = logit(np.array([[0.8, 0.1], [0.2, 0.499998], [0.4, 0.8]]))
    piped = Piped(np.array([0, 2]), None, np.array([[0.9, 0.1], [0.6, 0.8]]))
    certificate = certify_sets(found, expected, piped)
    assert certificate.probability.largest == pytest.approx(0.2)
    assert certificate.probability.mean == pytest.approx((0.1 + 4e-6 + 0.2) / 6)
    # The third text loses its first label; the second label of the second text is not clear.
    assert certificate.labels.share == certificate.least == certificate.agreement == pytest.approx(2 / 3)
    assert (certificate.pipeline.labels.texts, certificate.pipeline.labels.share) == (2, 0.5)
    assert certificate.pipeline.probability.largest == pytest.approx(0.2)


def test_a_text_keeps_its_labels_only_if_it_keeps_each_and_the_gate_goes_by_the_worst_label():
    expected = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    found = expected * np.array([[1, -1], [1, 1], [-1, -1], [1, 1]])
    certificate = certify_sets(found, expected, None)
    assert (certificate.labels.share, certificate.agreement) == (0.5, 0.5)
    found[0, 0] = -1
    found[2] = expected[2]
    certificate = certify_sets(found, expected, None)
    assert (certificate.labels.share, certificate.agreement) == (0.75, 0.75)
    found[3, 0] = -1
    certificate = certify_sets(found, expected, None)  # another text loses the first label
    assert (certificate.labels.share, certificate.agreement) == (0.5, 0.5)


def test_the_figures_of_values_are_those_of_a_case_computed_by_hand():
    unit = Regression(("price", "size"), (4.0, 1.0), (10.0, 0.0))
    expected = np.array([[-1.0, 1.0], [1.0, 3.0]])  # the values 6 and 14, 1 and 3
    found = np.array([[-0.5, 1.0], [1.0, 3.0]])  # 8 and 14
    piped = Piped(np.array([0]), None, np.array([[6.0, 1.0]]))
    certificate = certify_values(found, expected, piped, unit)
    assert (certificate.logit.largest, certificate.value.largest, certificate.value.mean) == (0.5, 2.0, 0.5)
    assert certificate.explained.share == certificate.agreement == pytest.approx(1 - 4 / 32)  # of the worse output
    assert certificate.pipeline.value.largest == 2.0
    assert (certificate.probability, certificate.labels) == (None, None)
    assert not {"probability", "labels", "least"} & (
        certificate.fields().keys() | certificate.fields()["pipeline"].keys()
    )


def test_values_of_a_regression_have_at_least_the_steps_of_float32():
    small, large = np.array([[0.9], [1.1]]), np.array([[2_000.0], [2_000.2]])
    of = [(logits_in_unit(values, unit_of(values)), unit_of(values)) for values in (small, large)]
    tolerances = [logit_tolerance(logits, Regression(("x",), unit.scale, unit.offset)) for logits, unit in of]
    assert tolerances[0] == pytest.approx(1e-4)
    assert tolerances[1] == pytest.approx(4 * 2.0**-13 / of[1][1].scale[0])  # float32 has steps of 2^-13 at 2,000


def test_a_unit_leaves_the_values_as_they_are():
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(2, 8)) * [[1e4], [1e-3]], np.array([7e5, 2.0])
    head = LinearHead(weight.astype(np.float32), bias.astype(np.float32))
    features = rng.normal(size=(50, 8)).astype(np.float32)
    values = head.logits(features)
    unit = unit_of(values)
    logits = in_unit(Classifier(head, "cls"), unit).head.logits(features)
    assert logits.std(axis=0) == pytest.approx(1, abs=0.5)
    assert Regression(("a", "b"), unit.scale, unit.offset).values(logits) == pytest.approx(values, rel=3e-7)
    assert np.log2(unit.scale).tolist() == np.round(np.log2(unit.scale)).tolist()
    assert unit_of(np.array([[5.0], [5.0]])).scale == (4.0,)
    assert unit_of(np.array([[0.0], [0.0]])).scale == (1.0,)


def test_the_settings_state_the_task_unless_there_is_one_output_or_a_person_says_otherwise():
    assert task_of("multi_label_classification", 2, None, "x") == MULTI_LABEL
    assert task_of("multi_label_classification", 1, None, "x") == MULTI_LABEL
    assert task_of("regression", 3, None, "x") == REGRESSION
    assert task_of("regression", 3, MULTI_LABEL, "x") == MULTI_LABEL
    assert task_of(None, 2, None, "x") == task_of("single_label_classification", 2, None, "x") == SINGLE_LABEL
    for stated in (None, "single_label_classification"):
        with pytest.raises(UsageError, match=r"x has one output.*import x --task regression\. .*--label-names NAME\.$"):
            task_of(stated, 1, None, "x")
        with pytest.raises(UsageError, match="chooses one of two or more labels, and x has one output"):
            task_of(stated, 1, SINGLE_LABEL, "x")
    # Nothing contradicts: it is what the pipeline does.
    assert contradiction(None, 1, MULTI_LABEL) is None
    assert contradiction("regression", 1, REGRESSION) is None
    assert contradiction(None, 2, SINGLE_LABEL) is None
    assert "have the problem_type regression; the pipeline of transformers applies a sigmoid only if" in contradiction(
        "regression", 1, MULTI_LABEL
    )
    # One output gets a sigmoid from the pipeline even if the settings state a choice.
    found = contradiction("single_label_classification", 1, MULTI_LABEL)
    assert found.endswith("the checkpoint's settings have the problem_type single_label_classification")


def test_names_of_outputs_and_of_label_sets():
    made_up = {0: "LABEL_0", 1: "LABEL_1"}
    one = labels_of({0: "LABEL_0"}, None, keep=False, positive=None, name="x", task=REGRESSION)
    assert (one.names, one.positive) == (("score",), None)
    named = labels_of({0: "LABEL_0"}, ("stars",), keep=False, positive=None, name="x", task=REGRESSION)
    assert named.names == ("stars",)
    with pytest.raises(ExportError, match="has no names for its outputs, only LABEL_0, LABEL_1"):
        labels_of(made_up, None, keep=False, positive=None, name="x", task=REGRESSION)
    with pytest.raises(ExportError, match="has no names for its labels, only LABEL_0"):
        labels_of({0: "LABEL_0"}, None, keep=False, positive=None, name="x", task=MULTI_LABEL)
    two = labels_of(made_up, ("b", "a"), keep=False, positive=None, name="x", task=MULTI_LABEL)
    assert (two.names, two.ids, two.positive) == (("b", "a"), (0, 1), None)
    assert two.folded(np.eye(2)).tolist() == np.eye(2).tolist()
    with pytest.raises(
        UsageError, match="--positive-label is for one label of two a text; the task of x is multi_label"
    ):
        labels_of(made_up, ("b", "a"), keep=False, positive="a", name="x", task=MULTI_LABEL)


def test_true_labels_of_a_file_follow_the_task():
    several = Labels(("a", "b", "c"), None, chosen=False, task=MULTI_LABEL)
    assert sets_of([("c", "a"), (), ("b", "b")], several)[0].tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    found, are_ids = truth_of([("2", "0"), ("1.0",)], several)
    assert (found.tolist(), are_ids) == ([[1, 0, 1], [0, 1, 0]], True)
    assert truth_of([(), ()], several)[1] is False
    with pytest.raises(
        DatasetError, match=r"labels that the model lacks: d\. It has: a, b, c, or by their ids 0, 1, 2\."
    ):
        sets_of([("a", "d")], several)
    value = Labels(("score",), None, chosen=False, task=REGRESSION)
    two = Labels(("v", "w"), None, chosen=False, task=REGRESSION)
    assert truth_of([1.5, 2.0], value)[0].tolist() == [[1.5], [2.0]]
    assert truth_of([(1.0, -2e3)], two)[0].tolist() == [[1.0, -2000.0]]


def test_fp32_passes_within_rounding_errors_of_its_logits():
    assert logit_tolerance(np.array([[0.1], [0.2]])) == pytest.approx(1e-4)
    assert logit_tolerance(np.array([[-3.0, 0.1], [3.0, 0.1]])) == pytest.approx(3e-4)
    expected = np.array([[9.0], [-9.0]])
    check_fp32(certify(expected + 5e-4, expected, None), logit_tolerance(expected))
    with pytest.raises(
        ParityError, match=r"fp32 differs from PyTorch by 0\.001 in a logit over 2 texts; at most 0\.0009"
    ):
        check_fp32(certify(expected + 1e-3, expected, None), logit_tolerance(expected))
    with pytest.raises(ParityError, match=r"by 2\.\de-05 in a probability over 1 texts; at most 1e-05 is allowed"):
        check_fp32(certify(np.array([[9e-5]]), np.array([[0.0]]), None), 1e-4)
    with pytest.raises(ParityError):
        check_fp32(certify(np.array([[np.nan]]), np.array([[0.0]]), None), 1e-4)
    assert certify(expected, expected, None).logit == Distance(0.0, 0.0)


def test_code_of_a_checkpoints_own_is_refused_with_that_reason(tmp_path):
    (tmp_path / "config.json").write_text(
        '{"model_type": "own", "auto_map": {"AutoConfig": "code.Own"}, "id2label": {"0": "a", "1": "b"}}'
    )
    with pytest.raises(
        ExportError, match=r"needs code of its own from the hub \(auto_map in config.json\), which is never run"
    ):
        check_checkpoint_folder(CheckpointSettings(str(tmp_path)))


def test_a_tail_needs_tokens_to_choose_from():
    assert CheckpointSettings("x", truncation="tail", max_tokens=700).tokens_kept(512) == 700
    assert CheckpointSettings("x", truncation="tail").tokens_kept(2_000) == 2_001
    with pytest.raises(UsageError, match="needs more tokens to choose from than --max-length 512"):
        CheckpointSettings("x", truncation="tail", max_tokens=512).tokens_kept(512)


def test_the_notebook_of_the_tests_has_the_keys_that_are_promised(encoder_folder):
    module = Notebook(transformers.AutoModel.from_pretrained(encoder_folder("bert")), 1)
    assert {name.partition(".")[0] for name in module.state_dict()} == {"encoder", "classifier"}
    assert tuple(module.state_dict()["classifier.weight"].shape) == (1, 32)
