"""Options of `score-model train`, and the settings that they fill."""

from pathlib import Path

import click
import pytest

from export.classifier.settings import CascadeSettings, HeadSettings, WideSettings, WindowOptions
from export.cli.cascade import cascade
from export.cli.options import fill, refuse_unused, windows_of
from export.cli.sources import source_of
from export.cli.train import _conditions, _conditions_of_task, _encoder_settings, _fit_settings, train
from export.data_source import Columns, DataSource, LabelNames
from export.training.settings import (
    HEAD_ALONE,
    DomainSettings,
    EncoderSettings,
    FitSettings,
    Settings,
    TuneSettings,
)
from scorer.base.errors import UsageError
from scorer.rows.input_options import InputOptions


def options(*given: str) -> dict:
    """Return the command's parameters as click reads them."""
    return train.make_context("train", ["-o", "b", *given]).params


def test_without_options_everything_is_as_the_settings_say():
    plain = options()
    assert source_of(plain) == DataSource()
    assert _encoder_settings(plain) == EncoderSettings()
    assert _fit_settings(plain) == FitSettings()
    assert fill(Settings, {**plain, "probes": None, "notes": None}, name="b", precisions=Settings.precisions) == Settings(
        Path("b"), "b"
    )  # fmt: skip


@pytest.mark.parametrize(
    "kind", [CascadeSettings, DataSource, EncoderSettings, FitSettings, HeadSettings, Settings, WideSettings]
)
def test_settings_that_no_option_names_keep_their_defaults(kind):
    given = {"output": Path("b"), "name": "b"} if kind is Settings else {}
    assert fill(kind, {}, **given) == kind(**given)


def test_each_option_reaches_its_setting():
    found = _fit_settings(
        options(
            *("--solver", "adam", "--epochs", "3", "--learning-rate", "0.5", "--batch-size", "7", "--seed", "9"),
            *("--pooling", "mean", "--wide-pairs", "64", "--validation-share", "0.2", "--cache-dir", "c", "-q"),
            *("--cascade-loss", "0.5", "--loss", "huber", "--balance", "--min-precision", "0.9"),
            *("--calibrate", "length"),
        )
    )
    assert found == FitSettings(
        pooling="mean",
        head=HeadSettings(solver="adam", epochs=3, learning_rate=0.5, batch_size=7, seed=9),
        wide=WideSettings(pairs=64),
        cascade=CascadeSettings(loss=0.5),
        loss="huber",
        balance=True,
        calibrate="length",
        min_precision=0.9,
        validation_share=0.2,
        seed=9,
        cache=Path("c"),
        quiet=True,
    )
    names = ("--text-column", "t", "--label-column", "l", "--group-column", "g", "--label-names", "a, b")
    data = ("--dataset", "d", "--dataset-revision", "r", "--dataset-name", "n", "--positive-label", "a")
    assert source_of(options(*names, *data)) == DataSource(
        "d", "r", name="n", columns=Columns("t", "l", "g"), label_names=LabelNames(("a", "b"), "a")
    )
    assert source_of(options("--task", "regression", "--ordered")) == DataSource(
        columns=Columns(task="regression"), ordered=True
    )
    assert source_of(options("--label-separator", ";")).columns == Columns(separator=";")
    given = ("--input-format", "csv", "--delimiter", ";", "--quote-char", "", "--escape-char", "x", "--no-header")
    given += (
        "--skip-initial-space",
        "--comment",
        "#",
        "--skip-lines",
        "2",
        "--ragged",
        "pad",
        "--null",
        "N",
        "--null",
        "-",
    )
    given += ("--allow-empty-files",)
    read = source_of(
        options("--train-file", "a", "--test-file", "b", *given, "--encoding", "utf-16", "--max-record-bytes", "9")
    )
    single = source_of(options("--train-file", "a", "--test-share", "0.3", "--split-by", "s", "--cache-dir", "c"))
    assert single == DataSource(train_files=("a",), test_share=0.3, cache=Path("c"), columns=Columns(split_by="s"))
    assert read == DataSource(
        train_files=("a",),
        test_files=("b",),
        reading=InputOptions(
            "csv", ";", "", "x", True, "#", 2, True, "pad", ("N", "-"), True, encoding="utf-16", max_record_bytes=9
        ),
    )
    encoder = options(
        "--encoder", "e", "--encoder-revision", "r", "--encoder-name", "n", "--max-tokens", "9", "--clean-html"
    )
    assert _encoder_settings(encoder) == EncoderSettings("e", "r", "n", 9, True)
    assert _encoder_settings(options("--clean-text", "--emoji")) == EncoderSettings(clean_text=True, emoji=True)


def test_epochs_and_rates_of_tuning_are_not_those_of_the_head():
    tune = ("--tune-epochs", "5", "--tune-learning-rate", "0.5", "--batch-size", "7", "--seed", "9")
    found = _fit_settings(options("--unfreeze", "2", "--no-wide", *tune))
    assert found.tune == TuneSettings(2, epochs=5, learning_rate=0.5, batch_size=7, seed=9)
    assert found.wide is None
    assert _fit_settings(options("--no-cascade")).cascade is None
    assert _fit_settings(options("--unfreeze", "1")).tune == TuneSettings(1)
    assert _fit_settings(options("--pooling", "attention")).tune == TuneSettings(0, head_learning_rate=HEAD_ALONE)


