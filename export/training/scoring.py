"""Evaluation of the unpublished bundle on the test texts: the gate of its labels, and the figures of its manifest."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from export.bundle.assemble import providers, scorer_on_cpu
from export.classifier.agreement import LEAST_AGREEMENT, agreement_of_values, agreement_words, is_too_low
from export.errors import ExportError
from export.evaluation.calibration_card import calibration_figures
from export.evaluation.cascade_figures import cascade_figures
from export.evaluation.domains import domain_figures
from export.evaluation.evaluate import Group, Scored, by_group, by_length, costliest, score_split
from export.evaluation.judge import Judge, Metrics, compare, is_no_better
from export.evaluation.judges import judge_of
from export.evaluation.overlap import shared_texts
from export.training.fit import features_of
from export.training.fitted import Fit
from export.training.holdout import crosses
from export.training.run import Run
from export.training.stages import BASELINE, stage
from scorer.model.bundle import Bundle
from scorer.model.interpretation import interpretation_of

_COSTLIEST = 10  # number of errors that the card lists


@dataclass(frozen=True)
class TorchLogits:
    """Logits of the test texts in PyTorch, with every text through the encoder.

    Attributes:
        raw: logits of the classifier, float32 (texts, logits).
        calibrated: the same calibrated by length, as the bundle scores.
    """

    raw: np.ndarray
    calibrated: np.ndarray


def torch_logits(run: Run, fitted: Fit) -> TorchLogits:
    """Compute the logits of the test texts in PyTorch; see `export.graph.parity`."""
    classifier, rows = fitted.classifier, run.tokens["test"].ids
    read = [classifier.encoder_reads(ids) for ids in rows]
    features = features_of(
        fitted.encoder, read, "test", run.settings.fit, run.report, classifier.queries, classifier.windows
    )
    raw = classifier.logits(features.pooled(classifier.pooling), rows)
    return TorchLogits(raw, classifier.calibrated(raw, rows))


def score_test(run: Run, bundle: Bundle, expected: np.ndarray) -> tuple[Bundle, Scored]:
    """Score the test texts in the bundle's precision for CPU, and leave int8 out if its answers differ from PyTorch's.

    Args:
        run: inputs of the training run.
        bundle: bundle in memory.
        expected: calibrated logits of PyTorch, float32 (texts, logits).

    Raises:
        ExportError: too many answers differ, and no other precision for CPU was exported.
    """
    scorer, dataset = scorer_on_cpu(bundle), run.dataset
    precision = scorer.choice.precision
    scored = score_split(scorer, dataset.test, quiet=run.settings.quiet)
    whole, task, main = scored.without_cascade, bundle.manifest.task, scored.judge.main
    agreement = agreement_of_values(whole.interpretation, whole.values, whole.interpretation.values(expected))
    figures = asdict(whole.metrics)
    run.report(
        f"{precision} on CPU: test {main.name} {main.spelled(main.value(figures))}, "
        f"{agreement_words(task, f'{agreement:.2%}', 'the texts')}"
    )
    if not is_too_low(agreement, len(dataset.test), task):
        return with_metrics(bundle, {"precisions": {precision: {**figures, "agreement": agreement}}}), scored
    if precision != "int8" or "fp32" not in bundle.manifest.precisions:
        raise ExportError(
            f"{precision} gives {agreement_words(task, f'{agreement:.2%}', 'the test texts')}; at least "
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


def figures_of(run: Run, bundle: Bundle, logits: TorchLogits, scored: Scored) -> dict[str, Any]:
    """Compute all figures of the test texts, as the manifest holds them.

    Args:
        run: inputs of the training run.
        bundle: bundle in memory.
        logits: logits of PyTorch.
        scored: test texts, scored by the bundle.
    """
    test, max_length = run.dataset.test, run.settings.max_length
    tokens = run.tokens["test"]
    judge = judge_of(interpretation_of(bundle.manifest))
    values = judge.interpretation.values(logits.calibrated)
    whole = judge.metrics(values, test.labels)
    found, details = asdict(whole), judge.details(values, test.labels)
    raw = judge.uncalibrated()
    plain = None if raw is None else asdict(judge_of(raw).metrics(raw.values(logits.raw), test.labels))
    run.report(f"test {_in_words(judge, found, plain)}")
    return {
        "test": found,
        **({} if plain is None else {"test_uncalibrated": {name: plain[name] for name in ("ece", "log_loss")}}),
        **{name: details[name] for name in judge.kept if name in details},
        "test_truncated": float(np.mean(tokens.truncated)),
        "test_cut": float(np.mean([len(ids) > max_length for ids in tokens.ids])),
        "test_in_train": shared_texts(run.dataset.train, test),
        **(_baselines(run, judge, whole) if run.settings.baseline else {}),
        **figures_as_scored(bundle, scored, run.report, quiet=run.settings.quiet),
        **(
            {"calibration_by_length": calibration_figures(scored, judge.interpretation.values(logits.raw), values)}
            if bundle.manifest.calibration_by_length
            else {}
        ),
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
        **domain_figures(scored),
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


def _in_words(judge: Judge, found: Mapping[str, Any], plain: Mapping[str, Any] | None) -> str:
    """Return the headlines of metrics, and the calibration error before and after scaling if there is one."""
    cells = [(one.name, *one.cells(found)) for one in dict.fromkeys((judge.main, judge.grouped))]
    headlines = ", ".join(
        f"{name} {value} (95%: {interval})" if value else f"no {name}" for name, value, interval in cells
    )
    if plain is None:
        return headlines
    return f"{headlines}, calibration error {plain['ece']:.2%} before scaling, {found['ece']:.2%} after"


@stage(BASELINE)
def _baselines(run: Run, judge: Judge, whole: Metrics) -> dict[str, Any]:
    """Compute the metrics of the baselines, the strongest apart, and report if the classifier is no better.

    After a cross-validation, its paired comparison decides that: few test texts would contradict it by chance.
    """
    settings, main = run.settings.fit, judge.main
    first, *others = compare(judge, run.dataset.test, run.dataset.train, "trained on the training texts")
    for one in (first, *others):
        run.report(f"baseline ({one.name}): test {main.name} {main.spelled(main.value(asdict(one.metrics)))}")
        if is_no_better(main, whole, one) and not crosses(len(run.dataset.train), settings):
            tune = settings.tune
            untried = [*([] if tune and tune.blocks else ["--unfreeze"]), *([] if settings.wide else ["--wide"])]
            run.report(
                f"This bundle is no better than {one.name}, which needs no encoder. Try "
                f"{', '.join([*untried, 'another --pooling'])} or another --encoder."
            )
    more = {"baselines": {one.name: asdict(one.metrics) for one in others}} if others else {}
    return {"baseline": asdict(first.metrics), **more}


def _groups(groups: list[Group]) -> list[dict[str, Any]]:
    return [{"name": one.name, **asdict(one.metrics)} for one in groups]
