"""An evaluated bundle, published with its model card and pictures, and read back from disk."""

import numpy as np

from export.bundle.bundle import write_bundle
from export.evaluation.evaluate import Scored, score_split
from export.evaluation.figures import cascade_curve, confusion_matrix, loss_curve, reliability_diagram
from export.evaluation.metrics import confusion, reliability
from export.evaluation.model_card import model_card
from export.evaluation.outputs import CARD, CASCADE_FIGURE, CONFUSION_FIGURE, LOSS_FIGURE, RELIABILITY_FIGURE
from export.training.fit import Fit
from export.training.run import Run
from export.training.scoring import scorer_on_cpu
from scorer.model.bundle import Bundle, load_bundle
from scorer.model.decision import probabilities
from scorer.model.scorer import Scorer


def publish(run: Run, fitted: Fit, bundle: Bundle, logits: np.ndarray, scored: Scored) -> Bundle:
    """Write the bundle and return it as read back from disk, its golden rows checked.

    Args:
        run: the run.
        fitted: the classifier.
        bundle: the bundle in memory, its manifest complete.
        logits: PyTorch's of the test texts, float32 (texts, logits).
        scored: the test texts, scored by the bundle.
    """
    settings, manifest = run.settings, bundle.manifest
    probes = None if settings.probes is None else score_split(scorer_on_cpu(bundle), settings.probes, quiet=True)
    graphs: dict[str, bytes] = {}
    for precision, one in manifest.precisions.items():  # the kept ones, and no other files
        graphs |= {one.file: bundle.graph(precision), **bundle.external(precision)}
    if manifest.wide is not None:
        graphs |= {manifest.wide.file: bundle.files[manifest.wide.file], **bundle.beside(manifest.wide.file)}
    write_bundle(
        settings.output,
        manifest=manifest,
        tokenizer_json=fitted.encoder.tokenizer_json,
        graphs=graphs,
        classifier=fitted.classifier,
        unlisted={
            CARD: model_card(manifest, probes, settings.notes),
            **_pictures(run, fitted, logits, scored),
        },
    )
    return _read_back(run)


def _pictures(run: Run, fitted: Fit, logits: np.ndarray, scored: Scored) -> dict[str, bytes]:
    """Return the model card's pictures by file name."""
    labels, truth = run.dataset.labels, run.dataset.test.labels
    counts = confusion(truth, scored.predicted, len(labels))
    calibration = {
        "before": reliability(probabilities(logits), truth),
        "after": reliability(fitted.calibrated(logits), truth),
    }
    return {
        LOSS_FIGURE: loss_curve(fitted.training),
        CONFUSION_FIGURE: confusion_matrix("Test split", labels, counts),
        RELIABILITY_FIGURE: reliability_diagram(calibration),
        **({CASCADE_FIGURE: cascade_curve(scored.stages)} if scored.stages else {}),
    }


def _read_back(run: Run) -> Bundle:
    output = run.settings.output
    written = load_bundle(output)
    precisions = written.manifest.precisions
    for precision in precisions:
        Scorer(written, provider="cpu", precision=precision)  # checks the golden rows of the files on disk
    size = sum(map(len, written.files.values()))
    run.say(f"wrote {output} ({size / 1e6:.1f} MB, {', '.join(sorted(precisions))}), id {written.id[:12]}")
    return written
