"""Addresses in object stores and on the web (``s3://bucket/key``), checked without contacting any store.

Credentials come only from where each store's own tools take them: environment, profile files, the machine's role.
An address that carries one is refused, since addresses appear in messages, records and journals.
"""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from scorer.base.errors import UsageError

WEB = ("http", "https")


# "memory" is fsspec's store in this process, for tests and notebooks.
WRITABLE = ("s3", "gs", "memory")


SCHEMES = (*WRITABLE, *WEB)


_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


_SECRET = re.compile(
    r"(?i)(^|[-_.])(sig|signature|token|secret|pw|pwd|pass|passwd|password|passphrase|key|apikey|credentials?|auth)$|accesskeyid"
)


def is_address(path: str) -> bool:
    """Return whether a name is an address rather than a path.

    >>> is_address("s3://bucket/in.csv"), is_address("in.csv"), is_address("-")
    (True, False, False)
    """
    return _ADDRESS.match(path) is not None


def scheme_of(address: str) -> str:
    """Return the scheme, before ``://``.

    Raises:
        UsageError: the scheme is not supported, or nothing follows it.
    """
    found = _ADDRESS.match(address)
    scheme = found[1] if found is not None else ""
    if scheme not in SCHEMES:
        advice = {"file": "give the path alone", "s3a": "write s3://", "s3n": "write s3://", "gcs": "write gs://"}.get(
            scheme.lower(),
            f"write {scheme.lower()}://" if scheme.lower() in SCHEMES else "copy the file to a supported place",
        )
        supported = ", ".join(one for one in SCHEMES if one != "memory")
        raise UsageError(f"{address}: {scheme}:// is not supported (supported: {supported}); {advice}.")
    if address == f"{scheme}://":
        raise UsageError(f"{address} is not a complete address: the bucket or the host is missing; add it.")
    return scheme


def check_writable(address: str, option: str) -> None:
    """Raise `UsageError` if an address is of a kind that cannot be written."""
    scheme = scheme_of(address)
    if scheme not in WRITABLE:
        raise UsageError(f"{option} {address}: nothing can be written to {scheme}://; write to a file, s3:// or gs://.")


def refuse_credentials(names: Iterable[str | None]) -> None:
    """Raise `UsageError` if a path or an address carries a credential; the message does not repeat it.

    >>> refuse_credentials(["s3://bucket/in.csv", None, "https://host/in.csv?part=2"])
    """
    for name in names:
        if name is None or not is_address(name):
            continue
        scheme, rest = name.split("://", 1)
        _, at, host = rest.split("/", 1)[0].rpartition("@")
        parts = urlsplit(name) if scheme.lower() in WEB else None
        secrets = (
            [key for key, _ in parse_qsl(parts.query, keep_blank_values=True) if _SECRET.search(key)] if parts else []
        )
        if at or secrets:
            path = parts.path if parts else f"/{rest.partition('/')[2]}"
            raise UsageError(
                f"the address {scheme}://{host}{path} carries a credential "
                f"({', '.join(secrets) if secrets else 'before the @'}), which would appear in logs and records. Leave "
                "it out: credentials come from the environment or a profile file (~/.netrc for http). If only a signed "
                "address reaches the file: curl ADDRESS | score - --input-format jsonl (or its own format)"
            )
