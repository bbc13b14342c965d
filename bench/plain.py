"""Code that peers share: the classifier as one would write it in PyTorch, its export, and its batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from subject import Subject

from export.encoder.vectors import vectors
from export.graph.exported import PooledModel
from scorer.engine.batches import pad, token_budget

Rows = Sequence[np.ndarray]
Score = Callable[[Rows], np.ndarray]

UNSORTED_BATCH = 64
SORTED_TOKENS = 2048
"""Padded tokens of a sorted batch on CPU: about nine reviews of mean length. All contenders share it, tuned for none."""


@dataclass(frozen=True)
class Contender:
    """A way to score token rows on CPU.

    Attributes:
        key: letter of its section of the table.
        engine: name of the engine.
        way: way in which it gets the rows, and its settings.
        precision: precision that it computes in.
        score: function from token rows to logits.
        shared: name of a computation that several contenders share, so that their logits differ by rounding only; empty
            if no other has it.
    """

    key: str
    engine: str
    way: str
    precision: str
    score: Score
    shared: str = ""

    @property
    def name(self) -> str:
        """Name in a table."""
        return f"{self.engine}, {self.way}" if self.way else self.engine

    @property
    def computation(self) -> str:
        """Name of what decides its logits."""
        return self.shared or f"{self.name}, {self.precision}"


class TorchClassifier(torch.nn.Module):
    """An encoder with a linear layer on its pooled vectors: the classifier of a subject without its wide part."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        encoder, classifier = subject.encoder, subject.classifier
        head = classifier.head
        self.encoder = PooledModel(encoder.model, encoder.layers, vectors(classifier.pooling, encoder.layers))
        self.head = torch.nn.Linear(head.weight.shape[1], head.weight.shape[0])
        self.head.load_state_dict({"weight": torch.from_numpy(head.weight), "bias": torch.from_numpy(head.bias)})
        self.eval().requires_grad_(False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(input_ids, attention_mask))


def unsorted(rows: Rows) -> list[list[int]]:
    """Cut rows into batches in their order."""
    return [list(range(start, min(start + UNSORTED_BATCH, len(rows)))) for start in range(0, len(rows), UNSORTED_BATCH)]


def batched(run: Callable[[np.ndarray, np.ndarray], np.ndarray], *, tokens: int | None = None) -> Score:
    """Return a function that scores rows in padded batches.

    Args:
        run: function from input_ids and attention_mask, (batch, sequence) each, to logits (batch, 1).
        tokens: largest number of padded tokens in a batch of rows sorted by length; None for `unsorted`.
    """

    def score(rows: Rows) -> np.ndarray:
        logits = np.empty((len(rows), 1), dtype=np.float32)
        for batch in unsorted(rows) if tokens is None else token_budget([len(row) for row in rows], tokens):
            logits[batch] = run(*pad([rows[row] for row in batch]))
        return logits

    return score


def feed(padded: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    return dict(zip(("input_ids", "attention_mask"), padded, strict=True))


def export_plain(model: TorchClassifier, path: Path, device: str = "cpu") -> None:
    """Export the model, whose weights are on ``device``, with torch.onnx.export."""
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 0, 0]], device=device)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", max=512)}
    torch.onnx.export(
        model,
        (ids, (ids != 0).long()),
        path,
        dynamo=True,
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_shapes=(axes, axes),
        external_data=False,
        verbose=False,
    )
