"""The model card of an imported model: its origin, its certificate, its figures, and what was left out."""

from collections.abc import Iterator, Mapping
from typing import Any

from export.evaluation.model_card import figures_of, join, revision_of, table
from export.evaluation.outputs import CONFUSION_FIGURE, RELIABILITY_FIGURE
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
        f"Classifies texts as {join(manifest.labels, 'or')}. The model is {source['checkpoint']} ({source['model']}), "
        f"fine-tuned elsewhere and imported. {graph}"
    )
    if manifest.positive_label is not None:
        yield f"The score is the probability of {manifest.positive_label}."
    for remark in source["remarks"]:
        yield f"{remark[0].upper()}{remark[1:]}."


def _certificate(manifest: Manifest) -> Iterator[str]:
    source, metrics = _source(manifest), manifest.metrics
    if metrics["texts"]:
        yield (
            f"{metrics['texts']:,} of {metrics['texts_of']:,} texts, chosen at random, in two halves: "
            f"{metrics['calibrating_texts']:,} calibrated, and the other {metrics['judging_texts']:,} judge here. Every "
            "precision was compared with the whole model in PyTorch, without the temperature."
        )
    else:
        yield (
            "The import had no texts (`--texts`), so a few short ones of this project were compared with the whole model in "
            "PyTorch. There is no int8 and no reference for drift."
        )
    certificates = source["certificate"]
    yield table(
        (
            "",
            "texts",
            "logit: largest difference",
            "mean",
            "probability: largest difference",
            "mean",
            "PyTorch's label kept",
            "95% interval",
        ),
        [
            (
                precision,
                f"{one['texts']:,}",
                *(f"{one[what][which]:.1e}" for what in ("logit", "probability") for which in ("largest", "mean")),
                *_kept(one["labels"]),
            )
            for precision, one in certificates.items()
        ],
    )
    piped = {precision: one["pipeline"] for precision, one in certificates.items() if one["pipeline"]}
    if piped:
        yield (
            'The same against `transformers.pipeline("text-classification")` with truncation, on the texts of which it reads '
            "the same tokens:"
        )
        yield table(
            ("", "texts", "probability: largest difference", "mean", "the pipeline's label kept", "95% interval"),
            [
                (
                    precision,
                    f"{one['labels']['texts']:,}",
                    *(f"{one['probability'][which]:.1e}" for which in ("largest", "mean")),
                    *_kept(one["labels"]),
                )
                for precision, one in piped.items()
            ],
        )
    parity = manifest.parity
    yield (
        f"The fp32 graph was also compared in {parity['batches']} batches of different shapes, most of them padded. Its logits "
        f"differ by at most {parity['difference']:.1e} ({parity['tolerance']:.1e} is allowed)."
    )
    if "fp16" in certificates:
        yield "fp16, for CUDA, was emulated on a CPU."
    for precision, why in source["left_out"].items():
        yield f"{precision} is not in the bundle: {why}."


def _figures(manifest: Manifest) -> Iterator[str]:
    metrics, calibration = manifest.metrics, manifest.calibration
    if "test" not in metrics or calibration is None:
        return
    yield "## Evaluation"
    yield f"Results on the {metrics['judging_texts']:,} judging texts, scored in {metrics['precision']} on CPU:"
    yield table(
        ("", "accuracy", "95% interval", "F1", "ROC AUC", "log loss", "calibration error"),
        [
            ("with the temperature", *figures_of(metrics["test"])),
            ("without it", *figures_of(metrics["test_uncalibrated"])),
        ],
    )
    if calibration["temperature"] == 1:
        yield "The calibrating texts are too few, or lack a label, so there is no temperature: the scores are the pipeline's."
    else:
        yield (
            f"Logits are divided by a temperature of {calibration['temperature']:.3f}, fitted on the {calibration['texts']:,} "
            "calibrating texts. So the scores differ from the pipeline's, and the labels do not. An import without "
            "`--label-column` keeps the pipeline's scores."
        )
    yield f"![Texts by true and predicted label]({CONFUSION_FIGURE})"
    yield f"![Accuracy by confidence]({RELIABILITY_FIGURE})"


def _settings(manifest: Manifest) -> Iterator[str]:
    source = _source(manifest)
    kept = manifest.tokens_kept
    beyond = "" if kept == manifest.max_length else f" of up to {kept:,}"
    yield table(
        ("setting", "value"),
        [
            ("checkpoint", f"{source['checkpoint']}, {source['model']}, {revision_of(source['revision'])}"),
            ("sha256 of its weights", f"`{source['sha256']}`"),
            ("tokens that the model reads", f"{manifest.max_length}{beyond} (truncation: {manifest.truncation})"),
            ("libraries", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        ],
    )


def _source(manifest: Manifest) -> Mapping[str, Any]:
    assert manifest.source is not None, "the bundle was imported"
    return manifest.source


def _kept(labels: Mapping[str, Any]) -> tuple[str, str]:
    low, high = labels["interval"]
    return f"{labels['share']:.2%}", f"{low:.2%} to {high:.2%}"
