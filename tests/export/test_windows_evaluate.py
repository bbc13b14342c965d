"""Bundles that read in windows: their evaluation, their held-out texts, and their model card."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from factories import MAX_LENGTH, as_windows, reviews

from export.data import Split
from export.evaluation.evaluate import by_length, score_split
from export.evaluation.model_card import in_windows, model_card
from scorer import Scorer
from scorer.model.bundle import load_bundle
from scorer.model.confidence import correctness_of
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import WindowSettings

REACH = 72  # tokens kept by `factories.as_windows`: four windows of 24 that begin every 16


def long_reviews(*lengths):
    """Return texts of so many tokens, special ones included, whose words show their label."""
    found = []
    for number, length in enumerate(lengths):
        words = "\n".join(reviews(length, 2, number).texts[number % 2 :: 2]).split()
        found.append(" ".join((words * length)[: length - 2]))
    return Split(found, np.arange(len(lengths)) % 2, tuple(map(str, range(len(lengths)))))


@pytest.fixture
def split():
    return long_reviews(*[8] * 6, 24, 24, 25, 44, 45, 63, 64, 65, REACH - 1, REACH, REACH + 1, 300)


def test_texts_are_grouped_by_all_tokens_that_windows_read(windows_bundle, split):
    scored = score_split(LoadedModel(windows_bundle, provider="cpu", precision="fp32"), split, quiet=True)
    assert scored.lengths.max() == REACH
    assert scored.truncated.sum() == 2
    found = {one.name: one.metrics.texts for one in by_length(scored, MAX_LENGTH)}
    assert found == {
        "up to 24 tokens": 8, "25 to 64 tokens": 5, "65 to 72 tokens": 3, f"more than {REACH} tokens": 2,
    }  # fmt: skip


def test_very_long_texts_have_groups_of_their_own(windows_bundle):
    split = long_reviews(*[8] * 4)
    scored = score_split(LoadedModel(windows_bundle, provider="cpu", precision="fp32"), split, quiet=True)
    longer = replace(scored, lengths=np.array([300, 1500, 3000, 5000]))
    assert [one.name for one in by_length(longer, 400)] == [
        "257 to 400 tokens", "1,025 to 2,048 tokens", "2,049 to 4,096 tokens", "4,097 to 5,000 tokens",
    ]  # fmt: skip


def test_tokens_that_a_cascade_saves_are_those_of_all_windows(staged_windows_bundle, split):
    scorer = LoadedModel(staged_windows_bundle, provider="cpu", precision="fp32", cascade=False)
    stages = score_split(scorer, split, quiet=True).stages
    lengths = [len(ids) for ids in scorer.tokenizer.encode(split.texts).ids]
    # 22 of a text's own tokens in the first window, and at most 16 more in each other one.
    counts = [1 + max(0, -(-(length - 24) // 16)) for length in lengths]
    assert sorted(set(counts)) == [1, 2, 3, 4]
    expected = [length if count == 1 else 24 * count for length, count in zip(lengths, counts, strict=True)]
    assert stages.tokens.tolist() == expected
    early = stages.early
    assert stages.chosen.tokens == pytest.approx(stages.tokens[early].sum() / stages.tokens.sum())


@pytest.fixture
def data(split, tmp_path):
    with open(tmp_path / "texts.csv", "w", newline="") as file:
        names = ("negative", "positive")
        rows = ([text, names[label]] for text, label in zip(split.texts, split.labels, strict=True))
        csv.writer(file).writerows([("text", "label"), *rows])
    return tmp_path / "texts.csv"


def test_evaluate_scores_long_texts_as_score_does(windows_bundle, split, data, score_model, tmp_path):
    result = score_model("evaluate", windows_bundle.path, "--data", data, "--no-baseline", "-o", tmp_path / "f", "-q")
    assert result.code == 0, result.err
    for name, texts in (("up to 24 tokens", 8), ("65 to 72 tokens", 3), ("more than 72 tokens", 2)):
        assert f"| {name} | {texts} |" in result.out
    found = Scorer(windows_bundle, provider="cpu").score(split.texts).labels
    right = np.mean([label == ("negative", "positive")[n] for label, n in zip(found, split.labels, strict=True)])
    (figures,) = json.loads((tmp_path / "f" / "evaluation.json").read_text()).values()
    assert figures["accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("name", ["windows_bundle", "staged_windows_bundle"])
def test_held_out_texts_are_counted_as_score_gives_them(name, split, data, score_model, tmp_path, request):
    bundle = request.getfixturevalue(name)
    result = score_model("confidence", bundle.path, "-o", tmp_path / "new", "--data", data, "-q")
    assert result.code == 0, result.err
    new = load_bundle(tmp_path / "new").manifest
    assert new.windows == bundle.manifest.windows
    for precision, found in new.confidence.items():
        scored = Scorer(bundle, provider="cpu", precision=precision).score(split.texts)
        assert found == correctness_of(scored.probabilities, split.labels)


# The model card

COMPARED = {"texts": {"texts": 133, "windows": [1, 2, 3, 4], "difference": 3.21e-6}}


def card_of(manifest, **fields):
    found = replace(manifest, parity={**manifest.parity, **COMPARED}, **fields)
    return model_card(found, None, "").decode()


def test_the_card_says_what_is_read(windows_bundle):
    manifest = windows_bundle.manifest
    card = card_of(manifest, metrics={**manifest.metrics, "test_cut": 0.25, "test_truncated": 0.125})
    assert (
        "The encoder reads a text of more than 24 tokens in windows, and its logits are the mean of the windows', weighted by "
        "their tokens; windows share those that they have in common."
    ) in card
    assert (
        "| tokens that the encoder reads | up to 72, in at most 4 windows of 24 tokens that begin every 16 (25.0% of the test "
        "texts have several windows, 12.5% more than 72 tokens) |"
    ) in card
    assert "was compared with PyTorch on" in card
    assert "windows of texts, in" in card
    assert (
        "The logits of 133 whole texts differ by at most 3.2e-06. They have up to 4 windows, and some are as long as a number "
        "of windows allows, or one token longer."
    ) in card


def test_the_card_names_the_largest_logit(multi_label_bundle, tmp_path):
    bundle = as_windows(multi_label_bundle, tmp_path / "b", combination="max")
    manifest = replace(
        multi_label_bundle.manifest, windows=bundle.manifest.windows, truncation="windows", max_tokens=REACH
    )
    assert manifest.windows == WindowSettings(16, 4, "max")
    assert in_windows(manifest).endswith("in windows, and the logit of a label is the largest of any window.")


def test_the_card_of_a_wide_part_without_a_cascade_names_its_graph(staged_windows_bundle):
    manifest = staged_windows_bundle.manifest
    metrics = {name: value for name, value in manifest.metrics.items() if name != "cascade"}
    card = card_of(manifest, cascade=None, reference=None, confidence=None, metrics=metrics)
    assert "The wide part has its own graph, whose logits differ from the exact sums by at most" in card
    assert "cascade" not in card.split("## Export checks")[1]
    assert "The cascade compares exact sums" in card_of(manifest)


def test_the_card_of_other_bundles_says_nothing_of_windows(bundle, staged_bundle):
    for one in (bundle, staged_bundle):
        card = model_card(one.manifest, None, "").decode()
        assert "windows" not in card
