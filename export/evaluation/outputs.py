"""Names of the files of figures that `score-model` writes, and tests that recognize earlier ones."""

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import BinaryIO

from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task

CARD = "README.md"
LOSS_FIGURE = "loss.png"
CONFUSION_FIGURE = "confusion.png"
LABELS_FIGURE = "labels.png"
VALUES_FIGURE = "values.png"
RELIABILITY_FIGURE = "reliability.png"
CASCADE_FIGURE = "cascade.png"
LEARNING_FIGURE = "learning.png"
"""Pictures of a model card; `evaluate` draws all but the loss and the learning curve, too."""

DOMAIN_FIGURE = "domain.png"
"""Picture of `evaluate` alone, if there are several domains."""

OUTCOME_FIGURES: Mapping[Task, str] = MappingProxyType(
    {SINGLE_LABEL: CONFUSION_FIGURE, MULTI_LABEL: LABELS_FIGURE, REGRESSION: VALUES_FIGURE}
)
"""The picture of predictions beside the truth, by task."""

CARD_FIGURES = (LOSS_FIGURE, *OUTCOME_FIGURES.values(), RELIABILITY_FIGURE, CASCADE_FIGURE, LEARNING_FIGURE)
"""All pictures that a model card may have."""

EVALUATION = "evaluation.json"
"""File of the figures of all bundles, by name."""

SOFTWARE = "review-scorer"
"""Software that pictures name as their origin."""

ERROR_FIELDS: Mapping[Task, tuple[str, ...]] = MappingProxyType(
    {
        SINGLE_LABEL: ("bundle", "id", "label", "predicted", "probability", "loss", "tokens", "text"),
        MULTI_LABEL: ("bundle", "id", "labels", "predicted", "loss", "tokens", "text"),
        REGRESSION: ("bundle", "id", "value", "predicted", "error", "tokens", "text"),
    }
)
"""Keys of a line of --errors, in order, by task; see `error_fields`."""

_FIGURES = (
    {"texts", "accuracy", "interval", "f1", "roc_auc", "log_loss", "ece"},
    {"texts", "micro_f1", "interval", "macro_f1", "exact", "log_loss", "ece"},
    {"texts", "r2", "interval", "mae", "rmse"},
)
_PICTURE = re.compile(rb"\x89PNG\r\n\x1a\n.{25}....tEXtSoftware\0" + SOFTWARE.encode() + rb"....", re.DOTALL)


def error_fields(task: Task, *, by_domain: bool) -> tuple[str, ...]:
    """Return the keys of a line of --errors, in order: `ERROR_FIELDS`, and the domain if texts are of several.

    >>> error_fields(REGRESSION, by_domain=True)
    ('bundle', 'id', 'domain', 'value', 'predicted', 'error', 'tokens', 'text')
    """
    bundle, identifier, *others = ERROR_FIELDS[task]
    return (bundle, identifier, *(["domain"] if by_domain else []), *others)


def numbered(name: str, number: int, bundles: int) -> str:
    """Return the name of a bundle's picture.

    >>> numbered("length.png", 1, 1), numbered("length.png", 2, 3)
    ('length.png', 'length-2.png')
    """
    return name if bundles == 1 else name.replace(".png", f"-{number}.png")


def picture_names(bundles: int) -> list[str]:
    """Return all picture names that an evaluation of this many bundles can use.

    >>> picture_names(1)
    ['reliability.png', 'confusion.png', 'labels.png', 'values.png', 'length.png', 'group.png', 'domain.png', 'cascade.png']
    """
    names = (*OUTCOME_FIGURES.values(), "length.png", "group.png", DOMAIN_FIGURE, CASCADE_FIGURE)
    return [RELIABILITY_FIGURE, *(numbered(name, at, bundles) for at in range(1, bundles + 1) for name in names)]


def is_picture(stream: BinaryIO) -> bool:
    """Return whether a file is a PNG that names this program as its software, right after the header."""
    return _PICTURE.match(stream.read(128)) is not None


def is_errors(stream: BinaryIO) -> bool:
    """Return whether every line is a JSON object with exactly the keys `error_fields` of a task, in order."""
    known = [list(error_fields(task, by_domain=by_domain)) for task in ERROR_FIELDS for by_domain in (False, True)]
    return all(_keys(line) in known for line in stream)


def is_evaluation(stream: BinaryIO) -> bool:
    """Return whether a file is a JSON object of figures by name."""
    try:
        found = json.load(stream)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and all(map(_are_figures, found.values()))


def _are_figures(found: object) -> bool:
    return isinstance(found, dict) and any(found.keys() >= names for names in _FIGURES)


def _keys(line: bytes) -> list[str] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return list(found) if isinstance(found, dict) else None
