"""The record of a run, successful or not: --summary as JSON, --metrics for Prometheus, --report as a page."""

import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from scorer.base.errors import ExitCode, ScorerError, exit_code_of
from scorer.base.text import shown_source, visible
from scorer.base.version import __version__
from scorer.engine.cpu_features import cpu_features
from scorer.model.decision import Decision
from scorer.model.explanation import Contribution, Explanation, words_alone
from scorer.model.interpretation import SingleLabel
from scorer.model.reference import Histogram
from scorer.report.doubt import NO_MODEL, Doubt, doubt_of
from scorer.report.drift import Drift, as_json, drift_of, passed
from scorer.report.examples import Example
from scorer.report.explained_examples import explained_examples
from scorer.report.forecast_history import Forecast
from scorer.report.prometheus import prometheus
from scorer.report.summary import Counts, Summary
from scorer.report.throughput import Throughput
from scorer.rows.columns import ID
from scorer.run.options import ScoreOptions
from scorer.run.resolve import Plan
from scorer.storage.output import Destination, publish_text

if TYPE_CHECKING:
    from scorer.model.loaded import LoadedModel
    from scorer.rows.reader import Reader

FORMAT_VERSION = 1
_LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "tokenizers", "numpy", "pyarrow")


@dataclass(frozen=True)
class ShardRows:
    """Rows of a shard.

    Attributes:
        total: number of rows in the whole input.
        first, last: numbers of the shard's first and last row, from 1.
    """

    total: int
    first: int
    last: int


