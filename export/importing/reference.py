"""Results of PyTorch on the texts: the logits of the whole model, and those of transformers' own pipeline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import transformers

from export.importing.certificate import Piped
from export.importing.checkpoint import Checkpoint
from export.importing.task import FUNCTIONS, piped_function
from export.importing.unit import logits_in_unit
from scorer.base.progress import Progress
from scorer.base.task import SINGLE_LABEL
from scorer.engine.batches import pad
from scorer.model.manifest import Unit


@dataclass(frozen=True)
class Expected:
    """Results of PyTorch on texts.

    Attributes:
        logits: logits of the whole model in the bundle's order, float32 (texts, logits).
        each: logits of every window of the texts, float32 (windows, logits); the same as ``logits`` without windows.
        piped: results of transformers' own pipeline; None for a plain module.
    """

    logits: np.ndarray
    each: np.ndarray
    piped: Piped | None

    def in_unit(self, unit: Unit) -> "Expected":
        """Return the results of a regression as logits in a unit, see `export.importing.unit`."""
        return replace(self, logits=logits_in_unit(self.logits, unit), each=logits_in_unit(self.each, unit))


def expected_of(checkpoint: Checkpoint, texts: Sequence[str], rows: Sequence[np.ndarray], *, quiet: bool) -> Expected:
    """Compute what a bundle has to give, one text at a time, and of a long text one window at a time.

    The model runs once for each window: where the pipeline runs it, its logits are taken from there.

    Args:
        checkpoint: model to compute.
        texts: texts.
        rows: all token ids of each text, (sequence,); the model gets those that the encoder reads. The pipeline does not
            score a text whose ids differ from transformers' own: one of several windows, or one that is cut, or cleaned, as
            transformers would not.
        quiet: show no progress.
    """
    classifier = checkpoint.classifier
    first = classifier.encoder_reads(classifier.split(rows[:1]).rows[0])
    checkpoint.reference(*pad([first]))  # refuses a model that tokens alone do not suffice for
    pipeline = None if checkpoint.model is None else _Pipeline(checkpoint)
    logits: list[np.ndarray] = []
    each: list[np.ndarray] = []
    piped: list[_Score] = []
    numbers: list[int] = []
    with Progress("PyTorch", sum(map(len, rows)), quiet=quiet) as progress:
        done = 0
        for number, (text, row) in enumerate(zip(texts, rows, strict=True)):
            progress.show(done, f"{number:,} texts")
            split = classifier.split([row])
            read = list(map(classifier.encoder_reads, split.rows))
            if pipeline is not None and len(read) == 1 and pipeline.reads(text) == read[0].tolist():
                score = pipeline.score(text)
                piped.append(score)
                numbers.append(number)
                each.append(score.logits)
            else:
                each.append(np.concatenate([checkpoint.reference(*pad([ids])) for ids in read]))
            logits.append(split.combined(each[-1]))
            done += len(row)
    if pipeline is None:
        return Expected(np.concatenate(logits), np.concatenate(each), None)
    labels = [one.label for one in piped if one.label is not None]
    single = checkpoint.labels.task == SINGLE_LABEL
    return Expected(
        np.concatenate(logits),
        np.concatenate(each),
        Piped(
            np.array(numbers, dtype=np.int64),
            np.array(labels, dtype=np.int64) if single else None,
            np.array([one.scores for one in piped], dtype=float),
        ),
    )


@dataclass(frozen=True)
class _Score:
    """Result of the pipeline for a text.

    Attributes:
        label: number of the label in the bundle's order; None if it does not choose one label.
        scores: score of this label; without it, the scores of all labels in the bundle's order.
        logits: the bundle's logits, float32 (1, logits).
    """

    label: int | None
    scores: float | tuple[float, ...]
    logits: np.ndarray


class _Pipeline:
    """``transformers.pipeline("text-classification")``, truncation on, and the logits that its model gives.

    Args:
        checkpoint: model to score with.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._cut: dict[str, Any] = {"truncation": True, "max_length": checkpoint.max_length}
        self._options = dict(self._cut)
        self._labels, self._tokenizer = checkpoint.labels, checkpoint.tokenizer
        self._model = model = checkpoint.model
        function = FUNCTIONS[self._labels.task]
        if self._labels.task != SINGLE_LABEL:
            self._options["top_k"] = None  # all labels
        if function != piped_function(model.config.problem_type, model.config.num_labels):
            self._options["function_to_apply"] = function
        # Two labels of a checkpoint may share a name that an option replaces; ids do not.
        model.config.id2label = {number: str(number) for number in range(len(self._labels.by_id))}
        self._run: Callable[..., Any] = transformers.pipeline(
            "text-classification", model=model, tokenizer=self._tokenizer, device="cpu"
        )

    def reads(self, text: str) -> list[int]:
        """Return the token ids that the pipeline's model gets."""
        ids: list[int] = self._tokenizer(text, **self._cut)["input_ids"]
        return ids

    def score(self, text: str) -> _Score:
        """Score a text."""
        given: list[np.ndarray] = []
        hook = self._model.register_forward_hook(lambda model, inputs, output: given.append(output.logits.numpy()))
        try:
            results = self._run(text, **self._options)
        finally:
            hook.remove()
        (logits,) = given
        by_id = {int(one["label"]): one["score"] for one in results}
        folded = self._labels.folded(logits.T).T
        if self._labels.task != SINGLE_LABEL:
            return _Score(None, tuple(by_id[one] for one in self._labels.ids), folded)
        ((label, score),) = by_id.items()
        return _Score(self._labels.ids.index(label), score, folded)
