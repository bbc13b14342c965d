"""The engine against its peers on CPU: the same model, the same texts, one process, alternating rounds.

    pip install '.[bench]'
    python bench/cpu.py ../shared/imdb/test.parquet
    python bench/cpu.py --trained ENCODER --model BUNDLE --data ../shared/imdb/test.parquet --calibration TRAIN.parquet

Prints a table and, as its last line, one JSON object with every figure. Rates are reviews per second from token ids to
logits; tokenization is timed separately. "of peak" is the rate of the whole plain model's floating point
operations, relative to a large float32 matrix product in the same round. A contender that skips work or
computes in 8 bits may exceed 100%.

With --trained the model is a bundle's classifier on the encoder that `score-model train --save-encoder` wrote. All
contenders that quantize calibrate on the same texts, each with its own tool. Each rate stands beside the accuracy on the
texts of --data. The table leads with the contenders that are as accurate as PyTorch; --picture draws it.
"""

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from contenders import contenders
from plain import Contender
from report import cpu_name, origin, print_message, print_report, spread
from subject import Subject, full_flops, load_subject
from trained import Trained, accuracies, is_equal, load_trained, print_trained

from scorer.base.cores import usable_cores
from scorer.model.bundle import default_bundle

ALL = "abcdefg"
"""Letters of all contenders."""


def main() -> None:
    arguments = parse_arguments()
    trained = load_from(arguments) if arguments.trained else None
    if trained is None:
        subject = load_subject(arguments.encoder, arguments.texts, arguments.reviews, arguments.threads)
    else:
        subject = trained.subject
    with tempfile.TemporaryDirectory() as folder:
        chosen = list(contenders(subject, Path(folder), "a" + arguments.only))
        report = measure(chosen, subject, arguments.rounds, trained)
    encoder = Path(arguments.trained or arguments.encoder).name
    report = {**origin(arguments), "encoder": encoder, "threads": arguments.threads, **report}
    if trained is None:
        print_table(report)
    else:
        print_trained(report)
    print_lead(report["lead"])
    if arguments.picture is not None:
        from picture import draw

        arguments.picture.write_bytes(draw(report))
    print_report(arguments, report)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, nargs="?", help="a Parquet file with a column text, without --trained")
    parser.add_argument("--encoder", default="distilbert", help="distilbert, minilm (random weights), or a folder")
    parser.add_argument("--trained", metavar="FOLDER", help="encoder of --model, as --save-encoder wrote it")
    parser.add_argument("--model", type=Path, default=default_bundle(), help="bundle of the encoder of --trained")
    parser.add_argument("--data", action="append", default=[], help="file of labelled texts; repeatable")
    parser.add_argument("--calibration", action="append", default=[], help="file of training texts; repeatable")
    parser.add_argument("--labelled", type=int, default=5000, help="most texts of --data to label")
    parser.add_argument("--picture", type=Path, help="PNG to write, with --trained")
    parser.add_argument("--reviews", type=int, default=128, help="number of texts to time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--only", default=ALL, help="letters of the contenders to run; a is always run")
    arguments = parser.parse_args()
    if (arguments.texts is None) != bool(arguments.trained) or bool(arguments.data) != bool(arguments.trained):
        parser.error("give a file of texts, or --trained with --data")
    if arguments.picture is not None and not arguments.trained:
        parser.error("--picture needs --trained")
    return arguments


def load_from(arguments: argparse.Namespace) -> Trained:
    return load_trained(
        Path(arguments.trained),
        arguments.model,
        arguments.data,
        arguments.calibration,
        texts=arguments.labelled,
        timed=arguments.reviews,
        threads=arguments.threads,
    )


