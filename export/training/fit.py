"""Training of a classifier: the encoder's part, the wide part, and the stack of both, before it becomes a graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from export.classifier.classifier import Classifier, lengths_of
from export.classifier.combining import some_of
from export.classifier.head import Part, Training, train_head
from export.classifier.objective import Objective, figure_of, objective_of
from export.classifier.settings import HeadSettings
from export.classifier.stacking import Stack, stack
from export.classifier.wide import WideTraining, train_wide
from export.data import Dataset
from export.encoder.load import FrozenEncoder
from export.encoder.vectors import NO_QUERIES, Queries, is_trained, vectors
from export.training.calibration import Calibration, HeldOutLogits, calibrate, without_worse_temperature
from export.training.cascade import CascadeChoice, HeldOut, choose_cascade, report_choice
from export.training.curriculum import Curriculum, curriculum_of
from export.training.device import device_of
from export.training.features import Features, extract, unit_of
from export.training.finetune import Tuned, tune
from export.training.holdout import Divided, divide
from export.training.settings import FitSettings, TuneSettings
from export.training.stages import BLOCKS, CALIBRATION, CASCADE, FEATURES, HEAD, WIDE_PART, stage
from export.training.target import standardised
from scorer.base.errors import UsageError
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.base.text import duration
from scorer.engine.windows import Windows
from scorer.model.interpretation import Interpretation
from scorer.model.manifest import Unit

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
        validation: figure of each part alone and of both together, by name, on the validation texts.
        poolings: figure of other poolings of a frozen encoder, for comparison.
        calibration: meaning of the logits, with the figures of the validation texts.
        train_rows, validation_rows: row numbers in the training split, int64 (rows,).
        unit: unit of numbers, or None.
        cascade: choice of the cascade, or None.
    """

    encoder: FrozenEncoder
    classifier: Classifier
    stack: Stack
    training: Training
    wide: WideTraining | None
    validation: Mapping[str, float]
    poolings: Mapping[str, float]
    calibration: Calibration
    train_rows: np.ndarray
    validation_rows: np.ndarray
    unit: Unit | None = None
    cascade: CascadeChoice | None = None

    @property
    def interpretation(self) -> Interpretation:
        """The meaning of the classifier's logits."""
        return self.calibration.after

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities or values, float64 (texts, labels), of logits calibrated by length, (texts, logits)."""
        return self.interpretation.values(logits)


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
    labels = dataset.train.labels
    texts, unit = divide(ids, labels, settings, dataset.train.domains), None
    if dataset.task == REGRESSION:
        texts, unit = standardised(texts)
    objective = objective_of(dataset.task, dataset.labels, labels, loss=settings.loss, balance=settings.balance)
    deep = _deep(encoder, dataset.train.texts, texts.shortened(settings.reading), objective, settings, report)
    wide = _wide(encoder, texts, objective, settings, report)
    held_out, truth = texts.validation
    logits = deep.logits(settings.pooling)
    side = None if wide is None else wide.logits(held_out)
    with stage(CALIBRATION):
        stacked = stack(logits, side, truth, objective, texts.training_weights[1])
    whole = stacked.logits(logits, side)
    figures = _figures(logits, side, whole, truth, objective, report)
    known = HeldOutLogits(whole, truth, lengths_of(held_out), texts.training_weights[1])
    with stage(CALIBRATION):
        stacked = without_worse_temperature(stacked, known, objective, report)
        calibration = calibrate(dataset, stacked, unit, known, objective, settings, report)
    whole = calibration.logits(known)
    cascade = None if wide is None else _cascade(wide, stacked, whole, texts, dataset.task, settings, report)
    if wide is not None:
        # All choices are made, so the wide part can also learn the rare words and pairs of the validation texts.
        with stage(WIDE_PART):
            wide = wide.on(texts.every, texts.weights)
    head, kept = stacked.parts(deep.training.head, wide)
    limits = None if cascade is None else cascade.cascade
    classifier = Classifier(
        head, settings.pooling, settings.reading, kept, deep.tuned.queries, limits, by_length=calibration.by_length
    )
    return Fit(
        deep.tuned.encoder, classifier, stacked, deep.training, wide, figures, deep.poolings, calibration,
        texts.train_rows, texts.validation_rows, unit, cascade,
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
        poolings: figure of other poolings on the validation texts, by name.
    """

    tuned: Tuned
    held_out: Features
    poolings: Mapping[str, float]

    @property
    def training(self) -> Training:
        return self.tuned.training

    def logits(self, pooling: str) -> np.ndarray:
        """Compute the logits of the validation texts by the head and its pooling, float32 (texts, logits)."""
        return self.held_out.split.combined(self.training.head.logits(self.held_out.pooled(pooling)))


