"""A check of labels: those that a bundle's vectors doubt, near duplicates that disagree, and texts to label next."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.classifier.choice import Fold, held_out_rows
from export.classifier.confident import doubts_of, worth_labelling
from export.classifier.head import Inputs, cross_validate_head, fit_head
from export.classifier.objective import OneOf
from export.classifier.settings import HeadSettings, WideSettings
from export.classifier.stacking import stack
from export.data import Dataset, Row, Split, labels_in, make_split, refuse_empty, sort_labels, task_of
from export.data_source import REFUSE
from export.errors import DatasetError
from export.graph.head_input import vectors_of
from export.label_checks import settle, warn_of_labels
from export.labelled_records import LabelledRecords
from export.together import sets_of
from export.training.crossfit import out_of_fold
from export.training.folds import fold_count, folds_of
from scorer.base.errors import UsageError
from scorer.base.task import SINGLE_LABEL
from scorer.model.bundle import TOKENIZER, Bundle
from scorer.model.interpretation import SingleLabel
from scorer.model.tokenizer import Tokenizer

DISAGREES, DUPLICATE_DISAGREES, WORTH_LABELLING, NOTHING = (
    "label_disagrees",
    "near_duplicate_disagrees",
    "worth_labelling",
    "",
)
"""Reasons to look at a record: another label is likelier, a near duplicate has another one, or it should get one."""

_HEAD, _WIDE = HeadSettings(), WideSettings()


@dataclass(frozen=True)
class CheckSettings:
    """Settings of a check of labels.

    Attributes:
        similar: way to treat labels that differ only by case, blanks or the like, of `export.data_source.SIMILAR`.
        is_task_given: whether the user has stated that each text has one label, so that it is not doubted.
        most_proposed: largest number of unlabelled texts to propose.
        threads: texts to compute at a time.
        quiet: show no progress.
    """

    similar: str = REFUSE
    is_task_given: bool = False
    most_proposed: int = 100
    threads: int = 1
    quiet: bool = True


@dataclass(frozen=True)
class Checked:
    """Results of a check of labels, by record.

    Attributes:
        reasons: reason to look at each record, or `NOTHING`.
        suggested: label that models which have not seen the record's label give it; empty for none.
        scores: probability of that label, float64 (records,); NaN for none.
        sets: number of each record's set of near duplicates with different labels, from 1, int64 (records,); 0 for none.
        order: numbers of the records, the most suspicious first, int64 (records,).
        pairs: number of probably wrong labels by given and suggested one, most frequent first.
        wrong_share: estimated share of wrong labels.
        unjudged: number of labelled records that no model without their label could judge.
    """

    reasons: tuple[str, ...]
    suggested: tuple[str, ...]
    scores: np.ndarray
    sets: np.ndarray
    order: np.ndarray
    pairs: Mapping[tuple[str, str], int]
    wrong_share: float
    unjudged: int

    def count(self, reason: str) -> int:
        """Return the number of records with a reason."""
        return self.reasons.count(reason)


@dataclass(frozen=True)
class _Texts:
    """Texts of all records, with what a bundle computes of them.

    Attributes:
        ids: token ids of each text, (sequence,).
        vectors: vectors of the texts, float32 (records, hidden).
        pieces: number of pieces in the vocabulary.
        sets: number of each text's set of near duplicates, int64 (records,).
        texts: texts themselves.
        names: label names, in the order of their numbers.
        labelled: numbers of the labelled records, int64 (labelled,).
        targets: their label numbers, int64 (labelled,).
    """

    ids: Sequence[np.ndarray]
    vectors: np.ndarray
    pieces: int
    sets: np.ndarray
    texts: Sequence[str]
    names: tuple[str, ...]
    labelled: np.ndarray
    targets: np.ndarray


def check_labels(records: LabelledRecords, bundle: Bundle, settings: CheckSettings) -> Checked:
    """Find labels to look at again, and unlabelled texts to label next.

    Labels are judged by confident learning (`export.classifier.confident`): a head on the bundle's vectors and a wide part are
    trained without the text, in folds that keep near duplicates together. Unlabelled texts are scored by a head that is
    trained on all labelled ones.

    Args:
        records: labelled records, and maybe others.
        bundle: bundle whose encoder gives the vectors; its own labels do not matter.
        settings: settings of the check.

    Raises:
        UsageError: the records have several labels a text, or numbers.
        DatasetError: their labels cannot be learned, or a text has no token.
        ExportError: there are too few texts, or the bundle's graph has no head.
    """
    texts = _texts_of(records, _settled(records, settings), bundle, settings)
    folds = folds_of([texts.texts[row] for row in texts.labelled], texts.targets, fold_count(len(texts.labelled)))
    judged = _judge(texts, folds)
    proposed = _propose(texts, folds, settings.most_proposed)
    conflicts = _conflicts(texts)
    reasons = np.full(len(records), NOTHING, dtype=object)
    reasons[conflicts > 0] = DUPLICATE_DISAGREES
    reasons[judged.suspected] = DISAGREES
    reasons[proposed.chosen] = WORTH_LABELLING
    likeliest = np.full(len(records), -1)
    scores, own = np.full(len(records), np.nan), np.full(len(records), np.inf)
    for rows, probabilities in ((judged.rows, judged.probabilities), (proposed.rows, proposed.probabilities)):
        likeliest[rows], scores[rows] = probabilities.argmax(axis=1), probabilities.max(axis=1)
    own[judged.rows] = judged.own
    given = dict(zip(texts.labelled.tolist(), texts.targets.tolist(), strict=True))
    pairs = Counter((texts.names[given[row]], texts.names[likeliest[row]]) for row in judged.suspected.tolist())
    return Checked(
        tuple(reasons),
        tuple(texts.names[label] if label >= 0 else "" for label in likeliest),
        scores,
        conflicts,
        _order(reasons != NOTHING, own, conflicts, texts, proposed.chosen),
        dict(pairs.most_common()),
        judged.wrong_share,
        len(texts.labelled) - len(judged.rows),
    )


def _settled(records: LabelledRecords, settings: CheckSettings) -> list[Row]:
    """Return the labelled texts; see `export.label_checks.settle`."""
    rows = records.rows()
    if task_of(rows) != SINGLE_LABEL:
        raise UsageError(
            "check-labels checks texts with one label each, and these have several labels or numbers. Check one label at a time: "
            "write a file with a column that holds yes or no."
        )
    return settle(rows, settings.similar, is_task_given=settings.is_task_given)


def _texts_of(records: LabelledRecords, rows: Sequence[Row], bundle: Bundle, settings: CheckSettings) -> _Texts:
    names = tuple(sort_labels(labels_in(rows)))
    if len(names) < 2:
        raise DatasetError(
            f"all labelled texts have the label {names[0]!r}; at least two labels are needed to check them."
        )
    split = make_split(rows, {name: number for number, name in enumerate(names)}, len(names))
    # There is no test part, and no label lacks one.
    warn_of_labels(Dataset("", names, split, split), is_task_given=settings.is_task_given)
    tokenizer = Tokenizer(bundle.files[TOKENIZER], bundle.manifest.tokens_kept)
    tokens = tokenizer.encode(records.texts)
    numbers = tuple(str(record.row) for record in records.records)
    refuse_empty(Split(records.texts, split.labels, numbers), tokens.empty)
    return _Texts(
        tokens.ids,
        vectors_of(bundle, tokenizer, tokens.ids, threads=settings.threads, quiet=settings.quiet),
        tokenizer.highest_id + 1,
        sets_of(records.texts),
        records.texts,
        names,
        np.array(records.labelled),
        split.labels,
    )


@dataclass(frozen=True)
class _Judged:
    """Labelled records, judged by models that were not trained on them.

    Attributes:
        rows: numbers of the records, int64 (rows,).
        probabilities: float64 (rows, labels).
        own: probability of the given label, float64 (rows,).
        suspected: numbers of the records whose label is probably wrong, int64 (suspected,).
        wrong_share: estimated share of wrong labels.
    """

    rows: np.ndarray
    probabilities: np.ndarray
    own: np.ndarray
    suspected: np.ndarray
    wrong_share: float


def _judge(texts: _Texts, folds: Sequence[Fold]) -> _Judged:
    here, objective = texts.labelled, OneOf(len(texts.names))
    found = out_of_fold(
        {"bundle": texts.vectors[here]},
        [texts.ids[number] for number in here],
        texts.targets,
        objective,
        folds,
        head=_HEAD,
        wide=_WIDE,
        pieces=texts.pieces,
    )
    probabilities = SingleLabel(texts.names).values(found.logits)
    doubts = doubts_of(probabilities, texts.targets[found.rows])
    rows = here[found.rows]
    return _Judged(rows, probabilities, doubts.own, rows[doubts.suspected], doubts.wrong_share)


@dataclass(frozen=True)
class _Proposed:
    """Unlabelled records, scored by a head that is trained on all labelled ones.

    Attributes:
        rows: numbers of the records, int64 (rows,).
        probabilities: float64 (rows, labels).
        chosen: numbers of the records to label next, in the order in which they were chosen, int64 (chosen,).
    """

    rows: np.ndarray
    probabilities: np.ndarray
    chosen: np.ndarray


def _propose(texts: _Texts, folds: Sequence[Fold], most: int) -> _Proposed:
    rows, objective = np.setdiff1d(np.arange(len(texts.ids)), texts.labelled), OneOf(len(texts.names))
    if not len(rows):
        return _Proposed(rows, np.empty((0, len(texts.names))), rows)
    inputs = Inputs(texts.vectors[texts.labelled])
    choice = cross_validate_head(inputs, texts.targets, folds, objective=objective, settings=_HEAD)
    head = fit_head(inputs, texts.targets, choice.best.number, objective=objective, settings=_HEAD)
    stacked = stack(choice.logits, None, texts.targets[held_out_rows(folds)], objective)
    probabilities = SingleLabel(texts.names, float(stacked.temperature)).values(head.logits(texts.vectors[rows]))
    # A near duplicate of a text that has a label, or that is listed before, would teach little.
    _, first = np.unique(texts.sets[rows], return_index=True)
    new = np.sort(first[~np.isin(texts.sets[rows[first]], texts.sets[texts.labelled])])
    return _Proposed(
        rows, probabilities, rows[new[worth_labelling(probabilities[new], texts.vectors[rows[new]], most)]]
    )


def _conflicts(texts: _Texts) -> np.ndarray:
    """Return the number of each record's set of near duplicates with different labels, from 1 in order of the first; 0 for none."""
    found, sets = np.zeros(len(texts.ids), dtype=np.int64), texts.sets[texts.labelled]
    by_set: dict[int, set[int]] = {}
    for one, label in zip(sets.tolist(), texts.targets.tolist(), strict=True):
        by_set.setdefault(one, set()).add(label)
    several = [one for one, labels in by_set.items() if len(labels) > 1]
    for number, one in enumerate(several, start=1):
        found[texts.labelled[sets == one]] = number
    return found


def _order(
    is_listed: np.ndarray, own: np.ndarray, conflicts: np.ndarray, texts: _Texts, proposed: np.ndarray
) -> np.ndarray:
    """Return the numbers of the records, the most suspicious first, int64 (records,).

    Records of one set are neighbours, at the place of the most suspicious. Proposed texts follow the last suspicious one, in
    their order; then labels without suspicion, the most probable last, and all other texts.
    """
    count = len(own)
    part, place = np.full(count, 3), np.arange(count, dtype=np.float64)
    part[texts.labelled], place[texts.labelled] = 2, own[texts.labelled]
    part[texts.labelled[is_listed[texts.labelled]]] = 0
    part[proposed], place[proposed] = 1, np.arange(len(proposed))
    first = place.copy()
    for number in range(1, int(conflicts.max(initial=0)) + 1):
        first[conflicts == number] = place[conflicts == number].min()
    return np.lexsort((np.arange(count), place, conflicts, first, part))
