"""`score-model cascade`: a bundle that was trained without a cascade, with one; parses and delegates."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.bundle.place import check_free, check_outside
from export.classifier.settings import CascadeSettings
from export.cli import train_options
from export.cli.options import QUIET, THREADS, fill, refuse_unused, require_libraries, use_threads
from export.cli.sources import Options, conditions_of_data, find_inputs, named, read_notes, read_probes, source_of
from export.data_source import DataSource
from export.hub import check_reachable
from scorer.base.errors import UsageError
from scorer.base.messages import show
from scorer.cli.options import DEBUG
from scorer.cli.program import Command
from scorer.storage.output import lies_in

if TYPE_CHECKING:
    from export.training.settings import AddSettings
    from scorer.model.bundle import Bundle

EXAMPLES = """\b
Examples:
  score-model cascade models/imdb -o models/imdb-cascade
  score-model cascade models/old -o models/new --train-file train.csv --test-file test.csv --label-column stars
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("bundle", type=click.Path(path_type=Path))
@train_options.OUTPUT
@click.option(
    "--overwrite", is_flag=True, help="Replace a bundle that is there; refused where anything else would be lost."
)
@train_options.DATASET
@train_options.FILES
@train_options.CASCADE
@train_options.PROBES
@train_options.NOTES
@THREADS
@QUIET
@DEBUG
def cascade(**options: Any) -> None:
    """Give BUNDLE a cascade, in a bundle of its own: limits beyond which its wide part alone decides.

    The data is that of the training, read in the same way, for limits are chosen on the texts that it held out. Weights
    stay as they are, and so do the scores of `score --no-cascade`.
    """
    loaded, settings, source = _checked(options)
    from dataclasses import replace

    from export.data import load

    dataset = load(source)
    settings = replace(settings, probes=read_probes(options, loaded.manifest.labels))
    use_threads(options["threads"])
    from export.training.add_cascade import add_cascade

    add_cascade(loaded, dataset, settings, show)


def _checked(options: Options) -> "tuple[Bundle, AddSettings, DataSource]":
    """Check all that can be checked before seconds of imports, and load the bundle.

    Raises:
        UsageError: options contradict each other, or name what is missing or would be lost.
        ExportError, ScorerError: the bundle, the hub, a library or a place cannot be used.
    """
    refuse_unused(conditions_of_data(options))
    require_libraries()
    source, notes = source_of(options), read_notes(options["notes"])
    _check_places(options, source)
    from export.training.checks import check_recallable
    from export.training.settings import AddSettings
    from scorer.model.bundle import load_bundle

    loaded = load_bundle(options["bundle"])
    limits = fill(CascadeSettings, options, train_options.CASCADE_NAMES)
    check_recallable(loaded, limits)
    check_reachable(encoder=None, dataset=source.dataset if source.train_file is None else None)
    return loaded, fill(AddSettings, options, cascade=limits, probes=None, notes=notes), source


def _check_places(options: Options, source: DataSource) -> None:
    """Refuse an output that cannot be written, would take away what is in its place, or lies in the bundle."""
    output, bundle = options["output"], options["bundle"]
    if lies_in(str(output), str(bundle)):
        raise UsageError(f"--output {output} is the bundle {bundle} or in it, which never changes; write elsewhere.")
    check_free(output, overwrite=options["overwrite"])
    used = [*named(find_inputs(options, source)), ("BUNDLE", str(bundle))]
    check_outside(output, used if options["notes"] is None else [*used, ("--notes", str(options["notes"]))])
