"""Results of PyTorch on the texts: the logits of the whole model, and those of transformers' own pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import transformers

from export.importing.certificate import Piped
from export.importing.checkpoint import Checkpoint
from scorer.base.progress import Progress


@dataclass(frozen=True)
class Expected:
    """Results of PyTorch on texts.

    Attributes:
        logits: logits of the whole model in the bundle's order, float32 (texts, logits).
        piped: results of transformers' own pipeline; None for a plain module.
    """

    logits: np.ndarray
    piped: Piped | None


def expected_of(checkpoint: Checkpoint, texts: Sequence[str], rows: Sequence[np.ndarray], *, quiet: bool) -> Expected:
    """Compute what a bundle has to give; see `reference_logits` and `pipeline_scores`."""
    logits = reference_logits(checkpoint, rows, quiet=quiet)
    return Expected(logits, pipeline_scores(checkpoint, texts, rows, quiet=quiet))


def reference_logits(checkpoint: Checkpoint, rows: Sequence[np.ndarray], *, quiet: bool) -> np.ndarray:
    """Compute the whole model's logits of token rows, one at a time, as the pipeline does: float32 (rows, logits).

    Args:
        checkpoint: model to compute.
        rows: all token ids of each text, (sequence,); the model gets those that the encoder reads.
        quiet: show no progress.
    """
    found = []
    with Progress("PyTorch", len(rows), quiet=quiet) as progress:
        for number, row in enumerate(rows):
            progress.show(number, f"{number:,} texts")
            ids = checkpoint.classifier.encoder_reads(row)[np.newaxis]
            found.append(checkpoint.reference(ids, np.ones_like(ids)))
    return np.concatenate(found)


def pipeline_scores(
    checkpoint: Checkpoint, texts: Sequence[str], rows: Sequence[np.ndarray], *, quiet: bool
) -> Piped | None:
    """Score texts with ``transformers.pipeline("text-classification")``, truncation on; None without a whole model.

    Args:
        checkpoint: model to score with.
        texts: texts.
        rows: all token ids of each text. A text whose ids differ from transformers' own is not scored: it is cut, or
            cleaned, as transformers would not.
        quiet: show no progress.
    """
    if checkpoint.model is None:
        return None
    model, tokenizer, labels = checkpoint.model, checkpoint.tokenizer, checkpoint.labels
    cut = checkpoint.classifier.cut
    length = checkpoint.encoder.tokenizer.max_length if cut is None else cut.length
    options = {"truncation": True, "max_length": length}
    # Two labels of a checkpoint may share a name that an option replaces; ids do not.
    model.config.id2label = {number: str(number) for number in range(len(labels.by_id))}
    pipe = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    scored, found, scores = [], [], []
    with Progress("transformers' pipeline", len(texts), quiet=quiet) as progress:
        for number, (text, row) in enumerate(zip(texts, rows, strict=True)):
            progress.show(number, f"{number:,} texts")
            if tokenizer(text, **options)["input_ids"] == checkpoint.classifier.encoder_reads(row).tolist():
                (result,) = pipe(text, **options)
                scored.append(number)
                found.append(labels.ids.index(int(result["label"])))
                scores.append(result["score"])
    return Piped(np.array(scored, dtype=np.int64), np.array(found, dtype=np.int64), np.array(scores))
