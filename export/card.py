"""The model card: what a bundle is, how good, from what, and how it was made."""

from collections.abc import Mapping, Sequence
from typing import Any

from export.head import Epoch
from scorer.manifest import Manifest

LOSS_FIGURE = "loss.png"
CONFUSION_FIGURE = "confusion.png"


def model_card(manifest: Manifest, epochs: Sequence[Epoch], notes: str) -> bytes:
    """The README.md of a bundle.

    Args:
        manifest: the bundle's, complete.
        epochs: the head's training.
        notes: Markdown of the user's own, put after the introduction.
    """
    encoder, training, metrics = manifest.encoder, manifest.training, manifest.metrics
    parts = [
        f"# {manifest.name}",
        f"Classifies texts as {_join(manifest.labels)}: a frozen {encoder['name']} encoder "
        f"({encoder['layers']} layers, {encoder['hidden']} wide) with a linear head on its "
        f"{_POOLING[manifest.pooling]}, trained on {training['dataset']}.",
        notes.strip(),
        "## How good it is",
        _table(
            ("split", "texts", "accuracy"),
            [
                ("training", f"{metrics['train_texts']:,}", f"{metrics['train_accuracy']:.2%}"),
                ("validation", f"{metrics['validation_texts']:,}", f"{metrics['validation_accuracy']:.2%}"),
                ("test, PyTorch", f"{metrics['test_texts']:,}", f"{metrics['test_accuracy']:.2%}"),
                *(
                    (
                        f"test, {precision} as scored on CPU",
                        f"{metrics['test_texts']:,}",
                        f"{found['test_accuracy']:.2%}",
                    )
                    for precision, found in sorted(metrics["precisions"].items())
                ),
            ],
        ),
        *(
            f"{precision} gives the label of PyTorch for {found['agreement']:.2%} of the test texts."
            for precision, found in sorted(metrics["precisions"].items())
        ),
        f"![Test texts by true and predicted label]({CONFUSION_FIGURE})",
        "The same head on the other vectors of the last layer, for comparison:",
        _table(
            ("pooling", "validation accuracy", "test accuracy"),
            [
                (
                    f"{pooling}{' (this bundle)' if pooling == manifest.pooling else ''}",
                    f"{a['validation_accuracy']:.2%}",
                    f"{a['test_accuracy']:.2%}",
                )
                for pooling, a in sorted(metrics["poolings"].items())
            ],
        ),
        "## How it was made",
        _table(
            ("what", "value"),
            [
                ("encoder", f"{encoder['name']}, {encoder['architecture']}, revision {encoder['revision'] or 'local'}"),
                ("encoder weights, sha256", f"`{encoder['sha256']}`"),
                (
                    "length",
                    f"{manifest.max_length} tokens; of longer texts the beginning ({metrics['test_truncated']:.1%} of the test texts are longer)",
                ),
                *((name.replace("_", " "), str(value)) for name, value in training.items()),
                ("libraries", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
            ],
        ),
        _table(
            ("epoch", "training loss", "validation loss", "validation accuracy"),
            [
                (str(e.number), f"{e.train_loss:.4f}", f"{e.validation_loss:.4f}", f"{e.validation_accuracy:.2%}")
                for e in epochs
            ],
        ),
        f"![Loss of the head by epoch]({LOSS_FIGURE})",
        "## How it was checked",
        f"PyTorch against the exported fp32 graph on onnxruntime: over {manifest.parity['rows']:,} texts in "
        f"{manifest.parity['batches']} batches of different shapes the biggest difference of a logit was "
        f"{manifest.parity['difference']:.1e} ({manifest.parity['tolerance']:.0e} is allowed).",
        _half(manifest.parity["fp16"]) if "fp16" in manifest.precisions else "",
    ]
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def _half(parity: Mapping[str, Any]) -> str:
    return (
        f"fp16, for CUDA, emulated on a CPU: over {parity['rows']:,} texts the biggest difference of a probability from "
        f"float32 with the same weights was {parity['difference']:.1e}, the mean one {parity['mean']:.1e}."
    )


_POOLING = {"cls": "last layer's [CLS] vector", "mean": "last layer's mean vector"}


def _join(labels: Sequence[str]) -> str:
    return ", ".join(labels[:-1]) + f" or {labels[-1]}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
