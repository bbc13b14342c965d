"""Code that peers share: the classifier as one would write it in PyTorch, its export, and its batches."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from export.classifier.head import LinearHead
from scorer.engine.batches import pad, token_budget

Rows = Sequence[np.ndarray]
Score = Callable[[Rows], np.ndarray]

UNSORTED_BATCH = 64


class TorchClassifier(torch.nn.Module):
    """An encoder with a linear layer on its first token's vector."""

    def __init__(self, model: torch.nn.Module, head: LinearHead) -> None:
        super().__init__()
        self.encoder = model
        self.head = torch.nn.Linear(head.weight.shape[1], head.weight.shape[0])
        self.head.load_state_dict({"weight": torch.from_numpy(head.weight), "bias": torch.from_numpy(head.bias)})
        self.eval().requires_grad_(False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0])


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
