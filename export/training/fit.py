"""From texts to a classifier: the encoder's part, the wide part, and both as one; before it becomes a graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from export.classifier.classifier import Classifier
from export.classifier.head import Part, Training, loss, predict, train_head
from export.classifier.stacking import Stack, stack
from export.classifier.wide import WideTraining, train_wide
from export.data import Dataset
from export.encoder.load import FrozenEncoder
from export.encoder.pooling import NO_QUERIES, Queries, is_trained, vectors
from export.errors import ExportError
from export.evaluation.metrics import calibration_error, reliability
from export.training.features import Features, extract
from export.training.finetune import Tuned, tune
from export.training.settings import FitSettings
from scorer.base.errors import UsageError
from scorer.base.text import duration
from scorer.model.decision import probabilities

# Runs of neighbours that are held out: enough that every region of a file is there, if that leaves each so many texts.
_RUNS = 25
_RUN_LENGTH = 10


@dataclass(frozen=True)
class Fit:
    """A trained classifier, and how it came about.

    Attributes:
        encoder: that it is on: the one given, or with blocks that were trained.
        classifier: head, pooling and wide part.
        stack: how they were put together; its temperature is the classifier's.
        training: of the head.
        wide: of the wide part, if there is one.
        validation: share of the validation texts that each part alone and the whole label right, by name.
        poolings: the same for other poolings of a frozen encoder, for comparison.
        calibration: of the validation texts, the calibration error and the loss before and after.
        train_rows, validation_rows: of the training split.
    """

    encoder: FrozenEncoder
    classifier: Classifier
    stack: Stack
    training: Training
    wide: WideTraining | None
    validation: Mapping[str, float]
    poolings: Mapping[str, float]
    calibration: Mapping[str, float]
    train_rows: np.ndarray
    validation_rows: np.ndarray


def fit(
    dataset: Dataset,
    encoder: FrozenEncoder,
    ids: list[np.ndarray],
    settings: FitSettings,
    say: Callable[[str], None],
) -> Fit:
    """Train a classifier on the training split; the test split is not looked at.

    Args:
        dataset: labelled texts.
        encoder: to begin with.
        ids: token ids of the training texts, (sequence,) each.
        settings: how.
        say: is given each line of the report.

    Raises:
        ExportError: there are too few texts, or the loss is no number any more.
        UsageError: the settings do not fit the encoder.
    """
    vectors(settings.pooling, encoder.layers)
    if is_trained(settings.pooling) and settings.tune is None:
        raise UsageError(
            f"--pooling {settings.pooling} has weights of its own: say in FitSettings.tune how to train them."
        )
    labels = dataset.train.labels
    train_rows, validation_rows = split_rows(labels, settings)
    rows = [ids[row] if settings.cut is None else settings.cut.apply(ids[row]) for row in range(len(ids))]
    deep = _deep(dataset, encoder, rows, train_rows, validation_rows, settings, say)
    training, truth = deep.tuned.training, labels[validation_rows]
    logits = training.head.logits(deep.held_out.pooled(settings.pooling))
    wide = _wide(dataset, encoder, ids, train_rows, validation_rows, settings, say)
    side = None if wide is None else wide.logits([ids[row] for row in validation_rows])
    stacked = stack(logits, side, truth)
    whole = stacked.logits(logits, side)
    found = {"encoder": float(np.mean(predict(logits) == truth))}
    if side is not None:
        found |= {"wide": float(np.mean(predict(side) == truth)), "together": float(np.mean(predict(whole) == truth))}
    say("validation accuracy: " + ", ".join(f"{name} {share:.2%}" for name, share in found.items()))
    if wide is not None:
        # All has been chosen: what the validation texts say of rare words and pairs need not be lost.
        wide = wide.on((ids, labels))
    head, kept = stacked.parts(training.head, wide)
    classifier = Classifier(head, settings.pooling, settings.cut, kept, deep.tuned.queries)
    calibration = {
        f"{what}_{when}": value
        for when, temperature in (("before", 1.0), ("after", stacked.temperature))
        for what, value in _calibration(whole / np.float32(temperature), truth).items()
    }
    say(
        f"temperature {stacked.temperature:.3f}: calibration error on validation {calibration['ece_before']:.2%} before, "
        f"{calibration['ece_after']:.2%} after"
    )
    return Fit(
        deep.tuned.encoder, classifier, stacked, training, wide, found, deep.poolings, calibration, train_rows, validation_rows
    )  # fmt: skip


def split_rows(labels: np.ndarray, settings: FitSettings) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows held out, the latter in runs of neighbours spread evenly over the file.

    Every label is among both; one that the runs have missed, or have to the last text, is held out in a run of its own
    texts, and one with a single text is trained on.

    Neighbours often belong together: reviews of one film, messages of one day. Were single rows held out, others of
    their kind would be trained on, and validation would promise what no new text keeps: on IMDb two points
    of accuracy (docs/ACCURACY.md).

    Raises:
        ExportError: there are too few rows.
    """
    count, share = len(labels), settings.validation_share
    held_out = max(1, round(count * share))
    random = np.random.default_rng(settings.seed)
    runs = min(_RUNS, max(1, held_out // _RUN_LENGTH))
    starts = np.arange(runs) * count // runs
    sizes = held_out // runs + (np.arange(runs) < held_out % runs)
    phase = int(random.integers(max(1, count // runs - sizes.max() + 1)))
    validation = np.concatenate(
        [np.arange(start, start + size) + phase for start, size in zip(starts, sizes, strict=True)]
    )
    validation = validation[validation < count]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if np.isin(rows, validation).sum() in (0, len(rows)):
            some = min(len(rows) - 1, max(1, round(len(rows) * share)))
            start = int(random.integers(len(rows) - some + 1))
            validation = np.union1d(np.setdiff1d(validation, rows), rows[start : start + some])
    if not len(validation):
        raise ExportError(f"{count} training texts are too few to hold out a validation part.")
    return np.setdiff1d(np.arange(count), validation), validation


@dataclass(frozen=True)
class _Deep:
    """The encoder's part.

    Attributes:
        tuned: the encoder, a head on it, and what else was trained with the head.
        held_out: features of the validation texts.
        poolings: other poolings' validation accuracy.
    """

    tuned: Tuned
    held_out: Features
    poolings: Mapping[str, float]


def _deep(
    dataset: Dataset,
    encoder: FrozenEncoder,
    rows: list[np.ndarray],
    train_rows: np.ndarray,
    validation_rows: np.ndarray,
    settings: FitSettings,
    say: Callable[[str], None],
) -> _Deep:
    labels, label_count = dataset.train.labels, len(dataset.labels)
    held_out_rows = [rows[row] for row in validation_rows]
    if settings.tune is not None:
        tuned = tune(
            encoder,
            ([rows[row] for row in train_rows], labels[train_rows]),
            (held_out_rows, labels[validation_rows]),
            pooling=settings.pooling,
            label_count=label_count,
            settings=settings.tune,
            folder=settings.cache,
            quiet=settings.quiet,
        )
        _say_steps(tuned.training, say)
        features = features_of(tuned.encoder, held_out_rows, "validation", settings, say, tuned.queries)
        return _Deep(tuned, features, {})
    features = features_of(encoder, rows, "train", settings, say)
    held_out = replace(features, vectors=features.vectors[validation_rows])

    def trained(pooling: str) -> Training:
        vectors = features.pooled(pooling)
        parts: list[Part] = [(vectors[some], labels[some]) for some in (train_rows, validation_rows)]
        return train_head(*parts, label_count=label_count, settings=settings.head)

    training = trained(settings.pooling)
    _say_steps(training, say)
    others = [pooling for pooling in _comparable(encoder.layers) if pooling != settings.pooling]
    poolings = {pooling: trained(pooling).best.validation_accuracy for pooling in others}
    better = max(poolings, key=lambda pooling: poolings[pooling])
    if poolings[better] > training.best.validation_accuracy:
        say(f"--pooling {better} would be better on this encoder: validation {poolings[better]:.2%}")
    return _Deep(Tuned(encoder, training), held_out, poolings)


def _comparable(layers: int) -> list[str]:
    """Poolings that are worth a look on any encoder: the usual two, and what costs as little as the first."""
    before = [f"mean{layer}" for layer in range(max(1, layers - 3), layers)]
    return ["cls", "mean", *([before[-1], "cls+" + "+".join(before)] if before else [])]


def features_of(
    encoder: FrozenEncoder,
    rows: list[np.ndarray],
    name: str,
    settings: FitSettings,
    say: Callable[[str], None],
    queries: Queries = NO_QUERIES,
) -> Features:
    """`export.training.features.extract`, and a line about it."""
    features = extract(encoder, rows, settings.cache, queries=queries, name=name, quiet=settings.quiet)
    if features.computed:
        rate = features.computed / features.seconds
        say(f"features of {name}: {features.computed:,} texts in {duration(features.seconds)}, {rate:.1f} a second")
    else:
        say(f"features of {name}: all {len(rows):,} from the cache")
    return features


def _wide(
    dataset: Dataset,
    encoder: FrozenEncoder,
    ids: list[np.ndarray],
    train_rows: np.ndarray,
    validation_rows: np.ndarray,
    settings: FitSettings,
    say: Callable[[str], None],
) -> WideTraining | None:
    if settings.wide is None:
        return None
    labels = dataset.train.labels
    training = train_wide(
        ([ids[row] for row in train_rows], labels[train_rows]),
        ([ids[row] for row in validation_rows], labels[validation_rows]),
        pieces=int(encoder.config.vocab_size),
        label_count=len(dataset.labels),
        settings=settings.wide,
    )
    say(f"wide part: L2 {training.best.number:g}, validation accuracy {training.best.validation_accuracy:.2%}")
    return training


def _say_steps(training: Training, say: Callable[[str], None]) -> None:
    for step in training.steps:
        say(
            f"{training.by} {step.number:g}: training loss {step.train_loss:.4f}, validation loss {step.validation_loss:.4f}, "
            f"validation accuracy {step.validation_accuracy:.2%}{'  <- kept' if step == training.best else ''}"
        )


def _calibration(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {
        "ece": calibration_error(reliability(probabilities(logits), labels)),
        "loss": loss(torch.from_numpy(logits), torch.from_numpy(labels)).item(),
    }
