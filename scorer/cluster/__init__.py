"""Part files scored on many machines: find the parts, score each on any worker, and mark the folder complete."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scorer.cluster.part_scorer import PartResult, PartScorer, shared_part_scorer
    from scorer.cluster.parts import Part, check_folder, find_parts, mark_complete, mark_incomplete

__all__ = [
    "Part",
    "PartResult",
    "PartScorer",
    "check_folder",
    "find_parts",
    "mark_complete",
    "mark_incomplete",
    "shared_part_scorer",
]


_OF_PARTS = ("Part", "check_folder", "find_parts", "mark_complete", "mark_incomplete")


def __getattr__(name: str) -> Any:
    # Names are imported on first use: finding parts needs no onnxruntime, which takes a second to import.
    if name in _OF_PARTS:
        from scorer.cluster import parts

        return getattr(parts, name)
    if name in __all__:
        from scorer.cluster import part_scorer

        return getattr(part_scorer, name)
    raise AttributeError(f"module 'scorer.cluster' has no attribute {name!r}")
