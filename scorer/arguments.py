"""What the command `score` was asked for."""

from dataclasses import dataclass
from typing import Any

from scorer.errors import UsageError
from scorer.gpu import parse_devices


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
    from scorer.cli import command  # which imports this module

    context = command.make_context("score", [], resilient_parsing=True, auto_envvar_prefix=None)
    return Arguments(**{**context.params, **given})
