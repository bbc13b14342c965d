"""The command `score-model train`, which makes a bundle from labelled texts and an encoder; it parses and delegates."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from export.bundle.place import check_free, check_outside
from export.classifier.settings import CascadeSettings, HeadSettings, WideSettings
from export.cli import train_options
from export.cli.options import (
    Condition,
    chosen_precisions,
    conditions_of_windows,
    fill,
    refuse_unused,
    require_libraries,
    split_names,
    use_threads,
    windows_of,
)
from export.cli.sources import (
    Options,
    conditions_of_data,
    find_inputs,
    named,
    overlap_in,
    read_notes,
    read_probes,
    require_data,
    source_of,
)
from export.cli.train_options import CASCADE_NAMES
from export.data_source import DataSource
from export.encoder.folder import check_encoder_folder
from export.encoder.saved import check_saved
from export.hub import check_reachable
from export.training.settings import (
    AUGMENTATIONS,
    HEAD_ALONE,
    DomainSettings,
    EncoderSettings,
    FitSettings,
    Settings,
    TuneSettings,
)
from scorer.base.errors import UsageError
from scorer.base.messages import print_message, print_result
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.cli.program import Command
from scorer.model.bundle import Bundle, refuse_bundle
from scorer.model.manifest import WINDOWS

if TYPE_CHECKING:
    from export.encoder.load import FrozenEncoder

_TUNE_NAMES = {
    "blocks": "unfreeze",
    "epochs": "tune_epochs",
    "learning_rate": "tune_learning_rate",
    "number_format": "tune_precision",
}

HELP = """\
Train a classifier on labelled texts, and write its bundle.

\b
Examples:
  score-model train -o models/own --train-file labelled.csv
  score-model train -o models/own --train-file train.csv --test-file test.csv
  score-model train -o models/small --train-file labelled.csv \\
    --encoder ./MiniLM --pooling mean
  score-model train -o models/imdb --dataset stanfordnlp/imdb

