"""The work of `score-model cascade`: a cascade for a bundle that was trained without one.

Only scale, biases and limits are fitted. The bundle keeps its weights, and every text that the encoder decides keeps its
score.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from export.bundle.apart import with_wide_apart
from export.bundle.assemble import scorer_on_cpu
from export.bundle.bundle import load_classifier
from export.bundle.publish import publish
from export.classifier.settings import CascadeSettings
from export.classifier.wide import Wide
from export.data import Dataset
from export.errors import ExportError
from export.evaluation.domains import DOMAIN_FIELDS
from export.evaluation.evaluate import reference, score_split
from export.evaluation.metrics import losses
from export.evaluation.outputs import LOSS_FIGURE
from export.training.card import Card, card_of, test_pictures
from export.training.cascade import CascadeChoice, choose_cascade, report_choice
from export.training.checks import check_recallable
from export.training.graphs import compare_apart
from export.training.manifest import held_out_figures
from export.training.recall import check_test_loss, recall
from export.training.scoring import figures_as_scored, with_metrics
from export.training.settings import AddSettings, Settings
from scorer.engine.runtime import open_session
from scorer.model.bundle import TOKENIZER, Bundle
from scorer.model.confidence import correctness_of
from scorer.model.tokenizer import Tokenizer


def add_cascade(bundle: Bundle, dataset: Dataset, settings: AddSettings, report: Callable[[str], None]) -> Bundle:
    """Choose a cascade on the texts that the bundle's training held out, and publish a bundle with it.

    Args:
        bundle: bundle to start from; it is not changed.
        dataset: texts that the bundle was trained on and tested with, in their order.
        settings: settings of the new bundle.
        report: callback for each line of the log.

    Returns:
        the new bundle as read back from disk, with its golden rows checked.

    Raises:
        ExportError: the bundle has no wide part or already has a cascade, the texts are other ones, or no limit can be
            chosen.
    """
    check_recallable(bundle, settings.cascade)
    classifier = load_classifier(bundle)
    assert classifier.wide is not None, "check_recallable has refused a bundle without a wide part"
    choice = choose_cascade(recall(bundle, classifier.wide, dataset, settings.threads), settings.cascade)
    if isinstance(choice, str):
        raise ExportError(f"{bundle.path}: {choice}. No bundle was written.")
    report_choice(choice, report)
    found = with_wide_apart(bundle, classifier.wide, choice.cascade, settings.output)
    found = _with_choice(_compared(found, classifier.wide, dataset, report), choice, settings.cascade)
    scorer = scorer_on_cpu(found, settings.threads)
    scored = score_split(scorer, dataset.test, quiet=settings.quiet)
    whole = losses(scored.without_cascade.values, dataset.test.labels).mean()
    check_test_loss(bundle, scorer.choice.precision, float(whole))
    assert scored.stages is not None, "the bundle has a cascade now"
    figures = figures_as_scored(found, scored, report, threads=settings.threads, quiet=settings.quiet)
    found = with_metrics(found, figures)
    # A cascade changes the scores, and other precisions are not scored here.
    confidence = {scorer.choice.precision: correctness_of(scored.values, dataset.test.labels)}
    found = replace(found, manifest=replace(found.manifest, reference=reference(scored), confidence=confidence))
    pictures = test_pictures(scored, {"without the cascade": scored.stages.whole})
    loss = bundle.path / LOSS_FIGURE
    kept = {LOSS_FIGURE: loss.read_bytes()} if loss.is_file() else {}
    card = card_of(found, Card({**kept, **pictures}, settings.probes, settings.notes), settings.threads)
    return publish(found, replace(classifier, cascade=choice.cascade), card, report, settings.threads)


def _compared(bundle: Bundle, wide: Wide, dataset: Dataset, report: Callable[[str], None]) -> Bundle:
    """Compare the wide part's graph with its sums on some test texts; return the bundle with the difference recorded."""
    manifest = bundle.manifest
    assert manifest.wide is not None, "the wide part has its own graph"
    rows = np.random.default_rng(manifest.training["seed"]).permutation(len(dataset.test))[: Settings.parity_rows]
    tokenizer = Tokenizer(bundle.files[TOKENIZER], manifest.tokens_kept)
    ids = tokenizer.encode([dataset.test.texts[row] for row in rows]).ids
    file = manifest.wide.file
    session = open_session(bundle.files[file], "cpu", external=bundle.beside(file))
    parity = compare_apart(session, wide, ids, manifest.tokens_kept, report)
    return replace(bundle, manifest=replace(manifest, parity={**manifest.parity, "wide": parity.difference}))


def _with_choice(bundle: Bundle, choice: CascadeChoice, settings: CascadeSettings) -> Bundle:
    """Return the bundle with the choice's settings and figures in its manifest, as training writes them.

    Figures by domain are left to those of the test texts, whose domains may not be given again.
    """
    manifest = bundle.manifest
    metrics = {name: found for name, found in manifest.metrics.items() if name not in DOMAIN_FIELDS}
    training = {**manifest.training, "cascade": settings.as_used(of_domains=bool(choice.domains))}
    changed = replace(bundle, manifest=replace(manifest, training=training, metrics=metrics))
    return with_metrics(changed, {"cascade": {"held_out": held_out_figures(choice)}})
