"""The model card of an imported model: its origin, its certificate, its figures, and what was left out."""

from collections.abc import Iterator, Mapping
from typing import Any

from export.evaluation.confidence_card import confidence_parts
from export.evaluation.judges import judge_of
from export.evaluation.model_card import (
    OUTCOME_TITLES,
    in_windows,
    purpose,
    revision_of,
    table,
    whole_texts_compared,
    windows_read,
)
from export.evaluation.outputs import OUTCOME_FIGURES, RELIABILITY_FIGURE
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from scorer.model.interpretation import interpretation_of
from scorer.model.manifest import Manifest


def import_card(manifest: Manifest, notes: str) -> bytes:
    """Write the README.md of an imported bundle.

    Args:
        manifest: complete manifest of the bundle.
        notes: Markdown by the user, placed after the introduction.
    """
    parts = [
        f"# {manifest.name}",
        *_introduction(manifest),
        notes.strip(),
        "## Certificate",
        *_certificate(manifest),
        *_figures(manifest),
        *confidence_parts(manifest.confidence or {}),
        "## Settings",
        *_settings(manifest),
    ]
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def _introduction(manifest: Manifest) -> Iterator[str]:
    source = _source(manifest)
    graph = {
        "written": "Its graph is written node by node.",
        "exported": "PyTorch exported its graph.",
    }[source["graph"]]
    yield (
        f"{purpose(manifest)} The model is {source['checkpoint']} ({source['model']}), fine-tuned elsewhere and imported. {graph}"
    )
    if manifest.positive_label is not None:
        yield f"The score is the probability of {manifest.positive_label}."
    if manifest.task == MULTI_LABEL:
        yield "A text gets a label if its probability, the sigmoid of its logit, is at least one half."
    yield _in_windows(manifest)
    for remark in source["remarks"]:
        yield f"{remark[0].upper()}{remark[1:]}."


def _certificate(manifest: Manifest) -> Iterator[str]:
    source, metrics = _source(manifest), manifest.metrics
    without = {SINGLE_LABEL: ", without the temperature", MULTI_LABEL: ", without temperatures", REGRESSION: ""}[
        manifest.task
    ]
    if metrics["texts"]:
        yield (
            f"{metrics['texts']:,} of {metrics['texts_of']:,} texts, chosen at random, in two halves: "
            f"{metrics['calibrating_texts']:,} calibrated, and the other {metrics['judging_texts']:,} judge here. Every "
            f"precision was compared with the whole model in PyTorch{without}."
        )
    else:
        yield (
            "The import had no texts (`--texts`), so a few short ones of this project were compared with the whole model in "
            "PyTorch. There is no int8 and no reference for drift."
        )
    if manifest.windows is not None:
        yield "PyTorch computed every window alone, and its logits were combined in the same way."
    certificates = source["certificate"]
    yield _compared(certificates, manifest, "PyTorch", ("logit",))
    piped = {precision: one["pipeline"] for precision, one in certificates.items() if one["pipeline"]}
    if piped:
        every = "" if manifest.task == SINGLE_LABEL else " and `top_k=None`"
        same = "reads the same tokens" if manifest.windows is None else "reads the same tokens, none of several windows"
        yield (
            f'The same against `transformers.pipeline("text-classification")` with truncation{every}, on the texts of which it '
            f"{same}:"
        )
        yield _compared(piped, manifest, "the pipeline", ())
    parity = manifest.parity
    yield (
        f"The fp32 graph was also compared in {parity['batches']} batches of different shapes, most of them padded. Its logits "
        f"differ by at most {parity['difference']:.1e} ({parity['tolerance']:.1e} is allowed)."
    )
    if "texts" in parity:
        yield whole_texts_compared(parity["texts"])
    if "fp16" in certificates:
        yield "fp16, for CUDA, was emulated on a CPU."
    for precision, why in source["left_out"].items():
        yield f"{precision} is not in the bundle: {why}."


def _compared(found: Mapping[str, Any], manifest: Manifest, other: str, distances: tuple[str, ...]) -> str:
    """Format a table of comparisons with another program, by precision.

    Args:
        found: comparisons by precision.
        manifest: manifest of the bundle.
        other: name of the other program.
        distances: names of distances before those of its probabilities or values.
    """
    is_regression = manifest.task == REGRESSION
    distances = (*distances, "value" if is_regression else "probability")
    kept = ("variance explained",) if is_regression else (f"{other}'s label kept", "95% interval")
    if manifest.task == MULTI_LABEL:
        kept = (f"{other}'s labels kept", "95% interval")
    names = [name for what in distances for name in (f"{what}: largest difference", "mean")]
    rows = []
    for precision, one in found.items():
        agreement = one["explained"] if is_regression else one["labels"]
        last = (f"{agreement['share']:.2%}",) if is_regression else _kept(agreement)
        cells = [f"{one[what][which]:.1e}" for what in distances for which in ("largest", "mean")]
        rows.append((precision, f"{agreement['texts']:,}", *cells, *last))
    return table(("", "texts", *names, *kept), rows)


