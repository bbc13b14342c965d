"""Publication of an evaluated bundle with its model card and pictures, and a check of the files on disk."""

from collections.abc import Callable, Mapping

from export.bundle.bundle import write_bundle
from export.classifier.classifier import Classifier
from scorer.model.bundle import TOKENIZER, Bundle, load_bundle
from scorer.model.loaded import LoadedModel


def publish(
    bundle: Bundle,
    classifier: Classifier,
    unlisted: Mapping[str, bytes],
    report: Callable[[str], None],
    threads: int | None = None,
) -> Bundle:
    """Write a bundle and return it as read back from disk, with its golden rows checked.

    Args:
        bundle: bundle in memory with a complete manifest; it is written to its path.
        classifier: classifier of the bundle.
        unlisted: model card and its pictures, by file name.
        report: callback for each line of the log.
        threads: number of rows scored at a time; None for one per usable core.
    """
    manifest = bundle.manifest
    graphs: dict[str, bytes] = {}
    for precision, one in manifest.precisions.items():  # not the files of a precision that was left out
        graphs |= {one.file: bundle.graph(precision), **bundle.external(precision)}
    if manifest.wide is not None:
        graphs |= {manifest.wide.file: bundle.files[manifest.wide.file], **bundle.beside(manifest.wide.file)}
    write_bundle(
        bundle.path,
        manifest=manifest,
        tokenizer_json=bundle.files[TOKENIZER],
        graphs=graphs,
        classifier=classifier,
        unlisted=unlisted,
    )
    written = load_bundle(bundle.path)
    for precision in manifest.precisions:
        LoadedModel(
            written, provider="cpu", precision=precision, threads=threads
        )  # checks the golden rows with the files on disk
    size = sum(map(len, written.files.values()))
    report(
        f"wrote {written.path} ({size / 1e6:.1f} MB, {', '.join(sorted(manifest.precisions))}), id {written.id[:12]}"
    )
    return written
