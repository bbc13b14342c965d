"""Training of an encoder's last blocks (`--unfreeze`) or attention poolings, together with a head.

The input of the first trained block or pooling is computed once, kept on disk, and read in every epoch. The texts of a
batch lie end to end instead of being padded. So do the windows of a text, and the loss is that of their combined logits.
The last block computes only what the head reads, as in the exported graph.
An interrupted run resumes from its last checkpoint, to the same weights.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from export.classifier.head import Training, step_of
from export.classifier.objective import Objective
from export.classifier.wide import Texts
from export.encoder.load import FrozenEncoder, weights_sha256
from export.encoder.vectors import Queries
from export.encoder.weights import encoder_weights
from export.training.cache import cache_key
from export.training.checks import check_tuning
from export.training.features import hidden_states, unit_of
from export.training.network import Network
from export.training.settings import TuneSettings
from export.training.tuning_run import Inputs, TuningRun
from scorer.base.progress import Progress
from scorer.engine.batches import by_length
from scorer.engine.windows import Split, Windows, split_of

# Number of batches between two checkpoints; a power cut loses at most the work on this many.
_BATCHES_PER_SAVE = 50
# Number of windows whose hidden states give the mean and deviation for attention poolings.
_WINDOWS_MEASURED = 64
# Number of batches whose texts are sorted by length together, so that the texts of a batch have similar lengths.
_BATCHES_SORTED = 64


@dataclass(frozen=True)
class Tuned:
    """An encoder with trained blocks, with the head and the attention poolings that were trained along with them."""

    encoder: FrozenEncoder
    training: Training
    queries: Queries = field(default_factory=dict)


def tune(
    encoder: FrozenEncoder,
    train: Texts,
    validation: Texts,
    *,
    pooling: str,
    objective: Objective,
    settings: TuneSettings,
    folder: Path,
    windows: Windows | None = None,
    quiet: bool = False,
) -> Tuned:
    """Train the last blocks, attention poolings and a head, on a copy of the encoder.

    Args:
        encoder: encoder to start from; it is not changed.
        train: texts to train on.
        validation: texts to evaluate after each epoch, and used for nothing else.
        pooling: vectors that the head reads.
        objective: objective to minimise.
        settings: settings of the training.
        folder: folder of checkpoints and hidden states.
        windows: rule that cuts long texts; None if the encoder reads each text at once.
        quiet: show no progress.

    Raises:
        UsageError: the settings do not fit the encoder; see `export.training.checks.check_tuning`.
        ExportError: the training diverges.
    """
    check_tuning(encoder.name, encoder.layers, encoder.family, pooling, settings)
    network = Network(
        encoder, pooling, objective.logit_count, blocks=settings.blocks, dropout=settings.dropout, seed=settings.seed
    )
    splits = [split_of(windows, texts[0]) for texts in (train, validation)]
    inputs = [
        _inputs(encoder, split.rows, network.first, folder, name, unit_of(windows), quiet)
        for split, name in zip(splits, ("train", "validation"), strict=True)
    ]
    if network.attentions:
        some = np.random.default_rng(settings.seed).permutation(len(splits[0].rows))[:_WINDOWS_MEASURED]
        network.measure(inputs[0].rows(some))
    order = _Order(splits[0], settings)
    key = cache_key(
        [*train[0], *validation[0]], "tuned", 4, encoder.sha256, pooling, asdict(settings), objective,
        train[1].tolist(), validation[1].tolist(), *([] if windows is None else [windows]),
    )  # fmt: skip
    run = TuningRun(network, objective, settings, settings.epochs * order.count, folder / f"{key}.pt")
    with Progress("training", settings.epochs * order.tokens, quiet=quiet) as progress:
        for epoch in range(run.epoch, settings.epochs):
            _train_epoch(run, epoch, order, inputs[0], train[1], progress)
            logits = _logits(network, inputs[1], splits[1])
            run.steps.append(step_of(epoch + 1, run.mean_loss, logits, validation[1], objective))
            run.save(epoch + 1, 0)
    training = Training(network.linear_head(), tuple(run.steps), run.steps[-1], "epoch")
    tuned = replace(encoder, model=network.model, sha256=weights_sha256(network.model)) if settings.blocks else encoder
    return Tuned(tuned, training, network.queries())


def _train_epoch(
    run: TuningRun, epoch: int, order: "_Order", inputs: Inputs, labels: np.ndarray, progress: Progress
) -> None:
    """Train on the remaining batches of an epoch."""
    batches, targets = order.batches(epoch), torch.from_numpy(labels)
    worked = epoch * order.tokens + sum(map(order.tokens_of, batches[: run.batch]))
    progress.show(worked, f"epoch {epoch + 1}")
    for number in range(run.batch, len(batches)):
        batch = batches[number]
        run.step(inputs, order.split, targets, batch)
        worked += order.tokens_of(batch)
        progress.show(worked, f"epoch {epoch + 1}, loss {run.mean_loss:.4f}")
        if (number + 1) % _BATCHES_PER_SAVE == 0:
            run.save(epoch, number + 1)


class _Order:
    """Random batches of texts of similar length.

    Attributes:
        split: windows of the texts.
        tokens: number of tokens in all windows.
        count: number of batches.
    """

    def __init__(self, split: Split, settings: TuneSettings) -> None:
        self.split = split
        self._lengths = np.add.reduceat([len(row) for row in split.rows], split.begins).tolist()
        self._settings = settings
        self.tokens = sum(self._lengths)
        self.count = math.ceil(len(self._lengths) / settings.batch_size)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Return the batches of an epoch, as text numbers."""
        size = self._settings.batch_size
        random = np.random.default_rng((self._settings.seed, epoch))
        texts = random.permutation(len(self._lengths))
        batches: list[np.ndarray] = []
        for start in range(0, len(texts), size * _BATCHES_SORTED):
            some = texts[start : start + size * _BATCHES_SORTED]
            some = some[by_length([self._lengths[text] for text in some])]
            batches += [some[begin : begin + size] for begin in range(0, len(some), size)]
        return [batches[number] for number in random.permutation(len(batches))]

    def tokens_of(self, batch: np.ndarray) -> int:
        return sum(self._lengths[text] for text in batch)


