"""Options of `score`: each with its default, and whether it shapes the output."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple, Self, get_type_hints

from scorer.base.errors import UsageError
from scorer.engine.gpu import ARENA_STRATEGY
from scorer.model.typed import check_types
from scorer.rows.dialect import Ragged
from scorer.rows.input_options import InputOptions
from scorer.storage.cache_settings import CacheSettings

if TYPE_CHECKING:
    from scorer.model.decision import Decision


class Band(NamedTuple):
    """Half-open range of probabilities: at least ``low``, below ``high``.

    >>> str(Band(0.4, 1.0))
    '0.4,1'
    """

    low: float
    high: float

    def __str__(self) -> str:
        return ",".join(repr(edge).removesuffix(".0") for edge in self)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``LOW,HIGH``; raise `UsageError` if the text has another form.

        >>> Band.parse("0.4,0.6")
        Band(low=0.4, high=0.6)
        """
        try:
            low, high = map(float, text.split(","))
        except ValueError as error:
            raise UsageError(f"--uncertain takes LOW,HIGH, as in 0.4,0.6, not {text!r}.") from error
        return cls(low, high)


@dataclass(frozen=True)
class Shard:
    """The ``index``-th of ``count`` ranges of records, from 1, for schedulers that start the same command N times."""

    index: int
    count: int

    def rows(self, total: int) -> tuple[int, int]:
        """Return the numbers of its first and last row, from 1; an empty shard's last row is before its first.

        The ranges are contiguous, hold each row once, and differ in length by at most one row.

        >>> [Shard(index, 3).rows(10) for index in (1, 2, 3)]
        [(1, 3), (4, 6), (7, 10)]
        """
        return (self.index - 1) * total // self.count + 1, self.index * total // self.count

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``I/N``; raise `UsageError` if the text has another form, or names no shard.

        >>> Shard.parse("2/8")
        Shard(index=2, count=8)
        """
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if match is None:
            raise UsageError(f"--shard takes I/N, as in 1/8 for the first of eight, not {text!r}.")
        shard = cls(int(match[1]), int(match[2]))
        if not 1 <= shard.index <= shard.count:
            raise UsageError(
                f"--shard {text}: I must be from 1 to N. If the scheduler counts from 0, add 1: "
                "--shard $((SLURM_ARRAY_TASK_ID + 1))/$SLURM_ARRAY_TASK_COUNT"
            )
        return shard


# An option whose value, as given, shapes the output: an interrupted run with another value is not resumed.
_SHAPING = {"shapes_output": True}
# An option that does not, or whose resolved value is in `scorer.run.fingerprint` instead: inputs, rejects, uncertain rows,
# model, provider, precision, cascade, GPU.
_OTHER = {"shapes_output": False}
# Options of earlier versions, which chose only where a run computed; their records are still read.
_REMOVED = frozenset({"devices"})


MOST_EXPLAINED = 1000
"""Largest number of rows that --explain takes."""


@dataclass(frozen=True)
class ScoreOptions:
    """Options of one run, by their long names; see ``score --help``.

    >>> ScoreOptions(inputs=("a.csv",), text="body").provider
    'auto'
    """

    inputs: tuple[str, ...] = field(default=(), metadata=_OTHER)
    output: str = field(default="-", metadata=_OTHER)
    model: str | None = field(default=None, metadata=_OTHER)
    input_format: str | None = field(default=InputOptions.input_format, metadata=_SHAPING)
    output_format: str | None = field(default=None, metadata=_SHAPING)
    text: str | None = field(default=None, metadata=_SHAPING)
    keep: tuple[str, ...] = field(default=(), metadata=_SHAPING)
    threshold: float | None = field(default=None, metadata=_SHAPING)
    uncertain: Band | None = field(default=None, metadata=_SHAPING)
    max_error: float | None = field(default=None, metadata=_SHAPING)
    details: bool = field(default=False, metadata=_SHAPING)
    source: bool = field(default=False, metadata=_SHAPING)
    explain: int = field(default=0, metadata=_SHAPING)
    escape_formulas: bool = field(default=False, metadata=_SHAPING)
    delimiter: str | None = field(default=InputOptions.delimiter, metadata=_SHAPING)
    quote_char: str = field(default=InputOptions.quote_char, metadata=_SHAPING)
    escape_char: str = field(default=InputOptions.escape_char, metadata=_SHAPING)
    skip_initial_space: bool = field(default=InputOptions.skip_initial_space, metadata=_SHAPING)
    comment: str = field(default=InputOptions.comment, metadata=_SHAPING)
    skip_lines: int = field(default=InputOptions.skip_lines, metadata=_SHAPING)
    no_header: bool = field(default=InputOptions.no_header, metadata=_SHAPING)
    ragged: Ragged = field(default=InputOptions.ragged, metadata=_SHAPING)
    null: tuple[str, ...] = field(default=InputOptions.null, metadata=_SHAPING)
    allow_empty_files: bool = field(default=InputOptions.allow_empty_files, metadata=_SHAPING)
    encoding: str = field(default=InputOptions.encoding, metadata=_SHAPING)
    rejects: str | None = field(default=None, metadata=_OTHER)
    uncertain_rows: str | None = field(default=None, metadata=_OTHER)
    max_rejects: int | None = field(default=None, metadata=_OTHER)
    max_reject_ratio: float | None = field(default=None, metadata=_OTHER)
    strict: bool = field(default=False, metadata=_OTHER)
    min_rows: int = field(default=0, metadata=_OTHER)
    max_drift: float | None = field(default=None, metadata=_OTHER)
    max_record_bytes: int = field(default=InputOptions.max_record_bytes, metadata=_SHAPING)
    limit: int | None = field(default=None, metadata=_OTHER)
    shard: Shard | None = field(default=None, metadata=_SHAPING)
    restart: bool = field(default=False, metadata=_OTHER)
    work_dir: str | None = field(default=None, metadata=_OTHER)
    provider: str = field(default="auto", metadata=_OTHER)
    precision: str = field(default="auto", metadata=_OTHER)
    no_cascade: bool = field(default=False, metadata=_OTHER)
    threads: int | None = field(default=None, metadata=_OTHER)
    device_id: int = field(default=0, metadata=_OTHER)
    batch_tokens: int | None = field(default=None, metadata=_OTHER)
    gpu_mem_limit: int | None = field(default=None, metadata=_OTHER)
    arena_strategy: str = field(default=ARENA_STRATEGY, metadata=_OTHER)
    cache: str | None = field(default=None, metadata=_OTHER)
    cache_max_rows: int | None = field(default=None, metadata=_OTHER)
    cache_read_only: bool = field(default=False, metadata=_OTHER)
    check: bool = field(default=False, metadata=_OTHER)
    plan: bool = field(default=False, metadata=_OTHER)
    max_seconds: float | None = field(default=None, metadata=_OTHER)
    price_per_hour: float | None = field(default=None, metadata=_OTHER)
    forecast: str | None = field(default=None, metadata=_OTHER)
    summary: str | None = field(default=None, metadata=_OTHER)
    metrics: str | None = field(default=None, metadata=_OTHER)
    report: str | None = field(default=None, metadata=_OTHER)
    log_format: str = field(default="text", metadata=_OTHER)
    quiet: bool = field(default=False, metadata=_OTHER)
    debug: bool = field(default=False, metadata=_OTHER)

    @property
    def reading(self) -> InputOptions:
        """Options for reading the inputs."""
        return InputOptions(**{one.name: getattr(self, one.name) for one in fields(InputOptions)})

    @property
    def decision(self) -> "Decision":
        """Rule that turns probabilities into labels, checked as far as possible without a model.

        Raises:
            UsageError: --threshold, --uncertain, --max-error and --no-cascade contradict each other, or a value is invalid.
        """
        if isinstance(self.uncertain, str):  # from Python, but spelled as on the command line
            raise UsageError(f"uncertain takes two numbers, as in (0.4, 0.6), not {self.uncertain!r}.")
        from scorer.model.decision import Decision  # numpy is slow to import, and `score --help` does without

        decision = Decision(self.threshold, self.uncertain, self.max_error)
        decision.check((), cascade=not self.no_cascade)
        return decision

    @property
    def cache_settings(self) -> CacheSettings | None:
        """Cache file, and its use; None without --cache.

        Raises:
            UsageError: an option of the cache is given without --cache.
        """
        if self.cache is not None:
            return CacheSettings(self.cache, self.cache_max_rows, self.cache_read_only)
        if self.cache_max_rows is not None or self.cache_read_only:
            option = "--cache-read-only" if self.cache_read_only else "--cache-max-rows"
            raise UsageError(f"{option} needs --cache, which names the file.")
        return None

    @property
    def most_rejects(self) -> int | None:
        """Largest number of rejects; None for no limit."""
        return 0 if self.strict else self.max_rejects

    @property
    def places(self) -> list[str | None]:
        """Values of the options that name files to write."""
        return [self.output, self.rejects, self.uncertain_rows, self.summary, self.metrics, self.report, self.cache]

    def as_json(self) -> dict[str, Any]:
        """Return every option's value in JSON form, by the name of its field."""
        return {one.name: spelled(getattr(self, one.name)) for one in fields(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the options whose `as_json` has these values; those that are missing have their defaults.

        Options of earlier versions that did not shape the output are ignored.

        Raises:
            UsageError: an option is unknown, or a value is not one of it.

        >>> ScoreOptions.from_json({"inputs": ["a.csv"], "shard": "1/2"}).shard
        Shard(index=1, count=2)
        """
        hints = get_type_hints(cls)
        known = {name: value for name, value in values.items() if name not in _REMOVED}
        for name in known:
            if name not in hints:
                raise UsageError(f"this version has no option {name!r}.")
        options = cls(**{name: _parsed(value, hints[name]) for name, value in known.items()})
        try:
            check_types(options)
        except TypeError as error:
            raise UsageError(f"the option {error}.") from error
        return options

    def shaping(self) -> dict[str, Any]:
        """Return the options whose values, as given, shape the output: ``--name`` to value."""
        values = self.as_json()
        return {
            f"--{one.name.replace('_', '-')}": values[one.name] for one in fields(self) if one.metadata["shapes_output"]
        }


def spelled(value: object) -> object:
    """Return an option's value in JSON and TOML form; other than lists, numbers and text, as on the command line.

    >>> spelled(("a", "b")), spelled(Band(0.4, 0.6)), spelled(None)
    (['a', 'b'], '0.4,0.6', None)
    """
    if type(value) is tuple:
        return list(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _parsed(value: Any, hint: object) -> Any:
    """Return an option's value from its JSON form, see `spelled`."""
    if isinstance(value, list):
        return tuple(value)
    for kind in (Band, Shard):
        if isinstance(value, str) and hint == kind | None:
            return kind.parse(value)
    return value


DEFAULTS = ScoreOptions()
