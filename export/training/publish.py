"""Publication of an evaluated bundle with its model card and pictures, and a check of the files on disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.bundle.bundle import write_bundle
from export.classifier.classifier import Classifier
from export.data import Split
from export.evaluation.evaluate import Scored, score_split
from export.evaluation.figures import cascade_curve, confusion_matrix, reliability_diagram
from export.evaluation.metrics import confusion, reliability
from export.evaluation.model_card import model_card
from export.evaluation.outputs import CARD, CASCADE_FIGURE, CONFUSION_FIGURE, RELIABILITY_FIGURE
from export.training.scoring import scorer_on_cpu
from scorer.model.bundle import TOKENIZER, Bundle, load_bundle
from scorer.model.scorer import Scorer


@dataclass(frozen=True)
class Card:
    """Parts of a model card that are not in the manifest.

    Attributes:
        pictures: PNG files by name.
        probes: labelled texts to probe the model with, or None.
        notes: Markdown by the user.
    """

    pictures: Mapping[str, bytes]
    probes: Split | None
    notes: str


def publish(
    bundle: Bundle, classifier: Classifier, card: Card, report: Callable[[str], None], threads: int | None = None
) -> Bundle:
    """Write a bundle and return it as read back from disk, with its golden rows checked.

    Args:
        bundle: bundle in memory with a complete manifest; it is written to its path.
        classifier: classifier of the bundle.
        card: parts of the model card.
        report: callback for each line of the training log.
        threads: number of rows scored at a time; None for one per usable core.
    """
    manifest = bundle.manifest
    probes = None if card.probes is None else score_split(scorer_on_cpu(bundle, threads), card.probes, quiet=True)
    graphs: dict[str, bytes] = {}
    for precision, one in manifest.precisions.items():  # not the files of a precision that was left out
        graphs |= {one.file: bundle.graph(precision), **bundle.external(precision)}
    if manifest.wide is not None:
        graphs |= {manifest.wide.file: bundle.files[manifest.wide.file], **bundle.beside(manifest.wide.file)}
    write_bundle(
        bundle.path,
        manifest=manifest,
        tokenizer_json=bundle.files[TOKENIZER],
        graphs=graphs,
        classifier=classifier,
        unlisted={CARD: model_card(manifest, probes, card.notes), **card.pictures},
    )
    written = load_bundle(bundle.path)
    for precision in manifest.precisions:
        Scorer(
            written, provider="cpu", precision=precision, threads=threads
        )  # checks the golden rows with the files on disk
    size = sum(map(len, written.files.values()))
    report(
        f"wrote {written.path} ({size / 1e6:.1f} MB, {', '.join(sorted(manifest.precisions))}), id {written.id[:12]}"
    )
    return written


def test_pictures(labels: Sequence[str], scored: Scored, calibration: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Draw the model card's pictures of the test texts; return them by file name.

    Args:
        labels: label names.
        scored: test texts, scored by the bundle.
        calibration: probabilities with every text through the encoder, float64 (texts, labels), by name; the
            probabilities with the cascade are drawn beside them.
    """
    truth, stages = scored.split.labels, scored.stages
    lines = {**calibration, **({"with the cascade": stages.staged} if stages else {})}
    return {
        CONFUSION_FIGURE: confusion_matrix("Test split", labels, confusion(truth, scored.predicted, len(labels))),
        RELIABILITY_FIGURE: reliability_diagram({name: reliability(found, truth) for name, found in lines.items()}),
        **({CASCADE_FIGURE: cascade_curve(stages, "Test split")} if stages else {}),
    }
