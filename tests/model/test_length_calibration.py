"""Bundles calibrated by length: the manifest's field, and scores whose logits are scaled and shifted by a text's length."""

import json
from dataclasses import replace

import numpy as np
import pytest
from factories import as_windows, reviews, with_fields
from hypothesis import given
from hypothesis import strategies as st

from scorer import Scorer
from scorer.base.errors import BundleError
from scorer.model import manifest as manifest_module
from scorer.model.decision import probabilities
from scorer.model.length_calibration import LengthCalibration
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import parse_manifest

STEEP = LengthCalibration((3.0, 6.0, 12.0), (0.25, 1.0, 2.0), ((1.5,), (0.0,), (-1.5,)))
OF_THREE = LengthCalibration((4.0, 9.0), (0.5, 1.5), ((2.0, 0.0, -1.0), (-1.0, 0.5, 1.0)))
TEXTS = [*reviews(60, 2, 9).texts, "good", "bad", " ".join(reviews(9, 2, 4).texts)]


@pytest.fixture(scope="module")
def calibrated(bundle, tmp_path_factory):
    return with_fields(bundle, tmp_path_factory.mktemp("calibrated") / "b", calibration_by_length=STEEP)


@pytest.fixture(scope="module")
def calibrated_of_three(bundle_of_three, tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated") / "three"
    return with_fields(bundle_of_three, folder, calibration_by_length=OF_THREE)


def raw_logits(scorer, ids):
    """Return the logits of the graph alone."""
    return scorer.whole.logits(ids).astype(np.float64)


def by_formula(found, logits, ids):
    """Calibrate each text on its own, by the definition."""
    rows = []
    for row, one in zip(logits, ids, strict=True):
        at, knots = np.log(len(one)), np.log(found.lengths)
        bias = [np.interp(at, knots, column) for column in zip(*found.bias, strict=True)]
        rows.append(row * np.interp(at, knots, found.scale) + bias)
    return np.array(rows).astype(np.float32)


# The manifest


def test_the_manifest_keeps_its_calibration_and_needs_a_release_that_knows_it(calibrated, calibrated_of_three):
    for one, found in ((calibrated, STEEP), (calibrated_of_three, OF_THREE)):
        again = parse_manifest(one.manifest.to_json())
        assert again == one.manifest
        assert again.calibration_by_length == found
        assert "calibration_by_length" in again.needs


def test_an_older_release_refuses_the_bundle_and_names_the_feature(calibrated, monkeypatch):
    older = tuple(name for name in manifest_module.FEATURES if name != "calibration_by_length")
    monkeypatch.setattr(manifest_module, "FEATURES", older)
    with pytest.raises(BundleError, match="needs calibration_by_length, which this release does not know"):
        parse_manifest((calibrated.path / "manifest.json").read_bytes())


def test_a_bundle_that_is_not_calibrated_by_length_does_not_mention_it(bundle):
    assert b"calibration_by_length" not in bundle.manifest.to_json()


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ({"lengths": [], "scale": [], "bias": []}, "needs 1 to 100 lengths"),
        ({"lengths": [3], "scale": [1.0, 1.0], "bias": [[0.0]]}, "as many scales and biases, not 1, 2 and 1"),
        ({"lengths": [3, 3], "scale": [1, 1], "bias": [[0], [0]]}, "must be at least 1 and ascend"),
        ({"lengths": [0], "scale": [1], "bias": [[0]]}, "must be at least 1 and ascend"),
        ({"lengths": [3], "scale": [0.0], "bias": [[0]]}, "a scale by length must be between"),
        ({"lengths": [3], "scale": [-1.0], "bias": [[0]]}, "a scale by length must be between"),
        ({"lengths": [3], "scale": [1], "bias": [[1e7]]}, "a bias by length must be at most"),
        ({"lengths": [3, 4], "scale": [1, 1], "bias": [[0], [0, 0]]}, "a bias for each logit at every length"),
        ({"lengths": [3], "scale": [1], "bias": [[]]}, "has 0 biases for 2 labels"),
        ({"lengths": [3], "scale": [1], "bias": [[0, 0]]}, "has 2 biases for 2 labels"),
        ({"lengths": [3e4], "scale": [1], "bias": [[0]]}, "lengths of more than the 24 tokens kept"),
        ({"lengths": [3], "scale": [1], "bias": [0]}, "cannot be used"),
        ({"lengths": [3], "scale": ["1"], "bias": [[0]]}, "cannot be used"),
        ({"lengths": [True], "scale": [1], "bias": [[0]]}, "lengths has an invalid value"),
        ({"lengths": [3], "scale": [1], "bias": [[None]]}, "cannot be used"),
        ({"lengths": "3", "scale": "1", "bias": ["0"]}, "cannot be used"),
        ({"lengths": [3], "scale": [1], "bias": [[0]], "knots": 3}, "calibration_by_length has the wrong fields"),
        ({"lengths": [3], "scale": [1]}, "calibration_by_length has the wrong fields"),
        ([1, 2], "cannot be used"),
        ("steep", "cannot be used"),
    ],
)
def test_a_calibration_that_contradicts_itself_or_the_rest_is_refused(calibrated, field, says):
    fields = json.loads(calibrated.manifest.to_json()) | {"calibration_by_length": field}
    with pytest.raises(BundleError, match=says):
        parse_manifest(json.dumps(fields).encode())


