"""Report of `score --check`: the machine, and whether the bundle gives the same scores here as where it was made."""

import json
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from scorer.base.cores import usable_cores
from scorer.base.errors import BundleError
from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.base.text import shown_source, size
from scorer.base.version import __version__
from scorer.engine import runtime, wheel
from scorer.engine.cpu_features import cpu_features
from scorer.engine.gpu import Gpu
from scorer.model.bundle import load_bundle
from scorer.model.confidence import Correctness, least_error
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import WIDE, Manifest
from scorer.storage.cache_settings import CacheSettings
from scorer.storage.cache_statistics import Unreadable, statistics


def report(model: str | None, device_id: int, threads: int | None, cache: CacheSettings | None = None) -> Iterator[str]:
    """Yield the lines of the report, each as soon as it is known.

    Args:
        model: folder of the bundle; None for the bundle of the package.
        device_id: number of the GPU to check.
        threads: number of CPU threads, as for `LoadedModel`.
        cache: cache to describe; None for no cache.

    Raises:
        UsageError: the cache's file is something else. It is raised first.
        BundleError: the bundle cannot be loaded, or a precision that runs here fails its golden rows. It is raised last.
    """
    if cache is not None:
        cache.check()
    wheels = wheel.installed_wheels()
    yield f"review-scorer {__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield f"onnxruntime {runtime.onnxruntime_version()} ({', '.join(wheels) or 'no wheel recorded'})"
    if len(wheels) > 1:
        yield "  both wheels are installed and overwrite each other: uninstall both, then install the one you want"
    yield f"cpu features: {' '.join(cpu_features()) or 'unknown'}; usable cores: {usable_cores()}"
    usable = []
    for provider in runtime.PROVIDERS:
        problem = runtime.provider_problem(provider, Gpu(device_id))
        usable += [] if problem else [provider]
        remark = None if problem else runtime.provider_remark(provider)
        yield f"provider {provider}: {f'not usable: {problem}' if problem else '; '.join(filter(None, ('usable', remark)))}"
    if cache is not None:
        yield from _cache(Path(cache.path))
    bundle = load_bundle(model)
    manifest = bundle.manifest
    yield f"bundle {manifest.name}: {bundle.path}"
    yield f"  id {bundle.id}"
    yield f"  {_answers(manifest)}; precisions {', '.join(sorted(manifest.precisions))}"
    yield (
        f"  encoder {manifest.encoder.get('name', 'unknown')}, pooling {manifest.pooling}, "
        f"reads {_reading(manifest)} (truncation: {manifest.truncation})"
    )
    if manifest.cascade is not None:
        yield "  cascade: the wide part alone decides if it is sure, otherwise the encoder (with --no-cascade, always the encoder)"
    if manifest.confidence:
        yield f"  held-out texts for --max-error: {_promises(manifest.confidence)}"
    refused = []
    staged = 0
    for precision in sorted(manifest.precisions):
        for provider in usable:
            if (provider, precision) == ("cuda", "int8"):
                continue
            try:
                scorer = LoadedModel(
                    bundle, provider=provider, precision=precision, device_id=device_id, threads=threads
                )
            except BundleError as error:
                refused.append(str(error))
                yield f"  golden rows, {precision} on {provider}: refused"
            else:
                staged = sum(WIDE in row.logits for row in manifest.golden)
                yield (
                    f"  golden rows, {precision} on {provider}: {len(manifest.golden)} checked, largest logit difference "
                    f"{scorer.golden_difference:.2g} (tolerance {manifest.precisions[precision].tolerance:.2g})"
                )
    if staged:
        yield f"  golden rows, wide part on cpu: {staged} checked, sums identical"
    if refused:
        raise BundleError("\n".join(refused))


def _cache(path: Path) -> Iterator[str]:
    """Yield the lines on a cache: its size, its entries, and what computed them."""
    name = f"cache {shown_source(str(path))}"
    try:
        found = statistics(path)
    except Unreadable as error:
        if error.is_missing:
            yield f"{name}: missing; a run creates it"
            return
        problem = f"damaged ({error}); a run begins a new one" if error.is_damaged else f"cannot be read: {error}"
        yield f"{name}: {problem}"
        return
    yield f"{name}: {_entries(found.all.entries)}, {size(found.size)}"
    if found.stated != found.all.entries:
        yield (
            f"  the file's own count is {found.stated:,}, so --cache-max-rows removes too many or too few; "
            "delete the file to begin a new one"
        )
    if found.all.entries:
        yield f"  last used: the oldest entry on {_day(found.all.oldest)}, the newest on {_day(found.all.newest)}"
    for description, uses in found.contexts:
        yield f"  {_entries(uses.entries)}, last used on {_day(uses.newest)}, {_context(description)}"


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number:,} entries"


def _day(seconds: int | None) -> str:
    """Write a moment for people.

    >>> _day(1795971600), _day(None), _day(1 << 60)
    ('2026-11-29 17:00 UTC', 'an unknown day', 'an unknown day')
    """
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC" if seconds is not None else "an unknown day"
    except (ValueError, OverflowError, OSError):  # a damaged number
        return "an unknown day"


def _context(description: str) -> str:
    """Write what computed some entries, as the scorer described it."""
    try:
        found = json.loads(description)
        cascade = "with its cascade" if found["cascade"] else "without a cascade"
        versions = ", ".join(f"{name} {found[name]}" for name in ("review-scorer", "onnxruntime", "tokenizers"))
        return (
            f"by {found['name']} (id {found['bundle'][:12]}), {found['precision']} on {found['provider']}, {cascade}; "
            f"{versions}; {found['machine']} with {' '.join(found['cpu']) or 'unknown features'}"
        )
    except (ValueError, KeyError, TypeError):  # a damaged one
        return "by something unknown"


def _answers(manifest: Manifest) -> str:
    """Describe what a bundle gives a text, by its task."""
    names = ", ".join(manifest.labels)
    if manifest.task == MULTI_LABEL:
        return f"any of the labels {names}"
    if manifest.task == REGRESSION:
        return f"numbers: {names}"
    return f"ordered labels {names}" if manifest.ordered else f"labels {names}"


def _reading(manifest: Manifest) -> str:
    """Describe the tokens that a bundle's encoder reads of a text."""
    windows = manifest.windows
    if windows is None:
        return f"{manifest.max_length} of up to {manifest.tokens_kept} tokens"
    return (
        f"up to {manifest.tokens_kept} tokens in at most {windows.most} windows of {manifest.max_length}, "
        f"begun every {windows.stride} tokens, whose logits' {windows.combination} counts"
    )


def _promises(confidence: Mapping[str, Correctness]) -> str:
    """Describe the least error that can be promised in each precision."""
    found = []
    for precision, one in sorted(confidence.items()):
        least = least_error(one)
        promise = "prove no error" if least is None else f"prove an error of {least:g}"
        found.append(f"{sum(one.texts):,} in {precision} {promise}")
    return ", ".join(found)
