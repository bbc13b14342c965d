"""The command `score-model cascade`, which adds a cascade to a bundle; it parses and delegates."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.bundle.place import check_free, check_outside
from export.classifier.settings import CascadeSettings
from export.cli import train_options
from export.cli.options import (
    QUIET,
    READING_FILES,
    THREADS,
    Condition,
    fill,
    refuse_unused,
    require_libraries,
    use_threads,
)
from export.cli.sources import (
    Options,
    conditions_of_data,
    find_inputs,
    is_split,
    named,
    overlap_in,
    read_notes,
    read_probes,
    require_data,
    source_of,
)
from export.data_source import DataSource
from export.hub import check_reachable
from scorer.base.errors import UsageError
from scorer.base.messages import print_result
from scorer.base.task import SINGLE_LABEL
from scorer.cli.help import HELP_OPTION, OTHER, group
from scorer.cli.options import DEBUG
from scorer.cli.program import Command
from scorer.storage.output import lies_in

if TYPE_CHECKING:
    from export.training.settings import AddSettings
    from scorer.model.bundle import Bundle

HELP = """\
Add a cascade to BUNDLE, and write a new bundle.

\b
Examples:
  score-model cascade models/imdb -o models/new --dataset stanfordnlp/imdb
  score-model cascade models/old -o models/new \\
    --train-file train.csv --test-file test.csv --label-column stars

A cascade has limits beyond which the wide part alone decides. They are chosen on the texts that the training held out, so
name the data that BUNDLE was trained on, with the same options for reading it. The weights stay the same, and so do the scores
of `score --no-cascade`.
"""


@click.command(cls=Command, help=HELP)
@click.argument("bundle", type=click.Path(path_type=Path))
@group("Data of the training", train_options.DATASET, train_options.FILES)
@READING_FILES
@train_options.COLUMNS
@group("Cascade", train_options.LIMITS)
@group(
    "New bundle",
    train_options.OUTPUT,
    train_options.OVERWRITE,
    train_options.NOTES,
    train_options.PROBES,
)
@group("Run", train_options.CACHE, THREADS)
@group(OTHER, QUIET, DEBUG, HELP_OPTION)
def cascade(**options: Any) -> None:
    """Add a cascade as the options ask."""
    loaded, settings, source = _checked(options)
    from export.data_files import load

    dataset = load(source)
    overlap = overlap_in(dataset, source)
    overlap.warn_of_test()
    settings = replace(settings, probes=read_probes(options, loaded.manifest.labels))
    use_threads(options["threads"])
    from export.training.add_cascade import add_cascade

    add_cascade(loaded, dataset, settings, print_result)
    overlap.warn_of_test(again=True)


def _checked(options: Options) -> "tuple[Bundle, AddSettings, DataSource]":
    """Check everything that can be checked before imports that take seconds, and load the bundle.

    Raises:
        UsageError: options contradict each other, or a file is missing or would be lost.
        ExportError, ScorerError: the bundle, the hub, a library or a folder cannot be used.
    """
    split = Condition(is_split(options), "with --train-file and without --test-file", ("cache_dir",))
    refuse_unused([*conditions_of_data(options), split])
    source = source_of(options)
    require_data(source)
    require_libraries()
    notes = read_notes(options["notes"])
    source = replace(source, columns=replace(source.columns, task=SINGLE_LABEL))
    _check_places(options, source)
    from export.training.checks import check_recallable
    from export.training.settings import AddSettings
    from scorer.model.bundle import load_bundle

    loaded = load_bundle(options["bundle"])
    limits = fill(CascadeSettings, options, train_options.CASCADE_NAMES)
    check_recallable(loaded, limits)
    check_reachable(encoder=None, dataset=None if source.train_files else source.dataset)
    return loaded, fill(AddSettings, options, cascade=limits, probes=None, notes=notes), source


def _check_places(options: Options, source: DataSource) -> None:
    """Refuse an output that cannot be written, would replace other files, or lies in the bundle."""
    output, bundle = options["output"], options["bundle"]
    if lies_in(str(output), str(bundle)):
        raise UsageError(
            f"--output {output} is the bundle {bundle}, which never changes, or lies in it; write elsewhere."
        )
    check_free(output, overwrite=options["overwrite"])
    used = [*named(find_inputs(options, source)), ("BUNDLE", str(bundle))]
    others = {"--notes": options["notes"], "--cache-dir": options["cache_dir"]}
    check_outside(output, [*used, *((option, str(place)) for option, place in others.items() if place is not None)])
