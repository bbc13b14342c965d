"""A bundle made ready to score."""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from scorer.base.cores import usable_cores
from scorer.base.errors import BundleError, OutOfMemory, UsageError
from scorer.base.messages import hushed
from scorer.base.timing import Phases
from scorer.engine.batches import Lengths
from scorer.engine.cascade import Cascade, Staged, Stages, Whole
from scorer.engine.gpu import ARENA_STRATEGY, BATCH_TOKENS, Gpu, are_devices
from scorer.engine.multi_gpu import DeviceEngine
from scorer.engine.pending import Pending
from scorer.engine.protocols import Computing, Engine
from scorer.engine.reuse import Reuse
from scorer.engine.spec import EngineSpec
from scorer.model.bundle import TOKENIZER, Bundle, load_bundle
from scorer.model.checks import check_golden_rows, check_gpu_limit, check_largest_row, tried_out
from scorer.model.choice import choose
from scorer.model.decision import Decision, probabilities
from scorer.model.reference import Reference
from scorer.model.texts import refuse_empty, texts_of
from scorer.model.tokenizer import Tokenizer, Tokens
from scorer.model.wide import check_wide, open_wide


class Scores(NamedTuple):
    """The result for a list of texts.

    Attributes:
        labels: the predicted label of each text.
        probabilities: float64 of shape (texts, labels), in the order of the bundle's labels; rows sum to 1.
    """

    labels: list[str]
    probabilities: np.ndarray


class StagedScores(NamedTuple):
    """`Scores`, and the stage that they are from.

    Attributes:
        labels, probabilities: as of `Scores`.
        early: bool (texts,), whether the wide part alone decided.
    """

    labels: list[str]
    probabilities: np.ndarray
    early: np.ndarray


