"""The report of `score-model evaluate`: tables, figures and the costliest errors of bundles on the same labelled texts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from export.data import Split
from export.evaluation import baseline
from export.evaluation.cascade import StagedTexts
from export.evaluation.cascade_card import STAGED_HEAD, staged_row
from export.evaluation.cascade_figures import curve_figures, staged_group, staged_groups
from export.evaluation.evaluate import Group, Scored, by_group, by_length, costliest, score_split
from export.evaluation.figures import accuracy_bars, cascade_curve, confusion_matrix, reliability_diagram
from export.evaluation.metrics import Metrics, confusion, losses, metrics, reliability
from export.evaluation.model_card import figures_of, table
from export.evaluation.outputs import ERROR_FIELDS, EVALUATION, RELIABILITY_FIGURE, suffix
from scorer.model.scorer import Scorer
from scorer.storage.atomic import cannot_be_written
from scorer.storage.output import publish_bytes


@dataclass(frozen=True)
class Evaluated:
    """A bundle with its scored texts.

    Attributes:
        name: name of the bundle, with its precision and provider.
        labels: label names of the bundle.
        max_length: number of tokens that its encoder reads.
        scored: texts with the bundle's predictions.
    """

    name: str
    labels: tuple[str, ...]
    max_length: int
    scored: Scored

    @property
    def rows(self) -> dict[str, Scored]:
        """Scored texts by name; a bundle with a cascade also has them with every text through the encoder."""
        without = {f"{self.name}, no cascade": self.scored.without_cascade} if self.scored.stages else {}
        return {self.name: self.scored, **without}

    @property
    def counts(self) -> np.ndarray:
        """Numbers of texts by true and predicted label, int64 (labels, labels)."""
        return confusion(self.scored.split.labels, self.scored.predicted, len(self.labels))


def evaluate(
    bundles: Sequence[str], scorers: Sequence[Scorer], splits: Sequence[Split], *, quiet: bool
) -> list[Evaluated]:
    """Score the same texts with each bundle; a bundle that shares its name with another is named by its folder.

    Args:
        bundles: folders of the bundles.
        scorers: scorers of the bundles.
        splits: the texts for each bundle, with its label numbers.
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
    """Return the baseline's name and metrics.

    Args:
        split: labelled texts to score.
        label_count: number of labels.
        train: texts to train on; None to cross-validate on the scored texts.
    """
    if train is not None:
        found, how = baseline.trained_on(train.texts, train.labels, split.texts, label_count), "trained on --train-file"
    else:
        found, how = baseline.cross_validated(split.texts, split.labels, label_count), "five-fold on these texts"
    return f"{baseline.NAME}, {how}", metrics(found, split.labels)


def lines(evaluated: Sequence[Evaluated], compared: tuple[str, Metrics] | None) -> Iterator[str]:
    """Yield the report in Markdown, one table or sentence at a time."""
    rows = [(name, scored.metrics) for one in evaluated for name, scored in one.rows.items()]
    rows += [compared] if compared else []
    yield table(
        ("", "texts", "accuracy", "95% interval", "F1", "ROC AUC", "log loss", "calibration error"),
        [(name, f"{found.texts:,}", *figures_of(asdict(found))) for name, found in rows],
    )
    staged = [(one.name, one.scored.stages) for one in evaluated if one.scored.stages is not None]
    if staged:
        yield "Cascades: texts decided early, without the encoder"
        yield table(STAGED_HEAD, [staged_row(name, asdict(staged_group(name, stages))) for name, stages in staged])
    for one in evaluated:
        yield f"{one.name}: true labels in rows, predicted labels in columns"
        yield table(
            ("", *one.labels),
            [
                (label, *(f"{count:,}" for count in row))
                for label, row in zip(one.labels, one.counts.tolist(), strict=True)
            ],
        )
        for title, groups in _groups(one):
            yield f"{one.name}, by {title}:"
            yield _groups_table(title, groups)
    if compared is not None:
        for one in evaluated:
            if one.scored.metrics.accuracy <= compared[1].accuracy:
                yield f"Note: {one.name} is no better than {baseline.NAME}, which needs no encoder."


