"""Scores CSV, TSV, JSONL and Parquet files of texts with an exported classifier, without PyTorch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scorer.model import Scorer, Scores

__version__ = "0.1.0"
__all__ = ["Scorer", "Scores", "__version__"]


def __getattr__(name: str) -> Any:
    # onnxruntime takes a second to import; `score --help` and the export stage's start should not pay for it.
    if name in ("Scorer", "Scores"):
        from scorer import model

        return getattr(model, name)
    raise AttributeError(f"module 'scorer' has no attribute {name!r}")
