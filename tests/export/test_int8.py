"""Quantization: rewritten operators stay exact, rounded ones stay close, and the head is not rounded at all."""

import dataclasses
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from factories import ROOT, reviews
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.encoder.weights import encoder_weights
from export.graph.activations import observe
from export.graph.classifier import graph_logits
from export.graph.fp32 import to_float32
from export.graph.int8 import to_int8
from export.graph.rounding import choose_span, round_weights
from scorer.engine import runtime
from scorer.engine.cpu_features import cpu_features
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session

HEAD = LinearHead(np.random.default_rng(1).normal(size=(1, 32)).astype(np.float32), np.zeros(1, dtype=np.float32))


@pytest.fixture(scope="module")
def weights(encoder):
    """An encoder with one channel two hundred times as large as the others, whose full range would use all eight bits."""
    found = encoder_weights(encoder("bert"))
    blocks = []
    for block in found.blocks:
        weight = block.attention_norm.weight.copy()
        weight[3] *= 200
        blocks.append(
            dataclasses.replace(block, attention_norm=dataclasses.replace(block.attention_norm, weight=weight))
        )
    return dataclasses.replace(found, blocks=tuple(blocks))


@pytest.fixture(scope="module")
def rows(encoder):
    return encoder("bert").tokenizer.encode(reviews(80, 2, 31).texts).ids


def logits(model, rows):
    return RowEngine(open_session(model.SerializeToString(), "cpu"), 2).logits(rows)


def quantized(values, span):
    """Return what a channel's values are in the quantized activation: its own, and those of its extra channels."""
    zero, scale = float(span.zero), float(span.scale)
    offsets = np.concatenate([[0], span.offsets])
    steps = np.clip(np.rint((values[:, np.newaxis] - offsets) / scale) + zero, 0, 255)
    return ((steps - zero) * scale).sum(axis=1) - span.rest.sum()


@settings(max_examples=50)
@given(st.integers(0, 2**16), st.integers(0, 3), st.floats(1, 300))
def test_every_value_that_was_seen_is_rounded_by_half_a_step_however_far_out(seed, outliers, factor):
    generator = np.random.default_rng(seed)
    high = generator.uniform(0.5, 1, size=96)
    low = -generator.uniform(0, 1, size=96)
    high[:outliers] *= factor
    low[1:outliers] *= factor / 2
    span = choose_span(low, high)
    assert len(span.channels) <= 96 / 16
    assert span.low <= 0 <= span.high
    for channel in (*range(outliers), 50):
        own = span.channels == channel
        values = np.linspace(low[channel], high[channel], 999)
        found = quantized(values, dataclasses.replace(span, channels=span.channels[own], shifts=span.shifts[own]))
        # The ends of the span lie half a step off, because 0 is a step.
        assert np.abs(found - values).max() <= 1.01 * float(span.scale)


def test_a_channel_far_beyond_the_others_does_not_widen_the_span():
    high, low = np.ones(384), -np.ones(384)
    high[5], low[7] = 4, -2.9
    span = choose_span(low, high)
    assert span.high <= 1.5
    assert {*zip(span.channels.tolist(), span.shifts.tolist(), strict=True)} == {(5, 1), (5, 2), (7, -1)}


def test_where_nothing_stands_out_there_are_no_extra_channels():
    assert not len(choose_span(-np.ones(96), np.linspace(0.7, 1, 96)).channels)


def test_extra_channels_for_outliers_make_int8_more_exact(weights, rows, monkeypatch):
    expected = logits(to_float32(weights, Classifier(HEAD, "mean")), rows)
    monkeypatch.setattr("export.graph.rounding._MOST_EXTRA", 8)  # a single one of 32 channels is already 3%
    monkeypatch.setattr("export.graph.rounding._PRICE", 0.1)
    error = np.abs(logits(to_int8(weights, Classifier(HEAD, "mean"), rows[:20]), rows) - expected).mean()
    monkeypatch.setattr("export.graph.rounding._MOST_EXTRA", 0)
    without = np.abs(logits(to_int8(weights, Classifier(HEAD, "mean"), rows[:20]), rows) - expected).mean()
    assert error < 0.5 * without


def test_rounding_with_the_inputs_in_mind_is_more_exact_than_rounding_to_the_nearest():
    generator = np.random.default_rng(0)
    # The channels are correlated, as in an encoder.
    x = generator.normal(size=(500, 6)) @ generator.normal(size=(6, 24)) + 0.1 * generator.normal(size=(500, 24))
    weight = generator.normal(size=(24, 16)).astype(np.float32)
    rounded, scales = round_weights(weight, x.T @ x / len(x))
    assert rounded.dtype == np.int8
    assert 127 * 8 / 9 <= np.abs(rounded).max() <= 127
    nearest = np.rint(weight / scales)
    error, error_of_nearest = (np.square(x @ (steps * scales - weight)).mean() for steps in (rounded, nearest))
    assert error < 0.5 * error_of_nearest