def _deep(
    encoder: FrozenEncoder,
    texts: Sequence[str],
    divided: Divided,
    objective: Objective,
    settings: FitSettings,
    report: Report,
) -> _Deep:
    """Train the encoder's part on texts, and on their shortened tokens."""
    if settings.tune is None:
        return _on_frozen(encoder, divided, objective, settings, report)
    curriculum = curriculum_of(texts, divided, encoder, settings, settings.tune)
    return _with_blocks(encoder, curriculum, divided, objective, settings, settings.tune, report)


@stage(BLOCKS)
def _with_blocks(
    encoder: FrozenEncoder,
    curriculum: Curriculum,
    texts: Divided,
    objective: Objective,
    settings: FitSettings,
    how: TuneSettings,
    report: Report,
) -> _Deep:
    """Train a head together with blocks or attention poolings."""
    tuned = tune(
        encoder,
        curriculum,
        texts.validation,
        pooling=settings.pooling,
        objective=objective,
        settings=how,
        folder=settings.cache,
        windows=settings.windows,
        device=device_of(settings.device),
        quiet=settings.quiet,
    )
    _report_steps(tuned.training, objective, report)
    held_out = texts.validation[0]
    features = features_of(
        tuned.encoder, held_out, "validation", settings, report, tuned.queries, windows=settings.windows
    )
    return _Deep(tuned, features, {})


@stage(HEAD)
def _on_frozen(
    encoder: FrozenEncoder, texts: Divided, objective: Objective, settings: FitSettings, report: Report
) -> _Deep:
    """Train a head on the frozen encoder, and one with each other pooling for comparison."""
    features = features_of(encoder, texts.ids, "train", settings, report, windows=settings.windows)
    both = (texts.train_rows, texts.validation_rows)
    own, held_out = (some_of(features.split, rows) for rows in both)
    has_windows, by_mean = len(features.split.rows) > len(texts.ids), features.split.combination == "mean"
    splits = (own[1], held_out[1]) if has_windows and not by_mean else None
    weights = texts.training_weights

    def trained(pooling: str, head: HeadSettings) -> Training:
        vectors = features.pooled(pooling)
        parts: list[Part] = []
        for (windows, split), rows in zip((own, held_out), both, strict=True):
            part = vectors[windows]
            parts.append((split.mean_of(part) if has_windows and by_mean else part, texts.labels[rows]))
        return train_head(*parts, objective=objective, settings=head, splits=splits, weights=weights)

    training = trained(settings.pooling, settings.head)
    _report_steps(training, objective, report)
    # With the largest logit of windows, each comparison would take as long as the head.
    others = [] if splits else [pooling for pooling in _comparable(encoder.layers) if pooling != settings.pooling]
    head = settings.head
    if objective.task == MULTI_LABEL and head.solver == "newton":
        # Every penalty for every label of every pooling would take many times as long as the head itself.
        head = replace(head, l2=(training.best.number,))
    poolings = {pooling: trained(pooling, head).best.figure for pooling in others}
    better = max(poolings, key=lambda pooling: poolings[pooling], default=settings.pooling)
    if poolings.get(better, 0.0) > training.best.figure:
        figure = figure_of(objective)
        report(
            f"--pooling {better} is better on this encoder: validation {figure.name} {figure.shown(poolings[better])}"
        )
    return _Deep(Tuned(encoder, training), features.some(texts.validation_rows), poolings)


