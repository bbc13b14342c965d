"""Options that several commands share, and settings dataclasses filled from options by field name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from export.classifier.settings import PRECISIONS, WindowOptions
from export.data_source import SIMILAR, SIMILAR_OPTION, Columns, LabelNames
from export.errors import ExportError
from scorer.base.errors import UsageError
from scorer.base.extras import install_advice
from scorer.base.shortage import memory_left, out_of_memory
from scorer.base.task import Task
from scorer.cli.help import group, option, together
from scorer.cli.options import ALL_CORES, NAMED_TEXT, READING, Whole
from scorer.engine.windows import COMBINATIONS
from scorer.rows.input_options import InputOptions
from scorer.storage.address import refuse_credentials
from scorer.storage.inputs import STDIN

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Kind = TypeVar("Kind", bound=DataclassInstance)

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_LIBRARIES = (
    "torch",
    "transformers",
    "datasets",
    "onnx",
    "onnxscript",
    "safetensors",
    "sklearn",
    "scipy",
    "threadpoolctl",
    "matplotlib",
)

# Address space in use after these imports, on two cores; OpenBLAS takes more for each core.
_LEAST_BYTES_WITH_PYTORCH = 2_300_000_000
_LEAST_BYTES = 900_000_000

READ_AS_SCORE = " (CSV, TSV, JSONL or Parquet, a glob, a folder, an address, or - for stdin, as for `score`)"
"""Inputs that an option takes, for the end of its help."""

QUIET = option("-q", "--quiet", is_flag=True, help="Print no progress on stderr.")
THREADS = option("--threads", type=Whole(1), show_default=ALL_CORES, metavar="N", help="Number of CPU threads.")
TEXT_COLUMN = option("--text-column", show_default=NAMED_TEXT, metavar="COLUMN", help="Column with the texts.")

LABEL_COLUMN = option(
    "--label-column", default=Columns.label, show_default=True, metavar="COLUMN", help="Column with the labels."
)

LABELLED_COLUMNS = together(
    TEXT_COLUMN,
    LABEL_COLUMN,
    option("--label-names", metavar="A,B,...", help="New names for the labels of the data, in their sorted order."),
    option(
        "--group-column",
        show_default="rating, if it exists",
        metavar="COLUMN",
        help="Column whose values divide the texts into groups, for figures by group.",
    ),
)

SIMILAR_LABELS = option(
    SIMILAR_OPTION,
    type=click.Choice(SIMILAR),
    default=LabelNames.similar,
    show_default=True,
    help="What to do with labels that differ only by case, blanks or the like, such as Positive and positive: end with an error, make them one, or keep them apart.",
)

DOMAIN_COLUMN = option(
    "--domain-column",
    metavar="COLUMN",
    help="Column with the domain of each text, such as hotels; a file without it is a domain of its own.",
)

LABEL_SEPARATOR = option(
    "--label-separator",
    metavar="CHAR",
    help="Character between the labels of a text that may have any number of them, as in 'late|damaged' (a list of JSONL or Parquet needs none).",
)

WINDOWS = together(
    option(
        "--window-stride",
        type=Whole(1),
        show_default="--max-length less 4, so that windows hardly overlap",
        metavar="N",
        help="Number of tokens from the begin of a window to that of the next one, with --truncation windows: at most --max-length less the special tokens.",
    ),
    option(
        "--max-windows",
        type=Whole(2),
        default=WindowOptions.most,
        show_default=True,
        metavar="N",
        help="Largest number of windows of a text, with --truncation windows; what is beyond is cut.",
    ),
    option(
        "--combine-windows",
        type=click.Choice(COMBINATIONS),
        default=WindowOptions.combination,
        show_default=True,
        help="How the windows of a text give its labels: by the mean of their logits, or by the largest logit of each label, for texts that may have any number of labels.",
    ),
)

_WINDOW_NAMES = {"stride": "window_stride", "most": "max_windows", "combination": "combine_windows"}

READING_FILES = group("Reading files", READING)


def fill(
    kind: "type[Kind]", options: Mapping[str, Any], names: Mapping[str, str] | None = None, /, **given: Any
) -> "Kind":
    """Fill the fields of a settings dataclass from the options of the same names.

    Args:
        kind: dataclass to fill.
        options: values by option; None keeps the default of the field.
        names: options whose names differ from the field's, by field.
        given: values of fields that have no option.

    >>> fill(Columns, {"text": "body", "label": None, "stars": 5, "quiet": True}, {"group": "stars"})
    Columns(text='body', label='label', group=5, domain=None, fixed=False, task=None, separator=None, outputs=1, split_by=None, drop_unlabelled=False)
    """
    by_field = {one.name: one.name for one in fields(kind) if one.name in options} | dict(names or {})
    found = {field: options[option] for field, option in by_field.items() if options[option] is not None}
    return kind(**(found | given))


def windows_of(options: Mapping[str, Any]) -> WindowOptions:
    """Return the options for windows."""
    return fill(WindowOptions, options, _WINDOW_NAMES)


def conditions_of_windows(options: Mapping[str, Any]) -> "tuple[Condition, ...]":
    """Return the conditions of the options for windows, and of the one that they replace."""
    has_windows = options["truncation"] == "windows"
    instead = (
        "without --truncation windows, where --max-length, --max-windows and --window-stride decide how much is kept"
    )
    return (
        Condition(has_windows, "with --truncation windows", tuple(_WINDOW_NAMES.values())),
        Condition(not has_windows, instead, ("max_tokens",)),
    )


_MORE_COLUMNS = {"group": "group_column", "separator": "label_separator", "domain": "domain_column"}


def columns_of(options: Mapping[str, Any], task: Task | None = None) -> Columns:
    """Return the columns that --text-column, --label-column, --group-column and --domain-column name.

    Args:
        options: values by option; --group-column, --label-separator and --domain-column may be among them.
        task: kind of the labels; None to judge by the first record.
    """
    names = {"text": "text_column", "label": "label_column"}
    names |= {field: option for field, option in _MORE_COLUMNS.items() if option in options}
    return fill(Columns, options, names, task=task)


def require_libraries(*, pytorch: bool = True) -> None:
    """Refuse to continue without the libraries, or without memory to load them; import none of them.

    One of them, OpenBLAS, hangs if there is too little address space: it tries again for ever.

    Args:
        pytorch: PyTorch and transformers will be loaded, and not only scikit-learn.

    Raises:
        ExportError: libraries are missing.
        OutOfMemory: the limits of this process leave too little memory.
    """
    left, least = memory_left(), _LEAST_BYTES_WITH_PYTORCH if pytorch else _LEAST_BYTES
    if left is not None and left < least:
        raise out_of_memory(
            f"the libraries of this command need at least {least / 1e9:.1f} GB, and only {left / 1e9:.1f} GB is left"
        )
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise ExportError(f"libraries are missing ({', '.join(missing)}): {install_advice('export')}.")


def check_inputs(given: Mapping[str, str | Sequence[str] | None], reading: InputOptions) -> dict[str, tuple[str, ...]]:
    """Find input files before anything heavy is imported.

    Args:
        given: input or inputs by option, as `score` takes them; None or nothing for a missing option.
        reading: options for reading them.

    Returns:
        the files of each option that was given.

    Raises:
        UsageError: a file is missing or of unknown format, or stdin is named twice.
    """
    names = {
        option: [one] if isinstance(one, str) else [*one] for option, one in given.items() if one not in (None, ())
    }
    refuse_credentials([name for several in names.values() for name in several])
    from scorer.run.console import warn_of_ignored  # it imports numpy, for which --help need not wait

    inputs = {option: reading.inputs(several) for option, several in names.items()}
    for one in inputs.values():
        warn_of_ignored(one.left_out)
    found = {option: one.files for option, one in inputs.items()}
    from_stdin = [option for option, files in found.items() if STDIN in files]
    if len(from_stdin) > 1:
        raise UsageError(f"stdin can be read only once: {' and '.join(from_stdin)} cannot both be -.")
    return found


def split_names(given: str | None) -> tuple[str, ...] | None:
    """Split names at commas.

    >>> split_names("bad, good")
    ('bad', 'good')
    """
    return tuple(name.strip() for name in given.split(",")) if given is not None else None


def chosen_precisions(given: str) -> tuple[str, ...]:
    """Return the precisions that --precisions names.

    Raises:
        UsageError: one of them is unknown, or is named twice.
    """
    chosen = split_names(given) or ()
    unknown = [name for name in chosen if name not in PRECISIONS]
    if unknown or len(set(chosen)) != len(chosen):
        raise UsageError(f"--precisions takes one or more of fp32, fp16 and int8, separated by commas, not {given!r}.")
    return chosen


@dataclass(frozen=True)
class Condition:
    """A condition without which some options have no effect.

    Attributes:
        met: whether the condition holds.
        words: the condition in words, such as "with --wide".
        options: names of the parameters of these options.
    """

    met: bool
    words: str
    options: tuple[str, ...]


def refuse_unused(conditions: Iterable[Condition]) -> None:
    """Refuse options on the command line that would have no effect.

    Raises:
        UsageError: the condition of an option is not met.
    """
    context = click.get_current_context()
    for condition in conditions:
        given = [
            name
            for name in condition.options
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE and not condition.met
        ]
        if given:
            option = next(one for one in context.command.params if one.name == given[0]).opts[0]
            raise UsageError(f"{option} has an effect only {condition.words}.")


def use_threads(threads: int | None) -> None:
    """Set the number of threads of PyTorch; None for every usable core."""
    import torch

    from scorer.base.cores import usable_cores

    torch.set_num_threads(threads or usable_cores())
