"""Verification of a finished output: its hashes, its order, and a sample of its rows, scored again."""

import platform
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from scorer.base import signals
from scorer.base.errors import InputError
from scorer.base.progress import Progress
from scorer.base.text import counted
from scorer.engine.cpu_features import cpu_features
from scorer.model.bundle import Bundle
from scorer.model.interpretation import interpretation_of
from scorer.rows.formats import PARQUET, Format, compression_of
from scorer.rows.reader import Inputs, Reader, rows_known
from scorer.run.options import ScoreOptions
from scorer.run.record import versions
from scorer.run.resolve import output_format_of, wanted_of
from scorer.run.score import open_scorer
from scorer.verify.files import (
    bundle_of,
    check_files,
    explained_paths,
    inputs_of,
    of_beside,
    of_bundle,
    of_file,
    of_inputs,
    of_record,
    of_uncertain,
    rejects_paths,
)
from scorer.verify.finding import Differences, Finding
from scorer.verify.label_counts import LabelCounts
from scorer.verify.recorded import Recorded, read_record
from scorer.verify.rescoring import TOLERANCE, Comparison, rescore
from scorer.verify.row_file import Difference, RowFile
from scorer.verify.sample import ROWS, chance_to_miss, draw, shown_chance
from scorer.verify.sampled_reader import REASONS_OF_THE_MODEL, SampledReader, Tally

_CHANGED = 0.01  # share of the rows in the statement on what a sample finds
_EVERY = 1024


@dataclass(frozen=True)
class Settings:
    """Options of a verification.

    Attributes:
        rows: number of rows to score again, at most.
        seed: seed of the sample; None for one that nobody can foresee.
        model: folder of the bundle; None for the one of the run.
        threads: number of CPU threads, as for `Scorer`.
    """

    rows: int = ROWS
    seed: int | None = None
    model: str | None = None
    threads: int | None = None


def verify(output: str, summary: str, settings: Settings = Settings()) -> Iterator[Finding]:
    """Yield the result of each check of an output, as soon as it is known.

    Args:
        output: name or address of the output.
        summary: name or address of the record of its run.
        settings: options of the verification.

    Raises:
        UsageError: the record is not that of a run that published a file, or a file or the bundle of the run is missing.
        BundleError, ProviderError: the bundle or the provider of the run cannot be used here.
        ScorerError: a file cannot be read.
    """
    recorded = read_record(summary)
    check_files(output, recorded)
    inputs, bundle = inputs_of(recorded), bundle_of(recorded, settings.model)
    yield of_record(recorded)
    yield of_file("output", output, recorded.output)
    rejects = None
    if recorded.rejects is not None:
        of_them, rejects = of_beside("rejects", rejects_paths(output, recorded), recorded.rejects)
        yield of_them
    if recorded.uncertain is not None:
        yield of_uncertain(recorded.uncertain)
    if recorded.explained is not None:
        yield of_beside("explained rows", explained_paths(output, recorded.explained), recorded.explained)[0]
    found = [of_inputs(recorded), of_bundle(recorded, bundle)]
    yield from found
    if any(one.state == "different" for one in found):
        yield Finding("not checked", "rows", "they cannot be compared with other inputs or another bundle")
        return
    yield from _of_rows(output, rejects, recorded, inputs, bundle, settings)


def _of_rows(
    output: str, rejects: str | None, recorded: Recorded, inputs: Inputs, bundle: Bundle, settings: Settings
) -> Iterator[Finding]:
    """Join all rows with the inputs, and score a sample of them again."""
    options = _repeated(recorded, settings)
    wanted = wanted_of(options)
    reader = Reader(inputs, wanted, options.limit)
    seed = secrets.randbits(32) if settings.seed is None else settings.seed
    everywhere, in_sample = Differences(), Differences()
    try:
        other = _restrict(reader, recorded)
        if other is not None:
            yield Finding("different", "rows", other)
            return
        in_output = RowFile(output, output_format_of(options), everywhere.add)
        in_rejects = _rejects(rejects, everywhere)
        with Progress("verifying", recorded.rows_in, quiet=False) as progress:

            def on_row(count: int) -> None:
                if count % _EVERY == 0:
                    signals.check()
                    progress.show(count, f"{count:,} rows")

            sample = draw(recorded.rows, settings.rows, seed)
            labels = LabelCounts(interpretation_of(bundle.manifest))
            joined = SampledReader(reader, sample, in_output, in_rejects, everywhere.add, labels, on_row)
            with open_scorer(options, options.decision, bundle) as scorer:
                compared = rescore(joined, scorer, wanted, in_output, in_sample.add)
    except InputError as error:  # a file of the run cannot be read to its end
        yield Finding("different", "rows", str(error))
        return
    tally = joined.tally
    for one in _miscounted(tally, labels, in_output.count, recorded):
        everywhere.add(one)
    counts = f"{counted(tally.rows, 'record')} in the inputs, {counted(in_output.count, 'row')} in the output"
    joining = "each record is a row or a reject, in order"
    if everywhere.count:
        joining = counted(everywhere.count, "difference")
    elif recorded.rejects is not None and in_rejects is None:
        without = counted(recorded.rows_rejected, "record")
        joining = f"{without} without a row, as many as the record has rejects, which were not checked; all others are rows, in order"
    yield Finding("different" if everywhere.count else "ok", "rows", f"{counts}; {joining}", tuple(everywhere.lines()))
    yield _of_sample(compared, in_sample, recorded, len(sample), seed)


