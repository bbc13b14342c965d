"""The command `score-model import`, which makes a bundle of a fine-tuned classifier; it parses and delegates."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.bundle.place import check_free, check_outside
from export.cli import import_options
from export.cli.options import (
    Condition,
    check_inputs,
    chosen_precisions,
    conditions_of_windows,
    fill,
    refuse_unused,
    require_libraries,
    split_names,
    use_threads,
    windows_of,
)
from export.cli.sources import Options, named, read_notes
from export.hub import check_reachable
from export.importing.settings import CheckpointSettings, ImportSettings, TextSettings
from scorer.base.errors import UsageError
from scorer.base.messages import print_result
from scorer.base.task import SINGLE_LABEL
from scorer.cli.program import Command
from scorer.model.bundle import Bundle
from scorer.rows.input_options import InputOptions

if TYPE_CHECKING:
    from export.importing.checkpoint import Checkpoint

HELP = """\
Make a bundle of a fine-tuned classifier.

\b
Examples:
  score-model import owner/name -o models/name --texts reviews.csv
  score-model import ./checkpoint -o models/own \\
    --label-names bad,good --texts test.csv --label-column label
  score-model import --state-dict model.pt --encoder distilbert-base-uncased \\
    -o models/own --label-names negative,positive

CHECKPOINT is a classifier of transformers (...ForSequenceClassification) on the hub or in a local folder. Each precision is
compared with PyTorch and with the pipeline of transformers; the bundle's README.md has the figures. A precision that
differs too much is left out. The model may choose one label for a text, give it any number of labels, or values.
"""


@click.command("import", cls=Command, help=HELP)
@click.argument("checkpoint", required=False)
@import_options.ALL
def import_model(**options: Any) -> None:
    """Import a model as the options ask."""
    run_import(options, print_result)


def run_import(options: Options, report: Callable[[str], None]) -> Bundle:
    """Import a model, write and return its bundle as the options ask; `report` gets each line of the log."""
    checkpoint, texts, settings = _checked(options)
    use_threads(options["threads"])
    from export.importing.import_model import import_model as run
    from export.importing.texts import read_sample

    loaded = _load(checkpoint)
    sample = None if texts is None else read_sample(texts, loaded.labels)
    return run(loaded, sample, options["seed"], settings, report)


def _checked(options: Options) -> tuple[CheckpointSettings, TextSettings | None, ImportSettings]:
    """Check everything that names and small files show, before imports that take seconds.

    Raises:
        UsageError: options contradict each other, or a file is missing or would be lost.
        UnsupportedEncoder, ExportError, ScorerError: the model, the hub, a library or a folder cannot be used.
    """
    if (options["checkpoint"] is None) == (options["state_dict"] is None):
        raise UsageError("give either CHECKPOINT, or --state-dict FILE with --encoder NAME.")
    refuse_unused(_conditions(options))
    if options["state_dict"] is not None and options["encoder"] is None:
        raise UsageError("--state-dict needs --encoder NAME, the encoder that the notebook loaded.")
    if options["keep_label_names"] and options["label_names"] is not None:
        raise UsageError("give --label-names or --keep-label-names, not both.")
    require_libraries()
    from export.importing.folder import check_checkpoint_folder

    checkpoint = fill(
        CheckpointSettings,
        options,
        name=options["encoder"] or options["checkpoint"],
        label_names=split_names(options["label_names"]),
        windows=windows_of(options),
    )
    texts = _texts(options)
    settings = _settings(options)
    _check_lengths(checkpoint)
    inputs = check_inputs({"--texts": options["texts"]}, fill(InputOptions, options))
    _check_places(options, checkpoint, inputs)
    folder = check_checkpoint_folder(checkpoint)
    check_reachable(encoder=None, dataset=None, model=checkpoint.name if folder is None else None)
    return checkpoint, texts, settings


def _texts(options: Options) -> TextSettings | None:
    if options["texts"] is None:
        return None
    names = {"file": "texts", "most": "most_texts"}
    return fill(TextSettings, options, names, reading=fill(InputOptions, options))


def _settings(options: Options) -> ImportSettings:
    precisions = None if options["precisions"] is None else chosen_precisions(options["precisions"])
    if precisions is not None and "int8" in precisions and options["texts"] is None:
        raise UsageError("--precisions int8 needs --texts FILE: typical texts calibrate it, and judge it.")
    name = options["name"] or options["output"].resolve().name
    if not name.isprintable():
        raise UsageError(f"--name {name!r} cannot be printed.")
    return fill(ImportSettings, options, name=name, precisions=precisions, notes=read_notes(options["notes"]))


def _check_lengths(checkpoint: CheckpointSettings) -> None:
    """Raise `UsageError` if the options for the length of a text contradict each other, whatever the model."""
    if checkpoint.max_length is not None:
        checkpoint.tokens_kept(checkpoint.max_length)
    if checkpoint.state_dict is not None:  # the settings of a checkpoint state its task
        checkpoint.check_task(checkpoint.task or SINGLE_LABEL)


def _conditions(options: Options) -> tuple[Condition, ...]:
    """Return the conditions of all options that have no effect without another."""
    reading = tuple(one.name for one in fields(InputOptions))
    of_texts = ("text_column", "label_column", "most_texts", "seed", *reading)
    has_labels = options["label_column"] is not None
    cuts = options["truncation"] in ("tail", "head+tail")
    return (
        Condition(options["state_dict"] is not None, "with --state-dict", ("encoder",)),
        Condition(options["state_dict"] is None, "with CHECKPOINT", ("keep_label_names",)),
        Condition(options["texts"] is not None, "with --texts", of_texts),
        Condition(has_labels, "with --label-column", ("label_separator",)),
        *conditions_of_windows(options),
        Condition(cuts, "with --truncation tail or head+tail", ("max_tokens",)),
    )


def _check_places(options: Options, checkpoint: CheckpointSettings, inputs: Mapping[str, Sequence[str]]) -> None:
    """Refuse an output that cannot be written, or that would replace other files; see `check_free`."""
    output: Path = options["output"]
    check_free(output, overwrite=options["overwrite"])
    option = "CHECKPOINT" if checkpoint.state_dict is None else "--encoder"
    others = {
        option: checkpoint.name if os.path.isdir(checkpoint.name) else None,
        "--state-dict": checkpoint.state_dict,
        "--notes": options["notes"],
    }
    check_outside(
        output, [*named(inputs), *((option, str(place)) for option, place in others.items() if place is not None)]
    )


def _load(checkpoint: CheckpointSettings) -> "Checkpoint":
    if checkpoint.state_dict is not None:
        from export.importing.notebook import load_notebook

        return load_notebook(checkpoint)
    from export.importing.checkpoint import load_checkpoint

    return load_checkpoint(checkpoint)
