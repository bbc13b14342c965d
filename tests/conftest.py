"""Fixtures: tiny encoders and bundles, the commands that use them, and a tally of faults."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from factories import (
    CHUNK,
    MAX_LENGTH,
    Result,
    as_multi_label,
    as_regression,
    as_windows,
    in_process,
    make_bundle,
    tiny_model,
    tiny_tokenizer,
    with_cascade,
    with_fields,
)

from export.cli.score_model import command as score_model_command
from export.encoder.load import FrozenEncoder, load_encoder
from scorer.base.messages import use_json
from scorer.base.signals import Interrupted
from scorer.cli.score import command
from scorer.engine.row_engine import RowEngine
from scorer.model.bundle import Bundle
from scorer.report.summary import Summary
from scorer.run.checkpoint import Work

# The time of an example depends on the load of the machine.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder with a tiny encoder of a family, as `save_pretrained` writes it."""
    folders: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in folders:
            folders[family] = tmp_path_factory.mktemp("encoders") / f"tiny-{family}"
            tokenizer = tiny_tokenizer(family)
            tokenizer.save_pretrained(folders[family])
            # One word is in the vocabulary twice, so the ids have a gap, and there are more ids than words.
            tiny_model(family, max(tokenizer.get_vocab().values()) + 1).save_pretrained(folders[family])
        return folders[family]

    return folder


@pytest.fixture(scope="session")
def encoder(encoder_folder: Callable[[str], Path]) -> Callable[[str], FrozenEncoder]:
    return lambda family: load_encoder(str(encoder_folder(family)), max_length=MAX_LENGTH)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, encoder: Callable[[str], FrozenEncoder]) -> Bundle:
    """A bundle of two labels with fp32, fp16 and int8."""
    return make_bundle(encoder("distilbert"), tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def bundle_of_three(tmp_path_factory: pytest.TempPathFactory, encoder: Callable[[str], FrozenEncoder]) -> Bundle:
    """A bundle of three labels, fp32."""
    folder = tmp_path_factory.mktemp("bundles") / "three"
    return make_bundle(encoder("bert"), folder, ("bad", "good", "mixed"), pooling="mean", precisions=("fp32",))


@pytest.fixture(scope="session")
def multi_label_bundle(tmp_path_factory: pytest.TempPathFactory, bundle_of_three: Bundle) -> Bundle:
    """A bundle that gives any of three labels, fp32."""
    return as_multi_label(bundle_of_three, tmp_path_factory.mktemp("bundles") / "multi-label")


@pytest.fixture(scope="session")
def regression_bundle(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Bundle:
    """A bundle that gives stars, with fp32, fp16 and int8."""
    return as_regression(bundle, tmp_path_factory.mktemp("bundles") / "regression")


@pytest.fixture(scope="session")
def ordered_bundle(tmp_path_factory: pytest.TempPathFactory, bundle_of_three: Bundle) -> Bundle:
    """A bundle that chooses one of three numbers of stars, fp32."""
    folder = tmp_path_factory.mktemp("bundles") / "ordered"
    return with_fields(bundle_of_three, folder, labels=("1", "2.5", "5"), ordered=True)


@pytest.fixture(scope="session")
def windows_bundle(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Bundle:
    """A bundle that reads texts of up to four windows, with fp32, fp16 and int8."""
    return as_windows(bundle, tmp_path_factory.mktemp("bundles") / "windows")


@pytest.fixture(scope="session")
def staged_windows_bundle(tmp_path_factory: pytest.TempPathFactory, staged_bundle: Bundle) -> Bundle:
    """A bundle that reads in windows what its wide part does not decide alone, with all precisions."""
    return as_windows(staged_bundle, tmp_path_factory.mktemp("bundles") / "staged-windows")


@pytest.fixture(scope="session")
def staged_bundle(tmp_path_factory: pytest.TempPathFactory, encoder: Callable[[str], FrozenEncoder]) -> Bundle:
    """A bundle of two labels with all precisions, whose wide part decides about half of the texts alone."""
    return with_cascade(encoder("bert"), tmp_path_factory.mktemp("bundles") / "staged", ("negative", "positive"))


@pytest.fixture(scope="session")
def staged_bundle_of_three(tmp_path_factory: pytest.TempPathFactory, encoder: Callable[[str], FrozenEncoder]) -> Bundle:
    """A bundle of three labels with fp32, whose wide part decides about half of the texts alone."""
    folder = tmp_path_factory.mktemp("bundles") / "staged-three"
    return with_cascade(encoder("bert"), folder, ("bad", "good", "mixed"), precisions=("fp32",))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Reset PyTorch to one thread after a command has set more: on busy cores its threads spin for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def messages_are_text() -> Iterator[None]:
    """Reset messages to text: their format is a setting of the process, which runs many commands here."""
    yield
    use_json(False)


@pytest.fixture
def score(bundle: Bundle, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `score`, by default with the tiny bundle on CPU."""
    monkeypatch.setenv("SCORE_MODEL", str(bundle.path))
    monkeypatch.setenv("SCORE_PROVIDER", "cpu")
    return in_process(command, "score", "nothing was published.", capfd)


@pytest.fixture
def score_model(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run `score-model`."""
    return in_process(score_model_command, "score-model", "stopped.", capfd)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chunks so small that a few records fill many of them."""
    monkeypatch.setattr(RowEngine, "chunk_rows", CHUNK)
    monkeypatch.setattr(RowEngine, "journal_rows", CHUNK)


@pytest.fixture
def interrupted(score: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `score`, interrupted after a given number of durable chunks."""

    def run(windows: int, *arguments: str | Path) -> Result:
        with monkeypatch.context() as patched:
            commit = Work.commit
            left = [windows]

            def counting(work: Work, summary: Summary, *, complete: bool = False) -> None:
                commit(work, summary, complete=complete)
                left[0] -= 1
                if left[0] == 0:
                    raise Interrupted(signal.SIGTERM)

            patched.setattr(Work, "commit", counting)
            return score(*arguments)

    return run


_FAULT = "fault"
"""Property of a test's report, which reaches the table from other processes as well: a fault, times tried and held."""


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[str, int, int], None]:
    """Note how often a fault was tried, and that the promise held every time; a table at the end shows the counts."""

    def note(fault: str, tried: int, held: int) -> None:
        request.node.user_properties.append((_FAULT, (fault, tried, held)))
        assert tried > 0, f"{fault}: was not tried at all"
        assert held == tried, f"{fault}: held {held} times of {tried}"

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, ())]
    totals = [
        value for report in reports if report.when == "call" for name, value in report.user_properties if name == _FAULT
    ]
    if totals:
        terminalreporter.section("faults")
        terminalreporter.write_line("| fault | tried | held |\n|---|---|---|")
        for fault, tried, held in totals:
            terminalreporter.write_line(f"| {fault} | {tried:,} | {held:,} |")
