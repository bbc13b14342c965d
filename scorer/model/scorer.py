"""Scorers: bundles that are ready to score."""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from scorer.base.cores import usable_cores
from scorer.base.errors import BundleError, OutOfMemory, UsageError
from scorer.base.messages import silenced
from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.base.timing import Phases
from scorer.engine.batches import Lengths
from scorer.engine.cascade import Cascade, Staged
from scorer.engine.gpu import ARENA_STRATEGY, BATCH_TOKENS, Gpu, are_devices
from scorer.engine.multi_gpu import DeviceEngine
from scorer.engine.pending import Pending
from scorer.engine.protocols import Computing, Engine
from scorer.engine.reuse import Reuse
from scorer.engine.spec import EngineSpec
from scorer.engine.stages import Stages, Whole
from scorer.engine.windows import Windows
from scorer.model.bundle import TOKENIZER, Bundle, load_bundle
from scorer.model.checks import check_golden_rows, check_gpu_limit, check_largest_row, loading
from scorer.model.choice import choose
from scorer.model.decision import Decision
from scorer.model.interpretation import Answer, Interpretation, interpretation_of
from scorer.model.reference import Reference
from scorer.model.texts import refuse_empty, texts_of
from scorer.model.tokenizer import Tokenizer, Tokens
from scorer.model.wide import check_wide, open_wide
from scorer.model.windows import windows_of


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


class StagedScores(NamedTuple):
    """The result of any model, and what decided each text.

    Attributes:
        labels: answer to each text, see `scorer.model.interpretation.Answer`.
        values: probabilities or values, float64 (texts, labels).
        early: bool (texts,), true if the wide part alone decided.
        windows: number of windows that the encoder read, int64 (texts,); 0 if the wide part alone decided.
        decided_by: number of the window that decided, from 1, int64 (texts,); 0 if the wide part alone decided.
    """

    labels: Sequence[Answer]
    values: np.ndarray
    early: np.ndarray
    windows: np.ndarray
    decided_by: np.ndarray


