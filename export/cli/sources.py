"""Data, notes and probes that the options of `score-model train` and `cascade` name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.cli.options import Condition, check_inputs, columns_of, fill, split_names
from export.data_source import Columns, DataSource, LabelNames
from scorer.base.errors import UsageError
from scorer.base.task import SINGLE_LABEL, TASKS, Task
from scorer.base.text import alternatives
from scorer.rows.input_options import InputOptions
from scorer.storage.inputs import STDIN

if TYPE_CHECKING:
    from export.data import Dataset, Split
    from export.evaluation.overlap import Overlap

_INPUTS = {"--train-file": "train_file", "--test-file": "test_file", "--probes": "probes"}

_OF_FILES = tuple(one.name for one in fields(InputOptions))

Options = Mapping[str, Any]
"""Values of the command line by parameter."""


def conditions_of_data(options: Options) -> tuple[Condition, ...]:
    """Return the conditions of the options for reading data."""
    return (
        Condition(not options["train_file"], "without --train-file", ("dataset", "dataset_revision")),
        Condition(bool(options["train_file"]), "with --train-file", ("exclude_ids", "domain_column")),
        Condition(is_split(options), "with --train-file and without --test-file", ("test_share", "split_by")),
        Condition(any(options[one] for one in _INPUTS.values()), f"with {alternatives([*_INPUTS])}", _OF_FILES),
    )


def is_split(options: Options) -> bool:
    """Return whether a part of the training files is tested with."""
    return bool(options["train_file"]) and not options["test_file"]


def source_of(options: Options) -> DataSource:
    """Return the labelled texts that the options name.

    Raises:
        UsageError: test files are named without training files.
    """
    names = fill(
        LabelNames,
        options,
        {"positive": "positive_label", "similar": "similar_labels"},
        names=split_names(options["label_names"]),
    )
    by_field = {
        "name": "dataset_name",
        "revision": "dataset_revision",
        "train_files": "train_file",
        "test_files": "test_file",
        "cache": "cache_dir",
    }
    return fill(
        DataSource,
        options,
        {field: option for field, option in by_field.items() if option in options},
        columns=columns_of(options, given_task(options)),
        label_names=names,
        reading=fill(InputOptions, options),
    )


def require_data(source: DataSource) -> None:
    """Raise `UsageError` if no labelled texts are named."""
    if not source.train_files and source.dataset is None:
        raise UsageError(
            "name labelled texts: --train-file FILE with a column of texts and one of labels, or --dataset NAME for a dataset "
            "on the hub."
        )


def given_task(options: Options) -> Task | None:
    """Return the task that --task names; None to judge by the first record of the training file."""
    return next((task for task in TASKS if task == options.get("task")), None)


def find_inputs(options: Options, source: DataSource) -> dict[str, tuple[str, ...]]:
    """Find the files of labelled texts and probes, by option; see `export.cli.options.check_inputs`."""
    return check_inputs({name: options[one] for name, one in _INPUTS.items()}, source.reading)


def overlap_in(dataset: "Dataset", source: DataSource) -> "Overlap":
    """Compare the training texts with the test texts, and the files that hold them."""
    from export.evaluation.overlap import Given, overlap_of

    train = Given("--train-file", source.train_files, source.reading)
    return overlap_of(dataset.train, dataset.test, (train, Given("--test-file", source.test_files, source.reading)))


def named(inputs: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield each input file that has a name, with its option."""
    for option, files in inputs.items():
        yield from ((option, path) for path in files if path != STDIN)


def read_notes(path: Path | None) -> str:
    """Read the Markdown of --notes; empty without that option.

    Raises:
        UsageError: the file is not UTF-8.
    """
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"--notes {path} is not UTF-8: {error}. Save it as UTF-8.") from error


def read_probes(options: Options, labels: tuple[str, ...], task: Task = SINGLE_LABEL) -> "Split | None":
    """Read the texts of --probes, with the columns text, label (as the model names it) and kind.

    Args:
        options: values of the command line.
        labels: label names of the model.
        task: kind of its labels.
    """
    from export.data_files import read_rows
    from export.evaluation.evaluate import number_labels

    if options["probes"] is None:
        return None
    separator = options.get("label_separator")
    columns = Columns("text", group="kind", fixed=True, task=task, separator=separator)
    return number_labels(read_rows(options["probes"], columns, fill(InputOptions, options)), labels, None)
