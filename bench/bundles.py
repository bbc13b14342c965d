"""Cost of bundles for scoring texts on CPU, relative to the first one.

    python bench/bundles.py ../shared/imdb/test.parquet models/probe models/default

Each round scores the same texts with each bundle in turn, tokenizing included, and begins with another bundle.
Prints a table and, as its last line, one JSON object.
"""

import argparse
import statistics
import time
from pathlib import Path

import pyarrow.parquet
from report import print_message, print_report, spread

from scorer.model.loaded import LoadedModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with a column text")
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--reviews", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    texts = list(dict.fromkeys(pyarrow.parquet.read_table(arguments.texts, columns=["text"])["text"].to_pylist()))
    texts = texts[:: max(1, len(texts) // arguments.reviews)][: arguments.reviews]
    scorers = [LoadedModel(bundle, provider="cpu", precision=arguments.precision) for bundle in arguments.bundles]
    rates: list[list[float]] = [[] for _ in scorers]
    for number in range(arguments.rounds + 1):  # the first round only warms up
        order = [(number + at) % len(scorers) for at in range(len(scorers))]
        for at in order:
            rate = reviews_per_second(scorers[at], texts)
            if number:
                rates[at].append(rate)
        if number:
            print_message(f"round {number}: " + ", ".join(f"{rate[-1]:.1f}" for rate in rates) + " reviews/s")
    ratios = [[first / one for first, one in zip(rates[0], rate, strict=True)] for rate in rates]
    print("| bundle | precision | reviews/s | cost per review (first bundle = 1) |\n|---|---|---|---|")
    for bundle, scorer, rate, ratio in zip(arguments.bundles, scorers, rates, ratios, strict=True):
        print(
            f"| {bundle} | {scorer.choice.precision} | {statistics.median(rate):.1f} | {statistics.median(ratio):.3f} |"
        )
    found = {
        str(bundle): {"reviews_per_s": spread(rate), "cost": spread(ratio)}
        for bundle, rate, ratio in zip(arguments.bundles, rates, ratios, strict=True)
    }
    print_report(arguments, {"reviews": len(texts), "rounds": arguments.rounds, "bundles": found})


def reviews_per_second(scorer: LoadedModel, texts: list[str]) -> float:
    """Measure tokenizer and engine, with every text through the encoder.

    `scorer.Scorer.score` is not used, because it would know the texts from the round before.
    """
    start = time.perf_counter()
    scorer.whole.logits(scorer.tokenizer.encode(texts).ids)
    return len(texts) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