class Scorer:
    """Scores texts with a bundle: ``Scorer("models/imdb").score(["Loved it."])``.

    The golden rows are scored first, so a machine that would give other scores than the one where the bundle was made
    is noticed before the first real row; ``golden_difference`` is by how much their logits differ.

    Args:
        bundle: the bundle's folder, or a loaded `Bundle`; None for the one that comes with the package.
        provider: ``auto``, ``cpu`` or ``cuda``; ``cuda`` never falls back.
        precision: ``auto`` (what the bundle names for the provider) or one of the bundle's own.
        threads: rows computed at a time on CPU; None for every usable core.
        device_id: which GPU, of those that CUDA_VISIBLE_DEVICES leaves.
        devices: several of them, each with a process of its own; instead of ``device_id``.
        batch_tokens: padded tokens of a batch on CUDA; None for what the bundle says. It is lowered where memory is short.
        gpu_mem_limit: bytes of the GPU that may be taken; None for all there is.
        arena_strategy: how memory on the GPU grows, see `scorer.engine.gpu.Gpu`.
        decision: how labels are chosen.
        cascade: whether the encoder is left out where the bundle's wide part alone is sure.

    Attributes:
        bundle_id: sha256 of the bundle's SHA256SUMS, hexadecimal.
        bundle_path: the bundle's folder, for messages.
        manifest: the bundle's; its files are not kept.
        cascade: what decides that; None where every text goes through the encoder.
        has_cascade: whether the bundle has one, taken or not.
        engine: computes what the bundle's graph of the precision holds: the encoder's part where the wide part is apart.
        whole: computes both parts of every text.
        phases: where the time goes.

    Raises:
        BundleError: the bundle is missing, damaged, or computes something else here.
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
        decision.check(self.labels)
        self.decision = decision
        if not are_devices(devices):
            raise UsageError(f"devices takes a list of the numbers of different GPUs, as in [0, 1], not {devices!r}.")
        gpu = Gpu(devices[0] if devices else device_id, gpu_mem_limit, arena_strategy)
        self.choice = choose(self.manifest, provider, precision, gpu)
        self.batch_tokens = batch_tokens or self.manifest.batch_tokens or BATCH_TOKENS
        spec = self._spec(loaded, gpu, threads or usable_cores())
        check_gpu_limit(spec)
        tokenizer_json = loaded.files[TOKENIZER]
        self.phases = Phases()
        with tried_out(self.bundle_path, self.choice.precision, spec):
            wide = open_wide(loaded, spec.cores, self.phases)
            del loaded  # the files of other precisions need not stay in memory while this one is loaded
            with hushed():
                self.tokenizer = Tokenizer(tokenizer_json, self.manifest.tokens_kept)
            if wide is not None:
                check_wide(self.bundle_path, self.manifest, self.tokenizer, wide)
            self.engine: Engine = (
                DeviceEngine(spec, devices, self.phases) if len(devices) > 1 else spec.open(self.phases)
            )
            self.whole: Computing = self.engine if wide is None else Whole(self.engine, wide)
            each: Sequence[Computing] = [self.whole]
            if isinstance(self.engine, DeviceEngine):
                each = [worker if wide is None else Whole(worker, wide) for worker in self.engine.workers]
            self.golden_difference = max(
                check_golden_rows(self.bundle_path, self.manifest, self.choice, self.tokenizer, one) for one in each
            )
            for one in each:
                check_largest_row(self.tokenizer, one)
            self.engine.warm_up(self.tokenizer.highest_id)
        self.phases.clear()
        self._stages = Stages(self.engine, wide, self.cascade)
        self._reuse = Reuse(self._stages)
        self.chunk_rows = self.engine.chunk_rows
        self.journal_rows = self.engine.journal_rows

    def _spec(self, bundle: Bundle, gpu: Gpu, cores: int) -> EngineSpec:
        precision = self.choice.precision
        return EngineSpec(
            graph=bundle.graph(precision),
            external=bundle.external(precision),
            provider=self.choice.provider,
            gpu=gpu,
            cores=cores,
            batch_tokens=self.batch_tokens,
            lengths=Lengths(self.manifest.tokens_kept, self.manifest.max_length),
            width=self.manifest.logit_count,
        )

    def score(self, texts: Iterable[str]) -> Scores:
        """The label and the probabilities of each text, in order.

        Args:
            texts: a list of texts, or a column of them: of pandas, polars, numpy or Arrow.

        Raises:
            TypeError: it is a single text or a table, or one of its values is no text.
            ValueError: a text is blank, or has no token; `score` would reject its row.
            OutOfMemory: the device has no memory for one of the texts.
        """
        given = texts_of(texts)
        tokens = self.tokenizer.encode(given)
        refuse_empty(given, tokens.empty)
        return self.score_tokens(tokens)

    def score_tokens(self, tokens: Tokens) -> Scores:
        """The same from token ids, for callers that need the ids too.

        Args:
            tokens: of texts, none of them empty.

        Raises:
            OutOfMemory: the device has no memory for one of the texts.
        """
        labels, found, _ = self.submit(tokens).result()
        if np.isnan(found).any():
            raise OutOfMemory("the device has no memory for one of the texts, not even alone.")
        return Scores(labels, found)

    def wide_alone(self, tokens: Tokens) -> StagedScores:
        """What the wide part alone says of every text, and for which of them the bundle's cascade lets it decide.

        Args:
            tokens: of texts, none of them empty.

        Raises:
            UsageError: the bundle has no cascade.
        """
        cascade = self.manifest.cascade
        if cascade is None:
            raise UsageError(f"the bundle {self.manifest.name} has no cascade.")
        return self._scores(self._stages.wide_alone(tokens.ids, cascade), [False] * len(tokens.ids))

    @property
    def reference(self) -> Reference | None:
        """What the bundle's test data looks like, scored as this scorer does; None where nobody knows."""
        return self.manifest.reference_of(cascade=self.cascade is not None)

    def submit(self, tokens: Tokens) -> Pending[StagedScores]:
        """Begin to score token ids; meanwhile the next ones can be read and tokenized. First come, first served.

        Texts without a token get NaN and no label, and so do those that the device has no memory for.
        """
        ids = [one for one, empty in zip(tokens.ids, tokens.empty, strict=True) if not empty]
        if not ids:
            rows = len(tokens.ids)
            nothing = np.full((rows, len(self.labels)), np.nan)
            return Pending(lambda: StagedScores([""] * rows, nothing, np.zeros(rows, dtype=bool)))
        return self._reuse.submit(ids).map(lambda staged: self._scores(staged, tokens.empty))

    def remarks(self) -> list[str]:
        """What is worth knowing of how it was computed: on CUDA how much of it was padding, and if memory was short."""
        lines = self.engine.remarks()
        padding, tokens = self.engine.padding, self.engine.batch_tokens
        if padding is None or tokens is None:
            return lines
        lines.append(f"{padding:.1%} of all tokens computed were padding.")
        if tokens < self.batch_tokens:
            lines.append(
                f"Memory on the GPU was short: batches were cut down to {tokens:,} tokens (--batch-tokens {tokens} begins with that)."
            )
        return lines

    def _scores(self, staged: Staged, empty: Sequence[bool]) -> StagedScores:
        """What logits say; of NaN, which stand for a text that was not computed, NaN and no label.

        Args:
            staged: of the texts that are not empty.
            empty: of each text, whether it is.
        """
        found = probabilities(staged.logits, self.manifest.temperature)
        if found.shape[1] != len(self.labels):
            raise BundleError(f"the graph gives {found.shape[1]} scores for {len(self.labels)} labels.")
        found, early = _with_gaps(found, empty, np.nan), _with_gaps(staged.early, empty, False)
        return StagedScores(self.decision.labels(found, self.labels), found, early)


def _with_gaps(values: np.ndarray, empty: Sequence[bool], gap: float | bool) -> np.ndarray:
    """Return values of texts, (texts, ...), with a gap for each text that is empty, from those of the others in order."""
    if not any(empty):
        return values
    found = np.full((len(empty), *values.shape[1:]), gap, values.dtype)
    found[~np.array(empty)] = values
    return found
