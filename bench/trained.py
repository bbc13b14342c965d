"""Trained classifiers and labelled texts for bench/cpu.py: each contender's accuracy, and the table that leads with it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from contenders import PYTORCH
from plain import Contender
from report import cpu_name, print_message
from subject import Subject

from export.bundle.bundle import load_classifier
from export.data_files import read_files
from export.data_source import Columns
from export.encoder.load import FrozenEncoder, load_encoder
from export.encoder.vectors import is_trained
from export.evaluation.cascade import accuracy_loss
from export.evaluation.evaluate import number_labels
from export.evaluation.metrics import interval_of
from export.graph.int8 import CALIBRATION_ROWS
from scorer.base.task import SINGLE_LABEL
from scorer.base.timing import Phases
from scorer.model.bundle import TOKENIZER, Bundle, load_bundle
from scorer.model.tokenizer import Tokenizer
from scorer.model.wide import open_wide

TOLERANCE = 0.1
"""Points of accuracy that a contender may lose to count as PyTorch's equal."""


@dataclass(frozen=True)
class Labelled:
    """Texts with the labels that people gave them.

    Attributes:
        texts: texts.
        labels: label numbers of the bundle, int64 (texts,).
    """

    texts: list[str]
    labels: np.ndarray

    def some(self, numbers: np.ndarray) -> "Labelled":
        return Labelled([self.texts[number] for number in numbers], self.labels[numbers])


@dataclass(frozen=True)
class Trained:
    """A trained subject, and labelled texts to judge it by; the first of them are those that it is timed on.

    Attributes:
        subject: classifier and the texts to time.
        rows: token ids of the labelled texts.
        labels: their label numbers, int64 (texts,).
    """

    subject: Subject
    rows: list[np.ndarray]
    labels: np.ndarray

    def is_right(self, one: Contender) -> np.ndarray:
        """Return the texts that a contender labels right, bool (texts,)."""
        return (one.score(self.rows)[:, 0] > 0) == (self.labels == 1)


def load_trained(
    folder: Path, model: Path, data: Sequence[str], calibration: Sequence[str], *, texts: int, timed: int, threads: int
) -> Trained:
    """Load a trained classifier and labelled texts.

    Args:
        folder: folder of the encoder, as --save-encoder wrote it.
        model: folder of the bundle that was trained with it.
        data: files of labelled texts.
        calibration: files of other labelled texts to calibrate on; empty to keep some of those in ``data`` for that.
        texts: number of labelled texts to draw.
        timed: number of them to time.
        threads: number of cores to use.
    """
    bundle = load_bundle(model)
    encoder = _encoder(folder, bundle)
    labelled = _drawn(data, bundle)
    if calibration:
        typical = _drawn(calibration, bundle).texts[:CALIBRATION_ROWS]
    else:
        typical = labelled.texts[:CALIBRATION_ROWS]
        labelled = labelled.some(np.arange(len(typical), len(labelled.texts)))
    if not labelled.texts:
        raise SystemExit(
            f"--data has only {len(typical)} texts, which are calibrated on; give others with --calibration"
        )
    labelled = labelled.some(np.arange(min(texts, len(labelled.texts))))
    rows = encoder.tokenizer.encode(labelled.texts).ids
    subject = Subject(
        encoder=encoder,
        classifier=load_classifier(bundle),
        texts=labelled.texts[:timed],
        rows=rows[:timed],
        calibration=encoder.tokenizer.encode(typical).ids,
        threads=threads,
        wide=open_wide(bundle, threads, Phases()),
    )
    return Trained(subject, rows, labelled.labels)


