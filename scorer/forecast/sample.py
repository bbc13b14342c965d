"""Seeded samples of texts in bounded memory."""

import random
from dataclasses import dataclass, field

SEED = 30
"""Seed of all samples of a forecast, so that the same input gets the same forecast but for times."""


@dataclass
class Sample:
    """Texts drawn from a stream, each with the same chance (J. Vitter's algorithm R, 1985).

    Args:
        most: largest number of texts to keep.
        longest: characters kept of a text; the model reads less of it.
        full: characters beyond which a text counts no further: about as many as fill the model.

    Attributes:
        texts: texts drawn, by number.
        duplicates: whether the record of each text drawn repeats the text of an earlier one.
        rows: number of texts seen.
        rows_duplicate: number of these that repeat an earlier one.
        size: sum of the sizes of the texts seen, in characters.

    >>> sample = Sample(most=2, longest=5, full=3)
    >>> for text in ("a", "bb", "cccccccc"): sample.add(text)
    >>> sample.rows, sample.size, len(sample.texts), max(map(len, sample.texts)) <= 5
    (3, 6, 2, True)
    """

    most: int
    longest: int
    full: int
    texts: list[str] = field(default_factory=list)
    duplicates: list[bool] = field(default_factory=list)
    rows: int = 0
    rows_duplicate: int = 0
    size: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(SEED))

    def add(self, text: str, *, duplicate: bool = False) -> None:
        """See the next text, and perhaps keep it."""
        self.rows += 1
        self.rows_duplicate += duplicate
        self.size += self.size_of(text)
        if len(self.texts) < self.most:
            self.texts.append(text[: self.longest])
            self.duplicates.append(duplicate)
        elif (place := self._random.randrange(self.rows)) < self.most:
            self.texts[place] = text[: self.longest]
            self.duplicates[place] = duplicate

    def size_of(self, text: str) -> int:
        """Return the size of a text, in characters that count."""
        return min(len(text), self.full)

    @property
    def sizes(self) -> list[int]:
        """Sizes of the texts drawn."""
        return [self.size_of(text) for text in self.texts]
