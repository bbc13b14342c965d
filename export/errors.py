"""Errors of training and export."""

from scorer.base.errors import ExitCode, ScorerError


class ExportError(ScorerError):
    """Training or export stopped and no bundle was written."""


class UnsupportedEncoder(ExportError):
    """The encoder is of a kind whose graph this project cannot write."""

    exit_code = ExitCode.USAGE


class DatasetError(ExportError):
    """The labelled data cannot be used as it is."""

    exit_code = ExitCode.USAGE


class ParityError(ExportError):
    """The exported graph does not compute what the PyTorch model computes."""

    exit_code = ExitCode.REFUSED
