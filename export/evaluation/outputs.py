"""Names of the files of figures that `score-model` writes, and tests that recognize earlier ones."""

import json
import re
from typing import BinaryIO

CARD = "README.md"
LOSS_FIGURE = "loss.png"
CONFUSION_FIGURE = "confusion.png"
RELIABILITY_FIGURE = "reliability.png"
CASCADE_FIGURE = "cascade.png"
"""Pictures of a model card; `evaluate` draws all but the loss, too."""

EVALUATION = "evaluation.json"
"""File of the figures of all bundles, by name."""

SOFTWARE = "review-scorer"
"""Software that pictures name as their origin."""

ERROR_FIELDS = ("bundle", "id", "label", "predicted", "probability", "loss", "tokens", "text")
"""Keys of a line of --errors, in order."""

_FIGURES = {"texts", "accuracy", "interval", "f1", "roc_auc", "log_loss", "ece"}
_PICTURE = re.compile(rb"\x89PNG\r\n\x1a\n.{25}....tEXtSoftware\0" + SOFTWARE.encode() + rb"....", re.DOTALL)


def suffix(number: int, bundles: int) -> str:
    """Return the ending of a bundle's picture names.

    >>> suffix(1, 1), suffix(2, 3)
    ('', '-2')
    """
    return f"-{number}" if bundles > 1 else ""


def picture_names(bundles: int) -> list[str]:
    """Return all picture names that an evaluation of this many bundles can use.

    >>> picture_names(1)
    ['reliability.png', 'confusion.png', 'length.png', 'group.png', 'cascade.png']
    """
    kinds = ("confusion", "length", "group", "cascade")
    return [RELIABILITY_FIGURE, *(f"{kind}{suffix(at, bundles)}.png" for at in range(1, bundles + 1) for kind in kinds)]


def is_picture(stream: BinaryIO) -> bool:
    """Return whether a file is a PNG that names this program as its software, right after the header."""
    return _PICTURE.match(stream.read(128)) is not None


def is_errors(stream: BinaryIO) -> bool:
    """Return whether every line is a JSON object with exactly the keys `ERROR_FIELDS`, in order."""
    return all(_keys(line) == list(ERROR_FIELDS) for line in stream)


def is_evaluation(stream: BinaryIO) -> bool:
    """Return whether a file is a JSON object of figures by name."""
    try:
        found = json.load(stream)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and all(isinstance(one, dict) and one.keys() >= _FIGURES for one in found.values())


def _keys(line: bytes) -> list[str] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return list(found) if isinstance(found, dict) else None
