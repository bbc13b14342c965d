"""Checks of the settings, of options alone and against the encoder, before anything that takes long; no heavy import."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from export.classifier.settings import CascadeSettings
from export.classifier.truncation import Cut, cut_of
from export.encoder.vectors import check_names, is_trained, vectors
from export.errors import ExportError
from export.training.settings import Settings, TuneSettings
from scorer.base.errors import UsageError
from scorer.model.bundle import HEAD, MANIFEST, Bundle
from scorer.model.manifest import TRUNCATIONS, Manifest

if TYPE_CHECKING:
    from export.encoder.load import FrozenEncoder

_LARGEST = 1e9  # of a loss or a penalty; a number that no training gives would overflow later


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


def check_recallable(bundle: Bundle, settings: CascadeSettings) -> None:
    """Refuse a bundle that cannot be given a cascade by what is known of its training.

    Args:
        bundle: the bundle.
        settings: settings of the cascade's choice.

    Raises:
        ExportError: it has a cascade, it has no wide part, it lacks what training needs, or too few texts were held out.
    """
    manifest, path = bundle.manifest, bundle.path
    if manifest.cascade is not None:
        raise ExportError(f"{path} has a cascade already. Give the bundle that it was made from to choose another one.")
    if "wide_pairs" not in manifest.head:
        raise ExportError(f"{path} has no wide part, which a cascade needs. Train a bundle without --no-wide.")
    if HEAD not in bundle.files:
        raise ExportError(f"{path} has no {HEAD}, so its classifier is not known. Train it again.")
    invalid = _invalid(manifest)
    if invalid:
        raise ExportError(
            f"{path / MANIFEST} lacks a valid {', '.join(invalid)}, by which the held-out texts are found. Train the bundle again."
        )
    too_few = settings.too_few(manifest.metrics["validation_texts"])
    if too_few is not None:
        raise ExportError(
            f"{path}: {too_few}. No bundle was written. Train a bundle with a larger --validation-share or more texts."
        )


def kept_step(wide: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the step of the wide part's training that was kept.

    Args:
        wide: ``metrics.wide`` of a manifest that passed `check_recallable`.
    """
    return next(step for step in wide["steps"] if step["number"] == wide["kept"])


def _invalid(manifest: Manifest) -> list[str]:
    """Return the names of the fields by which held-out texts are found that are missing or invalid."""
    training, metrics = manifest.training, manifest.metrics
    pairs, share = manifest.head["wide_pairs"], training.get("validation_share", 0)
    valid = {
        "head.wide_pairs": _is_count(pairs, least=1),
        "training.seed": _is_count(training.get("seed"), least=0),
        "training.validation_share": _is_number(share) and 0 < share < 1,
        **{
            f"metrics.{name}": _is_count(metrics.get(name), least=1)
            for name in ("train_texts", "validation_texts", "test_texts")
        },
        "metrics.precisions": _has_loss(metrics.get("precisions"), manifest.providers.get("cpu", "fp16")),
        "metrics.wide": _has_kept_step(metrics.get("wide")),
    }
    return [name for name, is_valid in valid.items() if not is_valid]


def _has_loss(precisions: object, name: str) -> bool:
    found = precisions.get(name) if isinstance(precisions, dict) else None
    return isinstance(found, dict) and _is_number(found.get("log_loss"))


def _has_kept_step(wide: object) -> bool:
    """Return whether `kept_step` finds one step, with a penalty above 0 and both losses."""
    if not isinstance(wide, dict) or not isinstance(wide.get("steps"), list):
        return False
    kept, steps = wide.get("kept"), wide["steps"]
    if not _is_number(kept) or kept == 0 or not all(isinstance(step, dict) and "number" in step for step in steps):
        return False
    found = [step for step in steps if step["number"] == kept]
    names = ("number", "train_loss", "validation_loss")
    return len(found) == 1 and all(_is_number(found[0].get(name)) for name in names)


def _is_count(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _is_number(value: Any) -> bool:
    """Return whether a value read from JSON is a number from 0 to `_LARGEST`; true is none."""
    return type(value) in (int, float) and 0 <= value <= _LARGEST


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
