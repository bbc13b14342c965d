"""A folder of part files to a folder of part files: each part by itself, so that many machines can share them.

    out/day=1/part-0.parquet                the rows of .../day=1/part-0.jsonl, numbered within it, with its name
    out/_rejects/day=1/part-0.jsonl         its rejects, where there are any
    out/_parts/day=1/part-0.json            that it is finished: what it was made of, and what was counted
    out/_SUCCESS                            that all are

A part is published as `score` publishes its output: it is there as a whole, or not at all. So it does not matter which
machine scores it, nor how often one dies over it.
"""

import functools
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scorer.arguments import Arguments, arguments_of
from scorer.bundle import Bundle, load_bundle
from scorer.decision import decide
from scorer.destination import place_of, publish_text, same_place
from scorer.errors import Busy, ScorerError, UsageError
from scorer.examples import Examples
from scorer.fingerprint import differences, fingerprint
from scorer.job import open_scorer, score_files
from scorer.pipeline import Limits
from scorer.plan import Plan, make_plan
from scorer.rows.formats import COMPRESSIONS, FORMATS
from scorer.rows.source import expand, found_files, opened_file, stamp, stored_size
from scorer.runrecord import RunRecord, failure
from scorer.stores import is_address
from scorer.summary import Summary

SUCCESS = "_SUCCESS"
_REJECTS, _PARTS = "_rejects", "_parts"
# A worker that is taken for dead may live on for a while, and the locks of a node that died for that of its lease.
_PATIENCE_SECONDS = 120.0
_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Part:
    """A file to score.

    Attributes:
        source: its name, which is the column ``source``.
        name: the same below the output folder, without extension: ``day=1/part-0``.
    """

    source: str
    name: str


@dataclass(frozen=True)
class PartResult:
    """What became of a part.

    Attributes:
        source: the part's.
        output: where its rows are.
        exit_code: as of `score`: 0 and 3 are published, others are not.
        error: what went wrong, or None.
        finished_before: whether an earlier run had done it, of the same input in the same way.
        summary: what was counted, as `scorer.summary.Summary.as_json` has it.
        seconds: that it took.
    """

    source: str
    output: str
    exit_code: int
    error: str | None
    finished_before: bool
    summary: dict[str, Any]
    seconds: float

    @property
    def published(self) -> bool:
        return self.exit_code in (0, 3)

    @property
    def counts(self) -> Summary:
        return Summary.from_json(self.summary, Examples())


def find_parts(inputs: Sequence[str]) -> list[Part]:
    """The files of some inputs, each with the name that it has below its folder, or below a glob's first wildcard.

    Raises:
        UsageError: one is missing, is a stream, or two would have the same name.
        ScorerError: a folder or a store cannot be looked into.
    """
    parts: dict[str, Part] = {}
    names: dict[str, str] = {}
    for given in inputs:
        for source in expand([given]):
            if source == "-" or not (is_address(source) or os.path.isfile(source)):
                raise UsageError(f"{source} is a stream; parts are files, which can be read again where a worker dies.")
            name = _without_extension(_below(given, source))
            before = names.setdefault(same_place(source), name)
            if before != name:  # it would be there twice
                raise UsageError(f"{source} is named twice, by {given} and by an input before; name it once.")
            other = parts.setdefault(name, Part(source, name))
            if other.source != source:
                raise UsageError(
                    f"{other.source} and {source} would both become {name}; score them into different folders."
                )
    return list(parts.values())


