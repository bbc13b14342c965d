"""Tiny encoders, tokenizers and bundles, made without network or real data; and processes of `score`."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import tokenizers
import torch
import transformers
from tokenizers import models, normalizers, pre_tokenizers, processors

from export.bundle.bundle import load_classifier
from export.classifier.settings import (
    PRECISIONS,
    CascadeSettings,
    HeadSettings,
    WideSettings,
    WindowOptions,
    tokens_in_windows,
)
from export.data import Dataset, Split
from export.encoder.load import FrozenEncoder
from export.training.cascade import with_margin
from export.training.settings import FitSettings, Settings
from export.training.train import train
from scorer.cli.program import run_command
from scorer.engine.cascade import Cascade
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session
from scorer.engine.stages import Whole
from scorer.engine.windows import Combination
from scorer.model.bundle import MANIFEST, SUMS, TOKENIZER, Bundle, format_sums, load_bundle, parse_sums
from scorer.model.confidence import CONFIDENCES, Correctness
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import WIDE, Unit, WindowSettings
from scorer.model.reference import SCORE_EDGES, Histogram
from scorer.model.tokenizer import Tokenizer
from scorer.model.windows import windows_of

ROOT = Path(__file__).parents[1]
"""The checkout."""

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


CHUNK = 8


AFTER_PADDING = ("roberta", "xlm-roberta", "camembert", "data2vec-text", "mpnet")
"""Families whose first token's position is the padding id + 1."""


_OWN_SETTINGS = {
    **{family: {"type_vocab_size": 1} for family in AFTER_PADDING if family != "mpnet"},
    "electra": {"embedding_size": 16},
    "ernie": {"use_task_id": True},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
    "albert": {"embedding_size": 16},
}


def tiny_tokenizer(family: str) -> transformers.PreTrainedTokenizerFast:
    """Make a WordPiece tokenizer with the family's special tokens, and with padding and truncation as in some files."""
    if family in AFTER_PADDING:
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
    """Make an encoder of the family's architecture, with weights large enough that every part matters."""
    if family == "distilbert":
        config: transformers.PretrainedConfig = transformers.DistilBertConfig(
            vocab_size=vocabulary, max_position_embeddings=POSITIONS, dim=32, n_layers=2, n_heads=4, hidden_dim=64
        )
    else:
        settings = {
            "vocab_size": vocabulary,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": POSITIONS,
        }
        if family in AFTER_PADDING:
            settings |= {"max_position_embeddings": POSITIONS + 2, "pad_token_id": 1}
        config = transformers.AutoConfig.for_model(family, **settings, **_OWN_SETTINGS.get(family, {}))
    model: transformers.PreTrainedModel = transformers.AutoModel.from_config(config)
    randomize(model)
    return model