def test_infinite_numbers_in_a_calibration_are_refused(calibrated):
    fields = calibrated.manifest.to_json()
    for before, after in ((b"0.25", b"1e999"), (b"12.0", b"1e999"), (b"0.25", b"NaN")):
        assert fields.count(before) >= 1
        with pytest.raises(BundleError, match="cannot be used"):
            parse_manifest(fields.replace(before, after, 1))


@pytest.mark.parametrize("name", ["multi_label_bundle", "regression_bundle"])
def test_other_tasks_have_no_calibration_by_length(request, name):
    manifest = request.getfixturevalue(name).manifest
    found = LengthCalibration((3.0,), (1.0,), ((0.0,) * manifest.logit_count,))
    with pytest.raises(ValueError, match="calibration_by_length needs a model that chooses one label"):
        replace(manifest, calibration_by_length=found)


# Scores


@pytest.mark.parametrize("name", ["calibrated", "calibrated_of_three"])
def test_probabilities_are_those_of_logits_calibrated_by_the_length_of_each_text(request, name):
    bundle = request.getfixturevalue(name)
    scorer = Scorer(bundle, provider="cpu", precision="fp32")
    ids = scorer.model.tokenizer.encode(TEXTS).ids
    raw = raw_logits(scorer.model, ids)
    expected = by_formula(bundle.manifest.calibration_by_length, raw, ids)
    found = scorer.score(TEXTS)
    np.testing.assert_allclose(
        found.probabilities, probabilities(expected, bundle.manifest.temperature), atol=1e-6, rtol=0
    )
    plain = probabilities(raw, bundle.manifest.temperature)
    assert (plain.argmax(axis=1) != found.probabilities.argmax(axis=1)).any()  # a bias by length changes labels


def test_a_text_has_the_same_bits_alone_among_others_and_in_another_order(calibrated):
    scorer = Scorer(calibrated, provider="cpu")
    every = scorer.score(TEXTS).probabilities
    alone = np.concatenate([scorer.score([text]).probabilities for text in TEXTS])
    backwards = scorer.score(TEXTS[::-1]).probabilities[::-1]
    assert every.tobytes() == alone.tobytes() == np.ascontiguousarray(backwards).tobytes()


def test_golden_rows_are_compared_without_the_calibration(bundle, calibrated):
    differences = [LoadedModel(one, provider="cpu").golden_difference for one in (bundle, calibrated)]
    assert differences[0] == differences[1]


def test_texts_from_the_cache_are_calibrated_once(calibrated, tmp_path):
    scores = []
    for _ in range(2):
        with Scorer(calibrated, provider="cpu", cache=tmp_path / "cache.sqlite") as scorer:
            scores.append(scorer.score(TEXTS).probabilities.tobytes())
    assert scores[0] == scores[1] == Scorer(calibrated, provider="cpu").score(TEXTS).probabilities.tobytes()


