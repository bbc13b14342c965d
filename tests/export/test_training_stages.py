"""Seconds of the stages of a training."""

import pytest
from factories import MAX_LENGTH, reviews
from threadpoolctl import threadpool_info

from export.classifier.settings import WideSettings
from export.classifier.threads import threads_for
from export.data import Dataset
from export.encoder.load import load_encoder
from export.training.settings import FitSettings, Settings
from export.training.stages import collected, stage
from export.training.train import train


def test_stages_inside_of_others_count_by_themselves(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def pass_seconds(seconds):
        now[0] += seconds

    with collected() as stages:
        with stage("head"):
            pass_seconds(2)
            with stage("features"):
                pass_seconds(3)
                with stage("head"):
                    pass_seconds(4)
            pass_seconds(1)
        pass_seconds(5)
    assert stages.seconds == {"head": 7.0, "features": 3.0}
    assert stages.described() == "15 s: head 7.0 s, features 3.0 s, others 5.0 s"


def test_a_stage_that_fails_still_counts_and_nothing_is_timed_outside():
    @stage("head")
    def fail():
        raise ValueError("no head")

    with collected() as stages:
        for _ in range(2):
            with pytest.raises(ValueError, match="no head"):
                fail()
    assert stages.seconds["head"] >= 0
    with stage("tokens"):
        pass
    assert list(stages.seconds) == ["head"]


def test_fits_of_few_texts_have_one_thread_of_blas_and_others_keep_theirs():
    def threads():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before = threads()
    assert before
    with threads_for(300):
        assert set(threads()) == {1}
    with threads_for(1_000_000):
        assert threads() == before
    assert threads() == before


def test_a_training_reports_what_each_stage_cost_before_it_names_the_bundle(encoder_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("export.training.stages._LEAST", 0.0)  # tiny models take no time
    encoder = load_encoder(str(encoder_folder("bert")), max_length=MAX_LENGTH)
    dataset = Dataset("d", ("n", "p"), reviews(80, 2, 1), reviews(40, 2, 2))
    of_fit = FitSettings(cache=tmp_path / "f", wide=WideSettings(pairs=1 << 20), quiet=True)
    settings = Settings(tmp_path / "b", "b", of_fit, max_length=MAX_LENGTH, parity_rows=4, baseline=False, quiet=True)
    lines = []
    train(dataset, encoder, settings, lines.append)
    assert lines[-1].startswith("wrote ")
    assert lines[-2].startswith("time: ")
    named = {part.strip().rsplit(" ", 2)[0] for part in lines[-2].split(":", 2)[2].split(",")}
    assert named >= {
        "tokens",
        "features",
        "head",
        "wide part",
        "parity",
        "int8",
        "fp16",
        "golden rows",
        "test texts",
        "card",
    }
