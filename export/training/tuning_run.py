"""AdamW steps over blocks, attention poolings and a head, with checkpoints that resume to the same weights."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from export.classifier.choice import Step
from export.classifier.combining import combined, some_of
from export.classifier.objective import Objective
from export.errors import ExportError
from export.training.cache import replaced
from export.training.network import Network
from export.training.settings import TuneSettings
from scorer.engine.windows import Split

_CLIP = 1.0  # largest norm of the gradient
_OF_DEVICE = "random_of_device"


class Inputs(Protocol):
    """Inputs of the first trained block or pooling, for each window."""

    def rows(self, numbers: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Return the hidden states of some windows, float32 (sequence, hidden) each."""
        ...


@dataclass(frozen=True)
class Sample:
    """All texts of a training.

    Attributes:
        inputs: inputs of their windows.
        split: windows of the texts.
        targets: targets of the texts.
        weights: weight of each text in the loss, float32 (texts,); None for equal ones.
    """

    inputs: Inputs
    split: Split
    targets: Tensor
    weights: Tensor | None


class TuningRun:
    """A block training in progress, resumed from its checkpoint if one exists.

    Attributes:
        epoch, batch: numbers of the epoch and the batch to start with.
        steps: figures of the finished epochs.

    A batch of texts is computed in pieces of whole texts with at most as many windows as a batch has texts. Their gradients
    add up to those of the batch, since the loss is a mean over texts. A text that has more windows is computed in parts,
    and again on the way back. So memory is bounded.

    Args:
        network: network to train.
        objective: objective to minimise.
        settings: settings of the training.
        steps: total number of batches.
        file: file of the checkpoint.
    """

    def __init__(self, network: Network, objective: Objective, settings: TuneSettings, steps: int, file: Path) -> None:
        self._network = network
        self._objective = objective
        self._most = settings.batch_size
        self._is_bf16 = settings.number_format == "bf16"
        self._file = file
        self._optimizer = torch.optim.AdamW(_parameter_groups(network, settings), betas=(0.9, 0.98), eps=1e-6)
        warm_up = max(1, round(settings.warm_up * steps))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: min((step + 1) / warm_up, max(0.0, (steps - step) / max(1, steps - warm_up)))
        )
        self.epoch = self.batch = 0
        self.steps: list[Step] = []
        self._losses: list[float] = []
        torch.manual_seed(settings.seed)  # for dropout
        self._load()

    @property
    def mean_loss(self) -> float:
        """Mean loss per text of this epoch so far."""
        return float(np.mean(self._losses))

    def number_format(self) -> torch.autocast:
        """Return the context in which the blocks compute their products in the format of the settings."""
        return torch.autocast(self._network.device.type, dtype=torch.bfloat16, enabled=self._is_bf16)

    def step(self, sample: Sample, texts: np.ndarray) -> None:
        """Train on one batch.

        Args:
            sample: all texts.
            texts: numbers of the batch's texts.

        Raises:
            ExportError: the loss is not finite.
        """
        self._network.train()
        self._optimizer.zero_grad()
        loss = 0.0
        for piece in _pieces(texts, sample.split.counts, self._most):
            windows, alone = some_of(sample.split, piece)
            with self.number_format():
                logits = combined(self._logits(sample.inputs.rows(windows)), alone)
            weights = None if sample.weights is None else sample.weights[piece].to(logits.device)
            targets = sample.targets[piece].to(logits.device)
            share = self._objective.loss(logits, targets, weights) * (len(piece) / len(texts))
            share.backward()  # type: ignore[no-untyped-call]
            loss += share.item()
        if not math.isfinite(loss):
            advice = "a lower --tune-learning-rate" if len(self._network.trained_blocks) else "another --pooling"
            raise ExportError(
                f"training diverged: the loss is not a finite number. No bundle was written; try {advice}."
            )
        nn.utils.clip_grad_norm_(self._network.parameters(), _CLIP)
        self._optimizer.step()
        self._schedule.step()
        self._losses += [loss] * len(texts)

    def _logits(self, rows: Sequence[np.ndarray]) -> Tensor:
        """Compute logits of windows, (windows, logits)."""
        if len(rows) <= self._most:
            found: Tensor = self._network(rows)
            return found
        parts = [rows[begin : begin + self._most] for begin in range(0, len(rows), self._most)]
        return torch.cat([checkpoint(self._network, part, use_reentrant=False) for part in parts])

    def save(self, epoch: int, batch: int) -> None:
        """Write a checkpoint that resumes training at this batch of this epoch."""
        if batch == 0:
            self._losses = []
        self.epoch, self.batch = epoch, batch
        state = {
            "epoch": epoch,
            "batch": batch,
            "steps": [asdict(step) for step in self.steps],
            "losses": self._losses,
            "blocks": self._network.trained_blocks.state_dict(),
            "embedding": self._network.embedding.state_dict(),
            "poolings": self._network.attentions.state_dict(),
            "head": self._network.head.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "random": torch.get_rng_state(),
            **self._random_of_device(),
        }
        with replaced(self._file) as file:
            torch.save(state, file)

    def _load(self) -> None:
        try:
            state: dict[str, Any] = torch.load(self._file, weights_only=True, map_location="cpu")
        except FileNotFoundError:
            return
        except Exception as error:  # a damaged file raises errors of many types
            raise ExportError(
                f"the checkpoint {self._file} is damaged ({type(error).__name__}). Remove it to start over."
            ) from error
        self.epoch, self.batch, self._losses = state["epoch"], state["batch"], state["losses"]
        self.steps = [Step(**step) for step in state["steps"]]
        self._network.trained_blocks.load_state_dict(state["blocks"])
        self._network.embedding.load_state_dict(state["embedding"])
        self._network.attentions.load_state_dict(state["poolings"])
        self._network.head.load_state_dict(state["head"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        if _OF_DEVICE in state and self._network.device.type == "cuda":
            torch.cuda.set_rng_state(state[_OF_DEVICE], self._network.device)

    def _random_of_device(self) -> dict[str, Tensor]:
        """Return the state of a GPU's random numbers, for dropout; nothing for other devices."""
        device = self._network.device
        return {_OF_DEVICE: torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}


def _pieces(texts: np.ndarray, counts: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Cut a batch into pieces of at least one text, with at most ``most`` windows if it has several.

    >>> [piece.tolist() for piece in _pieces(np.array([3, 0, 1, 2]), np.array([1, 2, 9, 1]), 3)]
    [[3, 0], [1], [2]]
    """
    begin = windows = 0
    for number, text in enumerate(texts):
        if number > begin and windows + counts[text] > most:
            yield texts[begin:number]
            begin, windows = number, 0
        windows += counts[text]
    yield texts[begin:]


def _parameter_groups(network: Network, settings: TuneSettings) -> list[dict[str, Any]]:
    groups = []
    for number, block in enumerate(network.trained_blocks):
        rate = settings.learning_rate * settings.decay ** (settings.blocks - 1 - number)
        for is_matrix in (True, False):
            some = [one for one in block.parameters() if (one.dim() > 1) == is_matrix]
            groups.append({"params": some, "lr": rate, "weight_decay": settings.weight_decay if is_matrix else 0.0})
    groups.append({"params": list(network.embedding.parameters()), "lr": settings.learning_rate, "weight_decay": 0.0})
    new = [*network.head.parameters(), *network.attentions.parameters()]
    groups.append({"params": new, "lr": settings.head_learning_rate, "weight_decay": 0.0})
    return groups
