"""Memory and disk, checked before the work."""

from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from factories import MAX_LENGTH, make_bundle, reviews

from export.classifier.settings import WideSettings
from export.data import Dataset
from export.encoder.load import load_encoder
from export.encoder.vectors import every_vector
from export.errors import ExportError
from export.training import room
from export.training.room import advice_on_memory, check_memory, memory_of_process
from export.training.settings import FitSettings, Settings, TuneSettings
from export.training.train import train
from scorer.base.errors import OutOfMemory

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def frozen(encoder_folder):
    return load_encoder(str(encoder_folder("bert")), max_length=MAX_LENGTH)


def with_free(monkeypatch, free):
    monkeypatch.setattr("export.training.room.shutil.disk_usage", lambda folder: Usage(1 << 40, 0, free))


def bytes_of(encoder, texts):
    """Return the bytes of the vectors of texts, in float32."""
    return texts * len([*every_vector(encoder.layers)]) * encoder.hidden_size * 4


def test_a_full_cache_disk_is_refused_before_the_first_vector_and_names_what_to_set(frozen, tmp_path, monkeypatch):
    monkeypatch.setattr("export.training.fit.extract", lambda *given, **more: pytest.fail("a vector is computed"))
    with_free(monkeypatch, bytes_of(frozen, 520) - 1)  # of 400 training and 120 test texts
    with pytest.raises(ExportError) as caught:
        make_bundle(frozen, tmp_path / "b")
    assert str(caught.value) == (
        f"{tmp_path / 'features'} has 0.0 GB free, and the encoder's vectors of the texts need 0.0 GB. Give another folder with "
        "--cache-dir, or free some room."
    )


def test_vectors_that_are_in_the_cache_need_no_room(frozen, tmp_path, monkeypatch):
    with_free(monkeypatch, bytes_of(frozen, 520))
    first = make_bundle(frozen, tmp_path / "a")
    with_free(monkeypatch, 0)
    assert make_bundle(frozen, tmp_path / "b").manifest.metrics == first.manifest.metrics


def test_hidden_states_of_training_and_validation_texts_are_refused_together(frozen, tmp_path, monkeypatch):
    with_free(monkeypatch, 400 * MAX_LENGTH * 2)  # far less than 32 float16 numbers of each token
    monkeypatch.setattr("export.training.finetune.hidden_states", lambda *given, **more: pytest.fail("it is computed"))
    with pytest.raises(ExportError, match="Give another folder with --cache-dir"):
        make_bundle(frozen, tmp_path / "b", tune=TuneSettings(1, epochs=1))


def test_a_wide_part_that_cannot_fit_into_memory_is_refused_before_the_work(frozen, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "memory_of_process", lambda: 100_000_000)
    lines, labels = [], [f"l{number:02}" for number in range(40)]
    split = replace(reviews(80, 2, 1), labels=np.arange(80) % 40)
    dataset = Dataset("d", tuple(labels), split, split)
    settings = Settings(
        tmp_path / "b", "b", FitSettings(cache=tmp_path / "f", wide=WideSettings()), max_length=MAX_LENGTH
    )
    with pytest.raises(OutOfMemory) as caught:
        train(dataset, frozen, settings, lines.append)
    assert str(caught.value) == (
        "the wide part of 40 labels needs 0.8 GB, and this process has 0.1 GB. Give --no-wide, or a smaller --wide-pairs."
    )
    assert not lines
    check_memory(replace(settings.fit, wide=None), 30_000, 40)
    check_memory(replace(settings.fit, wide=WideSettings(64)), 30_000, 40)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3.91 GiB for an array"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes. Error code 12 (Cannot allocate memory)"),
    ],
)  # fmt: skip
def test_a_training_out_of_memory_names_what_to_set(error):
    with pytest.raises(OutOfMemory) as caught, advice_on_memory(FitSettings(tune=TuneSettings(1)), 30_522, 40):
        raise error
    assert "--no-wide or a smaller --wide-pairs (the wide part has 0.8 GB of weights), a smaller --batch-size" in str(
        caught.value
    )


def test_other_errors_of_a_training_stay_what_they_are():
    for error in (RuntimeError("shapes differ"), ExportError("too few texts"), OSError(2, "No such file")):
        with pytest.raises(type(error)) as caught, advice_on_memory(FitSettings(), 10, 2):
            raise error
        assert caught.value is error


def test_the_memory_of_a_process_is_the_least_of_machine_and_cgroups(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "memory_left", lambda: None)
    (tmp_path / "meminfo").write_text("MemTotal:       16000000 kB\nMemFree: 1 kB\n")
    inner, outer = tmp_path / "a", tmp_path / "b"
    for folder, limit in ((inner, "max"), (outer, "4000000000")):
        folder.mkdir()
        (folder / "memory.max").write_text(f"{limit}\n")
    assert memory_of_process(tmp_path / "meminfo", [inner]) == 16_384_000_000
    assert memory_of_process(tmp_path / "meminfo", [inner, outer, tmp_path]) == 4_000_000_000
    assert memory_of_process(tmp_path / "none", [inner]) is None
