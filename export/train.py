"""`score-model train`, stage by stage: tokens, features, head, graph, parity gate, precisions, bundle."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from export.bundle import graph_bytes, library_versions, write_bundle
from export.card import CONFUSION_FIGURE, LOSS_FIGURE, model_card
from export.cuda import to_half
from export.data import Dataset
from export.encoder import FrozenEncoder
from export.errors import ExportError
from export.evaluate import confusion, evaluate
from export.external import with_weights_files
from export.features import POOLINGS, Features, cache_folder, extract
from export.figures import confusion_matrix, loss_curve
from export.golden import golden_rows, tolerance
from export.graph import classifier
from export.head import HeadSettings, LinearHead, Training, predict, train_head
from export.parity import HALF_TOLERANCE, HalfParity, Parity, compare, compare_half
from export.quantize import CALIBRATION_ROWS, to_int8
from export.weights import encoder_weights
from scorer.bundle import MANIFEST, TOKENIZER, Bundle, check_graphs, load_bundle
from scorer.manifest import Manifest, Precision
from scorer.model import Scorer
from scorer.progress import duration
from scorer.runtime import open_session
from scorer.tokens import Tokens

PRECISIONS = ("fp32", "fp16", "int8")

LEAST_AGREEMENT = 0.99
"""The share of labels on which the precisions of a bundle have to agree."""


@dataclass(frozen=True)
class Settings:
    """How a bundle is made.

    Attributes:
        output: its folder.
        name: of the bundle, for people.
        pooling: ``cls`` or ``mean``.
        precisions: graphs to put in, of `PRECISIONS`.
        head: how the head is trained.
        validation_share: of the training split, held out to choose the epoch.
        parity_rows: test texts that the parity gate compares.
        notes: Markdown for the model card.
        cache: where features are kept.
        quiet: say nothing.
    """

    output: Path
    name: str
    pooling: str = "cls"
    precisions: tuple[str, ...] = PRECISIONS
    head: HeadSettings = field(default_factory=HeadSettings)
    validation_share: float = 0.1
    parity_rows: int = 128
    notes: str = ""
    cache: Path = field(default_factory=cache_folder)
    quiet: bool = False


@dataclass(frozen=True)
class Fitted:
    """Heads on every pooling of the same features, the split they were trained with, and their accuracies."""

    trainings: dict[str, Training]
    accuracies: dict[str, dict[str, float]]
    train_rows: np.ndarray
    validation_rows: np.ndarray


def train(dataset: Dataset, encoder: FrozenEncoder, settings: Settings, say: Callable[[str], None]) -> Bundle:
    """Train a head, export it with its encoder, and publish the bundle.

    Args:
        dataset: labelled texts.
        encoder: the frozen encoder.
        settings: how.
        say: is given each line of the report.

    Returns:
        the bundle as read back from disk, its golden rows checked.

    Raises:
        ParityError: the graph does not compute what PyTorch computes; nothing is written.
        ExportError: something else stopped it; nothing is written.
    """
    say(
        f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.test):,} test texts; labels {', '.join(dataset.labels)}"
    )
    tokens = {
        name: encoder.tokenizer.encode(split.texts)
        for name, split in (("train", dataset.train), ("test", dataset.test))
    }
    features = {name: _features(encoder, ids, name, settings, say) for name, ids in tokens.items()}
    fitted = _fit(dataset, features, settings, say)
    training = fitted.trainings[settings.pooling]
    head = training.head

    exported = _graphs(encoder, head, tokens, fitted.train_rows, settings, say)
    bundle = _unpublished(dataset, encoder, settings, exported, fitted)
    torch_predicted = predict(head.logits(features["test"].pooled(settings.pooling)))
    bundle = _evaluated(bundle, dataset, torch_predicted, settings, say)
    manifest = replace(
        bundle.manifest, metrics={**bundle.manifest.metrics, "test_truncated": float(np.mean(tokens["test"].truncated))}
    )
    counts = confusion(dataset.test.labels, torch_predicted, len(dataset.labels))
    graphs: dict[str, bytes] = {}
    for precision, one in manifest.precisions.items():  # those that are kept, and no file but theirs
        graphs |= {one.file: bundle.graph(precision), **bundle.external(precision)}
    write_bundle(
        settings.output,
        manifest=manifest,
        tokenizer_json=encoder.tokenizer_json,
        graphs=graphs,
        head=head,
        unlisted={
            "README.md": model_card(manifest, training.epochs, settings.notes),
            LOSS_FIGURE: loss_curve(training.epochs, training.best),
            CONFUSION_FIGURE: confusion_matrix(dataset.labels, counts),
        },
    )
    written = load_bundle(settings.output)
    for precision in manifest.precisions:
        Scorer(written, provider="cpu", precision=precision)  # checks the golden rows of what is on disk now
    size = sum(map(len, written.files.values()))
    say(
        f"wrote {settings.output} ({size / 1e6:.1f} MB, {', '.join(sorted(manifest.precisions))}), id {written.id[:12]}"
    )
    return written


@dataclass(frozen=True)
class Exported:
    """The classifier's graphs, and how far they are from PyTorch.

    Attributes:
        graphs: by precision, in the order of the settings.
        parity: of fp32 with PyTorch, whether it is among them or not.
        half: of fp16 with float32, if it is among them.
    """

    graphs: dict[str, onnx.ModelProto]
    parity: Parity
    half: HalfParity | None


def _graphs(
    encoder: FrozenEncoder,
    head: LinearHead,
    tokens: dict[str, Tokens],
    train_rows: np.ndarray,
    settings: Settings,
    say: Callable[[str], None],
) -> Exported:
    """Export every precision, and compare fp32 with PyTorch and fp16 with float32."""
    weights, pooling = encoder_weights(encoder), settings.pooling
    random = np.random.default_rng(settings.head.seed)
    compared = [tokens["test"].ids[row] for row in random.permutation(len(tokens["test"].ids))[: settings.parity_rows]]
    random = np.random.default_rng(settings.head.seed)
    calibration = [tokens["train"].ids[row] for row in random.permutation(train_rows)[:CALIBRATION_ROWS]]
    graphs = {"fp32": classifier(weights, head, pooling)}
    session = open_session(graph_bytes(graphs["fp32"]), "cpu")
    parity = compare(session, encoder, head, pooling, compared, most_positions=encoder.positions)
    say(
        f"parity: biggest difference of a logit from PyTorch {parity.difference:.1e} over {parity.rows} texts ({parity.tolerance:.0e} allowed)"
    )
    if "int8" in settings.precisions:
        graphs["int8"] = to_int8(weights, head, pooling, calibration)
    half_parity = None
    if "fp16" in settings.precisions:
        # It reads the weights of fp32, or of int8 where the bundle has no fp32.
        half = to_half(
            weights, head, pooling, calibration, None if "fp32" in settings.precisions else graphs.get("int8")
        )
        half_parity = compare_half(half, compared)
        say(
            f"fp16: biggest difference of a probability from float32 with the same weights {half_parity.difference:.1e}, "
            f"mean {half_parity.mean:.1e}, over {half_parity.rows} texts (emulated)"
        )
        if half_parity.fits:
            graphs["fp16"] = half.graph
        else:
            say(f"fp16 is left out: {HALF_TOLERANCE:.0e} is allowed.")
    chosen = {precision: graphs[precision] for precision in settings.precisions if precision in graphs}
    if not chosen:
        raise ExportError("no precision is left. No bundle was written; add fp32 or int8 to --precisions.")
    return Exported(chosen, parity, half_parity)


def _features(
    encoder: FrozenEncoder, tokens: Tokens, name: str, settings: Settings, say: Callable[[str], None]
) -> Features:
    features = extract(encoder, tokens, settings.cache, name=name, quiet=settings.quiet)
    if features.computed:
        rate = features.computed / features.seconds
        say(f"features of {name}: {features.computed:,} texts in {duration(features.seconds)}, {rate:.1f} a second")
    else:
        say(f"features of {name}: all {len(tokens.ids):,} from the cache")
    return features


def _fit(dataset: Dataset, features: dict[str, Features], settings: Settings, say: Callable[[str], None]) -> Fitted:
    """Train a head on each pooling: a second each, and it shows whether the chosen one is the right one."""
    rows = np.random.default_rng(settings.head.seed).permutation(len(dataset.train))
    held_out = max(1, round(len(rows) * settings.validation_share))
    if held_out >= len(rows):
        raise ExportError(f"{len(rows)} training texts are too few to hold out a validation part.")
    validation_rows, train_rows = np.sort(rows[:held_out]), np.sort(rows[held_out:])
    trainings, accuracies = {}, {}
    for pooling in POOLINGS:
        vectors = features["train"].pooled(pooling)
        labels = dataset.train.labels
        training = train_head(
            (vectors[train_rows], labels[train_rows]),
            (vectors[validation_rows], labels[validation_rows]),
            label_count=len(dataset.labels),
            settings=settings.head,
        )
        hits = predict(training.head.logits(vectors)) == labels
        test_hits = predict(training.head.logits(features["test"].pooled(pooling))) == dataset.test.labels
        trainings[pooling] = training
        accuracies[pooling] = {
            "train_accuracy": float(hits[train_rows].mean()),
            "validation_accuracy": float(hits[validation_rows].mean()),
            "test_accuracy": float(test_hits.mean()),
        }
        if pooling == settings.pooling:
            for epoch in training.epochs:
                say(
                    f"epoch {epoch.number:2d}: training loss {epoch.train_loss:.4f}, validation loss {epoch.validation_loss:.4f}, "
                    f"validation accuracy {epoch.validation_accuracy:.2%}{'  <- kept' if epoch == training.best else ''}"
                )
    chosen = accuracies[settings.pooling]
    say(
        f"accuracy with pooling {settings.pooling}: training {chosen['train_accuracy']:.2%}, "
        f"validation {chosen['validation_accuracy']:.2%}, test {chosen['test_accuracy']:.2%}"
    )
    for pooling, other in accuracies.items():
        if other["validation_accuracy"] > chosen["validation_accuracy"]:
            say(f"--pooling {pooling} would be better on this encoder: validation {other['validation_accuracy']:.2%}")
    return Fitted(trainings, accuracies, train_rows, validation_rows)


def _unpublished(
    dataset: Dataset,
    encoder: FrozenEncoder,
    settings: Settings,
    exported: Exported,
    fitted: Fitted,
) -> Bundle:
    """The bundle in memory, so that it can be evaluated by the scorer's own engine before it is published."""
    config, training, parity = encoder.config, fitted.trainings[settings.pooling], exported.parity
    golden = golden_rows(exported.graphs, encoder.tokenizer)
    graphs, weights_files = with_weights_files(exported.graphs)
    manifest = Manifest(
        name=settings.name,
        labels=dataset.labels,
        positive_label=dataset.labels[1] if len(dataset.labels) == 2 else None,
        max_length=encoder.tokenizer.max_length,
        truncation="head",
        pooling=settings.pooling,
        precisions={
            precision: Precision(f"model.{precision}.onnx", tolerance(precision, golden)) for precision in graphs
        },
        providers=providers(exported.graphs),
        golden=golden,
        encoder={
            "name": encoder.name,
            "revision": encoder.revision,
            "sha256": encoder.sha256,
            "architecture": config.model_type,
            "layers": config.num_hidden_layers,
            "hidden": config.hidden_size,
            "heads": config.num_attention_heads,
            "vocabulary": config.vocab_size,
        },
        head={"kind": "linear", "logits": len(training.head.bias), "features": f"last layer, {settings.pooling}"},
        training={
            "dataset": dataset.name,
            "optimizer": "Adam",
            **asdict(settings.head),
            "validation_share": settings.validation_share,
            "epoch_kept": training.best.number,
        },
        metrics={
            **fitted.accuracies[settings.pooling],
            "train_texts": len(fitted.train_rows),
            "validation_texts": len(fitted.validation_rows),
            "test_texts": len(dataset.test),
            "losses": [asdict(epoch) for epoch in training.epochs],
            "poolings": fitted.accuracies,
        },
        parity={
            "difference": parity.difference,
            "tolerance": parity.tolerance,
            "rows": parity.rows,
            "batches": len(parity.shapes),
            **({"fp16": asdict(exported.half)} if exported.half else {}),
        },
        versions=library_versions(),
    )
    files = {MANIFEST: manifest.to_json(), TOKENIZER: encoder.tokenizer_json, **weights_files}
    files |= {manifest.precisions[precision].file: graph for precision, graph in graphs.items()}
    return Bundle(settings.output, "not published yet", manifest, files, check_graphs(settings.output, manifest, files))


