"""The options of the commands: kinds that click has not, and those of `score` in groups that other commands take too."""

import math
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from scorer.base.errors import UsageError
from scorer.cli.program import note_debug, note_log_format
from scorer.engine.gpu import BATCH_TOKENS, are_devices
from scorer.run.options import DEFAULTS, Band, Devices, Shard

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
Decorator = Callable[[_Decorated], _Decorated]


class OneRun(click.Option):
    """An option that says what a single run is for; a file that every run reads has no say in it."""


class MayBeEmpty(click.Option):
    """An option for which empty means something, in the environment too, where click takes it for not set."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        name = f"{ctx.auto_envvar_prefix}_{str(self.name).upper()}"
        return "" if os.environ.get(name) == "" else super().resolve_envvar_value(ctx)


class Number(click.FloatRange):
    """A number in a range; nan, which is neither below nor above one, is none, nor is an infinite one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            most = "" if self.max is None else f"<={self.max:g}"
            self.fail(f"{number} is not in the range {self.min:g}<=x{most}.", param, ctx)
        return number


SHARE = Number(0, 1)


class BandType(click.ParamType):  # type: ignore[type-arg]
    """``LOW,HIGH`` as a `Band`.

    >>> BandType().convert("0.4,0.6", None, None)
    Band(low=0.4, high=0.6)
    """

    name = "band"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Band:
        if isinstance(value, Band):
            return value
        try:
            low, high = map(float, value.split(","))
        except ValueError as error:
            raise UsageError(f"--uncertain takes LOW,HIGH, as in 0.4,0.6, not {value!r}.") from error
        return Band(low, high)


class ShardType(click.ParamType):  # type: ignore[type-arg]
    """``I/N`` as a `Shard`.

    >>> ShardType().convert("2/8", None, None)
    Shard(index=2, count=8)
    """

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Shard:
        if isinstance(value, Shard):
            return value
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", value)
        if match is None:
            raise UsageError(f"--shard takes I/N, as in 1/8 for the first of eight, not {value!r}.")
        shard = Shard(int(match[1]), int(match[2]))
        if not 1 <= shard.index <= shard.count:
            raise UsageError(
                f"--shard {value}: I goes from 1 to N. A scheduler that counts from 0 needs one more: "
                "--shard $((SLURM_ARRAY_TASK_ID + 1))/$SLURM_ARRAY_TASK_COUNT"
            )
        return shard


class DevicesType(click.ParamType):  # type: ignore[type-arg]
    """``0,2`` as `Devices`.

    >>> DevicesType().convert("0, 2", None, None)
    (0, 2)
    """

    name = "devices"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Devices:
        if isinstance(value, Devices):
            return value
        try:
            found = Devices(int(number) for number in value.split(","))
        except ValueError:
            found = Devices()
        if not found or not are_devices(found):
            raise UsageError(
                f"--devices takes the numbers of different GPUs, as in 0,1 for the first two, not {value!r}."
            )
        return found


# What the shell completes (`_SCORE_COMPLETE=bash_source score` prints how, for bash). Choices and names of options click
# knows by itself. Names are left to the shell, which knows about quoting and ~; a type of click's would check them as well,
# and say something else than this program does about a file that is missing.


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The shell's own completion of files."""
    return _by_the_shell("file", incomplete)