def measure(chosen: list[Contender], subject: Subject, rounds: int, trained: Trained | None) -> dict:
    """Time every contender once per round, in alternating order; the first call of each is not counted."""
    logits = {}
    for one in chosen:
        print_message(f"warming up: {one.name}, {one.precision}")
        run(one, subject.rows[:8])
    seconds: dict[Contender, list[float]] = {one: [] for one in chosen}
    peaks, tokenizing = [], []
    for number in range(rounds):
        peaks.append(peak_gflops(subject.threads))
        start = time.perf_counter()
        subject.encoder.tokenizer.encode(subject.texts)
        tokenizing.append(time.perf_counter() - start)
        for one in chosen if number % 2 == 0 else chosen[::-1]:
            spent, logits[one] = run(one, subject.rows)
            seconds[one].append(spent)
            rate = len(subject.rows) / spent
            print_message(f"round {number + 1} of {rounds}: {one.name}, {one.precision}: {rate:.1f} reviews/s")
    base, exact = chosen[0], logits[chosen[0]]
    flops = full_flops(subject.encoder, subject.read(subject.rows))
    judged = [{} for _ in chosen] if trained is None else accuracies(trained, chosen, seconds)
    results = []
    for one, accuracy in zip(chosen, judged, strict=True):
        rates = [len(subject.rows) / spent for spent in seconds[one]]
        error = np.abs(logits[one] - exact)
        results.append(
            {
                "key": one.key,
                "engine": one.engine,
                "name": one.name,
                "precision": one.precision,
                "reviews_per_s": spread(rates),
                "times_a": spread([a / own for a, own in zip(seconds[base], seconds[one], strict=True)]),
                "share_of_peak": spread(
                    [flops / spent / 1e9 / peak for spent, peak in zip(seconds[one], peaks, strict=True)]
                ),
                "mean_error": float(error.mean() / exact.std()),
                **accuracy,
            }
        )
    equal = [one for one, accuracy in zip(chosen, judged, strict=True) if not accuracy or is_equal(accuracy)]
    return {
        "reviews": len(subject.rows),
        "mean_tokens": float(np.mean([len(row) for row in subject.rows])),
        "rounds": rounds,
        "peak_gflops": spread(peaks),
        "tokenizing_reviews_per_s": spread([len(subject.texts) / spent for spent in tokenizing]),
        **({} if trained is None else {"labelled": len(trained.rows), "calibration": len(subject.calibration)}),
        "contenders": results,
        "lead": lead(equal, seconds, ANY_PRECISION if trained else SAME_PRECISION),
    }


SAME_PRECISION = {"fp32": {"fp32"}, "int8": {"int8", "bf16"}}
"""Precisions of peers that this project is compared with, by its own; without accuracies, bf16 counts as int8's equal."""

ANY_PRECISION = {precision: {"fp32", "bf16", "int8"} for precision in SAME_PRECISION}
"""The same if all contenders are about as accurate as PyTorch."""


def lead(chosen: list[Contender], seconds: dict[Contender, list[float]], rivals: dict[str, set[str]]) -> list[dict]:
    """Compare each of this project's contenders with the fastest peer.

    Args:
        chosen: contenders to compare.
        seconds: seconds of each contender, by round.
        rivals: precisions of peers to compare with, by this project's.
    """
    found = []
    for own in (one for one in chosen if one.key == "g"):
        peers = [one for one in chosen if one.key != "g" and one.precision in rivals[own.precision]]
        if peers:
            fastest = min(peers, key=lambda one: statistics.median(seconds[one]))
            ratios = [a / b for a, b in zip(seconds[fastest], seconds[own], strict=True)]
            found.append(
                {
                    "name": own.name,
                    "precision": own.precision,
                    "fastest_peer": f"{fastest.name}, {fastest.precision}",
                    "ratio": spread(ratios),
                }
            )
    return found


def run(one: Contender, rows: list[np.ndarray]) -> tuple[float, np.ndarray]:
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        logits = one.score(rows)
        return time.perf_counter() - start, logits


def peak_gflops(threads: int, size: int = 2048) -> float:
    """Measure the rate of a large float32 matrix product, in 10^9 operations per second."""
    torch.set_num_threads(threads)
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def print_table(report: dict) -> None:
    print(
        f"\n{report['encoder']}, {report['reviews']} reviews of {report['mean_tokens']:.0f} tokens, {report['threads']} "
        f"threads of {cpu_name(report['machine'])}; float32 peak {report['peak_gflops']['median']:.0f} GFLOP/s; "
        f"tokenizing {report['tokenizing_reviews_per_s']['median']:,.0f} reviews/s\n"
    )
    print("| | contender | precision | reviews/s | x (a) | of peak | mean error |\n|---|---|---|---|---|---|---|")
    for one in report["contenders"]:
        rate, times, share = one["reviews_per_s"], one["times_a"], one["share_of_peak"]
        print(
            f"| {one['key']} | {one['name']} | {one['precision']} | {rate['median']:.1f} ({rate['least']:.1f} to "
            f"{rate['most']:.1f}) | {times['median']:.2f} | {share['median']:.0%} | {one['mean_error']:.1e} |"
        )


def print_lead(found: list[dict]) -> None:
    for one in found:
        ratio = one["ratio"]
        print(
            f"\n{one['name']}, {one['precision']}: {ratio['median']:.2f} times the fastest peer, {one['fastest_peer']} "
            f"({ratio['least']:.2f} to {ratio['most']:.2f})"
        )
    print()


if __name__ == "__main__":
    main()
