"""Loaded models: bundles that are ready to score."""

import os
import platform
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import tokenizers

from scorer.base.cores import usable_cores
from scorer.base.errors import BundleError, OutOfMemory, UsageError
from scorer.base.messages import silenced
from scorer.base.shortage import memory_left
from scorer.base.timing import Phases
from scorer.base.version import __version__
from scorer.engine.batches import Lengths
from scorer.engine.cascade import Cascade, Staged
from scorer.engine.cpu_features import cpu_features
from scorer.engine.gpu import ARENA_STRATEGY, BATCH_TOKENS, Gpu
from scorer.engine.pending import Pending
from scorer.engine.protocols import Computing, Engine
from scorer.engine.reuse import Reuse
from scorer.engine.runtime import onnxruntime_version
from scorer.engine.spec import EngineSpec
from scorer.engine.stages import Stages, Whole
from scorer.engine.windows import Windows
from scorer.model.bundle import TOKENIZER, Bundle, load_bundle
from scorer.model.checks import check_golden_rows, check_gpu_limit, check_largest_row, loading
from scorer.model.choice import choose
from scorer.model.decision import Decision
from scorer.model.interpretation import Answer, Interpretation, interpretation_of
from scorer.model.outcomes import Outcomes, outcomes_of
from scorer.model.reference import Reference
from scorer.model.score_cache import ScoreCache
from scorer.model.texts import refuse_empty
from scorer.model.tokenizer import Tokenizer, Tokens
from scorer.model.wide import check_wide, open_wide, weights_within
from scorer.model.windows import windows_of
from scorer.storage.cache_file import warn
from scorer.storage.cache_settings import CacheSettings


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