class PartScorer:
    """Scores part files, one at a time, with one `Scorer`; made once in each worker, whatever starts the workers.

    >>> # PartScorer("out", text="body")(find_parts(["lake/day=1"])[0]).counts.rows_scored

    Args:
        folder: where the parts go; an address, too.
        arguments: how they are scored, as `score` is told; or give its options by their names.
        bundle: the model where it is loaded already; None for what the arguments name.

    Raises:
        ScorerError: as of `Scorer`.
    """

    def __init__(
        self, folder: str, arguments: Arguments | None = None, bundle: Bundle | None = None, **options: Any
    ) -> None:
        self._folder = folder
        arguments = arguments or arguments_of(**{"output_format": "parquet", **options})
        # Files are told apart by name: rows are numbered in each.
        self._arguments = replace(arguments, source=True, quiet=True)
        decision = decide(arguments.threshold, arguments.uncertain)
        self._scorer = open_scorer(self._arguments, decision, bundle or load_bundle(arguments.model))

    def __call__(self, part: Part) -> PartResult:
        """Score a part and publish it, unless that was done before; what goes wrong is in the result."""
        start = time.monotonic()
        arguments = self._of(part)
        record = RunRecord(arguments)
        code, error, before = 0, None, False
        try:
            make_folders([arguments.output, str(arguments.rejects), self._note(part)])
            plan = record.plan = replace(make_plan(arguments), limits=Limits(all=True))
            code, before = self._scored(part, record, plan)
        except Exception as problem:
            code, error = failure(problem)
            if not isinstance(problem, ScorerError):
                error = f"unexpected {type(problem).__name__}: {error}"
        return PartResult(
            part.source, arguments.output, code, error, before, record.summary.as_json(), time.monotonic() - start
        )

    def _scored(self, part: Part, record: RunRecord, plan: Plan) -> tuple[int, bool]:
        """The exit code, and whether that was an earlier run's."""
        header = self._header(record.arguments, plan)
        patience = time.monotonic() + _PATIENCE_SECONDS
        while True:
            finished = self._finished(part, record.arguments, header)
            if finished is not None:
                code, record.summary = finished
                return code, True
            try:
                self._scorer.phases.clear()
                code = score_files(record, plan, lambda: self._scorer)
            except Busy:
                if time.monotonic() > patience:
                    raise
                time.sleep(_PATIENCE_SECONDS / 60)
            else:
                self._write(part, record.arguments, header, code, record.summary)
                return code, False

    def _of(self, part: Part) -> Arguments:
        extension = str(self._arguments.output_format)
        return replace(
            self._arguments,
            inputs=(part.source,),
            output=f"{self._folder}/{part.name}.{extension}",
            rejects=f"{self._folder}/{_REJECTS}/{part.name}.jsonl",
        )

    def _note(self, part: Part) -> str:
        return f"{self._folder}/{_PARTS}/{part.name}.json"

    def _header(self, arguments: Arguments, plan: Plan) -> dict[str, Any]:
        """What a part is made of: if all of it is as it was, it is the same part."""
        made_of = fingerprint(arguments, self._scorer, plan)
        return {"fingerprint": made_of, "inputs": {path: stamp(path) for path in plan.inputs.files}}

    def _finished(self, part: Part, arguments: Arguments, header: dict[str, Any]) -> tuple[int, Summary] | None:
        """What an earlier run wrote down, if the part is as it left it."""
        found = _read_note(self._note(part))
        if found is None or differences(found["header"], header):
            return None
        if stored_size_or_none(arguments.output) != found["bytes"]:
            return None
        summary = Summary.from_json(found["summary"], Examples())
        if summary.rows_rejected and stored_size_or_none(str(arguments.rejects)) is None:
            return None
        return found["exit_code"], summary

    def _write(self, part: Part, arguments: Arguments, header: dict[str, Any], code: int, summary: Summary) -> None:
        note = {
            "header": header,
            "bytes": stored_size(arguments.output),
            "exit_code": code,
            "summary": summary.as_json(),
        }
        publish_text(self._note(part), json.dumps(note) + "\n", arguments.work_dir)


@functools.cache
def part_scorer(folder: str, **options: Any) -> PartScorer:
    """The `PartScorer` of these options, made once: for workers that are kept from task to task, as Spark's are."""
    return PartScorer(folder, **options)


