"""The model card's part on the cascade: what it saves and what it costs, here and on other texts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from export.evaluation.cascade import Point
from export.evaluation.cascade_figures import SHORT_WORDS
from export.evaluation.outputs import CASCADE_FIGURE
from scorer.model.manifest import Manifest

Rows = Sequence[Sequence[str]]


def cascade_parts(manifest: Manifest) -> Iterator[str | tuple[Sequence[str], Rows]]:
    """Yield the parts, text or a table's head and rows; nothing without a cascade.

    Args:
        manifest: the bundle's, complete.
    """
    if manifest.cascade is None:
        return
    figures, settings = manifest.metrics["cascade"], manifest.training["cascade"]
    held_out, test = figures["held_out"], figures["points"]
    yield "## The cascade"
    yield (
        "Where the weights of word pieces and pairs alone are sure, the encoder is not run, and the score is theirs, "
        "calibrated for itself. `--no-cascade` gives every text to the encoder. The limits are the widest ones, from the "
        f"surest text down, at which {held_out['texts']:,} held-out texts lose at most {settings['loss']:g} points of accuracy "
        f"and gain at most {settings['ece']:.1%} of calibration error. {_limits(manifest)}"
    )
    rows = [
        ("held-out texts, chosen on", held_out["texts"], held_out["without"], held_out["with"], held_out["loss"]),
        ("test texts", test["texts"], test["without"], test["chosen"], test["loss"]),
    ]
    short = figures["short"]
    rows.append(
        (f"test texts cut to {SHORT_WORDS} words", short["texts"], short["without"], short["chosen"], short["loss"])
    )
    yield (
        ("", "texts", "decided early", "tokens saved", "accuracy", "without cascade", "points lost (95%)", "calibration error", "without"),
        [_row(*row) for row in rows],
    )  # fmt: skip
    yield "Tokens are those that the encoder would read. On the test texts, were the limits others:"
    yield (
        ("decided early", "tokens saved", "rate by tokens", "accuracy", "calibration error"),
        [_curve_row(Point(**{name: one[name] for name in one if name != "share"})) for one in figures["curve"]],
    )
    yield f"![Accuracy by the share of tokens saved]({CASCADE_FIGURE})"
    if figures["by_group"]:
        yield "By group, with the cascade and without:"
        yield (
            ("group", "texts", "decided early", "accuracy", "without cascade"),
            [
                (
                    one["name"],
                    f"{one['texts']:,}",
                    f"{one['chosen']['rows']:.1%}",
                    f"{one['chosen']['accuracy']:.2%}",
                    f"{one['without']['accuracy']:.2%}",
                )
                for one in figures["by_group"]
            ],
        )


def _limits(manifest: Manifest) -> str:
    cascade = manifest.cascade
    assert cascade is not None
    if len(cascade.limits) == 2:
        low, high = cascade.limits
        return f"They are sums of the weights below {low:.3f} or above {high:.3f}."
    return f"They are a distance of {cascade.limits[0]:.3f} between the two largest logits."


def _row(name: str, texts: int, without: Mapping[str, float], chosen: Mapping[str, float], loss: Any) -> Sequence[str]:
    low, high = loss["interval"]
    return (
        name,
        f"{texts:,}",
        f"{chosen['rows']:.1%}",
        f"{chosen['tokens']:.1%}",
        f"{chosen['accuracy']:.2%}",
        f"{without['accuracy']:.2%}",
        f"{loss['points']:.2f} ({low:.2f} to {high:.2f})",
        f"{chosen['ece']:.2%}",
        f"{without['ece']:.2%}",
    )


def _curve_row(at: Point) -> Sequence[str]:
    rate = "" if at.tokens == 1 else f"{at.rate:.2f}"
    return f"{at.rows:.0%}", f"{at.tokens:.1%}", rate, f"{at.accuracy:.2%}", f"{at.ece:.2%}"