def _repeated(recorded: Recorded, settings: Settings) -> ScoreOptions:
    """Return the options that score a record as the run did, without its cache."""
    return replace(
        recorded.options,
        model=None,
        provider=recorded.provider,
        precision=recorded.precision,
        threads=settings.threads,
        cache=None,
        cache_max_rows=None,
        cache_read_only=False,
    )


def _restrict(reader: Reader, recorded: Recorded) -> str | None:
    """Restrict a reader to the run's shard, if it was one; return the problem if the inputs have other rows."""
    shard, limit = recorded.shard, recorded.options.limit
    if shard is None:
        return None
    known = rows_known(reader.inputs)
    total = reader.count() if known is None else min(known, limit or known)
    if total != shard.total:
        return f"the inputs have {total:,} rows, but those of all shards are {shard.total:,}"
    reader.restrict(shard.first, shard.last)
    return None


def _rejects(path: str | None, everywhere: Differences) -> RowFile | None:
    return None if path is None else RowFile(path, Format("jsonl", compression_of(path)), everywhere.add)


def _miscounted(tally: Tally, labels: LabelCounts, rows: int, recorded: Recorded) -> Iterator[Difference]:
    """Yield the counts of the record that are not those of the inputs and of the output, which has some rows."""
    for where, expected, found in (
        ("rows of the inputs", recorded.rows_in, tally.rows),
        ("rows of the output", recorded.rows_scored, rows),
        ("duplicates", recorded.duplicates, tally.duplicates),
        ("rows without a label", recorded.rows_without_label, labels.without),
    ):
        if expected != found:
            yield Difference(where, f"{expected:,}, by the record", f"{found:,}")
    other = [
        label
        for label in sorted({*recorded.labels, *labels.labels})
        if recorded.labels.get(label, 0) != labels.labels[label]
    ]
    if other:
        by_record, by_output = (
            ", ".join(f"{counts.get(label, 0):,} {label}" for label in other)
            for counts in (recorded.labels, labels.labels)
        )
        yield Difference("rows by label", f"{by_record}, by the record", by_output)
    expected_reasons = Counter(recorded.rejected)
    by_model = expected_reasons - tally.rejected
    explained = by_model.total() == tally.unexplained and by_model.keys() <= set(REASONS_OF_THE_MODEL)
    if tally.rejected - expected_reasons or not explained:
        yield Difference("rejects by reason", f"{_counted(expected_reasons)}, by the record", _counted(tally.rejected))


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count) or "none"


def _of_sample(compared: Comparison, differences: Differences, recorded: Recorded, drawn: int, seed: int) -> Finding:
    rows = recorded.rows_in
    which = f"{drawn:,} of {counted(rows, 'row')}, drawn with --seed {seed}"
    if not compared.different:
        agree = "every byte agrees with the scores computed here"
        if compared.tolerated:
            agree = (
                f"every byte agrees in {counted(drawn - compared.tolerated, 'row')}, all but numbers in {compared.tolerated:,}, which "
                f"differ by at most {compared.gap:.6f} ({TOLERANCE:g} is allowed on {recorded.provider})"
            )
        return Finding("ok", "sample", f"{which}: {agree}", (_power(rows, drawn),))
    details = differences.lines()
    if compared.numbers_only:
        details.append(
            f"{compared.numbers_only:,} of them {_differ(compared.numbers_only)} in numbers alone, by at most {compared.gap:.6f}"
        )
    changes = _changes(recorded)
    if changes:
        details.append(f"this may be the reason, if nobody changed the output: {'; '.join(changes)}")
    return Finding(
        "different", "sample", f"{which}: {compared.different:,} {_differ(compared.different)}", tuple(details)
    )


def _differ(count: int) -> str:
    return "differs" if count == 1 else "differ"


def _power(rows: int, drawn: int) -> str:
    """Describe the changes that a sample would have found."""
    if drawn == rows:
        return "these are all rows, so any change would have been found"
    changed = ceil(rows * _CHANGED)
    chance = shown_chance(chance_to_miss(rows, changed, drawn))
    return f"a change in {_CHANGED:.0%} of the rows ({changed:,}) would have been found with a probability of {chance}"


def _changes(recorded: Recorded) -> list[str]:
    """List the differences between the machine of a run and this one that can change a score or its bytes."""
    here, found = versions(), []
    names = ["review-scorer", "onnxruntime", "onnxruntime-gpu", "tokenizers", "numpy"]
    if output_format_of(recorded.options).kind == PARQUET:
        names.append("pyarrow")
    for name in names:
        before, now = recorded.versions.get(name, "not used"), here.get(name, "not used")
        if before != now:
            found.append(f"{name} was {before}, and is {now} here")
    features = cpu_features()
    if recorded.cpu_features is None:
        if recorded.host != platform.node():
            found.append(f"the run was on another machine, {recorded.host}")
    elif set(features) != set(recorded.cpu_features):
        other = sorted(set(features) ^ set(recorded.cpu_features))
        found.append(f"only one of the two CPUs has {', '.join(other)}")
    return found
