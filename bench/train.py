"""Training on cached features against the obvious loop, which runs the frozen encoder in every epoch.

    pip install '.[bench]'
    python bench/train.py ../shared/imdb/train.parquet

Both rates of the encoder are measured on the same few reviews, in alternating rounds, and scaled to the whole training
set. Training the head on cached features is measured in full. Prints a table and, as its last line, one JSON object.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from report import print_report
from subject import Subject, load_subject
from torch import nn

from export.classifier.head import train_head
from export.classifier.objective import OneOf
from export.classifier.settings import HeadSettings
from export.training.features import feature_engine
from scorer.base.cores import usable_cores
from scorer.engine.batches import pad

BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with a column text")
    parser.add_argument("--encoder", default="distilbert", help="distilbert, minilm (random weights), or a folder")
    parser.add_argument("--reviews", type=int, default=128, help="number of reviews to measure the encoder's rates on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--training-set", type=int, default=25_000, help="number of reviews that the rates are scaled to"
    )
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=usable_cores())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    subject = load_subject(arguments.encoder, arguments.texts, arguments.reviews, arguments.threads)
    engine = feature_engine(subject.encoder, arguments.threads)
    labels = np.random.default_rng(0).integers(0, 2, size=len(subject.rows))
    engine.logits(subject.rows[:8])
    ours, obvious = [], []
    for number in range(arguments.rounds):
        start = time.perf_counter()
        engine.logits(subject.rows)
        ours.append(len(subject.rows) / (time.perf_counter() - start))
        obvious.append(len(subject.rows) / obvious_epoch(subject, labels))
        print(
            f"round {number + 1}: features {ours[-1]:.1f}, the obvious loop {obvious[-1]:.1f} reviews/s",
            file=sys.stderr,
        )
    head = head_seconds(arguments.training_set, subject.encoder.hidden_size, arguments.epochs)
    extraction = arguments.training_set / statistics.median(ours)
    loop = arguments.epochs * arguments.training_set / statistics.median(obvious)
    report = {
        "encoder": arguments.encoder,
        "reviews_measured": len(subject.rows),
        "scaled_to": arguments.training_set,
        "epochs": arguments.epochs,
        "threads": arguments.threads,
        "features_reviews_per_s": ours,
        "obvious_reviews_per_s": obvious,
        "head_seconds": head,
        "extraction_seconds_scaled": extraction,
        "obvious_seconds_scaled": loop,
        "ratio": loop / (extraction + head),
    }
    print(f"\n| {arguments.training_set:,} reviews, {arguments.epochs} epochs | seconds |\n|---|---|")
    print(f"| features, computed once (scaled from {len(subject.rows)} reviews) | {extraction:,.0f} |")
    print(f"| head, from cached features (measured) | {head:.1f} |")
    print(f"| the obvious loop (scaled from {len(subject.rows)} reviews) | {loop:,.0f} |")
    print(f"\nwhole training: {report['ratio']:.1f} times the speed of the obvious loop\n")
    print_report(arguments, report)


def obvious_epoch(subject: Subject, labels: np.ndarray) -> float:
    """Measure the seconds of one epoch: shuffled, padded batches through the frozen encoder, one step of the head each."""
    head = nn.Linear(subject.encoder.hidden_size, 1)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    order = np.random.default_rng(1).permutation(len(subject.rows))
    start = time.perf_counter()
    for first in range(0, len(order), BATCH):
        batch = order[first : first + BATCH]
        input_ids, attention_mask = map(torch.from_numpy, pad([subject.rows[row] for row in batch]))
        with torch.no_grad():
            hidden = subject.encoder.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        logits = head(hidden[:, 0])[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels[batch]).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def head_seconds(texts: int, hidden: int, epochs: int) -> float:
    """Measure the seconds to train the head on features, a tenth of them held out, as `score-model train` does."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(texts, hidden)).astype(np.float32)
    labels = generator.integers(0, 2, size=texts)
    held_out = texts // 10
    start = time.perf_counter()
    train_head(
        (features[held_out:], labels[held_out:]),
        (features[:held_out], labels[:held_out]),
        objective=OneOf(2),
        settings=HeadSettings(solver="adam", epochs=epochs),
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
