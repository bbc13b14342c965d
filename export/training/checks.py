"""Checks of the settings, alone and against the encoder, before anything slow and without heavy imports."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from export.classifier.settings import CascadeSettings, tokens_in_windows
from export.classifier.truncation import Reading, checked_reading
from export.encoder.families import FAMILIES, Family
from export.encoder.vectors import check_names, is_trained, vectors
from export.errors import ExportError
from export.training.settings import Settings, TuneSettings
from scorer.base.errors import UsageError
from scorer.model.bundle import HEAD, MANIFEST, Bundle
from scorer.model.manifest import TRUNCATIONS, Manifest, WindowSettings

if TYPE_CHECKING:
    from export.encoder.load import FrozenEncoder

_LARGEST = 1e9  # largest loss or penalty; no training produces a larger one, which would overflow later


def check(encoder: "FrozenEncoder", settings: Settings) -> Reading:
    """Check the settings against the encoder and return the reading of long texts; see `reading_for`.

    Raises:
        UsageError: the settings contradict each other, or do not fit the encoder.
    """
    reading = reading_for(encoder, settings)
    check_layers(encoder.name, encoder.layers, encoder.family, settings)
    if encoder.family is None and settings.fit.tune is not None:
        raise UsageError(
            f"--unfreeze and --pooling attention are not possible on {encoder.name!r}: they need a family whose graph is "
            f"written here ({', '.join(one.name for one in FAMILIES)}), and a {encoder.config.model_type} model is exported by "
            "PyTorch. Omit them, or give another --encoder."
        )
    return reading


def check_options(settings: Settings, max_tokens: int) -> None:
    """Check that the settings fit together, independently of the encoder.

    Args:
        settings: settings of the bundle.
        max_tokens: number of tokens that the tokenizer keeps of a text.

    Raises:
        UsageError: the settings contradict each other.
    """
    if not settings.name.isprintable():
        raise UsageError(f"--name {settings.name!r} cannot be printed.")
    check_names(settings.fit.pooling)
    if settings.truncation not in TRUNCATIONS:
        raise UsageError(f"--truncation must be one of {', '.join(TRUNCATIONS)}, not {settings.truncation!r}.")
    windows = settings.window_settings
    if windows is not None:
        _check_windows(windows, settings.max_length, max_tokens)
        return
    if max_tokens < settings.max_length:
        raise UsageError(f"--max-tokens {max_tokens} is less than --max-length {settings.max_length}.")
    if max_tokens == settings.max_length and settings.truncation != "head":
        raise UsageError(
            f"--truncation {settings.truncation} needs more tokens to choose from than --max-length {settings.max_length}: "
            "give a larger --max-tokens."
        )
    if max_tokens > settings.max_length and settings.fit.wide is None and settings.truncation == "head":
        raise UsageError(
            "with --no-wide, nothing reads the tokens beyond --max-length: omit --max-tokens, or choose another --truncation."
        )


def _check_windows(windows: WindowSettings, length: int, max_tokens: int) -> None:
    if windows.most < 2:
        raise UsageError(f"--max-windows must be at least 2, not {windows.most}.")
    reach = tokens_in_windows(length, windows)
    if max_tokens != reach:
        raise UsageError(
            f"{windows.most} windows of {length} tokens cover {reach} tokens, but the tokenizer keeps {max_tokens}: load the "
            f"encoder with max_tokens={reach}."
        )


def check_recallable(bundle: Bundle, settings: CascadeSettings) -> None:
    """Refuse a bundle that cannot get a cascade, judging by the record of its training.

    Args:
        bundle: bundle to check.
        settings: settings of the cascade's choice.

    Raises:
        ExportError: it already has a cascade, was imported, has no wide part, has no complete record of its training, or
            too few texts were held out.
    """
    manifest, path = bundle.manifest, bundle.path
    if manifest.cascade is not None:
        raise ExportError(f"{path} already has a cascade. Give the bundle that it was made from to choose another one.")
    if manifest.source is not None:
        raise ExportError(
            f"{path} was imported, so it has no wide part, which a cascade needs; only `score-model train` makes one."
        )
    if "wide_pairs" not in manifest.head:
        raise ExportError(f"{path} has no wide part, which a cascade needs. Train a bundle without --no-wide.")
    if HEAD not in bundle.files:
        raise ExportError(f"{path} has no {HEAD}, so its classifier is unknown. Train the bundle again.")
    if "folds" in manifest.training:
        raise ExportError(
            f"{path} was trained by cross-validation, since its texts are few: none were held out for good, and a cascade needs "
            f"{settings.least_texts:,}. Train a bundle with more texts."
        )
    invalid = _invalid(manifest)
    if invalid:
        raise ExportError(
            f"{path / MANIFEST} lacks a valid {', '.join(invalid)}, so the held-out texts cannot be found. Train the bundle again."
        )
    too_few = settings.too_few(manifest.metrics["validation_texts"])
    if too_few is not None:
        raise ExportError(
            f"{path}: {too_few}. No bundle was written. Train a bundle with a larger --validation-share or more texts."
        )


def kept_step(wide: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the kept step of the wide part's training.

    Args:
        wide: value of ``metrics.wide`` in a manifest that passed `check_recallable`.
    """
    return next(step for step in wide["steps"] if step["number"] == wide["kept"])


