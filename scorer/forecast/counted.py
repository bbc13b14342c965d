"""The input of a forecast: every record is read and counted, and the texts that a run would compute are sampled."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from scorer.base import signals
from scorer.base.text import text_digest
from scorer.base.timing import Stopwatch
from scorer.engine.reuse import REMEMBERED
from scorer.forecast.sample import Sample
from scorer.model.loaded import LoadedModel
from scorer.report.figure import NOTHING, Figure
from scorer.report.summary import Counts
from scorer.rows.reader import Reader
from scorer.rows.record import Record, Reject
from scorer.run.chunks import chunks
from scorer.storage.address import is_address

SAMPLED = 4_096
"""Texts to tokenize of those that a run would compute."""

_REPEATED = 1_024  # texts to tokenize of those that equal one before them
_CHARACTERS_A_TOKEN = 16  # kept of a text; the tokenizer needs some 4 to 5
_FULL = 5  # characters a token up to which a longer text has more tokens
# Records to format: the first of the input, up to this number and size.
_FORMATTED = 1_024
_FORMATTED_BYTES = 8 << 20


@dataclass
class CountedInput:
    """Records of an input, by the work that they make.

    Attributes:
        counts: records and rejects by reason; `rows_scored` counts all records with a text, and `duplicates` those that
            repeat an earlier one. The other counts are those of the rows from the cache, and exact.
        computed: rows whose text a run computes, sampled.
        repeated: rows whose text equals one that is computed, sampled.
        texts: records with a text; an estimate if only some records were read.
        records: some records with a text, to measure formatting; few enough for memory.
        read_seconds, cache_seconds: seconds of reading and of looking texts up.
        is_whole: whether all records were read.
        groups, groups_of_rejects: if only some records were read, the group of each text in `computed`, and of each record
            without a text.
        are_groups_drawn: whether only some groups were read.
    """

    counts: Counts
    computed: Sample
    repeated: Sample
    texts: Figure = NOTHING
    records: list[Record] = field(default_factory=list)
    read_seconds: float = 0.0
    cache_seconds: float = 0.0
    is_whole: bool = True
    groups: list[int] = field(default_factory=list)
    groups_of_rejects: list[int] = field(default_factory=list)
    are_groups_drawn: bool = False
    _left: int = _FORMATTED_BYTES

    def keep(self, record: Record) -> None:
        """Keep a record to measure formatting, if there is room."""
        if len(self.records) < _FORMATTED and record.length <= self._left:
            self.records.append(record)
            self._left -= record.length


def empty_input(scorer: LoadedModel) -> CountedInput:
    """Return the counts of no records, with samples for a model."""
    kept = scorer.tokenizer.max_length
    computed, repeated = (Sample(most, _CHARACTERS_A_TOKEN * kept, _FULL * kept) for most in (SAMPLED, _REPEATED))
    return CountedInput(Counts.empty(scorer.interpretation.score_edges), computed, repeated)


def counted(
    reader: Reader, scorer: LoadedModel, *, cached_later: bool, on_chunk: Callable[[Counts], None] = lambda counts: None
) -> CountedInput:
    """Read all records, look them up in the scorer's cache, and sample the others.

    Args:
        reader: reader of the records.
        scorer: loaded model, with a cache that stays as it is, or none.
        cached_later: whether a run adds what it computes to a cache, so that no text is computed twice.
        on_chunk: function called after each chunk.

    Raises:
        InputError, ScorerError: the input cannot be read to its end.
    """
    found = empty_input(scorer)
    latest = _Latest()
    reading, looking = Stopwatch(), Stopwatch()
    for chunk in reading.each(chunks(reader, scorer.chunk_rows)):
        signals.check()
        records = [item for item in chunk if isinstance(item, Record)]
        found.counts.rows_in += len(chunk)
        found.counts.rejected.update(item.reason for item in chunk if isinstance(item, Reject))
        found.counts.rows_scored += len(records)
        found.counts.duplicates += sum(record.duplicate for record in records)
        with looking:
            from_cache = _from_cache(records, scorer, found.counts)
        for record, cached in zip(records, from_cache.tolist(), strict=True):
            if cached:
                continue
            is_new = latest.add(record.text)
            sample = found.computed if is_new and not (cached_later and record.duplicate) else found.repeated
            sample.add(record.text, duplicate=record.duplicate)
        for record in records if len(found.records) < _FORMATTED else ():
            found.keep(record)
        on_chunk(found.counts)
    found.texts = Figure.known(found.counts.rows_scored)
    # A network waits again.
    found.read_seconds = reading.clock if any(map(is_address, reader.inputs.files)) else reading.busy
    found.cache_seconds = looking.busy
    return found


def _from_cache(records: Sequence[Record], scorer: LoadedModel, counts: Counts) -> np.ndarray:
    """Return the records whose outcome is in the cache, bool (records,), and count these outcomes."""
    if scorer.cache is None:
        return np.zeros(len(records), dtype=bool)
    found = scorer.cache.look_up([record.text for record in records])
    outcomes, cached = found.outcomes, ~found.missing
    early = outcomes.early & cached
    counts.rows_from_cache += int(cached.sum())
    counts.tokens += int(outcomes.tokens[cached].sum())
    counts.windows += int(outcomes.windows[cached].sum())
    counts.rows_truncated += int(outcomes.truncated[cached].sum())
    counts.rows_early += int(early.sum())
    counts.tokens_early += int(outcomes.tokens[early].sum())
    return cached


class _Latest:
    """The latest different texts, which `scorer.engine.reuse` remembers."""

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def add(self, text: str) -> bool:
        """Remember a text, and return whether it was unknown."""
        key = text_digest(text, 16)
        is_new = key not in self._keys
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > REMEMBERED:
            self._keys.popitem(last=False)
        return is_new
