"""The model card: a bundle's purpose, its figures, its weak points, its training and its checks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from export.encoder.vectors import is_trained
from export.evaluation import baseline
from export.evaluation.cascade_card import cascade_parts
from export.evaluation.evaluate import Scored, by_group
from export.evaluation.outputs import CONFUSION_FIGURE, LOSS_FIGURE, RELIABILITY_FIGURE
from scorer.model.manifest import Manifest


def model_card(manifest: Manifest, probes: Scored | None, notes: str) -> bytes:
    """Write the README.md of a bundle.

    Args:
        manifest: complete manifest of the bundle.
        probes: scored probes, grouped by what they test; None without probes.
        notes: Markdown by the user, placed after the introduction.
    """
    parts = [
        f"# {manifest.name}",
        _introduction(manifest),
        notes.strip(),
        "## Evaluation",
        *_accuracy(manifest),
        *_calibration(manifest),
        *_groups(manifest),
        *(part if isinstance(part, str) else table(*part) for part in cascade_parts(manifest)),
        *(_probes(probes, manifest.labels) if probes else ()),
        "## Training",
        *_making(manifest),
        "## Export checks",
        *_checks(manifest),
    ]
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def _introduction(manifest: Manifest) -> str:
    encoder, unfrozen = manifest.encoder, manifest.encoder["unfrozen"]
    last = "the last one" if unfrozen == 1 else f"the last {unfrozen}"
    state = f"{last} fine-tuned" if unfrozen else "frozen"
    wide = (
        " Its logits are added to those of the wide part, a linear model of the text's word pieces and of pairs of them."
        if "wide_pairs" in manifest.head
        else ""
    )
    return (
        f"Classifies texts as {join(manifest.labels, 'or')}. A linear head reads {_pooling(manifest)} of the {encoder['name']} "
        f"encoder ({encoder['layers']} layers of hidden size {encoder['hidden']}, {state}).{wide} "
        f"The model was trained on {manifest.training['dataset']}."
    )


def _accuracy(manifest: Manifest) -> Iterator[str]:
    metrics = manifest.metrics
    test = metrics["test"]
    scored, cascade = metrics["precisions"], metrics.get("cascade")
    how = "every text through the encoder" if cascade else "as scored on CPU"
    rows = [(f"{precision}, {how}", found) for precision, found in sorted(scored.items())]
    if cascade:
        rows.insert(0, (f"{next(iter(scored))} with the cascade, as scored on CPU", cascade["test"]))
    rows += [("fp32, PyTorch", test)]
    if "baseline" in metrics:
        rows.append((f"{baseline.NAME}, for comparison", metrics["baseline"]))
    yield f"Results on {test['texts']:,} test texts, scored once, after all choices were made on validation texts:"
    yield table(
        ("", "accuracy", "95% interval", "F1", "ROC AUC", "log loss", "calibration error"),
        [(name, *figures_of(found)) for name, found in rows],
    )
    yield " ".join(
        f"{precision} gives the same label as PyTorch for {found['agreement']:.2%} of the test texts."
        for precision, found in sorted(scored.items())
    )
    for precision, agreement in metrics.get("left_out", {}).items():
        yield f"{precision} is not in the bundle: it gave the same label as PyTorch for only {agreement:.2%} of the test texts."
    same = metrics["test_in_train"]
    yield f"{_texts(same)} of the test split also occur{'s' if same == 1 else ''} verbatim in the training split."
    yield f"![Test texts by true and predicted label]({CONFUSION_FIGURE})"


def _calibration(manifest: Manifest) -> Iterator[str]:
    calibration, metrics = manifest.calibration, manifest.metrics
    assert calibration is not None
    yield (
        f"Logits are divided by a temperature of {calibration['temperature']:.3f}, fitted on {calibration['texts']:,} "
        f"validation texts. The expected calibration error is {metrics['test']['ece']:.2%} with the temperature and "
        f"{metrics['test_uncalibrated']['ece']:.2%} without it on the test texts, and {calibration['ece_after']:.2%} and "
        f"{calibration['ece_before']:.2%} on the validation texts."
    )
    yield f"![Accuracy by confidence]({RELIABILITY_FIGURE})"


def _groups(manifest: Manifest) -> Iterator[str]:
    for title, groups in (("length", manifest.metrics["by_length"]), ("group", manifest.metrics["by_group"])):
        if groups:
            yield f"By {title}{', with the cascade' if manifest.cascade else ''}:"
            yield table(
                (title, "texts", "accuracy", "95% interval"),
                [(one["name"], f"{one['texts']:,}", *figures_of(one)[:2]) for one in groups],
            )
    if manifest.metrics["costliest"]:
        yield f"The costliest errors, by the ids of the test texts: {', '.join(manifest.metrics['costliest'])}."


def _probes(probes: Scored, labels: Sequence[str]) -> Iterator[str]:
    split, predicted = probes.split, probes.predicted
    yield "## Probes"
    yield (
        f"The model was probed with {len(split)} short texts written for the purpose; it labels "
        f"{(predicted == split.labels).sum()} of them as intended. They are not a representative sample, "
        "but they show where its limits are."
    )
    yield table(
        ("kind", "texts", "right"),
        [
            (group.name, str(group.metrics.texts), str(round(group.metrics.accuracy * group.metrics.texts)))
            for group in by_group(probes)
        ],
    )
    wrong = [row for row in range(len(split)) if predicted[row] != split.labels[row]]
    if wrong:
        yield "Probes that it labels wrongly:"
        yield table(
            ("kind", "text", "predicted", "probability"),
            [
                (
                    split.groups[row] if split.groups else "",
                    split.texts[row],
                    labels[predicted[row]],
                    f"{probes.probabilities[row].max():.0%}",
                )
                for row in wrong
            ],
        )


def _making(manifest: Manifest) -> Iterator[str]:
    encoder, metrics = manifest.encoder, manifest.metrics
    yield table(
        ("setting", "value"),
        [
            ("encoder", f"{encoder['name']}, {encoder['architecture']}, {revision_of(encoder['revision'])}"),
            ("sha256 of its weights", f"`{encoder['sha256']}`"),
            ("tokens that the encoder reads", _length(manifest)),
            ("pooling that the head reads", manifest.pooling),
            ("training and validation texts", f"{metrics['train_texts']:,} and {metrics['validation_texts']:,}"),
            *((name.replace("_", " "), _setting(value)) for name, value in manifest.training.items()),
            ("libraries", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        ],
    )
    again = " (the wide part was trained again later, on training and validation texts together)"
    yield f"Accuracy on the validation texts, which no part had been trained on{again if 'wide' in metrics else ''}:"
    yield table(
        ("part", "validation accuracy"),
        [(_PARTS[part], f"{share:.2%}") for part, share in metrics["validation"].items()],
    )
    if metrics["poolings"]:
        yield f"Heads with other poolings of the same encoder, for comparison (this bundle's pooling is {manifest.pooling}):"
        yield table(
            ("pooling", "validation accuracy"),
            [(pooling, f"{share:.2%}") for pooling, share in metrics["poolings"].items()],
        )
    for part, title in (("head", "head"), ("wide", "wide part")):
        if part in metrics:
            by = metrics[part].get("by", "L2")
            yield f"Training of the {title}, by {by} ({by} {metrics[part]['kept']:g} was kept):"
            yield table(
                (by, "training loss", "validation loss", "validation accuracy"),
                [
                    (
                        f"{step['number']:g}",
                        f"{step['train_loss']:.4f}",
                        f"{step['validation_loss']:.4f}",
                        f"{step['validation_accuracy']:.2%}",
                    )
                    for step in metrics[part]["steps"]
                ],
            )
    yield f"![Loss of the head]({LOSS_FIGURE})"


def _checks(manifest: Manifest) -> Iterator[str]:
    parity = manifest.parity
    yield (
        f"The exported fp32 graph, run by onnxruntime, was compared with PyTorch on {parity['rows']:,} texts, in "
        f"{parity['batches']} batches of different shapes. Its logits differ by at most {parity['difference']:.1e} "
        f"({parity['tolerance']:.0e} is allowed)."
    )
    if "fp16" in manifest.precisions:
        half = parity["fp16"]
        yield (
            f"The fp16 graph, for CUDA, was emulated on a CPU and compared with float32 arithmetic on the same weights, on "
            f"{half['rows']:,} texts. Its probabilities differ by at most {half['difference']:.1e}, and by "
            f"{half['mean']:.1e} on average."
        )
    if manifest.cascade is not None:
        yield (
            "The encoder reads every text in these checks. The wide part has its own graph, whose logits differ from the "
            f"exact sums by at most {parity['wide']:.1e}. The cascade compares exact sums, so it makes the same decisions on "
            "every machine."
        )


def _length(manifest: Manifest) -> str:
    metrics = manifest.metrics
    beyond = manifest.max_tokens or manifest.max_length
    if beyond == manifest.max_length:
        return f"the first {manifest.max_length} tokens ({metrics['test_truncated']:.1%} of the test texts have more)"
    cut = manifest.head["cut_head"]
    what = {
        "head": f"the first {manifest.max_length} tokens",
        "tail": f"the last {manifest.max_length} tokens",
        "head+tail": f"the first {cut} and the last {manifest.max_length - cut} tokens",
    }[manifest.truncation]
    wide = f"; the wide part reads up to {beyond:,} tokens" if "wide_pairs" in manifest.head else ""
    return (
        f"{what} of up to {beyond:,} ({metrics['test_cut']:.1%} of the test texts have more than {manifest.max_length}, "
        f"{metrics['test_truncated']:.1%} more than {beyond:,}){wide}"
    )


def revision_of(revision: str | None) -> str:
    """Return the origin of a model in words, by its commit on the hub."""
    return f"revision {revision}" if revision else "from a local folder"


_PARTS = {"encoder": "encoder and head", "wide": "wide part", "together": "both"}


def _pooling(manifest: Manifest) -> str:
    if manifest.pooling in ("cls", "mean"):
        return {"cls": "the last layer's [CLS] vector", "mean": "the last layer's mean vector"}[manifest.pooling]
    names = manifest.pooling.split("+")
    trained = "; attention vectors are means with trained weights" if is_trained(manifest.pooling) else ""
    return f"the vectors {join(names, 'and')} (concatenated{trained})"


def figures_of(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Format `export.evaluation.metrics.Metrics` as cells: accuracy, interval, F1, ROC AUC, log loss, calibration error."""
    low, high = found["interval"]
    auc = found["roc_auc"]
    return (
        f"{found['accuracy']:.2%}",
        f"{low:.2%} to {high:.2%}",
        f"{found['f1']:.4f}",
        "" if auc is None else f"{auc:.4f}",
        f"{found['log_loss']:.4f}",
        f"{found['ece']:.2%}",
    )


def _setting(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_setting(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_setting, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _texts(count: int) -> str:
    return f"{count:,} text{'' if count == 1 else 's'}"


def join(names: Sequence[str], word: str) -> str:
    """Join names with commas, and a word before the last."""
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )
