"""Records of files with labels and without, with all their columns, to be written again after a check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.data import Row
from export.data_files import record_place, unusable, with_task
from export.data_source import LABEL_OPTION, TEXT_OPTION, Columns
from export.errors import DatasetError, Unlabelled
from export.raw_label import Label, label_of, single
from scorer.rows.columns import ALL, ID, Selection, Wanted, check_needed
from scorer.rows.input_options import InputOptions
from scorer.rows.reader import Inputs, Reader, header_of_file, records_of
from scorer.rows.record import Record, Reject, Value
from scorer.storage.inputs import is_repeatable


@dataclass(frozen=True)
class LabelledRecords:
    """Records in the order of their files.

    Attributes:
        records: each with the values of the selection's columns.
        labels: label of each record as read; None for a record without one.
        selection: column of the texts, and all columns, that of the texts among them.
    """

    records: tuple[Record, ...]
    labels: "tuple[Label | None, ...]"
    selection: Selection

    def __len__(self) -> int:
        return len(self.records)

    @property
    def texts(self) -> list[str]:
        return [record.text for record in self.records]

    @property
    def labelled(self) -> list[int]:
        """Numbers of the records with a label, from 0."""
        return [number for number, label in enumerate(self.labels) if label is not None]

    def rows(self) -> list[Row]:
        """Return the labelled texts as `export.data_files.read_files` reads them."""
        ids = {name: at for at, name in enumerate(self.selection.carried)}
        found = []
        for number in self.labelled:
            record, label = self.records[number], self.labels[number]
            assert label is not None, "these have one"
            own = single(record.carried[ids[ID]]) if ID in ids else None
            found.append(Row(record.text, label, own or str(record.row)))
        return found


def read_records(files: Sequence[str], columns: Columns, reading: InputOptions) -> LabelledRecords:
    """Read labelled and unlabelled records with the reader of `score`.

    Args:
        files: inputs as `score` takes them.
        columns: names of the columns, and the kind of the labels.
        reading: options for reading the files.

    Raises:
        DatasetError: a record cannot be used, or none has a label.
        UsageError: a file or a column is missing.
        InputError, ScorerError: a file is damaged or cannot be read.
    """
    inputs = reading.inputs(files)
    wanted = Wanted(
        text=columns.text,
        keep=_names(inputs),
        option=TEXT_OPTION,
        optional=(columns.label,),
        keep_existing=False,
    )
    reader = Reader(inputs, wanted)
    records: list[Record] = []
    labels: list[Label | None] = []
    for item in reader:
        if isinstance(item, Reject):
            raise unusable(item, reader.notes.hint(item.reason))
        assert reader.selection is not None, "the first record chooses the columns"
        carried: Mapping[str, Value | None] = dict(zip(reader.selection.carried, item.carried, strict=True))
        columns = with_task(columns, carried[columns.label])
        records.append(item)
        try:
            labels.append(label_of(carried[columns.label], record_place(item.position), columns))
        except Unlabelled:
            labels.append(None)
    reader.check_unchanged(all_files=True)
    if reader.selection is None or not records:
        raise DatasetError(f"{', '.join(files)} has no records; give a file of labelled texts.")
    found = LabelledRecords(tuple(records), tuple(labels), reader.selection)
    if not found.labelled:
        _refuse_unlabelled(found, columns.label, ", ".join(files))
    return found


def _refuse_unlabelled(records: LabelledRecords, label: str, name: str) -> None:
    """Raise an error for records without any label.

    Raises:
        UsageError: they have no column of that name.
        DatasetError: the column has no value.
    """
    carried = records.selection.carried
    there = [one for at, one in enumerate(carried) if any(each.carried[at] is not None for each in records.records)]
    check_needed({label: LABEL_OPTION}, there, name)
    raise DatasetError(
        f"{name}: no record has a label in the column {label!r}. Label some texts, at least ten of each label, or name another "
        f"column with {LABEL_OPTION}."
    )


def _names(inputs: Inputs) -> tuple[str, ...]:
    """Return the columns of all files, in order; of files whose records have their own, those of all records.

    A stream is read once only, so its columns are those of its first record.
    """
    names: dict[str, None] = {}
    for path in inputs.files:
        if not is_repeatable(path):
            return (ALL,)
        header = header_of_file(inputs, path)
        if header is not None:
            names |= dict.fromkeys(header.names)
            continue
        for parsed in records_of(inputs, path, Selection("", ()), is_text=False):
            names |= dict.fromkeys(parsed.fields)
    return tuple(names)
