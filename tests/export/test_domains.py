"""Figures by domain and their macro means: in `score-model evaluate`, in a manifest and on the card."""

import csv
import json
from dataclasses import replace
from itertools import takewhile

import numpy as np
import pytest
from factories import make_bundle, reviews
from sklearn.metrics import f1_score, mean_absolute_error

from export.classifier.settings import CascadeSettings, WideSettings
from export.data import Dataset
from export.evaluation.calibration_card import calibration_figures
from export.evaluation.evaluate import score_split
from export.evaluation.metrics import calibration_error, reliability
from export.evaluation.outputs import is_errors, is_evaluation, picture_names
from export.training.add_cascade import add_cascade
from export.training.settings import AddSettings
from scorer import Scorer
from scorer.model.loaded import LoadedModel

LABELS = ("negative", "positive")
HOTELS, OTHERS = reviews(30, 2, 3), reviews(60, 2, 4)
DOMAINS = ("books", "apps", "books") * 20
MIXED = replace(reviews(120, 2, 2), domains=("books", "apps", "books") * 40, ids=tuple(f"t{row}" for row in range(120)))


@pytest.fixture
def files(tmp_path):
    """A file of hotels, whose column rating only it has, and one of two domains; both number their texts from 1."""
    paths = tmp_path / "hotels.csv", tmp_path / "others.jsonl"
    with open(paths[0], "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label", "rating"))
        writer.writerows((text, LABELS[label], 5) for text, label in zip(HOTELS.texts, HOTELS.labels, strict=True))
    rows = zip(OTHERS.texts, OTHERS.labels, DOMAINS, strict=True)
    lines = [{"text": text, "label": LABELS[label], "domain": domain} for text, label, domain in rows]
    paths[1].write_text("".join(json.dumps(line) + "\n" for line in lines))
    return paths


@pytest.fixture
def evaluate(score_model, tmp_path):
    """Evaluate bundles without a baseline; return the lines of the report and the figures."""

    def run(bundles, files, *options):
        data = [one for file in files for one in ("--data", file)]
        given = (*bundles, *data, "--provider", "cpu", "--no-baseline", "-q", "-o", tmp_path / "figures", *options)
        result = score_model("evaluate", *given)
        assert result.code == 0, result.err
        return result.out.splitlines(), json.loads((tmp_path / "figures" / "evaluation.json").read_text())

    return run


def figures_of(bundle, split, **options):
    """Accuracy, F1 and calibration error of what `score` gives."""
    found = Scorer(bundle, provider="cpu", **options).score(split.texts).probabilities
    given = found.argmax(axis=1)
    return {
        "accuracy": (given == split.labels).mean(),
        "f1": f1_score(split.labels, given),
        "ece": calibration_error(reliability(found, split.labels)),
    }


def of_domain(name):
    rows = np.flatnonzero(np.array(DOMAINS) == name)
    return replace(OTHERS, texts=[OTHERS.texts[row] for row in rows], labels=OTHERS.labels[rows])


def rows_below(lines, head):
    """Cells of the table with a head that begins as given, and of that head."""
    at = next(row for row, line in enumerate(lines) if line.startswith(head))
    table = list(takewhile(lambda line: line.startswith("|"), lines[at:]))
    head, _, *body = (line.removeprefix("| ").removesuffix(" |").split(" | ") for line in table)
    return head, body