def test_the_mean_error_of_the_calibration_texts_is_corrected(weights, rows):
    errors = logits(to_int8(weights, Classifier(HEAD, "mean"), rows[:20]), rows[:20]) - logits(
        to_float32(weights, Classifier(HEAD, "mean")), rows[:20]
    )
    assert abs(errors.mean()) < 1e-4 < np.abs(errors).mean()


def test_word_vectors_are_rounded_with_a_scale_of_their_own(weights, rows):
    model = to_int8(weights, Classifier(HEAD, "mean"), rows[:5])
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    back = constants["word"] * constants["word.scale"]
    # The bound is half a step, and a step is at most an eighth larger because scales have few bits.
    assert (np.abs(back - weights.word) <= np.abs(weights.word).max(axis=1, keepdims=True) / 254 * 9 / 8 + 1e-7).all()


def test_the_weights_that_int8_stands_for_are_exact_in_float16(weights, rows):
    constants = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in to_int8(weights, Classifier(HEAD, "mean"), rows[:5]).graph.initializer
    }
    names = [name.removesuffix(".weight") for name, value in constants.items() if value.dtype == np.int8]
    assert len(names) == 13  # six in each of two blocks, and the word vectors
    for name in names:
        found = constants.get(f"{name}.weight", constants.get(name)) * constants[f"{name}.scale"]
        assert (found.astype(np.float16).astype(np.float32) == found).all()


def test_what_goes_into_the_products_is_observed_over_all_tokens(weights, rows):
    graph = to_float32(weights, Classifier(HEAD, "mean"))
    observed = observe(graph, rows[:4])
    np.testing.assert_allclose(observed.logits, graph_logits(graph, rows[:4]), atol=1e-5)
    assert [one.name for one in graph.graph.output] == ["logits"]
    seen = observed.activations
    assert len(seen) == 8  # four activations in each of two blocks
    for one in seen.values():
        assert (one.low <= one.mean).all()
        assert (one.mean <= one.high).all()
        assert (np.diag(one.moment) >= one.mean**2 - 1e-5).all()


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_rows_int8_logits_do_not_depend_on_its_neighbours_even_in_one_batch(weights, rows, pooling):
    """The scales are fixed, so other rows of a batch change only the last bits of float32."""
    session = open_session(to_int8(weights, Classifier(HEAD, pooling), rows[:20]).SerializeToString(), "cpu")
    same = [row for row in rows if len(row) == len(rows[0])][:6]
    assert len(same) > 2
    ids = np.stack(same)
    together = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
    np.testing.assert_allclose(together, RowEngine(session, 1).logits(same), atol=1e-4)


def test_the_slow_exact_products_are_taken_only_where_the_fast_ones_saturate(monkeypatch):
    if "avx512_vnni" in cpu_features() or "avx_vnni" in cpu_features():
        assert not runtime.int8_saturates()
    for saturates, expected in ((True, "1"), (False, None)):
        monkeypatch.setattr(runtime, "int8_saturates", lambda saturates=saturates: saturates)
        options = runtime.session_options("cpu")
        if expected is None:
            with pytest.raises(RuntimeError, match="not have configuration"):
                options.get_session_config_entry("session.x64quantprecision")
        else:
            assert options.get_session_config_entry("session.x64quantprecision") == expected


@pytest.mark.emulated
def test_int8_is_right_on_a_cpu_without_vnni(bundle, tmp_path):
    """The kernels of an older CPU (AVX2, no VNNI) run in an emulator, with and without onnxruntime's exact mode."""
    qemu = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    if qemu is None:
        pytest.skip("no emulator: install Debian's qemu-user")
    script = tmp_path / "golden.py"
    script.write_text(
        "import sys\n"
        "from scorer.engine import runtime\n"
        "from scorer.model import loaded\n"
        "from scorer.model.bundle import load_bundle\n"
        "from scorer.model.loaded import LoadedModel\n"
        "loaded.check_largest_row = lambda *arguments: None  # minutes in an emulator; not what is asked here\n"
        "if sys.argv[2] == 'fast':\n"
        "    runtime.int8_saturates = lambda: False\n"
        "else:\n"
        "    assert runtime.int8_saturates()\n"
        "bundle = load_bundle(sys.argv[1])\n"
        "for row in bundle.manifest.precisions.values():\n"
        "    object.__setattr__(row, 'tolerance', 1e9)\n"
        "print(LoadedModel(bundle, provider='cpu', precision='int8').golden_difference)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    default = ROOT / "models" / "default"

    def difference(run: tuple[Path, str]) -> float:
        command = [qemu, "-cpu", "Haswell", sys.executable, str(script), *map(str, run)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    runs = list(product((default, bundle.path), ("exact", "fast")))
    with ThreadPoolExecutor(2) as side_by_side:  # each run takes minutes on one core
        found = dict(zip(runs, side_by_side.map(difference, runs), strict=True))
    print({f"{folder.name}, {mode}": found[folder, mode] for folder, mode in runs})
    from scorer.model.bundle import load_bundle

    tolerance = load_bundle(default).manifest.precisions["int8"].tolerance
    assert found[default, "exact"] < tolerance / 2
    assert found[default, "fast"] > tolerance  # so the golden rows would detect it
    assert found[bundle.path, "exact"] <= bundle.manifest.precisions["int8"].tolerance
