"""Options resolved to the plan of a run, with every check that needs neither the model nor a record."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields

from scorer.base.errors import ScorerError, UsageError
from scorer.model.bundle import refuse_file_in_bundle
from scorer.model.decision import Decision
from scorer.rows.columns import Wanted
from scorer.rows.dialect import DELIMITERS
from scorer.rows.explained import explained_beside, is_explained
from scorer.rows.formats import PARQUET, Format, compression_of, format_of
from scorer.rows.input_options import InputOptions, check_decoded
from scorer.rows.reader import Inputs
from scorer.rows.rejects import is_rejects, rejects_beside
from scorer.rows.uncertain import is_uncertain_rows
from scorer.run.limits import Limits
from scorer.run.options import DEFAULTS, MOST_EXPLAINED, ScoreOptions
from scorer.storage.address import is_address
from scorer.storage.inputs import expand, is_repeatable
from scorer.storage.output import STDOUT, check_place, is_stream, lies_in, same_place
from scorer.storage.places import check_apart, check_replaceable

STDERR = "<stderr>"

# Options that affect only CSV and TSV input.
_OF_TEXT = {"input_format", "encoding", "max_record_bytes"}
_OF_CSV = tuple(one.name for one in fields(InputOptions) if one.name not in _OF_TEXT)


@dataclass(frozen=True)
class UncertainFile:
    """File for uncertain rows.

    Attributes:
        place: file or address, as given.
        format: format and compression.
    """

    place: str
    format: Format


@dataclass(frozen=True)
class Plan:
    """Plan of a run, with every option resolved.

    Attributes:
        inputs: input files and options for reading them.
        output: output file or address, as given.
        output_format: format and compression of the output.
        rejects: rejects file or address, or `STDERR`.
        uncertain: file for uncertain rows; None without --uncertain-rows.
        explained: file or address for explained rows; None without --explain.
        wanted: columns of the output.
        decision: rule that turns probabilities into labels.
        limits: limits on rejects and records.
    """

    inputs: Inputs
    output: str
    output_format: Format
    rejects: str
    uncertain: UncertainFile | None
    explained: str | None
    wanted: Wanted
    decision: Decision
    limits: Limits

    def remarks(self, options: ScoreOptions) -> list[str]:
        """Return notes on options that have no effect on this run."""
        kinds = {self.inputs.format_of(path).kind for path in self.inputs.files}
        given = [f"--{name.replace('_', '-')}" for name in _OF_CSV if getattr(options, name) != getattr(DEFAULTS, name)]
        if not given or kinds & DELIMITERS.keys():
            return []
        return [f"{', '.join(given)}: ignored, because no input is CSV or TSV."]


def make_plan(options: ScoreOptions) -> Plan:
    """Check the options and resolve them to a plan.

    Raises:
        UsageError: an option asks for something impossible.
        ScorerError: a file of the run cannot be written.
    """
    if options.max_seconds is not None and not options.plan:
        raise UsageError("--max-seconds is a limit for the forecast of --plan; give both, or neither.")
    check_decoded({"--text": options.text})
    for column in options.keep:
        check_decoded({"--keep": column})
    inputs, output_format = _inputs(options), output_format_of(options)
    rejects = _rejects_place(options)
    _check_place(options.output, options, inputs.files, "--output")
    if rejects != STDERR:
        _check_place(rejects, options, inputs.files, "--rejects")
        _check_stale(rejects)
    uncertain = _uncertain_file(options)
    check_apart(_apart(options))
    if uncertain is not None:
        _check_place(uncertain.place, options, inputs.files, "--uncertain-rows")
        _check_stale_uncertain(uncertain)
    explained = _explained_place(options)
    if explained is not None:
        _check_place(explained, options, inputs.files, "--explain")
        _check_stale_explained(explained, output_format.kind)
    _check_cache(options, inputs.files)
    written = {output_format.kind} | ({uncertain.format.kind} if uncertain is not None else set())
    if options.escape_formulas and not written & DELIMITERS.keys():
        raise UsageError("--escape-formulas needs CSV or TSV output: other formats have no formulas.")
    if options.plan and not all(map(is_repeatable, inputs.files)):
        raise UsageError("--plan needs files: it reads the input before the run, and a stream can be read only once.")
    if options.shard is not None and not all(map(is_repeatable, inputs.files)):
        raise UsageError("--shard needs files: each shard counts all rows first, and a stream can be read only once.")
    return Plan(
        inputs,
        options.output,
        output_format,
        rejects,
        uncertain,
        explained,
        wanted_of(options),
        options.decision,
        limits_of(options),
    )


def check_record_places(options: ScoreOptions) -> None:
    """Check the files of the run's record before anything else, as later errors are written there.

    Raises:
        UsageError: a file would replace an input or another file of the run.
        ScorerError: a file cannot be written.
    """
    given = _of_record(options)
    if not given:
        return
    try:
        inputs = expand(options.inputs).files
    except ScorerError:  # raised again, and recorded, once the plan is made
        inputs = [path for path in options.inputs if is_address(path) or os.path.exists(path)]
    for option, place in given.items():
        _check_place(place, options, inputs, option)
    check_apart({**_apart(options), **given})
    _check_cache_apart(options)


def _check_place(place: str, options: ScoreOptions, inputs: Sequence[str], option: str) -> None:
    """Call `check_place`, and refuse a file that the next run would find among its inputs."""
    check_place(place, list(inputs), option)
    if is_stream(place):
        return
    if not is_address(place):
        refuse_file_in_bundle(place, option)
    for folder in options.inputs:
        if (is_address(folder) or os.path.isdir(folder)) and lies_in(place, folder):
            raise UsageError(
                f"{option} {place} is in the input folder {folder}, so the next run would read it; write elsewhere."
            )


def _check_cache(options: ScoreOptions, inputs: Sequence[str]) -> None:
    """Refuse a cache that is something else, or that the run or the next one would take for one of its files.

    Args:
        options: options of the command.
        inputs: names of the input files.

    Raises:
        UsageError: the cache cannot be used with these options.
    """
    settings = options.cache_settings
    if settings is None:
        return
    settings.check()
    refuse_file_in_bundle(settings.path, "--cache")
    _check_cache_apart(options, inputs)
    refuse_cache_in_inputs(settings.path, options.inputs)


def _check_cache_apart(options: ScoreOptions, inputs: Sequence[str] = ()) -> None:
    """Raise `UsageError` if the cache, or a file that SQLite keeps beside it, is another file of the run."""
    settings = options.cache_settings
    if settings is None:
        return
    places = {same_place(f"{settings.path}{suffix}"): suffix for suffix in ("", "-wal", "-shm", "-journal")}
    others = {**_apart(options), **_of_record(options)}
    for option, other in (*others.items(), *(("the input", path) for path in inputs)):
        suffix = None if is_stream(other) else places.get(same_place(other))
        if suffix:
            raise UsageError(f"{option} {other} is a file that --cache {settings.path} needs; name another.")
        if suffix is not None:
            raise UsageError(f"--cache {settings.path} and {option} are the same file; name another for the cache.")


def refuse_cache_in_inputs(path: str, inputs: Sequence[str]) -> None:
    """Raise `UsageError` if a cache lies in an input folder.

    Args:
        path: file of the cache.
        inputs: inputs as they were given.
    """
    for folder in inputs:
        if os.path.isdir(folder) and lies_in(path, folder):
            raise UsageError(
                f"--cache {path} is in the input folder {folder}, so the next run would read it; put it elsewhere."
            )


def _check_stale(rejects: str) -> None:
    """Refuse an existing file that is not a rejects file: a run without rejects deletes it."""
    if not is_address(rejects):
        compression = compression_of(rejects)
        check_replaceable(
            rejects, "--rejects", "rejects file", lambda stream: is_rejects(stream, compression), overwrite=None
        )


def _check_stale_uncertain(file: UncertainFile) -> None:
    """Refuse an existing file that has no uncertain rows: a run in which nothing is uncertain deletes it."""
    if not is_address(file.place):
        check_replaceable(
            file.place,
            "--uncertain-rows",
            "list of uncertain rows",
            lambda stream: is_uncertain_rows(stream, file.format),
            overwrite=None,
        )


def _check_stale_explained(place: str, kind: str) -> None:
    """Refuse an existing file that has no explained rows: a run in which no row is explained deletes it."""
    if not is_address(place):
        check_replaceable(
            place, "--explain", "list of explained rows", lambda stream: is_explained(stream, kind), overwrite=None
        )


def _explained_place(options: ScoreOptions) -> str | None:
    if not options.explain:
        return None
    if not 0 < options.explain <= MOST_EXPLAINED:
        raise UsageError(f"--explain {options.explain} is not between 0 and {MOST_EXPLAINED:,}.")
    if is_stream(options.output):
        raise UsageError(
            f"--explain writes a file beside the output, but --output {options.output} is a stream; name a file."
        )
    return explained_beside(options.output, output_format_of(options).kind)


def _uncertain_file(options: ScoreOptions) -> UncertainFile | None:
    place = options.uncertain_rows
    if place is None:
        return None
    if not options.decision.has_doubt:
        raise UsageError("--uncertain-rows needs --max-error or --uncertain, which decide the rows that are uncertain.")
    if is_stream(place):
        what = "folder" if os.path.isdir(place) else "stream"
        raise UsageError(f"--uncertain-rows {place} is a {what}; name a file, such as uncertain.csv.")
    advice = f"--uncertain-rows {place}: people edit text files; name a .csv, .tsv or .jsonl file (also .gz or .zst)."
    try:
        form = format_of(place, None, "--uncertain-rows")
    except UsageError as error:
        raise UsageError(advice) from error
    if form.kind == PARQUET:
        raise UsageError(advice)
    return UncertainFile(place, form)


def _of_record(options: ScoreOptions) -> dict[str, str]:
    """Return the files of the run's record by option."""
    places = {"--summary": options.summary, "--metrics": options.metrics, "--report": options.report}
    return {option: place for option, place in places.items() if place is not None}


