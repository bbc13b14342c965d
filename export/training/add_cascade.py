"""A cascade for a bundle that was trained without one: nothing is trained again but scale, biases and limits.

The wide part is trained on the training texts without the held-out ones, as it was when the bundle was made, for the choice
alone: the bundle keeps its own weights, and every text that the encoder decides keeps its score.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from export.bundle.bundle import load_classifier, write_bundle
from export.classifier.settings import CascadeSettings, WideSettings
from export.classifier.stacking import stack
from export.classifier.wide import Wide, train_wide
from export.data import Dataset, refuse_empty
from export.errors import ExportError
from export.evaluation.cascade_figures import cascade_figures
from export.evaluation.evaluate import Scored, reference, score_split
from export.evaluation.figures import cascade_curve, confusion_matrix, reliability_diagram
from export.evaluation.metrics import confusion, reliability
from export.evaluation.model_card import model_card
from export.evaluation.outputs import CARD, CASCADE_FIGURE, CONFUSION_FIGURE, LOSS_FIGURE, RELIABILITY_FIGURE
from export.graph.split import without_wide
from export.graph.wide import wide_graph
from export.training.cascade import CascadeChoice, HeldOut, choose_cascade, told
from export.training.holdout import split_rows
from export.training.manifest import held_out_figures
from export.training.scoring import scorer_on_cpu
from export.training.settings import FitSettings
from scorer.base.cores import usable_cores
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session
from scorer.engine.wide import TABLE
from scorer.model.bundle import MANIFEST, TOKENIZER, WIDE_FILE, Bundle, check_graphs, load_bundle
from scorer.model.manifest import WIDE, GoldenRow, WideGraph
from scorer.model.scorer import Scorer
from scorer.model.tokenizer import Tokenizer

if TYPE_CHECKING:
    from export.data import Split

Say = Callable[[str], None]


@dataclass(frozen=True)
class AddSettings:
    """Settings of the new bundle.

    Attributes:
        output: its folder.
        cascade: settings of the choice.
        probes: texts of one's own that the model card has figures about, or None.
        notes: Markdown for the model card.
        quiet: show no progress.
    """

    output: Path
    cascade: CascadeSettings
    probes: "Split | None" = None
    notes: str = ""
    quiet: bool = False


def add_cascade(bundle: Bundle, dataset: Dataset, settings: AddSettings, say: Say) -> Bundle:
    """Choose a cascade on the texts that the bundle's training held out, and publish the bundle with it.

    Args:
        bundle: bundle to begin with; it stays as it is.
        dataset: the texts that it was trained on and tested with, in their order.
        settings: settings of the new bundle.
        say: is given each line of the report.

    Returns:
        the new bundle as read back from disk, its golden rows checked.

    Raises:
        ExportError: the bundle has no wide part or a cascade already, these are other texts, or nothing can be chosen.
    """
    manifest, classifier = bundle.manifest, load_classifier(bundle)
    if manifest.cascade is not None:
        raise ExportError(f"{bundle.path} has a cascade already.")
    if classifier.wide is None:
        raise ExportError(f"{bundle.path} has no wide part, which a cascade needs; train one without --no-wide.")
    choice = told(_choice(bundle, classifier.wide, dataset, settings), say)
    if choice is None:
        raise ExportError("no cascade was found, so no bundle was written.")
    unpublished = _with_cascade(bundle, classifier.wide, choice, settings)
    scorer = scorer_on_cpu(unpublished)
    scored = score_split(scorer, dataset.test, quiet=settings.quiet)
    found = cascade_figures(scorer, scored, quiet=settings.quiet)
    say(
        f"test accuracy {scored.metrics.accuracy:.2%} with the cascade, {scored.without_cascade.metrics.accuracy:.2%} "
        "without"
    )
    metrics = {**manifest.metrics, "cascade": {"held_out": held_out_figures(choice), **found}}
    complete = replace(unpublished.manifest, metrics=metrics, reference=reference(scored))
    return _publish(replace(unpublished, manifest=complete), bundle.path, scored, settings)


def _choice(bundle: Bundle, wide: Wide, dataset: Dataset, settings: AddSettings) -> CascadeChoice | str:
    """Choose on the texts that training held out, by a wide part that did not see them."""
    manifest = bundle.manifest
    labels, training, found = dataset.train.labels, manifest.training, manifest.metrics
    held_out_of = FitSettings(validation_share=training["validation_share"], seed=training["seed"])
    train_rows, rows = split_rows(labels, held_out_of)
    if (dataset.labels, len(train_rows), len(rows)) != (
        manifest.labels,
        found["train_texts"],
        found["validation_texts"],
    ):
        raise ExportError(
            f"{bundle.path} was trained on {found['train_texts']:,} texts and {found['validation_texts']:,} held-out ones "
            f"with the labels {', '.join(manifest.labels)}; these are {len(train_rows):,} and {len(rows):,} with "
            f"{', '.join(dataset.labels)}. Give the texts that it was trained on, in the same order."
        )
    tokens = Tokenizer(bundle.files[TOKENIZER], manifest.tokens_kept).encode(dataset.train.texts)
    refuse_empty(dataset.train, tokens.empty)
    held_out, truth = [tokens.ids[row] for row in rows], labels[rows]
    again = train_wide(
        ([tokens.ids[row] for row in train_rows], labels[train_rows]),
        (held_out, truth),
        pieces=wide.keys.pieces,
        label_count=len(manifest.labels),
        settings=WideSettings(pairs=wide.keys.pairs, l2=(found["wide"]["kept"],)),
    )
    precision = manifest.providers.get("cpu", "fp16")
    session = open_session(bundle.graph(precision), "cpu", external=bundle.external(precision))
    deep = RowEngine(session, usable_cores()).logits(held_out) - wide.logits(held_out)
    side = again.logits(held_out)
    stacked = stack(deep, side, truth)
    read = np.minimum([len(ids) for ids in held_out], manifest.max_length)
    sums = again.wide(stacked.share).sums(held_out)
    whole = HeldOut(stacked.logits(deep, side), sums, truth, read, manifest.temperature)
    return choose_cascade(whole, settings.cascade)


def _with_cascade(bundle: Bundle, wide: Wide, choice: CascadeChoice, settings: AddSettings) -> Bundle:
    """Return the bundle in memory with its wide part apart; each weight stays where it is."""
    manifest, files = bundle.manifest, dict(bundle.files)
    first = next(iter(manifest.precisions.values())).file
    apart = wide_graph(wide)
    (table,) = (tensor for tensor in apart.graph.initializer if tensor.name == TABLE)
    table.CopyFrom(next(one for one in onnx.load_from_string(files[first]).graph.initializer if one.name == TABLE))
    files[WIDE_FILE] = apart.SerializeToString()
    for precision in manifest.precisions.values():
        files[precision.file] = without_wide(onnx.load_from_string(files[precision.file])).SerializeToString()
    ids = Tokenizer(bundle.files[TOKENIZER], manifest.tokens_kept).encode([row.text for row in manifest.golden]).ids
    golden = tuple(
        GoldenRow(row.text, {**row.logits, WIDE: tuple(sums)})
        for row, sums in zip(manifest.golden, wide.sums(ids).tolist(), strict=True)
    )
    changed = replace(
        manifest,
        name=manifest.name,
        golden=golden,
        wide=WideGraph(WIDE_FILE, wide.keys.pairs),
        cascade=choice.cascade,
        training={**manifest.training, "cascade": asdict(settings.cascade)},
    )
    files[MANIFEST] = changed.to_json()
    return Bundle(settings.output, "not published yet", changed, files, check_graphs(settings.output, changed, files))


def _publish(bundle: Bundle, before: Path, scored: Scored, settings: AddSettings) -> Bundle:
    """Write the bundle with its model card and pictures, and return it as read back from disk.

    Args:
        bundle: the bundle in memory, its manifest complete.
        before: folder of the bundle that it comes from, whose picture of the training's loss is taken over.
        scored: the test texts.
        settings: settings of the new bundle.
    """
    manifest, classifier = bundle.manifest, load_classifier(bundle)
    probes = None if settings.probes is None else score_split(scorer_on_cpu(bundle), settings.probes, quiet=True)
    graphs = {name: data for name, data in bundle.files.items() if name.endswith((".onnx", ".bin"))}
    write_bundle(
        settings.output,
        manifest=manifest,
        tokenizer_json=bundle.files[TOKENIZER],
        graphs=graphs,
        classifier=classifier,
        unlisted={CARD: model_card(manifest, probes, settings.notes), **_pictures(manifest.labels, before, scored)},
    )
    written = load_bundle(settings.output)
    for precision in written.manifest.precisions:
        Scorer(written, provider="cpu", precision=precision)  # checks the golden rows of the files on disk
    return written


def _pictures(labels: tuple[str, ...], before: Path, scored: Scored) -> dict[str, Any]:
    truth, stages = scored.split.labels, scored.stages
    assert stages is not None, "the bundle has a cascade"
    lines = {
        "with the cascade": reliability(scored.probabilities, truth),
        "without": reliability(stages.whole, truth),
    }
    loss = before / LOSS_FIGURE
    return {
        **({LOSS_FIGURE: loss.read_bytes()} if loss.is_file() else {}),
        CONFUSION_FIGURE: confusion_matrix("Test split", labels, confusion(truth, scored.predicted, len(labels))),
        RELIABILITY_FIGURE: reliability_diagram(lines),
        CASCADE_FIGURE: cascade_curve(stages),
    }