def check_folder(folder: str, parts: Iterable[Part], inputs: Iterable[str], extension: str) -> None:
    """Refuse an output folder that holds what is not of these parts: whoever reads it would read that, too.

    Raises:
        UsageError: it does, or lies in an input, or an input lies in it.
    """
    for given in inputs:
        one, other = (name if is_address(name) else os.path.realpath(name) for name in (folder, given))
        if f"{one}/".startswith(f"{other.rstrip('/')}/") or f"{other}/".startswith(f"{one.rstrip('/')}/"):
            raise UsageError(f"--output {folder} and the input {given} lie in each other; write elsewhere.")
    expected = {f"{folder}/{part.name}.{extension}" for part in parts}
    others = [name for name in found_files(folder) if name not in expected]
    if others:
        more = f" and {len(others) - 1:,} others" if len(others) > 1 else ""
        raise UsageError(
            f"--output {folder} holds {others[0]}{more}, which is none of the {len(expected):,} parts of this run, and "
            "whoever reads the folder would read it too. Take it away, or write to another folder."
        )


def mark_incomplete(folder: str, work_dir: str | None = None) -> None:
    """Take ``_SUCCESS`` away, which an earlier run may have left: parts are going to change."""
    place_of(f"{folder}/{SUCCESS}", work_dir).remove()


def mark_complete(folder: str, text: str = "", work_dir: str | None = None) -> None:
    """Write ``_SUCCESS``: every part is there."""
    publish_text(f"{folder}/{SUCCESS}", text, work_dir)


def forget_others(folder: str, parts: Iterable[Part], work_dir: str | None = None) -> None:
    """Take away what earlier runs noted and rejected of parts that are no more: it is not of this folder's rows."""
    names = {part.name for part in parts}
    for kind, extension in ((_PARTS, ".json"), (_REJECTS, ".jsonl")):
        for path in found_files(f"{folder}/{kind}"):
            if path.removeprefix(f"{folder}/{kind}/").removesuffix(extension) not in names:
                place_of(path, work_dir).remove()


def make_folders(places: Iterable[str]) -> None:
    """Make the folders of files; stores have none.

    Raises:
        ScorerError: one cannot be made.
    """
    for folder in {os.path.dirname(place) for place in places if not is_address(place)}:
        try:
            os.makedirs(folder or ".", exist_ok=True)
        except OSError as error:
            raise ScorerError(f"the folder {folder} cannot be made: {error.strerror}.") from error


def stored_size_or_none(path: str) -> int | None:
    """Bytes of a file, None where it is not there."""
    try:
        return stored_size(path)
    except ScorerError:
        return None


def _read_note(path: str) -> dict[str, Any] | None:
    if stored_size_or_none(path) is None:
        return None
    with opened_file(path) as file:
        try:
            return dict(json.loads(file.read()))
        except ValueError:  # not one that we wrote
            return None


def _below(given: str, source: str) -> str:
    """A found file's name below what was given: a folder, a file or a glob.

    >>> _below("lake/", "lake/day=1/a.csv"), _below("lake/*/a?.csv", "lake/day=1/a1.csv"), _below("x/a.csv", "x/a.csv")
    ('day=1/a.csv', 'day=1/a1.csv', 'a.csv')
    """
    root = given.rstrip("/")
    if source == given:
        root = given.rpartition("/")[0]
    elif not source.startswith(f"{root}/"):
        parts = given.split("/")
        fixed = next(at for at, part in enumerate(parts) if _MAGIC & set(part))
        root = "/".join(parts[:fixed])
    return source.removeprefix(root).lstrip("/")


def _without_extension(name: str) -> str:
    """
    >>> [_without_extension(name) for name in ("day=1.5/a.csv.gz", "a.b.parquet", "part-0001", "a.gz")]
    ['day=1.5/a', 'a.b', 'part-0001', 'a']
    """
    for known in (COMPRESSIONS, FORMATS):
        stem, dot, extension = name.rpartition(".")
        name = stem if dot and extension.lower() in known else name
    return name