class _Embedded:
    """Output of the embeddings, which is as cheap to compute as to read from disk."""

    def __init__(self, encoder: FrozenEncoder, rows: Sequence[np.ndarray]) -> None:
        self._weights = encoder_weights(encoder)
        self._rows = rows

    def rows(self, numbers: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        return [self._row(self._rows[row]) for row in numbers]

    def _row(self, ids: np.ndarray) -> np.ndarray:
        weights, norm = self._weights, self._weights.embedding_norm
        x = torch.from_numpy(weights.word[ids] + weights.positions[: len(ids)])
        weight, bias = torch.from_numpy(norm.weight), torch.from_numpy(norm.bias)
        x = functional.layer_norm(x, x.shape[-1:], weight, bias, norm.epsilon)
        if weights.projection is not None:
            x = x @ torch.from_numpy(weights.projection.weight) + torch.from_numpy(weights.projection.bias)
        return x.numpy()


def _inputs(
    encoder: FrozenEncoder,
    rows: Sequence[np.ndarray],
    layer: int,
    folder: Path,
    name: str,
    unit: str,
    quiet: bool,
) -> Inputs:
    if layer == 0:
        return _Embedded(encoder, rows)
    return hidden_states(encoder, rows, layer, folder, name=name, unit=unit, quiet=quiet)


def _logits(network: Network, inputs: Inputs, split: Split) -> np.ndarray:
    """Compute the logits of texts without dropout, float32 (texts, logits)."""
    network.eval()
    logits = np.empty((len(split.rows), network.head.out_features), dtype=np.float32)
    with torch.no_grad():
        for windows in _chunks(by_length([len(row) for row in split.rows]), 32):
            logits[windows] = network(inputs.rows(windows)).numpy()
    return split.combined(logits)


def _chunks(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(order), size):
        yield order[start : start + size]
