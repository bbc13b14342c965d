"""Cache of outcomes by text, so that a text of an earlier run is neither tokenized nor computed again.

A text is known by a keyed hash of its bytes. The key of the hash is the digest of everything else that an outcome depends
on. So an entry of another bundle or another CPU cannot be found. The file holds hashes and numbers, never text.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256

import numpy as np

from scorer.base.text import text_digest
from scorer.model.outcomes import Outcomes
from scorer.storage.cache_file import CacheFile, Stored, warn
from scorer.storage.cache_settings import CacheSettings

KEY_BYTES = 16
_CHECK_BYTES = 8
_TRUNCATED, _EARLY = 1, 2


@dataclass(frozen=True)
class Found:
    """Result of looking up texts.

    Attributes:
        keys: key of each text.
        outcomes: outcomes of all texts; those of the missing ones have no meaning.
        missing: bool (texts,), true if the cache has no valid entry.
        invalid: keys whose entries are damaged.
    """

    keys: list[bytes]
    outcomes: Outcomes
    missing: np.ndarray
    invalid: frozenset[bytes]


class ScoreCache:
    """Cache of a scorer.

    Args:
        settings: cache file, and its use.
        context: everything but the text that an outcome depends on, by name, in JSON form.
        logits: number of logits of a text.
        report: function that reports a problem with the file.

    Attributes:
        file: cache file.
        damaged: number of damaged entries found so far.

    Raises:
        UsageError: the file is no cache, or one of a newer version.
    """

    def __init__(
        self,
        settings: CacheSettings,
        context: Mapping[str, object],
        logits: int,
        report: Callable[[str], None] = warn,
    ) -> None:
        description = json.dumps(context, sort_keys=True)
        self._digest = sha256(description.encode()).digest()
        self._entry = _entry_type(logits)
        self.file = CacheFile(settings, self._digest, description, report)
        self.damaged = 0

    def look_up(self, texts: Sequence[str]) -> Found:
        """Return the outcomes of those texts that have one."""
        keys = [self._key(text) for text in texts]
        stored = self.file.get(keys)
        # Text, key and file may be anything: only an entry that this program wrote for this key has this check.
        valid = {key: one for key, one in stored.items() if self._is_valid(key, one.value)}
        invalid = frozenset(stored.keys() - valid.keys())
        self.damaged += len(invalid)
        nothing = Stored(bytes(self._entry.itemsize), own=True)
        found = [valid.get(key, nothing) for key in keys]
        missing = np.array([key not in valid for key in keys], dtype=bool)
        cached = np.array([not one.own for one in found], dtype=bool)
        return Found(keys, self._outcomes([one.value for one in found], cached), missing, invalid)

    def add(self, found: Found, outcomes: Outcomes) -> None:
        """Add the outcomes of the missing texts and begin to write them; texts without logits are left out."""
        keys = [key for key, missing in zip(found.keys, found.missing, strict=True) if missing]
        values = self._values(keys, outcomes)
        scorable = outcomes.scorable
        self.file.put(
            {key: value for key, value, one in zip(keys, values, scorable, strict=True) if one}, found.invalid
        )
        self.file.write()

    def _key(self, text: str) -> bytes:
        return text_digest(text, KEY_BYTES, self._digest)

    def _check(self, key: bytes, content: bytes) -> bytes:
        return blake2b(key + content, key=self._digest, digest_size=_CHECK_BYTES).digest()

    def _is_valid(self, key: bytes, value: bytes) -> bool:
        return len(value) == self._entry.itemsize and value[:_CHECK_BYTES] == self._check(key, value[_CHECK_BYTES:])

    def _outcomes(self, values: Sequence[bytes], cached: np.ndarray) -> Outcomes:
        entries = np.frombuffer(b"".join(values), dtype=self._entry)
        return Outcomes(
            logits=entries["logits"].astype(np.float32),
            early=(entries["flags"] & _EARLY).astype(bool),
            windows=entries["windows"].astype(np.int64),
            decided_by=entries["decided_by"].astype(np.int64),
            tokens=entries["tokens"].astype(np.int64),
            unknown=entries["unknown"].astype(np.int64),
            truncated=(entries["flags"] & _TRUNCATED).astype(bool),
            empty=np.zeros(len(entries), dtype=bool),
            cached=cached,
        )

    def _values(self, keys: Sequence[bytes], outcomes: Outcomes) -> list[bytes]:
        entries = np.zeros(len(keys), dtype=self._entry)
        for name in ("logits", "windows", "decided_by", "tokens", "unknown"):
            entries[name] = getattr(outcomes, name)
        entries["flags"] = _TRUNCATED * outcomes.truncated + _EARLY * outcomes.early
        contents = [entry.tobytes()[_CHECK_BYTES:] for entry in entries]
        return [self._check(key, content) + content for key, content in zip(keys, contents, strict=True)]


def _entry_type(logits: int) -> np.dtype:
    """Return the layout of an entry, with the check of everything after it first."""
    return np.dtype(
        [
            ("check", "V", _CHECK_BYTES),
            ("logits", "<f4", (logits,)),
            ("tokens", "<u4"),
            ("unknown", "<u4"),
            ("windows", "<u4"),
            ("decided_by", "<u4"),
            ("flags", "u1"),
        ]
    )
