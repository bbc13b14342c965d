"""Stages of a classifier: the wide part, which may decide alone, and the encoder, which may read a text in windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scorer.engine.cascade import Cascade, Staged
from scorer.engine.pending import Pending, cancelled_on_error
from scorer.engine.protocols import Computing, Engine
from scorer.engine.reuse import Reuse
from scorer.engine.wide import WidePart
from scorer.engine.windows import Split, Windows, split_of

Margins = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Function that returns how clearly each window gives its text's answer, see `scorer.model.interpretation`."""

Calibrate = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Function that calibrates logits, float32 (rows, logits), by the rows' numbers of tokens, int64 (rows,)."""


class Encoder(Protocol):
    """The part of an engine that this module uses."""

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]: ...


class Stages:
    """Engine with the wide part beside it, and before it if the bundle has a cascade.

    Args:
        engine: engine of the whole classifier, or of the encoder's part if ``wide`` is given.
        wide: wide part, if it is a graph of its own.
        cascade: limits that keep rows from the engine; None to give it all rows.
        windows: rule that cuts long texts; None for an engine that gets whole texts.
        margins: margins of windows, to find the one that decides; None without windows.
        calibrate: calibration of the logits of rows that the encoder reads, by their length; None for none.
    """

    def __init__(
        self,
        engine: Engine,
        wide: WidePart | None = None,
        cascade: Cascade | None = None,
        windows: Windows | None = None,
        margins: Margins | None = None,
        calibrate: Calibrate | None = None,
    ) -> None:
        self._encoder: Encoder = engine if windows is None else _Once(engine)
        self._wide = wide
        self._cascade = cascade
        self._windows = windows
        self._margins = margins
        self._calibrate = calibrate

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[Staged]:
        """Start to compute token ids, as `scorer.engine.protocols.Engine.submit`; the cascade has decided on return."""
        if self._cascade is None:
            return self._whole(rows)
        early = self.wide_alone(rows, self._cascade)
        decided = early.early
        if decided.all():
            return Pending(lambda: early)
        late = self._whole([row for row, is_early in zip(rows, decided, strict=True) if not is_early])
        return late.map(lambda found: early.replaced(~decided, found))

    def wide_alone(self, rows: Sequence[np.ndarray], cascade: Cascade) -> Staged:
        """Compute every row's logits by the wide part alone, and the rows that a cascade lets it decide."""
        assert self._wide is not None, "a cascade has a wide part"
        sums = self._wide.sums(rows)
        none = np.zeros(len(rows), dtype=np.int64)
        return Staged(cascade.logits(sums).astype(np.float32), cascade.decides(sums), none, none)

    def _whole(self, rows: Sequence[np.ndarray]) -> Pending[Staged]:
        """Start to compute rows by the encoder and the wide part together."""
        split, lengths = split_of(self._windows, rows), np.array([len(row) for row in rows], dtype=np.int64)
        each = self._encoder.submit(split.rows)
        if self._wide is None:
            return each.map(lambda logits: self._staged(split, lengths, logits, split.combined(logits)))
        with cancelled_on_error(each):
            both = together(each, self._wide.submit(rows))
        # Added in float32, as one graph would.
        return both.map(lambda found: self._staged(split, lengths, found[0], split.combined(found[0]) + found[1]))

    def _staged(self, split: Split, lengths: np.ndarray, each: np.ndarray, logits: np.ndarray) -> Staged:
        """Return the calibrated logits of texts with the windows that decide.

        Args:
            split: windows of the texts.
            lengths: numbers of tokens of the texts, int64 (texts,).
            each: logits of the windows, float32 (windows, logits).
            logits: logits of the texts, float32 (texts, logits).
        """
        if self._calibrate is not None:  # a window gets its text's calibration, which may give the text another label
            each, logits = self._calibrate(each, split.spread(lengths)), self._calibrate(logits, lengths)
        if self._margins is None or len(split.rows) == len(logits):
            deciding = np.ones(len(logits), dtype=np.int64)
        else:
            deciding = split.deciding(self._margins(each, split.spread(logits)))
        return Staged(logits, np.zeros(len(logits), dtype=bool), split.counts, deciding)


@dataclass(frozen=True)
class Whole:
    """`Computing` of whole texts by all parts of a classifier, with every text through the encoder.

    Attributes:
        encoder: engine of the encoder's part.
        wide: wide part, if it is a graph of its own.
        windows: rule that cuts long texts; None for an engine that gets whole texts.
    """

    encoder: Computing
    wide: WidePart | None = None
    windows: Windows | None = None

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        split = split_of(self.windows, rows)
        deep = split.combined(self._of_rows(split.rows))
        return deep if self.wide is None else np.asarray(deep + self.wide.submit(rows).result())

    def _of_rows(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute logits of the encoder's rows; those of equal windows, as in the longest row of one token, only once."""
        if self.windows is None:
            return self.encoder.logits(rows)
        distinct = {row.tobytes(): row for row in rows}
        numbers = {key: number for number, key in enumerate(distinct)}
        return self.encoder.logits(list(distinct.values()))[[numbers[row.tobytes()] for row in rows]]


class _Once:
    """Engine in front of which equal windows of different texts, such as the same beginning, are computed once."""

    def __init__(self, engine: Engine) -> None:
        self._reuse = Reuse(Stages(engine))

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        return self._reuse.submit(rows).map(lambda found: found.logits)


def together(one: Pending[np.ndarray], other: Pending[np.ndarray]) -> Pending[tuple[np.ndarray, np.ndarray]]:
    """Return both results; cancelling them cancels both."""

    def cancel() -> None:
        one.cancel()
        other.cancel()

    return Pending(lambda: (one.result(), other.result()), cancel)
