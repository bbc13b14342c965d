"""Errors of training and export."""

from scorer.base.errors import ExitCode, ScorerError


class ExportError(ScorerError):
    """Failure of training or export; no bundle was written."""


class UnsupportedEncoder(ExportError):
    """Encoder of a kind whose graph this project cannot write."""

    exit_code = ExitCode.USAGE


class DatasetError(ExportError):
    """Labelled data that cannot be used as it is."""

    exit_code = ExitCode.USAGE


class Unlabelled(DatasetError):
    """Record without a label."""


class ParityError(ExportError):
    """Exported graph whose logits differ from the PyTorch model's."""

    exit_code = ExitCode.REFUSED
