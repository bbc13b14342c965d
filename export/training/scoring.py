"""Evaluation of the unpublished bundle on the test texts: the gate of its labels, and the figures of its manifest."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from export.bundle.assemble import providers, scorer_on_cpu
from export.classifier.head import predict
from export.errors import ExportError
from export.evaluation import baseline
from export.evaluation.cascade_figures import cascade_figures
from export.evaluation.evaluate import Group, Scored, by_group, by_length, costliest, score_split
from export.evaluation.metrics import Metrics, metrics
from export.graph.parity import LEAST_AGREEMENT, is_too_low
from export.training.fit import Fit, features_of
from export.training.run import Run
from scorer.model.bundle import Bundle
from scorer.model.decision import probabilities

_COSTLIEST = 10  # number of errors that the card lists


def torch_logits(run: Run, fitted: Fit) -> np.ndarray:
    """Compute the logits of the test texts in PyTorch, float32 (texts, logits); see `export.graph.parity`."""
    classifier, rows = fitted.classifier, run.tokens["test"].ids
    read = [classifier.encoder_reads(ids) for ids in rows]
    features = features_of(fitted.encoder, read, "test", run.settings.fit, run.report, classifier.queries)
    return classifier.logits(features.pooled(classifier.pooling), rows)


def score_test(run: Run, bundle: Bundle, expected: np.ndarray) -> tuple[Bundle, Scored]:
    """Score the test texts in the bundle's precision for CPU, and leave int8 out if its labels differ from PyTorch's.

    Args:
        run: inputs of the training run.
        bundle: bundle in memory.
        expected: logits of PyTorch, float32 (texts, logits).

    Raises:
        ExportError: too many labels differ, and no other precision for CPU was exported.
    """
    scorer, dataset = scorer_on_cpu(bundle), run.dataset
    precision = scorer.choice.precision
    scored = score_split(scorer, dataset.test, quiet=run.settings.quiet)
    whole = scored.without_cascade
    agreement = float(np.mean(whole.predicted == predict(expected)))
    run.report(
        f"{precision} on CPU: test accuracy {whole.metrics.accuracy:.2%}, the same label as PyTorch for {agreement:.2%} of the texts"
    )
    if not is_too_low(agreement, len(dataset.test)):
        figures = {precision: {**asdict(whole.metrics), "agreement": agreement}}
        return with_metrics(bundle, {"precisions": figures}), scored
    if precision != "int8" or "fp32" not in bundle.manifest.precisions:
        raise ExportError(
            f"{precision} gives the same label as PyTorch for {agreement:.2%} of the test texts; at least "
            f"{LEAST_AGREEMENT:.0%} is needed. No bundle was written; add fp32 to --precisions to get one without int8."
        )
    run.report(f"{precision} is left out: at least {LEAST_AGREEMENT:.0%} is needed. The bundle scores in fp32 on CPU.")
    return score_test(run, with_metrics(_without(bundle, precision), {"left_out": {precision: agreement}}), expected)


def with_metrics(bundle: Bundle, more: dict[str, Any]) -> Bundle:
    """Return the bundle with additional metrics in its manifest."""
    manifest = bundle.manifest
    return replace(bundle, manifest=replace(manifest, metrics={**manifest.metrics, **more}))


def _without(bundle: Bundle, precision: str) -> Bundle:
    kept = {name: value for name, value in bundle.manifest.precisions.items() if name != precision}
    return replace(bundle, manifest=replace(bundle.manifest, precisions=kept, providers=providers(kept)))


def figures_of(run: Run, fitted: Fit, bundle: Bundle, logits: np.ndarray, scored: Scored) -> dict[str, Any]:
    """Compute all figures of the test texts, as the manifest holds them.

    Args:
        run: inputs of the training run.
        fitted: trained classifier.
        bundle: bundle in memory.
        logits: logits of PyTorch, float32 (texts, logits).
        scored: test texts, scored by the bundle.
    """
    test, known, max_length = run.dataset.test, set(run.dataset.train.texts), run.settings.max_length
    tokens = run.tokens["test"]
    whole = metrics(fitted.calibrated(logits), test.labels)
    uncalibrated = metrics(probabilities(logits), test.labels)
    run.report(
        f"test accuracy {whole.accuracy:.2%} (95%: {whole.interval[0]:.2%} to {whole.interval[1]:.2%}), calibration error "
        f"{uncalibrated.ece:.2%} before scaling, {whole.ece:.2%} after"
    )
    return {
        "test": asdict(whole),
        "test_uncalibrated": {"ece": uncalibrated.ece, "log_loss": uncalibrated.log_loss},
        "test_truncated": float(np.mean(tokens.truncated)),
        "test_cut": float(np.mean([len(ids) > max_length for ids in tokens.ids])),
        "test_in_train": sum(text in known for text in test.texts),
        **({"baseline": asdict(_baseline(run, whole))} if run.settings.baseline else {}),
        **figures_as_scored(bundle, scored, run.report, quiet=run.settings.quiet),
    }


def figures_as_scored(
    bundle: Bundle, scored: Scored, report: Callable[[str], None], *, threads: int | None = None, quiet: bool
) -> dict[str, Any]:
    """Compute the figures of the test texts that depend on the bundle's cascade, if it has one.

    Args:
        bundle: bundle in memory, with the figures of the held-out texts in its manifest if it has a cascade.
        scored: test texts, scored by the bundle.
        report: callback for each line of the training log.
        threads: number of rows scored at a time; None for one per usable core.
        quiet: show no progress.
    """
    ids = scored.split.ids
    found: dict[str, Any] = {
        "by_length": _groups(by_length(scored, bundle.manifest.max_length)),
        "by_group": _groups(by_group(scored)),
        "costliest": [ids[row] for row in costliest(scored, _COSTLIEST)] if ids else [],
    }
    stages = scored.stages
    if stages is None:
        return found
    report(
        f"cascade: test accuracy {stages.chosen.accuracy:.2%} with it, {stages.without.accuracy:.2%} without it; it saves "
        f"{stages.chosen.tokens:.0%} of the encoder's tokens"
    )
    figures = cascade_figures(scorer_on_cpu(bundle, threads), scored, quiet=quiet)
    return {**found, "cascade": {**bundle.manifest.metrics["cascade"], **figures}}


def _baseline(run: Run, whole: Metrics) -> Metrics:
    """Compute the baseline's metrics, and report if the classifier is no better."""
    train, test, settings = run.dataset.train, run.dataset.test, run.settings.fit
    label_count = len(run.dataset.labels)
    found = metrics(baseline.trained_on(train.texts, train.labels, test.texts, label_count), test.labels)
    run.report(f"baseline ({baseline.NAME}): test accuracy {found.accuracy:.2%}")
    if found.accuracy >= whole.accuracy:
        tune = settings.tune
        untried = [*([] if tune and tune.blocks else ["--unfreeze"]), *([] if settings.wide else ["--wide"])]
        run.report(
            f"This bundle is no better than {baseline.NAME}, which needs no encoder. Try "
            f"{', '.join([*untried, 'another --pooling'])} or another --encoder."
        )
    return found


def _groups(groups: list[Group]) -> list[dict[str, Any]]:
    return [{"name": one.name, **asdict(one.metrics)} for one in groups]
