"""The scorer of Python programs: texts and tables in memory, scored with a bundle as the command `score` does."""

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Self, overload
from weakref import WeakSet

import numpy as np

from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.engine.gpu import ARENA_STRATEGY
from scorer.model.bundle import Bundle
from scorer.model.decision import Decision
from scorer.model.explanation import Explanation, explain
from scorer.model.interpretation import Interpretation
from scorer.model.loaded import LoadedModel, refuse_unscored, with_gaps
from scorer.model.manifest import Manifest
from scorer.model.texts import ArrowArray, texts_of, texts_or_none
from scorer.storage.cache_file import warn
from scorer.storage.cache_settings import CacheSettings

if TYPE_CHECKING:
    import pyarrow
    from typing_extensions import TypeVar  # whatever checks types has it

    from scorer.run.tables import ArrowStream

    Label = TypeVar("Label", default=str)
    Labels = TypeVar("Labels", default=tuple[str, ...])
else:
    from typing import TypeVar

    Label, Labels = TypeVar("Label"), TypeVar("Labels")


class Scores(NamedTuple, Generic[Label]):
    """The result of a model that chooses one label.

    Attributes:
        labels: predicted label of each text; with ``on_error="null"``, None for a text without a score.
        probabilities: float64 (texts, labels), in the order of the bundle's labels; rows sum to 1, or are NaN.
    """

    labels: list[Label]
    probabilities: np.ndarray


class LabelSets(NamedTuple, Generic[Labels]):
    """The result of a model that gives each text any number of labels.

    Attributes:
        labels: labels of each text, in the order of the bundle's labels; with ``on_error="null"``, None for a text without
            a score.
        probabilities: probability of each label, float64 (texts, labels), in the order of the bundle's labels; or NaN.
    """

    labels: list[Labels]
    probabilities: np.ndarray


