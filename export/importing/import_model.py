"""The steps of `score-model import`: the model, texts, graphs with their certificates, figures, bundle."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from export.bundle.assemble import scorer_on_cpu, unpublished
from export.bundle.publish import publish
from export.classifier.stacking import stack
from export.evaluation.evaluate import histograms
from export.evaluation.figures import confusion_matrix, reliability_diagram
from export.evaluation.import_card import import_card
from export.evaluation.metrics import confusion, metrics, predictions, reliability
from export.evaluation.outputs import CARD, CONFUSION_FIGURE, RELIABILITY_FIGURE
from export.importing.checkpoint import Checkpoint
from export.importing.graphs import GraphMaker, windowed
from export.importing.manifest import manifest_of
from export.importing.reference import expected_of
from export.importing.settings import ImportSettings
from export.importing.texts import Sample, Texts, golden_texts, prepared
from scorer.base.messages import print_message
from scorer.model.bundle import Bundle
from scorer.model.decision import probabilities
from scorer.model.manifest import Manifest
from scorer.model.tokenizer import unknown_share

_WITHOUT_TEXTS = (
    "Without --texts there is no int8, which needs typical texts to calibrate and to judge it, and no reference for drift; "
    "the certificate compares a few short texts only. --texts FILE adds all of it, and --label-column the accuracy and "
    "calibrated probabilities."
)


_LEAST_CALIBRATING = 50  # texts; with fewer, a temperature depends more on them than on the model


@dataclass(frozen=True)
class Judged:
    """Figures and pictures of the texts, as the bundle scores them.

    Attributes:
        fields: fields of the manifest that they fill.
        pictures: pictures of the card, by file name.
    """

    fields: dict[str, Any]
    pictures: dict[str, bytes]


def import_model(
    checkpoint: Checkpoint, sample: Sample | None, seed: int, settings: ImportSettings, report: Callable[[str], None]
) -> Bundle:
    """Import a classifier, and publish its bundle.

    Args:
        checkpoint: model to import.
        sample: texts that calibrate and judge; None for the golden texts.
        seed: seed of the halves.
        settings: settings of the bundle.
        report: callback for each line of the log.

    Returns:
        the bundle as read back from disk, with its golden rows checked.

    Raises:
        ParityError: the graph differs too much from PyTorch; nothing is written.
        ExportError: another step failed; nothing is written.
    """
    tokenizer, labels = checkpoint.encoder.tokenizer, checkpoint.labels
    _introduce(checkpoint, report)
    if sample is None:
        texts = golden_texts(tokenizer)
        report(_WITHOUT_TEXTS)
    else:
        texts = prepared(sample, tokenizer, labels, seed)
        report(
            f"{len(texts.texts):,} of {texts.of:,} texts: {len(texts.calibrating):,} calibrate, {len(texts.judging):,} judge"
        )
    expected = expected_of(checkpoint, texts.judging_texts, texts.judging_ids, quiet=settings.quiet)
    graphs = GraphMaker(checkpoint, texts, expected, settings, report).make()
    manifest = manifest_of(checkpoint, texts, graphs, settings)
    bundle = unpublished(settings.output, manifest, checkpoint.encoder.tokenizer_json, graphs.by_precision)
    pictures: dict[str, bytes] = {}
    if texts.of:
        judged = _judge(bundle, texts, settings, report)
        manifest, pictures = replace(manifest, **judged.fields), judged.pictures
        bundle = replace(bundle, manifest=manifest)
    card = {CARD: import_card(manifest, settings.notes), **pictures}
    return publish(bundle, checkpoint.classifier, card, report, settings.threads)


def _introduce(checkpoint: Checkpoint, report: Callable[[str], None]) -> None:
    encoder, labels = checkpoint.encoder, checkpoint.labels
    report(f"{encoder.name}: {checkpoint.kind}; labels {', '.join(labels.names)}")
    if labels.positive is not None and not labels.chosen:
        print_message(
            f"The score is the probability of {labels.names[1]}, the last label; --positive-label {labels.names[0]} would "
            "make it that of the other."
        )
    for remark in checkpoint.remarks:
        report(remark)


def _judge(bundle: Bundle, texts: Texts, settings: ImportSettings, report: Callable[[str], None]) -> Judged:
    """Score all texts with the bundle itself, for the histograms; with labels, for its figures on the judging half."""
    manifest = bundle.manifest
    scorer = scorer_on_cpu(bundle, settings.threads)
    what = f"scoring with {scorer.choice.precision}"
    logits = windowed(scorer.whole.logits, texts.ids, what, quiet=settings.quiet)
    temperature, fields, pictures = 1.0, dict[str, Any](), dict[str, bytes]()
    if texts.labels is not None:
        temperature = _temperature(logits[texts.calibrating], texts.labels[texts.calibrating], manifest)
        fields, pictures = _figures(manifest, logits, temperature, texts, scorer.choice.precision, report)
    lengths = np.array([len(ids) for ids in texts.ids])
    unknown = np.array([unknown_share(ids, scorer.tokenizer.unknown_id) for ids in texts.ids])
    reference = histograms(probabilities(logits, temperature), lengths, unknown)
    return Judged({**fields, "reference": reference}, pictures)


def _temperature(logits: np.ndarray, labels: np.ndarray, manifest: Manifest) -> float:
    """Fit a temperature; it is 1, with a warning, if the texts are too few or lack a label."""
    missing = sorted(set(manifest.labels) - {manifest.labels[one] for one in labels})
    if len(labels) >= _LEAST_CALIBRATING and not missing:
        return stack(logits, None, labels).temperature
    why = f"lack the label {', '.join(missing)}" if missing else f"are fewer than {_LEAST_CALIBRATING}"
    print_message(
        f"The {len(labels):,} calibrating texts {why}, so the scores are not calibrated: they stay the pipeline's. Give more "
        "texts with --texts and --most-texts.",
        "warning",
    )
    return 1.0


def _figures(
    manifest: Manifest,
    logits: np.ndarray,
    temperature: float,
    texts: Texts,
    precision: str,
    report: Callable[[str], None],
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Compute the figures of labelled texts, on the half that chose nothing; return them and their pictures."""
    assert texts.labels is not None
    raw, calibrated = probabilities(logits), probabilities(logits, temperature)
    truth = texts.labels[texts.judging]
    before, after = (metrics(one[texts.judging], truth) for one in (raw, calibrated))
    fitted = texts.labels[texts.calibrating]
    ece = [metrics(one[texts.calibrating], fitted).ece for one in (raw, calibrated)]
    report(
        f"{precision} on CPU: accuracy {after.accuracy:.2%} (95%: {after.interval[0]:.2%} to {after.interval[1]:.2%}) on "
        f"{after.texts:,} texts; calibration error {before.ece:.2%} before the temperature {temperature:.3f}, {after.ece:.2%} "
        "after it"
    )
    if temperature != 1:
        report(
            "The scores are calibrated, so they differ from the pipeline's; the labels do not. Without --label-column they "
            "would be the same."
        )
    fields = {
        "calibration": {
            "temperature": temperature,
            "texts": len(texts.calibrating),
            "ece_before": ece[0],
            "ece_after": ece[1],
        },
        "metrics": {
            **manifest.metrics,
            "precision": precision,
            "test": asdict(after),
            "test_uncalibrated": asdict(before),
        },
    }
    names = {"before the temperature": raw, "after it": calibrated}
    counts = confusion(truth, predictions(calibrated[texts.judging]), len(manifest.labels))
    lines = {name: reliability(found[texts.judging], truth) for name, found in names.items()}
    return fields, {
        CONFUSION_FIGURE: confusion_matrix("Judging texts", manifest.labels, counts),
        RELIABILITY_FIGURE: reliability_diagram(lines),
    }
