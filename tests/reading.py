"""Files read with the reader of inputs, and what comes of their records."""

from scorer.rows.columns import Wanted
from scorer.rows.reader import Inputs, Reader
from scorer.rows.record import Record


def read(tmp_path, name, data, wanted=None, **options):
    """All items of a file that is made of ``data``."""
    (tmp_path / name).write_bytes(data)
    return list(Reader(Inputs((str(tmp_path / name),), **options), wanted or Wanted()))


def texts(items):
    """Each record's text, or the reason for its reject."""
    return [item.text if isinstance(item, Record) else item.reason for item in items]