class LoadedModel:
    """A classifier of texts, made from a bundle.

    It scores the golden rows first. A machine whose scores would differ from those of the machine that made the bundle
    is noticed before the first real row. ``golden_difference`` is the largest difference of their logits.

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
        bundle_path: folder of the bundle, for messages.
        manifest: manifest of the bundle, whose files are not kept.
        interpretation: meaning of the bundle's logits, by its task.
        cascade: rule for skipping the encoder; None if every text goes through it.
        has_cascade: whether the bundle has a cascade, used or not.
        windows: rule that cuts long texts into windows; None if the graph gets whole texts.
        engine: engine for the bundle's graph, which is the encoder's part alone if the wide part has its own graph.
        whole: engine for both parts of every text.
        wide_weights: weights of the wide part, be it a graph of its own or not; None if the bundle has none.
        cache: cache of outcomes; None without one.
        phases: time spent in each phase, in seconds.

    Raises:
        BundleError: the bundle is missing, damaged, or gives different scores here.
        ProviderError: the provider cannot be used here.
        UsageError: there is no such provider, precision or number of threads, the decision does not fit the labels, or the
            cache's file is something else.
    """

    cache: ScoreCache | None = None

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
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}; use at least 1, or None for every usable core.")
        settings = None if cache is None else CacheSettings.of(cache)
        if settings is not None:
            settings.check()
        loaded = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self.bundle_id, self.bundle_path = loaded.id, loaded.path
        self.manifest = loaded.manifest
        self.labels = self.manifest.labels
        self.has_cascade = self.manifest.cascade is not None
        self.cascade: Cascade | None = self.manifest.cascade if cascade else None
        decision.check(self.labels, self.manifest.task, cascade=cascade)
        gpu = Gpu(device_id, gpu_mem_limit, arena_strategy)
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
            with silenced():
                self.tokenizer = Tokenizer(tokenizer_json, self.manifest.tokens_kept)
            within = weights_within(loaded, self.choice.precision, self.tokenizer) if wide is None else None
            self.wide_weights = within if wide is None else wide.weights
            del loaded  # frees the files of other precisions while this one is loaded
            self.windows: Windows | None = windows_of(self.manifest, self.tokenizer)
            if wide is not None:
                check_wide(self.bundle_path, self.manifest, self.tokenizer, wide)
            self.engine: Engine = spec.open(self.phases)
            self.whole: Computing = Whole(self.engine, wide, self.windows)
            self.golden_difference = check_golden_rows(
                self.bundle_path, self.manifest, self.choice, self.tokenizer, self.whole
            )
            check_largest_row(self.tokenizer, self.whole)
            self.engine.warm_up(self.tokenizer.highest_id)
        self.phases.clear()
        by_length = self.manifest.calibration_by_length
        self._stages = Stages(
            self.engine,
            wide,
            self.cascade,
            self.windows,
            self.interpretation.margins,
            None if by_length is None else by_length.apply,
        )
        self._reuse = Reuse(self._stages)
        self.chunk_rows = self.engine.chunk_rows
        self.journal_rows = self.engine.journal_rows
        if settings is not None:
            self.cache = ScoreCache(settings, self._context(), self.interpretation.logit_count, report)

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
            own_sessions=memory_left() is None,  # a process with a limit needs its memory for rows
        )

    def score_tokens(self, tokens: Tokens) -> StagedScores:
        """Return the result for tokenized texts, for callers that need the token ids themselves.

        Args:
            tokens: tokens of texts, none of them empty.

        Raises:
            OutOfMemory: the device has too little memory for one of the texts.
        """
        found = self.submit(tokens).result()
        refuse_unscored(found.values)
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
        return self._scores(self._stages.wide_alone(tokens.ids, cascade))

    def encoder_logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute the encoder's part of the logits, before any calibration: float64 (rows, logits).

        Args:
            rows: token ids of texts, (sequence,), none of them without a token.
        """
        found = Whole(self.engine, windows=self.windows).logits(rows).astype(np.float64)
        if self.manifest.wide is not None or self.wide_weights is None:
            return found
        return found - self.wide_weights.sums(rows)  # the graph adds both parts

    @property
    def reference(self) -> Reference | None:
        """Histograms of the bundle's test data, scored as this scorer does; None if unknown."""
        return self.manifest.reference_of(cascade=self.cascade is not None)

    def submit(self, tokens: Tokens) -> Pending[StagedScores]:
        """Begin to score token ids, in the order of the calls, without the cache; the caller can tokenize meanwhile.

        Texts without a token get NaN and no label, and so do those for which the device has too little memory.
        """
        return self._submit(tokens).map(self._scores)

    def submit_texts(self, texts: Sequence[str], *, empty_allowed: bool = True) -> Pending[Outcomes]:
        """Look texts up in the cache, and begin to compute the others, in the order of the calls.

        Collecting the result begins to write the others to the cache.

        Args:
            texts: texts as they are.
            empty_allowed: whether texts may have no token.

        Raises:
            ValueError: a text has no token, and must not.
        """
        cache = self.cache  # another thread may close it meanwhile
        if cache is None:
            missing = np.ones(len(texts), dtype=bool)
            return self._compute(texts, missing, empty_allowed=empty_allowed)
        with self.phases.timed("cache"):
            found = cache.look_up(texts)

        def collect(outcomes: Outcomes) -> Outcomes:
            cache.add(found, outcomes)
            return found.outcomes.replaced(found.missing, outcomes)

        return self._compute(texts, found.missing, empty_allowed=empty_allowed).map(collect)

    def _compute(self, texts: Sequence[str], missing: np.ndarray, *, empty_allowed: bool) -> Pending[Outcomes]:
        """Begin to compute those texts that are missing, bool (texts,)."""
        with self.phases.timed("tokenize"):
            tokens = self.tokenizer.encode([text for text, one in zip(texts, missing, strict=True) if one])
        if not empty_allowed:
            refuse_empty(texts, with_gaps(np.array(tokens.empty, dtype=bool), ~missing, False).tolist())
        return self._submit(tokens).map(lambda staged: outcomes_of(tokens, staged, self.tokenizer.unknown_id))

    def _submit(self, tokens: Tokens) -> Pending[Staged]:
        """Begin to compute token ids; logits are NaN for texts without a token."""
        ids = [one for one, empty in zip(tokens.ids, tokens.empty, strict=True) if not empty]
        if not ids:
            rows = len(tokens.ids)
            none = np.zeros(rows, dtype=np.int64)
            nothing = np.full((rows, self.interpretation.logit_count), np.nan, dtype=np.float32)
            return Pending(lambda: Staged(nothing, none.astype(bool), none, none))
        return self._reuse.submit(ids).map(lambda staged: self._whole(staged, np.array(tokens.empty)))

    def _whole(self, staged: Staged, empty: np.ndarray) -> Staged:
        """Return the logits of all texts from those that are not empty, with NaN for the others."""
        if staged.logits.shape[1] != self.interpretation.logit_count:
            raise BundleError(f"the graph gives {staged.logits.shape[1]} logits for {len(self.labels)} labels.")
        logits = with_gaps(staged.logits, empty, np.nan)
        return Staged(logits, *(with_gaps(of_texts, empty, 0) for of_texts in staged[1:]))

    def close(self) -> None:
        """Write what is left to the cache, and close it; the scorer can still be used without it."""
        cache, self.cache = self.cache, None
        if cache is not None:
            cache.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _context(self) -> dict[str, object]:
        """Return everything but the text that an outcome depends on."""
        choice = self.choice
        return {
            "bundle": self.bundle_id,
            "name": self.manifest.name,
            "provider": choice.provider,
            "precision": choice.precision,
            "cascade": self.cascade is not None,
            "batch_tokens": self.batch_tokens if choice.provider != "cpu" else None,
            "review-scorer": __version__,
            "onnxruntime": onnxruntime_version(),
            "tokenizers": tokenizers.__version__,
            "machine": platform.machine(),
            "cpu": cpu_features(),
        }

    def remarks(self) -> list[str]:
        """Return remarks on the computation: on CUDA the share of padding, and whether the GPU ran out of memory."""
        padding, tokens = self.engine.padding, self.engine.batch_tokens
        if padding is None or tokens is None:
            return []
        lines = [f"{padding:.1%} of all tokens computed were padding."]
        if tokens < self.batch_tokens:
            lines.append(
                f"The GPU ran out of memory, so batches were reduced to {tokens:,} tokens. Use --batch-tokens {tokens} "
                "to start with that size."
            )
        return lines

    def _scores(self, staged: Staged) -> StagedScores:
        values = self.interpretation.values(staged.logits)
        return StagedScores(self.interpretation.answers(values), values, *staged[1:])


def refuse_unscored(values: np.ndarray) -> None:
    """Raise `OutOfMemory` if a text that is not empty has no logits or values."""
    if np.isnan(values).any():
        raise OutOfMemory("the device does not have enough memory for one of the texts, even on its own.")


def with_gaps(values: np.ndarray, gaps: np.ndarray, gap: float | bool) -> np.ndarray:
    """Return values, in order, with others between them.

    Args:
        values: values, (values, ...).
        gaps: whether each place is a gap, bool (places,).
        gap: value of the gaps.
    """
    if not gaps.any():
        return values
    found = np.full((len(gaps), *values.shape[1:]), gap, values.dtype)
    found[~gaps] = values
    return found
