"""Evaluation: metrics, held-out texts, bundles side by side, and the baseline."""

import io
import json
import os
import shutil
from dataclasses import replace
from math import comb

import numpy as np
import pytest
from factories import reviews
from sklearn.metrics import log_loss, precision_recall_fscore_support

from export.classifier.stacking import stack
from export.data import Split
from export.errors import ExportError
from export.evaluation import baseline
from export.evaluation.cascade import StagedTexts
from export.evaluation.evaluate import Scored, by_group, by_length, costliest, reference, score_split
from export.evaluation.figures import confusion_matrix, group_intervals
from export.evaluation.metrics import calibration_error, metrics, reliability
from export.evaluation.outputs import is_evaluation, picture_names
from export.evaluation.paired import paired
from export.evaluation.single_judge import SingleJudge
from export.training.holdout import split_rows
from export.training.settings import FitSettings
from scorer import Scorer
from scorer.model.decision import probabilities
from scorer.model.interpretation import SingleLabel
from scorer.model.loaded import LoadedModel


def scored(positive, labels, lengths=None, groups=()):
    positive = np.array(positive)
    split = Split(
        [f"text {row}" for row in range(len(labels))], np.array(labels), tuple("abcdefgh"[: len(labels)]), groups
    )
    lengths = np.array(lengths or [3] * len(labels))
    values = np.stack([1 - positive, positive], axis=1)
    return Scored(split, SingleLabel(("no", "yes")), values, lengths, lengths > 1000, np.zeros(len(labels)))


def test_figures_are_those_of_the_definitions():
    found = scored([0.9, 0.8, 0.6, 0.3, 0.1, 0.7], [1, 1, 0, 0, 0, 1]).metrics
    assert (found.texts, found.accuracy) == (6, 5 / 6)
    assert found.f1 == pytest.approx(2 * 3 / (2 * 3 + 1 + 0))
    assert found.roc_auc == 1.0
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7, 0.9, 0.7]).mean())
    low, high = found.interval  # Wilson 1927, with z = 1.96
    z, n, p = 1.959964, 6, 5 / 6
    middle, half = (
        (p + z * z / (2 * n)) / (1 + z * z / n),
        z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)),
    )
    assert (low, high) == (pytest.approx(middle - half, abs=1e-6), pytest.approx(middle + half, abs=1e-6))


def test_more_than_two_labels_have_figures_too():
    random = np.random.default_rng(0)
    found = probabilities(random.normal(size=(90, 3)))
    labels = random.integers(0, 3, size=90)
    figures = metrics(found, labels)
    assert figures.log_loss == pytest.approx(log_loss(labels, found))
    assert 0 < figures.roc_auc < 1
    assert metrics(found[:5], np.zeros(5, dtype=np.int64)).roc_auc is None


def test_more_than_two_labels_have_precision_recall_and_f1_each_and_the_mean_is_called_macro():
    random = np.random.default_rng(0)
    values, truth = probabilities(random.normal(size=(90, 3))), random.integers(0, 3, size=90)
    judge = SingleJudge(SingleLabel(("a", "b", "c")))
    predicted, details = values.argmax(axis=1), judge.details(values, truth)
    figures = precision_recall_fscore_support(truth, predicted)
    assert [one["name"] for one in details["by_label"]] == ["a", "b", "c"]
    for name, each in zip(("precision", "recall", "f1", "texts"), figures, strict=True):
        assert [one[name] for one in details["by_label"]] == pytest.approx(each.tolist())
    assert judge.metrics(values, truth).f1 == pytest.approx(figures[2].mean())
    assert "macro F1" in judge.head
    by_label, _ = judge.tables(details)
    assert by_label.rows[0] == ("a", str(figures[3][0]), *(f"{each[0]:.4f}" for each in figures[:3]))
    assert judge.tables({"by_label": details["by_label"]}) == [by_label]  # as a manifest holds it


def test_two_labels_have_one_f1_that_of_the_positive_label():
    judge = SingleJudge(SingleLabel(("bad", "good")))
    assert "F1" in judge.head
    assert judge.details(np.array([[0.4, 0.6]]), np.array([1])).keys() == {"confusion"}


