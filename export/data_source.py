"""Names of labelled data to load; no heavy import, so that `score-model --help` reads the defaults quickly."""

from dataclasses import dataclass

from scorer.base.errors import UsageError
from scorer.rows.input_options import InputOptions

TEXT_OPTION, LABEL_OPTION, GROUP_OPTION = "--text-column", "--label-column", "--group-column"
"""Options that name columns, for messages."""


@dataclass(frozen=True)
class Columns:
    """Names of a file's columns.

    Attributes:
        text: column of the texts; None for the one called text, review, content, body or comment.
        label: column of the raw labels.
        group: column that figures are grouped by, such as stars; None for `export.data.RATING` if it exists.
        fixed: whether no option can name the columns, so that messages must not advise one.
    """

    text: str | None = None
    label: str = "label"
    group: str | None = None
    fixed: bool = False


@dataclass(frozen=True)
class LabelNames:
    """Names for raw labels.

    Attributes:
        names: names for the raw labels in sorted order; None keeps the raw ones.
        positive: the one of two labels whose probability is the score; None for the last in sorted order.
    """

    names: tuple[str, ...] | None = None
    positive: str | None = None


@dataclass(frozen=True)
class DataSource:
    """A dataset on the hub, or a training file and a test file.

    Attributes:
        dataset: hub name of a dataset with the splits train and test.
        revision: branch, tag or commit on the hub.
        train_file, test_file: labelled files to use instead of the dataset, named as inputs of `score`; both or neither.
        name: name in the manifest and the model card; None for the dataset's or the files' names.
        columns: names of the columns.
        label_names: names for the raw labels.
        reading: options for reading the files.

    Raises:
        UsageError: only one of the two files is named.
    """

    dataset: str = "stanfordnlp/imdb"
    revision: str | None = None
    train_file: str | None = None
    test_file: str | None = None
    name: str | None = None
    columns: Columns = Columns()
    label_names: LabelNames = LabelNames()
    reading: InputOptions = InputOptions()

    def __post_init__(self) -> None:
        if (self.train_file is None) != (self.test_file is None):
            raise UsageError("give both --train-file and --test-file, or neither.")
