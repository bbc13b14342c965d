"""Recall of the texts that a bundle's training held out, with the outputs of each part of its classifier at that time."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from export.classifier.classifier import lengths_of
from export.classifier.objective import Objective, objective_of
from export.classifier.settings import MSE, WideSettings
from export.classifier.stacking import stack
from export.classifier.wide import Wide, WideTraining, train_wide
from export.data import Dataset, Split, refuse_empty
from export.errors import ExportError
from export.training.cascade import HeldOut
from export.training.checks import kept_step
from export.training.holdout import Divided, divide
from export.training.settings import DomainSettings, FitSettings
from scorer.base.cores import usable_cores
from scorer.base.task import SINGLE_LABEL
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session
from scorer.engine.stages import Whole
from scorer.engine.windows import Windows
from scorer.model.bundle import TOKENIZER, Bundle
from scorer.model.reference import TOKEN_EDGES
from scorer.model.tokenizer import Tokenizer, Tokens
from scorer.model.windows import tokens_read, windows_of

# Relative difference between losses of the same texts on two machines. Losses of other texts differ by more.
_TOLERANCE = 0.01


def recall(bundle: Bundle, wide: Wide, dataset: Dataset, threads: int | None = None) -> HeldOut:
    """Recall the held-out texts of a bundle that was trained with a wide part.

    The bundle's own wide part was trained on them in the end. Another one is therefore trained without them, for these
    figures alone. The encoder's logits come from the bundle.

    Args:
        bundle: bundle without a cascade.
        wide: wide part of the bundle.
        dataset: texts that the bundle was trained on and tested with, in their order.
        threads: number of rows that the encoder reads at a time; None for one per usable core.

    Raises:
        ExportError: the dataset is not the one that the bundle was trained with.
        DatasetError: a text has no token.
    """
    manifest = bundle.manifest
    if dataset.labels != manifest.labels:
        raise ExportError(
            f"{bundle.path} has the labels {', '.join(manifest.labels)}, but these texts have {', '.join(dataset.labels)}. "
            "Give the same files and options as for its training, including --label-names and --positive-label."
        )
    tokenizer = Tokenizer(bundle.files[TOKENIZER], manifest.tokens_kept)
    windows = windows_of(manifest, tokenizer)
    encoded = _encoded(bundle, dataset, tokenizer)
    training = manifest.training
    settings = FitSettings(
        domains=DomainSettings(**training.get("domains", {})),
        validation_share=training["validation_share"],
        seed=training["seed"],
    )
    labels, balance = dataset.train.labels, training.get("balance", False)
    split = dataset.train if "domains" in training else replace(dataset.train, domains=())
    texts = divide(encoded.ids, split, settings)
    objective = objective_of(SINGLE_LABEL, dataset.labels, labels, loss=MSE, balance=balance)
    again = _trained_again(bundle, wide, texts, objective)
    held_out, truth = texts.validation
    deep = _encoders_logits(bundle, wide, windows, held_out, threads or usable_cores())
    side = again.logits(held_out)
    stacked = stack(deep, side, truth, weights=texts.training_weights[1])
    read = np.array([tokens_read(manifest, windows, len(ids)) for ids in held_out])
    sums = again.wide(stacked.share).sums(held_out)
    logits, by_length = stacked.logits(deep, side), manifest.calibration_by_length
    if by_length is not None:
        logits = by_length.apply(logits, lengths_of(held_out))
    domains, weights = texts.validation_domains, texts.training_weights[1]
    return HeldOut(logits, sums, truth, read, manifest.temperature, domains, weights)


def _encoded(bundle: Bundle, dataset: Dataset, tokenizer: Tokenizer) -> Tokens:
    """Compare the numbers of texts and the lengths of the test texts with the bundle's; return the training texts' tokens.

    Raises:
        ExportError: they differ.
    """
    manifest = bundle.manifest
    found, known = (len(dataset.train), len(dataset.test)), manifest.metrics
    expected = known["train_texts"] + known["validation_texts"], known["test_texts"]
    if found != expected:
        raise _other_texts(
            bundle,
            f"it was trained on {expected[0]:,} texts, of which {known['validation_texts']:,} were held out, and tested on "
            f"{expected[1]:,}, but these are {found[0]:,} and {found[1]:,}",
        )
    test = _tokens(tokenizer, dataset.test)
    lengths = np.histogram([len(ids) for ids in test.ids], TOKEN_EDGES)[0].tolist()
    if manifest.reference is not None and manifest.reference.tokens.counts != lengths:
        raise _other_texts(bundle, "the lengths of the test texts differ")
    return _tokens(tokenizer, dataset.train)


def _tokens(tokenizer: Tokenizer, split: Split) -> Tokens:
    tokens = tokenizer.encode(split.texts)
    refuse_empty(split, tokens.empty)
    return tokens


def _trained_again(bundle: Bundle, wide: Wide, texts: Divided, objective: Objective) -> WideTraining:
    """Train the wide part without the held-out texts, as the bundle's training first did.

    Raises:
        ExportError: the losses differ from those in the bundle's manifest, so these are other texts.
    """
    before = kept_step(bundle.manifest.metrics["wide"])
    again = train_wide(
        texts.train,
        texts.validation,
        pieces=wide.keys.pieces,
        objective=objective,
        settings=WideSettings(wide.keys.pairs, (before["number"],)),
        weights=texts.training_weights,
    )
    losses = [(before[name], getattr(again.best, name)) for name in ("train_loss", "validation_loss")]
    _compare_losses(bundle, "the wide part on training and held-out texts", losses)
    return again


def _encoders_logits(
    bundle: Bundle, wide: Wide, windows: Windows | None, held_out: Sequence[np.ndarray], threads: int
) -> np.ndarray:
    """Compute the logits of the encoder and its head, float32 (texts, logits), without those of the wide part."""
    precision = bundle.manifest.providers.get("cpu", "fp16")
    session = open_session(bundle.graph(precision), "cpu", external=bundle.external(precision))
    logits = Whole(RowEngine(session, threads), windows=windows).logits(held_out)
    return logits if bundle.manifest.wide is not None else logits - wide.logits(held_out)


def check_test_loss(bundle: Bundle, precision: str, loss: float) -> None:
    """Compare the loss of the test texts with the one in the bundle's manifest.

    Args:
        bundle: bundle that was trained with these texts.
        precision: precision that scored the texts.
        loss: mean loss with every text through the encoder.

    Raises:
        ExportError: the losses differ, so these are other texts.
    """
    before = bundle.manifest.metrics["precisions"][precision]["log_loss"]
    _compare_losses(bundle, "the bundle on test texts", [(before, loss)])


def _compare_losses(bundle: Bundle, where: str, losses: Sequence[tuple[float, float]]) -> None:
    """Raise `ExportError` if a loss differs from its earlier value by more than `_TOLERANCE`."""
    if not all(abs(now - then) <= _TOLERANCE * then for then, now in losses):
        then, now = (" and ".join(f"{loss:.4f}" for loss in some) for some in zip(*losses, strict=True))
        raise _other_texts(bundle, f"the loss of {where} was {then}, but with these it is {now}")


def _other_texts(bundle: Bundle, why: str) -> ExportError:
    return ExportError(
        f"these are not the texts that {bundle.path} was trained and tested with: {why}. Give the same files in the same "
        "order, with the same options for reading them."
    )
