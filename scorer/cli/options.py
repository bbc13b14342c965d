"""Options that several commands share, and kinds of options that click lacks."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from scorer.cli.help import OTHER, Decorator, Option, group, option, together
from scorer.cli.program import note_debug, note_log_format
from scorer.engine.gpu import BATCH_TOKENS
from scorer.run.options import DEFAULTS, Band, Shard

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class OneRun(Option):
    """An option of a single run, which a file for every run must not set."""


class Whole(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


class Number(click.FloatRange):
    """A finite number in a range; click alone would accept nan, which is neither below nor above it."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            least = f"{self.min:g}{'<' if self.min_open else '<='}x"
            most = "" if self.max is None else f"{'<' if self.max_open else '<='}{self.max:g}"
            self.fail(f"{number} is not in the range {least}{most}.", param, ctx)
        return number


SHARE = Number(0, 1)


class Parsed(click.ParamType):  # type: ignore[type-arg]
    """An option of a kind that knows its own spelling.

    Args:
        kind: class with a method ``parse``.

    >>> Parsed(Shard).convert("2/8", None, None)
    Shard(index=2, count=8)
    """

    def __init__(self, kind: type[Band] | type[Shard]) -> None:
        self.name = kind.__name__.lower()
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Band | Shard:
        return value if isinstance(value, self._kind) else self._kind.parse(value)


# Completion (`_SCORE_COMPLETE=bash_source score` prints the script for bash). Click completes the names of options and
# choices. The shell completes the names of files, since it knows about quoting and ~. A path type of click's would check
# them as well, with another message about a missing file.


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """Leave the completion of a file's name to the shell."""
    return _by_the_shell("file", incomplete)