def _invalid(manifest: Manifest) -> list[str]:
    """Return the names of missing and invalid fields, among those that are needed to find the held-out texts."""
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
    """Return whether `kept_step` finds exactly one step, with a penalty above 0 and both losses."""
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
    """Return whether a value read from JSON is a number from 0 to `_LARGEST`, and not a boolean."""
    return type(value) in (int, float) and 0 <= value <= _LARGEST


def check_layers(name: str, layers: int, family: Family | None, settings: Settings) -> None:
    """Check the settings against an encoder's family and its number of layers.

    Raises:
        UsageError: the pooling names a layer that the encoder lacks, or does not fit the trained blocks.
    """
    vectors(settings.fit.given_pooling, layers)
    if settings.fit.tune is not None:
        check_tuning(name, layers, family, settings.fit.given_pooling, settings.fit.tune)


def check_tuning(name: str, layers: int, family: Family | None, pooling: str, settings: TuneSettings) -> None:
    """Check block training against an encoder's family and its number of layers.

    Without trained blocks, any pooling is valid.

    Raises:
        UsageError: the encoder has fewer blocks, or they share their weights.
        UsageError: the pooling reads a layer before the input of the trained blocks, or does not read the last layer.
    """
    if settings.blocks == 0 and is_trained(pooling):
        return
    if family is not None and family.shared is not None:
        raise UsageError(
            f"--unfreeze {settings.blocks}: the blocks of the encoder {name!r} share their weights, so the last ones cannot "
            "be trained alone. Train without --unfreeze."
        )
    if not 0 < settings.blocks <= layers:
        raise UsageError(f"--unfreeze {settings.blocks}: the encoder {name!r} has {layers} blocks.")
    if all(vector.layer < layers for vector in vectors(pooling, layers)):
        raise UsageError(
            f"--pooling {pooling} does not read the last layer, so --unfreeze would train nothing there: "
            f"add cls, as in cls+{pooling}."
        )
    first = layers - settings.blocks
    if any(vector.layer < max(1, first) for vector in vectors(pooling, layers)):
        raise UsageError(
            f"--pooling {pooling} reads a layer before the input of the blocks that --unfreeze {settings.blocks} trains: "
            f"name no layer below {max(1, first)}, or unfreeze more blocks."
        )


def reading_for(encoder: "FrozenEncoder", settings: Settings) -> Reading:
    """Return the reading of long texts; None if the tokenizer keeps no more tokens than the encoder reads.

    Raises:
        UsageError: the settings contradict each other, or the special tokens of the tokenizer do not allow it.
    """
    tokenizer = encoder.tokenizer
    check_options(settings, tokenizer.max_length)
    return checked_reading(
        settings.truncation,
        settings.max_length,
        settings.window_settings,
        tokenizer=tokenizer,
        name=encoder.name,
    )
