"""`score-model evaluate`: bundles side by side on labelled texts, in tables, figures, and a list of the costliest errors."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.data import Split
from export.evaluation import baseline
from export.evaluation.evaluate import Group, Scored, by_group, by_length, costliest, score_split
from export.evaluation.figures import accuracy_bars, confusion_matrix, reliability_diagram
from export.evaluation.metrics import Metrics, confusion, losses, metrics, reliability
from export.evaluation.model_card import figures_of, table
from export.evaluation.outputs import ERROR_FIELDS, EVALUATION, RELIABILITY_FIGURE, suffix
from scorer.model.scorer import Scorer
from scorer.storage.atomic import cannot_be_written
from scorer.storage.output import publish_bytes


@dataclass(frozen=True)
class Evaluated:
    """A bundle and what came out.

    Attributes:
        name: of the bundle, with its precision and provider.
        labels: the bundle's.
        max_length: tokens that its encoder reads.
        scored: the texts.
    """

    name: str
    labels: tuple[str, ...]
    max_length: int
    scored: Scored

    @property
    def counts(self) -> np.ndarray:
        """Texts by true and predicted label."""
        return confusion(self.scored.split.labels, self.scored.predicted, len(self.labels))


def evaluate(
    bundles: Sequence[str], scorers: Sequence[Scorer], splits: Sequence[Split], *, quiet: bool
) -> list[Evaluated]:
    """Score each bundle's split; a bundle that shares its name with another is called by its folder.

    Args:
        bundles: folders of the bundles.
        scorers: their scorers.
        splits: the same texts for each, numbered by its labels.
        quiet: show no progress.
    """
    names = [scorer.manifest.name for scorer in scorers]
    evaluated = []
    for bundle, scorer, split in zip(bundles, scorers, splits, strict=True):
        manifest, choice = scorer.manifest, scorer.choice
        name = manifest.name if names.count(manifest.name) == 1 else bundle
        title = f"{name} ({choice.precision}, {choice.provider})"
        scored = score_split(scorer, split, quiet=quiet)
        evaluated.append(Evaluated(title, scorer.labels, manifest.max_length, scored))
    return evaluated


def baseline_row(split: Split, label_count: int, train: Split | None) -> tuple[str, Metrics]:
    """The baseline's name and figures: trained on a file of its own, or cross-validated on the texts themselves.

    Args:
        split: the texts.
        label_count: of all labels.
        train: texts to train on, or None.
    """
    if train is not None:
        found, how = baseline.trained_on(train.texts, train.labels, split.texts, label_count), "trained on --train-file"
    else:
        found, how = baseline.cross_validated(split.texts, split.labels, label_count), "five-fold on these texts"
    return f"{baseline.NAME}, {how}", metrics(found, split.labels)


def lines(evaluated: Sequence[Evaluated], compared: tuple[str, Metrics] | None) -> Iterator[str]:
    """The report in Markdown, part by part."""
    rows = [(one.name, one.scored.metrics) for one in evaluated] + ([compared] if compared else [])
    yield table(
        ("", "texts", "accuracy", "95% interval", "F1", "ROC AUC", "log loss", "calibration error"),
        [(name, f"{found.texts:,}", *figures_of(asdict(found))) for name, found in rows],
    )
    for one in evaluated:
        yield f"{one.name}: true labels down, predicted labels across"
        yield table(
            ("", *one.labels),
            [
                (label, *(f"{count:,}" for count in row))
                for label, row in zip(one.labels, one.counts.tolist(), strict=True)
            ],
        )
        for title, groups in _groups(one):
            yield f"{one.name}, by {title}:"
            yield table(
                (title, "texts", "accuracy", "95% interval"),
                [(group.name, f"{group.metrics.texts:,}", *figures_of(asdict(group.metrics))[:2]) for group in groups],
            )
    if compared is not None:
        for one in evaluated:
            if one.scored.metrics.accuracy <= compared[1].accuracy:
                yield f"Note: {one.name} is no better than {baseline.NAME}, which needs no encoder."


def write_errors(path: str, evaluated: Sequence[Evaluated], most: int) -> int:
    """Publish the wrongly labelled texts that cost most, as JSON lines; returns how many.

    The file holds the texts: it belongs where the data belongs.
    """
    written = [line for one in evaluated for line in _errors(one, most)]
    publish_bytes(path, b"".join(_json(line) for line in written))
    return len(written)


def write_figures(folder: Path, evaluated: Sequence[Evaluated], compared: tuple[str, Metrics] | None) -> list[str]:
    """Publish the report's pictures, then evaluation.json, in a folder; returns the files' names."""
    pictures = {
        RELIABILITY_FIGURE: reliability_diagram(
            {one.name: reliability(one.scored.probabilities, one.scored.split.labels) for one in evaluated}
        )
    }
    for number, one in enumerate(evaluated, start=1):
        end = suffix(number, len(evaluated))
        pictures[f"confusion{end}.png"] = confusion_matrix(one.name, one.labels, one.counts)
        for title, groups in _groups(one):
            pictures[f"{title}{end}.png"] = accuracy_bars(f"{one.name}, by {title}", groups)
    figures: dict[str, Any] = {one.name: _as_json(one) for one in evaluated}
    if compared is not None:
        figures[compared[0]] = asdict(compared[1])
    files = {**pictures, EVALUATION: _json(figures, indent=2)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_be_written(folder, error) from error
    for name, data in files.items():
        publish_bytes(str(folder / name), data)
    return list(files)


def _json(value: Mapping[str, Any], indent: int | None = None) -> bytes:
    """As JSON; undecodable bytes in the name of a folder are halves of surrogate pairs, written as JSON escapes them."""
    return f"{json.dumps(value, indent=indent, ensure_ascii=False)}\n".encode(errors="backslashreplace")


def _groups(one: Evaluated) -> list[tuple[str, list[Group]]]:
    found = [("length", by_length(one.scored, one.max_length)), ("group", by_group(one.scored))]
    return [(title, groups) for title, groups in found if groups]


def _as_json(one: Evaluated) -> dict[str, Any]:
    return {
        **asdict(one.scored.metrics),
        "confusion": one.counts.tolist(),
        "reliability": [asdict(bin) for bin in reliability(one.scored.probabilities, one.scored.split.labels)],
        **{f"by_{title}": [{"name": g.name, **asdict(g.metrics)} for g in groups] for title, groups in _groups(one)},
    }


def _errors(one: Evaluated, most: int) -> Iterator[dict[str, Any]]:
    scored, split = one.scored, one.scored.split
    cost = losses(scored.probabilities, split.labels)
    for row in costliest(scored, most):
        values = (
            one.name,
            split.ids[row],
            one.labels[split.labels[row]],
            one.labels[scored.predicted[row]],
            round(float(scored.probabilities[row].max()), 6),
            round(float(cost[row]), 4),
            int(scored.lengths[row]),
            split.texts[row],
        )
        yield dict(zip(ERROR_FIELDS, values, strict=True))
