"""Drift: the difference between a run's data and the test data of its model, and the consequences for the run."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from factories import list_again, reviews, with_second_histogram
from hypothesis import given
from hypothesis import strategies as st

from scorer.base.errors import BundleError
from scorer.model.manifest import parse_manifest
from scorer.model.reference import SCORE_EDGES, TOKEN_EDGES, UNKNOWN_EDGES, Histogram, Reference
from scorer.report.drift import Drift, by_chance, drifts, passed, psi


def write(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.fixture
def run(score, tmp_path):
    def scored(texts, *arguments):
        result = score(
            write(tmp_path / "in.jsonl", texts), "-o", tmp_path / "out.csv", "--summary", tmp_path / "run.json", *arguments
        )  # fmt: skip
        return result, json.loads((tmp_path / "run.json").read_text())

    return scored


# The index


def test_the_index_is_the_sum_of_differences_times_logarithms_of_ratios():
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.3, 0.2])
    p_mixed, q_mixed = (0.985 * shares + 0.005 for shares in (p, q))  # no bin below half a percent
    expected = ((q_mixed - p_mixed) * np.log(q_mixed / p_mixed)).sum()
    assert float(psi(np.rint(1e6 * p), np.rint(1e6 * q))) == pytest.approx(float(expected), rel=1e-6)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=2, max_size=30))
def test_the_index_is_finite_not_below_zero_symmetric_and_zero_for_the_same_shares(pairs):
    reference, counts = map(np.array, zip(*[*pairs, (1, 1)], strict=True))
    assert 0 <= float(psi(reference, counts)) < 20
    assert float(psi(reference, counts)) == pytest.approx(float(psi(counts, reference)))
    assert float(psi(reference, reference * 3)) == pytest.approx(0, abs=1e-12)


def test_what_chance_makes_of_many_rows_is_the_quantile_of_chi_squared():
    """Expect (1/n + 1/m) times chi-squared (Yurdakul and Naranjo 2020), with differences shrunk by 1 - 10 x 0.005 here."""
    expected = 0.95**2 * (1 / 5000 + 1 / 25_000) * scipy.stats.chi2.ppf(0.999, 9)
    assert by_chance((2500,) * 10, 5000) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("rows", [10, 100, 1000, 10_000])
def test_of_files_drawn_from_the_test_data_themselves_one_in_a_thousand_drifts(rows):
    """Draw from the default model's histogram of scores, in which most texts are in the two end bins."""
    generator = np.random.default_rng(rows)
    reference = (9000, 1121, 581, 396, 295, 227, 215, 194, 185, 170, 171, 184, 205, 213, 243, 313, 428, 680, 1369, 8810)
    drawn = generator.multinomial(rows, np.array(reference) / sum(reference), size=20_000)
    beyond = psi(np.array(reference), drawn) > by_chance(reference, rows)
    assert np.mean(beyond) < 0.003


def test_rows_with_the_same_text_were_drawn_once(run):
    texts = reviews(30, 2, 9).texts
    _, once = run(texts)
    _, often = run(texts * 4)
    assert often["drift"]["score"] == once["drift"]["score"]


def test_a_limit_is_passed_by_what_is_beyond_it_and_beyond_chance():
    found = {"score": Drift(0.3, 0.1), "tokens": Drift(0.3, 0.4), "unknown": Drift(0.1, 0.0)}
    assert passed(found, 0.1) == ["score"]
    assert passed(found, 0.0) == ["score", "unknown"]
    assert passed(found, None) == []
    assert not Drift(5.0, math.inf).passes(0.1)


# A run


def test_the_test_data_of_the_model_themselves_do_not_drift(run, bundle):
    result, record = run(reviews(120, 2, 2).texts, "--max-drift", "0.001")  # the texts of `conftest.make_bundle`
    assert (result.code, "Drift" in result.err) == (0, False)
    assert record["drift"]["beyond"] == []
    assert max(record["drift"][name]["psi"] for name in ("score", "tokens", "unknown")) < 0.001
    assert record["token_histogram"]["counts"] == bundle.manifest.reference.tokens.counts


@pytest.mark.parametrize(
    ("texts", "beyond", "words"),
    [
        ([text for text in reviews(240, 2, 2).texts if "good" in text or "great" in text or "fine" in text] * 4, "score", "scores"),
        ([f"{text} and the plot was so very very a film" * 2 for text in reviews(120, 2, 2).texts], "tokens", "lengths in tokens"),
        ([f"{text} xxxxx" for text in reviews(120, 2, 2).texts], "unknown", "shares of unknown word pieces"),
    ],
)  # fmt: skip
def test_drift_is_reported_and_ends_with_3(run, tmp_path, texts, beyond, words):
    result, record = run(texts, "--max-drift", "0.1")
    assert result.code == record["exit_code"] == 3
    assert record["published"] is True
    assert beyond in record["drift"]["beyond"]
    assert "Drift from the model's test data exceeds --max-drift 0.1: " in result.err
    told = re.search(rf"{words} (\d+\.\d{{3}}) \(chance alone: up to (\d+\.\d{{3}})\)", result.err)
    drift = record["drift"][beyond]
    assert list(map(float, told.groups())) == pytest.approx([drift["psi"], drift["by_chance"]], abs=6e-4)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == len(texts) + 1
    assert run(texts)[0].code == 0  # without --max-drift
    assert run(texts, "--max-drift", "1e9")[0].code == 0


