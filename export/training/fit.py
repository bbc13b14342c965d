"""Training of a classifier: the encoder's part, the wide part, and the stack of both, before it becomes a graph."""

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
from export.training.cascade import CascadeChoice, HeldOut, choose_cascade, report_choice
from export.training.features import Features, extract
from export.training.finetune import Tuned, tune
from export.training.holdout import Divided, divide
from export.training.settings import FitSettings, TuneSettings
from scorer.base.errors import UsageError
from scorer.base.text import duration
from scorer.model.decision import probabilities

Report = Callable[[str], None]


@dataclass(frozen=True)
class Fit:
    """A trained classifier, with the figures of its training.

    Attributes:
        encoder: encoder, including its trained blocks.
        classifier: head, pooling, wide part and cascade.
        stack: share of the wide part, biases and temperature.
        training: training of the head.
        wide: training of the wide part, or None.
        validation: validation accuracy of each part alone and of both together, by name.
        poolings: validation accuracy of other poolings of a frozen encoder, for comparison.
        calibration: calibration error and loss of the validation texts, before and after temperature scaling.
        cascade: choice of the cascade, or None.
        train_rows, validation_rows: row numbers in the training split, int64 (rows,).
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
        """Return probabilities (texts, labels) of logits (texts, logits) at the fitted temperature."""
        return probabilities(logits / np.float32(self.stack.temperature))


def fit(
    dataset: Dataset, encoder: FrozenEncoder, ids: Sequence[np.ndarray], settings: FitSettings, report: Report
) -> Fit:
    """Train a classifier on the training split, without looking at the test split.

    Args:
        dataset: labelled texts.
        encoder: encoder to start from.
        ids: token ids of the training texts, (sequence,) each.
        settings: settings of the training.
        report: callback for each line of the training log.

    Raises:
        ExportError: there are too few texts, or the training diverges.
        UsageError: the settings do not fit the encoder.
    """
    _check_pooling(encoder, settings)
    texts = divide(ids, dataset.train.labels, len(dataset.labels), settings)
    deep = _deep(encoder, texts.shortened(settings.cut), settings, report)
    wide = _wide(encoder, texts, settings, report)
    held_out, truth = texts.validation
    logits = deep.training.head.logits(deep.held_out.pooled(settings.pooling))
    side = None if wide is None else wide.logits(held_out)
    stacked = stack(logits, side, truth)
    whole = stacked.logits(logits, side)
    accuracies = _accuracies(logits, side, whole, truth)
    report("validation accuracy: " + ", ".join(f"{name} {share:.2%}" for name, share in accuracies.items()))
    cascade = None if wide is None else _cascade(wide, stacked, whole, texts, settings, report)
    if wide is not None:
        # All choices are made, so the wide part can also learn the rare words and pairs of the validation texts.
        wide = wide.on(texts.every)
    head, kept = stacked.parts(deep.training.head, wide)
    limits = None if cascade is None else cascade.cascade
    classifier = Classifier(head, settings.pooling, settings.cut, kept, deep.tuned.queries, limits)
    calibration = _calibration(whole, stacked.temperature, truth, report)
    return Fit(
        deep.tuned.encoder, classifier, stacked, deep.training, wide, accuracies, deep.poolings, calibration,
        texts.train_rows, texts.validation_rows, cascade,
    )  # fmt: skip


def _check_pooling(encoder: FrozenEncoder, settings: FitSettings) -> None:
    vectors(settings.pooling, encoder.layers)
    if is_trained(settings.pooling) and settings.tune is None:
        raise UsageError(f"--pooling {settings.pooling} has weights of its own: set FitSettings.tune to train them.")


@dataclass(frozen=True)
class _Deep:
    """The encoder's part of a classifier.

    Attributes:
        tuned: encoder, head, and the poolings trained with them.
        held_out: features of the validation texts.
        poolings: validation accuracy of other poolings, by name.
    """

    tuned: Tuned
    held_out: Features
    poolings: Mapping[str, float]

    @property
    def training(self) -> Training:
        return self.tuned.training


def _deep(encoder: FrozenEncoder, texts: Divided, settings: FitSettings, report: Report) -> _Deep:
    if settings.tune is None:
        return _on_frozen(encoder, texts, settings, report)
    return _with_blocks(encoder, texts, settings, settings.tune, report)


def _with_blocks(
    encoder: FrozenEncoder, texts: Divided, settings: FitSettings, how: TuneSettings, report: Report
) -> _Deep:
    """Train a head together with blocks or attention poolings."""
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
    _report_steps(tuned.training, report)
    features = features_of(tuned.encoder, texts.validation[0], "validation", settings, report, tuned.queries)
    return _Deep(tuned, features, {})


def _on_frozen(encoder: FrozenEncoder, texts: Divided, settings: FitSettings, report: Report) -> _Deep:
    """Train a head on the frozen encoder, and one with each other pooling for comparison."""
    features = features_of(encoder, texts.ids, "train", settings, report)
    held_out = replace(features, vectors=features.vectors[texts.validation_rows])

    def trained(pooling: str) -> Training:
        vectors = features.pooled(pooling)
        parts: list[Part] = [(vectors[rows], texts.labels[rows]) for rows in (texts.train_rows, texts.validation_rows)]
        return train_head(*parts, label_count=texts.label_count, settings=settings.head)

    training = trained(settings.pooling)
    _report_steps(training, report)
    others = [pooling for pooling in _comparable(encoder.layers) if pooling != settings.pooling]
    poolings = {pooling: trained(pooling).best.validation_accuracy for pooling in others}
    better = max(poolings, key=lambda pooling: poolings[pooling])
    if poolings[better] > training.best.validation_accuracy:
        report(f"--pooling {better} is better on this encoder: validation accuracy {poolings[better]:.2%}")
    return _Deep(Tuned(encoder, training), held_out, poolings)


def _comparable(layers: int) -> list[str]:
    """Return the poolings to compare: the usual two, and two more that are as cheap as ``cls``."""
    before = [f"mean{layer}" for layer in range(max(1, layers - 3), layers)]
    return ["cls", "mean", *([before[-1], "cls+" + "+".join(before)] if before else [])]


def features_of(
    encoder: FrozenEncoder,
    rows: Sequence[np.ndarray],
    name: str,
    settings: FitSettings,
    report: Report,
    queries: Queries = NO_QUERIES,
) -> Features:
    """Call `export.training.features.extract` and report the time it takes."""
    features = extract(encoder, rows, settings.cache, queries=queries, name=name, quiet=settings.quiet)
    if features.computed:
        rate = features.computed / features.seconds
        report(f"features of {name}: {features.computed:,} texts in {duration(features.seconds)}, {rate:.1f} a second")
    else:
        report(f"features of {name}: all {len(rows):,} from the cache")
    return features


def _wide(encoder: FrozenEncoder, texts: Divided, settings: FitSettings, report: Report) -> WideTraining | None:
    if settings.wide is None:
        return None
    training = train_wide(
        texts.train,
        texts.validation,
        pieces=int(encoder.config.vocab_size),
        label_count=texts.label_count,
        settings=settings.wide,
    )
    report(f"wide part: L2 {training.best.number:g}, validation accuracy {training.best.validation_accuracy:.2%}")
    return training


def _cascade(
    wide: WideTraining, stacked: Stack, whole: np.ndarray, texts: Divided, settings: FitSettings, report: Report
) -> CascadeChoice | None:
    """Choose a cascade on the held-out texts, which neither part was trained on."""
    if settings.cascade is None:
        return None
    ids, truth = texts.validation
    read = [len(one) for one in texts.shortened(settings.cut).validation[0]]
    held_out = HeldOut(whole, wide.wide(stacked.share).sums(ids), truth, np.array(read), stacked.temperature)
    return report_choice(choose_cascade(held_out, settings.cascade), report)


def _report_steps(training: Training, report: Report) -> None:
    for step in training.steps:
        report(
            f"{training.by} {step.number:g}: training loss {step.train_loss:.4f}, validation loss {step.validation_loss:.4f}, "
            f"validation accuracy {step.validation_accuracy:.2%}{'  <- kept' if step == training.best else ''}"
        )


def _accuracies(logits: np.ndarray, side: np.ndarray | None, whole: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Compute the accuracy of each part alone and of both together, by name."""
    parts = {"encoder": logits, **({} if side is None else {"wide": side, "together": whole})}
    return {name: float(np.mean(predict(part) == truth)) for name, part in parts.items()}


def _calibration(whole: np.ndarray, temperature: float, truth: np.ndarray, report: Report) -> dict[str, float]:
    """Compute the calibration error and the loss before and after temperature scaling, by name."""
    found = {}
    for when, divisor in (("before", 1.0), ("after", temperature)):
        logits = whole / np.float32(divisor)
        found[f"ece_{when}"] = calibration_error(reliability(probabilities(logits), truth))
        found[f"loss_{when}"] = loss(torch.from_numpy(logits), torch.from_numpy(truth)).item()
    report(
        f"temperature {temperature:.3f}: calibration error on the validation texts {found['ece_before']:.2%} before scaling, "
        f"{found['ece_after']:.2%} after"
    )
    return found
