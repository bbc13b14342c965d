"""The work of `score-model confidence`: held-out texts for a bundle that has none, so that it can promise an error."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from export.bundle.bundle import publish_files
from export.bundle.place import UNLISTED
from export.data import Split
from export.errors import ExportError
from export.evaluation.confidence_card import with_section
from export.evaluation.evaluate import score_split
from export.evaluation.outputs import CARD
from scorer.base.task import SINGLE_LABEL
from scorer.model.bundle import MANIFEST, Bundle, load_bundle
from scorer.model.confidence import Correctness, correctness_of, least_error
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import Manifest


@dataclass(frozen=True)
class ConfidenceSettings:
    """Settings of a bundle that is made from another one by adding held-out texts.

    Attributes:
        output: folder of the new bundle.
        provider: execution provider that scores the texts.
        precisions: precisions to score them in; None for all of the bundle.
        threads: number of rows scored at a time on CPU; None for one per usable core.
        quiet: show no progress.
    """

    output: Path
    provider: str = "cpu"
    precisions: tuple[str, ...] | None = None
    threads: int | None = None
    quiet: bool = False


def check_promises(manifest: Manifest, path: Path, precisions: tuple[str, ...] | None) -> None:
    """Raise `ExportError` if a bundle gives other answers than one label, or lacks a precision."""
    if manifest.task != SINGLE_LABEL:
        raise ExportError(f"{path} does not choose one label (task {manifest.task}), so there is no error to promise.")
    missing = sorted({*(precisions or ())} - {*manifest.precisions})
    if missing:
        raise ExportError(f"{path} has no {', '.join(missing)}; it has {', '.join(sorted(manifest.precisions))}.")


def add_confidence(bundle: Bundle, split: Split, settings: ConfidenceSettings, report: Callable[[str], None]) -> Bundle:
    """Score held-out texts with a bundle, and publish one that has their correctness; all else stays.

    Args:
        bundle: bundle to start from; it is not changed.
        split: texts that the bundle was not trained on, with numbers into its labels.
        settings: settings of the new bundle.
        report: callback for each line of the log.

    Returns:
        the new bundle as read back from disk.

    Raises:
        ExportError: the bundle gives other answers than one label, or lacks a precision.
        DatasetError: a text has no token.
    """
    manifest = bundle.manifest
    check_promises(manifest, bundle.path, settings.precisions)
    found = dict(manifest.confidence or {})
    for precision in settings.precisions or sorted(manifest.precisions):
        found[precision] = _correctness(bundle, precision, split, settings)
        least = least_error(found[precision])
        promise = "no error can be promised" if least is None else f"an error of {least:g} can be promised"
        report(f"{precision}: {sum(found[precision].right) / len(split):.2%} of {len(split):,} texts right; {promise}")
    return _published(bundle, replace(manifest, confidence=found), found, settings.output)


def _correctness(bundle: Bundle, precision: str, split: Split, settings: ConfidenceSettings) -> Correctness:
    scorer = LoadedModel(
        bundle, provider=settings.provider, precision=precision, threads=settings.threads, cascade=False
    )  # the cascade's scores follow from these
    scored = score_split(scorer, split, quiet=settings.quiet)
    return correctness_of(scored.values, split.labels)


def _published(bundle: Bundle, manifest: Manifest, confidence: Mapping[str, Correctness], folder: Path) -> Bundle:
    listed = {**bundle.files, MANIFEST: manifest.to_json()}
    beside = {name: (bundle.path / name).read_bytes() for name in UNLISTED if (bundle.path / name).is_file()}
    if CARD in beside:
        beside[CARD] = with_section(beside[CARD], confidence)
    publish_files(folder, listed, beside)
    return load_bundle(folder)