def _groups_table(title: str, groups: Sequence[tuple[Group, Group | None]]) -> str:
    """Format a table of each group's accuracy, and of its accuracy without the cascade if there is one."""
    head, rows = [title, "texts", "accuracy", "95% interval"], []
    for group, without in groups:
        cells = [group.name, f"{group.metrics.texts:,}", *figures_of(asdict(group.metrics))[:2]]
        rows.append(cells if without is None else [*cells, f"{without.metrics.accuracy:.2%}"])
    return table(head if groups[0][1] is None else [*head, "without cascade"], rows)


def write_errors(path: str, evaluated: Sequence[Evaluated], most: int) -> int:
    """Publish the wrongly labelled texts with the largest log loss as JSON lines; return their number.

    The file holds texts, so it is as confidential as the data.
    """
    written = [line for one in evaluated for line in _errors(one, most)]
    publish_bytes(path, b"".join(_json(line) for line in written))
    return len(written)


def write_figures(folder: Path, evaluated: Sequence[Evaluated], compared: tuple[str, Metrics] | None) -> list[str]:
    """Publish the report's pictures in a folder, then evaluation.json; return the file names."""
    pictures = {
        RELIABILITY_FIGURE: reliability_diagram(
            {
                name: reliability(scored.probabilities, scored.split.labels)
                for one in evaluated
                for name, scored in one.rows.items()
            }
        )
    }
    for number, one in enumerate(evaluated, start=1):
        end = suffix(number, len(evaluated))
        pictures[f"confusion{end}.png"] = confusion_matrix(one.name, one.labels, one.counts)
        for title, groups in _groups(one):
            pictures[f"{title}{end}.png"] = accuracy_bars(f"{one.name}, by {title}", [group for group, _ in groups])
        if one.scored.stages is not None:
            pictures[f"cascade{end}.png"] = cascade_curve(one.scored.stages, one.name)
    figures: dict[str, Any] = {}
    for one in evaluated:
        figures |= {name: _as_json(replace(one, name=name, scored=scored)) for name, scored in one.rows.items()}
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
    """Format a value as JSON.

    Undecodable bytes in a folder's name are lone surrogates in Python, and become JSON escapes.
    """
    return f"{json.dumps(value, indent=indent, ensure_ascii=False)}\n".encode(errors="backslashreplace")


def _groups(one: Evaluated) -> list[tuple[str, list[tuple[Group, Group | None]]]]:
    """Return the groups of texts by title, each with its counterpart without the cascade, or None."""

    def each(scored: Scored) -> dict[str, list[Group]]:
        return {"length": by_length(scored, one.max_length), "group": by_group(scored)}

    found, without = each(one.scored), each(one.scored.without_cascade)
    others = (
        without if one.scored.stages is not None else {title: [None] * len(groups) for title, groups in found.items()}
    )
    return [(title, list(zip(groups, others[title], strict=True))) for title, groups in found.items() if groups]


def _as_json(one: Evaluated) -> dict[str, Any]:
    scored, stages = one.scored, one.scored.stages
    return {
        **asdict(scored.metrics),
        "confusion": one.counts.tolist(),
        "reliability": [asdict(bin) for bin in reliability(scored.probabilities, scored.split.labels)],
        **{f"by_{title}": [{"name": g.name, **asdict(g.metrics)} for g, _ in groups] for title, groups in _groups(one)},
        **({"cascade": _cascade_as_json(one.name, scored, stages)} if stages else {}),
    }


def _cascade_as_json(name: str, scored: Scored, stages: StagedTexts) -> dict[str, Any]:
    return {
        **asdict(staged_group(name, stages)),
        "by_group": [asdict(group) for group in staged_groups(scored)],
        "curve": curve_figures(stages),
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
