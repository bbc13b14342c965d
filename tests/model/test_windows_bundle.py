"""Bundles whose encoder reads long texts in windows: the manifest's fields, and scores that are those of the windows."""

from dataclasses import replace

import numpy as np
import pytest
from factories import as_windows, reviews, with_fields

from scorer import Scorer
from scorer.base.errors import BundleError
from scorer.model.bundle import TOKENIZER, load_bundle
from scorer.model.interpretation import Regression
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import WindowSettings, parse_manifest
from scorer.model.tokenizer import Tokenizer
from scorer.model.windows import windows_of


def long_texts(scorer, lengths):
    """Return texts of given numbers of tokens."""
    words = " ".join(reviews(400, 2, 5).texts).split()
    found = []
    for length in lengths:
        counts = range(1, length + 1)
        tokens = scorer.tokenizer.encode([" ".join(words[:count]) for count in counts])
        fitting = [
            count
            for count, ids, truncated in zip(counts, tokens.ids, tokens.truncated, strict=True)
            if len(ids) <= length and not truncated
        ]
        found.append(" ".join(words[: fitting[-1]]))
    return found


def test_the_manifest_keeps_its_windows_and_needs_a_release_that_knows_them(windows_bundle):
    manifest = windows_bundle.manifest
    again = parse_manifest(manifest.to_json())
    assert again == manifest
    assert "windows" in again.needs
    assert again.windows == WindowSettings(16, 4, "mean")
    assert again.tokens_kept == manifest.max_length + 3 * 16 == 72


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"windows": None}, "windows must be set for the truncation 'windows'"),
        ({"truncation": "head"}, "windows must be set for the truncation 'windows'"),
        ({"windows": WindowSettings(20, 1)}, "a text may have 2 to"),
        ({"windows": WindowSettings(20, 1 << 20)}, "a text may have 2 to"),
        ({"windows": WindowSettings(2, 4)}, "stride of windows must be at least 1/8 of max_length, not 2"),
        ({"windows": WindowSettings(20, 4, "max")}, "the largest logit of windows needs a model that gives any number"),
        ({"windows": WindowSettings(20, 4, "sum")}, "combination has an invalid value: 'sum'"),
        ({"windows": WindowSettings("20", 4)}, "stride has an invalid value: '20'"),
        ({"windows": WindowSettings(20, True)}, "most has an invalid value: 'True'"),
    ],
)
def test_a_manifest_whose_windows_contradict_the_rest_is_refused(windows_bundle, fields, says):
    with pytest.raises((ValueError, TypeError), match=says):
        replace(windows_bundle.manifest, **fields)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"max_tokens": 60}, "4 windows of manifest.json cover 72 tokens, but max_tokens is 60"),
        ({"windows": WindowSettings(23, 4)}, "do not fit the tokenizer: a window's stride must be between 1 and 22"),
    ],
)
def test_windows_that_leave_out_tokens_are_refused_with_the_bundle(windows_bundle, tmp_path, fields, says):
    bundle = with_fields(windows_bundle, tmp_path / "b", **fields)
    with pytest.raises(BundleError, match=says):
        LoadedModel(bundle, provider="cpu")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_logits_of_a_text_are_the_weighted_mean_of_those_of_its_windows(bundle, windows_bundle, precision):
    plain, scorer = (LoadedModel(one, provider="cpu", precision=precision) for one in (bundle, windows_bundle))
    texts = long_texts(scorer, [3, 20, 23, 24, 25, 40, 41, 56, 57, 72])
    tokens = scorer.tokenizer.encode(texts)
    assert not any(tokens.truncated)
    assert scorer.windows is not None
    assert {len(scorer.windows.rows(ids)) for ids in tokens.ids} == {1, 2, 3, 4}
    found = scorer.score_tokens(tokens)
    for ids, value, windows in zip(tokens.ids, found.values, found.windows, strict=True):
        rows = scorer.windows.rows(ids)
        weights = np.array(scorer.windows.weights(len(ids)))
        logits = plain.engine.logits(rows)[:, 0].astype(np.float64)
        mean = np.array([[(logits * weights).sum() / weights.sum()]], dtype=np.float32)
        np.testing.assert_allclose(value, scorer.interpretation.values(mean)[0], rtol=1e-6)
        assert windows == len(rows)


