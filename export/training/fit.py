"""Training of a classifier: the encoder's part, the wide part, and the stack of both, before it becomes a graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.classifier.choice import refolded
from export.classifier.classifier import Classifier, lengths_of
from export.classifier.head import Inputs, Training
from export.classifier.objective import Objective, figure_of, objective_of
from export.classifier.stacking import Stack, cross_stacked, stack
from export.classifier.wide import WideTraining
from export.data import Dataset
from export.encoder.load import FrozenEncoder
from export.encoder.vectors import NO_QUERIES, Queries, is_trained, vectors
from export.training.calibration import HeldOutLogits, calibrate, without_worse_temperature
from export.training.cascade import CascadeChoice, HeldOut, choose_cascade, report_choice
from export.training.curriculum import Curriculum, curriculum_of
from export.training.device import device_of
from export.training.features import Features, extract, unit_of
from export.training.finetune import Tuned, tune
from export.training.fitted import Crossed, Fit
from export.training.frozen import inputs_of, train_on_frozen
from export.training.holdout import Divided, divide
from export.training.learning import learning_curve
from export.training.settings import FitSettings, TuneSettings
from export.training.stages import BLOCKS, CALIBRATION, CASCADE, CROSS_VALIDATION, FEATURES, HEAD, WIDE_PART, stage
from export.training.target import standardised
from export.training.wide_part import train_wide_part
from scorer.base.errors import UsageError
from scorer.base.task import REGRESSION, SINGLE_LABEL, Task
from scorer.base.text import duration
from scorer.engine.windows import Windows

Report = Callable[[str], None]


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
    texts, unit = divide(ids, dataset.train, settings), None
    if texts.crosses:
        report(
            f"cross-validation: {len(texts.ids):,} training texts are few, so each is held out once, in {len(texts.folds)} "
            "folds; head and wide part are then trained on all"
        )
    if dataset.task == REGRESSION:
        texts, unit = standardised(texts)
    objective = objective_of(
        dataset.task, dataset.labels, dataset.train.labels, loss=settings.loss, balance=settings.balance
    )
    pieces = int(encoder.config.vocab_size)
    deep = _deep(encoder, dataset.train.texts, texts.shortened(settings.reading), objective, settings, report)
    side = train_wide_part(pieces, texts, deep.logits, objective, settings, report)
    wide, side_logits = (None, None) if side is None else (side.training, side.logits)
    held_out, truth = texts.validation
    with stage(CALIBRATION):
        stacked = stack(deep.logits, side_logits, truth, objective, texts.training_weights[1])
    whole = stacked.logits(deep.logits, side_logits)
    figures = _figures(deep.logits, side_logits, whole, truth, objective, report)
    known = HeldOutLogits(whole, truth, lengths_of(held_out), texts.training_weights[1])
    with stage(CALIBRATION):
        stacked = without_worse_temperature(stacked, known, objective, report)
        calibration = calibrate(dataset, stacked, unit, known, objective, settings, report)
    whole = calibration.logits(known)
    cascade = None if wide is None else _cascade(wide, stacked, whole, texts, dataset.task, settings, report)
    if wide is not None and not texts.crosses:
        # All choices are made, so the wide part can also learn the rare words and pairs of the validation texts.
        with stage(WIDE_PART):
            wide = wide.on(texts.every, texts.weights)
    head, kept = stacked.parts(deep.training.head, wide)
    limits = None if cascade is None else cascade.cascade
    classifier = Classifier(
        head, deep.pooling, settings.reading, kept, deep.tuned.queries, limits, by_length=calibration.by_length
    )
    crossed = _crossed(pieces, texts, deep, side_logits, objective, settings)
    return Fit(
        deep.tuned.encoder, classifier, stacked, deep.training, wide, figures, deep.poolings, calibration,
        texts.train_rows, texts.validation_rows, unit, cascade, crossed,
    )  # fmt: skip


def _check_pooling(encoder: FrozenEncoder, settings: FitSettings) -> None:
    vectors(settings.given_pooling, encoder.layers)
    if is_trained(settings.given_pooling) and settings.tune is None:
        raise UsageError(f"--pooling {settings.pooling} has weights of its own: set FitSettings.tune to train them.")


@dataclass(frozen=True)
class _Deep:
    """The encoder's part of a classifier.

    Attributes:
        tuned: encoder, head, and the poolings trained with them.
        pooling: vectors that the head reads.
        logits: logits of the held-out texts by heads that were not trained on them, float32 (texts, logits).
        poolings: figure of other poolings on the same texts, by name.
        inputs: vectors of all texts that the head reads, if the encoder is frozen.
    """

    tuned: Tuned
    pooling: str
    logits: np.ndarray
    poolings: Mapping[str, float]
    inputs: Inputs | None = None

    @property
    def training(self) -> Training:
        return self.tuned.training


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
        pooling=settings.given_pooling,
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
    logits = features.split.combined(tuned.training.head.logits(features.pooled(settings.given_pooling)))
    return _Deep(tuned, settings.given_pooling, logits, {})


def _on_frozen(
    encoder: FrozenEncoder, texts: Divided, objective: Objective, settings: FitSettings, report: Report
) -> _Deep:
    """Train a head on the frozen encoder."""
    features = features_of(encoder, texts.ids, "train", settings, report, windows=settings.windows)
    with stage(HEAD):
        found = train_on_frozen(features, texts, objective, settings, report)
    _report_steps(found.training, objective, report)
    inputs = inputs_of(features, found.pooling)
    return _Deep(Tuned(encoder, found.training), found.pooling, found.logits, found.poolings, inputs)


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


@stage(CROSS_VALIDATION)
def _crossed(
    pieces: int,
    texts: Divided,
    deep: _Deep,
    side: np.ndarray | None,
    objective: Objective,
    settings: FitSettings,
) -> Crossed | None:
    """Compute the logits of each text by classifiers of the other folds, with all labels and with fewer."""
    if not texts.crosses or deep.inputs is None:
        return None
    rows, weights = texts.validation_rows, texts.training_weights[1]
    own = cross_stacked(deep.logits, side, texts.labels[rows], objective, refolded(texts.folds), weights)
    wide = settings.wide if side is not None else None
    return Crossed(texts.folds, own, learning_curve(deep.inputs, texts, objective, settings, wide, pieces))


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
    if texts.crosses:
        return report_choice(
            f"{len(texts.ids):,} training texts are too few to hold out the {settings.cascade.least_texts:,} that it needs",
            report,
        )
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
