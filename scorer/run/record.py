"""The record of a run, whatever became of it: --summary as JSON, --metrics for Prometheus, --report to look at."""

import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from scorer.base.errors import ScorerError
from scorer.base.text import shown_source, visible
from scorer.base.timing import Phases
from scorer.base.version import __version__
from scorer.model.decision import Decision
from scorer.model.reference import Histogram
from scorer.report.drift import Drift, as_json, drift_of, passed
from scorer.report.prometheus import prometheus
from scorer.report.summary import Summary
from scorer.report.throughput import Pace
from scorer.run.options import Arguments
from scorer.run.resolve import Plan
from scorer.storage.output import Destination, publish_text

if TYPE_CHECKING:
    from scorer.model.scorer import Scorer
    from scorer.rows.reader import Reader

FORMAT_VERSION = 1
_LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "tokenizers", "numpy", "pyarrow")


@dataclass
class RunRecord:
    """What is known of a run so far; the parts of the program that do the work put in what they have.

    Attributes:
        arguments: the command's.
        plan: what they mean, once they are checked.
        reader, scorer, output, rejects: once they are there.
        summary: of all rows that are done.
        before: of those that an earlier run did.
        total: rows of the whole input, where they were counted.
        rows: the first and the last of this shard.
        pace: of the pipeline.
        phases: seconds of what is not the pipeline's: load, count, skip, publish.
    """

    arguments: Arguments
    plan: Plan | None = None
    reader: "Reader | None" = None
    scorer: "Scorer | None" = None
    output: Destination | None = None
    rejects: Destination | None = None
    summary: Summary = field(default_factory=Summary)
    before: Summary = field(default_factory=Summary)
    total: int | None = None
    rows: tuple[int, int] | None = None
    phases: Phases = field(default_factory=Phases)
    pace: Pace = field(default_factory=Pace)
    started: float = field(default_factory=time.time)
    _clock: float = field(default_factory=time.monotonic)

    def write(self, exit_code: int, error: str | None = None) -> None:
        """Write what was asked for, each file at once; what an earlier call wrote is replaced.

        Args:
            exit_code: of the run.
            error: what went wrong, as it was told.

        Raises:
            ScorerError: a file cannot be written.
        """
        summary, metrics, report = self.arguments.summary, self.arguments.metrics, self.arguments.report
        if summary is metrics is report is None:
            return
        content = self.content(exit_code, error)
        failed = []
        forms: tuple[tuple[str | None, Callable[[str], str]], ...] = (
            (summary, lambda place: json.dumps(content, indent=2, allow_nan=False) + "\n"),
            (metrics, lambda place: prometheus(content, place)),
            (report, lambda place: self._page(content)),
        )
        for place, form in forms:
            try:
                if place is not None:
                    publish_text(place, form(place), self.arguments.work_dir)
            except ScorerError as problem:
                failed.append(str(problem))  # one that cannot be written must not take the others with it
        if failed:
            raise ScorerError(" ".join(failed))

    def content(self, exit_code: int, error: str | None) -> dict[str, Any]:
        """The record, as docs/RECORD.md and summary.schema.json describe it."""
        summary, before, plan = self.summary, self.before, self.plan
        rows, tokens = summary.rows_in - before.rows_in, summary.tokens - before.tokens
        choice = self.scorer.choice if self.scorer is not None else None
        return {
            "format_version": FORMAT_VERSION,
            "exit_code": exit_code,
            "error": error,
            "published": self.output is not None and self.output.published is not None,
            "started": _utc(self.started),
            "ended": _utc(time.time()),
            "seconds": round(time.monotonic() - self._clock, 3),
            "rows_in": summary.rows_in,
            "rows_scored": summary.rows_scored,
            "rows_rejected": summary.rows_rejected,
            "rows_rejected_by_reason": dict(summary.rejected),
            "rows_truncated": summary.rows_truncated,
            "duplicates": summary.duplicates,
            "resumed_from_row": before.rows_in + (self.rows or (1, 0))[0] if before.rows_in else None,
            "labels": dict(summary.labels),
            "score_histogram": {**_histogram(summary.scores), "sum": summary.score_sum},
            "token_histogram": _histogram(summary.lengths),
            "unknown_histogram": _histogram(summary.unknown),
            "drift": self._drift(),
            "tokens": summary.tokens,
            "rows_per_second": _rate(rows, summary.seconds),
            "tokens_per_second": _rate(tokens, summary.seconds),
            "seconds_by_phase": self._seconds(),
            "provider": choice.provider if choice else None,
            "precision": choice.precision if choice else None,
            "bundle": self._bundle(),
            "shard": self._shard(),
            "inputs": self._inputs(),
            "output": _file(plan.output if plan else self.arguments.output, self.output),
            "rejects": _file(plan.rejects, self.rejects) if plan and summary.rows_rejected else None,
            "versions": _versions(),
            "host": {"name": platform.node(), "platform": platform.platform()},
            "arguments": {name.replace("_", "-"): _text(value) for name, value in asdict(self.arguments).items()},
        }

    def _page(self, content: dict[str, Any]) -> str:
        from scorer.report.run_page import Details, run_page  # what draws it takes a moment that others need not wait

        manifest = self.scorer.manifest if self.scorer is not None else None
        details = Details(
            examples=self.summary.examples,
            pace=self.pace,
            reference=manifest.reference if manifest is not None else None,
            decision=self.scorer.decision if self.scorer is not None else Decision(),
            labels=manifest.labels if manifest is not None else (),
        )
        return run_page(content, details)

    @property
    def drift(self) -> dict[str, Drift] | None:
        """Against the model's test data, by measure; None where there is nothing to compare."""
        return drift_of(self.scorer.manifest.reference, self.summary) if self.scorer is not None else None

    @property
    def beyond(self) -> list[str]:
        """The measures that are beyond --max-drift; without one none, and what chance makes need not be drawn."""
        return [] if self.arguments.max_drift is None else passed(self.drift or {}, self.arguments.max_drift)

    def _drift(self) -> dict[str, Any] | None:
        drift = self.drift
        return None if drift is None else {**as_json(drift), "beyond": self.beyond}

    def _seconds(self) -> dict[str, float]:
        of_pipeline = self.scorer.phases.seconds if self.scorer is not None else {}
        return {name: round(seconds, 3) for name, seconds in {**self.phases.seconds, **of_pipeline}.items()}

    def _bundle(self) -> dict[str, Any] | None:
        if self.scorer is None:
            return None
        bundle = self.scorer.bundle
        return {"name": self.scorer.manifest.name, "id": bundle.id, "path": _text(str(bundle.path))}

    def _shard(self) -> dict[str, int] | None:
        shard = self.plan.shard if self.plan is not None else None
        if shard is None or self.rows is None or self.total is None:
            return None
        first, last = self.rows
        return {
            "index": shard.index,
            "count": shard.count,
            "first_row": first,
            "last_row": last,
            "rows_of_all_shards": self.total,
        }

    def _inputs(self) -> list[dict[str, Any]]:
        files = self.plan.inputs.files if self.plan is not None else self.arguments.inputs
        contents = self.reader.contents if self.reader is not None else []
        found = []
        for path, begun in zip_longest(files, contents):
            # Of a file that was not read to its end, nobody knows what it holds.
            content = begun[1] if begun is not None and begun[1].ended else None
            known = (content.count, content.digest) if content is not None else (None, None)
            found.append({"path": _text(path), "bytes": known[0], "sha256": known[1]})
        return found


def failure(error: BaseException) -> tuple[int, str]:
    """The exit code of what ended a run, and what was told about it."""
    code = getattr(error, "exit_code", 130 if isinstance(error, KeyboardInterrupt) else 1)
    word = getattr(error, "word", None)  # a signal
    said = [f"{word}." if word else str(error) or type(error).__name__, *getattr(error, "__notes__", [])]
    return code, visible("\n".join(said))


def _file(path: str, place: Destination | None) -> dict[str, Any]:
    size, digest = (place.published if place is not None else None) or (None, None)
    return {"path": _text(path), "bytes": size, "sha256": digest}


def _histogram(histogram: Histogram) -> dict[str, list[float]]:
    return {"edges": list(histogram.edges), "counts": list(histogram.counts)}


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 3) if seconds > 0 and count else None


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _versions() -> dict[str, str]:
    found = {"review-scorer": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        if name.split("-")[0] in sys.modules:
            try:
                found[name] = version(name)
            except Exception:  # the other of two wheels, or one without metadata
                continue
    return found


def _text(value: Any) -> Any:
    """Names of files may hold bytes that are no UTF-8, which JSON cannot."""
    if isinstance(value, tuple):
        return [_text(one) for one in value]
    return shown_source(value) if isinstance(value, str) else value
