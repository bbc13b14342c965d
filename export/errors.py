"""What can go wrong while a model is trained and exported."""

from scorer.base.errors import ScorerError


class ExportError(ScorerError):
    """Training or export stopped and no bundle was written. Exit code 1."""


class UnsupportedEncoder(ExportError):
    """The encoder is of a kind whose graph this project cannot write. Exit code 2."""

    exit_code = 2


class DatasetError(ExportError):
    """The labelled data cannot be used as it is. Exit code 2."""

    exit_code = 2


class ParityError(ExportError):
    """The exported graph does not compute what the PyTorch model computes. Exit code 5."""

    exit_code = 5
