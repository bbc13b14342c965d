"""`score-ray`, from its checked arguments to its exit code: find parts, give them to workers, and check the results."""

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from scorer.base.errors import BundleError, ExitCode, ProviderError, ScorerError, UsageError, exit_code_of
from scorer.base.messages import print_message
from scorer.base.progress import Progress
from scorer.base.signals import Interrupted
from scorer.cluster.part_scorer import PartResult
from scorer.cluster.parts import (
    SUCCESS,
    Part,
    check_folder,
    forget_others,
    make_folders,
    mark_complete,
    mark_incomplete,
    parts_and_left_out,
)
from scorer.cluster.ray_backend import Cluster, score_parts
from scorer.model.bundle import Bundle, load_bundle, refuse_file_in_bundle
from scorer.model.interpretation import interpretation_of
from scorer.report.doubt import Doubt, doubt_of
from scorer.report.drift import Drift, as_json, check_comparable, drift_of, passed
from scorer.report.summary import Counts, reasons, shown_results
from scorer.rows.columns import ALL
from scorer.rows.formats import format_of
from scorer.rows.reader import check_kept, header_of_file
from scorer.run.console import (
    report_cache,
    report_cascade,
    report_doubt,
    report_drift,
    report_windows,
    warn_of_ignored,
)
from scorer.run.options import ScoreOptions
from scorer.run.resolve import limits_of, refuse_cache_in_inputs
from scorer.run.score import warn
from scorer.storage.address import check_writable, is_address
from scorer.storage.inputs import stored_size
from scorer.storage.lock import hold, release
from scorer.storage.output import check_place, lies_in

_LOCK = ".score-ray.lock"
_MOST_NAMED = 5


class PartsFailed(ScorerError):
    """Failure to publish some parts.

    Args:
        message: error message.
        exit_code: exit code of the first part that failed.
    """

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run(options: ScoreOptions, cluster: Cluster) -> ExitCode:
    """Score all unfinished parts, and write ``_SUCCESS`` once all are finished.

    Returns:
        `ExitCode.DONE`, or `ExitCode.WARNINGS` if records were rejected, the drift exceeds its limit, or --max-error does
        not hold.

    Raises:
        ScorerError: a part failed, too many records were rejected, or there are too few; finished parts are kept, without ``_SUCCESS``.
    """
    folder, bundle = options.output, load_bundle(options.model)
    interpretation = interpretation_of(bundle.manifest, options.decision)
    _check_cache(options)
    _check_promise(options, bundle)
    check_comparable(bundle.manifest, options.max_drift)
    parts = _parts(options)
    with _locked(folder):
        results = _score(parts, options, bundle, cluster)
        _check_all_there(parts, results)
        total = sum((result.counts for result in results.values()), Counts.empty(interpretation.score_edges))
        limits_of(options).check(total, sorted(one.source for one in results.values() if not one.counts.rows_in))
        drift = drift_of(bundle.manifest.reference_of(cascade=not options.no_cascade), total)
        beyond = passed(drift or {}, options.max_drift)
        forget_others(folder, parts, options.work_dir)
        cascade = None if bundle.manifest.cascade is None else not options.no_cascade
        doubt = _doubt(options, bundle, {result.precision for result in results.values()}, total, drift)
        content = _content(parts, total, bundle, cascade, drift and as_json(drift), doubt)
        mark_complete(folder, content, options.work_dir)
    if not options.quiet:
        _print_result(folder, results.values(), total, bundle.manifest.labels)
        report_windows(total)
        if options.cache is not None:
            report_cache(total, options.cache)
        if cascade:
            report_cascade(total)
        if options.max_drift is not None:
            report_drift(drift or {}, options.max_drift)
        report_doubt(doubt, total)
    return exit_code_of(warnings=bool(total.rows_rejected or beyond or doubt.is_broken))