def test_a_pair_of_models_is_compared_by_the_texts_that_only_one_gets_right():
    random = np.random.default_rng(0)
    first, second = random.random(400) < 0.7, random.random(400) < 0.8
    found = paired(first, second)
    lost, won = int((first & ~second).sum()), int((~first & second).sum())
    assert (found.only_first, found.only_second) == (lost, won)
    assert found.p == pytest.approx(2 * sum(comb(won + lost, k) for k in range(lost + 1)) / 2 ** (won + lost))
    assert found.difference == pytest.approx(second.mean() - first.mean())
    assert found.interval[0] < found.difference < found.interval[1]
    other = paired(second, first)
    assert (other.p, other.difference, other.interval) == (
        found.p, -found.difference, pytest.approx((-found.interval[1], -found.interval[0])),
    )  # fmt: skip


def test_the_interval_of_a_pair_has_a_width_where_one_model_is_right_whenever_the_other_is():
    found = paired(np.array([True] * 30), np.array([True] * 30))
    assert found.interval[0] < 0 < found.interval[1]
    assert found.p == 1.0


def test_calibration_error_is_the_mean_distance_of_sure_and_right():
    found = scored([0.75] * 4, [1, 1, 1, 0])
    assert found.metrics.ece == pytest.approx(0)
    assert scored([0.95] * 4, [1, 1, 1, 0]).metrics.ece == pytest.approx(0.2)
    bins = reliability(scored([0.95, 0.95, 0.55], [1, 0, 1]).values, np.array([1, 0, 1]))
    assert [one.texts for one in bins] == [1, 2]
    assert calibration_error(bins) == pytest.approx((0.45 + 2 * 0.45) / 3)


def test_the_costliest_errors_are_errors_and_the_costliest_first():
    found = scored([0.9, 0.99, 0.6, 0.2, 0.4], [0, 0, 1, 1, 0])
    assert costliest(found, 10) == [1, 0, 3]
    assert costliest(found, 1) == [1]


def test_groups_by_length_and_by_value_hold_every_text_once():
    found = scored([0.9] * 6, [1, 0, 1, 1, 1, 1], [3, 64, 65, 400, 401, 1024], ("10", "2", "2", "1", "10", "10"))
    lengths = by_length(found, 400)
    assert [one.name for one in lengths] == [
        "up to 64 tokens", "65 to 128 tokens", "257 to 400 tokens", "401 to 512 tokens", "more than 1,024 tokens",
    ]  # fmt: skip
    assert sum(one.metrics.texts for one in lengths) == 6
    assert [(one.name, one.metrics.texts) for one in by_group(found)] == [("1", 1), ("2", 2), ("10", 3)]
    assert by_group(scored([0.9], [1])) == []
    short = by_length(scored([0.9] * 2, [1, 0], [3, 70]), 400)
    assert [one.name for one in short] == ["up to 64 tokens", "65 to 70 tokens"]


def test_reference_histograms_count_every_text():
    found = reference(scored([0.0, 0.5, 1.0], [1, 0, 1], [1, 400, 30_000]))
    for name in ("score", "tokens", "unknown"):
        assert getattr(found, name).total == found.texts == 3
    assert found.score.counts[-1] == 1
    assert found.tokens.counts[0] == found.tokens.counts[-1] == 1


def test_a_reference_has_the_scores_without_the_cascade_too():
    found = scored([0.9, 0.2, 0.6], [1, 0, 1])
    assert reference(found).score_without_cascade is None
    wide = np.array([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1]])
    stages = StagedTexts(found.split.labels, found.values, wide, np.array([False, True, False]), found.lengths)
    staged = reference(replace(found, values=stages.staged, stages=stages))
    assert np.flatnonzero(staged.score.counts).tolist() == [12, 16, 18]
    assert staged.without_cascade().score == reference(found).score
    assert np.flatnonzero(reference(found).score.counts).tolist() == [4, 12, 18]


# Held-out texts, stacking and calibration


