"""Settings of the classifier's training; no heavy import, so that `score-model --help` reads the defaults quickly."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from scorer.base.errors import UsageError
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.engine.windows import Combination
from scorer.model.manifest import LEAST_STRIDE, MAX_LENGTH, MOST_IN_WINDOWS, WindowSettings

PRECISIONS = ("fp32", "fp16", "int8")
"""Precisions of graphs."""

DEFAULT_MAX_TOKENS = 1024
"""Number of tokens kept of a text if something reads more than the encoder's ``max_length``."""

MSE, HUBER = "mse", "huber"

LOSSES = (MSE, HUBER)
"""Losses of a regression: squared error, or Huber's, which outliers move less."""


PLAIN, BY_LENGTH = "plain", "length"

CALIBRATIONS = (PLAIN, BY_LENGTH)
"""Calibrations of a model that chooses one label: a temperature alone, or scale and biases by length before it."""


@dataclass(frozen=True)
class Figure:
    """The figure of validation texts that training reports.

    Attributes:
        name: name in messages and on the card.
        key: key of a step in the manifest.
        form: format of its value.
    """

    name: str
    key: str
    form: str

    def shown(self, value: float) -> str:
        """Return the value as people read it.

        >>> FIGURES["single_label"].shown(0.9123), FIGURES["regression"].shown(0.51)
        ('91.23%', '0.5100')
        """
        return format(value, self.form)


FIGURES: Mapping[Task, Figure] = MappingProxyType(
    {
        SINGLE_LABEL: Figure("accuracy", "validation_accuracy", ".2%"),
        MULTI_LABEL: Figure("micro F1", "validation_f1", ".2%"),
        REGRESSION: Figure("R2", "validation_r2", ".4f"),
    }
)
"""Figure of each task; that of several labels is computed at a probability of one half."""


# Tokens of a window that are left for special tokens, of which most tokenizers have two.
_SPECIAL = 4


@dataclass(frozen=True)
class WindowOptions:
    """Options for windows, for any length of a window.

    Attributes:
        stride: number of tokens from the begin of a window to that of the next one; None for windows that hardly overlap,
            whatever special tokens there are. A larger overlap costs more, and was no better (docs/PERFORMANCE.md).
        most: largest number of windows of a text.
        combination: way in which the logits of windows become a text's, one of `scorer.engine.windows.COMBINATIONS`.
    """

    stride: int | None = None
    most: int = 8
    combination: Combination = "mean"

    def check_task(self, task: Task, name: str) -> None:
        """Check that windows can be combined in this way for a task.

        Args:
            task: task of the model.
            name: name of the model or of its texts, for messages.

        Raises:
            UsageError: the largest logit of each label would be taken of a model that chooses one, or gives numbers.
        """
        if self.combination == "max" and task != MULTI_LABEL:
            raise UsageError(
                f"--combine-windows max is for a model that gives a text any number of labels; the task of {name} is {task}. "
                "Give --combine-windows mean."
            )

    def settings(self, length: int) -> WindowSettings:
        """Return the windows of a length in tokens, special tokens included.

        Raises:
            UsageError: the options do not fit the length.

        >>> WindowOptions().settings(400)
        WindowSettings(stride=396, most=8, combination='mean')
        """
        stride = max(1, length - _SPECIAL) if self.stride is None else self.stride
        if not length <= LEAST_STRIDE * stride:
            raise UsageError(
                f"--window-stride must be at least {-(-length // LEAST_STRIDE)} with --max-length {length}, not {stride}."
            )
        settings = WindowSettings(stride, self.most, self.combination)
        reach, most = tokens_in_windows(length, settings), MOST_IN_WINDOWS // length
        if reach > MAX_LENGTH or self.most > most:
            fitting = min(most, 1 + (MAX_LENGTH - length) // stride)
            raise UsageError(
                f"--max-windows {self.most} with --max-length {length} is too much for a text: give at most {fitting}."
            )
        return settings


def tokens_in_windows(length: int, windows: WindowSettings) -> int:
    """Return the number of tokens that windows cover, and so of tokens that are kept.

    >>> tokens_in_windows(400, WindowSettings(396, 8))
    3172
    """
    return length + (windows.most - 1) * windows.stride


@dataclass(frozen=True)
class HeadSettings:
    """Settings of the head's training on a frozen encoder.

    Attributes:
        solver: ``newton`` finds the optimum of the regularised loss, ``adam`` approaches that of the plain loss.
        l2: strengths of the penalty ``l2 / 2 * |weights|^2`` per text that ``newton`` tries; validation chooses,
            and the nearest ones beyond are tried while the best of several is at an end.
        epochs: passes of ``adam`` over the training texts; the one with the lowest validation loss is kept.
        learning_rate: Adam's rate.
        batch_size: texts in one step of Adam.
        seed: seed of Adam's initial weights and of the order of its batches.
    """

    solver: str = "newton"
    l2: tuple[float, ...] = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
    epochs: int = 10
    learning_rate: float = 1e-3
    batch_size: int = 64
    seed: int = 0

    def as_used(self) -> dict[str, Any]:
        """Return the settings that the solver reads, by name."""
        used = ("solver", "l2") if self.solver == "newton" else ("solver", "epochs", "learning_rate", "batch_size")
        return {name: getattr(self, name) for name in used}


@dataclass(frozen=True)
class WideSettings:
    """Settings of the wide part's training.

    Attributes:
        pairs: number of weights that the pairs share by hash; four times as many gain nothing (docs/ACCURACY.md).
        l2: strengths of the penalty ``l2 / 2 * |weights|^2`` per text; validation chooses, as for `HeadSettings`.
    """

    pairs: int = 1 << 20
    l2: tuple[float, ...] = (0.001, 0.0003, 0.0001)


@dataclass(frozen=True)
class CascadeSettings:
    """Settings of the choice of a cascade's limits.

    Attributes:
        loss: largest loss of accuracy on held-out texts, in points.
        ece: largest increase of the calibration error on them.
        most: largest share of them that the wide part may decide, even if a larger one would cost nothing there.
        least_texts: smallest number of held-out texts from which a cascade is chosen.
        domain_loss: largest loss of accuracy on held-out texts of one domain, in points; see
            `export.training.cascade.choose_cascade`.
        least_of_domain: smallest number of held-out texts of a domain, some of which may then be decided early.
    """

    loss: float = 0.05
    ece: float = 0.005
    most: float = 1.0
    least_texts: int = 2_000
    domain_loss: float = 0.5
    least_of_domain: int = 30

    def as_used(self, *, of_domains: bool) -> dict[str, Any]:
        """Return the settings by name, those of domains only if the texts are of several."""
        used = asdict(self)
        return used if of_domains else {name: used[name] for name in ("loss", "ece", "most", "least_texts")}

    def too_few(self, texts: int) -> str | None:
        """Return the reason if there are too few held-out texts to choose a cascade, or None.

        >>> CascadeSettings().too_few(40)
        '40 held-out texts are too few: 2,000 are needed'
        """
        if texts >= self.least_texts:
            return None
        return f"{texts:,} held-out texts are too few: {self.least_texts:,} are needed"