@dataclass(frozen=True)
class RunRecord:
    """Everything known of a run, however far it came.

    Attributes:
        options: options of the command.
        plan: plan that they resolve to, once they are checked.
        reader, scorer, output, rejects, uncertain, explained: objects of the run, once they exist.
        summary: summary of all rows that are done.
        explanations: explanations of the rows that --explain asks for, by row number; empty until they are explained.
        before: counts of the rows that an earlier, interrupted run did.
        shard_rows: rows of the shard, once they are counted; None for a whole input.
        forecast: forecast to compare the run with; None without --forecast.
        seconds_by_phase: seconds of the phases outside the pipeline: load, count, skip, publish.
        throughput: speed of the pipeline over time.
        started: start of the run, in seconds since 1970.
        seconds: duration of the run, in seconds.
    """

    options: ScoreOptions
    plan: Plan | None
    reader: "Reader | None"
    scorer: "LoadedModel | None"
    output: Destination | None
    rejects: Destination | None
    uncertain: Destination | None
    explained: Destination | None
    summary: Summary
    explanations: Mapping[int, Explanation]
    before: Counts
    shard_rows: ShardRows | None
    forecast: Forecast | None
    seconds_by_phase: Mapping[str, float]
    throughput: Throughput
    started: float
    seconds: float

    def write(self, exit_code: ExitCode, error: str | None = None) -> None:
        """Write the files that the options ask for, each atomically; those of an earlier call are replaced.

        Args:
            exit_code: exit code of the run.
            error: error message, as printed; None if nothing went wrong.

        Raises:
            ScorerError: a file cannot be written.
        """
        summary, metrics, report = self.options.summary, self.options.metrics, self.options.report
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
                    publish_text(place, form(place), self.options.work_dir)
            except ScorerError as problem:
                failed.append(str(problem))  # a file that cannot be written must not prevent the others
        if failed:
            raise ScorerError(" ".join(failed))

    def content(self, exit_code: ExitCode, error: str | None) -> dict[str, Any]:
        """Return the record as docs/RECORD.md and summary.schema.json describe it."""
        summary, counts, before, plan = self.summary, self.summary.counts, self.before, self.plan
        rows, tokens = counts.rows_in - before.rows_in, counts.tokens - before.tokens
        choice = self.scorer.choice if self.scorer is not None else None
        return {
            "format_version": FORMAT_VERSION,
            "exit_code": int(exit_code),
            "error": error,
            "published": self.output is not None and self.output.published is not None,
            "started": _utc(self.started),
            "ended": _utc(time.time()),
            "seconds": round(self.seconds, 3),
            "rows_in": counts.rows_in,
            "rows_scored": counts.rows_scored,
            "rows_rejected": counts.rows_rejected,
            "rows_rejected_by_reason": dict(counts.rejected),
            "rows_truncated": counts.rows_truncated,
            "duplicates": counts.duplicates,
            "columns_not_found": sorted(self.reader.notes.unseen) if self.reader and self.reader.notes.columns else [],
            "names_left_out": len(plan.inputs.left_out) if plan is not None else 0,
            "resumed_from_row": self._resumed_from(),
            "rows_without_label": counts.rows_without_label,
            "labels": dict(counts.labels),
            "by_column": summary.by_column.record(),
            "rows_uncertain": counts.rows_uncertain,
            **self.doubt.as_json(),
            "score_histogram": {**_histogram(counts.scores), "sum": counts.score_sum, **asdict(counts.score_range)},
            "token_histogram": _histogram(counts.lengths),
            "unknown_histogram": _histogram(counts.unknown),
            "drift": self._drift(),
            "tokens": counts.tokens,
            "windows": self._windows(counts.windows),
            "rows_in_windows": self._windows(counts.rows_in_windows),
            "cascade": self._cascade(),
            "rows_decided_early": counts.rows_early,
            "tokens_decided_early": counts.tokens_early,
            "rows_from_cache": counts.rows_from_cache,
            "cache": self._cache(),
            "rows_per_second": _rate(rows, summary.seconds),
            "tokens_per_second": _rate(tokens, summary.seconds),
            "seconds_by_phase": self._seconds(),
            "forecast": self.forecast.as_json(self.seconds_taken) if self.forecast is not None else None,
            "task": self.scorer.interpretation.task if self.scorer is not None else None,
            "provider": choice.provider if choice else None,
            "precision": choice.precision if choice else None,
            "bundle": self._bundle(),
            "shard": self._shard(),
            "inputs": self._inputs(),
            "output": _file(plan.output if plan else self.options.output, self.output),
            "rejects": _file(plan.rejects, self.rejects) if plan and counts.rows_rejected else None,
            "uncertain_rows": self._uncertain_file(),
            "explained_rows": self._explained_file(),
            "versions": versions(),
            "host": {"name": platform.node(), "platform": platform.platform(), "cpu_features": cpu_features()},
            "arguments": {name.replace("_", "-"): _text(value) for name, value in self.options.as_json().items()},
        }

    def _page(self, content: dict[str, Any]) -> str:
        from scorer.report.run_page import Details, run_page  # jinja2 is slow to import, and only a page needs it

        scorer, selection = self.scorer, self.reader.selection if self.reader is not None else None
        id_at = selection.carried.index(ID) if selection is not None and ID in selection.carried else None
        interpretation = scorer.interpretation if scorer is not None else None
        details = Details(
            examples=self.summary.examples,
            throughput=self.throughput,
            reference=scorer.reference if scorer is not None else None,
            interpretation=interpretation,
            words=_words(self.summary.examples.scored, scorer) if scorer is not None else {},
            explained=explained_examples(self.summary.nearest, self.explanations, interpretation, id_at),
        )
        return run_page(content, details)

    @cached_property
    def drift(self) -> dict[str, Drift] | None:
        """Drift from the model's test data, by measure; None if there is nothing to compare."""
        return drift_of(self.scorer.reference, self.summary.counts) if self.scorer is not None else None

    @property
    def beyond(self) -> list[str]:
        """Measures beyond --max-drift; empty without that option, so that nothing has to be simulated."""
        return [] if self.options.max_drift is None else passed(self.drift or {}, self.options.max_drift)

    @cached_property
    def doubt(self) -> Doubt:
        """Doubt about the labels of the rows that are done."""
        scorer = self.scorer
        if scorer is None:
            return NO_MODEL
        found = scorer.interpretation
        return doubt_of(
            scorer.manifest,
            scorer.choice.precision,
            found.decision if isinstance(found, SingleLabel) else Decision(),
            self.summary.counts,
            self.drift if scorer.manifest.confidence else None,  # whose simulation takes a fifth of a second
            cascade=not self.options.no_cascade,
            max_drift=self.options.max_drift,
        )

    def _uncertain_file(self) -> dict[str, Any] | None:
        given = self.plan.uncertain if self.plan is not None else None
        return _file(given.place, self.uncertain) if given is not None and self.summary.counts.rows_uncertain else None

    def _explained_file(self) -> dict[str, Any] | None:
        place = self.plan.explained if self.plan is not None else None
        return _file(place, self.explained) if place is not None and self.summary.nearest.rows else None

    @property
    def has_warnings(self) -> bool:
        """True if somebody has to look: records were rejected, the drift exceeds its limit, or --max-error does not hold."""
        broken = self.options.max_error is not None and self.doubt.is_broken  # else nothing has to be simulated
        return bool(self.summary.counts.rows_rejected or self.beyond or broken)

    @property
    def seconds_taken(self) -> float | None:
        """Seconds to compare a forecast with; None if the output is not published, or the run resumed another one."""
        is_whole = self.output is not None and self.output.published is not None and not self.before.rows_in
        return round(self.seconds, 3) if is_whole else None

    def _drift(self) -> dict[str, Any] | None:
        drift = self.drift
        return None if drift is None else {**as_json(drift), "beyond": self.beyond}

    def _resumed_from(self) -> int | None:
        first = self.shard_rows.first if self.shard_rows is not None else 1
        return first + self.before.rows_in if self.before.rows_in else None

    def _cascade(self) -> bool | None:
        """Return True if the cascade was in effect; None if the bundle has none, or was not loaded."""
        return self.scorer.cascade is not None if self.scorer is not None and self.scorer.has_cascade else None

    def _cache(self) -> dict[str, Any] | None:
        """Describe the cache; None without one, or if no model was loaded."""
        cache = self.scorer.cache if self.scorer is not None else None
        if cache is None:
            return None
        return {
            "path": _text(cache.file.settings.path),
            "read_only": cache.file.settings.read_only,
            "rows_added": cache.file.added,
            "rows_removed": cache.file.removed,
            "rows_damaged": cache.damaged,
            "problem": cache.file.problem,
        }

    def _windows(self, count: int) -> int | None:
        """Return a count of windows; None if the bundle reads whole texts, or was not loaded."""
        return count if self.scorer is not None and self.scorer.windows is not None else None

    def _seconds(self) -> dict[str, float]:
        of_pipeline = self.scorer.phases.seconds if self.scorer is not None else {}
        return {name: round(seconds, 3) for name, seconds in {**self.seconds_by_phase, **of_pipeline}.items()}

    def _bundle(self) -> dict[str, Any] | None:
        if self.scorer is None:
            return None
        scorer = self.scorer
        return {"name": scorer.manifest.name, "id": scorer.bundle_id, "path": _text(str(scorer.bundle_path))}

    def _shard(self) -> dict[str, int] | None:
        shard, rows = self.options.shard, self.shard_rows
        if shard is None or rows is None:
            return None
        return {
            "index": shard.index,
            "count": shard.count,
            "first_row": rows.first,
            "last_row": rows.last,
            "rows_of_all_shards": rows.total,
        }

    def _inputs(self) -> list[dict[str, Any]]:
        files = self.plan.inputs.files if self.plan is not None else self.options.inputs
        contents = self.reader.contents if self.reader is not None else []
        found = []
        for path, begun in zip_longest(files, contents):
            # The size and hash of a file are known only once it is read to its end.
            content = begun[1] if begun is not None and begun[1].ended else None
            known = (content.count, content.digest) if content is not None else (None, None)
            found.append({"path": _text(path), "bytes": known[0], "sha256": known[1]})
        return found


