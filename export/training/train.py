"""The steps of `score-model train`: tokens, training, graphs, parity gate, evaluation, bundle."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from export.bundle.publish import publish
from export.classifier.truncation import Cut
from export.data import Dataset, refuse_empty, target_of
from export.encoder.load import FrozenEncoder, save
from export.evaluation.evaluate import Scored, reference
from export.evaluation.figures import loss_curve
from export.evaluation.outputs import LOSS_FIGURE
from export.training.card import Card, card_of, test_pictures
from export.training.checks import check
from export.training.confidence import confidence_of
from export.training.cross_validation import cross_validated
from export.training.features import features_missing
from export.training.fit import fit
from export.training.graphs import export_graphs
from export.training.manifest import unpublished
from export.training.room import advice_on_memory, check_disk, check_memory
from export.training.run import Run
from export.training.scoring import TorchLogits, figures_of, score_test, torch_logits, with_metrics
from export.training.settings import FitSettings, Settings
from export.training.stages import CARD, GOLDEN, TEST, TOKENS, Stages, collected, stage
from scorer.model.bundle import Bundle
from scorer.model.tokenizer import Tokens


def train(dataset: Dataset, encoder: FrozenEncoder, settings: Settings, report: Callable[[str], None]) -> Bundle:
    """Train a classifier, export it with its encoder, and publish the bundle.

    Args:
        dataset: labelled texts.
        encoder: encoder to start from; its tokenizer keeps as many tokens of a text as the graph will read.
        settings: settings of the bundle.
        report: callback for each line of the training log.

    Returns:
        the bundle as read back from disk, with its golden rows checked.

    Raises:
        ParityError: the graph differs too much from PyTorch; nothing is written.
        ExportError: another step failed; nothing is written.
        OutOfMemory: the training needs more memory than there is; nothing is written.
    """
    pieces, logits = int(encoder.config.vocab_size), 1 if len(dataset.labels) == 2 else len(dataset.labels)
    check_memory(settings.fit, pieces, logits)
    with advice_on_memory(settings.fit, pieces, logits), collected() as stages:
        return _train(dataset, encoder, settings, report, stages)


def _train(
    dataset: Dataset, encoder: FrozenEncoder, settings: Settings, report: Callable[[str], None], stages: Stages
) -> Bundle:
    reading = check(encoder, settings)
    if settings.window_settings is not None:
        settings.windows.check_task(dataset.task, dataset.name)
    report(
        f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.test):,} test texts; {target_of(dataset)}"
    )
    encode = encoder.tokenizer.encode
    with stage(TOKENS):
        tokens = {"train": encode(dataset.train.texts), "test": encode(dataset.test.texts)}
    refuse_empty(dataset.train, tokens["train"].empty)
    refuse_empty(dataset.test, tokens["test"].empty)
    run = Run(dataset, tokens, settings, report)
    of_fit = replace(settings.fit, reading=reading)
    if of_fit.tune is None:
        _check_disk(encoder, tokens, of_fit)
    fitted = fit(dataset, encoder, tokens["train"].ids, of_fit, report)
    if settings.save_encoder is not None:
        save(fitted.encoder, settings.save_encoder)
    exported = export_graphs(run, fitted)
    with stage(GOLDEN):
        bundle = unpublished(run, fitted, exported)
    with stage(TEST):
        logits = torch_logits(run, fitted)
        bundle, scored = score_test(run, bundle, logits.calibrated)
        # Precisions and labels stay as evaluated; what is added to the manifest is for people, and for options of `score`.
        bundle = with_metrics(bundle, figures_of(run, bundle, logits, scored))
        bundle = with_metrics(bundle, cross_validated(run, bundle.manifest, fitted.crossed))
    precision = next(iter(bundle.manifest.metrics["precisions"]))
    confidence = confidence_of(scored, precision, bundle.manifest.precisions, logits.calibrated, exported.half_logits)
    bundle = replace(bundle, manifest=replace(bundle.manifest, reference=reference(scored), confidence=confidence))
    with stage(CARD):
        pictures = {
            LOSS_FIGURE: loss_curve(fitted.training, dataset.task),
            **test_pictures(scored, _calibration(scored, logits)),
        }
        card = card_of(bundle, Card(pictures, settings.probes, settings.notes))
    report(f"time: {stages.described()}")
    return publish(bundle, fitted.classifier, card, report)


def _check_disk(encoder: FrozenEncoder, tokens: Mapping[str, Tokens], settings: FitSettings) -> None:
    """Refuse to begin if the cache has no room for the features of the training texts and the test texts."""
    reading = settings.reading
    needed = 0
    for one in tokens.values():
        rows = [reading.apply(ids) for ids in one.ids] if isinstance(reading, Cut) else one.ids
        needed += features_missing(encoder, rows, settings.cache, settings.windows)
    check_disk(settings.cache, needed)


def _calibration(scored: Scored, logits: TorchLogits) -> dict[str, np.ndarray]:
    """Return PyTorch's probabilities before and after calibration, by name; nothing if values are no probabilities."""
    raw = scored.judge.uncalibrated()
    if raw is None:
        return {}
    return {"before": raw.values(logits.raw), "after": scored.interpretation.values(logits.calibrated)}
