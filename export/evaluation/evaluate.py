"""Evaluation of a bundle on labelled texts, through the engine that `score` uses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from export.data import Row, Split, labels_in, make_split, refuse_empty, sort_labels, task_of
from export.errors import DatasetError
from export.evaluation.cascade import StagedTexts
from export.evaluation.judge import Judge, Metrics
from export.evaluation.judges import judge_of
from export.evaluation.value_metrics import value_edges
from scorer.base.progress import Progress
from scorer.base.task import REGRESSION
from scorer.model.interpretation import Interpretation
from scorer.model.loaded import LoadedModel
from scorer.model.reference import TOKEN_EDGES, UNKNOWN_EDGES, Histogram, Reference
from scorer.model.tokenizer import unknown_share
from scorer.model.windows import tokens_read

_WINDOW = 1024

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
"""Upper bounds of the groups by length, in tokens; the length that the encoder reads is another."""


@dataclass(frozen=True)
class Scored:
    """Labelled texts with a bundle's predictions.

    Attributes:
        split: texts with their true labels.
        interpretation: meaning of the bundle's logits.
        values: probabilities or values, float64 (texts, labels).
        lengths: numbers of tokens kept, int64 (texts,).
        truncated: texts that had more tokens, bool (texts,).
        unknown: share of unknown tokens, float64 (texts,).
        stages: probabilities of each stage of the bundle's cascade; None without a cascade.
    """

    split: Split
    interpretation: Interpretation
    values: np.ndarray
    lengths: np.ndarray
    truncated: np.ndarray
    unknown: np.ndarray
    stages: StagedTexts | None = None

    @property
    def judge(self) -> Judge:
        return judge_of(self.interpretation)

    @cached_property
    def metrics(self) -> Metrics:
        return self.judge.metrics(self.values, self.split.labels)

    @property
    def costs(self) -> np.ndarray:
        """Cost of each text's error, float64 (texts,); -1 for a text without one."""
        return self.judge.costs(self.values, self.split.labels)

    @property
    def without_cascade(self) -> "Scored":
        """The same texts, with every one through the encoder."""
        return self if self.stages is None else replace(self, values=self.stages.whole, stages=None)


@dataclass(frozen=True)
class Group:
    """Metrics of some of the texts.

    Attributes:
        name: name of the group.
        metrics: metrics of its texts.
    """

    name: str
    metrics: Metrics


def score_split(scorer: LoadedModel, split: Split, *, quiet: bool = False) -> Scored:
    """Score labelled texts with a bundle, with and without its cascade.

    Args:
        scorer: scorer of the bundle that gives every text to the encoder (``cascade=False``); the cascade's scores follow
            from these, but not the reverse.
        split: texts with numbers into ``scorer.labels``.
        quiet: show no progress.

    Raises:
        DatasetError: a text has no token.
    """
    assert scorer.cascade is None, "the encoder does not score texts that are decided early"
    whole, wide, early, lengths, truncated, unknown = [], [], [], [], [], []
    with Progress(f"evaluating {scorer.choice.precision}", len(split), quiet=quiet) as progress:
        progress.show(0, "")
        for start in range(0, len(split), _WINDOW):
            tokens = scorer.tokenizer.encode(split.texts[start : start + _WINDOW])
            refuse_empty(split, [False] * start + tokens.empty)
            whole.append(scorer.score_tokens(tokens).values)
            if scorer.manifest.cascade is not None:
                alone = scorer.wide_alone(tokens)
                wide.append(alone.values)
                early.append(alone.early)
            lengths += [len(ids) for ids in tokens.ids]
            truncated += tokens.truncated
            unknown += [unknown_share(ids, scorer.tokenizer.unknown_id) for ids in tokens.ids]
            progress.show(len(lengths), f"{len(lengths):,} texts")
    found = np.concatenate(whole)
    stages = None
    if wide:
        read = np.array([tokens_read(scorer.manifest, scorer.windows, length) for length in lengths])
        stages = StagedTexts(split.labels, found, np.concatenate(wide), np.concatenate(early), read)
        found = stages.staged
    of_texts = np.array(lengths), np.array(truncated, dtype=bool), np.array(unknown)
    return Scored(split, scorer.interpretation, found, *of_texts, stages)


def by_length(scored: Scored, max_length: int, edges: Sequence[int] = LENGTHS) -> list[Group]:
    """Compute metrics by the number of tokens.

    Truncated texts form a group of their own, because their length is unknown.

    Args:
        scored: scored texts.
        max_length: number of tokens that the encoder reads at once; longer texts start a new group.
        edges: other upper bounds of the groups, in tokens.
    """
    most = int(scored.lengths.max(initial=0))
    bounds = sorted({*(edge for edge in edges if edge < most), min(max_length, most), most})
    found = []
    for low, high in pairwise([0, *bounds]):
        here = (scored.lengths > low) & (scored.lengths <= high) & ~scored.truncated
        found += _group(f"{low + 1:,} to {high:,} tokens" if low else f"up to {high:,} tokens", scored, here)
    return found + _group(f"more than {most:,} tokens", scored, scored.truncated)