class Values(NamedTuple):
    """The result of a regression.

    Attributes:
        values: float64 (texts, outputs), in the unit of the labels that the model was trained on; with
            ``on_error="null"``, NaN for a text without a score.
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

    Raises:
        BundleError: the bundle is missing, damaged, or gives different scores here.
        ProviderError: the provider cannot be used here.
        UsageError: there is no such provider, precision or number of threads, the decision does not fit the labels, or the
            cache's file is something else.
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
        self._model: LoadedModel | None = LoadedModel(
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
        self._process = os.getpid()
        self._begun: WeakSet[Generator[pyarrow.RecordBatch, None, None]] = WeakSet()  # batches that readers take
        self.bundle_id = self.model.bundle_id
        self.manifest: Manifest = self.model.manifest
        self.labels = self.model.labels

    @property
    def model(self) -> LoadedModel:
        """Loaded model, for this project's own programs.

        Raises:
            RuntimeError: the scorer is closed, or was opened by another process.
        """
        return self._opened()

    def _opened(self) -> LoadedModel:
        if os.getpid() != self._process:  # its threads stayed there, and waiting for them would never end
            raise RuntimeError(
                "this Scorer was opened before the process was forked, and its threads are not in the new process. Open a "
                "Scorer in each process."
            )
        if self._model is None:
            raise RuntimeError("this Scorer is closed. Open another one, or close it later.")
        return self._model

    @overload
    def score(
        self, texts: Iterable[str] | ArrowArray, *, on_error: Literal["raise"] = "raise"
    ) -> Scores | LabelSets | Values: ...

    @overload
    def score(
        self, texts: Iterable[str | None] | ArrowArray, *, on_error: Literal["null"]
    ) -> Scores[str | None] | LabelSets[tuple[str, ...] | None] | Values: ...

    def score(
        self, texts: Iterable[Any] | ArrowArray, *, on_error: Literal["raise", "null"] = "raise"
    ) -> Scores[Any] | LabelSets[Any] | Values:
        """Return the labels and probabilities, or the values, of each text, in order.

        The type depends on the task of the bundle: ``Scores`` if it chooses one label, ``LabelSets`` if it gives any number of
        labels, ``Values`` if it gives numbers. ``scorer.manifest.task`` names the task.

        Args:
            texts: texts in a list or another sequence, a Series of pandas or polars, or an array of numpy or Arrow.
            on_error: ``raise``, or ``null`` for None and NaN as the result of a text that cannot be scored.

        Raises:
            TypeError: ``texts`` is a single text or a table, or one of its values is not text.
            ValueError: a text is blank or has no token; the command `score` would reject it.
            OutOfMemory: the device has too little memory for one of the texts.
        """
        model = self.model
        if on_error == "raise":
            logits = model.submit_texts(texts_of(texts), empty_allowed=False).result().logits
            refuse_unscored(logits)
        elif on_error == "null":
            given = texts_or_none(texts)
            found = model.submit_texts([text for text in given if text is not None]).result().logits
            logits = with_gaps(found, np.array([text is None for text in given], dtype=bool), np.nan)
        else:
            raise ValueError(f'on_error takes "raise" or "null", not {on_error!r}.')
        return _result(model.interpretation, logits)

    def explain(self, texts: Iterable[Any] | ArrowArray) -> list[Explanation]:
        """Return what moved the label of each text, in order, as `score --explain` does.

        A text of several sentences is read again without each of them, at most 20 times.

        Args:
            texts: as for `score`.

        Raises:
            UsageError: the model gives numbers.
            TypeError, ValueError, OutOfMemory: as for `score`.
        """
        return explain(self.model, texts_of(texts))

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
            table: table with the Arrow C stream interface, as of pandas, polars, DuckDB or pyarrow.
            text: name of the text column; None for the one that is called text, review, content, body or comment.
            keep: names of columns to pass through, unchanged, or ``*`` for all of them; a column ``id`` always is.
            details: whether to add tokens, truncated, the stage, the windows and each label's probability.
            batches: whether to return an iterator over record batches, which reads and scores the table bit by bit.

        Raises:
            TypeError: ``table`` is no table, or the text column has no text.
            UsageError: a column is missing, or there are several of its name.
        """
        import pyarrow  # slow to import

        from scorer.run.tables import scored_table, wanted_columns

        found = scored_table(table, wanted_columns(text, keep, details=details), self.model)
        if not batches:
            return pyarrow.Table.from_batches(found.batches, found.schema)
        self._begun.add(found.batches)
        return pyarrow.RecordBatchReader.from_batches(found.schema, self._while_open(found.batches))

    def _while_open(self, batches: "Generator[pyarrow.RecordBatch, None, None]") -> "Iterator[pyarrow.RecordBatch]":
        """Yield batches until this scorer is closed, which is an error."""
        self._opened()
        for batch in batches:
            yield batch
            self._opened()
        self._opened()  # closing the scorer ends the batches, too, and that is not the end of the table

    def close(self) -> None:
        """Write what is left to the cache, and free the model; later calls raise `RuntimeError`.

        Calls of other threads that are running end as usual, and the last of them frees the model. Readers of
        `score_table` compute nothing more.
        In the child of a fork it does nothing, because the cache and the memory are its parent's.
        """
        if os.getpid() == self._process:
            model, self._model = self._model, None
            while self._begun:
                with contextlib.suppress(KeyError, ValueError):  # dropped meanwhile, or running in another thread
                    self._begun.pop().close()
            if model is not None:
                model.close()

    def __getstate__(self) -> object:
        raise TypeError("a Scorer cannot be pickled or copied. Open a Scorer in each process.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _result(interpretation: Interpretation, logits: np.ndarray) -> Scores[Any] | LabelSets[Any] | Values:
    """Return the result for texts from their logits, float32 (texts, logits), which are NaN for texts without a score."""
    values = interpretation.values(logits)
    if interpretation.task == REGRESSION:
        return Values(values)
    lacking = np.isnan(values).any(axis=1).tolist()
    labels = [None if lacks else label for label, lacks in zip(interpretation.answers(values), lacking, strict=True)]
    return LabelSets(labels, values) if interpretation.task == MULTI_LABEL else Scores(labels, values)
