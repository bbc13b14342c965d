"""`score-model evaluate` and `parity` on bundles of every task, with figures computed from what they give."""

import json
from dataclasses import replace

import numpy as np
import pytest
from factories import reviews, with_fields
from sklearn.metrics import f1_score, mean_absolute_error, r2_score

from export.bundle.parity_check import check_bundle
from export.errors import ParityError
from export.evaluation.outputs import ERROR_FIELDS
from scorer import Scorer
from scorer.engine.row_engine import RowEngine
from scorer.model.manifest import Unit

TEXTS = reviews(90, 3, 3).texts


@pytest.fixture
def evaluate(score_model, tmp_path):
    """Evaluate a bundle on texts with labels; return the result, the figures and the errors."""

    def run(bundle, labels, *options, kind="jsonl", texts=TEXTS):
        path = tmp_path / f"labelled.{kind}"
        rows = [
            {"id": f"r{row}", "text": text, "label": label, "rating": 1 + row % 3}
            for row, (text, label) in enumerate(zip(texts, labels, strict=True))
        ]
        if kind == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            path.write_text("text,label\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in rows))
        folder, errors = tmp_path / "figures", tmp_path / "errors.jsonl"
        given = ("--data", path, "--provider", "cpu", "--precision", "fp32", "-q", "-o", folder, "--errors", errors)
        result = score_model("evaluate", bundle.path, *given, *options)
        assert result.code == 0, result.err
        found = json.loads((folder / "evaluation.json").read_text())
        return result, found, [json.loads(line) for line in errors.read_text().splitlines()]

    return run


def pictures(tmp_path):
    return {path.name for path in (tmp_path / "figures").glob("*.png")}


def test_any_number_of_labels(evaluate, multi_label_bundle, tmp_path):
    labels = [["bad"], ["good"], ["bad", "good"], []] * 22 + [["mixed"], ["bad"]]
    result, found, errors = evaluate(multi_label_bundle, labels)
    own, baseline = found.values()
    scored = Scorer(multi_label_bundle, provider="cpu", precision="fp32").score(TEXTS)
    names = multi_label_bundle.manifest.labels
    truth = np.array([[name in one for name in names] for one in labels])
    given = np.array([[name in one for name in names] for one in scored.labels])
    assert own["micro_f1"] == pytest.approx(f1_score(truth, given, average="micro"))
    assert own["exact"] == pytest.approx((truth == given).all(axis=1).mean())
    assert [one["name"] for one in own["by_label"]] == list(names)
    assert [one["texts"] for one in own["by_label"]] == truth.sum(axis=0).tolist()
    assert sum(one["texts"] for one in own["reliability"]) == 270
    assert [one["name"] for one in own["by_group"]] == ["1", "2", "3"]
    assert pictures(tmp_path) == {"labels.png", "reliability.png", "length.png", "group.png"}
    lines = result.out.splitlines()
    assert lines[0] == (
        "|  | texts | micro F1 | 95% interval | macro F1 | 95% interval | all labels right | 95% interval | log loss | "
        "calibration error |"
    )
    assert f"| three (fp32, cpu) | 90 | {own['micro_f1']:.4f} | " in result.out
    assert "| TF-IDF + one-vs-rest logistic regression, thresholds 0.5, five-fold on these texts | 90 | " in result.out
    at = lines.index("| label | texts | precision | recall | F1 | threshold | temperature |")
    assert lines[at + 2].startswith(f"| bad | {truth[:, 0].sum()} | ")
    assert lines[at + 3].endswith(" | 0.25 | 1.000 |")
    assert baseline["texts"] == 90
    assert all(tuple(error) == ERROR_FIELDS["multi_label"] for error in errors)
    assert len(errors) == (truth != given).any(axis=1).sum()
    first = int(errors[0]["id"][1:])
    assert errors[0]["labels"] == [name for name in names if name in labels[first]]
    assert errors[0]["predicted"] == list(scored.labels[first])
    assert [one["loss"] for one in errors] == sorted((one["loss"] for one in errors), reverse=True)
    # Figures and errors of an earlier run may be replaced.
    evaluate(multi_label_bundle, labels, "--no-baseline")


def test_several_labels_in_a_cell(evaluate, multi_label_bundle):
    labels = ["bad", "good", "bad;good", "bad; mixed"] * 22 + ["mixed", "bad"]
    _, found, _ = evaluate(multi_label_bundle, labels, "--label-separator", ";", "--no-baseline", kind="csv")
    (own,) = found.values()
    assert [one["texts"] for one in own["by_label"]] == [67, 44, 23]


def test_numbers(evaluate, regression_bundle, tmp_path):
    random = np.random.default_rng(0)
    values = Scorer(regression_bundle, provider="cpu", precision="fp32").score(TEXTS).values
    truth = np.round(values[:, 0] + random.normal(size=90), 2)
    result, found, errors = evaluate(regression_bundle, truth.tolist())
    own, ridge, mean = found.values()
    assert own["r2"] == pytest.approx(r2_score(truth, values[:, 0]))
    assert own["mae"] == pytest.approx(mean_absolute_error(truth, values[:, 0]))
    assert own["interval"][0] < own["r2"] < own["interval"][1]
    assert own["by_group"][0]["mae"] == pytest.approx(np.abs(truth - values[:, 0])[::3].mean())
    assert "reliability" not in own
    assert mean["r2"] <= 0.01
    assert ridge["texts"] == 90
    assert pictures(tmp_path) == {"values.png", "length.png", "group.png"}
    assert result.out.startswith("|  | texts | R2 | 95% interval | MAE | 95% interval | RMSE | 95% interval |")
    assert "| group | texts | MAE | 95% interval |" in result.out
    assert "| the mean, five-fold on these texts | 90 | " in result.out
    assert "Note" not in result.out
    assert all(tuple(error) == ERROR_FIELDS["regression"] for error in errors)
    distance = np.abs(truth - values[:, 0])
    assert errors[0] == {
        "bundle": "tiny (fp32, cpu)",
        "id": f"r{distance.argmax()}",
        "value": truth[distance.argmax()],
        "predicted": round(values[distance.argmax(), 0], 6),
        "error": round(distance.max(), 6),
        "tokens": errors[0]["tokens"],
        "text": TEXTS[distance.argmax()],
    }


def test_numbers_that_the_mean_predicts_as_well_are_told_so(evaluate, regression_bundle):
    result, *_ = evaluate(regression_bundle, np.random.default_rng(1).normal(50, 1, size=90).tolist())
    for name in ("the mean", "TF-IDF + ridge regression"):
        assert f"Note: tiny (fp32, cpu) is no better than {name}, which needs no encoder." in result.out


def test_several_numbers_are_a_list(evaluate, bundle_of_three, tmp_path):
    unit = Unit((1.0, 2.0, 3.0), (0.0, 0.0, 1.0))
    fields = {"task": "regression", "unit": unit, "calibration": None, "reference": None, "confidence": None}
    three = with_fields(bundle_of_three, tmp_path / "three", labels=("a", "b", "c"), **fields)
    values = Scorer(three, provider="cpu", precision="fp32").score(TEXTS).values
    result, found, errors = evaluate(three, np.add(values, [1, 0, 0]).tolist(), "--no-baseline")
    (own,) = found.values()
    assert [round(one["mae"], 6) for one in own["by_output"]] == [1, 0, 0]
    assert "| output | R2 | MAE | RMSE |" in result.out
    assert len(errors[0]["value"]) == 3


def test_ordered_labels(evaluate, ordered_bundle):
    labels = [["1", "2.5", "5"][row % 3] for row in range(90)]
    result, found, _ = evaluate(ordered_bundle, labels, "--no-baseline")
    (own,) = found.values()
    scored = Scorer(ordered_bundle, provider="cpu", precision="fp32").score(TEXTS)
    truth = np.array(labels, dtype=float)
    assert own["mae"] == pytest.approx(np.abs(np.array(scored.labels, dtype=float) - truth).mean())
    assert own["expected_mae"] == pytest.approx(np.abs(scored.probabilities @ [1, 2.5, 5] - truth).mean())
    assert -1 <= own["kappa"] <= 1
    head = result.out.splitlines()[0]
    assert head.endswith(" | calibration error | MAE | MAE of the expected label | weighted kappa |")


def test_bundles_of_two_tasks_are_not_compared(multi_label_bundle, regression_bundle, score_model, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good", "label": ["bad"]}\n')
    result = score_model(
        "evaluate",
        multi_label_bundle.path,
        regression_bundle.path,
        "--data",
        tmp_path / "in.jsonl",
        "--provider",
        "cpu",
    )
    assert result.code == 2
    assert result.err == (
        f"Error: bundles with the same task can be compared: {multi_label_bundle.path} is for multi_label, "
        f"{regression_bundle.path} for regression. Evaluate them one by one.\n"
    )


def test_names_of_labels_have_no_use_for_numbers(regression_bundle, score_model, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good", "label": 1}\n')
    result = score_model(
        "evaluate", regression_bundle.path, "--data", tmp_path / "in.jsonl", "--provider", "cpu", "--label-names", "a"
    )
    assert (result.code, result.err) == (
        2,
        "Error: --label-names names labels, and this bundle gives numbers. Omit it.\n",
    )


def test_parity_of_every_task(multi_label_bundle, regression_bundle, encoder):
    texts = reviews(60, 2, 11).texts
    (found,) = check_bundle(multi_label_bundle, encoder("bert"), texts, threads=2)[1]
    assert (found.precision, found.labels) == ("fp32", 1)
    each = check_bundle(regression_bundle, encoder("distilbert"), texts, threads=2)[1]
    assert {one.precision for one in each} == {"fp32", "fp16", "int8"}
    for one in each:
        assert 0.99 <= one.labels <= 1
        assert (one.labels == 1) == (one.precision == "fp32")


def test_a_precision_that_explains_too_little_is_refused(regression_bundle, encoder, monkeypatch):
    run = RowEngine.logits
    monkeypatch.setattr(
        RowEngine, "logits", lambda self, rows: run(self, rows) + np.float32(0.5) * (np.arange(len(rows)) % 2)[:, None]
    )
    precisions = {name: one for name, one in regression_bundle.manifest.precisions.items() if name == "int8"}
    manifest = replace(regression_bundle.manifest, precisions=precisions, providers={"cpu": "int8"})
    with pytest.raises(
        ParityError, match=r"int8 gives values that explain only \d\d\.\d\d% of the variance of PyTorch's"
    ):
        check_bundle(replace(regression_bundle, manifest=manifest), encoder("distilbert"), reviews(60, 2, 11).texts, 2)


def test_parity_prints_what_agrees(regression_bundle, multi_label_bundle, encoder_folder, score_model, tmp_path):
    (tmp_path / "in.csv").write_text("text\n" + "".join(f'"{text}"\n' for text in reviews(30, 2, 11).texts))
    for bundle, family, said in (
        (regression_bundle, "distilbert", "100.00% of the variance explained over 30 texts"),
        (multi_label_bundle, "bert", "same answer 100.00% of 30 texts on the label that differs most"),
    ):
        result = score_model("parity", bundle.path, "--data", tmp_path / "in.csv", "--encoder", encoder_folder(family))
        assert result.code == 0, result.err
        assert next(line for line in result.out.splitlines() if line.startswith("fp32, one row")).endswith(said)
