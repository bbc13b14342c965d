"""The scorer of Python programs: texts and tables in memory, scored with a bundle as the command `score` does."""

import os
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NamedTuple, Self, overload

import numpy as np

from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.engine.gpu import ARENA_STRATEGY
from scorer.model.bundle import Bundle
from scorer.model.decision import Decision
from scorer.model.loaded import LoadedModel, refuse_unscored
from scorer.model.manifest import Manifest
from scorer.model.texts import texts_of
from scorer.storage.cache_file import warn
from scorer.storage.cache_settings import CacheSettings

if TYPE_CHECKING:
    import pyarrow

    from scorer.run.tables import ArrowStream


class Scores(NamedTuple):
    """The result of a model that chooses one label.

    Attributes:
        labels: predicted label of each text.
        probabilities: float64 (texts, labels), in the order of the bundle's labels; rows sum to 1.
    """

    labels: list[str]
    probabilities: np.ndarray


class LabelSets(NamedTuple):
    """The result of a model that gives each text any number of labels.

    Attributes:
        labels: labels of each text, in the order of the bundle's labels.
        probabilities: probability of each label, float64 (texts, labels), in the order of the bundle's labels.
    """

    labels: list[tuple[str, ...]]
    probabilities: np.ndarray


class Values(NamedTuple):
    """The result of a regression.

    Attributes:
        values: float64 (texts, outputs), in the unit of the labels that the model was trained on.
    """

    values: np.ndarray


class Scorer:
    """A classifier of texts, made from a bundle: ``Scorer("models/imdb").score(["Loved it."])``.

    It scores the golden rows first. A machine whose scores would differ from those of the machine that made the bundle
    is noticed before the first real row.

    Args:
        bundle: folder of the bundle, or a loaded `Bundle`; None for the one that comes with the package.
        provider: ``auto``, ``cpu`` or ``cuda``; ``cuda`` never falls back.
        precision: ``auto`` (the bundle's default for the provider) or one of the bundle's own.
        threads: rows computed at a time on CPU; None for every usable core.
        device_id: number of the GPU, among those that CUDA_VISIBLE_DEVICES leaves visible.
        batch_tokens: padded tokens of a batch on CUDA, fewer if the GPU is out of memory; None for the bundle's default.
        gpu_mem_limit: largest amount of GPU memory to use, in bytes; None for all of it.
        arena_strategy: way in which memory on the GPU grows, see `scorer.engine.gpu.Gpu`.
        decision: rule that chooses the labels.
        cascade: whether to skip the encoder for texts that the bundle's wide part alone can decide.
        cache: file in which outcomes are kept for later runs, or settings of it; None for no cache. `close` closes it.
        report: function that reports a problem with the cache, which is never an error; the default warns.

    Attributes:
        bundle_id: SHA-256 of the bundle's SHA256SUMS, hexadecimal.
        manifest: manifest of the bundle.
        labels: label names in the order of the probabilities, or names of the outputs of a regression.
        model: loaded model, for this project's own programs.

    Raises:
        BundleError: the bundle is missing, damaged, or gives different scores here.
        ProviderError: the provider cannot be used here.
        UsageError: the bundle has no such precision, the decision does not fit its labels, or the cache's file is something
            else.
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str] | Bundle | None = None,
        *,
        provider: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        device_id: int = 0,
        batch_tokens: int | None = None,
        gpu_mem_limit: int | None = None,
        arena_strategy: str = ARENA_STRATEGY,
        decision: Decision = Decision(),
        cascade: bool = True,
        cache: str | os.PathLike[str] | CacheSettings | None = None,
        report: Callable[[str], None] = warn,
    ) -> None:
        self.model = LoadedModel(
            bundle,
            provider=provider,
            precision=precision,
            threads=threads,
            device_id=device_id,
            batch_tokens=batch_tokens,
            gpu_mem_limit=gpu_mem_limit,
            arena_strategy=arena_strategy,
            decision=decision,
            cascade=cascade,
            cache=cache,
            report=report,
        )
        self.bundle_id = self.model.bundle_id
        self.manifest: Manifest = self.model.manifest
        self.labels = self.model.labels

    def score(self, texts: Iterable[str]) -> Scores | LabelSets | Values:
        """Return the labels and probabilities, or the values, of each text, in order.

        The type depends on the task of the bundle: ``Scores`` if it chooses one label, ``LabelSets`` if it gives any number of
        labels, ``Values`` if it gives numbers. ``scorer.manifest.task`` names the task.

        Args:
            texts: list or column of texts, from pandas, polars, numpy or Arrow.

        Raises:
            TypeError: ``texts`` is a single text or a table, or one of its values is not text.
            ValueError: a text is blank or has no token; the command `score` would reject it.
            OutOfMemory: the device has too little memory for one of the texts.
        """
        outcomes = self.model.submit_texts(texts_of(texts), empty_allowed=False).result()
        refuse_unscored(outcomes.logits)
        interpretation = self.model.interpretation
        values = interpretation.values(outcomes.logits)
        labels = interpretation.answers(values)
        if interpretation.task == REGRESSION:
            return Values(values)
        if interpretation.task == MULTI_LABEL:
            return LabelSets([tuple(each) for each in labels], values)
        return Scores([str(label) for label in labels], values)

    @overload
    def score_table(
        self,
        table: "ArrowStream",
        text: str | None = None,
        *,
        keep: str | Sequence[str] = (),
        details: bool = False,
        batches: Literal[False] = False,
    ) -> "pyarrow.Table": ...

    @overload
    def score_table(
        self,
        table: "ArrowStream",
        text: str | None = None,
        *,
        keep: str | Sequence[str] = (),
        details: bool = False,
        batches: Literal[True],
    ) -> "pyarrow.RecordBatchReader": ...

    @overload
    def score_table(
        self,
        table: "ArrowStream",
        text: str | None = None,
        *,
        keep: str | Sequence[str] = (),
        details: bool = False,
        batches: bool,
    ) -> "pyarrow.Table | pyarrow.RecordBatchReader": ...

    def score_table(
        self,
        table: "ArrowStream",
        text: str | None = None,
        *,
        keep: str | Sequence[str] = (),
        details: bool = False,
        batches: bool = False,
    ) -> "pyarrow.Table | pyarrow.RecordBatchReader":
        """Return a table with a row for each row of a table, and the columns and types of the command's Parquet output.

        A last column ``reject`` is the reason that a row cannot be scored, whose result is null; it is null for a scored row.

        Args:
            table: table with the Arrow C stream interface: of pandas, polars, DuckDB, Ibis or pyarrow.
            text: name of the text column; None for the one that is called text, review, content, body or comment.
            keep: names of columns to pass through, unchanged, or ``*`` for all of them; a column ``id`` always is.
            details: whether to add tokens, truncated, the stage, the windows and each label's probability.
            batches: whether to return an iterator over record batches, which reads and scores the table bit by bit.

        Raises:
            TypeError: ``table`` is no table, or the text column has no text.
            UsageError: a column is missing, or there are several of its name.
        """
        from scorer.run.tables import scored_table, wanted_columns  # pyarrow is slow to import

        reader = scored_table(table, wanted_columns(text, keep, details=details), lambda: self.model)
        return reader if batches else reader.read_all()

    def close(self) -> None:
        """Write what is left to the cache, and close it; the scorer can still be used without it."""
        self.model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
