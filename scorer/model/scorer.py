"""A bundle made ready to score: precision and provider chosen, session open, golden rows checked."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scorer.base.cores import usable_cores
from scorer.base.errors import BundleError, OutOfMemory, ProviderError, ScorerError, UsageError
from scorer.base.messages import hushed
from scorer.base.timing import Phases
from scorer.engine import memory_limit, runtime
from scorer.engine.batches import Lengths
from scorer.engine.gpu import ARENA_STRATEGY, BATCH_TOKENS, Gpu, are_devices
from scorer.engine.multi_gpu import DeviceEngine
from scorer.engine.pending import Pending
from scorer.engine.protocols import Computing, Engine
from scorer.engine.reuse import Reuse
from scorer.engine.spec import EngineSpec
from scorer.model.bundle import TOKENIZER, Bundle, load_bundle
from scorer.model.decision import Decision, probabilities
from scorer.model.tokenizer import Tokenizer, Tokens

# Room to load a model, in bytes: its graph parsed, optimized and laid out for the kernels, and the golden rows' work.
_LOADING_BYTES = 1 << 30
_LOADING_TIMES = 8
_LOADING_BYTES_A_CORE = 32 << 20
# Room on a GPU beside the weights: buffers, and what a text alone needs.
_LEAST_ON_GPU = 128_000_000

_INT8_ON_CPU = "int8 arithmetic runs on cpu only"


class Scores(NamedTuple):
    """The result for a list of texts.

    Attributes:
        labels: the predicted label of each text.
        probabilities: float64 of shape (texts, labels), in the order of the bundle's labels; rows sum to 1.
    """

    labels: list[str]
    probabilities: np.ndarray


@dataclass(frozen=True)
class Choice:
    """Which provider and precision were taken, and why, in words for stderr.

    Attributes:
        provider, precision: what is taken.
        reason: why.
        remark: what is not as it should be with it, or None.
    """

    provider: str
    precision: str
    reason: str
    remark: str | None = None


class Scorer:
    """Scores texts with a bundle: ``Scorer("models/imdb").score(["Loved it."])``.

    The golden rows are scored first, so a machine that would give other scores than the one where the bundle was made
    is noticed before the first real row; ``golden_difference`` is by how much their logits differ.

    ``phases`` says where the time went.

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
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self.manifest = self.bundle.manifest
        self.labels = self.manifest.labels
        decision.check(self.labels)
        self.decision = decision
        if not are_devices(devices):
            raise UsageError(f"devices takes a list of the numbers of different GPUs, as in [0, 1], not {devices!r}.")
        gpu = Gpu(devices[0] if devices else device_id, gpu_mem_limit, arena_strategy)
        self.choice = choose(self.bundle, provider, precision, gpu)
        _check_limit(self.bundle, self.choice, gpu_mem_limit)
        self.batch_tokens = batch_tokens or self.manifest.batch_tokens or BATCH_TOKENS
        self.phases = Phases()
        cores = threads or usable_cores()
        with _tried_out(self.bundle, self.choice, cores):
            with hushed():
                self.tokenizer = Tokenizer(self.bundle.files[TOKENIZER], self.manifest.tokens_kept)
            self.engine = self._open_engine(gpu, cores, devices)
            each: Sequence[Computing] = self.engine.workers if isinstance(self.engine, DeviceEngine) else [self.engine]
            self.golden_difference = max(
                check_golden_rows(self.bundle, self.choice, self.tokenizer, one) for one in each
            )
            for one in each:
                check_largest_row(self.bundle, self.tokenizer, one)
            self.engine.warm_up(self.tokenizer.highest_id)
        self.phases.clear()
        self._reuse = Reuse(self.engine)
        self.chunk_rows = self.engine.chunk_rows
        self.journal_rows = self.engine.journal_rows

    def _open_engine(self, gpu: Gpu, cores: int, devices: Sequence[int]) -> Engine:
        manifest, precision = self.manifest, self.choice.precision
        spec = EngineSpec(
            graph=self.bundle.graph(precision),
            external=self.bundle.external(precision),
            provider=self.choice.provider,
            gpu=gpu,
            cores=cores,
            batch_tokens=self.batch_tokens,
            lengths=Lengths(manifest.tokens_kept, manifest.max_length),
            width=manifest.logit_count,
        )
        return DeviceEngine(spec, devices, self.phases) if len(devices) > 1 else spec.open(self.phases)

    def score(self, texts: Sequence[str]) -> Scores:
        """The label and the probabilities of each text, in order."""
        if isinstance(texts, str):  # a string is a sequence of strings, too: each letter would be scored
            raise TypeError("score() takes a list of texts; put a single one into a list.")
        return self.score_tokens(self.tokenizer.encode(texts))

    def score_tokens(self, tokens: Tokens) -> Scores:
        """The same from token ids, for callers that need the ids too.

        Raises:
            OutOfMemory: the device has no memory for one of the texts.
        """
        scores = self.submit(tokens).result()
        if np.isnan(scores.probabilities).any():
            raise OutOfMemory("the device has no memory for one of the texts, not even alone.")
        return scores

    def submit(self, tokens: Tokens) -> Pending[Scores]:
        """Begin to score token ids; meanwhile the next ones can be read and tokenized. First come, first served."""
        if not tokens.ids:
            return Pending(lambda: Scores([], np.empty((0, len(self.labels)))))
        return self._reuse.submit(tokens.ids).map(self.scores)

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

    def scores(self, logits: np.ndarray) -> Scores:
        """What logits of shape (texts, logits) say; of NaN, which stand for no memory, NaN and no label."""
        found = probabilities(logits, self.manifest.temperature)
        if found.shape[1] != len(self.labels):
            raise BundleError(f"the graph gives {found.shape[1]} scores for {len(self.labels)} labels.")
        return Scores(self.decision.labels(found, self.labels), found)


