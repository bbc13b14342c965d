"""Rejected records as lines of JSON, complete enough to be fixed and sent again."""

import base64
from typing import Any, BinaryIO

import orjson

from scorer.base.text import shown_source
from scorer.rows.lines import RAW_LIMIT
from scorer.rows.record import Reject
from scorer.storage.compression import first_line
from scorer.storage.names import beside

_BEGINNING = b'{"row":'


def rejects_beside(output: str) -> str:
    """Return the default name of the rejects file of an output.

    >>> rejects_beside("out.csv")
    'out.csv.rejects.jsonl'
    """
    return beside(output, ".rejects.jsonl")


def format_reject(reject: Reject) -> bytes:
    """Return a reject as a line of JSON: row, source, line, offset, reason, raw, length, raw_truncated.

    ``raw`` is the beginning of the record, at most 64 KiB. If it is not UTF-8, ``raw_base64`` replaces it.

    >>> from scorer.rows.record import Position
    >>> format_reject(Reject(3, Position("a.csv", 4, 120), "empty_text", b"7,\\n", 3))
    b'{"row":3,"source":"a.csv","line":4,"offset":120,"reason":"empty_text","raw":"7,\\\\n","length":3,"raw_truncated":false}\\n'
    """
    raw = reject.raw[:RAW_LIMIT]
    truncated = reject.length > len(raw)
    record: dict[str, Any] = {
        "row": reject.row,
        "source": shown_source(reject.position.source),
        "line": reject.position.line,
        "offset": reject.position.offset,
        "reason": reject.reason,
    }
    try:
        record["raw"] = _decode(raw, truncated)
    except UnicodeDecodeError:
        record["raw_base64"] = base64.b64encode(raw).decode()
    record |= {"length": reject.length, "raw_truncated": truncated}
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def is_rejects(stream: BinaryIO, compression: str | None) -> bool:
    """Return whether a file begins like one that `format_reject` wrote.

    Args:
        stream: bytes of the file.
        compression: ``gz`` or ``zst``, or None.
    """
    return first_line(stream, compression, len(_BEGINNING)) == _BEGINNING


def _decode(raw: bytes, truncated: bool) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        # The limit may have cut a character in the middle.
        if truncated and error.start >= len(raw) - 3:
            return raw[: error.start].decode()
        raise
