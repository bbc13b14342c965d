"""The report of `score-model evaluate`: tables, figures and the costliest errors of bundles on the same labelled texts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from export.data import Split
from export.evaluation.cascade import StagedTexts, staged_group
from export.evaluation.cascade_card import STAGED_HEAD, staged_row
from export.evaluation.cascade_figures import curve_figures, staged_groups
from export.evaluation.domains import domain_figures, domain_table
from export.evaluation.evaluate import Group, Scored, by_domain, by_group, by_length, costliest, score_split
from export.evaluation.figures import cascade_curve, group_intervals, outcome_picture, reliability_diagram
from export.evaluation.headline import Headline
from export.evaluation.judge import Compared, compare, is_no_better
from export.evaluation.model_card import table
from export.evaluation.outputs import (
    CASCADE_FIGURE,
    DOMAIN_FIGURE,
    EVALUATION,
    OUTCOME_FIGURES,
    RELIABILITY_FIGURE,
    error_fields,
    numbered,
)
from export.evaluation.paired import PAIRED_HEAD, Paired, paired
from scorer.base.task import REGRESSION
from scorer.model.loaded import LoadedModel
from scorer.storage.atomic import cannot_be_written
from scorer.storage.output import publish_bytes


@dataclass(frozen=True)
class Evaluated:
    """A bundle with its scored texts.

    Attributes:
        name: name of the bundle, with its precision and provider.
        max_length: number of tokens that its encoder reads.
        scored: texts with the bundle's predictions.
    """

    name: str
    max_length: int
    scored: Scored

    @property
    def rows(self) -> dict[str, Scored]:
        """Scored texts by name; a bundle with a cascade also has them with every text through the encoder."""
        without = {f"{self.name}, no cascade": self.scored.without_cascade} if self.scored.stages else {}
        return {self.name: self.scored, **without}

    @cached_property
    def groups(self) -> list[tuple[str, list[tuple[Group, Group | None]]]]:
        """Groups of texts by title, each with its counterpart without the cascade, or None."""

        def each(scored: Scored) -> dict[str, list[Group]]:
            return {"length": by_length(scored, self.max_length), "group": by_group(scored)}

        found = each(self.scored)
        others: Mapping[str, Sequence[Group | None]] = (
            {title: [None] * len(groups) for title, groups in found.items()}
            if self.scored.stages is None
            else each(self.scored.without_cascade)
        )
        return [(title, list(zip(groups, others[title], strict=True))) for title, groups in found.items() if groups]


def evaluate(
    bundles: Sequence[str], scorers: Sequence[LoadedModel], splits: Sequence[Split], *, quiet: bool
) -> list[Evaluated]:
    """Score the same texts with each bundle; a bundle that shares its name with another is named by its folder.

    Args:
        bundles: folders of the bundles.
        scorers: scorers of the bundles.
        splits: the texts for each bundle, with its label numbers or true values. All bundles have the same task.
        quiet: show no progress.
    """
    names = [scorer.manifest.name for scorer in scorers]
    evaluated = []
    for bundle, scorer, split in zip(bundles, scorers, splits, strict=True):
        manifest, choice = scorer.manifest, scorer.choice
        name = manifest.name if names.count(manifest.name) == 1 else bundle
        title = f"{name} ({choice.precision}, {choice.provider})"
        scored = score_split(scorer, split, quiet=quiet)
        evaluated.append(Evaluated(title, manifest.max_length, scored))
    return evaluated


def baselines(evaluated: Evaluated, train: Split | None) -> list[Compared]:
    """Return the baselines of a task with their metrics, the strongest first.

    Args:
        evaluated: a bundle with the scored texts.
        train: texts to train on; None to cross-validate on the scored texts.
    """
    how = "five-fold on these texts" if train is None else "trained on --train-file"
    return compare(evaluated.scored.judge, evaluated.scored.split, train, how)


def lines(evaluated: Sequence[Evaluated], compared: Sequence[Compared]) -> Iterator[str]:
    """Yield the report in Markdown, one table or sentence at a time."""
    rows = [(name, scored) for one in evaluated for name, scored in one.rows.items()]
    cells = [(name, f"{scored.metrics.texts:,}", *scored.judge.cells(asdict(scored.metrics))) for name, scored in rows]
    judge = evaluated[0].scored.judge
    cells += [
        (f"{one.name}, {one.how}", f"{one.metrics.texts:,}", *judge.cells(asdict(one.metrics))) for one in compared
    ]
    head = max((scored.judge.head for _, scored in rows), key=len)  # one bundle may have ordered labels, another none
    yield table(("", "texts", *head), [(*row, *[""] * (len(head) + 2 - len(row))) for row in cells])
    staged = [(one.name, one.scored.stages) for one in evaluated if one.scored.stages is not None]
    if staged:
        yield "Cascades: texts decided early, without the encoder"
        yield table(STAGED_HEAD, [staged_row(name, asdict(staged_group(name, stages))) for name, stages in staged])
    yield from _pairs_of(evaluated)
    yield from _by_domain(evaluated)
    for one in evaluated:
        scored = one.scored
        for part in scored.judge.tables(scored.judge.details(scored.values, scored.split.labels)):
            yield f"{one.name}: {part.title}"
            yield table(part.head, part.rows)
        for title, groups in one.groups:
            yield f"{one.name}, by {title}:"
            yield _groups_table(title, groups, scored.judge.grouped)
    for one in evaluated:
        for other in compared:
            if is_no_better(one.scored.judge.main, one.scored.metrics, other):
                yield f"Note: {one.name} is no better than {other.name}, which needs no encoder."


def _by_domain(evaluated: Sequence[Evaluated]) -> Iterator[str]:
    """Yield one table by domain for all bundles, under a title; nothing if all texts are of one domain."""
    figures = {one.name: domain_figures(one.scored) for one in evaluated}
    if all(figures.values()):
        yield f"{evaluated[0].name}, by domain:" if len(evaluated) == 1 else "By domain:"
        yield table(*domain_table(evaluated[0].scored.judge, figures))


def _pairs(evaluated: Sequence[Evaluated]) -> list[tuple[Evaluated, Evaluated, Paired]]:
    """Compare each pair of bundles on the same texts; return nothing for numbers, which are not right or wrong."""
    if evaluated[0].scored.interpretation.task == REGRESSION:
        return []
    right = [one.scored.costs < 0 for one in evaluated]
    return [
        (evaluated[first], evaluated[other], paired(right[first], right[other]))
        for first, other in combinations(range(len(evaluated)), 2)
    ]


def _pairs_of(evaluated: Sequence[Evaluated]) -> Iterator[str]:
    """Yield the paired test of each pair of bundles, under a title; nothing for a single bundle or for numbers."""
    pairs = _pairs(evaluated)
    if pairs:
        yield "Pairs of bundles on the same texts (exact McNemar test):"
        yield table(
            ("first", "second", *PAIRED_HEAD), [(first.name, other.name, *found.cells) for first, other, found in pairs]
        )


def _groups_table(title: str, groups: Sequence[tuple[Group, Group | None]], figure: Headline) -> str:
    """Format a table of a figure of each group, and of the same without the cascade if there is one."""
    head, rows = [title, "texts", *figure.head], []
    for group, without in groups:
        cells = [group.name, f"{group.metrics.texts:,}", *figure.cells(asdict(group.metrics))]
        rows.append(cells if without is None else [*cells, figure.cells(asdict(without.metrics))[0]])
    return table(head if groups[0][1] is None else [*head, "without cascade"], rows)


def write_errors(path: str, evaluated: Sequence[Evaluated], most: int) -> int:
    """Publish the texts with the costliest errors as JSON lines; return their number.

    The file holds texts, so it is as confidential as the data.
    """
    written = [line for one in evaluated for line in _errors(one, most)]
    publish_bytes(path, b"".join(_json(line) for line in written))
    return len(written)


def write_figures(folder: Path, evaluated: Sequence[Evaluated], compared: Sequence[Compared]) -> list[str]:
    """Publish the report's pictures in a folder, then evaluation.json; return the file names."""
    pictures = _reliability(evaluated)
    for number, one in enumerate(evaluated, start=1):
        scored = one.scored
        drawn = {
            OUTCOME_FIGURES[scored.interpretation.task]: outcome_picture(
                one.name, scored.interpretation, scored.values, scored.split.labels
            )
        }
        for title, groups in one.groups:
            each, figure = [group for group, _ in groups], scored.judge.grouped
            drawn[f"{title}.png"] = group_intervals(f"{one.name}, by {title}", each, figure)
        if scored.split.domains:
            drawn[DOMAIN_FIGURE] = group_intervals(f"{one.name}, by domain", by_domain(scored), scored.judge.grouped)
        if scored.stages is not None:
            drawn[CASCADE_FIGURE] = cascade_curve(scored.stages, one.name)
        pictures |= {numbered(name, number, len(evaluated)): picture for name, picture in drawn.items()}
    figures: dict[str, Any] = {}
    for one in evaluated:
        figures |= {name: _as_json(replace(one, name=name, scored=scored)) for name, scored in one.rows.items()}
    for first, other, found in _pairs(evaluated):
        figures[other.name].setdefault("against", {})[first.name] = asdict(found)
    figures |= {f"{one.name}, {one.how}": asdict(one.metrics) for one in compared}
    files = {**pictures, EVALUATION: _json(figures, indent=2)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_be_written(folder, error) from error
    for name, data in files.items():
        publish_bytes(str(folder / name), data)
    return list(files)


def _reliability(evaluated: Sequence[Evaluated]) -> dict[str, bytes]:
    """Draw the reliability of all bundles; return nothing if their values are no probabilities."""
    lines = {
        name: scored.judge.reliability(scored.values, scored.split.labels)
        for one in evaluated
        for name, scored in one.rows.items()
    }
    if not all(lines.values()):
        return {}
    return {RELIABILITY_FIGURE: reliability_diagram(lines, evaluated[0].scored.judge.axes)}


def _json(value: Mapping[str, Any], indent: int | None = None) -> bytes:
    """Format a value as JSON.

    Undecodable bytes in a folder's name are lone surrogates in Python, and become JSON escapes.
    """
    return f"{json.dumps(value, indent=indent, ensure_ascii=False)}\n".encode(errors="backslashreplace")


def _as_json(one: Evaluated) -> dict[str, Any]:
    scored, stages, judge = one.scored, one.scored.stages, one.scored.judge
    bins = judge.reliability(scored.values, scored.split.labels)
    return {
        **asdict(scored.metrics),
        **judge.details(scored.values, scored.split.labels),
        **({"reliability": [asdict(bin) for bin in bins]} if bins else {}),
        **{f"by_{title}": [{"name": g.name, **asdict(g.metrics)} for g, _ in groups] for title, groups in one.groups},
        **domain_figures(scored),
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
    names = error_fields(scored.interpretation.task, by_domain=bool(split.domains))
    for row in costliest(scored, most):
        found = {
            "bundle": one.name,
            "id": split.ids[row],
            "domain": split.domains[row] if split.domains else None,
            **scored.judge.error(scored.values[row], split.labels[row]),
            "tokens": int(scored.lengths[row]),
            "text": split.texts[row],
        }
        yield {name: found[name] for name in names}