def choose(bundle: Bundle, provider: str, precision: str, gpu: Gpu = Gpu()) -> Choice:
    """Decide provider and precision; see `Scorer` for the arguments and what is raised."""
    manifest = bundle.manifest
    if precision != "auto" and precision not in manifest.precisions:
        raise UsageError(
            f"the bundle {manifest.name} has no precision {precision!r}; it has: {', '.join(sorted(manifest.precisions))}."
        )
    if (provider, precision) == ("cuda", "int8"):
        # onnxruntime would take the quantized products back to the CPU, one copy each way a layer.
        other = manifest.providers.get("cuda")
        advice = f"--precision {other} (or none) with cuda" if other else "a bundle with fp16"
        raise ProviderError(f"{_INT8_ON_CPU}; use {advice}, or --provider cpu.")
    reason = "as asked"
    if provider == "auto":
        provider, reason = _auto_provider(bundle, precision, gpu)
    elif provider == "cuda" and (problem := runtime.provider_problem("cuda", gpu)):
        raise ProviderError(
            f"--provider cuda cannot be used here: {problem}.\nUse --provider cpu, or auto to take what there is."
        )
    if precision == "auto":
        if provider not in manifest.providers:
            raise ProviderError(
                f"the bundle {manifest.name} has no precision for {provider}; it has: {', '.join(sorted(manifest.precisions))}. "
                f"Train or export one, or use --provider {next(iter(sorted(manifest.providers)), 'cpu')}."
            )
        precision = manifest.providers[provider]
    return Choice(provider, precision, reason, runtime.provider_remark(provider))


@contextlib.contextmanager
def _tried_out(bundle: Bundle, choice: Choice, cores: int) -> Iterator[None]:
    """While a bundle is loaded and checked: errors name it, and it gets no more memory than a model of its size needs.

    On CPU only; a GPU's driver reserves address space as it likes.
    """
    more = _LOADING_BYTES + _LOADING_TIMES * _size(bundle, choice) + _LOADING_BYTES_A_CORE * cores
    try:
        with memory_limit.limited(more) if choice.provider == "cpu" else contextlib.nullcontext():
            yield
    except (OutOfMemory, MemoryError) as error:
        if choice.provider != "cpu":
            raise
        raise BundleError(
            f"{bundle.path} is refused: {choice.precision} needs more than {more / 1e9:.1f} GB to be loaded, or there "
            "is not that much memory."
        ) from error
    except BundleError as error:
        if str(bundle.path) in str(error):
            raise
        raise BundleError(f"{bundle.path} is refused: {error}") from error
    except ScorerError:
        raise
    except Exception as error:  # of onnxruntime's on a GPU that has nothing to do with the GPU
        raise BundleError(f"{bundle.path} is refused: {error}") from error