def test_validation_rows_are_runs_of_neighbours_all_over_the_file():
    labels = np.array([0] * 5000 + [1] * 5000)
    train, validation = split_rows(labels, FitSettings())
    assert len(validation) == 1000
    assert sorted([*train, *validation]) == list(range(10_000))
    runs = np.split(validation, np.flatnonzero(np.diff(validation) > 1) + 1)
    assert [len(run) for run in runs] == [40] * 25
    assert labels[validation].mean() == pytest.approx(0.5, abs=0.05)
    assert (split_rows(labels, FitSettings(seed=1))[1] != validation).any()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("labels", "held_out"),
    [
        ([0, 1] * 200, [20, 20]),  # alternating, as in many files
        ([0, 1, 2, 3, 4] * 50, [5] * 5),
        ([0] * 10_000 + [1] * 300 + [2] * 10_000, [972, 30, 1053]),
        ([0] * 30 + [1] * 30, None),
        ([0] * 400 + [1], [40, 0]),
        ([0] * 200 + [1, 1] + [0] * 200, None),
    ],
    ids=["alternating", "rotating", "sorted", "small", "single", "pair"],
)
def test_every_label_is_held_out_and_trained_on(labels, held_out, seed):
    labels = np.array(labels)
    train, validation = split_rows(labels, FitSettings(seed=seed))
    assert sorted([*train, *validation]) == list(range(len(labels)))
    counts = np.bincount(labels[validation], minlength=labels.max() + 1)
    many = np.bincount(labels) > 1
    assert (np.bincount(labels[train], minlength=labels.max() + 1) > 0).all()
    assert (counts[many] > 0).all()
    assert (counts[~many] == 0).all()
    assert held_out is None or np.abs(counts - held_out).max() <= 0.05 * len(labels) / 10 + 1
    assert len(labels) / 10 - 1 <= len(validation) <= len(labels) / 10 * 1.05 + 3


def test_two_texts_are_too_few_to_hold_out_one():
    with pytest.raises(ExportError, match="2 training texts are too few"):
        split_rows(np.array([0, 1]), FitSettings())


def test_nothing_of_the_share_to_be_held_out_is_lost_in_rounding():
    assert len(split_rows(np.arange(490) % 2, FitSettings())[1]) == 49


