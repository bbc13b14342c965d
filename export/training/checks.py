"""Checks of the settings, of options alone and against the encoder, before anything that takes long; no heavy import."""

from typing import TYPE_CHECKING

from export.classifier.truncation import Cut, cut_of
from export.encoder.vectors import check_names, is_trained, vectors
from export.errors import ExportError
from export.training.settings import Settings, TuneSettings
from scorer.base.errors import UsageError
from scorer.model.bundle import HEAD, MANIFEST, Bundle
from scorer.model.manifest import TRUNCATIONS

if TYPE_CHECKING:
    from export.encoder.load import FrozenEncoder

# What a manifest says of its training, by which its held-out texts are found again.
_OF_TRAINING = {
    "training": ("seed", "validation_share"),
    "metrics": ("train_texts", "validation_texts", "test_texts", "precisions", "wide"),
}


def check(encoder: "FrozenEncoder", settings: Settings) -> Cut | None:
    """Return the cut of long texts, see `cut_for`.

    Raises:
        UsageError: the settings do not fit together, or not the encoder.
    """
    cut = cut_for(encoder, settings)
    check_layers(encoder.name, encoder.layers, settings)
    return cut


def check_options(settings: Settings, max_tokens: int) -> None:
    """Check settings that do not fit together, whatever the encoder.

    Args:
        settings: settings of the bundle.
        max_tokens: tokens that the tokenizer keeps of a text.

    Raises:
        UsageError: they do not.
    """
    if not settings.name.isprintable():
        raise UsageError(f"--name {settings.name!r} cannot be printed.")
    check_names(settings.fit.pooling)
    if settings.truncation not in TRUNCATIONS:
        raise UsageError(f"--truncation is one of {', '.join(TRUNCATIONS)}, not {settings.truncation!r}.")
    if max_tokens < settings.max_length:
        raise UsageError(f"--max-tokens {max_tokens} is less than --max-length {settings.max_length}.")
    if max_tokens == settings.max_length and settings.truncation != "head":
        raise UsageError(
            f"--truncation {settings.truncation} needs more tokens to choose from than --max-length {settings.max_length}: "
            "give --max-tokens."
        )
    if max_tokens > settings.max_length and settings.fit.wide is None and settings.truncation == "head":
        raise UsageError(
            "with --no-wide nothing reads the tokens beyond --max-length: leave --max-tokens out, or choose a --truncation."
        )


def check_recallable(bundle: Bundle) -> None:
    """Refuse a bundle that cannot be given a cascade by what is known of its training.

    Raises:
        ExportError: it has a cascade, it has no wide part, or it lacks what training needs.
    """
    manifest, path = bundle.manifest, bundle.path
    if manifest.cascade is not None:
        raise ExportError(f"{path} has a cascade already. Give the bundle that it was made from to choose another one.")
    if "wide_pairs" not in manifest.head:
        raise ExportError(f"{path} has no wide part, which a cascade needs. Train a bundle without --no-wide.")
    if HEAD not in bundle.files:
        raise ExportError(f"{path} has no {HEAD}, so its classifier is not known. Train it again.")
    known = {"training": manifest.training, "metrics": manifest.metrics}
    missing = [f"{part}.{name}" for part, names in _OF_TRAINING.items() for name in names if name not in known[part]]
    if missing:
        raise ExportError(
            f"{path / MANIFEST} lacks {', '.join(missing)}, by which the held-out texts are found. Train the bundle again."
        )


def check_layers(name: str, layers: int, settings: Settings) -> None:
    """Check the settings against an encoder's number of layers.

    Raises:
        UsageError: the pooling names one that it lacks, or does not fit what is trained.
    """
    vectors(settings.fit.pooling, layers)
    if settings.fit.tune is not None:
        check_tuning(name, layers, settings.fit.pooling, settings.fit.tune)


def check_tuning(name: str, layers: int, pooling: str, settings: TuneSettings) -> None:
    """Raise `UsageError` if there are not so many blocks, or the pooling reads a layer before them, or not the last.

    Where no block is trained, it may read what it likes.
    """
    if settings.blocks == 0 and is_trained(pooling):
        return
    if not 0 < settings.blocks <= layers:
        raise UsageError(f"--unfreeze {settings.blocks}: the encoder {name!r} has {layers} blocks.")
    if all(vector.layer < layers for vector in vectors(pooling, layers)):
        raise UsageError(
            f"--pooling {pooling} does not read the last layer, so that --unfreeze would train nothing there: "
            f"add cls, as in cls+{pooling}."
        )
    first = layers - settings.blocks
    if any(vector.layer < max(1, first) for vector in vectors(pooling, layers)):
        raise UsageError(
            f"--pooling {pooling} reads a layer before those that --unfreeze {settings.blocks} trains and what goes into "
            f"them: give layers from {max(1, first)} on, or unfreeze more blocks."
        )


def cut_for(encoder: "FrozenEncoder", settings: Settings) -> Cut | None:
    """Return the cut of long texts; None if the tokenizer keeps the first tokens, and no more than the encoder reads.

    Raises:
        UsageError: the lengths do not fit together, or the tokenizer does not put one token before and one behind a text.
    """
    tokenizer = encoder.tokenizer
    check_options(settings, tokenizer.max_length)
    if tokenizer.max_length == settings.max_length:
        return None
    if tokenizer.special_tokens != 2:
        raise UsageError(
            f"the tokenizer of {encoder.name!r} puts {tokenizer.special_tokens} special tokens around a text, not one "
            f"before and one behind it, so it cannot be cut: give --max-tokens {settings.max_length}, as --max-length."
        )
    return cut_of(settings.truncation, settings.max_length)