def _parts(options: ScoreOptions) -> list[Part]:
    """Find the parts, the largest first, so that no large one is left for the end while other workers idle."""
    if not options.inputs:
        raise UsageError("name an input, for instance: score-ray lake/day=2026-11-23 -o scores --workers 2")
    folder, extension = options.output, str(options.output_format)
    format_of(folder, extension, "--output-format")
    if is_address(folder):
        check_writable(folder, "--output")
    parts, left_out = parts_and_left_out(options.inputs)
    if not options.quiet:
        warn_of_ignored(left_out)
    for part in parts:
        format_of(part.source, options.input_format, "--input-format")
    _check_kept(parts, options)
    check_folder(folder, parts, options.inputs, extension)
    make_folders([f"{folder}/{SUCCESS}"])
    check_place(f"{folder}/{SUCCESS}", [], "--output")
    return sorted(parts, key=lambda part: -(stored_size(part.source) or 0))


def _check_kept(parts: Sequence[Part], options: ScoreOptions) -> None:
    """Refuse a column of --keep that no part has, which takes a look at all parts."""
    if not set(options.keep) - {ALL}:
        return
    inputs = options.reading.inputs([part.source for part in parts])
    header = header_of_file(inputs, inputs.files[0])
    if header is not None:
        check_kept(options.keep, inputs, header, inputs.files[0])


def _score(parts: Sequence[Part], options: ScoreOptions, bundle: Bundle, cluster: Cluster) -> dict[str, PartResult]:
    """Score the parts and return their results by source."""
    results: dict[str, PartResult] = {}
    problems: set[str] = set()  # many workers may have the same one
    rows = 0
    begun = []

    def begin() -> None:
        begun.append(True)
        mark_incomplete(options.output, options.work_dir)

    try:
        with (
            contextlib.redirect_stdout(sys.stderr),  # Ray prints there that a worker died
            Progress("scoring", len(parts), quiet=options.quiet) as progress,
            contextlib.closing(score_parts(parts, options, bundle, cluster, begin)) as scored,
        ):
            for result in scored:
                _check_usable(result)
                results[result.source] = result
                for problem in result.problems:
                    if problem not in problems:
                        warn(problem)
                problems.update(result.problems)
                rows += result.summary.get("rows_in", 0)
                progress.show(len(results), f"{len(results):,} of {len(parts):,} parts, {rows:,} rows")
    except BaseException as error:
        done = sum(result.published for result in results.values())
        if begun and isinstance(error, Interrupted | ScorerError):
            error.add_note(f"{done:,} of {len(parts):,} parts are done and kept. The same command scores the others.")
        raise
    return results


def _check_cache(options: ScoreOptions) -> None:
    """Refuse a cache that no worker could use, or that readers of a folder would find.

    Raises:
        UsageError: the cache cannot be used with these options.
    """
    settings = options.cache_settings
    if settings is None:
        return
    if os.path.isdir(os.path.dirname(settings.path)):
        settings.check()
    else:  # each worker opens a file of its own node, where this folder may exist
        settings.check_alone()
    refuse_file_in_bundle(settings.path, "--cache")
    refuse_cache_in_inputs(settings.path, options.inputs)
    if not is_address(options.output) and lies_in(settings.path, options.output):
        raise UsageError(
            f"--cache {settings.path} is in the output folder {options.output}, so its readers would read it; "
            "put it elsewhere."
        )


def _check_promise(options: ScoreOptions, bundle: Bundle) -> None:
    """Refuse --max-error as far as that is possible without knowing what provider the workers will choose."""
    manifest = bundle.manifest
    precision = manifest.providers.get(options.provider) if options.precision == "auto" else options.precision
    if not manifest.confidence or precision in manifest.precisions:
        options.decision.resolved(manifest, str(precision))


