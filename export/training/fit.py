"""From texts to a classifier: the encoder's part, the wide part, and both as one; before it becomes a graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from export.classifier.classifier import Classifier
from export.classifier.head import Part, Training, loss, predict, train_head
from export.classifier.stacking import Stack, stack
from export.classifier.wide import WideTraining, train_wide
from export.data import Dataset
from export.encoder.load import FrozenEncoder
from export.encoder.vectors import NO_QUERIES, Queries, is_trained, vectors
from export.evaluation.metrics import calibration_error, reliability
from export.training.cascade import CascadeChoice, HeldOut, choose_cascade, told
from export.training.features import Features, extract
from export.training.finetune import Tuned, tune
from export.training.holdout import Divided, divide
from export.training.settings import FitSettings, TuneSettings
from scorer.base.errors import UsageError
from scorer.base.text import duration
from scorer.model.decision import probabilities

Say = Callable[[str], None]


@dataclass(frozen=True)
class Fit:
    """A trained classifier, and how it came about.

    Attributes:
        encoder: the encoder, with its trained blocks if there are any.
        classifier: head, pooling and wide part.
        stack: share of the wide part, and the temperature.
        training: training of the head.
        wide: training of the wide part, if there is one.
        validation: accuracy on the validation texts, of each part alone and of the whole, by name.
        poolings: validation accuracy of other poolings of a frozen encoder, for comparison.
        calibration: calibration error and loss of the validation texts, before and after.
        cascade: choice of the cascade, if there is one.
        train_rows, validation_rows: rows of the training split.
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
    cascade: CascadeChoice | None = None

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities (texts, labels) of logits (texts, logits), at the classifier's temperature."""
        return probabilities(logits / np.float32(self.stack.temperature))


def fit(dataset: Dataset, encoder: FrozenEncoder, ids: Sequence[np.ndarray], settings: FitSettings, say: Say) -> Fit:
    """Train a classifier on the training split; the test split is not looked at.

    Args:
        dataset: labelled texts.
        encoder: encoder to begin with.
        ids: token ids of the training texts, (sequence,) each.
        settings: settings of the training.
        say: is given each line of the report.

    Raises:
        ExportError: there are too few texts, or the loss is no number any more.
        UsageError: the settings do not fit the encoder.
    """
    _check_pooling(encoder, settings)
    texts = divide(ids, dataset.train.labels, len(dataset.labels), settings)
    deep = _deep(encoder, texts.shortened(settings.cut), settings, say)
    wide = _wide(encoder, texts, settings, say)
    held_out, truth = texts.validation
    logits = deep.training.head.logits(deep.held_out.pooled(settings.pooling))
    side = None if wide is None else wide.logits(held_out)
    stacked = stack(logits, side, truth)
    whole = stacked.logits(logits, side)
    accuracies = _accuracies(logits, side, whole, truth)
    say("validation accuracy: " + ", ".join(f"{name} {share:.2%}" for name, share in accuracies.items()))
    cascade = None if wide is None else _cascade(wide, stacked, whole, texts, settings, say)
    if wide is not None:
        # All choices are made: rare words and pairs of the validation texts need not be lost.
        wide = wide.on(texts.every)
    head, kept = stacked.parts(deep.training.head, wide)
    limits = None if cascade is None else cascade.cascade
    classifier = Classifier(head, settings.pooling, settings.cut, kept, deep.tuned.queries, limits)
    calibration = _calibration(whole, stacked.temperature, truth, say)
    return Fit(
        deep.tuned.encoder, classifier, stacked, deep.training, wide, accuracies, deep.poolings, calibration,
        texts.train_rows, texts.validation_rows, cascade,
    )  # fmt: skip


def _check_pooling(encoder: FrozenEncoder, settings: FitSettings) -> None:
    vectors(settings.pooling, encoder.layers)
    if is_trained(settings.pooling) and settings.tune is None:
        raise UsageError(
            f"--pooling {settings.pooling} has weights of its own: say in FitSettings.tune how to train them."
        )


@dataclass(frozen=True)
class _Deep:
    """The encoder's part.

    Attributes:
        tuned: the encoder, a head on it, and all that was trained with the head.
        held_out: features of the validation texts.
        poolings: validation accuracy of other poolings.
    """

    tuned: Tuned
    held_out: Features
    poolings: Mapping[str, float]

    @property
    def training(self) -> Training:
        return self.tuned.training


def _deep(encoder: FrozenEncoder, texts: Divided, settings: FitSettings, say: Say) -> _Deep:
    if settings.tune is None:
        return _on_frozen(encoder, texts, settings, say)
    return _with_blocks(encoder, texts, settings, settings.tune, say)


