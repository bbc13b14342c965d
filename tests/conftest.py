"""Tiny encoders, tokenizers and bundles, made here: no network, no download, no real data."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from tokenizers import models, normalizers, pre_tokenizers, processors

from export.data import Dataset, Split
from export.encoder import FrozenEncoder, load_encoder
from export.fit import FitSettings
from export.head import HeadSettings
from export.train import PRECISIONS, Settings, train
from scorer.bundle import SUMS, Bundle, format_sums, parse_sums
from scorer.cli import command
from scorer.command import run_command
from scorer.engine import RowEngine
from scorer.messages import write_json
from scorer.signals import Interrupted
from scorer.summary import Summary
from scorer.work import Work

GOOD = ("good", "great", "lovely", "fine", "superb", "warm")
BAD = ("bad", "awful", "dull", "poor", "stale", "cold")
FILLER = (
    "the",
    "film",
    "was",
    "a",
    "and",
    "it",
    "plot",
    "actor",
    "scene",
    "very",
    "so",
    "##s",
    "##ly",
    ".",
    ",",
    "!",
    "café",
)
MAX_LENGTH = 24
POSITIONS = 64
WINDOW = 8


def tiny_tokenizer(family: str) -> transformers.PreTrainedTokenizerFast:
    """A WordPiece tokenizer with the family's special tokens, and with padding and truncation set as some files have."""
    if family == "roberta":
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        names = {
            "bos_token": "<s>",
            "pad_token": "<pad>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "mask_token": "<mask>",
        }
        begin, end = "<s>", "</s>"
    else:
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        names = {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        }
        begin, end = "[CLS]", "[SEP]"
    vocabulary = {token: number for number, token in enumerate([*special, *GOOD, *BAD, *FILLER, *"abcdefghi"])}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=names["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, vocabulary[begin]), (end, vocabulary[end])]
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def tiny_model(family: str, vocabulary: int) -> transformers.PreTrainedModel:
    """An encoder of the family's architecture with weights large enough that every part of it matters."""
    if family == "distilbert":
        config = transformers.DistilBertConfig(
            vocab_size=vocabulary, max_position_embeddings=POSITIONS, dim=32, n_layers=2, n_heads=4, hidden_dim=64
        )
        model: transformers.PreTrainedModel = transformers.DistilBertModel(config)
    else:
        settings = {
            "vocab_size": vocabulary,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
        }
        if family == "roberta":
            model = transformers.RobertaModel(
                transformers.RobertaConfig(
                    max_position_embeddings=POSITIONS + 2, type_vocab_size=1, pad_token_id=1, **settings
                )
            )
        else:
            model = transformers.BertModel(transformers.BertConfig(max_position_embeddings=POSITIONS, **settings))
    randomize(model)
    return model


def randomize(model: transformers.PreTrainedModel) -> None:
    """Weights as large as those of a trained model: of smaller ones LayerNorm makes rounding errors large."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "LayerNorm" in name or "layer_norm" in name:
                weight.add_(torch.empty_like(weight).uniform_(-0.3, 0.3, generator=generator))
            else:
                weight.normal_(std=0.25, generator=generator)


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


def reviews(count: int, labels: int, seed: int) -> Split:
    """Texts whose label can be told from their words: bad, good, or (for three labels) both."""
    random_words = random.Random(seed)
    texts, numbers = [], []
    for row in range(count):
        number = row % labels
        telling = {0: [BAD], 1: [GOOD], 2: [GOOD, BAD]}[number]
        words = random_words.choices([word for word in FILLER if word.isalpha()], k=random_words.randint(0, 6))
        words += [random_words.choice(group) for group in telling for _ in range(3)]
        random_words.shuffle(words)
        texts.append(" ".join(words))
        numbers.append(number)
    return Split(texts, np.array(numbers))


# A penalty that keeps the weights of a head on random vectors small, so that int8's error turns few labels.
_TINY_FIT = {"pooling": "cls+mean1", "wide": None, "head": HeadSettings(l2=(0.1,))}


def make_bundle(
    encoder: FrozenEncoder,
    folder: Path,
    labels: Sequence[str] = ("negative", "positive"),
    *,
    precisions: Sequence[str] = PRECISIONS,
    max_length: int | None = None,
    truncation: str = "head",
    save_encoder: Path | None = None,
    **fit: object,
) -> Bundle:
    """Train a bundle on synthetic texts; without a wide part unless ``wide`` is given."""
    dataset = Dataset("synthetic", tuple(labels), reviews(400, len(labels), 1), reviews(120, len(labels), 2))
    of_fit = FitSettings(cache=folder.parent / "features", quiet=True, **{**_TINY_FIT, **fit})  # type: ignore[arg-type]
    settings = Settings(
        folder,
        folder.name,
        fit=of_fit,
        max_length=max_length or encoder.tokenizer.max_length,
        truncation=truncation,
        precisions=tuple(precisions),
        parity_rows=40,
        baseline=False,
        save_encoder=save_encoder,
        quiet=True,
    )
    return train(dataset, encoder, settings, lambda line: None)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, encoder: Callable[[str], FrozenEncoder]) -> Bundle:
    """A bundle of two labels with fp32, fp16 and int8."""
    return make_bundle(encoder("distilbert"), tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def bundle_of_three(tmp_path_factory: pytest.TempPathFactory, encoder: Callable[[str], FrozenEncoder]) -> Bundle:
    """A bundle of three labels, fp32."""
    folder = tmp_path_factory.mktemp("bundles") / "three"
    return make_bundle(encoder("bert"), folder, ("bad", "good", "mixed"), pooling="mean", precisions=("fp32",))


@pytest.fixture(autouse=True)
def messages_are_text() -> Iterator[None]:
    """How messages are written is the process's, which here are many commands."""
    yield
    write_json(False)


@dataclass
class Result:
    """What a user of the command sees."""

    code: int
    out: str
    err: str


@pytest.fixture
def score(bundle: Bundle, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `score` with the tiny bundle on CPU unless told otherwise."""
    monkeypatch.setenv("SCORE_MODEL", str(bundle.path))
    monkeypatch.setenv("SCORE_PROVIDER", "cpu")

    def run(*arguments: str | Path) -> Result:
        capfd.readouterr()
        code = run_command(
            command, [str(argument) for argument in arguments], name="score", interrupted="nothing was published."
        )
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of so few rows that a few records are many of them."""
    monkeypatch.setattr(RowEngine, "window_rows", WINDOW)
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


def list_again(folder: Path, *more: str) -> None:
    """Make a bundle's SHA256SUMS right for what is there, and for ``more``: hashes do not help against its maker."""
    names = [*parse_sums((folder / SUMS).read_bytes(), folder), *more]
    (folder / SUMS).write_bytes(format_sums({name: (folder / name).read_bytes() for name in names}))


# What the system counts from exec on; a child's ru_maxrss begins with what its parent had.
_MEASURED = """
import atexit, re, sys
from pathlib import Path
found = lambda: re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
atexit.register(lambda: print(found(), file=sys.stderr))
from scorer.cli import main
main()
"""


def peak_memory(bundle: Bundle, source: Path, output: Path) -> float:
    """Peak memory of a run of `score` on CPU in a process of its own, in MB; on Linux only."""
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1", "SCORE_PROVIDER": "cpu"}
    arguments = [sys.executable, "-c", _MEASURED, source, "-o", output, "--model", bundle.path, "-q"]
    run = subprocess.run(arguments, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 3), run.stderr
    return int(run.stderr.split()[-1]) / 1024


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
