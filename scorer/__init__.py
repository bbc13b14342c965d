"""Scoring of CSV, TSV, JSONL and Parquet files of texts with an exported classifier, without PyTorch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scorer.model.explanation import Explanation
    from scorer.run.api import LabelSets, Scorer, Scores, Values
    from scorer.storage.cache_settings import CacheSettings

from scorer.base.version import __version__

__all__ = ["CacheSettings", "Explanation", "LabelSets", "Scorer", "Scores", "Values", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "CacheSettings":
        from scorer.storage.cache_settings import CacheSettings

        return CacheSettings
    # onnxruntime takes a second to import: `score --help` and `score-model` should start without it.
    if name in ("Explanation", "LabelSets", "Scorer", "Scores", "Values"):
        from scorer.base.shortage import shortage

        try:
            from scorer.run import api
        except (ImportError, MemoryError) as error:  # a library may find no memory to load into
            raise shortage(error) or error from error

        return getattr(api, name)
    raise AttributeError(f"module 'scorer' has no attribute {name!r}")
