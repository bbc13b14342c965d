"""Picture of a report of bench/cpu.py --trained: reviews per second, with those apart that are less accurate than PyTorch."""

from typing import Any

from report import cpu_name
from trained import TOLERANCE, by_rate, is_equal

from export.evaluation.drawing import DARK, GREY, INCH, canvas, to_png, widest, wrapped

_OWN_WORSE, _PEER_WORSE = "#9CC9E3", "#D3D3D3"  # lighter than the colours of those that are as accurate
_PLOT = 5.4  # width of the plot in inches
_BESIDE_BAR = 6  # points between a bar and its figures


def draw(report: dict[str, Any]) -> bytes:
    """Draw a bar for each engine and precision, in the way that is fastest; return a PNG."""
    bars = fastest_ways(report["contenders"])
    names, figures = [wrapped(_name(one), 240) for one in bars], [_figures(one) for one in bars]
    figure = canvas(_PLOT + 0.4 + widest(names), 0.9 + 0.4 * len(bars), _title(report, bars))
    axes = figure.subplots()
    rates = [one["reviews_per_s"] for one in bars]
    median, most = [rate["median"] for rate in rates], [rate["most"] for rate in rates]
    distances = [[rate["median"] - rate["least"] for rate in rates], [rate["most"] - rate["median"] for rate in rates]]
    axes.barh(range(len(bars)), median, xerr=distances, color=[_color(one) for one in bars], capsize=3)
    for number, (words, end) in enumerate(zip(figures, most, strict=True)):
        axes.annotate(words, (end, number), (_BESIDE_BAR, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(bars)), names)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, max(most) * _PLOT / (_PLOT - widest(figures) - 2 * _BESIDE_BAR / INCH))
    used = f"{report['threads']} threads of {cpu_name(report['machine'])}"
    axes.set_xlabel(wrapped(f"reviews per second, {used}", _PLOT * INCH))
    return to_png(figure)


def _title(report: dict[str, Any], bars: list[dict[str, Any]]) -> str:
    title = (
        f"The same model, {report['reviews']} reviews of {report['mean_tokens']:.0f} tokens; accuracy on "
        f"{report['labelled']:,} texts."
    )
    if all(map(is_equal, bars)):
        return title
    return f"{title} Light bars: more than {TOLERANCE} points of PyTorch's accuracy lost."


def fastest_ways(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the fastest contender of each engine and precision, those first that are as accurate as PyTorch.

    A way that is as accurate as PyTorch counts before one that is not. The cascade is a way of its own.
    """
    ordered = sorted(by_rate(found), key=lambda one: not is_equal(one))
    kinds: dict[tuple[str, str], dict[str, Any]] = {}
    for one in ordered:
        engine = one["name"] if one["key"] == "g" else one["engine"]
        kinds.setdefault((engine, one["precision"]), one)
    return list(kinds.values())


def _name(one: dict[str, Any]) -> str:
    return f"{one['name'] if one['key'] == 'g' else one['engine']}, {one['precision']}"


def _color(one: dict[str, Any]) -> str:
    own = one["key"] == "g"
    if is_equal(one):
        return DARK if own else GREY
    return _OWN_WORSE if own else _PEER_WORSE


def _figures(one: dict[str, Any]) -> str:
    lost = "" if is_equal(one) else f" ({one['points_lost']['points']:.1f} points lost)"
    return f"{one['reviews_per_s']['median']:.1f}/s, {one['accuracy']:.1%}{lost}"
