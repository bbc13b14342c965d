"""What goes by, in bytes: how many, and their hash."""

import hashlib


class Content:
    """What a file holds, or a stream was sent, while it is read or written from its beginning to its end.

    Attributes:
        count: bytes so far.
        ended: whether these are all, of what is read.
    """

    def __init__(self) -> None:
        self.count = 0
        self.ended = False
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The sha256 of those bytes, hexadecimal: what sha256sum says, once all went by."""
        return self._hash.hexdigest()

    def add(self, data: bytes) -> None:
        """Take the next bytes; none are the end."""
        self.count += len(data)
        self._hash.update(data)
        self.ended = self.ended or not data
