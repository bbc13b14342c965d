"""Speed of the engine on a GPU, of its peers and of the whole command, in one run of at most eight minutes.

    pip install '.[export,cuda]' onnxscript        # and a PyTorch built for CUDA
    python bench/gpu.py --output gpu.json

It needs no data: the models have known shapes and random weights, and the texts are as long as IMDb's reviews. It
measures:

- the ceilings of the device: copying and float16 products;
- the engine alone and its peers, in alternating rounds;
- the attention kernels that ran, and the error of float16 against float32;
- the effect of batches, lanes and kernels;
- `score` from file to file, and where its time goes.

Prints tables and, as its last line, one JSON object with every figure. A section that fails or runs out of time is
named there, and the others still run. ``--dry-run`` tries everything on the CPU with next to no work.

"of peak" is operations per second as a share of a large float16 product's. One figure counts the operations that are
computed: the last block for [CLS] alone, and no padding. The other counts those that the plain model would need.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from ceilings import copy_rate, matmul_rate
from gpu_bundle import write_gpu_bundle
from gpu_peers import Peer, peers
from report import machine, origin, print_message, print_report, spread
from subject import Subject, full_flops, make_subject, spared_flops
from synthetic import synthetic_texts
from tokenizers import Tokenizer

from export.bundle.bundle import load_classifier
from export.encoder.weights import encoder_weights
from export.graph.fp16 import to_float16
from export.graph.fp16_emulator import half_logits
from export.graph.int8 import to_int8
from scorer.base.cores import usable_cores
from scorer.base.timing import Phases
from scorer.engine import gpu as nvidia
from scorer.engine import runtime, wheel
from scorer.engine.batch_engine import BatchEngine
from scorer.engine.batches import Lengths
from scorer.engine.gpu import BATCH_TOKENS
from scorer.engine.spec import batch_engine
from scorer.model.bundle import load_bundle
from scorer.model.decision import probabilities
from scorer.model.loaded import LoadedModel
from scorer.rows.columns import Wanted
from scorer.rows.reader import Inputs, Reader
from scorer.run.pipeline import score_rows

VOCABULARY = Path(__file__).parents[1] / "models" / "default" / "tokenizer.json"


@dataclass(frozen=True)
class Scale:
    """Amount of work: for a GPU, or for a trial of the script on a CPU, which may take its time.

    Attributes:
        patience: factor of each section's time limit.
    """

    device: str
    shapes: tuple[str, ...]
    reviews: int
    file_reviews: int
    batch_tokens: int
    rounds: int
    seconds: float
    patience: float


FULL = Scale("cuda", ("distilbert", "minilm"), 16_384, 60_000, BATCH_TOKENS, 3, 450, 1)
DRY = Scale("cpu", ("tiny",), 32, 64, 2048, 1, math.inf, math.inf)


@dataclass(frozen=True)
class Tuned(nvidia.Gpu):
    """A GPU with provider options that `score` does not set."""

    extra: tuple[tuple[str, str], ...] = ()

    def provider_options(self) -> dict[str, str]:
        return {**super().provider_options(), **dict(self.extra)}


class Sections:
    """Sections of the report: each may fail, has a time limit of its own, and does not begin once the time is up.

    Args:
        report: report to add the sections to.
        seconds: time limit of all sections together.
        patience: as in `Scale`.
        output: file that the report is written to after each section.
    """

    def __init__(self, report: dict[str, Any], seconds: float, patience: float, output: Path | None) -> None:
        self.report = report
        self._patience = patience
        self._end = time.monotonic() + seconds
        self._output = output

    def run(self, name: str, limit: float, work: Callable[[], Any], *, keep: bool = True) -> Any:
        """Run ``work`` and return its result, or None if it fails or takes too long; ``keep`` adds it to the report."""
        left = self._end - time.monotonic()
        if left < 5:
            self.note(name, {"skipped": "no time left"})
            return None
        print_message(f"{name} ({left:.0f} s left)")
        start = time.monotonic()
        try:
            with limited(min(limit * self._patience, left)):
                found = work()
        except (Exception, SystemExit) as error:
            print_message(traceback.format_exc())
            self.note(name, {"failed": f"{type(error).__name__}: {error}"[:2000]})
            return None
        print_message(f"  {time.monotonic() - start:.1f} s")
        if keep:
            self.note(name, found)
        return found

    def note(self, name: str, found: Any) -> None:
        self.report[name] = found
        if self._output:
            self._output.write_text(json.dumps(self.report) + "\n")


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` in a block that takes longer, as soon as it returns to Python; blocks may be nested."""
    if math.isinf(seconds):
        yield
        return

    def expired(*_: object) -> None:
        raise TimeoutError(f"took longer than {seconds:.0f} s")

    before, outer = signal.signal(signal.SIGALRM, expired), signal.setitimer(signal.ITIMER_REAL, seconds)[0]
    start = time.monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - start), 0.01) if outer else 0)
        signal.signal(signal.SIGALRM, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="try everything on the CPU, with next to no work")
    parser.add_argument("--seconds", type=float, help="time limit of the whole run; default 450")
    parser.add_argument("--output", type=Path, help="also write the JSON object to this file, after each section")
    arguments = parser.parse_args()
    scale = DRY if arguments.dry_run else FULL
    if scale.device == "cuda" and (problem := runtime.provider_problem("cuda")):
        raise SystemExit(f"cuda cannot be used here: {problem}")
    sections = Sections(origin(arguments), arguments.seconds or scale.seconds, scale.patience, arguments.output)
    sections.run("machine", 20, lambda: machine_of(scale))
    sections.run("ceilings", 20, lambda: measure_ceilings(scale))
    with tempfile.TemporaryDirectory() as folder:
        texts = sections.run("texts", 60, lambda: texts_for(scale), keep=False)
        for shape in scale.shapes if texts else ():
            measure_shape(sections, shape, texts, Path(folder), scale)
        if texts:
            sections.run("accuracy", 60, lambda: accuracy(texts[: scale.reviews : max(1, scale.reviews // 256)], scale))
    print_tables(sections.report)
    print_report(arguments, sections.report)


def texts_for(scale: Scale) -> list[str]:
    return synthetic_texts(Tokenizer.from_file(str(VOCABULARY)).get_vocab(), scale.file_reviews, seed=0)


def measure_shape(sections: Sections, shape: str, texts: list[str], folder: Path, scale: Scale) -> None:
    """Run all sections of one shape, the most important ones first."""

    def prepared() -> tuple[Subject, onnx.ModelProto, BatchEngine]:
        subject = make_subject(shape, texts[: scale.reviews], texts[-64:], usable_cores())
        model = to_float16(encoder_weights(subject.encoder), subject.classifier)
        return subject, model, make_engine(model.SerializeToString(), subject, scale)

    ready = sections.run(f"{shape} subject", 60, prepared, keep=False)
    if ready is None:
        return
    subject, model, engine = ready
    graph, first = model.SerializeToString(), shape == scale.shapes[0]
    sections.run(f"{shape} work", 10, lambda: work_of(subject))
    sections.run(f"{shape} start", 30, lambda: start(graph, subject, scale))
    sections.run(f"{shape} attention", 40, lambda: attention_kernels(graph, folder, scale))
    ours = Peer("this project", "fp16", lambda: engine.logits)
    rates = sections.run(
        f"{shape} model",
        150 if first else 70,
        lambda: alternate([ours, *peers(subject, folder, scale.device, compiled=first)], subject, scale, scale.rounds),
    )
    if rates:
        sections.run(f"{shape} share of peak", 5, lambda: share_of_peak(sections.report, shape, rates))
    sections.run(f"{shape} exactness", 30, lambda: exactness(engine, model, subject))
    sections.run(f"{shape} file", 60, lambda: file_to_file(subject, model, texts, folder / shape, scale, rates))
    if first:
        sections.run(f"{shape} variants", 70, lambda: variants(graph, subject, scale))
        sections.run(f"{shape} int8", 40, lambda: int8_on_device(subject, scale))


def work_of(subject: Subject) -> dict[str, float]:
    """Count the operations per review of the plain model, and those of them that are not needed."""
    return {
        "mean_tokens": float(np.mean([len(row) for row in subject.rows])),
        "plain_gflop": full_flops(subject.encoder, subject.rows) / len(subject.rows) / 1e9,
        "spared_gflop": spared_flops(subject.encoder, subject.rows) / len(subject.rows) / 1e9,
    }


def share_of_peak(report: dict[str, Any], shape: str, rates: dict[str, Any]) -> dict[str, float]:
    work, peak = report[f"{shape} work"], report["ceilings"]["matmul_tflops"]
    own = rates["this project, fp16"]["median"]
    computed = work["plain_gflop"] - work["spared_gflop"]
    return {"computed": own * computed / 1e3 / peak, "plain": own * work["plain_gflop"] / 1e3 / peak}


def exactness(engine: BatchEngine, model: onnx.ModelProto, subject: Subject) -> dict[str, float]:
    """Compare logits of the device, and of the emulator, with float32 logits of the same weights."""
    rows = subject.rows[:32]
    exact, emulated, found = half_logits(model, rows, exact=True), half_logits(model, rows), engine.logits(rows)
    return {
        "spread": float(exact.std()),
        "device_most": float(np.abs(found - exact).max()),
        "device_mean": float(np.abs(found - exact).mean()),
        "emulated_most": float(np.abs(emulated - exact).max()),
        "emulated_mean": float(np.abs(emulated - exact).mean()),
    }


def machine_of(scale: Scale) -> dict[str, Any]:
    """Describe the machine with its device, and the software on it."""
    found = {**machine(), "onnxruntime": runtime.onnxruntime_version(), "wheels": wheel.installed_wheels()}
    found |= {"python": platform.python_version(), "device": scale.device}
    if scale.device == "cuda":
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,power.limit", "--format=csv,noheader"]
        printed = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
        found |= {"gpu": torch.cuda.get_device_name(0), "nvidia_smi": printed, "cudnn": torch.backends.cudnn.version()}
    return found


def measure_ceilings(scale: Scale) -> dict[str, float]:
    """Measure the ceilings of the device: bytes copied (read and written) and float16 operations per second."""
    small = scale.device == "cpu"
    return {
        "copy_gb_s": copy_rate(scale.device, 1 << (24 if small else 32)) / 1e9,
        "matmul_tflops": matmul_rate(scale.device, 256 if small else 8192) / 1e12,
    }


def make_engine(
    graph: bytes,
    subject: Subject,
    scale: Scale,
    batch_tokens: int | None = None,
    lanes: int = 2,
    gpu: nvidia.Gpu = nvidia.Gpu(),
) -> BatchEngine:
    """Make the engine as `score` does."""
    lengths, tokens = Lengths(subject.encoder.tokenizer.max_length), batch_tokens or scale.batch_tokens
    engine = batch_engine(lambda: runtime.Session(graph, scale.device, gpu), tokens, lengths, 1, Phases(), lanes)
    engine.warm_up(1000)
    return engine


def start(graph: bytes, subject: Subject, scale: Scale) -> dict[str, float]:
    """Measure the seconds to open the engine, and of a first and a second pass; the first one plans the shapes."""
    begin = time.perf_counter()
    engine = make_engine(graph, subject, scale)
    opened = time.perf_counter()
    engine.logits(subject.rows)
    first = time.perf_counter()
    engine.logits(subject.rows)
    second = time.perf_counter()
    return {
        "open_s": opened - begin,
        "first_pass_s": first - opened,
        "second_pass_s": second - first,
        "padding": engine.padding,
    }


def alternate(compared: Sequence[Peer], subject: Subject, scale: Scale, rounds: int) -> dict[str, Any]:
    """Measure the reviews per second of each peer, in alternating order, after a pass that does not count."""
    seconds: dict[str, list[float]] = {}
    failures, ready = {}, []
    for peer in compared:
        name = f"{peer.name}, {peer.precision}"
        try:
            with limited(60 * scale.patience):  # so that a compiler that never finishes costs only its own figures
                score = peer.prepare()
                score(subject.rows[: peer.rows])
            ready.append((name, score, subject.rows[: peer.rows]))
        except Exception as error:
            failures[name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
            print_message(f"  {name}: {failures[name]['failed'][:200]}")
    for number in range(rounds):
        for name, score, rows in ready if number % 2 == 0 else ready[::-1]:
            begin = time.perf_counter()
            score(rows)
            seconds.setdefault(name, []).append((time.perf_counter() - begin) / len(rows))
    return {name: spread([1 / one for one in found]) for name, found in seconds.items()} | failures


def accuracy(texts: list[str], scale: Scale) -> dict[str, float]:
    """Compare float16 on the device with float32 of the same weights, for the model that comes with the package."""
    bundle = load_bundle(VOCABULARY.parent)
    scorer = LoadedModel(bundle, provider=scale.device, precision="fp16", batch_tokens=scale.batch_tokens)
    rows = scorer.tokenizer.encode(texts).ids
    model = onnx.load(bundle.path / bundle.manifest.precisions["fp16"].file)
    wide = load_classifier(bundle).wide_apart  # not float16, and not part of either graph
    side = np.float32(0) if wide is None else wide.logits(rows)
    exact = half_logits(model, rows, exact=True) + side
    found = scorer.engine.logits(rows) + side
    some = rows[: len(rows) // 3]
    again = scorer.engine.logits(some) + (side if wide is None else side[: len(some)])  # in other batches
    distance = np.abs(probabilities(found) - probabilities(exact))[:, 1]
    return {
        "rows": len(rows),
        "golden_difference": scorer.golden_difference,
        "probability_most": float(distance.max()),
        "probability_mean": float(distance.mean()),
        "run_to_run": float(np.abs(probabilities(found[: len(again)]) - probabilities(again)).max()),
        "labels": float(np.mean((found >= 0) == (exact >= 0))),
    }


def attention_kernels(graph: bytes, folder: Path, scale: Scale) -> dict[str, Any]:
    """Find the kernels that attention took, as onnxruntime prints them.

    It reads the setting for that once per process, so a new process is started.
    """
    (folder / "attention.onnx").write_bytes(graph)
    script = (
        "import sys, numpy as np\n"
        "from scorer.engine import runtime\n"
        "session = runtime.open_session(open(sys.argv[1], 'rb').read(), sys.argv[2])\n"
        "for rows, tokens in ((80, 400), (128, 256), (512, 64)):\n"
        "    ids = np.full((rows, tokens), 1000)\n"
        "    mask = np.ones_like(ids)\n"
        "    mask[::2, tokens // 2 :] = 0\n"
        "    session.run(None, {'input_ids': ids, 'attention_mask': mask})\n"
    )
    environment = {
        **os.environ,
        "ORT_ENABLE_ATTENTION_KERNEL_DEBUG_INFO": "1",
        "PYTHONPATH": str(VOCABULARY.parents[2]),
    }
    command = [sys.executable, "-c", script, str(folder / "attention.onnx"), scale.device]
    limit = None if math.isinf(scale.patience) else 60 * scale.patience
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=limit)
    lines = [line for line in done.stdout.splitlines() if "SdpaKernel=" in line]
    kernels = sorted({line.split("SdpaKernel=")[1].split("\x1b")[0].strip() for line in lines})
    return {"kernels": kernels, "calls": len(lines), "failed": done.stderr[-500:] if done.returncode else None}


def variants(graph: bytes, subject: Subject, scale: Scale) -> dict[str, Any]:
    """Measure the reviews per second of the engine with other batches, lanes, memory and kernels."""
    tuned: dict[str, dict[str, Any]] = {"as it is": {}}
    tuned |= {f"batches of {tokens}": {"batch_tokens": tokens} for tokens in (8192, 16_384, 65_536)}
    tuned |= {f"{lanes} lanes": {"lanes": lanes} for lanes in (1, 3)}
    tuned["arena next-power-of-two"] = {"gpu": Tuned(arena_strategy="next-power-of-two")}
    tuned |= {
        f"attention by {name}": {"gpu": Tuned(extra=(("sdpa_kernel", number),))}
        for name, number in (("cuDNN", "8"), ("TRT fused", "4"), ("math", "16"))
    }
    compared = [
        Peer(name, "fp16", lambda options=options: make_engine(graph, subject, scale, **options).logits, 8192)  # type: ignore[misc]
        for name, options in tuned.items()
    ]
    # One after the other, so that no two engines share the memory.
    return {peer.name: next(iter(alternate([peer], subject, scale, 2).values())) for peer in compared}


def int8_on_device(subject: Subject, scale: Scale) -> dict[str, Any]:
    """Measure the int8 graph on the device, as far as onnxruntime has kernels for it there."""
    rows = subject.rows[:512]
    graph = to_int8(encoder_weights(subject.encoder), subject.classifier, subject.calibration[:8]).SerializeToString()
    engine = make_engine(graph, subject, scale, batch_tokens=8192)
    engine.logits(rows)
    begin = time.perf_counter()
    engine.logits(rows)
    return {"reviews_per_s": len(rows) / (time.perf_counter() - begin)}


class Null:
    """A file that keeps nothing."""

    def write(self, data: bytes) -> None:
        pass


def file_to_file(
    subject: Subject,
    model: onnx.ModelProto,
    texts: list[str],
    folder: Path,
    scale: Scale,
    rates: dict[str, Any] | None,
) -> dict[str, Any]:
    """Measure `score` from a JSONL file to a CSV file, its steps alone, and its share of the slowest step's rate."""
    write_gpu_bundle(subject, model, folder)
    source = folder.with_suffix(".jsonl")
    with open(source, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": row, "text": text}) + "\n" for row, text in enumerate(texts))
    begin = time.perf_counter()
    for at in range(0, len(texts), 8192):
        subject.encoder.tokenizer.encode(texts[at : at + 8192])
    tokenizing = len(texts) / (time.perf_counter() - begin)
    output = source.with_name(f"{folder.name}.out.csv")  # no output may be in a bundle's folder
    command = [sys.executable, "-m", "scorer", str(source), "-o", str(output), "--model", str(folder)]
    command += ["--provider", scale.device, "--precision", "fp16", "--restart", "-q"]
    begin = time.perf_counter()
    subprocess.run(command, check=True, cwd=VOCABULARY.parents[2])
    whole = time.perf_counter() - begin
    if (rows := output.read_bytes().count(b"\n") - 1) != len(texts):
        raise ValueError(f"the output has {rows} rows, not {len(texts)}")
    scorer = LoadedModel(folder, provider=scale.device, precision="fp16")
    wanted = Wanted()
    begin = time.perf_counter()
    reader = Reader(Inputs((str(source),)), wanted)
    score_rows(reader, scorer, Null(), Null(), output_format="csv", wanted=wanted)
    inside = time.perf_counter() - begin
    own = (rates or {}).get("this project, fp16", {}).get("median")
    slowest = min(tokenizing, own or tokenizing)
    return {
        "rows": len(texts),
        "command_s": whole,
        "command_reviews_per_s": len(texts) / whole,
        "running_reviews_per_s": len(texts) / inside,
        "tokenizing_reviews_per_s": tokenizing,
        "model_reviews_per_s": own,
        "running_of_slowest_stage": len(texts) / inside / slowest,
        "phases_s": scorer.phases.seconds,
    }


def print_tables(report: dict[str, Any]) -> None:
    for name, found in report.items():
        print(f"\n{name}\n")
        for key, value in (found if isinstance(found, dict) else {"": found}).items():
            if isinstance(value, dict) and "median" in value:
                value = f"{value['median']:,.1f} reviews/s ({value['least']:,.1f} to {value['most']:,.1f})"
            elif isinstance(value, float):
                value = f"{value:,.5g}"
            print(f"    {key:45} {value}")
    print()


if __name__ == "__main__":
    main()
