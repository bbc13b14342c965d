"""Style of all pictures: fonts, colours, ticks in plain numbers, and names that fit their place."""

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from export.evaluation.outputs import SOFTWARE

TITLE, NAME, SMALL = 12.0, 10.0, 8.0
"""Sizes of text in points."""

LINE, INCH = 0.2, 72.0
"""Height of a line of a name in inches, and points per inch."""

DARK, LIGHT, BLACK, GREY = "#0072B2", "#E69F00", "#333333", "#767676"
"""Colours that colour-blind people can distinguish; the first three also differ when printed in grey."""

_BESIDE_NAME = 0.7  # inches that the sample of a line takes in a legend, with its margins
_BREAKS = " _/-"
_FIRST_FONT = "DejaVu Sans"  # comes with matplotlib
# Fonts for scripts that the first one lacks. matplotlib warns of missing ones, so that only installed ones are named.
_MORE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans CJK TC", "Source Han Sans SC",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAGothic", "NanumGothic", "PingFang SC",
    "PingFang HK", "Hiragino Sans", "Hiragino Sans GB", "Apple SD Gothic Neo", "Heiti TC", "Noto Sans Arabic",
    "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai",
    "Noto Emoji", "Symbola", "FreeSans", "Arial Unicode MS", "Unifont",
)  # fmt: skip
_LINES = (DARK, LIGHT, BLACK, "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_MARKERS = "os^DvPX"
_DASHES = ("-", "--", "-.")

_installed = set(font_manager.get_font_names())
matplotlib.rcParams.update(
    {
        "text.parse_math": False,  # a label may have a dollar sign
        "axes.formatter.useoffset": False,
        "font.family": [_FIRST_FONT, *(name for name in _MORE_FONTS if name in _installed)],
    }
)


def canvas(width: float, height: float, title: str) -> Figure:
    """Make an empty figure under a title, which may take several lines.

    Args:
        width: width in inches.
        height: height without the title, in inches.
        title: title of the figure.
    """
    lines = wrapped(title, (width - 0.4) * INCH, TITLE)
    figure = Figure(figsize=(width, height + 0.25 * (1 + lines.count("\n"))), layout="constrained")
    figure.suptitle(lines, fontsize=TITLE)
    return figure


def add_legend(figure: Figure, axes: Axes) -> None:
    """Add the legend of a plot below the figure, which becomes higher, so that no data is covered.

    Names that fit stand side by side, and one below the other otherwise.
    """
    width, height = figure.get_size_inches()
    handles, given = axes.get_legend_handles_labels()
    names = [wrapped(name, (width - _BESIDE_NAME - 0.2) * INCH) for name in given]
    fits = sum(widest([name]) + _BESIDE_NAME for name in names) <= width - 0.2
    lines = 1 if fits else sum(1 + name.count("\n") for name in names)
    figure.set_size_inches(width, height + LINE * lines + 0.2)
    columns = len(names) if fits else 1
    figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=NAME)


def style(number: int) -> dict[str, str]:
    """Return the colour, marker and dashes of one of several lines, which also differ in grey."""
    return {
        "color": _LINES[number % len(_LINES)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "linestyle": _DASHES[number // len(_LINES) % len(_DASHES)],
    }


def as_percentages(axis: Axis, most: int = 7) -> None:
    """Label an axis of shares in percent, at round steps, of which there are at most so many."""
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(PercentFormatter(1))


def as_counts(axis: Axis, most: int = 5) -> None:
    """Label an axis with at most so many whole numbers."""
    axis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=1))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def label_powers(axis: Axis, low: float, high: float) -> None:
    """Label a logarithmic axis in plain numbers, because matplotlib's own labels need its mathematical text.

    Args:
        axis: axis with a logarithmic scale.
        low, high: least and greatest value, both positive.
    """
    decades = math.log10(high / low)
    axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 3 else (1.0, 2.0, 5.0) if decades > 0.5 else "all"))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_formatter(NullFormatter())


def label_values(axes: Axes, values: Sequence[float], points: float) -> None:
    """Label a logarithmic x axis at values, omitting labels that would touch the one before.

    Args:
        axes: axes with a logarithmic x axis.
        values: positive values.
        points: width of the axes in points.
    """
    low, high = min(values), max(values)
    span = math.log(high / low) * 1.1 or 1.0  # matplotlib adds a margin of a tenth
    ticks: list[float] = []
    end = -math.inf
    for value in sorted(values):
        middle, half = math.log(value / low) / span * points, width_of(f"{value:g}") / 2
        if middle - half > end:
            ticks.append(value)
            end = middle + half + NAME
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)


def wrapped(name: str, points: float, size: float = NAME) -> str:
    """Return a name in lines of at most a width, as it can be drawn; see `shown`.

    Args:
        name: any text.
        points: width of a line in points.
        size: size of the text in points.
    """
    rest, lines = shown(name), []
    while width_of(rest, size) > points and len(rest) > 1:
        end = max(1, bisect_right(range(1, len(rest)), points, key=lambda at: width_of(rest[:at], size)))
        after_break = max(rest.rfind(one, 0, end) for one in _BREAKS) + 1
        end = after_break if after_break > end / 3 else end
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return "\n".join([*lines, rest] if rest else lines)


def shown(name: str, most: int = 160) -> str:
    """Return a name as it can be drawn: without its middle if it is long, and with escapes for what no font has.

    Args:
        name: any text.
        most: number of characters to show.

    >>> shown("price in $"), shown("a\\nb"), shown("abcdefgh", 5)
    ('price in $', 'a\\\\nb', 'ab…gh')
    """
    half = (most - 1) // 2
    short = name if len(name) <= most else f"{name[:half]}…{name[half + 1 - most :]}"
    return "".join(one if _is_drawn(one) else one.encode("unicode_escape").decode() for one in short)


def width_of(text: str, size: float = NAME) -> float:
    """Return the width of a line in points."""
    return float(text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0])


def widest(names: Sequence[str], size: float = NAME) -> float:
    """Return the width of the widest line of names in inches."""
    return max(width_of(line, size) for name in names for line in name.split("\n")) / INCH


def to_png(figure: Figure) -> bytes:
    """Draw a figure as a PNG, without version and date, so that the same figures give the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": SOFTWARE})
    return buffer.getvalue()


@cache
def _is_drawn(character: str) -> bool:
    return character.isprintable() and any(
        font_manager.get_font(font_manager.findfont(FontProperties(family=name))).get_char_index(ord(character))
        for name in matplotlib.rcParams["font.family"]
    )