def _size(bundle: Bundle, choice: Choice) -> int:
    """Bytes of a graph and its weights."""
    return len(bundle.graph(choice.precision)) + sum(map(len, bundle.external(choice.precision).values()))


def _check_limit(bundle: Bundle, choice: Choice, limit: int | None) -> None:
    """Raise `UsageError` if the GPU may not even hold the weights: onnxruntime would then take all it likes."""
    least = _LEAST_ON_GPU + 2 * _size(bundle, choice)  # int8 becomes float16
    if choice.provider == "cuda" and limit is not None and limit < least:
        raise UsageError(f"--gpu-mem-limit is too small for this model: give {-(-least // 1_000_000)} MB or more.")


def check_largest_row(bundle: Bundle, tokenizer: Tokenizer, engine: Computing) -> None:
    """See that the graph takes as many tokens as the manifest says, and every id that the tokenizer may give.

    Otherwise the first long review, or the first rare word, would be where a run ends.
    """
    try:
        logits = engine.logits([np.full(tokenizer.max_length, tokenizer.highest_id)])
    except BundleError as error:
        raise BundleError(
            f"the graph cannot compute {tokenizer.max_length} tokens with id {tokenizer.highest_id} (the "
            f"tokenizer's highest), so graph, manifest and tokenizer are not of one model: {error}"
        ) from error
    if np.isnan(logits).any():
        raise OutOfMemory(f"the device has no memory for a text of {tokenizer.max_length} tokens, not even alone.")


def check_golden_rows(bundle: Bundle, choice: Choice, tokenizer: Tokenizer, engine: Computing) -> float:
    """Score the golden rows; returns the biggest difference of a logit from where the bundle was made.

    Raises:
        BundleError: it is beyond the precision's tolerance.
    """
    rows = [row for row in bundle.manifest.golden if choice.precision in row.logits]
    if not rows:
        raise BundleError(f"{bundle.path} has no golden rows for {choice.precision}; export it again.")
    expected = np.array([row.logits[choice.precision] for row in rows])
    with hushed():
        ids = tokenizer.encode([row.text for row in rows]).ids
    found = engine.logits(ids)
    if found.shape != expected.shape:
        raise BundleError(
            f"{bundle.path}: the graph gives {found.shape[1]} logits, the manifest says {expected.shape[1]}."
        )
    difference = float(np.abs(found - expected).max())
    tolerance = bundle.manifest.precisions[choice.precision].tolerance
    if not difference <= tolerance:
        others = [
            one for one in ("fp32", "int8", "fp16") if one in bundle.manifest.precisions and one != choice.precision
        ]
        raise BundleError(
            f"{bundle.path}: {choice.precision} on {choice.provider} gives logits up to {difference:.4f} away from those of the "
            f"machine that made the bundle (tolerance {tolerance}), so its scores cannot be trusted here."
            + (f" Try --precision {others[0]}." if others else " Export the bundle again with another precision.")
        )
    return difference


def _auto_provider(bundle: Bundle, precision: str, gpu: Gpu) -> tuple[str, str]:
    """CUDA if the bundle has a graph for it and it starts here, else CPU; with the reason."""
    if precision == "int8":
        return "cpu", _INT8_ON_CPU
    if precision == "auto" and "cuda" not in bundle.manifest.providers:
        return "cpu", f"the bundle {bundle.manifest.name} has no graph for cuda"
    problem = runtime.provider_problem("cuda", gpu)
    return ("cpu", f"cuda is not usable: {problem}") if problem else ("cuda", "a usable GPU is there")
