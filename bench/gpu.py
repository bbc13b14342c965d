"""The engine on a GPU against its peers, and the whole command: one run, done within eight minutes.

    pip install '.[export,cuda]'
    python bench/gpu.py

Needs nothing but a GPU: models of known shapes with random weights, texts of the length distribution of IMDb's reviews.
Measures what the device can do (copying, float16 products), the engine alone and its peers in alternating rounds,
which attention kernel ran, how far float16 is from float32, what batches, lanes and kernels change, and `score` file
to file with where its time goes. Prints tables and, as its last line, one JSON object with every figure. What fails or
finds no time is named there, and the rest goes on. ``--dry-run`` tries all of it on the CPU with next to no work.

"of peak" is operations a second over what a large float16 product reaches: of those that are computed (the last block
for [CLS] alone, no padding counted), and of those that the plain model would take.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from ceilings import copy_rate, matmul_rate
from gpu_bundle import write_gpu_bundle
from gpu_peers import Peer, peers
from subject import Subject, full_flops, make_subject, spared_flops
from synthetic import synthetic_texts
from tokenizers import Tokenizer

from export.cuda import cuda_classifier
from export.halves import half_logits
from export.quantize import to_int8
from export.weights import encoder_weights
from scorer import gpu as nvidia
from scorer import runtime
from scorer.batchengine import BatchEngine
from scorer.bundle import load_bundle
from scorer.cores import usable_cores
from scorer.defaults import BATCH_TOKENS
from scorer.engine import probabilities
from scorer.model import Scorer
from scorer.phases import Phases
from scorer.pipeline import score_rows
from scorer.rows.columns import Wanted
from scorer.rows.read import Inputs, Reader

VOCABULARY = Path(__file__).parents[1] / "models" / "default" / "tokenizer.json"
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "onnx")


@dataclass(frozen=True)
class Scale:
    """How much work: a GPU's, or for trying the script a CPU's."""

    device: str
    shapes: tuple[str, ...]
    reviews: int
    file_reviews: int
    batch_tokens: int
    rounds: int
    seconds: float


FULL = Scale("cuda", ("distilbert", "minilm"), 16_384, 100_000, BATCH_TOKENS, 3, 480)
DRY = Scale("cpu", ("tiny",), 32, 64, 2048, 1, 480)


@dataclass(frozen=True)
class Tuned(nvidia.Gpu):
    """A GPU with provider options that `score` does not set."""

    extra: tuple[tuple[str, str], ...] = ()

    def provider_options(self) -> dict[str, str]:
        return {**super().provider_options(), **dict(self.extra)}


class Sections:
    """Parts of the report, each with its own failure, none begun when the time is up."""

    def __init__(self, seconds: float) -> None:
        self.report: dict[str, Any] = {}
        self._end = time.monotonic() + seconds

    def run(self, name: str, needed: float, work: Callable[[], Any]) -> Any:
        """The result of ``work``, also kept under ``name``; None if it fails or ``needed`` seconds are not left."""
        left = self._end - time.monotonic()
        if left < needed:
            self.report[name] = {"skipped": f"{left:.0f} s left, some {needed:.0f} needed"}
            return None
        say(f"{name} ({left:.0f} s left)")
        start = time.monotonic()
        try:
            self.report[name] = work()
        except Exception as error:
            self.report[name] = {"failed": f"{type(error).__name__}: {error}"[:2000]}
            say(traceback.format_exc())
            return None
        finally:
            say(f"  {time.monotonic() - start:.1f} s")
        return self.report[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="try everything on the CPU, with next to no work")
    parser.add_argument("--seconds", type=float, help="begin nothing that would end later; default 480")
    parser.add_argument("--output", type=Path, help="write the JSON object here, too")
    arguments = parser.parse_args()
    scale = DRY if arguments.dry_run else FULL
    if scale.device == "cuda" and (problem := runtime.provider_problem("cuda")):
        raise SystemExit(f"cuda cannot be used here: {problem}")
    sections = Sections(arguments.seconds or scale.seconds)
    sections.report["machine"] = machine(scale)
    ceilings = sections.run("ceilings", 10, lambda: measure_ceilings(scale)) or {}
    vocabulary = Tokenizer.from_file(str(VOCABULARY)).get_vocab()
    texts = synthetic_texts(vocabulary, scale.file_reviews, seed=0)
    sections.run(
        "accuracy", 30, lambda: accuracy(texts[: 8 * scale.reviews : 512 if scale.device == "cuda" else 4], scale)
    )
    with tempfile.TemporaryDirectory() as folder:
        for shape in scale.shapes:
            subject = make_subject(shape, texts[: scale.reviews], texts[-64:], usable_cores())
            measure_shape(sections, subject, texts, Path(folder), scale, ceilings)
    print_tables(sections.report)
    line = json.dumps(sections.report)
    if arguments.output:
        arguments.output.write_text(line + "\n")
    print(line)


def measure_shape(
    sections: Sections, subject: Subject, texts: list[str], folder: Path, scale: Scale, ceilings: dict[str, float]
) -> None:
    """All sections of one shape, the most important ones first."""
    shape, weights = subject.encoder.name, encoder_weights(subject.encoder)
    graph = cuda_classifier(weights, subject.head, "cls").SerializeToString()
    first = shape == scale.shapes[0]
    work = {
        "mean_tokens": float(np.mean([len(row) for row in subject.rows])),
        "plain_gflop": full_flops(subject.encoder, subject.rows) / len(subject.rows) / 1e9,
        "spared_gflop": spared_flops(subject.encoder, subject.rows) / len(subject.rows) / 1e9,
    }
    sections.report[f"{shape} work"] = work
    ours = sections.run(f"{shape} start", 20, lambda: start(graph, subject, scale))
    if ours is None:
        return
    engine = make_engine(graph, subject, scale)
    sections.run(f"{shape} attention", 15, lambda: attention_kernels(graph, folder, scale))
    compared = [Peer("this project", "fp16", lambda: engine.logits), *peers(subject, folder, scale.device)]
    rates = sections.run(f"{shape} model", 60 if first else 40, lambda: alternate(compared, subject, scale.rounds))
    peak = ceilings.get("matmul_tflops")
    if rates and peak:
        own = rates["this project, fp16"]["median"]
        computed = work["plain_gflop"] - work["spared_gflop"]
        sections.report[f"{shape} share of peak"] = {
            "computed": own * computed / 1e3 / peak,
            "plain": own * work["plain_gflop"] / 1e3 / peak,
        }
    sections.run(f"{shape} file", 60, lambda: file_to_file(graph, subject, texts, folder / shape, scale, rates))
    if first:
        sections.run(f"{shape} variants", 45, lambda: variants(graph, subject, scale))
        sections.run(f"{shape} int8", 25, lambda: int8_on_device(subject, scale))


def machine(scale: Scale) -> dict[str, Any]:
    """The device and what runs on it."""
    versions = {name: metadata.version(name) for name in LIBRARIES}
    found = {"versions": versions, "onnxruntime": runtime.onnxruntime_version(), "wheels": runtime.installed_wheels()}
    found |= {"python": platform.python_version(), "cores": usable_cores(), "device": scale.device}
    if scale.device == "cuda":
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,power.limit", "--format=csv,noheader"]
        said = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
        found |= {"gpu": torch.cuda.get_device_name(0), "nvidia_smi": said, "cudnn": torch.backends.cudnn.version()}
    return found


def measure_ceilings(scale: Scale) -> dict[str, float]:
    """What the device reaches: bytes copied (read and written) and float16 operations a second."""
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
    """The engine as `score` makes it."""
    longest, phases = subject.encoder.tokenizer.max_length, Phases()
    batch_tokens = batch_tokens or scale.batch_tokens

    def open_lanes() -> list[runtime.Lane]:
        session = runtime.Session(graph, scale.device, gpu)
        tokens = max(batch_tokens, longest)
        return [runtime.Lane(session, tokens, 1, phases, device=scale.device) for _ in range(lanes)]

    engine = BatchEngine(open_lanes, batch_tokens, longest)
    engine.warm_up(1000)
    return engine


def start(graph: bytes, subject: Subject, scale: Scale) -> dict[str, float]:
    """Seconds until the first batch, and of the first and the second window: shapes are planned in the first."""
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


def alternate(compared: Sequence[Peer], subject: Subject, rounds: int) -> dict[str, Any]:
    """Reviews a second of each, forwards and backwards in turn, after a pass that does not count."""
    seconds: dict[str, list[float]] = {}
    failures, ready = {}, []
    for peer in compared:
        name = f"{peer.name}, {peer.precision}"
        try:
            score = peer.prepare()
            score(subject.rows[: peer.rows])
            ready.append((name, score, subject.rows[: peer.rows]))
        except Exception as error:
            failures[name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
            say(f"  {name}: {failures[name]['failed'][:200]}")
    for number in range(rounds):
        for name, score, rows in ready if number % 2 == 0 else ready[::-1]:
            begin = time.perf_counter()
            score(rows)
            seconds.setdefault(name, []).append((time.perf_counter() - begin) / len(rows))
    return {name: spread([1 / one for one in found]) for name, found in seconds.items()} | failures


def accuracy(texts: list[str], scale: Scale) -> dict[str, float]:
    """float16 on the device against float32 with the same weights, with the model that comes with the package."""
    bundle = load_bundle(VOCABULARY.parent)
    scorer = Scorer(bundle, provider=scale.device, precision="fp16", batch_tokens=scale.batch_tokens)
    rows = scorer.tokenizer.encode(texts).ids
    model = onnx.load_from_string(bundle.graph("fp16"))
    for tensor in model.graph.initializer:
        place = {entry.key: entry.value for entry in tensor.external_data}
        if place:
            begin = int(place["offset"])
            tensor.raw_data = bundle.files[place["location"]][begin : begin + int(place["length"])]
            tensor.ClearField("external_data")
            tensor.data_location = onnx.TensorProto.DEFAULT
    exact = half_logits(model, rows, exact=True)
    found = scorer.engine.logits(rows)
    again = scorer.engine.logits(rows[: len(rows) // 3])  # in other batches
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
    """Which kernels attention took, as onnxruntime says it: that is read once a process, so in one of its own."""
    (folder / "attention.onnx").write_bytes(graph)
    script = (
        "import sys, numpy as np\n"
        "from scorer import runtime\n"
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
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    lines = [line for line in done.stdout.splitlines() if "SdpaKernel=" in line]
    kernels = sorted({line.split("SdpaKernel=")[1].split("\x1b")[0].strip() for line in lines})
    return {"kernels": kernels, "calls": len(lines), "failed": done.stderr[-500:] if done.returncode else None}


def variants(graph: bytes, subject: Subject, scale: Scale) -> dict[str, Any]:
    """Reviews a second of the engine with other batches, lanes, memory and kernels."""
    tuned: dict[str, dict[str, Any]] = {"as it is": {}}
    tuned |= {f"batches of {tokens}": {"batch_tokens": tokens} for tokens in (8192, 16_384, 65_536)}
    tuned |= {f"{lanes} lanes": {"lanes": lanes} for lanes in (1, 3)}
    tuned["arena next-power-of-two"] = {"gpu": Tuned(arena_strategy="next-power-of-two")}
    tuned["LayerNormalization summed in float16"] = {"gpu": Tuned(extra=(("enable_skip_layer_norm_strict_mode", "0"),))}
    tuned |= {
        f"attention by {name}": {"gpu": Tuned(extra=(("sdpa_kernel", number),))}
        for name, number in (("cuDNN", "8"), ("TRT fused", "4"), ("math", "16"))
    }
    compared = [
        Peer(name, "fp16", lambda options=options: make_engine(graph, subject, scale, **options).logits, 8192)  # type: ignore[misc]
        for name, options in tuned.items()
    ]
    # One after the other, so that no two engines share the memory.
    return {peer.name: next(iter(alternate([peer], subject, 2).values())) for peer in compared}


def int8_on_device(subject: Subject, scale: Scale) -> dict[str, Any]:
    """The int8 graph on the device, as far as onnxruntime has kernels for it there."""
    rows = subject.rows[:512]
    graph = to_int8(encoder_weights(subject.encoder), subject.head, "cls", subject.calibration[:8]).SerializeToString()
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
    graph: bytes, subject: Subject, texts: list[str], folder: Path, scale: Scale, rates: dict[str, Any] | None
) -> dict[str, Any]:
    """`score` from a JSONL file to a CSV file, its stages alone, and its share of the slowest one."""
    write_gpu_bundle(subject, folder)
    source = folder.with_suffix(".jsonl")
    with open(source, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": row, "text": text}) + "\n" for row, text in enumerate(texts))
    begin = time.perf_counter()
    for at in range(0, len(texts), 8192):
        subject.encoder.tokenizer.encode(texts[at : at + 8192])
    tokenizing = len(texts) / (time.perf_counter() - begin)
    command = [sys.executable, "-m", "scorer", str(source), "-o", str(folder / "out.csv"), "--model", str(folder)]
    command += ["--provider", scale.device, "--precision", "fp16", "--restart", "-q"]
    begin = time.perf_counter()
    subprocess.run(command, check=True, cwd=VOCABULARY.parents[2])
    whole = time.perf_counter() - begin
    if (rows := (folder / "out.csv").read_bytes().count(b"\n") - 1) != len(texts):
        raise ValueError(f"{rows} of {len(texts)} rows came out")
    scorer = Scorer(folder, provider=scale.device, precision="fp16")
    wanted = Wanted(None, (), False)
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


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


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


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