@pytest.mark.parametrize(
    ("given", "kept"),
    [((), 1024), (("--max-length", "2000"), 2000), (("--no-wide",), 400), (("--no-wide", "--truncation", "tail"), 1024),
     (("--max-tokens", "500"), 500), (("--truncation", "windows"), 400 + 7 * 396),
     (("--truncation", "windows", "--window-stride", "300", "--max-windows", "3", "--no-wide"), 1000)],
)  # fmt: skip
def test_tokens_are_kept_for_what_reads_them(given, kept):
    found = options(*given)
    settings = Settings(
        Path("b"),
        "b",
        _fit_settings(found),
        max_length=found["max_length"],
        truncation=found["truncation"],
        windows=windows_of(found),
    )
    assert _encoder_settings(found).tokens_kept(settings) == kept


def test_every_option_with_a_default_takes_it_from_the_settings():
    shown = {
        one.name: one.default for one in train.params if isinstance(one, click.Option) and one.show_default is True
    }
    assert shown == {
        "encoder": EncoderSettings.name,
        "quote_char": InputOptions.quote_char,
        "skip_lines": InputOptions.skip_lines,
        "ragged": InputOptions.ragged,
        "encoding": InputOptions.encoding,
        "max_record_bytes": InputOptions.max_record_bytes,
        "label_column": Columns.label,
        "similar_labels": LabelNames.similar,
        "max_length": Settings.max_length,
        "truncation": Settings.truncation,
        "max_windows": WindowOptions.most,
        "combine_windows": WindowOptions.combination,
        "pooling": FitSettings.pooling,
        "wide": True,
        "wide_pairs": WideSettings.pairs,
        "cascade": True,
        "cascade_loss": CascadeSettings.loss,
        "cascade_domain_loss": CascadeSettings.domain_loss,
        "domain_power": DomainSettings.power,
        "tune_precision": TuneSettings.number_format,
        "short_epochs": TuneSettings.short_epochs,
        "cascade_most": CascadeSettings.most,
        "unfreeze": 0,
        "tune_epochs": TuneSettings.epochs,
        "tune_learning_rate": TuneSettings.learning_rate,
        "solver": HeadSettings.solver,
        "epochs": HeadSettings.epochs,
        "learning_rate": HeadSettings.learning_rate,
        "seed": FitSettings.seed,
        "baseline": Settings.baseline,
        "precisions": ",".join(Settings.precisions),
        "task": "auto",
        "loss": FitSettings.loss,
        "calibrate": FitSettings.calibrate,
        "device": FitSettings.device,
    }


def test_cascade_takes_the_options_of_train_that_it_shares():
    of_train = {one.name: one for one in train.params}
    own = {one.name for one in cascade.params if of_train.get(one.name) is not one and one.name not in of_train}
    assert own == {"bundle"}
    given = ["b", "-o", "c", "--train-file", "a", "--test-file", "t", "--label-names", "x,y", "--positive-label", "x"]
    source = source_of(cascade.make_context("cascade", given).params)
    assert source == DataSource(train_files=("a",), test_files=("t",), label_names=LabelNames(("x", "y"), "x"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--no-wide", "--cascade"), "--cascade has an effect only with --wide."),
        (("--no-wide", "--cascade-loss", "1"), "--cascade-loss has an effect only with --wide and --cascade."),
        (("--no-cascade", "--cascade-loss", "1"), "--cascade-loss has an effect only with --wide and --cascade."),
        (("--no-wide",), None),
        (("--no-wide", "--no-cascade"), None),
        (("--cascade-loss", "1"), None),
    ],
)
def test_options_of_the_cascade_are_refused_where_there_is_none(given, message):
    with train.make_context("train", ["-o", "b", *given]) as context:
        if message is None:
            refuse_unused(_conditions(context.params))
        else:
            with pytest.raises(UsageError, match=message):
                refuse_unused(_conditions(context.params))


MULTI, NUMBERS, SINGLE = (("--task", task) for task in ("multi_label", "regression", "single_label"))


@pytest.mark.parametrize(
    ("given", "task", "message"),
    [
        ((*SINGLE, "--label-separator", "|"), "single_label", "--label-separator has an effect only with --task multi_label."),
        ((*NUMBERS, "--min-precision", "0.9"), "regression", "--min-precision has an effect only with --task multi_label."),
        ((*MULTI, "--loss", "huber"), "multi_label", "--loss has an effect only with --task regression."),
        ((*NUMBERS, "--label-names", "a"), "regression", "--label-names has an effect only on labels, and these are numbers."),
        ((*NUMBERS, "--ordered"), "regression", "--ordered has an effect only where each text has one label."),
        (("--balance",), "multi_label", "--balance has an effect only where each text has one label."),
        (("--positive-label", "a"), "multi_label", "--positive-label has an effect only where each text has one label."),
        (("--cascade",), "multi_label", "--cascade has an effect only where each text has one label."),
        (("--cascade-loss", "1"), "regression", "--cascade-loss has an effect only where each text has one label."),
        (("--no-cascade",), "regression", None),
        ((*MULTI, "--label-separator", "|", "--min-precision", "0.9", "--label-names", "a,b"), "multi_label", None),
        ((*NUMBERS, "--loss", "huber"), "regression", None),
        (("--ordered", "--balance", "--cascade", "--label-names", "1,2"), "single_label", None),
    ],
)  # fmt: skip
def test_options_of_another_task_are_refused(given, task, message):
    with train.make_context("train", ["-o", "b", *given]) as context:
        conditions = _conditions_of_task(context.params, task)
        if message is None:
            refuse_unused(conditions)
        else:
            with pytest.raises(UsageError) as caught:
                refuse_unused(conditions)
            assert str(caught.value) == message