def _encoder(folder: Path, bundle: Bundle) -> FrozenEncoder:
    """Return the encoder, with the tokenizer of the bundle; refuse one that peers cannot be compared on."""
    manifest = bundle.manifest
    if manifest.task != SINGLE_LABEL or len(manifest.labels) != 2 or manifest.windows is not None:
        raise SystemExit(f"{bundle.path}: --model takes a bundle of two labels that reads each text once")
    if is_trained(manifest.pooling):
        raise SystemExit(f"{bundle.path}: --model takes a bundle without attention pooling")
    encoder = load_encoder(str(folder), max_length=manifest.max_length, max_tokens=manifest.tokens_kept)
    if encoder.sha256 != manifest.encoder.get("sha256"):
        raise SystemExit(f"{folder} is not the encoder of {bundle.path}; give the folder of its --save-encoder")
    file = bundle.files[TOKENIZER]
    return replace(encoder, tokenizer_json=file, tokenizer=Tokenizer(file, manifest.tokens_kept))


def _drawn(files: Sequence[str], bundle: Bundle) -> Labelled:
    """Read the texts of all files in random order, but always the same one."""
    rows = read_files(files, Columns(task=SINGLE_LABEL))
    labels = bundle.manifest.labels
    split = number_labels(rows, labels, None, by_id=labels)  # labels by name or by number
    every = Labelled(split.texts, split.labels)
    return every.some(np.random.default_rng(0).permutation(len(rows)))


def accuracies(trained: Trained, chosen: Sequence[Contender], seconds: dict[Contender, list[float]]) -> list[dict]:
    """Measure the accuracy of each contender and the points that it loses to PyTorch, once for each computation."""
    right: dict[str, np.ndarray] = {}
    for one in sorted(chosen, key=lambda one: min(seconds[one])):
        if one.computation not in right and one.key != "b":  # the pipeline scores the timed texts only
            print_message(f"labelling {len(trained.rows):,} texts: {one.name}, {one.precision}")
            right[one.computation] = trained.is_right(one)
    found = []
    for one in chosen:
        own = right[one.computation]
        hits = int(own.sum())
        lost = accuracy_loss(right[PYTORCH], own)
        found.append(
            {"accuracy": hits / len(own), "interval": interval_of(hits, len(own)), "points_lost": asdict(lost)}
        )
    return found


def is_equal(one: dict[str, Any]) -> bool:
    """Return whether a contender of a report is about as often right as PyTorch."""
    return one["points_lost"]["points"] <= TOLERANCE + 1e-9


def by_rate(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort contenders of a report from the fastest to the slowest."""
    return sorted(found, key=lambda one: -one["reviews_per_s"]["median"])


def print_trained(report: dict[str, Any]) -> None:
    """Print the contenders that are as accurate as PyTorch, from the fastest to the slowest, then all others."""
    exact = next(one for one in report["contenders"] if one["key"] == "a")
    print(
        f"\n{report['reviews']} reviews of {report['mean_tokens']:.0f} tokens, {report['threads']} threads of "
        f"{cpu_name(report['machine'])}; tokenizing {report['tokenizing_reviews_per_s']['median']:,.0f} reviews/s"
    )
    for title, equal in (
        (f"Reviews a second among those within {TOLERANCE} points of PyTorch's accuracy", True),
        (f"Those that lose more than {TOLERANCE} points", False),
    ):
        rows = [one for one in by_rate(report["contenders"]) if is_equal(one) == equal]
        if rows:
            print(f"\n{title} ({exact['accuracy']:.2%} of {report['labelled']:,} texts):\n")
            print(
                "| | contender | precision | reviews/s | x (a) | accuracy | points lost |\n|---|---|---|---|---|---|---|"
            )
        for one in rows:
            rate, lost = one["reviews_per_s"], one["points_lost"]
            low, high = lost["interval"]
            print(
                f"| {one['key']} | {one['name']} | {one['precision']} | {rate['median']:.1f} ({rate['least']:.1f} to "
                f"{rate['most']:.1f}) | {one['times_a']['median']:.2f} | {one['accuracy']:.2%} | {lost['points']:.2f} "
                f"({low:.2f} to {high:.2f}) |"
            )