def _words(examples: Sequence[Example], scorer: "LoadedModel") -> dict[Example, tuple[Contribution, ...]]:
    """Return the amounts of the wide part's words in the text of each example; empty without a wide part."""
    if scorer.wide_weights is None:
        return {}
    labels, texts = [one.label for one in examples], [one.text for one in examples]
    return dict(zip(examples, words_alone(scorer, texts, labels), strict=True))


def failure(error: BaseException) -> tuple[ExitCode, str]:
    """Return the exit code of the error that ended a run, and its message as printed."""
    word = getattr(error, "word", None)  # of a signal
    lines = [f"{word}." if word else str(error) or type(error).__name__, *getattr(error, "__notes__", [])]
    return exit_code_of(error), visible("\n".join(lines))


def _file(path: str, place: Destination | None) -> dict[str, Any]:
    size, digest = (place.published if place is not None else None) or (None, None)
    return {"path": _text(path), "bytes": size, "sha256": digest}


def _histogram(histogram: Histogram) -> dict[str, list[float]]:
    return {"edges": list(histogram.edges), "counts": list(histogram.counts)}


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 3) if seconds > 0 and count else None


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def versions() -> dict[str, str]:
    """Return the versions of this program, of Python and of the libraries loaded so far, by name."""
    found = {"review-scorer": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        if name.split("-")[0] in sys.modules:
            try:
                found[name] = version(name)
            except Exception:  # the other of two wheels is installed, or it has no metadata
                continue
    return found


def _text(value: Any) -> Any:
    """Return a value without bytes that are not UTF-8, which names of files may contain but JSON cannot."""
    if isinstance(value, list | tuple):
        return [_text(one) for one in value]
    return shown_source(value) if isinstance(value, str) else value
