"""Labelled texts that judge a model although it was trained on them, and the warning about them."""

import filecmp
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from export.data import Split
from scorer.base.messages import print_message
from scorer.base.text import share, shown_source
from scorer.rows.input_options import InputOptions
from scorer.storage.address import is_address
from scorer.storage.inputs import identity, is_repeatable, stored_size

_MANY = 0.01  # share of the judged texts; fewer hardly change a figure, and short texts such as "good" repeat by chance
_MOST_NAMED = 3  # pairs of files


@dataclass(frozen=True)
class Given:
    """Files of labelled texts that an option names.

    Attributes:
        option: option that names them.
        names: inputs as `score` takes them; none for a dataset of the hub.
        reading: options for reading them.
    """

    option: str
    names: Sequence[str]
    reading: InputOptions

    @property
    def files(self) -> list[str]:
        """Files that can be compared with others: all but streams."""
        return [file for file in self.reading.inputs(self.names).files if is_repeatable(file)] if self.names else []


@dataclass(frozen=True)
class Overlap:
    """Judged texts that are also training texts, verbatim.

    Attributes:
        shared: number of these.
        texts: number of all judged texts.
        same_files: a sentence for each pair of files that are one file, or copies.
    """

    shared: int
    texts: int
    same_files: tuple[str, ...] = ()

    @property
    def is_large(self) -> bool:
        """Return whether the shared texts can change the figures."""
        return bool(self.same_files) or self.shared >= _MANY * self.texts > 0

    def warn_of_test(self, *, again: bool = False) -> None:
        """Warn that the test texts of a training are also training texts, or print a note if they are few.

        Args:
            again: whether the warning was printed before; a note is printed once.
        """
        if self.is_large:
            self._warn(
                "test texts",
                "The model knows them, so the figures on its card and the promises of `score --max-error` do not hold for new "
                "texts. Test with other texts (--test-file), or leave these out of training (--exclude-ids).",
            )
        elif self.shared and not again:
            print_message(
                f"Note: {self.shared:,} of {self.texts:,} test texts ({share(self.shared, self.texts)}) are also training texts; "
                "the figures include them.",
                "warning",
                self._fields,
            )

    def warn_of_baseline(self) -> None:
        """Warn that a baseline is evaluated on texts that it was trained on."""
        if self.is_large:
            self._warn(
                "texts of --data",
                "The baseline knows them, so its figures are too good. Name another --train-file, or omit it.",
            )

    def _warn(self, what: str, advice: str) -> None:
        count = f"All {self.texts:,}" if self.shared == self.texts else f"{self.shared:,} of {self.texts:,}"
        percent = "" if self.shared == self.texts else f" ({share(self.shared, self.texts)})"
        sentences = [*self.same_files, f"{count} {what}{percent} are also training texts.", advice]
        print_message(f"Warning: {' '.join(sentences)}", "warning", self._fields)

    @property
    def _fields(self) -> dict[str, int]:
        return {"judged_texts": self.texts, "judged_in_train": self.shared}


def shared_texts(train: Split, judged: Split) -> int:
    """Count the judged texts that are also training texts, verbatim."""
    known = set(train.texts)
    return sum(text in known for text in judged.texts)


def overlap_of(train: Split, judged: Split, files: tuple[Given, Given]) -> Overlap:
    """Compare training texts with judged texts.

    Args:
        train: training texts.
        judged: texts that the model is judged by.
        files: files of the training texts and of the judged ones.
    """
    shared = shared_texts(train, judged)
    same = list(_same_files(*files)) if shared else []
    more = [f"{len(same) - _MOST_NAMED:,} more pairs of files are equal."] if len(same) > _MOST_NAMED else []
    return Overlap(shared, len(judged), (*same[:_MOST_NAMED], *more))


def _same_files(train: Given, judged: Given) -> Iterator[str]:
    """Yield a sentence for each training file that is also a judged file, under any name, or a copy of one."""
    others = judged.files
    for one in train.files:
        for other in others:
            if identity(one) == identity(other):
                yield f"{train.option} {shown_source(one)} and {judged.option} {shown_source(other)} are the same file."
            elif _are_copies(one, other):
                yield f"{judged.option} {shown_source(other)} is a copy of {train.option} {shown_source(one)}."


def _are_copies(one: str, other: str) -> bool:
    """Return whether two files hold the same bytes; those of addresses are not read again."""
    if is_address(one) or is_address(other):
        return False
    return stored_size(one) == stored_size(other) and filecmp.cmp(one, other, shallow=False)
