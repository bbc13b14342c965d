"""The model card: what a bundle is, how good, for what texts less so, and how it was made."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from export.encoder.vectors import is_trained
from export.evaluation import baseline
from export.evaluation.cascade_card import cascade_parts
from export.evaluation.evaluate import Scored, by_group
from export.evaluation.outputs import CONFUSION_FIGURE, LOSS_FIGURE, RELIABILITY_FIGURE
from scorer.model.manifest import Manifest


def model_card(manifest: Manifest, probes: Scored | None, notes: str) -> bytes:
    """The README.md of a bundle.

    Args:
        manifest: the bundle's, complete.
        probes: texts of one's own, scored; their groups are what they try. None for no such texts.
        notes: Markdown of the user's own, put after the introduction.
    """
    parts = [
        f"# {manifest.name}",
        _introduction(manifest),
        notes.strip(),
        "## How good it is",
        *_accuracy(manifest),
        *_calibration(manifest),
        *_groups(manifest),
        *(part if isinstance(part, str) else table(*part) for part in cascade_parts(manifest)),
        *(_probes(probes, manifest.labels) if probes else ()),
        "## How it was made",
        *_making(manifest),
        "## How it was checked",
        *_checks(manifest),
    ]
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def _introduction(manifest: Manifest) -> str:
    encoder, unfrozen = manifest.encoder, manifest.encoder["unfrozen"]
    state = "a frozen" if not unfrozen else "the"
    trained = f", of which the last {unfrozen} {'was' if unfrozen == 1 else 'were'} trained along," if unfrozen else ","
    wide = " and weights of the text's word pieces and of pairs of them" if "wide_pairs" in manifest.head else ""
    return (
        f"Classifies texts as {_join(manifest.labels)}: {state} {encoder['name']} encoder ({encoder['layers']} layers{trained} "
        f"{encoder['hidden']} wide), a linear head on its {_pooling(manifest)}{wide}. Trained on {manifest.training['dataset']}."
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
        rows.append((f"for comparison: {baseline.NAME}", metrics["baseline"]))
    yield f"On {test['texts']:,} test texts, scored once, after everything was chosen on validation texts:"
    yield table(
        ("", "accuracy", "95% interval", "F1", "ROC AUC", "log loss", "calibration error"),
        [(name, *figures_of(found)) for name, found in rows],
    )
    yield " ".join(
        f"{precision} gives the label of PyTorch for {found['agreement']:.2%} of the test texts."
        for precision, found in sorted(scored.items())
    )
    for precision, agreement in metrics.get("left_out", {}).items():
        yield f"{precision} is not in the bundle: it gave the label of PyTorch for {agreement:.2%} of the test texts only."
    same = metrics["test_in_train"]
    yield f"{_texts(same)} of the test split stand{'s' if same == 1 else ''} word for word in the training split, too."
    yield f"![Test texts by true and predicted label]({CONFUSION_FIGURE})"


def _calibration(manifest: Manifest) -> Iterator[str]:
    calibration, metrics = manifest.calibration, manifest.metrics
    assert calibration is not None
    yield (
        f"Logits are divided by a temperature of {calibration['temperature']:.3f}, fitted on {calibration['texts']:,} "
        f"validation texts. The expected calibration error on the test texts is {metrics['test']['ece']:.2%} with it and "
        f"{metrics['test_uncalibrated']['ece']:.2%} without (on the validation texts {calibration['ece_after']:.2%} and "
        f"{calibration['ece_before']:.2%})."
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
        yield f"The costliest errors, by the test texts' ids: {', '.join(manifest.metrics['costliest'])}."


def _probes(probes: Scored, labels: Sequence[str]) -> Iterator[str]:
    split, predicted = probes.split, probes.predicted
    yield "## What it makes of texts written to try it"
    yield (
        f"{len(split)} short texts of our own, of which it labels {(predicted == split.labels).sum()} as we do. "
        "They are no sample of anything; they show where its limits are."
    )
    yield table(
        ("what is tried", "texts", "right"),
        [
            (group.name, str(group.metrics.texts), str(round(group.metrics.accuracy * group.metrics.texts)))
            for group in by_group(probes)
        ],
    )
    wrong = [row for row in range(len(split)) if predicted[row] != split.labels[row]]
    if wrong:
        yield "Where it is wrong:"
        yield table(
            ("what is tried", "text", "it says", "with"),
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
        ("what", "value"),
        [
            ("encoder", f"{encoder['name']}, {encoder['architecture']}, revision {encoder['revision'] or 'local'}"),
            ("its weights, sha256", f"`{encoder['sha256']}`"),
            ("what the encoder reads", _length(manifest)),
            ("what the head reads", manifest.pooling),
            ("training and validation texts", f"{metrics['train_texts']:,} and {metrics['validation_texts']:,}"),
            *((name.replace("_", " "), _setting(value)) for name, value in manifest.training.items()),
            ("libraries", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        ],
    )
    again = " (afterwards the wide part was trained again, on all training texts)" if "wide" in metrics else ""
    yield f"Accuracy on the validation texts, on which nothing had been trained then{again}:"
    yield table(
        ("part", "validation accuracy"),
        [(_PARTS[part], f"{share:.2%}") for part, share in metrics["validation"].items()],
    )
    if metrics["poolings"]:
        yield f"Heads on other vectors of the same encoder, for comparison (this one reads {manifest.pooling}):"
        yield table(
            ("pooling", "validation accuracy"),
            [(pooling, f"{share:.2%}") for pooling, share in metrics["poolings"].items()],
        )
    for part, title in (("head", "The head"), ("wide", "The wide part")):
        if part in metrics:
            by = metrics[part].get("by", "L2")
            yield f"{title}, by {by}; {metrics[part]['kept']:g} was kept:"
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
        f"PyTorch against the exported fp32 graph on onnxruntime: over {parity['rows']:,} texts in {parity['batches']} "
        f"batches of different shapes the biggest difference of a logit was {parity['difference']:.1e} "
        f"({parity['tolerance']:.0e} is allowed)."
    )
    if "fp16" in manifest.precisions:
        half = parity["fp16"]
        yield (
            f"fp16, for CUDA, emulated on a CPU: over {half['rows']:,} texts the biggest difference of a probability from "
            f"float32 with the same weights was {half['difference']:.1e}, the mean one {half['mean']:.1e}."
        )
    if manifest.cascade is not None:
        yield (
            "In these checks the encoder reads every text. The wide part has a graph of its own, and its biggest difference "
            f"from the exact sums was {parity['wide']:.1e}. The cascade compares exact sums, so it decides alike on every machine."
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
    wide = "; the wide part reads all of them" if "wide_pairs" in manifest.head else ""
    return (
        f"{what} of at most {beyond:,} ({metrics['test_cut']:.1%} of the test texts have more than {manifest.max_length}, "
        f"{metrics['test_truncated']:.1%} more than {beyond:,}){wide}"
    )


_PARTS = {"encoder": "encoder and head", "wide": "wide part", "together": "both"}


def _pooling(manifest: Manifest) -> str:
    if manifest.pooling in ("cls", "mean"):
        return {"cls": "last layer's [CLS] vector", "mean": "last layer's mean vector"}[manifest.pooling]
    names = manifest.pooling.replace("+", ", ")
    trained = "; those of attention are means whose weights were trained along" if is_trained(manifest.pooling) else ""
    return f"vectors {names} (side by side{trained})"


def figures_of(found: Mapping[str, Any]) -> tuple[str, ...]:
    """`export.evaluation.metrics.Metrics` as a table has them: accuracy, interval, F1, ROC AUC, log loss, calibration error."""
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


def _join(labels: Sequence[str]) -> str:
    return ", ".join(labels[:-1]) + f" or {labels[-1]}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )
