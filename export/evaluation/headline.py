"""Figures of metrics as cells of tables; some stand for a whole row of metrics, with their 95% interval."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

INTERVAL = "95% interval"
"""Head of a column of intervals."""


@dataclass(frozen=True)
class Figure:
    """A figure of metrics without an interval.

    Attributes:
        name: name of the figure.
        field: field of the metrics that holds it; None in that field if it is undefined for the texts.
        form: format of its values.
    """

    name: str
    field: str
    form: str

    def cell(self, metrics: Mapping[str, Any]) -> str:
        """Return the figure as a cell of a table.

        >>> Figure("calibration error", "ece", ".1%").cell({"ece": 0.021})
        '2.1%'
        """
        return "" if metrics[self.field] is None else format(metrics[self.field], self.form)


CALIBRATION_ERROR = Figure("calibration error", "ece", ".2%")


@dataclass(frozen=True)
class Headline:
    """A figure of metrics that has a 95% interval.

    Attributes:
        name: name of the figure.
        field: field of the metrics that holds it; None in that field if it is undefined for the texts.
        interval: field of the metrics that holds its interval.
        form: format of its values.
        is_share: whether it is at most 1, and the larger the better.
    """

    name: str
    field: str
    interval: str
    form: str
    is_share: bool = True

    @property
    def head(self) -> tuple[str, str]:
        """Heads of the columns of `cells`."""
        return self.name, INTERVAL

    def value(self, metrics: Mapping[str, Any]) -> float | None:
        """Return the figure; None if it is undefined for the texts."""
        found: float | None = metrics[self.field]
        return found

    def bounds(self, metrics: Mapping[str, Any]) -> tuple[float, float] | None:
        """Return the figure's interval, or None."""
        found = metrics[self.interval]
        return None if found is None else (found[0], found[1])

    def spelled(self, value: float | None) -> str:
        """Return a value in words; empty for None."""
        return "" if value is None else format(value, self.form)

    @property
    def unit_of_change(self) -> str:
        """Unit of `change`, after a blank; empty if the figure is no percentage."""
        return " points" if self.form.endswith("%") else ""

    def change(self, change: float) -> str:
        """Return the difference of two values in words, that of percentages in points.

        >>> Headline("accuracy", "accuracy", "interval", ".2%").change(0.0213)
        '+2.1'
        >>> Headline("R2", "r2", "interval", ".4f").change(-0.25)
        '-0.250'
        """
        return f"{100 * change:+.1f}" if self.unit_of_change else f"{change:+.3f}"

    def cells(self, metrics: Mapping[str, Any]) -> tuple[str, str]:
        """Return the figure and its interval as cells of a table.

        >>> Headline("accuracy", "accuracy", "interval", ".1%").cells({"accuracy": 0.5, "interval": (0.4, 0.6)})
        ('50.0%', '40.0% to 60.0%')
        """
        bounds = self.bounds(metrics)
        return (
            self.spelled(self.value(metrics)),
            "" if bounds is None else " to ".join(self.spelled(bound) for bound in bounds),
        )