def test_the_table_by_domain_ends_in_means_in_which_every_domain_counts_the_same(bundle, files, evaluate, tmp_path):
    lines, found = evaluate([bundle.path], files, "--domain-column", "domain")
    splits = {"apps": of_domain("apps"), "books": of_domain("books"), "hotels": HOTELS}
    expected = {name: figures_of(bundle, split) for name, split in splits.items()}
    own = found["tiny (int8, cpu)"]
    assert [(one["name"], one["texts"]) for one in own["by_domain"]] == [("apps", 20), ("books", 40), ("hotels", 30)]
    for one in own["by_domain"]:
        assert {name: one[name] for name in expected[one["name"]]} == pytest.approx(expected[one["name"]])
    means = {name: np.mean([one[name] for one in expected.values()]) for name in ("accuracy", "f1", "ece")}
    assert own["macro_mean"] == pytest.approx({"domains": 3, "texts": 90, **means})
    assert "tiny (int8, cpu), by domain:" in lines
    head, rows = rows_below(lines, "| domain |")
    assert head == ["domain", "texts", "accuracy", "95% interval", "F1", "calibration error"]
    assert [row[0] for row in rows] == ["apps", "books", "hotels", "macro mean of 3 domains"]
    assert rows[-1] == [
        "macro mean of 3 domains", "90", f"{means['accuracy']:.2%}", "", f"{means['f1']:.4f}", f"{means['ece']:.2%}",
    ]  # fmt: skip
    assert rows[1][2] == f"{expected['books']['accuracy']:.2%}"
    assert not any(line.startswith("| group |") for line in lines)  # only hotels have a rating
    pictures = {path.name for path in (tmp_path / "figures").glob("*.png")}
    assert "domain.png" in pictures
    assert pictures <= set(picture_names(1))


def test_bundles_stand_side_by_side_in_one_table_by_domain(bundle, staged_bundle, files, evaluate):
    lines, found = evaluate([bundle.path, staged_bundle.path], files)
    names = ["tiny (int8, cpu)", "staged (int8, cpu)"]
    head, rows = rows_below(lines, "| domain |")
    assert sum(line.startswith("| domain |") for line in lines) == 1
    titles = [f"{title}, {name}" for title in ("accuracy", "95% interval", "F1", "calibration error") for name in names]
    assert head == ["domain", "texts", *titles, f"without cascade, {names[1]}"]
    assert [row[:2] for row in rows] == [["hotels", "30"], ["others", "60"], ["macro mean of 2 domains", "90"]]
    for row, split in zip(rows, (HOTELS, OTHERS), strict=False):
        accuracies = [figures_of(one, split)["accuracy"] for one in (bundle, staged_bundle)]
        whole = figures_of(staged_bundle, split, cascade=False)["accuracy"]
        assert [row[2], row[3], row[-1]] == [f"{one:.2%}" for one in (*accuracies, whole)]
    assert (
        found[names[1]]["macro_mean"]["without_cascade"] == found[f"{names[1]}, no cascade"]["macro_mean"]["accuracy"]
    )
    assert "without_cascade" not in found[names[0]]["macro_mean"]


def test_errors_name_the_domain_because_files_may_share_ids(bundle, files, evaluate, tmp_path):
    errors = tmp_path / "errors.jsonl"
    swapped = ("--label-names", "positive,negative")  # so that nearly every label is an error
    evaluate([bundle.path], files, "--domain-column", "domain", "--errors", errors, *swapped)
    found = [json.loads(line) for line in errors.read_text().splitlines()]
    assert list(found[0])[:3] == ["bundle", "id", "domain"]
    places = {"hotels": HOTELS.texts, "books": OTHERS.texts, "apps": OTHERS.texts}
    assert {one["domain"] for one in found} == places.keys()
    for one in found:
        assert places[one["domain"]][int(one["id"]) - 1] == one["text"]
    with open(errors, "rb") as file:
        assert is_errors(file)
    evaluate([bundle.path], files, "--errors", errors)  # they are recognized, and replaced
    evaluate([bundle.path], files[:1], "--errors", errors)


def test_texts_of_one_domain_have_no_table_by_domain(bundle, files, evaluate):
    lines, found = evaluate([bundle.path], files[:1])
    assert not any("domain |" in line or "by domain" in line for line in lines)
    assert not {"by_domain", "macro_mean"} & found["tiny (int8, cpu)"].keys()
    assert any(line.startswith("| group |") for line in lines)


