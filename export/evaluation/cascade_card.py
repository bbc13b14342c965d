"""Tables about a cascade, for the model card and `evaluate`: the tokens it saves and the accuracy it costs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from export.evaluation.cascade import Point
from export.evaluation.cascade_figures import SHORT_WORDS
from export.evaluation.outputs import CASCADE_FIGURE
from scorer.model.manifest import Manifest

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Head and rows."""

STAGED_HEAD = (
    "", "texts", "decided early", "tokens saved", "accuracy", "without cascade", "points lost (95%)", "calibration error",
    "without cascade",
)  # fmt: skip
"""Head of a table of `staged_row`."""


def cascade_parts(manifest: Manifest) -> Iterator[str | Table]:
    """Yield the model card's section on the cascade; nothing without a cascade.

    Args:
        manifest: complete manifest of the bundle.
    """
    if manifest.cascade is None:
        return
    figures, settings = manifest.metrics["cascade"], manifest.training["cascade"]
    held_out = figures["held_out"]
    yield "## The cascade"
    yield (
        "The wide part decides some texts early: if it is sure enough, it alone makes the score, and the encoder does not "
        "read the text. `--no-cascade` has the encoder read every text."
    )
    yield (
        f"The limits were chosen on {held_out['texts']:,} held-out texts. They were relaxed step by step, starting with the "
        f"surest texts, up to the last step before one of these bounds was exceeded: {settings['loss']:g} points of accuracy "
        f"lost, {settings['ece']:.1%} of calibration error added{_most(settings['most'])}. {_limits(manifest)}"
    )
    if "domains" in held_out:
        yield (
            f"The steps also ended where a domain lost more than {settings['domain_loss']:g} points, beyond one standard "
            f"deviation. If fewer than {settings['least_of_domain']} texts of a domain are decided early, this is computed for as many of its "
            "surest texts. A domain with fewer held-out texts has none decided early."
        )
    yield (
        STAGED_HEAD,
        [
            staged_row("held-out texts, on which it was chosen", held_out),
            staged_row("test texts", figures["points"]),
            staged_row(f"test texts, cut to {SHORT_WORDS} words", figures["short"]),
        ],
    )
    if "domains" in held_out:
        yield "Held-out texts by domain:"
        yield STAGED_HEAD, [staged_row(one["name"], one) for one in held_out["domains"]]
    yield "Tokens are those that the encoder reads without the cascade. Negative points lost are a gain in accuracy."
    yield (
        "Other limits on the test texts. The rate is relative to scoring without the cascade, and counts the encoder's "
        "tokens alone:"
    )
    yield (
        ("decided early", "tokens saved", "rate", "accuracy", "calibration error"),
        [_curve_row(Point(**{name: one[name] for name in one if name != "share"})) for one in figures["curve"]],
    )
    yield f"![Accuracy by the share of the encoder's tokens saved]({CASCADE_FIGURE})"
    if figures["by_group"]:
        yield f"The cascade by {'group' if manifest.metrics['by_group'] else 'domain'}:"
        yield STAGED_HEAD, [staged_row(one["name"], one) for one in figures["by_group"]]


def _most(most: float) -> str:
    return "" if most == 1 else f", {most:.0%} of the texts decided early"


def staged_row(name: str, group: Mapping[str, Any]) -> Sequence[str]:
    """Return a row of figures with and without the cascade.

    Args:
        name: name of the texts.
        group: figures of an `export.evaluation.cascade.StagedGroup`, by name.
    """
    without, chosen, loss = group["without"], group["chosen"], group["loss"]
    low, high = loss["interval"]
    return (
        name,
        f"{group['texts']:,}",
        f"{chosen['rows']:.1%}",
        f"{chosen['tokens']:.1%}",
        f"{chosen['accuracy']:.2%}",
        f"{without['accuracy']:.2%}",
        f"{loss['points']:.2f} ({low:.2f} to {high:.2f})",
        f"{chosen['ece']:.2%}",
        f"{without['ece']:.2%}",
    )


def _limits(manifest: Manifest) -> str:
    cascade = manifest.cascade
    assert cascade is not None
    if len(cascade.limits) == 2:
        low, high = cascade.limits
        return f"A text is decided early if its weights add up to less than {low:.3f} or more than {high:.3f}."
    return f"A text is decided early if its two largest logits differ by at least {cascade.limits[0]:.3f}."


def _curve_row(at: Point) -> Sequence[str]:
    rate = "" if at.tokens == 1 else f"{at.rate:.2f}"
    return f"{at.rows:.0%}", f"{at.tokens:.1%}", rate, f"{at.accuracy:.2%}", f"{at.ece:.2%}"
