"""The scorer of part files: one part at a time to its published file, skipped where that was done before."""

import functools
import json
import time
from dataclasses import dataclass, replace
from typing import Any

from scorer.base.errors import Busy, ExitCode, ScorerError
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
from scorer.run.score import Run, open_scorer
from scorer.storage.inputs import opened_file, stamp, stored_size
from scorer.storage.output import publish_text

# A worker that is taken for dead may live on for a while, and the locks of a node that died for that of its lease.
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class PartResult:
    """What became of a part; plain values, that every cluster can carry.

    Attributes:
        source: the part's.
        output: where its rows are.
        exit_code: as of `score`.
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
        return ExitCode(self.exit_code).published

    @property
    def counts(self) -> Counts:
        return Counts.from_json(self.summary)


class PartScorer:
    """Scores part files, one at a time, with one `Scorer`; made once in each worker, whatever starts the workers.

    ``PartScorer("scores", text="body")(part)`` is what became of a part.

    Args:
        folder: where the parts go; an address, too.
        wanted: how they are scored, as the options of `score`; or give them by their names.
        bundle: the model where it is loaded already; None for what the options name.

    Raises:
        ScorerError: as of `Scorer`.
    """

    def __init__(
        self, folder: str, wanted: ScoreOptions | None = None, bundle: Bundle | None = None, **options: Any
    ) -> None:
        self._folder = folder
        wanted = wanted or ScoreOptions(**{"output_format": "parquet", **options})
        # Files are told apart by name: rows are numbered in each.
        self._options = replace(wanted, source=True, quiet=True)
        self._scorer = open_scorer(self._options, wanted.decision, bundle or load_bundle(wanted.model))

    def __call__(self, part: Part) -> PartResult:
        """Score a part and publish it, unless that was done before; what goes wrong is in the result."""
        start = time.monotonic()
        options = self._of(part)
        counted = Summary()
        code, error, before = ExitCode.DONE, None, False
        try:
            make_folders([options.output, str(options.rejects), self._note(part)])
            plan = make_plan(options)
            # Whether any part has the columns of --keep is for those to say who know all parts.
            plan = replace(plan, limits=Limits(all=True), wanted=replace(plan.wanted, keep_existing=False))
            code, counted, before = self._scored(part, options, plan)
        except Exception as problem:
            code, error = failure(known(problem))
        seconds = time.monotonic() - start
        return PartResult(part.source, options.output, int(code), error, before, counted.as_json(), seconds)

    def _scored(self, part: Part, options: ScoreOptions, plan: Plan) -> tuple[ExitCode, Summary, bool]:
        """The exit code, what was counted, and whether that was an earlier run's."""
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
            output=f"{self._folder}/{part.name}.{extension}",
            rejects=f"{self._folder}/{REJECTS}/{part.name}.jsonl",
        )

    def _note(self, part: Part) -> str:
        return f"{self._folder}/{NOTES}/{part.name}.json"

    def _header(self, options: ScoreOptions, plan: Plan) -> dict[str, Any]:
        """What a part is made of: if all of it is as it was, it is the same part."""
        made_of = fingerprint(options, self._scorer, plan)
        return {"fingerprint": made_of, "inputs": {path: stamp(path) for path in plan.inputs.files}}

    def _finished(self, part: Part, options: ScoreOptions, header: dict[str, Any]) -> tuple[ExitCode, Summary] | None:
        """What an earlier run wrote down, if the part is as it left it."""
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
