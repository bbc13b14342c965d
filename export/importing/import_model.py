"""The steps of `score-model import`: the model, texts, graphs with their certificates, figures, bundle."""

from collections.abc import Callable
from dataclasses import replace

from export.bundle.assemble import unpublished
from export.bundle.publish import publish
from export.evaluation.import_card import import_card
from export.evaluation.outputs import CARD
from export.importing.checkpoint import Checkpoint
from export.importing.graphs import GraphMaker
from export.importing.judging import judged
from export.importing.labels import Labels
from export.importing.manifest import manifest_of
from export.importing.reference import expected_of
from export.importing.settings import ImportSettings
from export.importing.texts import Sample, golden_texts, prepared
from export.importing.unit import unit_of
from scorer.base.messages import print_message
from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.model.bundle import Bundle

_WITHOUT_TEXTS = (
    "Without --texts there is no int8, which needs typical texts to calibrate and to judge it, and no reference for drift; "
    "the certificate compares a few short texts only. --texts FILE adds all of it, and --label-column figures and "
    "calibrated probabilities."
)


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
    if labels.task == REGRESSION:
        unit = unit_of(expected.logits)
        checkpoint = checkpoint.in_unit(unit)
        expected = expected.in_unit(unit)
    graphs = GraphMaker(checkpoint, texts, expected, settings, report).make()
    manifest = manifest_of(checkpoint, texts, graphs, settings)
    bundle = unpublished(settings.output, manifest, checkpoint.encoder.tokenizer_json, graphs.by_precision)
    pictures: dict[str, bytes] = {}
    if texts.of:
        found = judged(bundle, texts, graphs.logits, settings, report)
        manifest, pictures = replace(manifest, **found.fields), found.pictures
        bundle = replace(bundle, manifest=manifest)
    card = {CARD: import_card(manifest, settings.notes), **pictures}
    return publish(bundle, checkpoint.classifier, card, report, settings.threads)


def _introduce(checkpoint: Checkpoint, report: Callable[[str], None]) -> None:
    encoder, labels = checkpoint.encoder, checkpoint.labels
    report(f"{encoder.name}: {checkpoint.kind}; {_answers(labels)}")
    if labels.positive is not None and not labels.chosen:
        print_message(
            f"The score is the probability of {labels.names[1]}, the last label; --positive-label {labels.names[0]} would "
            "make it that of the other."
        )
    windows = checkpoint.windows
    if windows is not None:
        report(
            f"longer texts are read in at most {windows.most} windows of {checkpoint.max_length} tokens that begin every "
            f"{windows.stride}"
        )
    for remark in checkpoint.remarks:
        report(remark)


def _answers(labels: Labels) -> str:
    """Return what the model gives to a text.

    >>> _answers(Labels(("a", "b"), None, False, "multi_label")), _answers(Labels(("score",), None, False, "regression"))
    ('any number of the labels a, b', 'a number')
    """
    names = ", ".join(labels.names)
    if labels.task == REGRESSION:
        return "a number" if len(labels.names) == 1 else f"the numbers {names}"
    return f"any number of the labels {names}" if labels.task == MULTI_LABEL else f"labels {names}"
