"""Picture of a report of bench/cpu.py --trained: reviews per second, with those apart that are less accurate than PyTorch."""

import io
from typing import Any

import matplotlib

matplotlib.use("Agg")  # a display may be missing

from matplotlib import pyplot
from trained import TOLERANCE, by_rate, is_equal

from export.evaluation.outputs import SOFTWARE

_OWN, _PEER = "tab:blue", "tab:gray"
_OWN_WORSE, _PEER_WORSE = "lightblue", "lightgray"


def draw(report: dict[str, Any]) -> bytes:
    """Draw a bar for each engine and precision, in the way that is fastest; return a PNG."""
    bars = fastest_ways(report["contenders"])
    figure, axes = pyplot.subplots(figsize=(8, 1.3 + 0.36 * len(bars)), layout="constrained")
    rates = [one["reviews_per_s"] for one in bars]
    median = [rate["median"] for rate in rates]
    distances = [
        [rate["median"] - rate["least"] for rate in rates],
        [rate["most"] - rate["median"] for rate in rates],
    ]
    names = [_name(one) for one in bars]
    axes.barh(names, median, xerr=distances, color=[_color(one) for one in bars], capsize=3)
    for number, (one, rate) in enumerate(zip(bars, rates, strict=True)):
        axes.annotate(
            f"{rate['median']:.1f}/s, {_accuracy(one)}",
            (rate["most"], number),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set(xlabel=f"reviews per second, {report['threads']} threads of {report['cpu']}", xlim=(0, 1.75 * max(median)))
    title = (
        f"The same model, {report['reviews']} reviews of {report['mean_tokens']:.0f} tokens; accuracy on "
        f"{report['labelled']:,} texts"
    )
    if not all(map(is_equal, bars)):
        title += f"\nLight bars: more than {TOLERANCE} points of PyTorch's accuracy lost"
    axes.set_title(title, fontsize=10)
    axes.invert_yaxis()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": SOFTWARE})
    pyplot.close(figure)
    return buffer.getvalue()


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
        return _OWN if own else _PEER
    return _OWN_WORSE if own else _PEER_WORSE


def _accuracy(one: dict[str, Any]) -> str:
    lost = one["points_lost"]["points"]
    return f"{one['accuracy']:.1%}" + ("" if is_equal(one) else f" ({lost:.1f} points lost)")
