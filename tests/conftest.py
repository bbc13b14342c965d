"""Fixtures: tiny encoders and bundles, the command with them, and what faults were tried."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from factories import MAX_LENGTH, WINDOW, Result, in_process, make_bundle, tiny_model, tiny_tokenizer, with_cascade

from export.cli.score_model import command as score_model_command
from export.encoder.load import FrozenEncoder, load_encoder
from scorer.base.messages import write_json
from scorer.base.signals import Interrupted
from scorer.cli.score import command
from scorer.engine.row_engine import RowEngine
from scorer.model.bundle import Bundle
from scorer.report.summary import Summary
from scorer.run.checkpoint import Work

# How long an example takes depends on how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with a tiny encoder of a family, as `save_pretrained` writes it."""
    folders: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in folders:
            folders[family] = tmp_path_factory.mktemp("encoders") / f"tiny-{family}"
            tokenizer = tiny_tokenizer(family)
            tokenizer.save_pretrained(folders[family])
            # One word stands there twice, so the ids have a gap: there are more of them than words.
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
def staged_bundle(tmp_path_factory: pytest.TempPathFactory, encoder: Callable[[str], FrozenEncoder]) -> Bundle:
    """A bundle of two labels with all precisions, whose wide part decides some half of the texts alone."""
    return with_cascade(encoder("bert"), tmp_path_factory.mktemp("bundles") / "staged", ("negative", "positive"))


@pytest.fixture(scope="session")
def staged_bundle_of_three(tmp_path_factory: pytest.TempPathFactory, encoder: Callable[[str], FrozenEncoder]) -> Bundle:
    """The same with three labels, fp32."""
    folder = tmp_path_factory.mktemp("bundles") / "staged-three"
    return with_cascade(encoder("bert"), folder, ("bad", "good", "mixed"), precisions=("fp32",))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tiny models on one thread of PyTorch, whatever a command before has set: on busy cores its threads spin for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def messages_are_text() -> Iterator[None]:
    """How messages are written is the process's, which here are many commands."""
    yield
    write_json(False)


@pytest.fixture
def score(bundle: Bundle, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `score` with the tiny bundle on CPU unless told otherwise."""
    monkeypatch.setenv("SCORE_MODEL", str(bundle.path))
    monkeypatch.setenv("SCORE_PROVIDER", "cpu")
    return in_process(command, "score", "nothing was published.", capfd)


@pytest.fixture
def score_model(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run `score-model`."""
    return in_process(score_model_command, "score-model", "stopped.", capfd)


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of so few rows that a few records are many of them."""
    monkeypatch.setattr(RowEngine, "chunk_rows", WINDOW)
    monkeypatch.setattr(RowEngine, "journal_rows", WINDOW)


@pytest.fixture
def interrupted(score: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `score`, interrupted after so many durable windows."""

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


_TOTALS = pytest.StashKey[list[tuple[str, int, int]]]()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[str, int, int], None]:
    """Note how often a fault was tried and how often the promise held, for the table at the end; all must have."""

    def note(fault: str, tried: int, held: int) -> None:
        request.config.stash.setdefault(_TOTALS, []).append((fault, tried, held))
        assert tried > 0, f"{fault}: was not tried at all"
        assert held == tried, f"{fault}: held {held} times of {tried}"

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    totals = config.stash.get(_TOTALS, [])
    if totals:
        terminalreporter.section("faults")
        terminalreporter.write_line("| fault | tried | held |\n|---|---|---|")
        for fault, tried, held in totals:
            terminalreporter.write_line(f"| {fault} | {tried:,} | {held:,} |")
