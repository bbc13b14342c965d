"""The engine against its peers on CPU: the same model, the same texts, one process, alternating rounds.

    pip install '.[bench]'
    python bench/cpu.py ../shared/imdb/test.parquet

Prints a table and, as its last line, one JSON object with every figure. Rates are reviews per second from token ids to
logits; tokenization is timed separately. "of peak" is the rate of the whole plain model's floating point
operations, relative to a large float32 matrix product in the same round. A contender that skips work or
computes in 8 bits may exceed 100%.
"""

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from contenders import Contender, contenders
from report import machine, print_message, spread
from subject import Subject, full_flops, load_subject

from scorer.base.cores import usable_cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with a column text")
    parser.add_argument("--encoder", default="distilbert", help="distilbert, minilm (random weights), or a folder")
    parser.add_argument("--reviews", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--only", default="abcdefg", help="letters of the contenders to run; a is always run")
    arguments = parser.parse_args()
    subject = load_subject(arguments.encoder, arguments.texts, arguments.reviews, arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        chosen = [one for one in contenders(subject, Path(folder)) if one.key in "a" + arguments.only]
        report = measure(chosen, subject, arguments.rounds)
    report = {"encoder": arguments.encoder, **machine(), "threads": arguments.threads, **report}
    print_table(report)
    print(json.dumps(report))


def measure(chosen: list[Contender], subject: Subject, rounds: int) -> dict:
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
    flops = full_flops(subject.encoder, subject.rows)
    results = []
    for one in chosen:
        rates = [len(subject.rows) / spent for spent in seconds[one]]
        error = np.abs(logits[one] - exact)
        results.append(
            {
                "key": one.key,
                "name": one.name,
                "precision": one.precision,
                "reviews_per_s": spread(rates),
                "times_a": spread([a / own for a, own in zip(seconds[base], seconds[one], strict=True)]),
                "share_of_peak": spread(
                    [flops / spent / 1e9 / peak for spent, peak in zip(seconds[one], peaks, strict=True)]
                ),
                "mean_error": float(error.mean() / exact.std()),
            }
        )
    return {
        "reviews": len(subject.rows),
        "mean_tokens": float(np.mean([len(row) for row in subject.rows])),
        "rounds": rounds,
        "peak_gflops": spread(peaks),
        "tokenizing_reviews_per_s": spread([len(subject.texts) / spent for spent in tokenizing]),
        "contenders": results,
        "lead": lead(chosen, seconds),
    }


def lead(chosen: list[Contender], seconds: dict[Contender, list[float]]) -> dict:
    """Compare this project with the fastest peer of the same arithmetic; for int8, peers in bf16 count as well."""
    found = {}
    for precision, rivals in (("fp32", {"fp32"}), ("int8", {"int8", "bf16"})):
        ours = [one for one in chosen if one.key == "g" and one.precision == precision]
        peers = [one for one in chosen if one.key != "g" and one.precision in rivals]
        if ours and peers:
            fastest = min(peers, key=lambda one: statistics.median(seconds[one]))
            ratios = [a / b for a, b in zip(seconds[fastest], seconds[ours[0]], strict=True)]
            found[precision] = {"fastest_peer": fastest.name, "ratio": spread(ratios)}
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
        f"threads of {report['cpu']}; float32 peak {report['peak_gflops']['median']:.0f} GFLOP/s; "
        f"tokenizing {report['tokenizing_reviews_per_s']['median']:,.0f} reviews/s\n"
    )
    print("| | contender | precision | reviews/s | x (a) | of peak | mean error |\n|---|---|---|---|---|---|---|")
    for one in report["contenders"]:
        rate, times, share = one["reviews_per_s"], one["times_a"], one["share_of_peak"]
        print(
            f"| {one['key']} | {one['name']} | {one['precision']} | {rate['median']:.1f} ({rate['least']:.1f} to "
            f"{rate['most']:.1f}) | {times['median']:.2f} | {share['median']:.0%} | {one['mean_error']:.1e} |"
        )
    for precision, found in report["lead"].items():
        ratio = found["ratio"]
        print(
            f"\n{precision}: {ratio['median']:.2f} times the fastest peer, {found['fastest_peer']} "
            f"({ratio['least']:.2f} to {ratio['most']:.2f})"
        )
    print()


if __name__ == "__main__":
    main()