def randomize(model: transformers.PreTrainedModel) -> None:
    """Set weights as large as a trained model's: with smaller ones LayerNorm would magnify rounding errors."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "LayerNorm" in name or "layer_norm" in name:
                weight.add_(torch.empty_like(weight).uniform_(-0.3, 0.3, generator=generator))
            else:
                weight.normal_(std=0.25, generator=generator)


def reviews(count: int, labels: int, seed: int) -> Split:
    """Make texts whose words show their label: bad, good, or (for three labels) both."""
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


def lengthened(split: Split, most: int, seed: int) -> Split:
    """Return the texts with at most ``most`` more words that tell nothing, at random places."""
    random_words = random.Random(seed)
    texts = []
    for text in split.texts:
        words = text.split() + random_words.choices(
            ["the", "film", "was", "a", "scene"], k=random_words.randint(0, most)
        )
        random_words.shuffle(words)
        texts.append(" ".join(words))
    return replace(split, texts=texts)


TAGS = ("bad", "café", "good")
"""Labels of `tagged_reviews`, in their order."""


def tagged_reviews(count: int, seed: int) -> Split:
    """Make texts that have any of `TAGS`, or none: for words of praise, for words of blame, and for the word café."""
    random_words = random.Random(seed)
    texts, tags = [], []
    for _ in range(count):
        some = [random_words.random() < share for share in (0.4, 0.3, 0.5)]
        telling = [group for group, one in zip((BAD, ("café",), GOOD), some, strict=True) if one]
        words = random_words.choices([word for word in FILLER[:-1] if word.isalpha()], k=random_words.randint(1, 6))
        words += [random_words.choice(group) for group in telling for _ in range(3)]
        random_words.shuffle(words)
        texts.append(" ".join(words))
        tags.append([int(one) for one in some])
    return Split(texts, np.array(tags))


def rated_reviews(count: int, seed: int) -> Split:
    """Make texts with a number: 30, and 5 more for each word of praise, or less for one of blame; none occurs twice."""
    random_words = random.Random(seed)
    texts, values = [], []
    for _ in range(count):
        praise, blame = random_words.randint(0, 4), random_words.randint(0, 4)
        words = random_words.choices([word for word in FILLER if word.isalpha()], k=random_words.randint(1, 6))
        words += random_words.sample(GOOD, praise) + random_words.sample(BAD, blame)
        random_words.shuffle(words)
        texts.append(" ".join(words))
        values.append([30.0 + 5 * (praise - blame)])
    return Split(texts, np.array(values))


# The penalty keeps a head's weights on random vectors small, so that int8's error flips few labels.
# One part is held out, as with many texts.
_TINY_FIT = {"pooling": "cls+mean1", "wide": None, "head": HeadSettings(l2=(0.1,)), "validation_share": 0.1}

_TINY_WINDOWS = WindowOptions(stride=16, most=4)


def make_bundle(
    encoder: FrozenEncoder,
    folder: Path,
    labels: Sequence[str] = ("negative", "positive"),
    *,
    precisions: Sequence[str] = PRECISIONS,
    max_length: int | None = None,
    truncation: str = "head",
    windows: WindowOptions = _TINY_WINDOWS,
    save_encoder: Path | None = None,
    dataset: Dataset | None = None,
    **fit: object,
) -> Bundle:
    """Train a bundle on synthetic texts, unless others are given; without a wide part unless ``wide`` is given."""
    if dataset is None:
        dataset = Dataset("synthetic", tuple(labels), reviews(400, len(labels), 1), reviews(120, len(labels), 2))
    of_fit = FitSettings(cache=folder.parent / "features", quiet=True, **{**_TINY_FIT, **fit})  # type: ignore[arg-type]
    settings = Settings(
        folder,
        folder.name,
        fit=of_fit,
        max_length=max_length or encoder.tokenizer.max_length,
        truncation=truncation,
        windows=windows,
        precisions=tuple(precisions),
        parity_rows=40,
        baseline=False,
        save_encoder=save_encoder,
        quiet=True,
    )
    return train(dataset, encoder, settings, lambda line: None)


def with_cascade(
    encoder: FrozenEncoder, folder: Path, labels: Sequence[str], share: float = 0.5, **more: Any
) -> Bundle:
    """Train a bundle with a cascade, then move its limits so that it decides a given share of other such texts."""
    settings = CascadeSettings(loss=5.0, ece=1.0, least_texts=20)
    bundle = make_bundle(encoder, folder, labels, wide=WideSettings(pairs=512), cascade=settings, **more)
    scorer = LoadedModel(bundle, provider="cpu")
    cascade, classifier = scorer.cascade, load_classifier(bundle)
    sums = classifier.wide.sums(scorer.tokenizer.encode(reviews(300, len(labels), 3).texts).ids)
    margin = float(np.quantile(cascade.margins(sums), 1 - share))
    return with_limits(bundle, with_margin(cascade, margin))


def with_limits(bundle: Bundle, cascade: Cascade) -> Bundle:
    """Give a bundle on disk another cascade."""
    manifest = replace(bundle.manifest, cascade=cascade)
    (bundle.path / MANIFEST).write_bytes(manifest.to_json())
    list_again(bundle.path)
    return load_bundle(bundle.path)


def with_second_histogram(bundle: Bundle, folder: Path) -> Bundle:
    """Copy a bundle with a cascade; by the copy's reference, all test texts have a score near 0 without it."""
    reference = bundle.manifest.reference
    assert reference is not None
    near_0 = Histogram(SCORE_EDGES, [reference.texts, *[0] * (len(SCORE_EDGES) - 2)])
    return with_fields(bundle, folder, reference=replace(reference, score_without_cascade=near_0))


def with_fields(bundle: Bundle, folder: Path, **fields: Any) -> Bundle:
    """Copy a bundle, with other fields of its manifest."""
    shutil.copytree(bundle.path, folder)
    (folder / MANIFEST).write_bytes(replace(bundle.manifest, **fields).to_json())
    list_again(folder)
    return load_bundle(folder)


def held_out(least: float, texts: int = 1_000) -> Correctness:
    """Return held-out texts that were all right from an edge of `CONFIDENCES` up, and all wrong below it."""
    edges = np.array(CONFIDENCES)
    middles = (edges[:-1] + edges[1:]) / 2
    right = np.where(edges[:-1] >= least, texts, 0)
    return Correctness((texts,) * len(middles), tuple(right.tolist()), tuple(middles.round(6).tolist()))


def with_confidence(bundle: Bundle, folder: Path, **by_precision: Correctness) -> Bundle:
    """Copy a bundle, with held-out texts by confidence for some precisions."""
    return with_fields(bundle, folder, confidence=by_precision)