def folders(context: click.Context, parameter: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The shell's own completion of folders."""
    return _by_the_shell("dir", incomplete)


def _by_the_shell(kind: str, incomplete: str) -> list["CompletionItem"]:
    from click.shell_completion import CompletionItem  # only where something is completed

    return [CompletionItem(incomplete, type=kind)]


def option(*declarations: str, **settings: Any) -> Decorator[Any]:
    """An option of `score`: click's, with the default of the field of `ScoreOptions` that it is called like."""
    long = next(name for name in declarations if name.startswith("--"))
    default = getattr(DEFAULTS, long.removeprefix("--").replace("-", "_"))
    # click tells an option without a default from one whose default is nothing.
    known = {} if default is None or default == () else {"default": default}
    return click.option(*declarations, **{**known, **settings})


def together(*options: Decorator[Any]) -> Decorator[Any]:
    """Several options as one decorator, in this order in the help."""

    def decorate(command: Any) -> Any:
        for one in reversed(options):
            command = one(command)
        return command

    return decorate


INPUT_FORMAT = option(
    "--input-format",
    metavar="FORMAT",
    help="csv, tsv, jsonl, ndjson or parquet, with .gz or .zst if compressed; default: by extension. Needed for stdin (-).",
)

MODEL_AND_INPUT = together(
    option(
        "--model",
        shell_complete=folders,
        metavar="FOLDER",
        help="A bundle from `score-model train`; default: the one that comes with the package.",
    ),
    INPUT_FORMAT,
)

COLUMNS = together(
    option(
        "--text",
        metavar="COLUMN",
        help="The column to score; default: the one called text, review, content, body or comment.",
    ),
    option(
        "--keep",
        multiple=True,
        metavar="COLUMN",
        help="Pass a column through to the output; repeatable, '*' for all of the first record.",
    ),
    option(
        "--threshold",
        type=SHARE,
        metavar="P",
        help="Of two labels, give the positive one from this probability of it on; default: 0.5.",
    ),
    option(
        "--uncertain",
        type=BandType(),
        metavar="LOW,HIGH",
        help="Give the label `uncertain` where the positive label's probability is LOW or more and below HIGH.",
    ),
    option(
        "--details",
        is_flag=True,
        help="Add tokens, truncated, the stage of a cascade, and a score_<label> for each label.",
    ),
)

ESCAPE_FORMULAS = option(
    "--escape-formulas",
    is_flag=True,
    help="CSV and TSV for spreadsheets: put ' before passed-through values that begin with = + - @, tab or CR.",
)

DIALECT = together(
    option(
        "--delimiter",
        metavar="CHAR",
        help="Of CSV input; default: comma, a tab for tsv.  [one character; \\t is a tab]",
    ),
    option(
        "--quote-char",
        cls=MayBeEmpty,
        show_default=True,
        metavar="CHAR",
        help="Of CSV input; '' where quotes mean nothing.",
    ),
    option("--escape-char", cls=MayBeEmpty, metavar="CHAR", help="Of CSV input; default: none."),
    option("--no-header", is_flag=True, help="The CSV input has no header; its columns are column_1, column_2, ..."),
    option("--encoding", show_default=True, help="Of the input; never guessed."),
)

MAX_RECORD_BYTES = option(
    "--max-record-bytes",
    type=click.IntRange(1, (1 << 31) - 1),
    show_default=True,
    metavar="N",
    help="Reject a longer record.",
)

READING = together(INPUT_FORMAT, DIALECT, MAX_RECORD_BYTES)
"""All that says how inputs are read; `scorer.rows.input_options` takes it."""

LIMITS = together(
    option("--max-rejects", type=click.IntRange(0), metavar="N", help="Publish nothing if more records are rejected."),
    option("--max-reject-ratio", type=SHARE, metavar="R", help="The same for a share of all records."),
    option("--strict", is_flag=True, help="The same as --max-rejects 0."),
    option(
        "--max-drift",
        type=Number(0),
        metavar="X",
        help="End with exit code 3 if scores, lengths or unknown word pieces differ more from the model's test data: their population stability index; 0.1 is a good limit.",
    ),
    MAX_RECORD_BYTES,
)

PROVIDER = together(
    option(
        "--work-dir",
        shell_complete=folders,
        metavar="FOLDER",
        help="Where work is kept whose output goes to a store (s3://, gs://); default: ~/.local/state/review-scorer.",
    ),
    option(
        "--provider",
        type=click.Choice(["auto", "cpu", "cuda"]),
        show_default=True,
        help="What computes; cuda never falls back.",
    ),
    option(
        "--precision",
        show_default=True,
        metavar="NAME",
        help="fp32, fp16, int8; auto: what the bundle names for the provider.",
    ),
    option(
        "--no-cascade",
        is_flag=True,
        help="Give every text to the encoder, also those of which the bundle's wide part alone is sure.",
    ),
)

GPU_MEMORY = together(
    option(
        "--batch-tokens",
        type=click.IntRange(1, 1 << 24),
        metavar="N",
        help=f"Padded tokens of a batch on cuda; default: what the bundle says, else {BATCH_TOKENS}. Lowered where memory is short.",
    ),
    option(
        "--gpu-mem-limit",
        type=click.IntRange(1, 1 << 24),
        metavar="MB",
        help="The most memory to take on the GPU; default: as much as is needed.",
    ),
    option(
        "--arena-strategy",
        type=click.Choice(["same-as-requested", "next-power-of-two"]),
        show_default=True,
        help="How the memory taken on the GPU grows.",
    ),
)

DEBUG = option("--debug", is_flag=True, callback=note_debug, help="Show a traceback with an error.")

MESSAGES = together(
    option(
        "--log-format",
        is_eager=True,
        type=click.Choice(["text", "json"]),
        show_default=True,
        callback=note_log_format,
        help="How messages on stderr are written; json is an object a line.",
    ),
    option("-q", "--quiet", is_flag=True, help="No progress and no summary on stderr; errors still."),
    DEBUG,
)
