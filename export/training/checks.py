"""Checks of the settings against the encoder, before anything that takes long."""

from export.classifier.truncation import Cut, cut_of
from export.encoder.load import FrozenEncoder
from export.encoder.pooling import vectors
from export.training.finetune import check as check_tuning
from export.training.settings import Settings
from scorer.base.errors import UsageError
from scorer.model.manifest import TRUNCATIONS


def check(encoder: FrozenEncoder, settings: Settings) -> Cut | None:
    """Return the cut of long texts, see `cut_for`.

    Raises:
        UsageError: the settings do not fit together, or not the encoder.
    """
    if not settings.name.isprintable():
        raise UsageError(f"--name {settings.name!r} cannot be printed.")
    cut = cut_for(encoder, settings)
    vectors(settings.fit.pooling, encoder.layers)
    if settings.fit.tune is not None:
        check_tuning(encoder, settings.fit.pooling, settings.fit.tune)
    return cut


def cut_for(encoder: FrozenEncoder, settings: Settings) -> Cut | None:
    """Return the cut of long texts; None if the tokenizer keeps the first tokens, and no more than the encoder reads.

    Raises:
        UsageError: the lengths do not fit together, or the tokenizer does not put one token before and one behind a text.
    """
    if settings.truncation not in TRUNCATIONS:
        raise UsageError(f"--truncation is one of {', '.join(TRUNCATIONS)}, not {settings.truncation!r}.")
    tokenizer = encoder.tokenizer
    if tokenizer.max_length == settings.max_length:
        if settings.truncation != "head":
            raise UsageError(
                f"--truncation {settings.truncation} needs more tokens to choose from than --max-length {settings.max_length}: "
                "give --max-tokens."
            )
        return None
    if tokenizer.max_length < settings.max_length:
        raise UsageError(f"--max-tokens {tokenizer.max_length} is less than --max-length {settings.max_length}.")
    if settings.fit.wide is None and settings.truncation == "head":
        raise UsageError(
            "with --no-wide nothing reads the tokens beyond --max-length: leave --max-tokens out, or choose a --truncation."
        )
    if tokenizer.special_tokens != 2:
        raise UsageError(
            f"the tokenizer of {encoder.name!r} puts {tokenizer.special_tokens} special tokens around a text, not one "
            f"before and one behind it, so it cannot be cut: give --max-tokens {settings.max_length}, as --max-length."
        )
    return cut_of(settings.truncation, settings.max_length)
