"""Options that several commands share, and settings dataclasses filled from options by field name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from export.data_source import Columns
from export.errors import ExportError
from scorer.base.errors import UsageError
from scorer.base.extras import install_advice
from scorer.base.shortage import memory_left, out_of_memory
from scorer.cli.options import together
from scorer.rows.input_options import InputOptions
from scorer.storage.address import refuse_credentials
from scorer.storage.inputs import STDIN

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Kind = TypeVar("Kind", bound=DataclassInstance)

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_LIBRARIES = ("torch", "transformers", "datasets", "onnx", "safetensors", "sklearn", "scipy", "matplotlib")

# Address space that was taken after they were imported, on two cores; OpenBLAS takes more for each core.
_LEAST_BYTES_WITH_PYTORCH = 2_300_000_000
_LEAST_BYTES = 900_000_000

READ_AS_SCORE = "As an input of `score`: CSV, TSV, JSONL or Parquet, a glob, a folder, an address, or - for stdin."

QUIET = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
THREADS = click.option(
    "--threads", type=click.IntRange(1), metavar="N", help="Default: every core this process may use."
)
TEXT_COLUMN = click.option(
    "--text-column", metavar="COLUMN", help="Default: the one called text, review, content, body or comment."
)
LABEL_COLUMN = click.option(
    "--label-column", default=Columns.label, show_default=True, metavar="COLUMN", help="The column of the labels."
)
LABEL_NAMES = click.option("--label-names", metavar="A,B,...", help="Names for the raw labels, in their sorted order.")
GROUP_COLUMN = click.option(
    "--group-column", metavar="COLUMN", help="Give figures by its values, too; default: rating where there is one."
)


LABELLED_COLUMNS = together(TEXT_COLUMN, LABEL_COLUMN, LABEL_NAMES, GROUP_COLUMN)


def fill(
    kind: "type[Kind]", options: Mapping[str, Any], names: Mapping[str, str] | None = None, /, **given: Any
) -> "Kind":
    """Fill the fields of a settings dataclass from the options of the same names.

    Args:
        kind: the dataclass.
        options: values by option; None keeps the field's default.
        names: options of other names, by field.
        given: values of fields that no option holds.

    >>> fill(Columns, {"text": "body", "label": None, "stars": 5, "quiet": True}, {"group": "stars"})
    Columns(text='body', label='label', group=5, fixed=False)
    """
    by_field = {one.name: one.name for one in fields(kind) if one.name in options} | dict(names or {})
    found = {field: options[option] for field, option in by_field.items() if options[option] is not None}
    return kind(**(found | given))


def columns_of(options: Mapping[str, Any]) -> Columns:
    """Return the columns that --text-column, --label-column and --group-column name."""
    return fill(Columns, options, {"text": "text_column", "label": "label_column", "group": "group_column"})


def require_libraries(*, pytorch: bool = True) -> None:
    """Refuse to go on without libraries, or without memory to load them; none is imported.

    OpenBLAS, which comes with them, does not end where it finds too little address space: it asks for it again for ever.

    Args:
        pytorch: PyTorch and transformers are going to be loaded, and not only scikit-learn.

    Raises:
        ExportError: some are not installed.
        OutOfMemory: the limits of this process leave too little.
    """
    left, least = memory_left(), _LEAST_BYTES_WITH_PYTORCH if pytorch else _LEAST_BYTES
    if left is not None and left < least:
        raise out_of_memory(
            f"the libraries of this command take at least {least / 1e9:.1f} GB to be loaded, and {left / 1e9:.1f} GB are left"
        )
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise ExportError(f"this command needs {', '.join(missing)}, not installed here: {install_advice('export')}.")


def check_inputs(given: Mapping[str, str | None], reading: InputOptions) -> dict[str, tuple[str, ...]]:
    """Find input files before anything heavy is imported.

    Args:
        given: inputs by option, as `score` takes them; None where the option is missing.
        reading: how they are read.

    Returns:
        the files of each option that is given.

    Raises:
        UsageError: one is missing, of no known format, or stdin twice.
    """
    refuse_credentials(given.values())
    from scorer.run.console import tell_left_out  # numpy takes a moment that --help need not wait for

    inputs = {option: reading.inputs([name]) for option, name in given.items() if name is not None}
    for one in inputs.values():
        tell_left_out(one.left_out)
    found = {option: one.files for option, one in inputs.items()}
    from_stdin = [option for option, files in found.items() if STDIN in files]
    if len(from_stdin) > 1:
        raise UsageError(f"stdin (-) can be read once: {' and '.join(from_stdin)} cannot both be it.")
    return found


def split_names(given: str | None) -> tuple[str, ...] | None:
    """Split names at commas.

    >>> split_names("bad, good")
    ('bad', 'good')
    """
    return tuple(name.strip() for name in given.split(",")) if given is not None else None


@dataclass(frozen=True)
class Condition:
    """A condition without which some options do nothing.

    Attributes:
        met: the condition holds.
        words: the condition in words, as in "with --wide".
        options: names of these options' parameters.
    """

    met: bool
    words: str
    options: tuple[str, ...]


def refuse_unused(conditions: Iterable[Condition]) -> None:
    """Refuse options on the command line that would do nothing.

    Raises:
        UsageError: the first option whose condition is not met.
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
            raise UsageError(f"{option} does something only {condition.words}.")


def use_threads(threads: int | None) -> None:
    """Set the number of PyTorch's threads; None for every usable core."""
    import torch

    from scorer.base.cores import usable_cores

    torch.set_num_threads(threads or usable_cores())
