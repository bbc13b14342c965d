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

from export.classifier.choice import step_of
from export.classifier.head import Training
from export.classifier.objective import Objective
from export.classifier.wide import Texts
from export.encoder.load import FrozenEncoder, weights_sha256
from export.encoder.vectors import Queries
from export.training.cache import cache_key
from export.training.checks import check_tuning
from export.training.curriculum import Curriculum
from export.training.device import CPU, memory_of
from export.training.features import hidden_missing, hidden_states, unit_of
from export.training.network import Network
from export.training.room import check_disk
from export.training.settings import TuneSettings
from export.training.tuning_run import Inputs, Sample, TuningRun
from scorer.base.progress import Progress
from scorer.engine.batches import by_length
from scorer.engine.windows import Split, Windows, split_of

# Number of batches between two checkpoints; a power cut loses at most the work on this many.
_BATCHES_PER_SAVE = 50
# Number of windows whose hidden states give the mean and deviation for attention poolings.
_WINDOWS_MEASURED = 64
# Number of validation texts that are evaluated after each epoch.
_VALIDATED = 2_000


@dataclass(frozen=True)
class Tuned:
    """An encoder with trained blocks, with the head and the attention poolings that were trained along with them."""

    encoder: FrozenEncoder
    training: Training
    queries: Queries = field(default_factory=dict)


def tune(
    encoder: FrozenEncoder,
    train: Curriculum,
    validation: Texts,
    *,
    pooling: str,
    objective: Objective,
    settings: TuneSettings,
    folder: Path,
    windows: Windows | None = None,
    device: torch.device = CPU,
    quiet: bool = False,
) -> Tuned:
    """Train the last blocks, attention poolings and a head, on a copy of the encoder.

    Args:
        encoder: encoder to start from; it is not changed.
        train: texts to train on, and those of each epoch.
        validation: texts of which some are evaluated after each epoch, and used for nothing else.
        pooling: vectors that the head reads.
        objective: objective to minimise.
        settings: settings of the training.
        folder: folder of checkpoints and hidden states.
        windows: rule that cuts long texts; None if the encoder reads each text at once.
        device: device that trains, and that computes hidden states.
        quiet: show no progress.

    Raises:
        OutOfMemory: the device has too little memory.
        UsageError: the settings do not fit the encoder; see `export.training.checks.check_tuning`.
        ExportError: the training diverges.
    """
    check_tuning(encoder.name, encoder.layers, encoder.family, pooling, settings)
    network = Network(
        encoder, pooling, objective.logit_count, blocks=settings.blocks, dropout=settings.dropout, seed=settings.seed
    ).to(device)
    validation = _some(validation, settings.seed)
    splits = [split_of(windows, rows) for rows in (train.rows, validation[0])]
    check_disk(folder, sum(hidden_missing(encoder, split.rows, network.first, folder) for split in splits))
    inputs = [
        _inputs(encoder, split.rows, network.first, folder, name, unit_of(windows), device, quiet)
        for split, name in zip(splits, ("train", "validation"), strict=True)
    ]
    if network.attentions:
        some = np.random.default_rng(settings.seed).permutation(len(splits[0].rows))[:_WINDOWS_MEASURED]
        network.measure(inputs[0].rows(some))
    order = _Order(splits[0], train.epochs, settings)
    key = cache_key(
        [*train.rows, *validation[0], *train.epochs], "tuned", 5, encoder.sha256, pooling, asdict(settings), objective,
        train.targets.tolist(), validation[1].tolist(), *([] if train.weights is None else [train.weights.tolist()]),
        *([] if windows is None else [windows]),
    )  # fmt: skip
    run = TuningRun(network, objective, settings, order.steps, folder / f"{key}.pt")
    sample = Sample(inputs[0], splits[0], torch.from_numpy(train.targets), _tensor(train.weights))
    with memory_of(device, "a smaller --batch-size"), Progress("training", order.tokens, quiet=quiet) as progress:
        for epoch in range(run.epoch, settings.epochs):
            _train_epoch(run, epoch, order, sample, progress)
            logits = _logits(run, network, inputs[1], splits[1])
            run.steps.append(step_of(epoch + 1, run.mean_loss, logits, validation[1], objective))
            run.save(epoch + 1, 0)
    training = Training(network.linear_head(), tuple(run.steps), run.steps[-1], "epoch")
    model = network.trained_model()
    tuned = replace(encoder, model=model, sha256=weights_sha256(model)) if settings.blocks else encoder
    return Tuned(tuned, training, network.queries())