class Scorer:
    """A classifier of texts, made from a bundle: ``Scorer("models/imdb").score(["Loved it."])``.

    It scores the golden rows first. A machine whose scores would differ from those of the machine that made the bundle
    is noticed before the first real row. ``golden_difference`` is the largest difference of their logits.

    Args:
        bundle: folder of the bundle, or a loaded `Bundle`; None for the one that comes with the package.
        provider: ``auto``, ``cpu`` or ``cuda``; ``cuda`` never falls back.
        precision: ``auto`` (the bundle's default for the provider) or one of the bundle's own.
        threads: rows computed at a time on CPU; None for every usable core.
        device_id: number of the GPU, among those that CUDA_VISIBLE_DEVICES leaves visible.
        devices: numbers of several GPUs, each with its own process; replaces ``device_id``.
        batch_tokens: padded tokens of a batch on CUDA, fewer if the GPU is out of memory; None for the bundle's default.
        gpu_mem_limit: largest amount of GPU memory to use, in bytes; None for all of it.
        arena_strategy: way in which memory on the GPU grows, see `scorer.engine.gpu.Gpu`.
        decision: rule that chooses the labels.
        cascade: whether to skip the encoder for texts that the bundle's wide part alone can decide.

    Attributes:
        bundle_id: SHA-256 of the bundle's SHA256SUMS, hexadecimal.
        bundle_path: folder of the bundle, for messages.
        manifest: manifest of the bundle, whose files are not kept.
        interpretation: meaning of the bundle's logits, by its task.
        cascade: rule for skipping the encoder; None if every text goes through it.
        has_cascade: whether the bundle has a cascade, used or not.
        windows: rule that cuts long texts into windows; None if the graph gets whole texts.
        engine: engine for the bundle's graph, which is the encoder's part alone if the wide part has its own graph.
        whole: engine for both parts of every text.
        phases: time spent in each phase, in seconds.

    Raises:
        BundleError: the bundle is missing, damaged, or gives different scores here.
        ProviderError: the provider cannot be used here.
        UsageError: the bundle has no such precision, or the decision does not fit its labels.
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str] | Bundle | None = None,
        *,
        provider: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        device_id: int = 0,
        devices: Sequence[int] = (),
        batch_tokens: int | None = None,
        gpu_mem_limit: int | None = None,
        arena_strategy: str = ARENA_STRATEGY,
        decision: Decision = Decision(),
        cascade: bool = True,
    ) -> None:
        loaded = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self.bundle_id, self.bundle_path = loaded.id, loaded.path
        self.manifest = loaded.manifest
        self.labels = self.manifest.labels
        self.has_cascade = self.manifest.cascade is not None
        self.cascade: Cascade | None = self.manifest.cascade if cascade else None
        decision.check(self.labels, self.manifest.task, cascade=cascade)
        if not are_devices(devices):
            raise UsageError(f"devices takes a list of the numbers of different GPUs, as in [0, 1], not {devices!r}.")
        gpu = Gpu(devices[0] if devices else device_id, gpu_mem_limit, arena_strategy)
        self.choice = choose(self.manifest, provider, precision, gpu)
        decision = decision.resolved(self.manifest, self.choice.precision)
        self.interpretation: Interpretation = interpretation_of(self.manifest, decision)
        self.batch_tokens = batch_tokens or self.manifest.batch_tokens or BATCH_TOKENS
        spec = self._spec(loaded, gpu, threads or usable_cores())
        check_gpu_limit(spec)
        tokenizer_json = loaded.files[TOKENIZER]
        self.phases = Phases()
        with loading(self.bundle_path, self.choice.precision, spec):
            wide = open_wide(loaded, spec.cores, self.phases)
            del loaded  # frees the files of other precisions while this one is loaded
            with silenced():
                self.tokenizer = Tokenizer(tokenizer_json, self.manifest.tokens_kept)
            self.windows: Windows | None = windows_of(self.manifest, self.tokenizer)
            if wide is not None:
                check_wide(self.bundle_path, self.manifest, self.tokenizer, wide)
            self.engine: Engine = (
                DeviceEngine(spec, devices, self.phases) if len(devices) > 1 else spec.open(self.phases)
            )
            self.whole: Computing = Whole(self.engine, wide, self.windows)
            each: Sequence[Computing] = [self.whole]
            if isinstance(self.engine, DeviceEngine):
                each = [Whole(worker, wide, self.windows) for worker in self.engine.workers]
            self.golden_difference = max(
                check_golden_rows(self.bundle_path, self.manifest, self.choice, self.tokenizer, one) for one in each
            )
            for one in each:
                check_largest_row(self.tokenizer, one)
            self.engine.warm_up(self.tokenizer.highest_id)
        self.phases.clear()
        self._stages = Stages(self.engine, wide, self.cascade, self.windows, self.interpretation.margins)
        self._reuse = Reuse(self._stages)
        self.chunk_rows = self.engine.chunk_rows
        self.journal_rows = self.engine.journal_rows

    def _spec(self, bundle: Bundle, gpu: Gpu, cores: int) -> EngineSpec:
        manifest, precision = self.manifest, self.choice.precision
        # Windows are rows of at most max_length, and other long texts are cut in the graph.
        longest = manifest.tokens_kept if manifest.windows is None else manifest.max_length
        return EngineSpec(
            graph=bundle.graph(precision),
            external=bundle.external(precision),
            provider=self.choice.provider,
            gpu=gpu,
            cores=cores,
            batch_tokens=self.batch_tokens,
            lengths=Lengths(longest, manifest.max_length),
            width=manifest.logit_count,
        )

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
        given = texts_of(texts)
        tokens = self.tokenizer.encode(given)
        refuse_empty(given, tokens.empty)
        labels, values, *_ = self.score_tokens(tokens)
        if self.interpretation.task == REGRESSION:
            return Values(values)
        if self.interpretation.task == MULTI_LABEL:
            return LabelSets([tuple(each) for each in labels], values)
        return Scores([str(label) for label in labels], values)

    def score_tokens(self, tokens: Tokens) -> StagedScores:
        """Return the result for tokenized texts, for callers that need the token ids themselves.

        Args:
            tokens: tokens of texts, none of them empty.

        Raises:
            OutOfMemory: the device has too little memory for one of the texts.
        """
        found = self.submit(tokens).result()
        if np.isnan(found.values).any():
            raise OutOfMemory("the device does not have enough memory for one of the texts, even on its own.")
        return found

    def wide_alone(self, tokens: Tokens) -> StagedScores:
        """Return the scores of the wide part alone, and the texts that the bundle's cascade lets it decide.

        Args:
            tokens: tokens of texts, none of them empty.

        Raises:
            UsageError: the bundle has no cascade.
        """
        cascade = self.manifest.cascade
        if cascade is None:
            raise UsageError(f"the bundle {self.manifest.name} has no cascade.")
        return self._scores(self._stages.wide_alone(tokens.ids, cascade), [False] * len(tokens.ids))

    @property
    def reference(self) -> Reference | None:
        """Histograms of the bundle's test data, scored as this scorer does; None if unknown."""
        return self.manifest.reference_of(cascade=self.cascade is not None)

    def submit(self, tokens: Tokens) -> Pending[StagedScores]:
        """Begin to score token ids, in the order of the calls; the caller can read and tokenize the next ones meanwhile.

        Texts without a token get NaN and no label, and so do those for which the device has too little memory.
        """
        ids = [one for one, empty in zip(tokens.ids, tokens.empty, strict=True) if not empty]
        if not ids:
            rows = len(tokens.ids)
            nothing = np.full((rows, len(self.labels)), np.nan)
            answers = self.interpretation.answers(nothing)
            none = np.zeros(rows, dtype=np.int64)
            return Pending(lambda: StagedScores(answers, nothing, none.astype(bool), none, none))
        return self._reuse.submit(ids).map(lambda staged: self._scores(staged, tokens.empty))

    def remarks(self) -> list[str]:
        """Return remarks on the computation: on CUDA the share of padding, and whether the GPU ran out of memory."""
        lines = self.engine.remarks()
        padding, tokens = self.engine.padding, self.engine.batch_tokens
        if padding is None or tokens is None:
            return lines
        lines.append(f"{padding:.1%} of all tokens computed were padding.")
        if tokens < self.batch_tokens:
            lines.append(
                f"The GPU ran out of memory, so batches were reduced to {tokens:,} tokens. Use --batch-tokens {tokens} "
                "to start with that size."
            )
        return lines

    def _scores(self, staged: Staged, empty: Sequence[bool]) -> StagedScores:
        """Return the scores for logits; NaN, for a text that was not computed, stays NaN and gives no label.

        Args:
            staged: logits of the texts that are not empty.
            empty: whether each text is empty.
        """
        if staged.logits.shape[1] != self.interpretation.logit_count:
            raise BundleError(f"the graph gives {staged.logits.shape[1]} logits for {len(self.labels)} labels.")
        found = _with_gaps(self.interpretation.values(staged.logits), empty, np.nan)
        early, windows, decided_by = (_with_gaps(of_texts, empty, 0) for of_texts in staged[1:])
        return StagedScores(self.interpretation.answers(found), found, early, windows, decided_by)


def _with_gaps(values: np.ndarray, empty: Sequence[bool], gap: float | bool) -> np.ndarray:
    """Return the values of non-empty texts, in order, as (texts, ...) with a gap for each empty text."""
    if not any(empty):
        return values
    found = np.full((len(empty), *values.shape[1:]), gap, values.dtype)
    found[~np.array(empty)] = values
    return found