def _apart(options: ScoreOptions) -> dict[str, str]:
    """Return the files of the run's rows by option, which must all be different."""
    places = {"--output": options.output, "--rejects": _rejects_place(options)}
    if options.uncertain_rows is not None:
        places["--uncertain-rows"] = options.uncertain_rows
    with contextlib.suppress(UsageError):  # raised again, and recorded, once the plan is made
        if (explained := _explained_place(options)) is not None:
            places["--explain"] = explained
    return places


def _inputs(options: ScoreOptions) -> Inputs:
    if not options.inputs:
        raise UsageError("name an input, for instance: score reviews.jsonl -o out.csv")
    return options.reading.inputs(options.inputs)


def wanted_of(options: ScoreOptions) -> Wanted:
    """Return the columns that the options ask for."""
    # A field of `Wanted` with the name of an option takes its value.
    return Wanted(**{one.name: getattr(options, one.name) for one in fields(Wanted) if hasattr(options, one.name)})


def limits_of(options: ScoreOptions) -> Limits:
    """Return the limits that the options set."""
    return Limits(
        options.most_rejects, options.max_reject_ratio, all=options.shard is not None, least_rows=options.min_rows
    )


def output_format_of(options: ScoreOptions) -> Format:
    """Return the format and compression of the output.

    Raises:
        UsageError: neither --output-format nor the name of the output names a format.
    """
    if options.output == STDOUT and options.output_format is None:
        return Format("csv")
    return format_of(options.output, options.output_format, "--output-format")


def _rejects_place(options: ScoreOptions) -> str:
    if options.rejects is not None:
        return options.rejects
    return STDERR if is_stream(options.output) else rejects_beside(options.output)