def _comparable(layers: int) -> list[str]:
    """Return the poolings to compare: the usual two, and two more that are as cheap as ``cls``."""
    before = [f"mean{layer}" for layer in range(max(1, layers - 3), layers)]
    return ["cls", "mean", *([before[-1], "cls+" + "+".join(before)] if before else [])]


@stage(FEATURES)
def features_of(
    encoder: FrozenEncoder,
    rows: Sequence[np.ndarray],
    name: str,
    settings: FitSettings,
    report: Report,
    queries: Queries = NO_QUERIES,
    windows: Windows | None = None,
) -> Features:
    """Call `export.training.features.extract` and report the time it takes."""
    device = device_of(settings.device)
    features = extract(
        encoder, rows, settings.cache, queries=queries, windows=windows, device=device, name=name, quiet=settings.quiet
    )
    if features.computed:
        rate, unit = features.computed / features.seconds, unit_of(windows)
        where = "" if device.type == "cpu" else f", on {device.type}"
        report(
            f"features of {name}: {features.computed:,} {unit} in {duration(features.seconds)}, {rate:.1f} a second{where}"
        )
    else:
        report(f"features of {name}: all {len(features.vectors):,} from the cache")
    return features


@stage(WIDE_PART)
def _wide(
    encoder: FrozenEncoder, texts: Divided, objective: Objective, settings: FitSettings, report: Report
) -> WideTraining | None:
    if settings.wide is None:
        return None
    training = train_wide(
        texts.train,
        texts.validation,
        pieces=int(encoder.config.vocab_size),
        objective=objective,
        settings=settings.wide,
        weights=texts.training_weights,
    )
    figure, best = figure_of(objective), training.best
    report(f"wide part: L2 {best.number:g}, validation {figure.name} {figure.shown(best.figure)}")
    return training


@stage(CASCADE)
def _cascade(
    wide: WideTraining,
    stacked: Stack,
    whole: np.ndarray,
    texts: Divided,
    task: Task,
    settings: FitSettings,
    report: Report,
) -> CascadeChoice | None:
    """Choose a cascade on the held-out texts, which neither part was trained on."""
    if settings.cascade is None:
        return None
    if task != SINGLE_LABEL:
        return report_choice("the wide part alone decides only where a text has one label", report)
    ids, truth = texts.validation
    read = texts.tokens_read(settings.reading)[texts.validation_rows]
    sums, weights = wide.wide(stacked.share).sums(ids), texts.training_weights[1]
    held_out = HeldOut(whole, sums, truth, read, float(stacked.temperature), texts.validation_domains, weights)
    return report_choice(choose_cascade(held_out, settings.cascade), report)


def _report_steps(training: Training, objective: Objective, report: Report) -> None:
    figure = figure_of(objective)
    for step in training.steps:
        report(
            f"{training.by} {step.number:g}: training loss {step.train_loss:.4f}, validation loss {step.validation_loss:.4f}, "
            f"validation {figure.name} {figure.shown(step.figure)}{'  <- kept' if step == training.best else ''}"
        )


def _figures(
    logits: np.ndarray,
    side: np.ndarray | None,
    whole: np.ndarray,
    truth: np.ndarray,
    objective: Objective,
    report: Report,
) -> dict[str, float]:
    """Compute and report the figure of each part alone and of both together, by name."""
    parts = {"encoder": logits, **({} if side is None else {"wide": side, "together": whole})}
    found, figure = {name: objective.figure(part, truth) for name, part in parts.items()}, figure_of(objective)
    report(f"validation {figure.name}: " + ", ".join(f"{name} {figure.shown(one)}" for name, one in found.items()))
    return found