def by_group(scored: Scored) -> list[Group]:
    """Compute metrics by the value of the group column; return none without such a column."""
    return _by_value(scored, scored.split.groups)


def by_domain(scored: Scored) -> list[Group]:
    """Compute metrics by domain; return none if all texts are of one."""
    return _by_value(scored, scored.split.domains)


def _by_value(scored: Scored, values: Sequence[str]) -> list[Group]:
    """Compute metrics by the value of each text; return none without values."""
    found = np.array(values)
    return [one for name in sort_labels(set(values)) for one in _group(name, scored, found == name)]


def costliest(scored: Scored, most: int) -> list[int]:
    """Return the numbers of the texts with the costliest errors, see `export.evaluation.judge.Judge`, worst first."""
    cost = scored.costs
    order = np.argsort(-cost, kind="stable")[:most]
    return [int(text) for text in order if cost[text] >= 0]


def number_labels(
    rows: Sequence[Row], labels: tuple[str, ...], names: tuple[str, ...] | None, by_id: Sequence[str] = ()
) -> Split:
    """Make a split of a file's rows, with the label numbers of a bundle.

    Args:
        rows: texts with raw labels; numbers stay as they are.
        labels: label names of the bundle.
        names: names of the sorted raw labels; None if these are the bundle's labels already.
        by_id: labels by the ids of an imported model, which raw labels may be as well.

    Raises:
        DatasetError: the bundle lacks a label, or the number of names is wrong.
    """
    if task_of(rows) == REGRESSION:
        return make_split(rows, {}, len(labels))
    raw = sort_labels(labels_in(rows))
    if names is not None and len(names) != len(raw):
        raise DatasetError(f"--label-names gives {len(names)} names for the {len(raw)} labels {', '.join(raw)}.")
    by_raw = dict(zip(raw, names or raw, strict=True))
    ids = {str(number): label for number, label in enumerate(by_id)}
    if names is None and not set(raw) & set(labels) and set(raw) <= ids.keys():
        by_raw = {one: ids[one] for one in raw}
    unknown = sorted(set(by_raw.values()) - set(labels))
    if unknown:
        raise DatasetError(
            f"the data has labels that the bundle lacks: {', '.join(unknown)}. The bundle has: {', '.join(labels)}; "
            f"name the data's labels ({', '.join(raw)}) in this order with --label-names."
        )
    return make_split(rows, {label: labels.index(by_raw[label]) for label in raw}, len(labels))


def _group(name: str, scored: Scored, here: np.ndarray) -> list[Group]:
    if not here.any():
        return []
    return [Group(name, scored.judge.metrics(scored.values[here], scored.split.labels[here]))]


def reference(scored: Scored) -> Reference:
    """Count scores, lengths and shares of unknown tokens in the histograms of the manifest.

    Args:
        scored: scored test texts.
    """
    whole = None if scored.stages is None else scored.stages.whole
    return histograms(scored.interpretation, scored.values, scored.lengths, scored.unknown, without_cascade=whole)


def histograms(
    interpretation: Interpretation,
    values: np.ndarray,
    lengths: np.ndarray,
    unknown: np.ndarray,
    *,
    without_cascade: np.ndarray | None = None,
) -> Reference:
    """Count texts in the histograms of the manifest.

    The edges for numbers are those of `export.evaluation.value_metrics.value_edges`.

    Args:
        interpretation: meaning of the bundle's logits.
        values: probabilities or values as the bundle scores, float64 (texts, labels).
        lengths: numbers of tokens kept, int64 (texts,).
        unknown: share of unknown tokens, float64 (texts,).
        without_cascade: probabilities with every text through the encoder; None if the bundle has no cascade.
    """
    scores = interpretation.scores(values)
    edges = value_edges(scores) if interpretation.task == REGRESSION else interpretation.score_edges
    whole = None if without_cascade is None else _histogram(interpretation.scores(without_cascade), edges)
    return Reference(
        len(lengths),
        score_without_cascade=whole,
        score=_histogram(scores, edges),
        tokens=_histogram(lengths, TOKEN_EDGES),
        unknown=_histogram(unknown, UNKNOWN_EDGES),
    )


def _histogram(values: np.ndarray, edges: tuple[float, ...]) -> Histogram:
    return Histogram(edges, np.histogram(values, edges)[0].tolist())