def test_a_text_of_one_window_has_the_very_score_of_a_bundle_without_windows(bundle, windows_bundle):
    texts = reviews(60, 2, 6).texts
    plain, found = (Scorer(one, provider="cpu").score(texts) for one in (bundle, windows_bundle))
    assert found.probabilities.tobytes() == plain.probabilities.tobytes()


def test_what_the_windows_do_not_reach_is_cut_and_counted_as_truncated(windows_bundle):
    scorer = LoadedModel(windows_bundle, provider="cpu")
    text = long_texts(scorer, [72])[0]
    tokens = scorer.tokenizer.encode([text, text + " and more"])
    assert tokens.truncated == [False, True]
    assert tokens.ids[0].tolist() == tokens.ids[1].tolist()


def test_the_wide_part_of_a_cascade_decides_as_without_windows(staged_bundle, staged_windows_bundle):
    plain, scorer = (LoadedModel(one, provider="cpu") for one in (staged_bundle, staged_windows_bundle))
    texts = long_texts(scorer, [*range(4, 24), *range(24, 72, 2)])
    tokens = scorer.tokenizer.encode(texts)
    found = scorer.score_tokens(tokens)
    assert 0 < found.early.sum() < len(texts)
    assert (found.windows[found.early] == 0).all()
    assert (found.decided_by[found.early] == 0).all()
    assert (found.windows[~found.early] >= 1).all()
    short = [row for row, ids in enumerate(tokens.ids) if len(ids) <= 24]
    expected = plain.score_tokens(plain.tokenizer.encode([texts[row] for row in short]))
    assert found.values[short].tobytes() == expected.values.tobytes()


def test_the_largest_logit_of_each_label_wins_if_the_bundle_states_so(multi_label_bundle, tmp_path):
    bundle = as_windows(multi_label_bundle, tmp_path / "b", combination="max")
    scorer = LoadedModel(bundle, provider="cpu")
    text = long_texts(scorer, [60])[0]
    tokens = scorer.tokenizer.encode([text])
    assert scorer.windows is not None
    logits = scorer.engine.logits(scorer.windows.rows(tokens.ids[0]))
    expected = scorer.interpretation.values(logits.max(axis=0, keepdims=True))
    found = scorer.score_tokens(tokens)
    assert found.values.tolist() == expected.tolist()
    best = int((logits.max(axis=0) / np.array(bundle.manifest.temperatures)).argmax())
    assert found.decided_by.tolist() == [1 + int(logits[:, best].argmax())]


def test_scores_do_not_depend_on_threads_neighbours_or_order(windows_bundle):
    scorer = Scorer(windows_bundle, provider="cpu", threads=1)
    texts = long_texts(scorer.model, [5, 72, 24, 25, 50, 72, 20])
    expected = scorer.score(texts).probabilities
    other = Scorer(windows_bundle, provider="cpu", threads=3)
    assert other.score(texts[::-1]).probabilities[::-1].tobytes() == expected.tobytes()
    alone = [other.score([text]).probabilities for text in texts]
    assert np.concatenate(alone).tobytes() == expected.tobytes()


def test_special_places_are_counted_on_both_sides(windows_bundle):
    tokenizer = Tokenizer(windows_bundle.files[TOKENIZER], 24)
    assert tokenizer.special_places == (1, 1)
    windows = windows_of(windows_bundle.manifest, Tokenizer(windows_bundle.files[TOKENIZER], 72))
    assert windows is not None
    assert (windows.before, windows.after, windows.width) == (1, 1, 22)


def test_a_value_is_decided_by_the_window_that_moves_it_most_in_its_direction():
    regression = Regression(("stars",), (2.0,), (3.0,))
    logits, whole = np.array([[-1.0], [3.0], [0.5]]), np.array([[0.8], [0.8], [0.8]])
    assert regression.margins(logits, whole).tolist() == [-1.0, 3.0, 0.5]
    assert regression.margins(logits, -whole).tolist() == [1.0, -3.0, -0.5]


def test_the_bundle_on_disk_is_read_again_alike(windows_bundle):
    assert load_bundle(windows_bundle.path).manifest == windows_bundle.manifest
