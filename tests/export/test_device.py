"""The device of training: its choice, its vectors, and a network whose tensors are all on it."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from factories import MAX_LENGTH, reviews

from export.classifier.objective import AnyOf, OneOf, Value
from export.encoder.load import load_encoder
from export.errors import ExportError
from export.training import device as devices
from export.training import features
from export.training.device import CPU, DeviceEngine, device_of, memory_of
from export.training.features import extract, hidden_states
from export.training.network import Network
from export.training.settings import DEVICES, TuneSettings
from export.training.tuning_run import Sample, TuningRun
from scorer.base.errors import OutOfMemory, UsageError
from scorer.engine.windows import Windows, split_of

FAMILIES = ("distilbert", "bert", "roberta", "electra", "mpnet")


class AsIf(DeviceEngine):
    """An engine that computes on the CPU, as if it were another device."""

    def __init__(self, encoder, _device, factor=1.0):
        super().__init__(encoder, CPU)
        self._factor = factor

    def _layers(self, rows):
        layers, mask = super()._layers(rows)
        return [self._factor * layer for layer in layers], mask


@pytest.fixture(params=FAMILIES)
def frozen(request, encoder_folder):
    return load_encoder(str(encoder_folder(request.param)), max_length=MAX_LENGTH)


def rows_of(encoder, count=40):
    return encoder.tokenizer.encode(reviews(count, 2, 1).texts).ids


@pytest.mark.parametrize("small", [False, True])
def test_the_vectors_of_a_device_are_those_of_the_cpu(frozen, tmp_path, monkeypatch, small):
    if small:
        monkeypatch.setattr(devices, "_TOKENS", 30)
    rows = rows_of(frozen)
    queries = {1: np.random.default_rng(0).normal(size=(3, frozen.hidden_size)).astype(np.float32)}
    given = {"name": "x", "quiet": True}
    plain = extract(frozen, rows, tmp_path / "cpu", queries=queries, **given)
    layer = hidden_states(frozen, rows, 1, tmp_path / "cpu", **given)
    monkeypatch.setattr(features, "DeviceEngine", AsIf)
    other = extract(frozen, rows, tmp_path / "gpu", queries=queries, device=torch.device("cuda"), **given)
    assert (other.computed, other.places) == (plain.computed, plain.places)
    np.testing.assert_allclose(other.vectors, plain.vectors, atol=1e-5)
    hidden = hidden_states(frozen, rows, 1, tmp_path / "gpu", device=torch.device("cuda"), **given)
    np.testing.assert_allclose(hidden.array, layer.array, atol=2e-3)  # float16


def test_vectors_of_one_device_are_not_computed_again_on_another(encoder, tmp_path):
    frozen = encoder("bert")
    rows = rows_of(frozen)
    extract(frozen, rows, tmp_path, name="x", quiet=True)
    assert extract(frozen, rows, tmp_path, device=torch.device("mps"), name="x", quiet=True).computed == 0


def test_a_device_that_computes_other_vectors_is_refused(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "DeviceEngine", lambda *given: AsIf(*given, factor=1.01))
    frozen = encoder("bert")
    with pytest.raises(ExportError, match=r"vectors of the device cuda differ from those of the CPU by 1\.0e-02"):
        extract(frozen, rows_of(frozen), tmp_path, device=torch.device("cuda"), name="x", quiet=True)


@pytest.mark.parametrize("objective", [OneOf(2), OneOf(3, (0.5, 1.0, 2.0)), AnyOf(2), Value(), Value(1.345)])
@pytest.mark.parametrize("combination", ["mean", "max"])
def test_a_training_step_mixes_no_tensor_of_the_cpu_with_those_of_the_device(
    encoder_folder, tmp_path, objective, combination, monkeypatch
):
    """PyTorch's device without memory refuses tensors of the CPU as a GPU does, except for the values, which it lacks."""
    frozen = load_encoder(str(encoder_folder("mpnet")), max_length=MAX_LENGTH)
    split = split_of(Windows(8, 1, 1, 4, combination), rows_of(frozen, 6))
    network = Network(frozen, "cls+mean1+attention2", objective.logit_count, blocks=2, dropout=0.1, seed=0)
    run = TuningRun(network.to("meta"), objective, TuneSettings(2, batch_size=3), 1, tmp_path / "run.pt")
    targets = {
        "single_label": torch.tensor([0, 1] * 3),
        "multi_label": torch.ones(6, 2),
        "regression": torch.ones(6, 1),
    }
    weights = torch.ones(6, dtype=torch.float64) if objective.task == "single_label" else None
    monkeypatch.setattr(torch.Tensor, "item", lambda tensor: 1.0)
    monkeypatch.setattr(torch, "nonzero", lambda tensor: torch.zeros(3, 1, dtype=torch.int64, device=tensor.device))
    monkeypatch.setattr(torch, "autocast", lambda *given, **more: nullcontext())
    monkeypatch.setattr("export.training.tuning_run.nn.utils.clip_grad_norm_", lambda *_: None)
    inputs = type("Ids", (), {"rows": lambda self, numbers: [split.rows[row] for row in numbers]})()
    run.step(Sample(inputs, split, targets[objective.task], weights), np.arange(6))
    assert {one.grad.device.type for one in network.parameters() if one.grad is not None} == {"meta"}


def test_auto_is_the_cpu_without_a_gpu_and_cuda_with_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto") == device_of("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_of("auto") == device_of("cuda") == torch.device("cuda")
    assert DEVICES == ("auto", "cpu", "cuda", "mps")


@pytest.mark.parametrize(
    ("name", "build", "message"),
    [
        ("cuda", None, "needs a build of PyTorch with CUDA, and PyTorch "),
        ("cuda", "12.6", "finds no GPU. Check `nvidia-smi` and CUDA_VISIBLE_DEVICES"),
        ("mps", None, "finds no GPU of Apple here"),
    ],
)
def test_a_device_that_pytorch_cannot_use_is_refused_before_any_work(
    encoder_folder, score_model, tmp_path, monkeypatch, name, build, message
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", build)
    with pytest.raises(UsageError) as caught:
        device_of(name)
    assert message in str(caught.value)
    (tmp_path / "a.csv").write_text("text,label\n")
    done = score_model(
        "train", "-o", tmp_path / "b", "--train-file", tmp_path / "a.csv", "--test-file", tmp_path / "a.csv",
        "--encoder", encoder_folder("bert"), "--max-length", MAX_LENGTH, "--device", name, "--cache-dir", tmp_path / "c",
    )  # fmt: skip
    assert done.code == 2
    assert message in done.err


def test_a_device_out_of_memory_says_what_to_set():
    with pytest.raises(OutOfMemory) as caught, memory_of(torch.device("cuda"), "a smaller --batch-size"):
        raise torch.OutOfMemoryError("CUDA out of memory.")
    assert str(caught.value).startswith(
        "out of memory on the device cuda: give a smaller --batch-size, or --device cpu."
    )