def test_few_rows_are_no_drift_however_much_they_differ_by_chance(run):
    result, record = run(["good"] * 3, "--max-drift", "0.1")
    assert (result.code, record["drift"]["beyond"]) == (0, [])
    assert record["drift"]["score"]["psi"] > 0.1


@pytest.mark.usefixtures("small_chunks")
def test_the_drift_of_a_resumed_run_is_that_of_all_rows(run, interrupted, tmp_path):
    texts = reviews(120, 2, 5).texts
    _, whole = run(texts)
    (tmp_path / "out.csv").unlink()
    assert interrupted(3, tmp_path / "in.jsonl", "-o", tmp_path / "out.csv").code == 143
    result, resumed = run(texts)
    assert "Resuming at row" in result.err
    assert resumed["rows_scored"] == 120
    for name in ("drift", "token_histogram", "unknown_histogram", "score_histogram"):
        assert resumed[name] == whole[name]


def test_a_bundle_without_test_data_has_no_drift_and_takes_no_limit(score, tmp_path, bundle):
    folder = tmp_path / "old"
    folder.mkdir()
    for path in bundle.path.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"reference": {}}))
    list_again(folder)
    arguments = (write(tmp_path / "in.jsonl", ["good"]), "-o", tmp_path / "out.csv", "--model", folder)
    assert score(*arguments, "--summary", tmp_path / "run.json", "--report", tmp_path / "run.html").code == 0
    assert json.loads((tmp_path / "run.json").read_text())["drift"] is None
    assert "nothing to compare with" in (tmp_path / "run.html").read_text()
    refused = score(*arguments, "--max-drift", "0.1")
    assert (refused.code, "the bundle tiny has no histograms of its test data" in refused.err) == (2, True)


def test_without_the_cascade_scores_are_compared_with_those_of_test_data_without_it(run, tmp_path, staged_bundle):
    bundle = with_second_histogram(staged_bundle, tmp_path / "bundle")
    texts = reviews(120, 2, 2).texts  # the test data
    options = ("--max-drift", "0.1", "--report", tmp_path / "run.html", "--model", bundle.path)
    for more, code, beyond in (((), 0, []), (("--no-cascade",), 3, ["score"])):
        result, record = run(texts, *options, *more)
        assert (result.code, record["drift"]["beyond"]) == (code, beyond)
        assert ("Drift from the model's test data exceeds --max-drift 0.1: scores " in result.err) == bool(beyond)
        assert record["drift"]["tokens"]["psi"] < 0.001
        charts = json.loads(re.search(r'id="charts">(.*?)</script>', (tmp_path / "run.html").read_text())[1])
        reference = bundle.manifest.reference
        expected = reference.score_without_cascade if more else reference.score
        assert charts["score"]["expected"] == expected.counts


@pytest.mark.parametrize("limit", ["-1", "nan", "inf", "1e400", "much"])
def test_an_invalid_limit_is_refused(score, tmp_path, limit):
    result = score(write(tmp_path / "in.jsonl", ["good"]), "--max-drift", limit)
    assert result.code == 2
    assert "--max-drift" in result.err


# The manifest


def test_a_reference_is_read_as_it_was_written(bundle):
    manifest = bundle.manifest
    assert parse_manifest(manifest.to_json()) == manifest
    assert parse_manifest(replace(manifest, reference=None).to_json()).reference is None


@pytest.mark.parametrize(
    "change",
    [
        {"texts": 7},
        {"texts": "120"},
        {"more": {}},
        {"score": {"edges": [0, 1], "counts": [120]}},
        {"score": {"edges": list(SCORE_EDGES), "counts": [6.0] * 20}},
        {"score": {"edges": list(SCORE_EDGES), "counts": [-1, 121, *[0] * 18]}},
        {"score": {"edges": list(SCORE_EDGES), "counts": [True] * 120}},
        {"score": None},
    ],
)
def test_an_invalid_reference_is_refused(bundle, change):
    manifest = json.loads(bundle.manifest.to_json())
    with pytest.raises(BundleError, match=r"manifest\.json cannot be used"):
        parse_manifest(json.dumps(manifest | {"reference": manifest["reference"] | change}).encode())


def test_each_measure_is_compared_with_its_own():
    reference = Reference(
        100,
        score=Histogram(SCORE_EDGES, [50, *[0] * 18, 50]),
        tokens=Histogram(TOKEN_EDGES, [100, *[0] * 13]),
        unknown=Histogram(UNKNOWN_EDGES, [100, *[0] * 9]),
    )
    longer = Histogram(TOKEN_EDGES, [0, 100, *[0] * 12])
    compared = drifts(reference, {"score": reference.score, "tokens": longer, "unknown": reference.unknown}, 100)
    assert compared["score"].psi == pytest.approx(0, abs=1e-9)
    assert compared["unknown"].psi == pytest.approx(0, abs=1e-9)
    assert compared["tokens"].psi > 1
