"""Hidden names in an input folder, which are not data by the rules of Spark, Hive and Arrow."""


def is_hidden(name: str) -> bool:
    """Return whether a name begins with ``.`` or ``_``, except a partition's folder such as ``_day=1``.

    >>> [name for name in ("_SUCCESS", ".part-0.csv.crc", "_day=1", "part-0.csv") if is_hidden(name)]
    ['_SUCCESS', '.part-0.csv.crc']
    """
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def hidden_part(path: str) -> str | None:
    """Return a path up to its first hidden part, with ``/`` behind a folder; None if nothing is hidden.

    >>> hidden_part("day=1/_temporary/0/part-0.csv"), hidden_part("day=1/_SUCCESS"), hidden_part("_day=1/part-0.csv")
    ('day=1/_temporary/', 'day=1/_SUCCESS', None)
    """
    parts = path.split("/")
    at = next((at for at, part in enumerate(parts) if is_hidden(part)), None)
    if at is None:
        return None
    return "/".join(parts[: at + 1]) + ("/" if at + 1 < len(parts) else "")
