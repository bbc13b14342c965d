"""What to try with a record that was rejected, where its bytes suggest something."""

from scorer.rows.encodings import advice
from scorer.rows.record import Reason


def hint(reason: Reason, raw: bytes) -> str:
    """One sentence or two for a person, or nothing.

    >>> hint("invalid_json", b"[\\n")
    "This looks like one JSON document; JSON Lines has an object a line: try `jq -c '.[]'` first."
    """
    if reason == "invalid_encoding":
        return advice(raw)
    if reason in ("invalid_json", "not_an_object") and (raw.strip() in (b"{", b"[") or raw.lstrip().startswith(b"[{")):
        return "This looks like one JSON document; JSON Lines has an object a line: try `jq -c '.[]'` first."
    if reason == "invalid_json" and raw.count(b"\r") > 1 and raw.count(b"\n") < 2:
        return "This looks like lines that end in a carriage return alone: try `tr '\\r' '\\n'` first."
    if reason == "column_count":
        return "If fields hold the delimiter or line ends, check --delimiter, --quote-char and --escape-char."
    return ""