def _with_blocks(encoder: FrozenEncoder, texts: Divided, settings: FitSettings, how: TuneSettings, say: Say) -> _Deep:
    """Train a head along with blocks or attention poolings."""
    tuned = tune(
        encoder,
        texts.train,
        texts.validation,
        pooling=settings.pooling,
        label_count=texts.label_count,
        settings=how,
        folder=settings.cache,
        quiet=settings.quiet,
    )
    _say_steps(tuned.training, say)
    features = features_of(tuned.encoder, texts.validation[0], "validation", settings, say, tuned.queries)
    return _Deep(tuned, features, {})


def _on_frozen(encoder: FrozenEncoder, texts: Divided, settings: FitSettings, say: Say) -> _Deep:
    """Train a head on the encoder as it is, and one on each other pooling, for comparison."""
    features = features_of(encoder, texts.ids, "train", settings, say)
    held_out = replace(features, vectors=features.vectors[texts.validation_rows])

    def trained(pooling: str) -> Training:
        vectors = features.pooled(pooling)
        parts: list[Part] = [(vectors[rows], texts.labels[rows]) for rows in (texts.train_rows, texts.validation_rows)]
        return train_head(*parts, label_count=texts.label_count, settings=settings.head)

    training = trained(settings.pooling)
    _say_steps(training, say)
    others = [pooling for pooling in _comparable(encoder.layers) if pooling != settings.pooling]
    poolings = {pooling: trained(pooling).best.validation_accuracy for pooling in others}
    better = max(poolings, key=lambda pooling: poolings[pooling])
    if poolings[better] > training.best.validation_accuracy:
        say(f"--pooling {better} would be better on this encoder: validation {poolings[better]:.2%}")
    return _Deep(Tuned(encoder, training), held_out, poolings)


def _comparable(layers: int) -> list[str]:
    """Return poolings to compare on any encoder: the usual two, and two more that cost as little as ``cls``."""
    before = [f"mean{layer}" for layer in range(max(1, layers - 3), layers)]
    return ["cls", "mean", *([before[-1], "cls+" + "+".join(before)] if before else [])]


def features_of(
    encoder: FrozenEncoder,
    rows: Sequence[np.ndarray],
    name: str,
    settings: FitSettings,
    say: Say,
    queries: Queries = NO_QUERIES,
) -> Features:
    """Call `export.training.features.extract`, and report the time it took."""
    features = extract(encoder, rows, settings.cache, queries=queries, name=name, quiet=settings.quiet)
    if features.computed:
        rate = features.computed / features.seconds
        say(f"features of {name}: {features.computed:,} texts in {duration(features.seconds)}, {rate:.1f} a second")
    else:
        say(f"features of {name}: all {len(rows):,} from the cache")
    return features


def _wide(encoder: FrozenEncoder, texts: Divided, settings: FitSettings, say: Say) -> WideTraining | None:
    if settings.wide is None:
        return None
    training = train_wide(
        texts.train,
        texts.validation,
        pieces=int(encoder.config.vocab_size),
        label_count=texts.label_count,
        settings=settings.wide,
    )
    say(f"wide part: L2 {training.best.number:g}, validation accuracy {training.best.validation_accuracy:.2%}")
    return training


def _cascade(
    wide: WideTraining, stacked: Stack, whole: np.ndarray, texts: Divided, settings: FitSettings, say: Say
) -> CascadeChoice | None:
    """Choose a cascade on the held-out texts, which neither part has seen yet."""
    if settings.cascade is None:
        return None
    ids, truth = texts.validation
    read = [len(one) for one in texts.shortened(settings.cut).validation[0]]
    held_out = HeldOut(whole, wide.wide(stacked.share).sums(ids), truth, np.array(read), stacked.temperature)
    return told(choose_cascade(held_out, settings.cascade), say)


def _say_steps(training: Training, say: Say) -> None:
    for step in training.steps:
        say(
            f"{training.by} {step.number:g}: training loss {step.train_loss:.4f}, validation loss {step.validation_loss:.4f}, "
            f"validation accuracy {step.validation_accuracy:.2%}{'  <- kept' if step == training.best else ''}"
        )


def _accuracies(logits: np.ndarray, side: np.ndarray | None, whole: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return the share of texts that each part alone and the whole label right, by name."""
    parts = {"encoder": logits, **({} if side is None else {"wide": side, "together": whole})}
    return {name: float(np.mean(predict(part) == truth)) for name, part in parts.items()}


def _calibration(whole: np.ndarray, temperature: float, truth: np.ndarray, say: Say) -> dict[str, float]:
    """Return the calibration error and the loss, before and after the logits are divided by the temperature."""
    found = {}
    for when, divisor in (("before", 1.0), ("after", temperature)):
        logits = whole / np.float32(divisor)
        found[f"ece_{when}"] = calibration_error(reliability(probabilities(logits), truth))
        found[f"loss_{when}"] = loss(torch.from_numpy(logits), torch.from_numpy(truth)).item()
    say(
        f"temperature {temperature:.3f}: calibration error on validation {found['ece_before']:.2%} before, "
        f"{found['ece_after']:.2%} after"
    )
    return found