def folders(context: click.Context, parameter: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """Leave the completion of a folder's name to the shell."""
    return _by_the_shell("dir", incomplete)


def _by_the_shell(kind: str, incomplete: str) -> list["CompletionItem"]:
    from click.shell_completion import CompletionItem  # only needed by completion

    return [CompletionItem(incomplete, type=kind)]


def config_option(load: Callable[..., None], help: str) -> Decorator[Any]:
    """Return the option --config of a command, with `load` as its callback.

    Declare it before all others: it may set --log-format, which click reads early as well.
    """
    return group(
        OTHER,
        option(
            "--config",
            is_eager=True,
            expose_value=False,
            callback=load,
            shell_complete=files,
            show_default="score.toml in the current folder, if it exists",
            metavar="FILE",
            help=help,
        ),
    )


def score_option(*declarations: str, **settings: Any) -> Decorator[Any]:
    """Return the decorator of an option of `score`; its default is that of the field of `ScoreOptions` of its name."""
    long = next(name for name in declarations if name.startswith("--"))
    default = getattr(DEFAULTS, long.removeprefix("--").replace("-", "_"))
    # click distinguishes an option without a default from one whose default is empty.
    known = {} if default is None or default == () else {"default": default}
    return option(*declarations, **{**known, **settings})


def with_cache_off(options: dict[str, Any]) -> dict[str, Any]:
    """Return a command's options; an empty --cache turns off the cache that the environment or score.toml names."""
    if options["cache"] != "":
        return options
    return {**options, "cache": None, "cache_max_rows": None, "cache_read_only": False}


# Titles of the groups of `score`, in the order of its help; `score-ray` has them as well.
INPUT = "Input"
OUTPUT = "Output"
MODEL_AND_LABELS = "Model and labels"
REJECTS = "Rejects and limits"
SPEED = "Speed"
GPU = "GPU"
MESSAGES = "Reports and messages"
FORECAST = "Forecast"

NAMED_TEXT = "the one named text, review, content, body or comment"
"""Default of the options that name the column of the texts."""

ALL_CORES = "every usable core"
"""Default of --threads."""

TEXT = score_option("--text", show_default=NAMED_TEXT, metavar="COLUMN", help="Column with the texts to score.")

INPUT_FORMAT = score_option(
    "--input-format",
    show_default="from the file name",
    metavar="FORMAT",
    help="Format of the input: csv, tsv, jsonl, ndjson or parquet, with .gz or .zst added if compressed (required for stdin).",
)

DIALECT = together(
    score_option(
        "--delimiter",
        show_default="a comma, or a tab for tsv",
        metavar="CHARS",
        help="Character that separates the fields of CSV input, or several (\\t for a tab).",
    ),
    score_option(
        "--quote-char",
        show_default=True,
        metavar="CHAR",
        help="One character that quotes the fields of CSV input ('' if quotes have no meaning).",
    ),
    score_option(
        "--escape-char",
        show_default="none",
        metavar="CHAR",
        help="One character that escapes the next one in CSV input.",
    ),
    score_option(
        "--skip-initial-space", is_flag=True, help="Drop the spaces at the beginning of each field of CSV input."
    ),
    score_option(
        "--skip-lines",
        type=Whole(0),
        show_default=True,
        metavar="N",
        help="Ignore the first N lines of each CSV file, such as titles before the header.",
    ),
    score_option(
        "--comment",
        show_default="none",
        metavar="CHARS",
        help="Ignore lines of CSV input that begin with these characters, where a record would begin.",
    ),
    score_option("--no-header", is_flag=True, help="Read CSV input without a header, as column_1, column_2, ..."),
    score_option(
        "--ragged",
        type=click.Choice(["reject", "pad"]),
        show_default=True,
        help="Reject CSV records whose number of values is not the header's, or pad them: empty values are added to short ones, and dropped at the end of long ones.",
    ),
    score_option(
        "--null",
        multiple=True,
        metavar="MARKER",
        help="Read this value of CSV input as a missing one, such as NULL or \\N; repeatable.",
    ),
    score_option(
        "--allow-empty-files",
        is_flag=True,
        help="Read a CSV file without a header line as one without records if it is empty.",
    ),
    score_option(
        "--encoding", show_default=True, metavar="NAME", help="Encoding of the input, which is never guessed."
    ),
)

MAX_RECORD_BYTES = score_option(
    "--max-record-bytes",
    type=Whole(1, (1 << 31) - 1),
    show_default=True,
    metavar="N",
    help="Reject records longer than N bytes.",
)

READING = together(INPUT_FORMAT, DIALECT, MAX_RECORD_BYTES)
"""Every option of `scorer.rows.input_options.InputOptions`."""

COLUMNS = together(
    score_option(
        "--keep",
        multiple=True,
        metavar="COLUMN",
        help="Copy a column of the input to the output (repeatable; '*' copies all columns of the first record).",
    ),
    score_option(
        "--details",
        is_flag=True,
        help="Add the columns tokens, truncated, stage (with a cascade), those of windows (if long texts are read in them), and score_<label> for each label.",
    ),
    score_option(
        "--escape-formulas",
        is_flag=True,
        help="Put ' before copied CSV and TSV values that a spreadsheet would take for formulas (those that begin with = + - @, tab or CR).",
    ),
)

WORK_DIR = score_option(
    "--work-dir",
    shell_complete=folders,
    show_default="~/.local/state/review-scorer",
    metavar="FOLDER",
    help="Folder for unfinished work if the output goes to a store (s3://, gs://).",
)

CACHE = together(
    score_option(
        "--cache",
        shell_complete=files,
        metavar="FILE",
        help="Take what equal texts got in earlier runs from this file, and add new texts to it (SQLite; holds no text; '' for none).",
    ),
    score_option(
        "--cache-max-rows",
        type=Whole(1),
        metavar="N",
        help="Remove the least recently used texts from the cache beyond N.",
    ),
    score_option(
        "--cache-read-only", is_flag=True, help="Leave the cache as it is; --cache-max-rows then has no effect."
    ),
)

LABELS = together(
    score_option(
        "--model",
        shell_complete=folders,
        show_default="the one installed with the package",
        metavar="FOLDER",
        help="Bundle to score with, as `score-model train` or `import` writes it.",
    ),
    score_option(
        "--threshold",
        type=SHARE,
        show_default="0.5",
        metavar="P",
        help="Give the positive label at or above this probability (two labels only).",
    ),
    score_option(
        "--uncertain",
        type=Parsed(Band),
        metavar="LOW,HIGH",
        help="Give the label `uncertain` if the probability of the positive label is at least LOW and below HIGH (two labels only).",
    ),
    score_option(
        "--max-error",
        type=SHARE,
        metavar="R",
        help="Give the label `uncertain` below the confidence at which at most a share R of the model's held-out texts got a wrong label (0.05 for 5%).",
    ),
)

LIMITS = together(
    score_option(
        "--max-rejects",
        type=Whole(0),
        metavar="N",
        help="Publish nothing if more than N records are rejected.",
    ),
    score_option(
        "--max-reject-ratio",
        type=SHARE,
        metavar="R",
        help="Publish nothing if more than this share of all records is rejected.",
    ),
    score_option("--strict", is_flag=True, help="Publish nothing if any record is rejected, as with --max-rejects 0."),
    score_option(
        "--min-rows",
        type=Whole(0),
        show_default=True,
        metavar="N",
        help="Publish nothing if there are fewer than N records, rejects included.",
    ),
    score_option(
        "--max-drift",
        type=Number(0),
        metavar="X",
        help="End with exit code 3 if scores, lengths or unknown word pieces drift from the model's test data by more than X (population stability index; 0.1 is a good limit).",
    ),
    MAX_RECORD_BYTES,
)

COMPUTING = together(
    score_option(
        "--provider",
        type=click.Choice(["auto", "cpu", "cuda"]),
        show_default=True,
        help="Execution provider of onnxruntime (cuda never falls back to cpu).",
    ),
    score_option(
        "--precision",
        show_default=True,
        metavar="NAME",
        help="Precision to compute in: fp32, fp16, int8, or auto for the bundle's choice for the provider.",
    ),
    score_option(
        "--no-cascade",
        is_flag=True,
        help="Run the encoder on every text, even if the wide part of the bundle alone is sure of the label.",
    ),
)

GPU_MEMORY = together(
    score_option(
        "--batch-tokens",
        type=Whole(1, 1 << 24),
        show_default=f"the bundle's number, or {BATCH_TOKENS}",
        metavar="N",
        help="Padded tokens of a batch on cuda, lowered automatically if the GPU is out of memory.",
    ),
    score_option(
        "--gpu-mem-limit",
        type=Whole(1, 1 << 24),
        show_default="as much as needed",
        metavar="MB",
        help="Limit of the memory to take on the GPU, in megabytes.",
    ),
    score_option(
        "--arena-strategy",
        type=click.Choice(["same-as-requested", "next-power-of-two"]),
        show_default=True,
        help="Growth of the memory taken on the GPU, by as much as requested or to the next power of two.",
    ),
)

DEBUG = score_option("--debug", is_flag=True, callback=note_debug, help="Print a traceback with an error.")

LOGGING = together(
    score_option(
        "--log-format",
        is_eager=True,
        type=click.Choice(["text", "json"]),
        show_default=True,
        callback=note_log_format,
        help="Format of the messages on stderr (json is one object per line).",
    ),
    score_option(
        "-q",
        "--quiet",
        is_flag=True,
        help="Print no progress and no results on stderr, only errors, problems with the cache and --keep columns that no record has (the exit code shows rejects and drift).",
    ),
    DEBUG,
)
