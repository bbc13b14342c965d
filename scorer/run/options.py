"""What the command `score` was asked for."""

import re
from dataclasses import dataclass
from typing import Any

from scorer.base.errors import UsageError
from scorer.engine.gpu import parse_devices


@dataclass(frozen=True)
class Arguments:
    """The command line, one field an option; see ``score --help``."""

    inputs: tuple[str, ...]
    output: str
    model: str | None
    input_format: str | None
    output_format: str | None
    text: str | None
    keep: tuple[str, ...]
    threshold: float | None
    uncertain: str | None
    details: bool
    source: bool
    escape_formulas: bool
    delimiter: str | None
    quote_char: str
    escape_char: str
    no_header: bool
    encoding: str
    rejects: str | None
    max_rejects: int | None
    max_reject_ratio: float | None
    strict: bool
    max_drift: float | None
    max_record_bytes: int
    limit: int | None
    shard: str | None
    restart: bool
    work_dir: str | None
    provider: str
    precision: str
    threads: int | None
    device_id: int
    devices: str | None
    batch_tokens: int | None
    gpu_mem_limit: int | None
    arena_strategy: str
    check: bool
    summary: str | None
    metrics: str | None
    report: str | None
    log_format: str
    quiet: bool
    debug: bool

    @property
    def gpus(self) -> tuple[int, ...]:
        """The numbers of the GPUs to use.

        Raises:
            UsageError: --devices is no list of them, or stands beside --device-id.
        """
        if self.devices is None:
            return (self.device_id,)
        if self.device_id:
            raise UsageError("--devices and --device-id both say which GPU; leave one out.")
        return parse_devices(self.devices)

    @property
    def most_rejects(self) -> int | None:
        """How many records may be rejected; None for any number."""
        return 0 if self.strict else self.max_rejects

    @property
    def places(self) -> list[str | None]:
        """Where something is written to, option by option."""
        return [self.output, self.rejects, self.summary, self.metrics, self.report]


def arguments_of(**given: Any) -> Arguments:
    """The arguments of a `score` command that has only these; the environment and score.toml have no say.

    >>> arguments_of(inputs=("a.csv",), text="body").provider
    'auto'
    """
    from scorer.cli.score import command  # which imports this module

    context = command.make_context("score", [], resilient_parsing=True, auto_envvar_prefix=None)
    return Arguments(**{**context.params, **given})


@dataclass(frozen=True)
class Shard:
    """The ``index``-th of ``count`` ranges of rows, from 1."""

    index: int
    count: int

    def rows(self, total: int) -> tuple[int, int]:
        """Its first and its last row, from 1; the last is before the first where nothing is left for it.

        The ranges follow each other, hold each row once, and differ by one row at most.

        >>> [Shard(index, 3).rows(10) for index in (1, 2, 3)]
        [(1, 3), (4, 6), (7, 10)]
        """
        return (self.index - 1) * total // self.count + 1, self.index * total // self.count


def parse_shard(given: str) -> Shard:
    """``I/N`` as a shard.

    Raises:
        UsageError: it is none.

    >>> parse_shard("2/8")
    Shard(index=2, count=8)
    """
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", given)
    if match is None:
        raise UsageError(f"--shard takes I/N, as in 1/8 for the first of eight, not {given!r}.")
    shard = Shard(int(match[1]), int(match[2]))
    if not 1 <= shard.index <= shard.count:
        raise UsageError(
            f"--shard {given}: I goes from 1 to N. A scheduler that counts from 0 needs one more: "
            "--shard $((SLURM_ARRAY_TASK_ID + 1))/$SLURM_ARRAY_TASK_COUNT"
        )
    return shard
