"""Names of labelled data to load; no heavy import, so that `score-model --help` reads the defaults quickly."""

import os
from dataclasses import dataclass
from pathlib import Path

from scorer.base.errors import UsageError
from scorer.base.task import MULTI_LABEL, SINGLE_LABEL, Task
from scorer.rows.input_options import InputOptions

TEXT_OPTION, LABEL_OPTION, GROUP_OPTION = "--text-column", "--label-column", "--group-column"
"""Options that name columns, for messages."""

SEPARATOR_OPTION, SPLIT_OPTION = "--label-separator", "--split-by"
SIMILAR_OPTION, DROP_OPTION = "--similar-labels", "--drop-unlabelled"

REFUSE, MERGE, KEEP = SIMILAR = ("refuse", "merge", "keep")
"""Ways to treat labels that differ only by case, blanks or the like: end with an error, make them one, or keep them."""


def cache_folder() -> Path:
    """Return the default folder of features, checkpoints and splits; --cache-dir names another.

    Raises:
        UsageError: the home folder is unknown.
    """
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise UsageError(
            "the home folder is unknown: set HOME, or name a folder for features with --cache-dir."
        ) from error
    return cache / "review-scorer" / "features"


@dataclass(frozen=True)
class Columns:
    """Names of a file's columns.

    Attributes:
        text: column of the texts; None for the one called text, review, content, body or comment.
        label: column of the raw labels.
        group: column that figures are grouped by, such as stars; None for `export.data_files.RATING` if it exists.
        domain: column with the domain of a text, such as hotels; a file that lacks it is a domain of its own.
        fixed: whether no option can name the columns, so that messages must not advise one.
        task: kind of the labels; None to take any number of labels a text if the first record has a list or there is a
            separator, and one label otherwise.
        separator: character between the labels of a text, in a cell that holds no list; None if only lists hold several.
        outputs: number of numbers of a text, if labels are numbers; more than one are a list.
        drop_unlabelled: whether to drop records without a label; otherwise they are refused.
        split_by: column with the thread or product of a text, all of whose texts are trained on or tested with; None for
            none.

    Raises:
        UsageError: the separator is not one character.
    """

    text: str | None = None
    label: str = "label"
    group: str | None = None
    domain: str | None = None
    fixed: bool = False
    task: Task | None = None
    separator: str | None = None
    outputs: int = 1
    split_by: str | None = None
    drop_unlabelled: bool = False

    def __post_init__(self) -> None:
        if self.separator is not None and (len(self.separator) != 1 or self.separator in "\r\n"):
            raise UsageError(f"{SEPARATOR_OPTION} takes one character, and no line end, not {self.separator!r}.")

    @property
    def is_task_known(self) -> bool:
        """Return whether the kind of the labels is known without the first record."""
        return self.task is not None or self.separator is not None

    def task_of(self, *, first_is_list: bool) -> Task:
        """Return the kind of the labels, judging by the first record if it is not given."""
        if self.task is not None:
            return self.task
        return MULTI_LABEL if first_is_list or self.separator is not None else SINGLE_LABEL


@dataclass(frozen=True)
class LabelNames:
    """Names for raw labels.

    Attributes:
        names: names for the raw labels in sorted order; None keeps the raw ones.
        positive: the one of two labels whose probability is the score; None for the last in sorted order.
        similar: way to treat raw labels that differ only by case, blanks or the like, one of `SIMILAR`.
    """

    names: tuple[str, ...] | None = None
    positive: str | None = None
    similar: str = REFUSE


@dataclass(frozen=True)
class DataSource:
    """A dataset on the hub, or training files and test files.

    Attributes:
        dataset: hub name of a dataset with the splits train and test; None if files are named.
        revision: branch, tag or commit on the hub.
        train_files, test_files: labelled files to use instead of the dataset, named as inputs of `score`. Without test files,
            a part of the training files is tested with.
        test_share: share of the training files to test with; None for the default of `export.tested_part`.
        cache: folder of the record of that part, see `export.split_file`; None for `cache_folder`.
        exclude_ids: file with the ids of training texts to leave out, one a line; None for none.
        name: name in the manifest and the model card; None for the dataset's or the files' names.
        columns: names of the columns.
        label_names: names for the raw labels.
        ordered: whether the labels are numbers in an order, of which a text has one.
        reading: options for reading the files.

    Raises:
        UsageError: test files are named without training files.
    """

    dataset: str | None = None
    revision: str | None = None
    train_files: tuple[str, ...] = ()
    test_files: tuple[str, ...] = ()
    test_share: float | None = None
    cache: Path | None = None
    exclude_ids: Path | None = None
    name: str | None = None
    columns: Columns = Columns()
    label_names: LabelNames = LabelNames()
    ordered: bool = False
    reading: InputOptions = InputOptions()

    def __post_init__(self) -> None:
        if self.test_files and not self.train_files:
            raise UsageError("--test-file needs --train-file, the texts to train on.")