def _doubt(
    options: ScoreOptions, bundle: Bundle, precisions: Set[str], total: Counts, drift: Mapping[str, Drift] | None
) -> Doubt:
    """Return the doubt about the labels of all parts, which workers may have scored in different precisions."""
    rules = [options.decision.resolved(bundle.manifest, precision) for precision in sorted(precisions)]
    return doubt_of(
        bundle.manifest,
        " and ".join(sorted(precisions)),
        max(rules, key=lambda rule: rule.confidence or 0, default=options.decision),
        total,
        drift,
        cascade=not options.no_cascade,
        max_drift=options.max_drift,
    )


def _check_usable(result: PartResult) -> None:
    """Raise an error that every other part would meet as well: the model or the provider cannot be used."""
    for kind in (BundleError, ProviderError):
        if result.exit_code == kind.exit_code:
            raise kind(f"a worker cannot score: {result.error}")


def _check_all_there(parts: Sequence[Part], results: dict[str, PartResult]) -> None:
    """Raise an error that names unpublished parts, with the exit code of the first one that failed."""
    missing = [part.source for part in parts if part.source not in results]
    if missing:
        raise ScorerError(
            f"the cluster returned no result for {len(missing):,} parts, such as {missing[0]}; run the command again."
        )
    failed = [result for result in results.values() if not result.published]
    if not failed:
        return
    lines = [_line(result) for result in failed[:_MOST_NAMED]]
    more = [f"and {len(failed) - _MOST_NAMED:,} more."] if len(failed) > _MOST_NAMED else []
    message = "\n".join([f"{len(failed):,} of {len(parts):,} parts failed.", *lines, *more])
    error = PartsFailed(message, ExitCode(failed[0].exit_code))
    if len(failed) < len(parts):
        error.add_note(f"The others are done and kept, without {SUCCESS}. The same command scores the missing ones.")
    raise error


def _line(result: PartResult) -> str:
    error = str(result.error)
    return error if error.startswith(result.source) else f"{result.source}: {error}"


def _content(
    parts: Sequence[Part],
    total: Counts,
    bundle: Bundle,
    cascade: bool | None,
    drift: dict[str, Any] | None,
    doubt: Doubt,
) -> str:
    found = {
        "parts": len(parts),
        "rows_in": total.rows_in,
        "rows_scored": total.rows_scored,
        "rows_rejected": total.rows_rejected,
        "rows_rejected_by_reason": dict(total.rejected),
        "rows_truncated": total.rows_truncated,
        "labels": dict(total.labels),
        "rows_uncertain": total.rows_uncertain,
        **doubt.as_json(),
        "tokens": total.tokens,
        "windows": None if bundle.manifest.windows is None else total.windows,
        "rows_in_windows": None if bundle.manifest.windows is None else total.rows_in_windows,
        "cascade": cascade,
        "rows_from_cache": total.rows_from_cache,
        "rows_decided_early": total.rows_early,
        "tokens_decided_early": total.tokens_early,
        "drift": drift,
        "bundle": {"name": bundle.manifest.name, "id": bundle.id},
    }
    return json.dumps(found, indent=2) + "\n"


def _print_result(folder: str, results: Iterable[PartResult], total: Counts, names: Sequence[str]) -> None:
    results = list(results)
    before = sum(result.finished_before for result in results)
    earlier = f" ({before:,} of them earlier)" if before else ""
    shown = shown_results(total, names)
    print_message(
        f"{total.rows_scored:,} of {total.rows_in:,} rows in {len(results):,} parts{earlier} scored, written to {folder}"
        + (f": {shown}." if shown else "."),
        fields={"event": "result", "rows_in": total.rows_in, "rows_scored": total.rows_scored},
    )
    if total.rows_rejected:
        print_message(f"{total.rows_rejected:,} rejected ({reasons(total)}): see {folder}/_rejects.", "warning")


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Keep other runs away with a lock; a store has none, so there the last run to finish a part wins."""
    if is_address(folder):
        yield
        return
    path = Path(folder) / _LOCK
    held = hold(path, folder)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        release(held)