@pytest.mark.parametrize("count", [1, 2, 4, 5, 10, 20, 40, 60, 101])
def test_the_baseline_on_the_texts_themselves_scores_each_of_them(count):
    labels = np.arange(count) % 3
    found = baseline.cross_validated([f"word{label} and more" for label in labels], labels, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    if count >= 40:
        assert (found.argmax(axis=1) == labels).all()
    assert metrics(found, labels).texts == count


def test_where_no_word_is_in_two_texts_the_baseline_gives_the_labels_shares():
    texts = [chr(0x4E00 + 3 * row) + chr(0x4E01 + 3 * row) for row in range(120)]
    found = baseline.trained_on(texts, np.array([0, 1, 1] * 40), ["?"], 2)
    np.testing.assert_allclose(found, [[1 / 3, 2 / 3]])


def test_labels_with_dollar_signs_can_be_drawn():
    found = scored([0.9, 0.1], [1, 1], groups=("$", "$$"))
    assert confusion_matrix("$", ("$", "$$"), np.array([[1, 0], [0, 1]])).startswith(b"\x89PNG")
    assert group_intervals("by price", by_group(found)).startswith(b"\x89PNG")


def test_temperature_brings_sureness_down_to_what_is_right():
    random = np.random.default_rng(0)
    truth = random.normal(size=(20_000, 1)).astype(np.float32)
    labels = (random.random(20_000) < 1 / (1 + np.exp(-truth[:, 0]))).astype(np.int64)
    found = stack(3 * truth, None, labels)
    assert found.temperature == pytest.approx(3, rel=0.05)
    assert (found.share, found.bias.tolist()) == (0, [0])
    before, after = (reliability(probabilities(3 * truth, t), labels) for t in (1, found.temperature))
    assert calibration_error(before) > 0.1 > 0.02 > calibration_error(after)


@pytest.mark.parametrize("labels", [2, 3])
def test_stacking_weighs_two_parts_by_what_they_know(labels):
    random = np.random.default_rng(0)
    width = 1 if labels == 2 else 3
    parts = random.normal(size=(2, 20_000, width)).astype(np.float32)
    logits = parts[0] + 2 * parts[1] + 0.5 * np.arange(width, dtype=np.float32)
    chances = probabilities(logits)
    truth = (random.random((20_000, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    found = stack(parts[0], parts[1], truth)
    assert found.share == pytest.approx(2, rel=0.1)
    assert found.temperature == pytest.approx(1, rel=0.1)
    assert metrics(probabilities(found.logits(*parts), found.temperature), truth).ece < 0.02


def test_a_few_texts_that_are_all_right_do_not_make_it_sure_beyond_measure():
    logits = np.array([[4.0], [-4.0]] * 10, dtype=np.float32)
    found = stack(logits, logits, np.array([1, 0] * 10))
    assert 0.2 < found.temperature < 5


# The command


@pytest.fixture
def labelled(tmp_path):
    split = reviews(90, 2, 3)
    lines = [
        {"id": f"r{row}", "text": text, "label": ("negative", "positive")[label], "rating": 1 + row % 5}
        for row, (text, label) in enumerate(zip(split.texts, split.labels.tolist(), strict=True))
    ]
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_bundles_stand_side_by_side_with_the_baseline(bundle, labelled, score_model, tmp_path):
    other = shutil.copytree(bundle.path, tmp_path / "other")
    result = score_model(
        "evaluate", bundle.path, other, "--data", labelled, "--provider", "cpu", "-q",
        "-o", tmp_path / "figures", "--errors", tmp_path / "errors.jsonl", "--most-errors", 3,
    )  # fmt: skip
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0] == "|  | texts | accuracy | 95% interval | F1 | ROC AUC | log loss | calibration error |"
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        f"| {bundle.path} (int8, cpu)", f"| {other} (int8, cpu)", "| TF-IDF + logistic regression, five-fold on these texts",
    ]  # fmt: skip
    assert f"{other} (int8, cpu), by length:" in lines
    assert f"{other} (int8, cpu), by group:" in lines
    assert any(line.startswith("| 5 | 18 | ") for line in lines)
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == [
        "confusion-1.png", "confusion-2.png", "evaluation.json", "group-1.png", "group-2.png", "length-1.png",
        "length-2.png", "reliability.png",
    ]  # fmt: skip
    found = json.loads((tmp_path / "figures" / "evaluation.json").read_text())
    assert sum(map(sum, found[f"{other} (int8, cpu)"]["confusion"])) == 90
    assert len(found) == 3
    assert lines[6] == "Pairs of bundles on the same texts (exact McNemar test):"
    row = f"| {bundle.path} (int8, cpu) | {other} (int8, cpu) | 0 | 0 | +0.00 | "
    assert lines[10].startswith(row)
    assert lines[10].endswith(" | 1.000 |")
    against = found[f"{other} (int8, cpu)"]["against"][f"{bundle.path} (int8, cpu)"]
    assert (against["only_first"], against["only_second"], against["p"]) == (0, 0, 1.0)
    assert (
        "by_label" not in found[f"{other} (int8, cpu)"]
    )  # recall and precision of two labels are in the confusion matrix
    errors = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert all(error["label"] != error["predicted"] and error["text"] for error in errors)
    assert [error["loss"] for error in errors[:3]] == sorted((error["loss"] for error in errors[:3]), reverse=True)


@pytest.mark.parametrize("name", ["staged_bundle", "staged_bundle_of_three"])
def test_figures_with_the_cascade_are_those_of_what_score_gives(request, name):
    bundle = request.getfixturevalue(name)
    split = reviews(300, len(bundle.manifest.labels), 5)
    scored = score_split(LoadedModel(bundle, provider="cpu", cascade=False), split, quiet=True)
    staged, whole = (Scorer(bundle, provider="cpu", cascade=on).score(split.texts) for on in (True, False))
    assert scored.values.tobytes() == scored.stages.staged.tobytes() == staged.probabilities.tobytes()
    assert scored.without_cascade.values.tobytes() == whole.probabilities.tobytes()
    assert 0.2 < scored.stages.chosen.rows < 0.8
    assert (scored.values != scored.stages.whole).any(axis=1).sum() == scored.stages.early.sum()


def test_a_scorer_that_leaves_texts_out_of_the_encoder_is_not_evaluated(staged_bundle):
    with pytest.raises(AssertionError):
        score_split(LoadedModel(staged_bundle, provider="cpu"), reviews(4, 2, 5), quiet=True)


def test_a_cascade_stands_beside_the_same_bundle_without(bundle, staged_bundle, labelled, score_model, tmp_path):
    result = score_model(
        "evaluate", bundle.path, staged_bundle.path, "--data", labelled, "--provider", "cpu", "-q", "--no-baseline",
        "-o", tmp_path / "figures",
    )  # fmt: skip
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    names = ["tiny (int8, cpu)", "staged (int8, cpu)", "staged (int8, cpu), no cascade"]
    assert [line.split(" | ")[0][2:] for line in lines[2:5]] == names
    scorers = {on: Scorer(staged_bundle, provider="cpu", cascade=on) for on in (True, False)}
    rows = [json.loads(line) for line in labelled.read_text().splitlines()]
    said = {on: scorer.score([row["text"] for row in rows]).labels for on, scorer in scorers.items()}
    right = {on: np.array([row["label"] for row in rows]) == labels for on, labels in said.items()}
    for line, on in ((lines[3], True), (lines[4], False)):
        assert line.split(" | ")[2] == f"{right[on].mean():.2%}"
    at = lines.index("Cascades: texts decided early, without the encoder")
    assert lines[at + 2].startswith(
        "|  | texts | decided early | tokens saved | accuracy | without cascade | points lost (95%) |"
    )
    (own,) = (line.split(" | ") for line in lines[at + 4 : at + 6] if line)
    assert own[:2] == ["| staged (int8, cpu)", "90"]
    points = 100 * (right[False].mean() - right[True].mean())
    assert own[6].startswith(f"{points:.2f} (")
    assert lines.count("| group | texts | accuracy | 95% interval |") == 1
    (at,) = (
        row for row, line in enumerate(lines) if line == "| group | texts | accuracy | 95% interval | without cascade |"
    )
    for number, line in enumerate(lines[at + 2 : at + 7], start=1):
        of_group = np.array([row["rating"] == number for row in rows])
        cells = line.strip("| ").split(" | ")
        assert [cells[0], cells[2], cells[4]] == [
            str(number),
            *(f"{right[on][of_group].mean():.2%}" for on in (True, False)),
        ]
    pictures = {path.name for path in (tmp_path / "figures").glob("*.png")}
    assert "cascade-2.png" in pictures
    assert "cascade-1.png" not in pictures
    assert pictures <= set(picture_names(2))
    with open(tmp_path / "figures" / "evaluation.json", "rb") as file:
        assert is_evaluation(file)
    found = json.loads((tmp_path / "figures" / "evaluation.json").read_text())
    assert list(found) == names
    assert [found[name]["accuracy"] for name in names[1:]] == [right[True].mean(), right[False].mean()]
    own = found[names[1]]["cascade"]
    assert own["loss"]["points"] == pytest.approx(points)
    assert [one["name"] for one in own["by_group"]] == ["1", "2", "3", "4", "5"]
    assert own["curve"][0]["accuracy"] == right[False].mean()
    assert all("cascade" not in found[name] for name in (names[0], names[2]))
    assert score_model("evaluate", bundle.path, staged_bundle.path, "--data", labelled, "--provider", "cpu", "-q",
                       "--no-baseline", "-o", tmp_path / "figures").code == 0  # fmt: skip


def test_an_evaluation_of_an_earlier_release_is_recognized():
    own = {"texts": 1, "accuracy": 1.0, "interval": [0, 1], "f1": 1.0, "roc_auc": None, "log_loss": 0.1, "ece": 0.0}
    assert is_evaluation(io.BytesIO(json.dumps({"m (int8, cpu)": {**own, "confusion": [[1]]}, "TF-IDF": own}).encode()))
    assert not is_evaluation(io.BytesIO(json.dumps({"m, no cascade": {"texts": 1}}).encode()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--no-baseline", "--train-file", "DATA"], "--train-file has an effect only with --baseline."),
        (["--most-errors", "3"], "--most-errors has an effect only with --errors."),
        (
            ["--errors", "nowhere/errors.jsonl"],
            f"the folder {os.path.realpath('nowhere')} of --errors nowhere/errors.jsonl does not exist; create it first.",
        ),
        (["--errors", "-"], "--errors needs a file, since the figures go to stdout."),
    ],
)
def test_what_evaluate_cannot_do_is_said_before_anything_is_scored(bundle, labelled, score_model, options, message):
    options = [labelled if option == "DATA" else option for option in options]
    result = score_model("evaluate", bundle.path, "--data", labelled, "--provider", "cpu", *options)
    assert (result.code, result.err, result.out) == (2, f"Error: {message}\n", "")


@pytest.fixture
def evaluate(bundle, labelled, score_model):
    """Evaluate the tiny bundle on the labelled texts, quickly."""

    def run(*options):
        given = ("--data", labelled, "--train-file", labelled, "--provider", "cpu", "-q")
        return score_model("evaluate", bundle.path, *given, *options)

    return run


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_left_out_of_a_folder_of_data_is_said(bundle, labelled, score_model, tmp_path):
    (tmp_path / "data").mkdir()
    shutil.copy(labelled, tmp_path / "data" / labelled.name)
    shutil.copy(labelled, tmp_path / "data" / f"_{labelled.name}")
    result = score_model("evaluate", bundle.path, "--data", tmp_path / "data", "--provider", "cpu", "--no-baseline")
    assert result.code == 0, result.err
    assert "1 names in input folders were ignored" in result.err


@pytest.mark.parametrize("link", ["same", "symlink", "hard link"])
def test_errors_never_take_the_place_of_the_data(evaluate, labelled, tmp_path, link):
    place = labelled if link == "same" else tmp_path / "other.jsonl"
    if link == "symlink":
        place.symlink_to(labelled)
    elif link == "hard link":
        place.hardlink_to(labelled)
    before = contents(tmp_path)
    for more in ([], ["--overwrite"]):
        result = evaluate("--errors", place, *more)
        assert (result.code, result.out) == (2, "")
        assert result.err == f"Error: --errors {place} is an input too; write to another file.\n"
    assert contents(tmp_path) == before


def test_errors_replace_earlier_errors_and_what_overwrite_says(evaluate, tmp_path):
    place = tmp_path / "errors.jsonl"
    assert evaluate("--errors", place).code == 0
    first = place.read_bytes()
    assert evaluate("--errors", place, "--most-errors", 1).code == 0
    assert first.startswith(place.read_bytes())
    for foreign in ("thesis\n", '{"id": 1, "text": "mine"}\n', first.decode() + '{"note": "mine"}\n', "\x00"):
        place.write_text(foreign)
        result = evaluate("--errors", place)
        assert (result.code, result.out) == (2, "")
        assert result.err == (
            f"Error: --errors {place} exists and is not the list of errors of an earlier run; give --overwrite to replace it, "
            "or choose another name.\n"
        )
        assert place.read_text() == foreign
    assert evaluate("--errors", place, "--overwrite").code == 0
    assert place.read_bytes() == first
    place.write_bytes(b"")
    assert evaluate("--errors", place).code == 0
    assert place.read_bytes() == first


def test_nothing_is_written_before_the_work_is_done(evaluate, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise ExportError("the work failed")

    place, figures = tmp_path / "errors.jsonl", tmp_path / "deep" / "figures"
    assert evaluate("--errors", place).code == 0
    before = contents(tmp_path)
    monkeypatch.setattr("export.evaluation.report.evaluate", fail)
    assert evaluate("--errors", place, "-o", figures).code == 1
    assert contents(tmp_path) == before
    assert not figures.parent.exists()


def test_figures_replace_earlier_figures_only(evaluate, tmp_path):
    figures = tmp_path / "deep" / "figures"
    assert evaluate("-o", figures).code == 0
    assert evaluate("-o", figures).code == 0
    first = contents(figures)
    assert {"reliability.png", "confusion.png", "group.png", "evaluation.json"} <= first.keys()
    (figures / "notes.txt").write_text("mine")
    for name, foreign in (
        ("reliability.png", b"mine"), ("confusion.png", first["confusion.png"][:40]), ("evaluation.json", b'{"a": {}}'),
        ("evaluation.json", b"[]"),
    ):  # fmt: skip
        (figures / name).write_bytes(foreign)
        before = contents(figures)
        kind = "file of figures" if name == "evaluation.json" else "picture"
        result = evaluate("-o", figures)
        assert (result.code, result.out) == (2, "")
        assert (
            f"--output {figures / name} exists and is not the {kind} of an earlier run; give --overwrite" in result.err
        )
        assert contents(figures) == before
        assert evaluate("-o", figures, "--overwrite").code == 0
        assert contents(figures) == {**first, "notes.txt": b"mine"}


def test_a_bundle_keeps_its_own_figures(evaluate, bundle, tmp_path):
    before = contents(bundle.path)
    for more in ([], ["--overwrite"]):
        result = evaluate("-o", bundle.path, *more)
        assert result.code == 2
        assert result.err == f"Error: --output: {bundle.path} is a bundle, which never changes; write elsewhere.\n"
        assert evaluate("--errors", bundle.path / "errors.jsonl", *more).code == 2
    assert contents(bundle.path) == before


def test_no_errors_are_written_into_a_bundle_through_a_link(evaluate, bundle, tmp_path):
    (tmp_path / "link").symlink_to(bundle.path)
    (tmp_path / "errors.jsonl").symlink_to(bundle.path / "errors.jsonl")
    for place in (tmp_path / "link" / "errors.jsonl", tmp_path / "errors.jsonl"):
        result = evaluate("--errors", place)
        assert (result.code, "is a bundle, which never changes" in result.err) == (2, True), result.err
    assert not (bundle.path / "errors.jsonl").exists()


def test_figures_and_errors_are_different_files(evaluate, tmp_path):
    (tmp_path / "f").mkdir()
    result = evaluate("-o", tmp_path / "f", "--errors", tmp_path / "f" / "evaluation.json")
    assert result.code == 2
    assert "are the same file; name another for one of them." in result.err


def test_figures_are_escaped_where_stdout_cannot_spell_them(evaluate, labelled, monkeypatch):
    labelled.write_text(labelled.read_text().replace('"rating": 1', '"rating": "→"'))
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr("sys.stdout", stdout)
    assert evaluate().code == 0
    stdout.flush()
    assert b"| \\u2192 | 18 | " in stdout.buffer.getvalue()


def test_a_model_below_a_bag_of_words_is_told_so(bundle, labelled, score_model, tmp_path):
    """The labels are swapped, so the bundle is wrong and the baseline learns them from the train file."""
    turned = tmp_path / "turned.jsonl"
    lines = [json.loads(line) for line in labelled.read_text().splitlines()]
    other = {"negative": "positive", "positive": "negative"}
    turned.write_text("".join(json.dumps({**line, "label": other[line["label"]]}) + "\n" for line in lines))
    result = score_model("evaluate", bundle.path, "--data", turned, "--train-file", turned, "--provider", "cpu", "-q")
    assert (
        "Note: tiny (int8, cpu) is no better than TF-IDF + logistic regression, which needs no encoder." in result.out
    )
    assert "| TF-IDF + logistic regression, trained on --train-file | 90 | " in result.out
    assert (
        "TF-IDF"
        not in score_model("evaluate", bundle.path, "--data", turned, "--no-baseline", "--provider", "cpu", "-q").out
    )


def test_the_baseline_learns_words_and_is_tested_on_none_that_it_was_trained_on():
    split = reviews(200, 2, 1)
    found = baseline.cross_validated(split.texts, split.labels, 2)
    assert np.mean(found.argmax(axis=1) == split.labels) > 0.95
    random = np.random.default_rng(0).permutation(split.labels)
    assert np.mean(baseline.cross_validated(split.texts, random, 2).argmax(axis=1) == random) < 0.65
    other = reviews(50, 2, 2)
    assert np.mean(baseline.trained_on(split.texts, split.labels, other.texts, 2).argmax(axis=1) == other.labels) > 0.95
