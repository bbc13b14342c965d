"""Held-out texts for a bundle that exists: its figures and its card change, and nothing else."""

import json

import numpy as np
import pytest
from factories import reviews, with_fields

from scorer import Scorer
from scorer.model.bundle import MANIFEST, load_bundle
from scorer.model.confidence import correctness_of

SPLIT = reviews(300, 2, 21)


@pytest.fixture
def old(staged_bundle, tmp_path):
    """A bundle with a cascade, and without held-out texts."""
    return with_fields(staged_bundle, tmp_path / "old", confidence=None)


@pytest.fixture
def data(tmp_path):
    names = ("negative", "positive")
    lines = [
        json.dumps({"text": text, "label": names[label]}) for text, label in zip(SPLIT.texts, SPLIT.labels, strict=True)
    ]
    (tmp_path / "held-out.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "held-out.jsonl"


def test_every_precision_gets_the_correctness_of_what_score_gives(score_model, old, data, tmp_path):
    result = score_model("confidence", old.path, "-o", tmp_path / "new", "--data", data, "-q")
    assert result.code == 0, result.err
    new = load_bundle(tmp_path / "new")
    assert new.manifest.confidence.keys() == {"fp32", "fp16", "int8"}
    for precision, found in new.manifest.confidence.items():
        scored = Scorer(old, provider="cpu", precision=precision).score(SPLIT.texts)
        assert found == correctness_of(scored.probabilities, SPLIT.labels)
        right = np.mean(
            [label == ("negative", "positive")[n] for label, n in zip(scored.labels, SPLIT.labels, strict=True)]
        )
        assert f"{precision}: {right:.2%} of 300 texts right" in result.out
    assert {name: data for name, data in new.files.items() if name != MANIFEST} == {
        name: data for name, data in old.files.items() if name != MANIFEST
    }
    before, after = (json.loads(one.files[MANIFEST]) for one in (old, new))
    assert {name for name in after if after[name] != before.get(name)} == {"confidence", "needs"}
    card = (tmp_path / "new" / "README.md").read_text()
    assert card.count("## Doubt") == 1
    assert card.index("## Doubt") < card.index("## Training")
    assert "Held-out texts: 300." in card


def test_one_precision_is_measured_again_and_the_section_replaced(score_model, old, data, tmp_path):
    assert score_model("confidence", old.path, "-o", tmp_path / "all", "--data", data, "-q").code == 0
    few = tmp_path / "few.jsonl"
    few.write_text("".join(data.read_text().splitlines(keepends=True)[:50]))
    arguments = ("confidence", tmp_path / "all", "-o", tmp_path / "new", "--data", few, "--precisions", "fp32", "-q")
    assert score_model(*arguments).code == 0
    before, after = (load_bundle(tmp_path / name).manifest.confidence for name in ("all", "new"))
    assert sum(after["fp32"].texts) == 50
    assert (after["int8"], after["fp16"]) == (before["int8"], before["fp16"])
    card = (tmp_path / "new" / "README.md").read_text()
    assert card.count("## Doubt") == 1
    assert "Held-out texts: 50 and 300." in card


def test_what_cannot_promise_anything_is_refused(score_model, old, multi_label_bundle, data, tmp_path):
    result = score_model("confidence", multi_label_bundle.path, "-o", tmp_path / "new", "--data", data)
    assert result.code == 1
    assert "does not choose one label (task multi_label), so there is no error to promise." in result.err
    result = score_model("confidence", old.path, "-o", old.path, "--data", data, "--overwrite")
    assert result.code == 2
    assert "which never changes" in result.err
    assert not (tmp_path / "new").exists()
