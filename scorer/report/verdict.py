"""The verdict on a run: one sentence that answers whether its scores can be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scorer.base.errors import ExitCode
from scorer.base.text import counted
from scorer.report.difference import Difference, percent

Level = Literal["good", "look", "bad"]

_MANY = 0.05  # least share of rejects with which the input needs a look before the scores are used
_NAMED = 2  # findings in the sentence

_CAUSES = {
    "invalid_json": "the line is not valid JSON",
    "not_an_object": "the line is not a JSON object",
    "duplicate_key": "a column occurs twice",
    "missing_text": "the text is missing",
    "empty_text": "the text is empty",
    "not_text": "the text is a number or an object",
    "column_count": "the number of columns is wrong",
    "unterminated_quote": "a quote never ends",
    "invalid_encoding": "the bytes are not in the encoding",
    "too_long": "the record is too long",
    "out_of_memory": "the device had no memory for it",
}

_FAILURES = {
    ExitCode.USAGE: "the command or its input does not fit",
    ExitCode.ENVIRONMENT: "the machine or one of its files failed",
    ExitCode.NOT_PUBLISHED: "the input cannot be used",
    ExitCode.REFUSED: "the model cannot be used here",
}


@dataclass(frozen=True)
class Verdict:
    """Answer to the question whether the scores can be used, or whether two outputs agree.

    Attributes:
        level: ``good`` if all is well, ``look`` if somebody has to look first, ``bad`` if there is nothing to use.
        title: the same in a few words.
        sentence: reason, and what to do, with its full stop.
    """

    level: Level
    title: str
    sentence: str


def verdict(record: Mapping[str, Any], found: Sequence[Difference]) -> Verdict:
    """Return the verdict on a run.

    Args:
        record: record of the run, as `scorer.run.record.RunRecord.content` returns it.
        found: differences from the model's test data.
    """
    if not record["published"]:
        return Verdict("bad", "No scores", _failure(record))
    if not ExitCode(record["exit_code"]).published:
        return Verdict(
            "bad", "Published, but the run failed", "The scores are complete; what failed after them is below."
        )
    if not record["rows_in"]:
        return Verdict("look", "No rows", "The input has no rows to score; check that it is the right one.")
    # Causes come before their effects: scores differ because texts do.
    notable = sorted(
        filter(lambda one: one.is_notable, found), key=lambda one: (not one.harmful, one.measure == "score")
    )
    differ, broken, rejected = [one.words for one in notable], _broken_promise(record), _rejected(record)
    if any(one.harmful for one in notable):
        return Verdict("bad", "Do not use", _sentence(differ[:1], "do not trust these scores"))
    if notable:
        return Verdict(
            "look", "Check first", _sentence([*differ, *rejected], "check some rows before you use the scores")
        )
    if broken:
        return Verdict("look", "Check first", _sentence([*broken, *rejected], "check some labels before you use them"))
    if rejected and record["rows_rejected"] >= _MANY * record["rows_in"]:
        return Verdict("look", "Check first", _sentence(rejected, "check the input before you use the scores"))
    if rejected:
        return Verdict("look", "Ready, but for some rows", _sentence(rejected, "the others can be used"))
    return Verdict("good", "Ready to use", _all_well(record, found))


def _sentence(findings: Sequence[str], todo: str) -> str:
    named = [findings[0], *(_lowered(one) for one in findings[1:_NAMED])]
    return f"{', and '.join(named)}; {todo}."


def _lowered(words: str) -> str:
    return words[0].lower() + words[1:]


def _failure(record: Mapping[str, Any]) -> str:
    code, rows = ExitCode(record["exit_code"]), record["rows_in"]
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        after = f" after {counted(rows, 'row')}" if rows else ""
        return f"The run was stopped{after}, so it has no scores yet; run the same command again."
    if code == ExitCode.READER_GONE:
        return "The program that reads the output ended, so the scores are incomplete; run the command again."
    if code == ExitCode.NOT_PUBLISHED and record["rows_rejected"]:
        return f"{_rejected(record)[0]}; this run published nothing."
    reason = _FAILURES.get(code, "it failed")
    return f"There are no scores from this run: {reason}."


def _rejected(record: Mapping[str, Any]) -> list[str]:
    """Return a finding about rejected rows, if there are any, with the reason of most of them."""
    rejected, rows = record["rows_rejected"], record["rows_in"]
    if not rejected:
        return []
    reason, most = max(record["rows_rejected_by_reason"].items(), key=lambda one: one[1])
    cause = _CAUSES.get(reason, reason)
    why = f"because {cause}" if most == rejected else f"most of them because {cause}" if most > rejected / 2 else ""
    if rejected == rows:
        which = "The only row was" if rows == 1 else "All rows were" if rows > 2 else "Both rows were"
    elif rejected < _MANY * rows:
        which = f"{rejected:,} of {rows:,} rows {'was' if rejected == 1 else 'were'}"
    else:
        which = f"{percent(rejected / rows)} of the rows were"
    return [f"{which} rejected{', ' if why.startswith('most') else ' ' if why else ''}{why}"]


def _broken_promise(record: Mapping[str, Any]) -> list[str]:
    """Return a finding about --max-error, if its promise does not hold."""
    promise = record["max_error"]
    if promise is None or promise["holds"] is not False:
        return []
    return [f"The promise of at most {100 * promise['limit']:g}% wrong labels does not hold"]


def _all_well(record: Mapping[str, Any], found: Sequence[Difference]) -> str:
    rows = record["rows_scored"]
    scored = (
        "The only row has a score"
        if rows == 1
        else "Both rows have a score"
        if rows == 2
        else f"All {rows:,} rows have a score"
    )
    extents = {one.extent for one in found}
    if not extents:
        return f"{scored}. The model has no test data to compare them with."
    if "unknown" in extents:
        return (
            f"{scored}, but {'one row is' if rows == 1 else 'they are'} too few to compare with the model's test data."
        )
    if "moderate" in extents:
        return f"{scored}, and the texts differ a little from those the model was tested on."
    return f"{scored}, and the texts are like those the model was tested on."
