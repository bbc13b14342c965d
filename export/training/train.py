"""`score-model train`, stage by stage: tokens, training, graphs, parity gate, evaluation, bundle."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx

from export.bundle.bundle import library_versions, write_bundle
from export.bundle.golden import golden_rows, tolerances_of
from export.classifier.classifier import Classifier
from export.classifier.head import Step, predict
from export.classifier.truncation import Cut, cut_of
from export.data import Dataset
from export.encoder.load import FrozenEncoder, save
from export.encoder.pooling import vectors
from export.encoder.weights import encoder_weights
from export.errors import ExportError
from export.evaluation import baseline
from export.evaluation.evaluate import Group, Scored, by_group, by_length, costliest, reference, score_split
from export.evaluation.figures import confusion_matrix, loss_curve, reliability_diagram
from export.evaluation.metrics import Metrics, confusion, metrics, reliability
from export.evaluation.model_card import CONFUSION_FIGURE, LOSS_FIGURE, RELIABILITY_FIGURE, model_card
from export.graph.fp16 import to_half
from export.graph.fp32 import to_float32
from export.graph.int8 import CALIBRATION_ROWS, to_int8
from export.graph.parity import HALF_TOLERANCE, LEAST_AGREEMENT, HalfParity, Parity, compare, compare_half, is_too_low
from export.graph.weights_file import with_weights_files
from export.graph.writer import graph_bytes
from export.training.finetune import check as check_tuning
from export.training.fit import Fit, features_of, fit
from export.training.settings import Settings
from scorer.base.errors import UsageError
from scorer.engine.runtime import open_session
from scorer.model.bundle import MANIFEST, TOKENIZER, Bundle, check_graphs, load_bundle
from scorer.model.decision import probabilities
from scorer.model.manifest import TRUNCATIONS, Manifest, Precision
from scorer.model.scorer import Scorer
from scorer.model.tokenizer import Tokens

_COSTLIEST = 10  # errors whose ids the card names


def train(dataset: Dataset, encoder: FrozenEncoder, settings: Settings, say: Callable[[str], None]) -> Bundle:
    """Train a classifier, export it with its encoder, and publish the bundle.

    Args:
        dataset: labelled texts.
        encoder: the encoder; its tokenizer keeps as many tokens of a text as the graph will be given.
        settings: how.
        say: is given each line of the report.

    Returns:
        the bundle as read back from disk, its golden rows checked.

    Raises:
        ParityError: the graph does not compute what PyTorch computes; nothing is written.
        ExportError: something else stopped it; nothing is written.
    """
    cut = _checked(encoder, settings)
    say(
        f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.test):,} test texts; labels {', '.join(dataset.labels)}"
    )
    tokens = {
        name: encoder.tokenizer.encode(split.texts)
        for name, split in (("train", dataset.train), ("test", dataset.test))
    }
    fitted = fit(dataset, encoder, tokens["train"].ids, replace(settings.fit, cut=cut), say)
    if settings.save_encoder is not None:
        save(fitted.encoder, settings.save_encoder)
    exported = _graphs(fitted, tokens, settings, say)
    bundle = _unpublished(dataset, settings, fitted, exported)
    test_logits = _torch_logits(fitted, tokens["test"].ids, settings, say)
    bundle, scored = _evaluated(bundle, dataset, test_logits, settings, say)
    found = _found(dataset, fitted, tokens, test_logits, scored, settings, say)
    # The scorer that was evaluated is of the same precisions and labels; what is added now is for people.
    manifest = replace(bundle.manifest, metrics={**bundle.manifest.metrics, **found}, reference=reference(scored))
    probes = None if settings.probes is None else score_split(_scorer(bundle), settings.probes, quiet=True)
    graphs: dict[str, bytes] = {}
    for precision, one in manifest.precisions.items():  # those that are kept, and no file but theirs
        graphs |= {one.file: bundle.graph(precision), **bundle.external(precision)}
    counts = confusion(dataset.test.labels, scored.predicted, len(dataset.labels))
    write_bundle(
        settings.output,
        manifest=manifest,
        tokenizer_json=encoder.tokenizer_json,
        graphs=graphs,
        classifier=fitted.classifier,
        unlisted={
            "README.md": model_card(manifest, probes, settings.notes),
            LOSS_FIGURE: loss_curve(fitted.training),
            CONFUSION_FIGURE: confusion_matrix("Test split", dataset.labels, counts),
            RELIABILITY_FIGURE: reliability_diagram(
                {
                    "before": reliability(probabilities(test_logits), dataset.test.labels),
                    "after": reliability(_calibrated(fitted, test_logits), dataset.test.labels),
                }
            ),
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


def _checked(encoder: FrozenEncoder, settings: Settings) -> Cut | None:
    """The cut, if the settings fit together and the encoder: before what takes long."""
    if not settings.name.isprintable():
        raise UsageError(f"--name {settings.name!r} cannot be printed.")
    cut = cut_for(encoder, settings)
    vectors(settings.fit.pooling, encoder.layers)
    if settings.fit.tune is not None:
        check_tuning(encoder, settings.fit.pooling, settings.fit.tune)
    if settings.save_encoder is not None:
        try:
            settings.save_encoder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--save-encoder {settings.save_encoder} cannot be made: {error.strerror}.") from error
    return cut


def cut_for(encoder: FrozenEncoder, settings: Settings) -> Cut | None:
    """What the graph has to cut: nothing if its tokenizer gives it no more than the encoder reads, from the beginning.

    Raises:
        UsageError: the lengths do not fit together, or the tokenizer does not put one token before and one behind a text.
    """
    if settings.truncation not in TRUNCATIONS:
        raise UsageError(f"--truncation is one of {', '.join(TRUNCATIONS)}, not {settings.truncation!r}.")
    tokenizer = encoder.tokenizer
    if tokenizer.max_length == settings.max_length:
        if settings.truncation != "head":
            raise UsageError(
                f"--truncation {settings.truncation} needs more tokens to choose from than --max-length {settings.max_length}: "
                "give --max-tokens."
            )
        return None
    if tokenizer.max_length < settings.max_length:
        raise UsageError(f"--max-tokens {tokenizer.max_length} is less than --max-length {settings.max_length}.")
    if settings.fit.wide is None and settings.truncation == "head":
        raise UsageError(
            "with --no-wide nothing reads the tokens beyond --max-length: leave --max-tokens out, or choose a --truncation."
        )
    if tokenizer.special_tokens != 2:
        raise UsageError(
            f"the tokenizer of {encoder.name!r} puts {tokenizer.special_tokens} special tokens around a text, not one "
            f"before and one behind it, so it cannot be cut: give --max-tokens {settings.max_length}, as --max-length."
        )
    return cut_of(settings.truncation, settings.max_length)


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


def _graphs(fitted: Fit, tokens: dict[str, Tokens], settings: Settings, say: Callable[[str], None]) -> Exported:
    """Export every precision, and compare fp32 with PyTorch and fp16 with float32."""
    encoder, classifier = fitted.encoder, fitted.classifier
    weights, seed = encoder_weights(encoder), settings.fit.seed
    random = np.random.default_rng(seed)
    compared = [tokens["test"].ids[row] for row in random.permutation(len(tokens["test"].ids))[: settings.parity_rows]]
    random = np.random.default_rng(seed)
    calibration = [tokens["train"].ids[row] for row in random.permutation(fitted.train_rows)[:CALIBRATION_ROWS]]
    graphs = {"fp32": to_float32(weights, classifier)}
    session = open_session(graph_bytes(graphs["fp32"]), "cpu")
    longest = encoder.positions if classifier.cut is None else encoder.tokenizer.max_length
    parity = compare(session, encoder, classifier, compared, longest=longest)
    say(
        f"parity: biggest difference of a logit from PyTorch {parity.difference:.1e} over {parity.rows} texts ({parity.tolerance:.0e} allowed)"
    )
    if "int8" in settings.precisions:
        graphs["int8"] = to_int8(weights, classifier, calibration)
    half_parity = None
    if "fp16" in settings.precisions:
        # It reads the weights of fp32, or of int8 where the bundle has no fp32.
        half = to_half(weights, classifier, calibration, None if "fp32" in settings.precisions else graphs.get("int8"))
        half_parity = compare_half(half, compared)
        say(
            f"fp16: biggest difference of a probability from float32 with the same weights {half_parity.difference:.1e}, "
            f"mean {half_parity.mean:.1e}, over {half_parity.rows} texts (emulated)"
        )
        if half_parity.fits:
            graphs["fp16"] = half.graph
        else:
            say(f"fp16 is left out: {HALF_TOLERANCE:.0e} is allowed.")
            half_parity = None
    chosen = {precision: graphs[precision] for precision in settings.precisions if precision in graphs}
    if not chosen:
        raise ExportError("no precision is left. No bundle was written; add fp32 or int8 to --precisions.")
    return Exported(chosen, parity, half_parity)


def _torch_logits(fitted: Fit, rows: list[np.ndarray], settings: Settings, say: Callable[[str], None]) -> np.ndarray:
    """The logits of the test texts as PyTorch has them, float32 (texts, logits); see `export.graph.parity`."""
    classifier = fitted.classifier
    read = [classifier.encoder_reads(ids) for ids in rows]
    features = features_of(fitted.encoder, read, "test", settings.fit, say, classifier.queries)
    return classifier.logits(features.pooled(classifier.pooling), rows)


def _unpublished(dataset: Dataset, settings: Settings, fitted: Fit, exported: Exported) -> Bundle:
    """The bundle in memory, so that it can be evaluated by the scorer's own engine before it is published."""
    encoder, classifier, parity = fitted.encoder, fitted.classifier, exported.parity
    golden = golden_rows(exported.graphs, encoder.tokenizer, classifier)
    tolerances = tolerances_of(golden, encoder.tokenizer, classifier)
    graphs, weights_files = with_weights_files(exported.graphs)
    manifest = Manifest(
        name=settings.name,
        labels=dataset.labels,
        positive_label=dataset.labels[1] if len(dataset.labels) == 2 else None,
        max_length=settings.max_length,
        max_tokens=encoder.tokenizer.max_length if classifier.cut else None,
        truncation=settings.truncation,
        pooling=classifier.pooling,
        precisions={precision: Precision(f"model.{precision}.onnx", tolerances[precision]) for precision in graphs},
        providers=providers(exported.graphs),
        golden=golden,
        encoder=_encoder(encoder, settings),
        head=_head(classifier),
        calibration={
            "temperature": fitted.stack.temperature,
            "texts": len(fitted.validation_rows),
            **fitted.calibration,
        },
        training=_training(dataset, settings),
        metrics={
            "train_texts": len(fitted.train_rows),
            "validation_texts": len(fitted.validation_rows),
            "test_texts": len(dataset.test),
            "validation": dict(fitted.validation),
            "poolings": dict(fitted.poolings),
            "head": {
                "by": fitted.training.by,
                "kept": fitted.training.best.number,
                "steps": _steps(fitted.training.steps),
            },
            **({"wide": {"kept": fitted.wide.best.number, "steps": _steps(fitted.wide.steps)}} if fitted.wide else {}),
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


def _encoder(encoder: FrozenEncoder, settings: Settings) -> dict[str, Any]:
    config, tuned = encoder.config, settings.fit.tune
    return {
        "name": encoder.name,
        "revision": encoder.revision,
        "sha256": encoder.sha256,
        "unfrozen": tuned.blocks if tuned else 0,
        "architecture": config.model_type,
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "heads": config.num_attention_heads,
        "vocabulary": config.vocab_size,
    }


def _head(classifier: Classifier) -> dict[str, Any]:
    cut, wide = classifier.cut, classifier.wide
    return {
        "kind": "linear" if wide is None else "linear + wide",
        "logits": len(classifier.head.bias),
        "features": classifier.pooling,
        **({"cut_head": cut.head} if cut else {}),
        **({"wide_pairs": wide.keys.pairs} if wide else {}),
    }


def _training(dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """What can be set, as it was set."""
    of_fit = settings.fit
    tune = of_fit.tune
    trained = {"head": of_fit.head.as_used()}
    if tune is not None:
        trained = {"unfrozen" if tune.blocks else "attention": tune.as_used()}
    return {
        "dataset": dataset.name,
        "seed": of_fit.seed,
        "validation_share": of_fit.validation_share,
        **trained,
        **({"wide": asdict(of_fit.wide)} if of_fit.wide else {}),
    }


def _steps(steps: tuple[Step, ...]) -> list[dict[str, float]]:
    return [asdict(step) for step in steps]


def providers(precisions: Mapping[str, Any]) -> dict[str, str]:
    """Which precision each provider takes: on CPU int8 before fp32, on CUDA fp16 before fp32.

    >>> providers({"fp32": b"", "int8": b""}), providers({"fp16": b""})
    ({'cpu': 'int8', 'cuda': 'fp32'}, {'cuda': 'fp16'})
    """
    orders = {"cpu": ("int8", "fp32"), "cuda": ("fp16", "fp32")}
    found = {provider: [one for one in order if one in precisions] for provider, order in orders.items()}
    return {provider: one[0] for provider, one in found.items() if one}


def _scorer(bundle: Bundle) -> Scorer:
    """With the precision that CPU takes; fp16 where it takes none."""
    return Scorer(bundle, provider="cpu", precision=bundle.manifest.providers.get("cpu", "fp16"))


def _evaluated(
    bundle: Bundle, dataset: Dataset, torch_logits: np.ndarray, settings: Settings, say: Callable[[str], None]
) -> tuple[Bundle, Scored]:
    """Score the test split with the precision that CPU will take, and leave int8 out if it does not agree.

    Raises:
        ExportError: no other precision was asked for.
    """
    scorer = _scorer(bundle)
    precision = scorer.choice.precision
    scored = score_split(scorer, dataset.test, quiet=settings.quiet)
    agreement = float(np.mean(scored.predicted == predict(torch_logits)))
    say(
        f"{precision} on CPU: test accuracy {scored.metrics.accuracy:.2%}, the label of PyTorch on {agreement:.2%} of the texts"
    )
    manifest = bundle.manifest
    if not is_too_low(agreement, len(dataset.test)):
        found = {precision: {**asdict(scored.metrics), "agreement": agreement}}
        return replace(bundle, manifest=replace(manifest, metrics={**manifest.metrics, "precisions": found})), scored
    if precision != "int8" or "fp32" not in manifest.precisions:
        raise ExportError(
            f"{precision} agrees with PyTorch on {agreement:.2%} of the labels; {LEAST_AGREEMENT:.0%} is needed. "
            "No bundle was written; with fp32 in --precisions there would be one without int8."
        )
    say(f"{precision} is left out: {LEAST_AGREEMENT:.0%} is needed. The bundle scores in fp32 on CPU.")
    kept = {name: value for name, value in manifest.precisions.items() if name != precision}
    metrics = {**manifest.metrics, "left_out": {precision: agreement}}
    bundle = replace(bundle, manifest=replace(manifest, precisions=kept, providers=providers(kept), metrics=metrics))
    return _evaluated(bundle, dataset, torch_logits, settings, say)


def _found(
    dataset: Dataset,
    fitted: Fit,
    tokens: dict[str, Tokens],
    torch_logits: np.ndarray,
    scored: Scored,
    settings: Settings,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """All figures about the test texts, as they go into the manifest."""
    test, known = dataset.test, set(dataset.train.texts)
    whole = metrics(_calibrated(fitted, torch_logits), test.labels)
    uncalibrated = metrics(probabilities(torch_logits), test.labels)
    say(
        f"test accuracy {whole.accuracy:.2%} (95%: {whole.interval[0]:.2%} to {whole.interval[1]:.2%}), calibration error "
        f"{uncalibrated.ece:.2%} before and {whole.ece:.2%} after"
    )
    found: dict[str, Any] = {
        "test": asdict(whole),
        "test_uncalibrated": {"ece": uncalibrated.ece, "log_loss": uncalibrated.log_loss},
        "test_truncated": float(np.mean(tokens["test"].truncated)),
        "test_cut": float(np.mean([len(ids) > settings.max_length for ids in tokens["test"].ids])),
        "test_in_train": sum(text in known for text in test.texts),
        "by_length": _groups(by_length(scored, settings.max_length)),
        "by_group": _groups(by_group(scored)),
        "costliest": [test.ids[row] for row in costliest(scored, _COSTLIEST)] if test.ids else [],
    }
    if settings.baseline:
        found["baseline"] = asdict(_baseline(dataset, whole, settings, say))
    return found


def _calibrated(fitted: Fit, logits: np.ndarray) -> np.ndarray:
    return probabilities(logits / np.float32(fitted.stack.temperature))


def _baseline(dataset: Dataset, whole: Metrics, settings: Settings, say: Callable[[str], None]) -> Metrics:
    train, test = dataset.train, dataset.test
    found = metrics(baseline.trained_on(train.texts, train.labels, test.texts, len(dataset.labels)), test.labels)
    say(f"baseline ({baseline.NAME}): test accuracy {found.accuracy:.2%}")
    if found.accuracy >= whole.accuracy:
        tune = settings.fit.tune
        untried = [*([] if tune and tune.blocks else ["--unfreeze"]), *([] if settings.fit.wide else ["--wide"])]
        say(
            f"This bundle is no better than {baseline.NAME}, which needs no encoder. Try "
            f"{', '.join([*untried, 'another --pooling'])} or another --encoder."
        )
    return found


def _groups(groups: list[Group]) -> list[dict[str, Any]]:
    return [{"name": one.name, **asdict(one.metrics)} for one in groups]
