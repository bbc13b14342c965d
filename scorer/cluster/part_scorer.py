"""The scorer of part files: one part at a time to its published file, skipped where that was done before."""

import functools
import json
import time
from dataclasses import dataclass, replace
from typing import Any

from scorer.base.errors import Busy, ScorerError, known
from scorer.cluster.parts import NOTES, REJECTS, Part, make_folders
from scorer.model.bundle import Bundle, load_bundle
from scorer.model.decision import decide
from scorer.report.examples import Examples
from scorer.report.summary import Summary
from scorer.run.fingerprint import differences, fingerprint
from scorer.run.limits import Limits
from scorer.run.options import Arguments, arguments_of
from scorer.run.record import RunRecord, failure
from scorer.run.resolve import Plan, make_plan
from scorer.run.score import open_scorer, score_files
from scorer.storage.inputs import opened_file, stamp, stored_size
from scorer.storage.output import publish_text

# A worker that is taken for dead may live on for a while, and the locks of a node that died for that of its lease.
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class PartResult:
    """What became of a part.

    Attributes:
        source: the part's.
        output: where its rows are.
        exit_code: as of `score`: 0 and 3 are published, others are not.
        error: what went wrong, or None.
        finished_before: whether an earlier run had done it, of the same input in the same way.
        summary: what was counted, as `scorer.report.summary.Summary.as_json` has it.
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


class PartScorer:
    """Scores part files, one at a time, with one `Scorer`; made once in each worker, whatever starts the workers.

    ``PartScorer("scores", text="body")(part)`` is what became of a part.

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
            code, error = failure(known(problem))
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
            rejects=f"{self._folder}/{REJECTS}/{part.name}.jsonl",
        )

    def _note(self, part: Part) -> str:
        return f"{self._folder}/{NOTES}/{part.name}.json"

    def _header(self, arguments: Arguments, plan: Plan) -> dict[str, Any]:
        """What a part is made of: if all of it is as it was, it is the same part."""
        made_of = fingerprint(arguments, self._scorer, plan)
        return {"fingerprint": made_of, "inputs": {path: stamp(path) for path in plan.inputs.files}}

    def _finished(self, part: Part, arguments: Arguments, header: dict[str, Any]) -> tuple[int, Summary] | None:
        """What an earlier run wrote down, if the part is as it left it."""
        found = _read_note(self._note(part))
        if found is None or differences(found["header"], header):
            return None
        if _size_of(arguments.output) != found["bytes"]:
            return None
        summary = Summary.from_json(found["summary"], Examples())
        if summary.rows_rejected and _size_of(str(arguments.rejects)) is None:
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


def _size_of(path: str) -> int | None:
    """Bytes of a file, None where it is not there."""
    try:
        return stored_size(path)
    except ScorerError:
        return None


def _read_note(path: str) -> dict[str, Any] | None:
    if _size_of(path) is None:
        return None
    with opened_file(path) as file:
        try:
            return dict(json.loads(file.read()))
        except ValueError:  # not one that we wrote
            return None
