"""Records of runs, read again: the JSON of --summary."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scorer.base.errors import ExitCode, UsageError
from scorer.model.decision import UNCERTAIN
from scorer.model.typed import is_of
from scorer.report.summary_file import NotAnObject, json_object, kind_of
from scorer.run.options import ScoreOptions
from scorer.run.record import FORMAT_VERSION, ShardRows
from scorer.storage.address import is_address


@dataclass(frozen=True)
class RecordedFile:
    """File of a run, as its record describes it.

    Attributes:
        path: its name at that time.
        bytes: its size; None if the run did not read it to its end.
        sha256: its digest in hexadecimal; None as above.
    """

    path: str
    bytes: int | None
    sha256: str | None


@dataclass(frozen=True)
class Recorded:
    """Record of a run that published its output.

    Attributes:
        options: options of the run.
        inputs: input files, in order.
        output, rejects, uncertain, explained: published files; None for one that the run did not write.
        bundle: name of the bundle.
        bundle_id: id of the bundle.
        provider, precision: what the run computed with.
        rows_in, rows_scored, rows_rejected: numbers of records.
        rejected: number of rejects by reason.
        labels: number of rows by label.
        rows_without_label, rows_uncertain, duplicates, rows_truncated, rows_from_cache: numbers of scored records.
        shard: rows of the shard; None without --shard.
        versions: versions of this program and its libraries, by name.
        host: name of the machine.
        cpu_features: instruction sets of its CPU; None if the record does not name them.
    """

    options: ScoreOptions
    inputs: tuple[RecordedFile, ...]
    output: RecordedFile
    rejects: RecordedFile | None
    uncertain: RecordedFile | None
    explained: RecordedFile | None
    bundle: str
    bundle_id: str
    provider: str
    precision: str
    rows_in: int
    rows_scored: int
    rows_rejected: int
    rejected: Mapping[str, int]
    labels: Mapping[str, int]
    rows_without_label: int
    rows_uncertain: int
    duplicates: int
    rows_truncated: int
    rows_from_cache: int
    shard: ShardRows | None
    versions: Mapping[str, str]
    host: str
    cpu_features: tuple[str, ...] | None

    @property
    def first_row(self) -> int:
        """Number of the first row."""
        return 1 if self.shard is None else self.shard.first

    @property
    def rows(self) -> range:
        """Numbers of all rows, rejects included."""
        return range(self.first_row, self.first_row + self.rows_in)

    @property
    def unhashed(self) -> str | None:
        """Name of a file without size and SHA-256, of which such a run always records both; None if all have them."""
        published = [one for one in (self.output, self.rejects, self.uncertain, self.explained) if one is not None]
        reads_all = self.options.limit is None and self.options.shard is None
        known = (*published, *(self.inputs if reads_all else ()))
        return next((one.path for one in known if one.sha256 is None), None)

    @property
    def contradiction(self) -> str | None:
        """Description of numbers that contradict each other, as no run writes them; None if all agree."""
        if self.rows_in != self.rows_scored + self.rows_rejected:
            return f"{self.rows_in:,} rows read are not {self.rows_scored:,} scored and {self.rows_rejected:,} rejected ones"
        if self.rows_rejected != sum(self.rejected.values()):
            return f"{self.rows_rejected:,} rejects are not the {sum(self.rejected.values()):,} by reason"
        if (self.rejects is None) != (self.rows_rejected == 0):
            return f"{self.rows_rejected:,} rejects, and {'no' if self.rejects is None else 'a'} rejects file"
        for name in ("duplicates", "rows_truncated", "rows_from_cache"):
            if not 0 <= getattr(self, name) <= self.rows_scored:
                return f"{name} is {getattr(self, name):,}, of {self.rows_scored:,} scored rows"
        uncertain = self.labels.get(UNCERTAIN, 0) if self.options.decision.has_doubt else 0
        if self.rows_uncertain != uncertain:
            return f"rows_uncertain is {self.rows_uncertain:,}, but {uncertain:,} by label"
        if (self.shard is None) != (self.options.shard is None):
            return "only one of `shard` and the option --shard is set"
        if self.shard is not None and self.options.shard is not None:
            if self.options.shard.rows(self.shard.total) != (self.shard.first, self.shard.last):
                return f"shard {self.options.shard} of {self.shard.total:,} rows has other rows"
            if len(self.rows) != self.shard.last - self.shard.first + 1:
                return f"the shard's rows are not the {self.rows_in:,} that were read"
        return None


def read_record(path: str) -> Recorded:
    """Read the record of a run that published its output to a file.

    Args:
        path: name or address of the file.

    Raises:
        UsageError: the file is no such record, or is of a newer version of this program.
        ScorerError: the file cannot be read.
    """
    if not is_address(path) and not os.path.isfile(path):
        raise UsageError(f"--summary {path} {'is not a regular file' if os.path.exists(path) else 'does not exist'}.")
    try:
        content = json_object(path)
    except NotAnObject as error:
        raise UsageError(
            f"{path} is not the record of a run; name the JSON file that `score --summary` wrote."
        ) from error
    if kind_of(content) == "score-ray":
        raise UsageError(
            f"{path} is the record of `score-ray`. It describes many outputs; only those of `score` can be verified."
        )
    if kind_of(content) == "plan":
        raise UsageError(
            f"{path} is the summary of `score --plan`, which publishes no output. Name the JSON file that --summary wrote in the "
            "run itself."
        )
    if content.get("format_version") != FORMAT_VERSION:
        raise UsageError(
            f"{path} is not the record of a run that this version knows: its format_version is "
            f"{str(content.get('format_version'))[:20]}, not {FORMAT_VERSION}. Name the JSON file that `score --summary` wrote."
        )
    if content.get("published") is not True or content.get("exit_code") not in (ExitCode.DONE, ExitCode.WARNINGS):
        raise UsageError(
            f"{path} is the record of a run that published nothing (exit code {str(content.get('exit_code'))[:20]}), so there "
            "is no output to verify. Name the record that belongs to the output."
        )
    return _recorded(content, path)


def _recorded(content: Mapping[str, Any], path: str) -> Recorded:
    def take(key: str, hint: Any, record: Mapping[str, Any] = content) -> Any:
        value = record.get(key)
        if not is_of(value, hint):
            raise UsageError(f"{path} is damaged: {key} is {str(value)[:100]!r}. Get the file again.")
        return value

    def file(record: Mapping[str, Any] | None) -> RecordedFile | None:
        if record is None:
            return None
        path, sha256 = take("path", str, record), take("sha256", str | None, record)
        return RecordedFile(path, None if sha256 is None else take("bytes", int, record), sha256)

    def rows_of(record: Mapping[str, Any] | None) -> ShardRows | None:
        if record is None:
            return None
        return ShardRows(*(take(key, int, record) for key in ("rows_of_all_shards", "first_row", "last_row")))

    bundle, host = take("bundle", Mapping[str, Any]), take("host", Mapping[str, Any])
    output = file(take("output", Mapping[str, Any]))
    assert output is not None, "it is a mapping"
    features = take("cpu_features", list[str] | None, host)
    inputs = take("inputs", list[Mapping[str, Any]])
    if not inputs:
        raise UsageError(f"{path} is damaged: inputs is '[]', but every run has one. Get the file again.")
    arguments = take("arguments", Mapping[str, Any])
    try:
        options = ScoreOptions.from_json({name.replace("-", "_"): value for name, value in arguments.items()})
    except UsageError as error:
        newer = f"it was written by version {take('versions', Mapping[str, Any]).get('review-scorer')}"
        raise UsageError(f"{path} has arguments that cannot be repeated here ({newer}): {error}") from error
    return Recorded(
        options=options,
        inputs=tuple(filter(None, map(file, inputs))),
        output=output,
        rejects=file(take("rejects", Mapping[str, Any] | None)),
        uncertain=file(take("uncertain_rows", Mapping[str, Any] | None)),
        explained=file(take("explained_rows", Mapping[str, Any] | None)),
        bundle=take("name", str, bundle),
        bundle_id=take("id", str, bundle),
        provider=take("provider", str),
        precision=take("precision", str),
        rows_in=take("rows_in", int),
        rows_scored=take("rows_scored", int),
        rows_rejected=take("rows_rejected", int),
        rejected=take("rows_rejected_by_reason", Mapping[str, int]),
        labels=take("labels", Mapping[str, int]),
        rows_without_label=take("rows_without_label", int),
        rows_uncertain=take("rows_uncertain", int),
        duplicates=take("duplicates", int),
        rows_truncated=take("rows_truncated", int),
        rows_from_cache=take("rows_from_cache", int),
        shard=rows_of(take("shard", Mapping[str, Any] | None)),
        versions=take("versions", Mapping[str, str]),
        host=take("name", str, host),
        cpu_features=None if features is None else tuple(features),
    )
