"""The linear head: trained on cached features that are standardised, exported with the scaling folded in."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class LinearHead:
    """logits = features @ weight.T + bias

    Attributes:
        weight: float32 (logits, hidden); one logit for two labels, C for C labels.
        bias: float32 (logits,).
    """

    weight: np.ndarray
    bias: np.ndarray

    def corrected(self, wanted: np.ndarray, found: np.ndarray) -> "LinearHead":
        """With a bias that makes up for the mean difference of some logits, (texts, logits) each."""
        return LinearHead(self.weight, (self.bias + (wanted - found).mean(axis=0)).astype(np.float32))

    def logits(self, features: np.ndarray) -> np.ndarray:
        """float32 (texts, hidden) -> float32 (texts, logits)"""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True)
class HeadSettings:
    """How the head is trained: Adam (Kingma and Ba 2015) on mini-batches.

    Attributes:
        epochs: passes over the training part; the one with the lowest validation loss is kept.
        learning_rate: Adam's.
        batch_size: texts.
        seed: of the validation split, the start and the order of batches.
    """

    epochs: int = 10
    learning_rate: float = 1e-3
    batch_size: int = 64
    seed: int = 0


@dataclass(frozen=True)
class Epoch:
    """Mean losses after one epoch (nats a text), and the validation accuracy."""

    number: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True)
class Training:
    """A trained head, its losses, and the epoch that it is from."""

    head: LinearHead
    epochs: tuple[Epoch, ...]
    best: Epoch


def train_head(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    *,
    label_count: int,
    settings: HeadSettings,
) -> Training:
    """Train on features; validation chooses the epoch.

    The features are standardised by the training part's mean and deviation, which makes one learning rate do for all
    encoders; afterwards ``w . (x - mean) / std + b`` is folded into one weight and bias.

    Args:
        train: features float32 (texts, hidden) and labels int64 (texts,).
        validation: the same, of texts that are not trained on.
        label_count: two give one logit and binary cross entropy, more give C logits and cross entropy.
        settings: of the optimisation.
    """
    mean, deviation = train[0].mean(axis=0), train[0].std(axis=0)
    deviation[deviation < 1e-8] = 1.0  # a feature that never changes carries nothing, and must not be divided by 0
    features, labels = torch.from_numpy((train[0] - mean) / deviation), torch.from_numpy(train[1])
    held_out, held_out_labels = torch.from_numpy((validation[0] - mean) / deviation), torch.from_numpy(validation[1])
    random = torch.Generator().manual_seed(settings.seed)
    linear = nn.Linear(features.shape[1], 1 if label_count == 2 else label_count)
    with torch.no_grad():
        linear.weight.normal_(std=0.01, generator=random)
        linear.bias.zero_()
    optimizer = torch.optim.Adam(linear.parameters(), lr=settings.learning_rate)
    epochs: list[Epoch] = []
    best, best_head = None, None
    for number in range(1, settings.epochs + 1):
        total = 0.0
        for rows in torch.split(torch.randperm(len(labels), generator=random), settings.batch_size):
            batch_loss = loss(linear(features[rows]), labels[rows])
            optimizer.zero_grad()
            batch_loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += batch_loss.item() * len(rows)
        with torch.inference_mode():
            logits = linear(held_out)
            validation_loss = loss(logits, held_out_labels).item()
            accuracy = float(np.mean(predict(logits.numpy()) == validation[1]))
        epoch = Epoch(number, total / len(labels), validation_loss, accuracy)
        epochs.append(epoch)
        if best is None or epoch.validation_loss < best.validation_loss:
            best, best_head = epoch, _fold(linear, mean, deviation)
    assert best is not None, "at least one epoch"
    assert best_head is not None
    return Training(best_head, tuple(epochs), best)


def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy of (texts, 1) logits, cross entropy of (texts, labels) logits; the mean over texts."""
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.float())
    return functional.cross_entropy(logits, labels)


def predict(logits: np.ndarray) -> np.ndarray:
    """Logits (texts, 1) or (texts, labels) -> label numbers (texts,); one logit is positive from 0 on."""
    return (logits[:, 0] >= 0).astype(np.int64) if logits.shape[1] == 1 else logits.argmax(axis=1)


def _fold(linear: nn.Linear, mean: np.ndarray, deviation: np.ndarray) -> LinearHead:
    weight = linear.weight.detach().numpy().astype(np.float64) / deviation
    bias = linear.bias.detach().numpy() - weight @ mean
    return LinearHead(weight.astype(np.float32), bias.astype(np.float32))
