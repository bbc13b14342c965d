"""Helpers that read files with the reader of inputs."""

from scorer.rows.columns import Wanted
from scorer.rows.reader import Inputs, Reader
from scorer.rows.record import Record


def read(tmp_path, name, data, wanted=None, **options):
    """Write ``data`` to a file, and return all items that the reader makes of it."""
    (tmp_path / name).write_bytes(data)
    return list(Reader(Inputs((str(tmp_path / name),), **options), wanted or Wanted()))


def texts(items):
    """Return each record's text, or the reason of its reject."""
    return [item.text if isinstance(item, Record) else item.reason for item in items]