The encoder stays frozen unless --unfreeze is given. It reads every text once, and its vectors are kept on disk, so a
second training takes a minute or two. The same command resumes an interrupted run. Beside the encoder, a wide part has weights for the
word pieces of a text and for pairs of them; --no-wide omits it.
"""


@click.command(cls=Command, help=HELP)
@train_options.ALL
def train(**options: Any) -> None:
    """Train and write a bundle as the options ask."""
    run_train(options, print_result)


def run_train(options: Options, report: Callable[[str], None]) -> Bundle:
    """Train, write and return a bundle as the options ask; `report` gets each line of the log."""
    settings, source, encoder = _checked(options)
    from export.data_files import load

    dataset = load(source)
    overlap = overlap_in(dataset, source)
    overlap.warn_of_test()
    _check_task(options, dataset.task)
    settings = replace(settings, probes=read_probes(options, dataset.labels, dataset.task))
    use_threads(options["threads"])
    from export.training.train import train as run

    loaded = _load_encoder(encoder, settings)
    _name_unused_head(encoder.name, loaded)
    bundle = run(dataset, loaded, settings, report)
    overlap.warn_of_test(again=True)
    return bundle


def _checked(options: Options) -> tuple[Settings, DataSource, EncoderSettings]:
    """Check everything that names and small files show, before imports that take seconds.

    Raises:
        UsageError: options contradict each other, or a file is missing or would be lost.
        UnsupportedEncoder, ExportError, ScorerError: the encoder, the hub, a library or a folder cannot be used.
    """
    refuse_unused(_conditions(options))
    source = source_of(options)
    require_data(source)
    if source.columns.is_task_known:
        _check_task(options, source.columns.task_of(first_is_list=False))
    require_libraries()
    from export.training.cache import check_cache
    from export.training.checks import check_layers, check_options

    encoder = _encoder_settings(options)
    settings = fill(
        Settings,
        options,
        name=options["name"] or options["output"].resolve().name,
        fit=_fit_settings(options),
        windows=windows_of(options),
        precisions=chosen_precisions(options["precisions"]),
        probes=None,
        notes=read_notes(options["notes"]),
    )
    _check_places(options, find_inputs(options, source))
    check_options(settings, encoder.tokens_kept(settings))
    found = check_encoder_folder(encoder.name, settings.max_length)
    if found is not None and found.layers is not None:
        check_layers(found.name, found.layers, found.family, settings)
    check_cache(settings.fit.cache)
    if settings.fit.device not in ("auto", "cpu"):
        from export.training.device import device_of

        device_of(settings.fit.device)
    check_reachable(
        encoder=encoder.name if found is None else None, dataset=None if source.train_files else source.dataset
    )
    return settings, source, encoder


def _check_places(options: Options, inputs: Mapping[str, Sequence[str]]) -> None:
    """Refuse outputs that cannot be written, or that would replace other files; see `check_free`.

    Args:
        options: values of the command line.
        inputs: input files, by option.
    """
    output, overwrite, save = options["output"], options["overwrite"], options["save_encoder"]
    check_free(output, overwrite=overwrite)
    encoder = options["encoder"] if os.path.isdir(options["encoder"]) else None
    others = {
        "--notes": options["notes"],
        "--cache-dir": options["cache_dir"],
        "--save-encoder": save,
        "--encoder": encoder,
    }
    check_outside(
        output, [*named(inputs), *((option, str(place)) for option, place in others.items() if place is not None)]
    )
    if save is not None:
        refuse_bundle(str(save), "--save-encoder")
        check_saved(save, encoder=options["encoder"], overwrite=overwrite)


def _name_unused_head(name: str, encoder: "FrozenEncoder") -> None:
    """Print a message if the encoder comes from a fine-tuned classifier, whose head is not used."""
    from export.importing.folder import CLASSIFIER

    if any(one.endswith(CLASSIFIER) for one in encoder.config.architectures or ()):
        print_message(
            f"{name} is a fine-tuned classifier. Its head is not used: a new one is trained. `score-model import {name} -o "
            "FOLDER` keeps it."
        )


def _conditions(options: Options) -> tuple[Condition, ...]:
    """Return the conditions of all options that have no effect without another."""
    tuned = _is_tuned(options)
    adam = options["solver"] == "adam" and not tuned
    return (
        Condition(not tuned, "without --unfreeze and --pooling attention", ("solver",)),
        Condition(adam, "with --solver adam", ("epochs", "learning_rate")),
        Condition(adam or tuned, "with --solver adam, --unfreeze or --pooling attention", ("batch_size",)),
        Condition(tuned, "with --unfreeze or --pooling attention", ("tune_epochs",)),
        Condition(options["unfreeze"] > 0, "with --unfreeze", ("tune_learning_rate", "save_encoder")),
        Condition(tuned, "with --unfreeze or --pooling attention", ("tune_precision", "augment", "short_epochs")),
        Condition(options["wide"], "with --wide", ("wide_pairs",)),
        Condition(options["wide"] or not options["cascade"], "with --wide", ("cascade",)),
        Condition(options["wide"] and options["cascade"], "with --wide and --cascade", tuple(CASCADE_NAMES.values())),
        *conditions_of_windows(options),
        *conditions_of_data(options),
    )


def _check_task(options: Options, task: Task) -> None:
    """Refuse options that have no effect on labels of a kind, or do not fit them."""
    refuse_unused(_conditions_of_task(options, task))
    if options["truncation"] == WINDOWS:
        windows_of(options).check_task(task, "the training texts")


def _conditions_of_task(options: Options, task: Task) -> tuple[Condition, ...]:
    """Return the conditions of the options that have no effect on labels of another kind."""
    single = task == SINGLE_LABEL
    return (
        Condition(task == MULTI_LABEL, f"with --task {MULTI_LABEL}", ("label_separator", "min_precision")),
        Condition(task == REGRESSION, f"with --task {REGRESSION}", ("loss",)),
        Condition(task != REGRESSION, "on labels, and these are numbers", ("label_names",)),
        Condition(
            single,
            "where each text has one label",
            ("ordered", "balance", "calibrate", "positive_label", "domain_power", "domain_weight"),
        ),
        Condition(
            single or not options["cascade"],
            "where each text has one label",
            ("cascade", *CASCADE_NAMES.values()),
        ),
    )


def _is_tuned(options: Options) -> bool:
    """Return whether blocks or a pooling are trained with the head."""
    from export.encoder.vectors import is_trained

    return options["unfreeze"] > 0 or is_trained(options["pooling"])


def _fit_settings(options: Options) -> FitSettings:
    return fill(
        FitSettings,
        options,
        {"cache": "cache_dir"},
        domains=DomainSettings(options["domain_power"], dict(options["domain_weight"])),
        augment=_augment(options["augment"]),
        head=fill(HeadSettings, options),
        tune=_tune_settings(options) if _is_tuned(options) else None,
        wide=fill(WideSettings, options, {"pairs": "wide_pairs"}) if options["wide"] else None,
        cascade=fill(CascadeSettings, options, CASCADE_NAMES) if options["cascade"] else None,
    )


def _augment(given: str | None) -> tuple[str, ...]:
    """Return the kinds that --augment names.

    Raises:
        UsageError: one of them is unknown.
    """
    kinds = split_names(given) or ()
    if not set(kinds) <= set(AUGMENTATIONS):
        raise UsageError(f"--augment takes {' and '.join(AUGMENTATIONS)}, separated by commas, not {given!r}.")
    return kinds


def _tune_settings(options: Options) -> TuneSettings:
    if options["short_epochs"] > options["tune_epochs"]:
        raise UsageError(
            f"--short-epochs {options['short_epochs']} is more than --tune-epochs {options['tune_epochs']}."
        )
    return fill(
        TuneSettings,
        options,
        _TUNE_NAMES,
        head_learning_rate=TuneSettings.head_learning_rate if options["unfreeze"] else HEAD_ALONE,
    )


def _encoder_settings(options: Options) -> EncoderSettings:
    names = {"name": "encoder", "revision": "encoder_revision", "called": "encoder_name"}
    return fill(EncoderSettings, options, names)


def _load_encoder(encoder: EncoderSettings, settings: Settings) -> "FrozenEncoder":
    from export.encoder.load import load_encoder

    return load_encoder(
        encoder.name,
        max_length=settings.max_length,
        max_tokens=encoder.tokens_kept(settings),
        revision=encoder.revision,
        called=encoder.called,
        clean_text=encoder.clean_text,
        emoji=encoder.emoji,
    )
