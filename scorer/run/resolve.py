"""What a run is going to do: the arguments, checked as far as that takes neither the model nor a record."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from scorer.base.errors import ScorerError, UsageError
from scorer.model.decision import Decision, decide
from scorer.rows.columns import Wanted
from scorer.rows.dialect import DELIMITERS, Dialect
from scorer.rows.encodings import check_encoding
from scorer.rows.formats import Format, format_of
from scorer.rows.reader import Inputs
from scorer.run.limits import Limits
from scorer.run.options import Arguments, Shard, parse_shard
from scorer.storage.address import is_address
from scorer.storage.inputs import expand, is_repeatable
from scorer.storage.output import STDOUT, check_place, is_stream, lies_in, same_place

STDERR = "<stderr>"

# Options that mean something for CSV alone, and what they are where nobody gave them.
_OF_CSV = {"delimiter": None, "quote_char": '"', "escape_char": "", "no_header": False}


@dataclass(frozen=True)
class Plan:
    """A run.

    Attributes:
        inputs: what is read.
        output: where the output goes, as it was given.
        output_format: how it is written.
        rejects: where rejects go; `STDERR`, or a place.
        wanted: the columns.
        decision: how labels are chosen.
        limits: on rejects.
        shard: which part of the input; None for all of it.
    """

    inputs: Inputs
    output: str
    output_format: Format
    rejects: str
    wanted: Wanted
    decision: Decision
    limits: Limits
    shard: Shard | None

    def remarks(self, arguments: Arguments) -> list[str]:
        """What was asked for and means nothing."""
        kinds = {self.inputs.format_of(path).kind for path in self.inputs.files}
        given = [f"--{name.replace('_', '-')}" for name, unset in _OF_CSV.items() if getattr(arguments, name) != unset]
        if not given or kinds & DELIMITERS.keys():
            return []
        return [f"{', '.join(given)}: for CSV and TSV input, which there is none of; left aside."]


def make_plan(arguments: Arguments) -> Plan:
    """Check the arguments.

    Raises:
        UsageError: something that was asked for cannot be done.
        ScorerError: a place for a file cannot be written.
    """
    _check_texts(arguments)
    inputs, output_format = _inputs(arguments), _output_format(arguments)
    rejects = _rejects_place(arguments)
    _check_place(arguments.output, arguments, inputs.files, "--output")
    if rejects != STDERR:
        _check_place(rejects, arguments, inputs.files, "--rejects")
    _check_apart({"--output": arguments.output, "--rejects": rejects})
    if arguments.escape_formulas and output_format.kind not in DELIMITERS:
        raise UsageError("--escape-formulas is for CSV and TSV output: nothing else is taken for formulas.")
    shard = None if arguments.shard is None else parse_shard(arguments.shard)
    if shard is not None and not all(map(is_repeatable, inputs.files)):
        raise UsageError("--shard needs files: each shard counts all rows first, and a stream can be read only once.")
    wanted = Wanted(
        arguments.text,
        arguments.keep,
        arguments.details,
        source=arguments.source,
        escape_formulas=arguments.escape_formulas,
    )
    return Plan(
        inputs,
        arguments.output,
        output_format,
        rejects,
        wanted,
        decide(arguments.threshold, arguments.uncertain),
        Limits(arguments.most_rejects, arguments.max_reject_ratio, all=shard is not None),
        shard,
    )


def check_record_places(arguments: Arguments) -> None:
    """Check where the record of the run goes, before anything else: what is wrong later is written there.

    Raises:
        UsageError: it would take the place of an input, or of another file of the run.
        ScorerError: it cannot be written.
    """
    places = {"--summary": arguments.summary, "--metrics": arguments.metrics, "--report": arguments.report}
    given = {option: place for option, place in places.items() if place is not None}
    if not given:
        return
    try:
        inputs = expand(arguments.inputs)
    except ScorerError:  # which is still to be told, and recorded
        inputs = [path for path in arguments.inputs if is_address(path) or os.path.exists(path)]
    for option, place in given.items():
        _check_place(place, arguments, inputs, option)
    _check_apart({"--output": arguments.output, "--rejects": _rejects_place(arguments), **given})


def _check_place(place: str, arguments: Arguments, inputs: Sequence[str], option: str) -> None:
    """`check_place`, and that the next run of the command will not find the file among its inputs."""
    check_place(place, list(inputs), option)
    if is_stream(place):
        return
    for folder in arguments.inputs:
        if (is_address(folder) or os.path.isdir(folder)) and lies_in(place, folder):
            raise UsageError(
                f"{option} {place} is in the input folder {folder}, so the next run would read it; write elsewhere."
            )


def _check_apart(places: dict[str, str]) -> None:
    """Raise `UsageError` if two options name one file."""
    found: dict[str, str] = {}
    for option, place in places.items():
        if place == os.devnull:
            continue
        before = found.setdefault(same_place(place), option)
        if before != option:
            raise UsageError(f"{option} and {before} are the same file; name another for one of them.")


def _check_texts(arguments: Arguments) -> None:
    """Names and characters are compared with decoded text; bytes that are none can never be found in it."""
    for option in ("text", "delimiter", "quote_char", "escape_char", "keep"):
        given = getattr(arguments, option)
        for text in given if isinstance(given, tuple) else [given or ""]:
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise UsageError(f"--{option.replace('_', '-')} is no text in this terminal's encoding.") from error


def _inputs(arguments: Arguments) -> Inputs:
    if not arguments.inputs:
        raise UsageError("name an input, for instance: score reviews.jsonl -o out.csv")
    files = expand(arguments.inputs)
    for path in files:
        format_of(path, arguments.input_format, "--input-format")
    dialect = Dialect(
        delimiter="\t" if arguments.delimiter == r"\t" else arguments.delimiter,  # a shell does not make it a tab
        quote_char=arguments.quote_char,
        escape_char=arguments.escape_char,
        header=not arguments.no_header,
        encoding=check_encoding(arguments.encoding),
    )
    return Inputs(tuple(files), arguments.input_format, dialect, arguments.max_record_bytes)


def _output_format(arguments: Arguments) -> Format:
    if arguments.output == STDOUT and arguments.output_format is None:
        return Format("csv")
    return format_of(arguments.output, arguments.output_format, "--output-format")


def _rejects_place(arguments: Arguments) -> str:
    if arguments.rejects is not None:
        return arguments.rejects
    return STDERR if is_stream(arguments.output) else f"{arguments.output}.rejects.jsonl"
