"""`score-ray` from its checked arguments to its exit code: parts found, given to workers, counted, and declared complete."""

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scorer.base.errors import BundleError, ProviderError, ScorerError, UsageError
from scorer.base.messages import say
from scorer.base.progress import Progress
from scorer.base.signals import Interrupted
from scorer.cluster.part_scorer import PartResult
from scorer.cluster.parts import (
    SUCCESS,
    Part,
    check_folder,
    find_parts,
    forget_others,
    make_folders,
    mark_complete,
    mark_incomplete,
)
from scorer.cluster.ray_backend import Cluster, score_parts
from scorer.model.bundle import Bundle, load_bundle
from scorer.model.decision import decide
from scorer.report.drift import as_json, check_comparable, drift_of, passed
from scorer.report.summary import Summary, by_label, reasons
from scorer.rows.formats import format_of
from scorer.run.console import tell_drift
from scorer.run.limits import Limits, check_limits
from scorer.run.options import Arguments
from scorer.storage.address import check_writable, is_address
from scorer.storage.inputs import stored_size
from scorer.storage.lock import hold, let_go
from scorer.storage.output import check_place

_LOCK = ".score-ray.lock"
_MOST_TOLD = 5


def run(arguments: Arguments, cluster: Cluster) -> int:
    """Score all parts that are not finished, and say in ``_SUCCESS`` that all are.

    Returns:
        0, or 3 if records were rejected or the drift is beyond its limit.

    Raises:
        ScorerError: a part is missing, or too much was rejected; finished parts stay, ``_SUCCESS`` is not there.
    """
    folder, bundle = arguments.output, load_bundle(arguments.model)
    decide(arguments.threshold, arguments.uncertain).check(bundle.manifest.labels)
    check_comparable(bundle.manifest, arguments.max_drift)
    parts = _parts(arguments)
    with _locked(folder):
        results = _score(parts, arguments, bundle, cluster)
        _check_all_there(parts, results)
        total = Summary()
        for result in results.values():
            total.add(result.counts)
        check_limits(total, Limits(arguments.most_rejects, arguments.max_reject_ratio))
        drift = drift_of(bundle.manifest.reference, total)
        beyond = passed(drift or {}, arguments.max_drift)
        forget_others(folder, parts, arguments.work_dir)
        mark_complete(folder, _content(parts, total, bundle, drift and as_json(drift)), arguments.work_dir)
    if not arguments.quiet:
        _tell(folder, results.values(), total)
        if arguments.max_drift is not None:
            tell_drift(drift or {}, arguments.max_drift)
    return 3 if total.rows_rejected or beyond else 0


def _parts(arguments: Arguments) -> list[Part]:
    """The parts, the largest first: so that none is left for the end while other workers idle."""
    if not arguments.inputs:
        raise UsageError("name an input, for instance: score-ray lake/day=2026-11-23 -o scores --workers 2")
    folder, extension = arguments.output, str(arguments.output_format)
    format_of(folder, extension, "--output-format")
    if is_address(folder):
        check_writable(folder, "--output")
    parts = find_parts(arguments.inputs)
    for part in parts:
        format_of(part.source, arguments.input_format, "--input-format")
    check_folder(folder, parts, arguments.inputs, extension)
    make_folders([f"{folder}/{SUCCESS}"])
    check_place(f"{folder}/{SUCCESS}", [], "--output")
    return sorted(parts, key=lambda part: -(stored_size(part.source) or 0))


def _score(parts: Sequence[Part], arguments: Arguments, bundle: Bundle, cluster: Cluster) -> dict[str, PartResult]:
    """What came of each part, by its source."""
    results: dict[str, PartResult] = {}
    rows = 0
    begun = []

    def begin() -> None:
        begun.append(True)
        mark_incomplete(arguments.output, arguments.work_dir)

    try:
        with (
            contextlib.redirect_stdout(sys.stderr),  # where Ray tells of workers that died
            Progress("scoring", len(parts), quiet=arguments.quiet) as progress,
            contextlib.closing(score_parts(parts, arguments, bundle, cluster, begin)) as scored,
        ):
            for result in scored:
                _check_usable(result)
                results[result.source] = result
                rows += result.summary.get("rows_in", 0)
                progress.show(len(results), f"{len(results):,} of {len(parts):,} parts, {rows:,} rows")
    except BaseException as error:
        done = sum(result.published for result in results.values())
        if begun and isinstance(error, Interrupted | ScorerError):
            error.add_note(f"{done:,} of {len(parts):,} parts are done and kept: the same command does the others.")
        raise
    return results


def _check_usable(result: PartResult) -> None:
    """Raise what would happen to every other part too: that the model or the provider is refused."""
    for kind in (BundleError, ProviderError):
        if result.exit_code == kind.exit_code:
            raise kind(f"a worker cannot score: {result.error}")


def _check_all_there(parts: Sequence[Part], results: dict[str, PartResult]) -> None:
    """Raise an error that names parts which were not published, with the exit code of the first of them."""
    missing = [part.source for part in parts if part.source not in results]
    if missing:
        raise ScorerError(f"the cluster says nothing of {len(missing):,} parts, such as {missing[0]}; run it again.")
    failed = [result for result in results.values() if not result.published]
    if not failed:
        return
    lines = [_told(result) for result in failed[:_MOST_TOLD]]
    more = [f"and {len(failed) - _MOST_TOLD:,} more."] if len(failed) > _MOST_TOLD else []
    error = ScorerError("\n".join([f"{len(failed):,} of {len(parts):,} parts failed.", *lines, *more]))
    error.exit_code = failed[0].exit_code
    if len(failed) < len(parts):
        error.add_note(f"The others are done and kept, without {SUCCESS}: the same command does what is missing.")
    raise error


def _told(result: PartResult) -> str:
    error = str(result.error)
    return error if error.startswith(result.source) else f"{result.source}: {error}"


def _content(parts: Sequence[Part], total: Summary, bundle: Bundle, drift: dict[str, Any] | None) -> str:
    found = {
        "parts": len(parts),
        "rows_in": total.rows_in,
        "rows_scored": total.rows_scored,
        "rows_rejected": total.rows_rejected,
        "rows_rejected_by_reason": dict(total.rejected),
        "rows_truncated": total.rows_truncated,
        "labels": dict(total.labels),
        "tokens": total.tokens,
        "drift": drift,
        "bundle": {"name": bundle.manifest.name, "id": bundle.id},
    }
    return json.dumps(found, indent=2) + "\n"


def _tell(folder: str, results: Iterable[PartResult], total: Summary) -> None:
    results = list(results)
    before = sum(result.finished_before for result in results)
    earlier = f" ({before:,} of them before)" if before else ""
    labels = by_label(total)
    say(
        f"{total.rows_scored:,} of {total.rows_in:,} rows in {len(results):,} parts{earlier} scored to {folder}"
        + (f": {labels}." if labels else "."),
        fields={"event": "result", "rows_in": total.rows_in, "rows_scored": total.rows_scored},
    )
    if total.rows_rejected:
        say(f"{total.rows_rejected:,} rejected ({reasons(total)}): see {folder}/_rejects.", "warning")


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Keep other runs away, where files can be locked; in a store the last one to finish a part wins."""
    if is_address(folder):
        yield
        return
    path = Path(folder) / _LOCK
    held = hold(path, folder)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        let_go(held)