def as_windows(
    bundle: Bundle, folder: Path, *, most: int = 4, stride: int = 16, combination: Combination = "mean"
) -> Bundle:
    """Copy a bundle whose graphs cut nothing, as one that reads longer texts in windows."""
    settings = WindowSettings(stride, most, combination)
    reach = tokens_in_windows(bundle.manifest.max_length, settings)
    manifest = replace(bundle.manifest, truncation="windows", windows=settings, max_tokens=reach)
    tokenizer = Tokenizer(bundle.files[TOKENIZER], reach)
    ids, windows = tokenizer.encode([row.text for row in manifest.golden]).ids, windows_of(manifest, tokenizer)
    logits, side = {}, np.float32(0)
    if manifest.wide is not None:
        wide = bundle.manifest.wide.file
        side = RowEngine(open_session(bundle.files[wide], "cpu", external=bundle.beside(wide)), 1).logits(ids)
        logits[WIDE] = load_classifier(bundle).wide.sums(ids)
    for one in manifest.precisions:
        session = open_session(bundle.graph(one), "cpu", external=bundle.external(one))
        logits[one] = Whole(RowEngine(session, 1), windows=windows).logits(ids) + side
    golden = [
        replace(row, logits={one: tuple(found[number].tolist()) for one, found in logits.items()})
        for number, row in enumerate(manifest.golden)
    ]
    fields = {"truncation": "windows", "windows": settings, "max_tokens": reach, "golden": tuple(golden)}
    return with_fields(bundle, folder, **fields)


def as_multi_label(bundle: Bundle, folder: Path) -> Bundle:
    """Copy a bundle that chooses one of three labels, as one that gives each label with a threshold of its own."""
    temperature = {"temperature": [0.5, 1.0, 2.0]}
    fields = {"task": "multi_label", "thresholds": (0.5, 0.25, 0.75), "calibration": temperature, "confidence": None}
    return with_fields(bundle, folder, **fields)


def as_regression(bundle: Bundle, folder: Path) -> Bundle:
    """Copy a bundle that chooses one of two labels, as one that gives stars: three, and two more for a logit of one."""
    reference = bundle.manifest.reference
    assert reference is not None
    edges = tuple(-7.0 + number for number in range(21))
    score = Histogram(edges, reference.score.counts)
    unit = Unit((2.0,), (3.0,))
    fields = {"task": "regression", "labels": ("score",), "positive_label": None, "unit": unit, "calibration": None}
    return with_fields(bundle, folder, reference=replace(reference, score=score), confidence=None, **fields)


def as_several_values(bundle: Bundle, folder: Path) -> Bundle:
    """Copy a bundle that chooses one of three labels, as one that gives three numbers and has no test data."""
    unit = Unit((100.0, 2.0, 1.0), (500.0, 3.0, 0.0))
    fields = {"task": "regression", "labels": ("price", "stars", "weight"), "unit": unit}
    return with_fields(bundle, folder, calibration=None, reference=None, confidence=None, **fields)


@dataclass
class Result:
    """Exit code and output of a command, as a user sees them."""

    code: int
    out: str
    err: str


def list_again(folder: Path, *more: str) -> None:
    """Update a bundle's SHA256SUMS for its files and ``more``, as its maker could: hashes are no defence against it."""
    names = [*parse_sums((folder / SUMS).read_bytes(), folder), *more]
    (folder / SUMS).write_bytes(format_sums({name: (folder / name).read_bytes() for name in names}))


def for_each_row(patched: pytest.MonkeyPatch, call: Callable[[np.ndarray], float | None]) -> None:
    """Call a function before a `RowEngine` computes a row, and multiply the row's logits by what it returns, if anything."""
    run = RowEngine._run

    def called(engine: RowEngine, rows: list[np.ndarray]) -> np.ndarray:
        factors = [call(row) for row in rows]
        return run(engine, rows) * np.array([[1 if factor is None else factor] for factor in factors], dtype=np.float32)

    patched.setattr(RowEngine, "_run", called)


def in_process(
    command: click.Command, name: str, interrupted: str, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Return a function that runs a command in this process and returns its `Result`."""

    def run(*arguments: str | Path) -> Result:
        capfd.readouterr()
        code = run_command(command, [str(argument) for argument in arguments], name=name, interrupted=interrupted)
        return Result(code, *capfd.readouterr())

    return run


def start(bundle, *arguments, environment=None):
    """Start the command in a process of its own, for tests of streams and signals."""
    environment = {**os.environ, "SCORE_MODEL": str(bundle.path), "SCORE_PROVIDER": "cpu", **(environment or {})}
    return subprocess.Popen(
        [sys.executable, "-m", "scorer", *map(str, arguments)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


# VmHWM starts anew at exec; a child's ru_maxrss starts with its parent's peak.
_MEASURED = """
import atexit, re, sys
from pathlib import Path
found = lambda: re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
atexit.register(lambda: print(found(), file=sys.stderr))
from scorer.cli.score import main
main()
"""


def peak_memory(bundle: Bundle, source: Path, output: Path, *more: str) -> float:
    """Measure the peak memory of a run of `score` on CPU in a process of its own, in MB; on Linux only."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "SCORE_PROVIDER": "cpu"}
    arguments = [sys.executable, "-c", _MEASURED, source, "-o", output, "--model", bundle.path, "-q", *more]
    run = subprocess.run(arguments, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 3), run.stderr
    return int(run.stderr.split()[-1]) / 1024