def _some(validation: Texts, seed: int) -> Texts:
    """Return at most `_VALIDATED` of the validation texts, at random."""
    rows, targets = validation
    some = np.sort(np.random.default_rng(seed).permutation(len(rows))[:_VALIDATED])
    return [rows[row] for row in some], targets[some]


def _tensor(weights: np.ndarray | None) -> torch.Tensor | None:
    return None if weights is None else torch.from_numpy(weights)


def _train_epoch(run: TuningRun, epoch: int, order: "_Order", sample: Sample, progress: Progress) -> None:
    """Train on the remaining batches of an epoch."""
    batches = order.batches(epoch)
    worked = order.tokens_before(epoch) + sum(map(order.tokens_of, batches[: run.batch]))
    progress.show(worked, f"epoch {epoch + 1}")
    for number in range(run.batch, len(batches)):
        batch = batches[number]
        run.step(sample, batch)
        worked += order.tokens_of(batch)
        progress.show(worked, f"epoch {epoch + 1}, loss {run.mean_loss:.4f}")
        if (number + 1) % _BATCHES_PER_SAVE == 0:
            run.save(epoch, number + 1)


class _Order:
    """Random batches of the texts of each epoch. Their lengths differ, which costs nothing because nothing is padded.

    Attributes:
        tokens: number of tokens in all windows of all epochs.
        steps: number of batches of all epochs.
    """

    def __init__(self, split: Split, epochs: Sequence[np.ndarray], settings: TuneSettings) -> None:
        self._lengths = np.add.reduceat([len(row) for row in split.rows], split.begins)
        self._epochs = epochs
        self._settings = settings
        self.tokens = self.tokens_before(len(epochs))
        self.steps = sum(math.ceil(len(texts) / settings.batch_size) for texts in epochs)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Return the batches of an epoch, as text numbers."""
        size = self._settings.batch_size
        texts = np.random.default_rng((self._settings.seed, epoch)).permutation(self._epochs[epoch])
        return [texts[begin : begin + size] for begin in range(0, len(texts), size)]

    def tokens_of(self, texts: np.ndarray) -> int:
        return int(self._lengths[texts].sum())

    def tokens_before(self, epoch: int) -> int:
        """Return the number of tokens of the epochs before one."""
        return sum(map(self.tokens_of, self._epochs[:epoch]))


class _Ids:
    """Token ids, whose embeddings are as cheap to compute as to read from disk."""

    def __init__(self, rows: Sequence[np.ndarray]) -> None:
        self._rows = rows

    def rows(self, numbers: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        return [self._rows[row] for row in numbers]


def _inputs(
    encoder: FrozenEncoder,
    rows: Sequence[np.ndarray],
    layer: int,
    folder: Path,
    name: str,
    unit: str,
    device: torch.device,
    quiet: bool,
) -> Inputs:
    if layer == 0:
        return _Ids(rows)
    return hidden_states(encoder, rows, layer, folder, name=name, unit=unit, device=device, quiet=quiet)


def _logits(run: TuningRun, network: Network, inputs: Inputs, split: Split) -> np.ndarray:
    """Compute the logits of texts without dropout, float32 (texts, logits)."""
    network.eval()
    logits = np.empty((len(split.rows), network.head.out_features), dtype=np.float32)
    with torch.no_grad(), run.number_format():
        for windows in _chunks(by_length([len(row) for row in split.rows]), 32):
            logits[windows] = network(inputs.rows(windows)).cpu().numpy()
    return split.combined(logits)


def _chunks(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(order), size):
        yield order[start : start + size]