def providers(precisions: Mapping[str, Any]) -> dict[str, str]:
    """Which precision each provider takes: on CPU int8 before fp32, on CUDA fp16 before fp32.

    >>> providers({"fp32": b"", "int8": b""}), providers({"fp16": b""})
    ({'cpu': 'int8', 'cuda': 'fp32'}, {'cuda': 'fp16'})
    """
    orders = {"cpu": ("int8", "fp32"), "cuda": ("fp16", "fp32")}
    found = {provider: [one for one in order if one in precisions] for provider, order in orders.items()}
    return {provider: one[0] for provider, one in found.items() if one}


def _evaluated(
    bundle: Bundle, dataset: Dataset, torch_predicted: np.ndarray, settings: Settings, say: Callable[[str], None]
) -> Bundle:
    """Score the test split with the precision that CPU will take, and leave int8 out if it does not agree.

    Raises:
        ExportError: no other precision was asked for.
    """
    precision = bundle.manifest.providers.get("cpu", "fp16")
    scorer = Scorer(bundle, provider="cpu", precision=precision)
    result = evaluate(scorer, dataset.test.texts, dataset.test.labels, quiet=settings.quiet)
    agreement = float(np.mean(result.predicted == torch_predicted))
    say(
        f"{precision} on CPU: test accuracy {result.accuracy:.2%}, the label of PyTorch on {agreement:.2%} of the texts"
    )
    found = {precision: {"test_accuracy": result.accuracy, "agreement": agreement}}
    manifest = replace(bundle.manifest, metrics={**bundle.manifest.metrics, "precisions": found})
    if agreement >= LEAST_AGREEMENT:
        return replace(bundle, manifest=manifest)
    if precision != "int8" or "fp32" not in manifest.precisions:
        raise ExportError(
            f"{precision} agrees with PyTorch on {agreement:.2%} of the labels; {LEAST_AGREEMENT:.0%} is needed. "
            "No bundle was written; with fp32 in --precisions there would be one without int8."
        )
    say(f"{precision} is left out: {LEAST_AGREEMENT:.0%} is needed. The bundle scores in fp32 on CPU.")
    kept = {name: value for name, value in manifest.precisions.items() if name != precision}
    return replace(bundle, manifest=replace(manifest, precisions=kept, providers=providers(kept)))