def test_domains_are_those_of_any_group_column_too(bundle, files, evaluate):
    lines, found = evaluate([bundle.path], files[1:], "--domain-column", "domain", "--group-column", "label")
    own = found["tiny (int8, cpu)"]
    assert [one["name"] for one in own["by_domain"]] == ["apps", "books"]
    assert [one["name"] for one in own["by_group"]] == ["negative", "positive"]
    assert rows_below(lines, "| group |")[1][0][:2] == ["negative", "30"]


def test_a_column_without_domains_is_refused(bundle, files, score_model):
    data = ("--data", files[0], "--data", files[1], "--provider", "cpu")
    result = score_model("evaluate", bundle.path, *data, "--domain-column", "domian")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "Error: --domain-column domian: no text has another domain than that of its file (hotels, others). Name another "
        "column, or omit the option.\n"
    )


def test_the_same_file_is_not_evaluated_twice(bundle, files, score_model):
    result = score_model("evaluate", bundle.path, "--data", files[0], "--data", files[0], "--provider", "cpu")
    assert (result.code, result.out) == (2, "")
    assert f"{files[0]} is named twice" in result.err


def test_a_label_of_a_later_file_that_the_bundle_lacks_is_named(bundle, files, score_model, tmp_path):
    other = tmp_path / "stars.csv"
    other.write_text("text,label\ngood,5\n")
    result = score_model("evaluate", bundle.path, "--data", files[0], "--data", other, "--provider", "cpu")
    assert (result.code, result.out) == (2, "")
    assert "the data has labels that the bundle lacks: 5." in result.err


