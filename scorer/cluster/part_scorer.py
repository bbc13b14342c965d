"""The scorer of part files, which publishes one part at a time and skips parts that are finished."""

import functools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from scorer.base.errors import Busy, ExitCode, ScorerError, UsageError
from scorer.base.shortage import known
from scorer.cluster.parts import NOTES, REJECTS, Part, make_folders
from scorer.model.bundle import Bundle, load_bundle
from scorer.report.examples import Examples
from scorer.report.summary import Counts, Summary
from scorer.run.fingerprint import differences, fingerprint
from scorer.run.limits import Limits
from scorer.run.options import ScoreOptions
from scorer.run.record import failure
from scorer.run.resolve import Plan, make_plan
from scorer.run.score import Run, open_scorer, warn
from scorer.storage.inputs import opened_file, stamp, stored_size
from scorer.storage.output import publish_text

# A worker that seems dead may still live for a while, and the locks of a dead node last until their lease ends.
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class PartResult:
    """Result of a part, in plain values that every cluster can carry.

    Attributes:
        source: source of the part.
        output: name of its output file.
        exit_code: exit code, as of `score`.
        error: error message, or None.
        finished_before: whether an earlier run had scored the same input with the same options.
        summary: summary of its rows, in the form of `scorer.report.summary.Summary.as_json`.
        seconds: duration in seconds.
        precision: precision that it was scored in; empty if no model was loaded.
        problems: messages about problems with the cache, with which the part was scored all the same.
    """

    source: str
    output: str
    exit_code: int
    error: str | None
    finished_before: bool
    summary: dict[str, Any]
    seconds: float
    precision: str = ""
    problems: Sequence[str] = ()

    @property
    def published(self) -> bool:
        return ExitCode(self.exit_code).published

    @property
    def counts(self) -> Counts:
        return Counts.from_json(self.summary)


class PartScorer:
    """Scorer of part files, one at a time, with a single `Scorer`; each worker of a cluster makes one.

    ``PartScorer("scores", text="body")(part)`` scores a part and returns its `PartResult`.

    Args:
        folder: output folder, or its address in a store.
        wanted: options of `score`; None to take them from ``options``.
        bundle: bundle that is loaded already; None for the one that the options name.
        options: options of `score` by their names.

    Raises:
        ScorerError: as for `Scorer`.
    """

    def __init__(
        self, folder: str, wanted: ScoreOptions | None = None, bundle: Bundle | None = None, **options: Any
    ) -> None:
        self._folder = folder
        wanted = wanted or ScoreOptions(**{"output_format": "parquet", **options})
        if wanted.uncertain_rows is not None:  # all parts would write the same file
            raise UsageError("--uncertain-rows is for `score`; filter the parts by the label `uncertain` instead.")
        if wanted.explain:  # a part has the rows nearest to another label of that part alone
            raise UsageError("--explain is for `score`; score the files whose rows it should explain on their own.")
        # Rows are numbered within each file, so its name has to be in the output.
        self._options = replace(wanted, source=True, quiet=True)
        self._problems: list[str] = []
        loaded = bundle or load_bundle(wanted.model)
        self._scorer = open_scorer(self._options, wanted.decision, loaded, self._report)

    def __call__(self, part: Part) -> PartResult:
        """Score and publish a part unless it is finished; an error becomes part of the result."""
        start = time.monotonic()
        options = self._of(part)
        counted = Summary()
        code, error, before = ExitCode.DONE, None, False
        try:
            make_folders([options.output, str(options.rejects), self._note(part)])
            plan = make_plan(options)
            # Only the driver, which knows all parts, can check that some part has the columns of --keep.
            plan = replace(plan, limits=Limits(all=True), wanted=replace(plan.wanted, keep_existing=False))
            code, counted, before = self._scored(part, options, plan)
        except Exception as problem:
            code, error = failure(known(problem))
        seconds = time.monotonic() - start
        precision = self._scorer.choice.precision
        problems, self._problems = self._problems, []
        return PartResult(
            part.source, options.output, int(code), error, before, counted.as_json(), seconds, precision, problems
        )

    def _report(self, problem: str) -> None:
        """Report a problem here, and once more in the next result: nobody sees the messages of a cluster's workers."""
        warn(problem)
        self._problems.append(problem)

    def _scored(self, part: Part, options: ScoreOptions, plan: Plan) -> tuple[ExitCode, Summary, bool]:
        """Return the exit code, the summary, and whether an earlier run had finished the part."""
        header = self._header(options, plan)
        patience = time.monotonic() + _PATIENCE_SECONDS
        while True:
            finished = self._finished(part, options, header)
            if finished is not None:
                return *finished, True
            run = Run(options)
            try:
                self._scorer.phases.clear()
                code = run.carry_out(plan, lambda: self._scorer)
            except Busy:
                if time.monotonic() > patience:
                    raise
                time.sleep(_PATIENCE_SECONDS / 60)
            else:
                self._write(part, options, header, code, run.summary)
                return code, run.summary, False

    def _of(self, part: Part) -> ScoreOptions:
        extension = str(self._options.output_format)
        return replace(
            self._options,
            inputs=(part.source,),
            output=part.file(self._folder, extension),
            rejects=part.file(f"{self._folder}/{REJECTS}", "jsonl"),
        )

    def _note(self, part: Part) -> str:
        return part.file(f"{self._folder}/{NOTES}", "json")

    def _header(self, options: ScoreOptions, plan: Plan) -> dict[str, Any]:
        """Return everything that a part's output depends on; an equal header means the same output."""
        made_of = fingerprint(options, self._scorer, plan)
        return {"fingerprint": made_of, "inputs": {path: stamp(path) for path in plan.inputs.files}}

    def _finished(self, part: Part, options: ScoreOptions, header: dict[str, Any]) -> tuple[ExitCode, Summary] | None:
        """Return the exit code and summary that an earlier run noted, if the part has not changed since."""
        found = _read_note(self._note(part))
        if found is None or differences(found["header"], header):
            return None
        if _size_of(options.output) != found["bytes"]:
            return None
        summary = Summary.from_json(found["summary"], Examples())
        if summary.counts.rows_rejected and _size_of(str(options.rejects)) is None:
            return None
        return ExitCode(found["exit_code"]), summary

    def _write(
        self, part: Part, options: ScoreOptions, header: dict[str, Any], code: ExitCode, summary: Summary
    ) -> None:
        note = {
            "header": header,
            "bytes": stored_size(options.output),
            "exit_code": code,
            "summary": summary.as_json(),
        }
        publish_text(self._note(part), json.dumps(note) + "\n", options.work_dir)


@functools.cache
def shared_part_scorer(folder: str, **options: Any) -> PartScorer:
    """Return the `PartScorer` of these options, made once, for workers that live from task to task, as in Spark."""
    return PartScorer(folder, **options)


def _size_of(path: str) -> int | None:
    """Return the size of a file in bytes, or None if it is missing."""
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
        except ValueError:  # we did not write it
            return None
