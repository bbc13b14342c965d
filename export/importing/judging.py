"""Figures of an imported classifier, as its bundle scores the texts: a temperature from one half, all else on the other."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from export.bundle.assemble import scorer_on_cpu
from export.evaluation.evaluate import histograms
from export.evaluation.figures import outcome_picture, reliability_diagram
from export.evaluation.judge import Judge
from export.evaluation.judges import judge_of
from export.evaluation.outputs import OUTCOME_FIGURES, RELIABILITY_FIGURE
from export.importing.calibration import temperature_of, temperatures_of
from export.importing.graphs import with_progress
from export.importing.settings import ImportSettings
from export.importing.texts import Texts
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from scorer.model.bundle import Bundle
from scorer.model.confidence import Correctness, correctness_of
from scorer.model.interpretation import interpretation_of
from scorer.model.manifest import Manifest
from scorer.model.tokenizer import unknown_share

_LEAST_CONFIDENCE = 200  # labelled texts; with fewer, no error that people would want can be promised


@dataclass(frozen=True)
class Judged:
    """Figures and pictures of the texts, as the bundle scores them.

    Attributes:
        fields: fields of the manifest that they fill.
        pictures: pictures of the card, by file name.
    """

    fields: dict[str, Any]
    pictures: dict[str, bytes]


def judged(
    bundle: Bundle,
    texts: Texts,
    logits_by_precision: Mapping[str, np.ndarray],
    settings: ImportSettings,
    report: Callable[[str], None],
) -> Judged:
    """Score all texts with a bundle itself, for the histograms; with labels, for its figures on the judging half.

    Args:
        bundle: bundle in memory.
        texts: texts that calibrate and judge.
        logits_by_precision: logits of the judging texts, float32 (texts, logits), by precision.
        settings: settings of the bundle.
        report: callback for each line of the log.
    """
    scorer, manifest = scorer_on_cpu(bundle, settings.threads), bundle.manifest
    precision = scorer.choice.precision
    logits = with_progress(scorer.whole.logits, texts.ids, f"scoring with {precision}", quiet=settings.quiet)
    fields, pictures = dict[str, Any](), dict[str, bytes]()
    if texts.labels is not None:
        manifest = replace(manifest, calibration=_calibration(logits, texts, manifest))
        figures = _figures(manifest, logits, texts, precision, report)
        fields, pictures = figures.fields, figures.pictures
        found = {precision: logits[texts.judging], **logits_by_precision}
        fields["confidence"] = _confidence(manifest, found, texts)
    interpretation = interpretation_of(manifest)
    lengths = np.array([len(ids) for ids in texts.ids])
    unknown = np.array([unknown_share(ids, scorer.tokenizer.unknown_id) for ids in texts.ids])
    reference = histograms(interpretation, interpretation.values(logits), lengths, unknown)
    return Judged({**fields, "reference": reference}, pictures)


def _calibration(logits: np.ndarray, texts: Texts, manifest: Manifest) -> dict[str, Any] | None:
    """Fit the temperatures on the calibrating half; return a manifest's ``calibration``, None for a regression."""
    if manifest.task == REGRESSION:
        return None
    assert texts.labels is not None
    some, truth = logits[texts.calibrating], texts.labels[texts.calibrating]
    fit = temperatures_of if manifest.task == MULTI_LABEL else temperature_of
    calibration = {"temperature": fit(some, truth, manifest.labels), "texts": len(truth)}
    judge = judge_of(interpretation_of(replace(manifest, calibration=calibration)))
    raw = judge.uncalibrated()
    assert raw is not None, "values are probabilities"
    before, after = (asdict(judge.metrics(one.values(some), truth))["ece"] for one in (raw, judge.interpretation))
    return {**calibration, "ece_before": before, "ece_after": after}


def _figures(
    manifest: Manifest, logits: np.ndarray, texts: Texts, precision: str, report: Callable[[str], None]
) -> Judged:
    """Compute the figures of labelled texts, on the half that chose nothing."""
    assert texts.labels is not None
    judge, truth = judge_of(interpretation_of(manifest)), texts.labels[texts.judging]
    values = judge.interpretation.values(logits[texts.judging])
    test = asdict(judge.metrics(values, truth))
    raw = judge.uncalibrated()
    plain = None if raw is None else raw.values(logits[texts.judging])
    untouched = None if plain is None else asdict(judge.metrics(plain, truth))
    report(
        f"{precision} on CPU: {_headlines(judge, test)} on {len(truth):,} texts{_calibrated(manifest, untouched, test)}"
    )
    if manifest.calibration is not None and set(manifest.temperatures) != {1.0}:
        report(
            "The scores are calibrated, so they differ from the pipeline's; the labels do not. Without --label-column they "
            "would be the same."
        )
    details = judge.details(values, truth)
    metrics = {
        **manifest.metrics,
        "precision": precision,
        "test": test,
        **({} if untouched is None else {"test_uncalibrated": untouched}),
        **{name: details[name] for name in judge.kept if name in details},
    }
    pictures = {OUTCOME_FIGURES[manifest.task]: outcome_picture("Judging texts", judge.interpretation, values, truth)}
    if plain is not None:
        given, it = ("temperatures", "them") if manifest.task == MULTI_LABEL else ("temperature", "it")
        names = {f"before the {given}": plain, f"after {it}": values}
        lines = {name: judge.reliability(found, truth) for name, found in names.items()}
        pictures[RELIABILITY_FIGURE] = reliability_diagram(lines, judge.axes)
    return Judged({"calibration": manifest.calibration, "metrics": metrics}, pictures)


def _headlines(judge: Judge, test: Mapping[str, Any]) -> str:
    """Return the figures that models are compared by in words, such as "accuracy 90.00% (95%: 88.00% to 92.00%)"."""
    cells = ((one.name, *one.cells(test)) for one in dict.fromkeys((judge.main, judge.grouped)))
    return ", ".join(f"{name} {value} (95%: {interval})" if value else f"no {name}" for name, value, interval in cells)


def _calibrated(manifest: Manifest, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    if before is None or manifest.calibration is None:
        return ""
    several = manifest.task == MULTI_LABEL
    given, it = ("temperatures", "them") if several else (f"temperature {manifest.temperatures[0]:.3f}", "it")
    return f"; calibration error {before['ece']:.2%} before the {given}, {after['ece']:.2%} after {it}"


def _confidence(manifest: Manifest, logits: Mapping[str, np.ndarray], texts: Texts) -> dict[str, Correctness] | None:
    """Return the correctness by confidence of each precision whose logits are known, or None for too few texts."""
    assert texts.labels is not None
    truth = texts.labels[texts.judging]
    if manifest.task != SINGLE_LABEL or len(truth) < _LEAST_CONFIDENCE:
        return None
    values_of = interpretation_of(manifest).values
    return {
        precision: correctness_of(values_of(found), truth)
        for precision, found in logits.items()
        if precision in manifest.precisions
    }
