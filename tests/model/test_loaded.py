"""A scorer keeps what it needs of a bundle in memory, but not the bundle's files."""

import sys
import weakref

import pytest

from scorer.model.bundle import load_bundle
from scorer.model.checks import check_golden_rows
from scorer.model.loaded import LoadedModel


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_only_the_caller_keeps_the_files_of_a_loaded_bundle(bundle, precision):
    loaded = load_bundle(bundle.path)
    holders, before = sys.getrefcount(loaded), {name: sys.getrefcount(data) for name, data in loaded.files.items()}
    scorer = LoadedModel(loaded, provider="cpu", precision=precision, threads=1)  # more threads may open more sessions
    kept = {name for name, data in loaded.files.items() if sys.getrefcount(data) != before[name]}
    # onnxruntime keeps the bytes of the graph; the weights, nearly all of a bundle, are in files beside it.
    assert kept <= {f"model.{precision}.onnx"}
    assert sys.getrefcount(loaded) == holders
    assert (scorer.bundle_id, scorer.bundle_path) == (bundle.id, bundle.path)
    assert len(scorer.submit_texts(["good", "bad"]).result().logits) == 2


def test_a_bundle_that_the_scorer_loads_is_freed_before_its_golden_rows_are_scored(bundle, monkeypatch):
    read, scored = [], []

    def reading(path):
        loaded = load_bundle(path)
        read.append(weakref.ref(loaded))
        return loaded

    def checking(*arguments):
        scored.append([one() for one in read])
        return check_golden_rows(*arguments)

    monkeypatch.setattr("scorer.model.loaded.load_bundle", reading)
    monkeypatch.setattr("scorer.model.loaded.check_golden_rows", checking)
    assert LoadedModel(bundle.path, provider="cpu").golden_difference >= 0
    assert scored == [[None]]
