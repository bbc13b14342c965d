"""Forecasts and facts of earlier nights: a plan leaves its forecast to the run, and a run its times to the next plan."""

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scorer.base.errors import ScorerError, UsageError
from scorer.base.text import shown_source
from scorer.report.figure import Figure
from scorer.report.summary_file import NotAnObject, json_object, kind_of
from scorer.storage.address import is_address

ENOUGH = 5
"""Number of nights whose median error widens the range of the next forecast."""

_MOST = 30


@dataclass(frozen=True)
class Night:
    """Run that had a forecast.

    Attributes:
        started: its start, as in its record.
        forecast: seconds forecast.
        seconds: seconds taken.
    """

    started: str
    forecast: float
    seconds: float

    @property
    def error(self) -> float:
        """Share of the time by which the forecast was too long; negative if it was too short.

        >>> Night("2026-11-29T00:00:00.000Z", forecast=90.0, seconds=100.0).error
        -0.1
        """
        return round(self.forecast / self.seconds - 1, 6)


def median_error(history: Sequence[Night]) -> float | None:
    """Return the median size of the errors of earlier nights; None without any.

    >>> median_error([Night("", 90, 100), Night("", 130, 100), Night("", 105, 100)])
    0.1
    """
    return statistics.median(abs(night.error) for night in history) if history else None


@dataclass(frozen=True)
class Forecast:
    """Forecast that a plan left.

    Attributes:
        path: file of the plan's summary.
        inputs: names of the input files, in order.
        seconds: seconds forecast.
        history: runs before.
    """

    path: str
    inputs: tuple[str, ...]
    seconds: Figure
    history: tuple[Night, ...]

    @property
    def shown_inputs(self) -> str:
        """Names of the inputs for a message: the first, and the number of others.

        >>> Forecast("plan.json", ("a.csv", "b.csv", "c.csv"), Figure.known(1), ()).shown_inputs
        'a.csv and 2 more'
        """
        if not self.inputs:
            return "none"
        return self.inputs[0] if len(self.inputs) == 1 else f"{self.inputs[0]} and {len(self.inputs) - 1:,} more"

    def is_of(self, files: Sequence[str]) -> bool:
        """Return whether the forecast is of these input files; a plan may name a local file in another way.

        >>> Forecast("plan.json", ("in.csv",), Figure.known(1), ()).is_of(["./in.csv"])
        True
        """
        return [*map(_full, self.inputs)] == [*map(_full, files)]

    def as_json(self, seconds: float | None) -> dict[str, Any]:
        """Return forecast and fact for the record of a run.

        Args:
            seconds: seconds that the run took; None if it failed, or resumed another one.
        """
        value = self.seconds.value
        known = seconds is not None and seconds > 0 and value > 0
        return {
            "path": self.path,
            "forecast": value,
            "low": self.seconds.low,
            "high": self.seconds.high,
            "seconds": seconds,
            "error": Night("", value, seconds).error if known and seconds is not None else None,
            "history": [asdict(night) for night in self.history],
        }


def forecast_in(path: str) -> Forecast:
    """Read the forecast that a plan left.

    Raises:
        UsageError: the file is something else.
    """
    content = _content(path)
    if kind_of(content) != "plan":
        raise UsageError(
            f"--forecast {path} is the record of a run, and a run needs the summary of `score --plan`; name that one."
        )
    try:
        found = content["forecast"]
        if found is None:
            raise UsageError(f"--forecast {path} is of a plan that failed: {content.get('error')} Plan again.")
        value, low, high = (_number(found["seconds"][name]) for name in ("value", "low", "high"))
        inputs = tuple(map(str, content["inputs"]))
        return Forecast(path, inputs, Figure(value, low, high, exact=False), _nights(content["history"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def history_in(path: str) -> tuple[Night, ...]:
    """Read the history of forecasts from the record of a run, with that run, or from the summary of a plan.

    Raises:
        UsageError: the file is neither.
    """
    content = _content(path)
    try:
        if kind_of(content) == "plan":
            return _nights(content["history"])
        found = content["forecast"]
        if found is None:  # the run had no --forecast
            return ()
        nights = _nights(found["history"])
        if found["error"] is None:  # it failed, or resumed another run
            return nights
        last = Night(str(content["started"]), _number(found["forecast"]), _number(found["seconds"]))
        return (*nights, last)[-_MOST:]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def _content(path: str) -> Mapping[str, Any]:
    """Read a file that is the summary of a plan or the record of a run, as far as its keys show."""
    neither = f"--forecast {path} is neither the summary of `score --plan` nor the record of a run"
    try:
        content = json_object(path)
    except NotAnObject as error:
        raise UsageError(f"{neither}: it is {error}. Name a file that --summary wrote.") from error
    except ScorerError as error:
        reason = str(error)  # most begin with the name of the file
        named = reason if reason.startswith(f"{path} ") else f"{path} cannot be read: {reason}"
        raise UsageError(f"--forecast {named}") from error
    if kind_of(content) != "plan" and not {"rows_in", "seconds", "forecast"} <= content.keys():
        named = ", ".join(sorted(content)[:5]) or "no keys"
        raise UsageError(f"{neither}: it is an object with {named}. Name a file that --summary wrote.")
    return content


def _full(file: str) -> str:
    # Names are compared as the record has them: bytes that are no text are replaced there.
    return file if is_address(file) else os.path.abspath(shown_source(file))


def _nights(values: Sequence[Mapping[str, Any]]) -> tuple[Night, ...]:
    nights = (Night(str(one["started"]), _number(one["forecast"]), _number(one["seconds"])) for one in values)
    return tuple(night for night in nights if night.seconds > 0)[-_MOST:]


def _number(value: object) -> float:
    """Return a number of seconds; raise `ValueError` if it is something else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{value!r} is no number of seconds")
    return float(value)


def _damaged(path: str, error: Exception) -> UsageError:
    return UsageError(
        f"--forecast {path} is damaged ({type(error).__name__}: {error}). Name another file that --summary wrote."
    )
