"""The model card's section on --max-error: the errors that held-out texts prove, and what they cost."""

import re
from collections.abc import Iterable, Iterator, Mapping

from export.evaluation.model_card import table
from scorer.model.confidence import Correctness, least_confidence, least_error, share_above

TITLE = "## Doubt"

ERRORS = (0.005, 0.01, 0.02, 0.05, 0.1)
"""Errors in the table."""

_SECTION = re.compile(rf"^{TITLE}$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def confidence_parts(confidence: Mapping[str, Correctness]) -> Iterator[str]:
    """Yield the section; nothing without held-out texts.

    Args:
        confidence: correctness of held-out texts, by precision.
    """
    if not confidence:
        return
    counts = sorted({sum(one.texts) for one in confidence.values()})
    yield TITLE
    yield (
        "`score --max-error R` gives a label only above a confidence at which the labels of held-out texts were wrong for at "
        f"most a share R, with 95% certainty. Other rows are `uncertain`. Held-out texts: {' and '.join(f'{n:,}' for n in counts)}."
    )
    head = ("--max-error", *(f"{what}, {name}" for name in confidence for what in ("confidence", "labelled")))
    least = {found for found in map(least_error, confidence.values()) if found is not None}
    yield table(head, [_row(error, confidence.values()) for error in sorted({*ERRORS, *least})])


def _row(error: float, each: Iterable[Correctness]) -> list[str]:
    cells = [f"{error:g}"]
    for one in each:
        least = least_confidence(one, error)
        if least is None:
            cells += ["cannot be promised", ""]
            continue
        cells += [f"{least:g}", f"{share_above(one, least):.1%}"]
    return cells


def with_section(card: bytes, confidence: Mapping[str, Correctness]) -> bytes:
    """Return a model card with the section in place of its earlier one, or before the section on training."""
    text = _SECTION.sub("", card.decode())
    section = "\n\n".join(confidence_parts(confidence)) + "\n\n"
    at = text.find("## Training\n")
    return (f"{text.rstrip()}\n\n{section}" if at < 0 else f"{text[:at]}{section}{text[at:]}").encode()
