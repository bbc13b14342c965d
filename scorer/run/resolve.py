"""Options to a plan of the run, checked as far as that takes neither the model nor a record."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields

from scorer.base.errors import ScorerError, UsageError
from scorer.model.bundle import refuse_file_in_bundle
from scorer.model.decision import Decision
from scorer.rows.columns import Wanted
from scorer.rows.dialect import DELIMITERS
from scorer.rows.formats import Format, compression_of, format_of
from scorer.rows.input_options import check_decoded
from scorer.rows.reader import Inputs
from scorer.rows.rejects import is_rejects
from scorer.run.limits import Limits
from scorer.run.options import DEFAULTS, ScoreOptions
from scorer.storage.address import is_address
from scorer.storage.inputs import expand, is_repeatable
from scorer.storage.output import STDOUT, check_place, is_stream, lies_in
from scorer.storage.places import check_apart, check_replaceable

STDERR = "<stderr>"

# Options that mean something for CSV alone.
_OF_CSV = ("delimiter", "quote_char", "escape_char", "no_header")


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
    """

    inputs: Inputs
    output: str
    output_format: Format
    rejects: str
    wanted: Wanted
    decision: Decision
    limits: Limits

    def remarks(self, options: ScoreOptions) -> list[str]:
        """What was asked for and means nothing."""
        kinds = {self.inputs.format_of(path).kind for path in self.inputs.files}
        given = [f"--{name.replace('_', '-')}" for name in _OF_CSV if getattr(options, name) != getattr(DEFAULTS, name)]
        if not given or kinds & DELIMITERS.keys():
            return []
        return [f"{', '.join(given)}: for CSV and TSV input, which there is none of; left aside."]


def make_plan(options: ScoreOptions) -> Plan:
    """Check the options.

    Raises:
        UsageError: something that was asked for cannot be done.
        ScorerError: a place for a file cannot be written.
    """
    check_decoded({"--text": options.text})
    for column in options.keep:
        check_decoded({"--keep": column})
    inputs, output_format = _inputs(options), _output_format(options)
    rejects = _rejects_place(options)
    _check_place(options.output, options, inputs.files, "--output")
    if rejects != STDERR:
        _check_place(rejects, options, inputs.files, "--rejects")
        _check_stale(rejects)
    check_apart({"--output": options.output, "--rejects": rejects})
    if options.escape_formulas and output_format.kind not in DELIMITERS:
        raise UsageError("--escape-formulas is for CSV and TSV output: nothing else is taken for formulas.")
    if options.shard is not None and not all(map(is_repeatable, inputs.files)):
        raise UsageError("--shard needs files: each shard counts all rows first, and a stream can be read only once.")
    # Every field of `Wanted` that is called like an option is that option.
    wanted = Wanted(**{one.name: getattr(options, one.name) for one in fields(Wanted) if hasattr(options, one.name)})
    return Plan(
        inputs,
        options.output,
        output_format,
        rejects,
        wanted,
        options.decision,
        Limits(options.most_rejects, options.max_reject_ratio, all=options.shard is not None),
    )


def check_record_places(options: ScoreOptions) -> None:
    """Check where the record of the run goes, before anything else: what is wrong later is written there.

    Raises:
        UsageError: it would take the place of an input, or of another file of the run.
        ScorerError: it cannot be written.
    """
    places = {"--summary": options.summary, "--metrics": options.metrics, "--report": options.report}
    given = {option: place for option, place in places.items() if place is not None}
    if not given:
        return
    try:
        inputs = expand(options.inputs).files
    except ScorerError:  # which is still to be told, and recorded
        inputs = [path for path in options.inputs if is_address(path) or os.path.exists(path)]
    for option, place in given.items():
        _check_place(place, options, inputs, option)
    check_apart({"--output": options.output, "--rejects": _rejects_place(options), **given})


def _check_place(place: str, options: ScoreOptions, inputs: Sequence[str], option: str) -> None:
    """`check_place`, and that the next run of the command will not find the file among its inputs."""
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


def _check_stale(rejects: str) -> None:
    """Refuse a file that is no rejects file: one that is there goes away if nothing is rejected."""
    if not is_address(rejects):
        compression = compression_of(rejects)
        check_replaceable(
            rejects, "--rejects", "rejects file", lambda stream: is_rejects(stream, compression), overwrite=None
        )


def _inputs(options: ScoreOptions) -> Inputs:
    if not options.inputs:
        raise UsageError("name an input, for instance: score reviews.jsonl -o out.csv")
    return options.reading.inputs(options.inputs)


def _output_format(options: ScoreOptions) -> Format:
    if options.output == STDOUT and options.output_format is None:
        return Format("csv")
    return format_of(options.output, options.output_format, "--output-format")


def _rejects_place(options: ScoreOptions) -> str:
    if options.rejects is not None:
        return options.rejects
    return STDERR if is_stream(options.output) else f"{options.output}.rejects.jsonl"