def test_a_text_without_a_token_stays_without_a_score(calibrated):
    scorer = LoadedModel(calibrated, provider="cpu")
    found = scorer.submit_texts(["good", "\u200b", "bad"]).result()
    assert found.empty.tolist() == [False, True, False]
    assert np.isnan(found.logits[:, 0]).tolist() == [False, True, False]


def test_early_texts_keep_the_calibration_of_the_cascade_and_others_get_that_by_length(staged_bundle, tmp_path):
    bundle = with_fields(staged_bundle, tmp_path / "b", calibration_by_length=STEEP)
    texts = reviews(200, 2, 13).texts
    before, after = (LoadedModel(one, provider="cpu") for one in (staged_bundle, bundle))
    tokens = after.tokenizer.encode(texts)
    plain, found = before.submit(tokens).result(), after.submit(tokens).result()
    early = found.early
    assert early.tolist() == plain.early.tolist()
    assert 20 < early.sum() < 180
    assert found.values[early].tobytes() == plain.values[early].tobytes()
    late = [ids for ids, one in zip(tokens.ids, early, strict=True) if not one]
    expected = by_formula(STEEP, raw_logits(after, late), late)
    np.testing.assert_allclose(
        found.values[~early], probabilities(expected, bundle.manifest.temperature), atol=1e-6, rtol=0
    )
    alone = after.wide_alone(tokens)
    assert alone.values.tobytes() == before.wide_alone(tokens).values.tobytes()
    every = LoadedModel(bundle, provider="cpu", cascade=False).submit(tokens).result().values
    assert every[~early].tobytes() == found.values[~early].tobytes()


def test_the_window_that_decides_gives_the_label_that_the_calibration_gives_the_text(bundle, tmp_path):
    most = 72.0
    upwards, downwards = (LengthCalibration((most,), (1.0,), ((side * 1e3,),)) for side in (1, -1))
    windows = as_windows(bundle, tmp_path / "plain")
    texts = [" ".join(reviews(count, 2, count).texts) for count in range(4, 12)]
    found = []
    for name, one in (("up", upwards), ("down", downwards)):
        scorer = LoadedModel(with_fields(windows, tmp_path / name, calibration_by_length=one), provider="cpu")
        found.append(scorer.submit_texts(texts).result())
    assert ((found[0].logits > 0) & (found[1].logits < 0)).all()
    plain = LoadedModel(windows, provider="cpu")
    ids = plain.tokenizer.encode(texts).ids
    split = plain.windows.split(ids)
    each, ends = plain.engine.logits(split.rows)[:, 0], np.cumsum(split.counts)
    for number, (begin, end) in enumerate(zip(ends - split.counts, ends, strict=True)):
        # The bias is so large that it drowns the logits; the heaviest window decides, and of equal ones the first.
        weights = split.weights[begin:end]
        for side, outcome in zip((1, -1), found, strict=True):
            support = (side * each[begin:end] + 1e3) * weights
            assert outcome.decided_by[number] == 1 + int(np.argmax(support))


# The function


@given(
    st.lists(st.floats(1, 1000), min_size=1, max_size=8, unique=True),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.integers(0, 40_000),
    st.randoms(use_true_random=False),
)
def test_any_calibration_of_any_logit_is_finite_monotonic_and_constant_beyond_the_knots(lengths, logit, tokens, chance):
    lengths.sort()
    scale = tuple(chance.uniform(0.001, 1000) for _ in lengths)
    found = LengthCalibration(tuple(lengths), scale, tuple((chance.uniform(-1e6, 1e6),) for _ in lengths))
    logits = np.array([[logit], [np.float32(logit) + 1], [np.nan]], dtype=np.float32)
    after = found.apply(logits, np.full(3, tokens))
    assert after.dtype == np.float32
    assert np.isfinite(after[:2]).all()
    assert np.isnan(after[2, 0])
    assert after[0, 0] <= after[1, 0]
    beyond = found.apply(logits[:2], np.full(2, max(tokens, 1001)))
    last = (logits[:2].astype(np.float64) * scale[-1] + found.bias[-1][0]).clip(-1e30, 1e30).astype(np.float32)
    np.testing.assert_array_equal(beyond, last)