def _figures(manifest: Manifest) -> Iterator[str]:
    metrics = manifest.metrics
    if "test" not in metrics:
        return
    yield "## Evaluation"
    yield f"Results on the {metrics['judging_texts']:,} judging texts, scored in {metrics['precision']} on CPU:"
    judge, test = judge_of(interpretation_of(manifest)), metrics["test"]
    if "test_uncalibrated" not in metrics:
        yield table(judge.head, [judge.cells(test)])
    else:
        what = "temperatures" if manifest.task == MULTI_LABEL else "temperature"
        rows = [
            (f"with the {what}", test),
            ("without it" if what == "temperature" else "without them", metrics["test_uncalibrated"]),
        ]
        yield table(("", *judge.head), [(name, *judge.cells(found)) for name, found in rows])
    for part in judge.tables(metrics):
        yield f"{part.title[0].upper()}{part.title[1:]}:"
        yield table(part.head, part.rows)
    yield from _calibration(manifest)
    yield f"![Judging texts {OUTCOME_TITLES[manifest.task]}]({OUTCOME_FIGURES[manifest.task]})"
    if judge.uncalibrated() is not None:
        yield f"![{judge.axes.share[0].upper()}{judge.axes.share[1:]}]({RELIABILITY_FIGURE})"


def _calibration(manifest: Manifest) -> Iterator[str]:
    calibration, several = manifest.calibration, manifest.task == MULTI_LABEL
    if calibration is None:
        return
    if set(manifest.temperatures) == {1.0}:
        none = "no temperatures" if several else "no temperature"
        yield f"The calibrating texts are too few, or lack a label, so there is {none}: the scores are the model's own."
        return
    how = (
        "The logits of each label are divided by its temperature"
        if several
        else f"Logits are divided by a temperature of {calibration['temperature']:.3f}"
    )
    few = " It is 1 for a label that too few of them have, or lack." if several and 1.0 in manifest.temperatures else ""
    yield (
        f"{how}, fitted on the {calibration['texts']:,} calibrating texts.{few} So the scores differ from the pipeline's, and the "
        "labels do not. An import without `--label-column` keeps the pipeline's scores."
    )


def _settings(manifest: Manifest) -> Iterator[str]:
    source = _source(manifest)
    yield table(
        ("setting", "value"),
        [
            ("checkpoint", f"{source['checkpoint']}, {source['model']}, {revision_of(source['revision'])}"),
            ("sha256 of its weights", f"`{source['sha256']}`"),
            ("tokens that the model reads", f"{_read(manifest)} (truncation: {manifest.truncation})"),
            *_unit(manifest),
            ("libraries", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        ],
    )


def _in_windows(manifest: Manifest) -> str:
    """Return how long texts are read in windows, and how many of the texts are; empty for a model that does not."""
    metrics = manifest.metrics
    if manifest.windows is None or not metrics["texts"]:
        return in_windows(manifest)
    return (
        f"{in_windows(manifest)} Of the texts below, {metrics['several_windows']:.1%} have several windows, and "
        f"{metrics['truncated']:.1%} more tokens than are read."
    )


def _read(manifest: Manifest) -> str:
    """Return the number of tokens that the model reads, in words."""
    kept = manifest.tokens_kept
    if manifest.windows is not None:
        return windows_read(manifest)
    return f"{manifest.max_length}" if kept == manifest.max_length else f"{manifest.max_length} of up to {kept:,}"


def _unit(manifest: Manifest) -> list[tuple[str, str]]:
    """Return a row for each output of a regression."""
    if manifest.unit is None:
        return []
    each = zip(manifest.labels, manifest.unit.scale, manifest.unit.offset, strict=True)
    return [(f"unit of {name}", f"logit * {scale:g} + {offset:g}") for name, scale, offset in each]


def _source(manifest: Manifest) -> Mapping[str, Any]:
    assert manifest.source is not None, "the bundle was imported"
    return manifest.source


def _kept(labels: Mapping[str, Any]) -> tuple[str, str]:
    low, high = labels["interval"]
    return f"{labels['share']:.2%}", f"{low:.2%} to {high:.2%}"
