"""`score-model train`, stage by stage: tokens, training, graphs, parity gate, evaluation, bundle."""

from collections.abc import Callable
from dataclasses import replace

from export.data import Dataset, refuse_empty
from export.encoder.load import FrozenEncoder, save
from export.evaluation.evaluate import reference
from export.evaluation.figures import loss_curve
from export.evaluation.outputs import LOSS_FIGURE
from export.training.checks import check
from export.training.fit import fit
from export.training.graphs import export_graphs
from export.training.manifest import unpublished
from export.training.publish import Card, publish, test_pictures
from export.training.run import Run
from export.training.scoring import figures_of, score_test, torch_logits, with_metrics
from export.training.settings import Settings
from scorer.model.bundle import Bundle
from scorer.model.decision import probabilities


def train(dataset: Dataset, encoder: FrozenEncoder, settings: Settings, say: Callable[[str], None]) -> Bundle:
    """Train a classifier, export it with its encoder, and publish the bundle.

    Args:
        dataset: labelled texts.
        encoder: the encoder; its tokenizer keeps as many tokens of a text as the graph will be given.
        settings: settings of the bundle.
        say: is given each line of the report.

    Returns:
        the bundle as read back from disk, its golden rows checked.

    Raises:
        ParityError: the graph does not compute what PyTorch computes; nothing is written.
        ExportError: something else stopped it; nothing is written.
    """
    cut = check(encoder, settings)
    say(
        f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.test):,} test texts; labels {', '.join(dataset.labels)}"
    )
    encode = encoder.tokenizer.encode
    tokens = {"train": encode(dataset.train.texts), "test": encode(dataset.test.texts)}
    refuse_empty(dataset.train, tokens["train"].empty)
    refuse_empty(dataset.test, tokens["test"].empty)
    run = Run(dataset, tokens, settings, say)
    fitted = fit(dataset, encoder, tokens["train"].ids, replace(settings.fit, cut=cut), say)
    if settings.save_encoder is not None:
        save(fitted.encoder, settings.save_encoder)
    bundle = unpublished(run, fitted, export_graphs(run, fitted))
    logits = torch_logits(run, fitted)
    bundle, scored = score_test(run, bundle, logits)
    # The evaluated scorer has the same precisions and labels; the rest of the manifest is for people.
    bundle = with_metrics(bundle, figures_of(run, fitted, bundle, logits, scored))
    bundle = replace(bundle, manifest=replace(bundle.manifest, reference=reference(scored)))
    calibration = {"before": probabilities(logits), "after": fitted.calibrated(logits)}
    pictures = {LOSS_FIGURE: loss_curve(fitted.training), **test_pictures(dataset.labels, scored, calibration)}
    return publish(bundle, fitted.classifier, Card(pictures, settings.probes, settings.notes), say)