def test_any_number_of_labels_have_macro_means(multi_label_bundle, evaluate, tmp_path):
    texts, tags = reviews(60, 3, 3).texts, [["bad"], ["good"], ["bad", "good"]] * 20
    lines = [
        {"text": text, "label": tag, "domain": "ab"[row < 30]}
        for row, (text, tag) in enumerate(zip(texts, tags, strict=True))
    ]
    (tmp_path / "tags.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    given = ("--domain-column", "domain", "--precision", "fp32")
    printed, found = evaluate([multi_label_bundle.path], [tmp_path / "tags.jsonl"], *given)
    (own,) = found.values()
    assert rows_below(printed, "| domain |")[0][2:] == ["micro F1", "95% interval", "macro F1", "calibration error"]
    each = own["by_domain"]
    assert own["macro_mean"]["micro_f1"] == pytest.approx(np.mean([one["micro_f1"] for one in each]))
    assert [one["texts"] for one in each] == [30, 30]


def test_numbers_have_macro_means_over_the_domains_for_which_they_are_defined(regression_bundle, evaluate, tmp_path):
    texts = reviews(60, 2, 3).texts
    stars = [1.0 + row % 5 if row < 30 else 3.0 for row in range(60)]  # R2 is undefined for equal numbers
    rows = zip(texts, stars, ["varied"] * 30 + ["equal"] * 30, strict=True)
    lines = [{"text": text, "label": one, "domain": domain} for text, one, domain in rows]
    (tmp_path / "stars.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    given = ("--domain-column", "domain", "--precision", "fp32")
    printed, found = evaluate([regression_bundle.path], [tmp_path / "stars.jsonl"], *given)
    (own,) = found.values()
    equal, varied = own["by_domain"]
    assert equal["r2"] is None
    assert own["macro_mean"]["r2"] == varied["r2"]
    values = Scorer(regression_bundle, provider="cpu", precision="fp32").score(texts).values[:, 0]
    errors = [mean_absolute_error(stars[:30], values[:30]), mean_absolute_error(stars[30:], values[30:])]
    assert own["macro_mean"]["mae"] == pytest.approx(np.mean(errors))
    head, body = rows_below(printed, "| domain |")
    assert head[2:] == ["MAE", "95% interval", "R2"]
    assert [row[4] for row in body] == ["", f"{varied['r2']:.4f}", f"{varied['r2']:.4f}"]
    with open(tmp_path / "figures" / "evaluation.json", "rb") as file:
        assert is_evaluation(file)


# Training


@pytest.fixture(scope="module")
def trained(encoder, tmp_path_factory):
    """A bundle with a wide part, tested on texts of two domains."""
    dataset = Dataset("synthetic", LABELS, reviews(400, 2, 1), MIXED)
    folder = tmp_path_factory.mktemp("domains") / "mixed"
    return make_bundle(encoder("bert"), folder, dataset=dataset, wide=WideSettings(pairs=512), cascade=None)


def test_a_manifest_and_its_card_have_the_figures_by_domain(trained):
    metrics = trained.manifest.metrics
    right = np.array(Scorer(trained, provider="cpu").score(MIXED.texts).labels) == np.array(LABELS)[MIXED.labels]
    of_books = np.array(MIXED.domains) == "books"
    shares = [right[~of_books].mean(), right[of_books].mean()]
    assert [(one["name"], one["accuracy"]) for one in metrics["by_domain"]] == [
        ("apps", shares[0]),
        ("books", shares[1]),
    ]
    assert metrics["macro_mean"]["accuracy"] == pytest.approx(np.mean(shares))
    lines = (trained.path / "README.md").read_text().splitlines()
    assert "By domain; in the means, every domain counts the same:" in lines
    head, rows = rows_below(lines, "| domain |")
    assert head == ["domain", "texts", "accuracy", "95% interval", "F1", "calibration error"]
    assert [row[0] for row in rows] == ["apps", "books", "macro mean of 2 domains"]
    assert rows[2][2] == f"{np.mean(shares):.2%}"


def test_a_bundle_tested_on_one_domain_has_no_figures_by_domain(bundle):
    assert not {"by_domain", "macro_mean"} & bundle.manifest.metrics.keys()
    assert "domain" not in (bundle.path / "README.md").read_text()


def test_the_table_of_a_calibration_by_length_has_domains_too(trained):
    scored = score_split(LoadedModel(trained, provider="cpu"), MIXED, quiet=True)
    found = calibration_figures(scored, scored.values, np.full_like(scored.values, 0.5))
    assert [(one["name"], one["texts"]) for one in found["by_domain"]] == [("apps", 40), ("books", 80)]
    assert found["by_domain"][0]["before"]["accuracy"] == trained.manifest.metrics["by_domain"][0]["accuracy"]
    assert found["by_domain"][0]["after"]["accuracy"] == 0.5
    assert found["by_group"] == []


LENIENT = CascadeSettings(loss=5.0, ece=1.0, least_texts=20)


def test_a_cascade_added_later_has_its_own_figures_by_domain(trained, tmp_path):
    dataset = Dataset("synthetic", LABELS, reviews(400, 2, 1), MIXED)
    found = add_cascade(trained, dataset, AddSettings(tmp_path / "new", LENIENT, quiet=True), lambda line: None)
    before, after = trained.manifest.metrics, found.manifest.metrics
    assert after["macro_mean"]["without_cascade"] == before["macro_mean"]["accuracy"]
    right = np.array(Scorer(found, provider="cpu").score(MIXED.texts).labels) == np.array(LABELS)[MIXED.labels]
    of_books = np.array(MIXED.domains) == "books"
    assert after["macro_mean"]["accuracy"] == pytest.approx((right[of_books].mean() + right[~of_books].mean()) / 2)
    lines = (found.path / "README.md").read_text().splitlines()
    assert "By domain, with the cascade; in the means, every domain counts the same:" in lines
    assert rows_below(lines, "| domain |")[0][-1] == "without cascade"


def test_a_cascade_added_without_domains_leaves_no_figures_of_the_old_bundle(trained, tmp_path):
    dataset = Dataset("synthetic", LABELS, reviews(400, 2, 1), replace(MIXED, domains=()))
    found = add_cascade(trained, dataset, AddSettings(tmp_path / "new", LENIENT, quiet=True), lambda line: None)
    assert not {"by_domain", "macro_mean"} & found.manifest.metrics.keys()
