"""Pages as single files, with styles, charts and data inside, which run no scripts but their own."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import jinja2
from markupsafe import Markup

from scorer.base.text import counted, duration, share, shown_number, size, visible

_ASSETS = Path(__file__).parent / "assets"
_HEAD = 1024  # bytes from the start of a page that hold its generator
# The order matters: Plot needs d3, and charts.js needs Plot.
_SCRIPTS = ("vendor/d3-7.9.2.min.js", "vendor/plot-0.6.17.umd.min.js", "charts.js")

_MOST_BARS = 12


@dataclass(frozen=True)
class Bar:
    """Bar of a list, as `bars` in parts.html draws it.

    Attributes:
        name: name of the bar.
        rows: number beside it.
        share: its length, from 0 to 1.
        is_more: whether it is one of many, which are shown on demand.
    """

    name: str
    rows: int
    share: float
    is_more: bool = False


def bars_of(counts: Mapping[str, int], whole: int, first: Sequence[str] = ()) -> list[Bar]:
    """Return bars that are shares of a whole; of many, those with most rows come first.

    Args:
        counts: rows by name.
        whole: rows of a full bar.
        first: names in the order of their bars, unless there are many; others follow by their rows.

    >>> [(bar.name, bar.share) for bar in bars_of({"a": 1, "b": 3}, 4, ["a", "b"])]
    [('a', 0.25), ('b', 0.75)]
    """
    places = {name: place for place, name in enumerate(first)} if len(counts) <= _MOST_BARS else {}
    order = sorted(counts, key=lambda name: (places.get(name, len(places)), -counts[name], name))
    return [
        Bar(name, counts[name], counts[name] / max(whole, 1), is_more=at >= _MOST_BARS) for at, name in enumerate(order)
    ]


def render(template: str, charts: Mapping[str, Any], view: Mapping[str, Any]) -> str:
    """Render a template as an HTML page.

    All values of the view are text: the template engine escapes them. The page's own policy allows only the scripts
    whose hashes it lists, and loads nothing.

    Args:
        template: file name of the template.
        charts: data of each chart, by name, in the form that charts.js takes.
        view: values for the template.
    """
    scripts = [_read(name) for name in _SCRIPTS]
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {' '.join(map(_hash, scripts))}"
    # Nothing is escaped inside a script element, and the first "</script" would end it.
    data = json.dumps(charts).replace("<", "\\u003c")
    shown = {**view, "charts": charts, "policy": Markup(policy), "style": Markup(_read("style.css"))}
    shown["head"] = Markup(_head(template))
    html = _environment().get_template(template).render(shown, scripts=map(Markup, scripts), data=Markup(data))
    return html.encode(errors="backslashreplace").decode()  # half of a surrogate pair cannot be encoded


def is_page(stream: BinaryIO, template: str) -> bool:
    """Return whether `render` made a page from a template.

    Args:
        stream: bytes of the page.
        template: file name of the template.
    """
    return stream.read(_HEAD).startswith(_head(template).encode())


def _head(template: str) -> str:
    """Return the first lines of a page, which name its generator."""
    maker = f"review-scorer {template.removesuffix('.html')}"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="generator" content="{maker}">'
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "counted": counted,
        "duration": duration,
        "moment": _moment,
        "number": shown_number,
        "share": share,
        "signed": _signed,
        "size": size,
        "visible": visible,
    }
    return environment


def _signed(number: float) -> str:
    """Write an amount with its sign; one that is 0 to the figures shown has none.

    >>> _signed(0.5), _signed(-0.001)
    ('+0.50', '0.00')
    """
    shown = f"{number:+.2f}".replace("-", "\N{MINUS SIGN}")
    return shown[1:] if not float(f"{number:.2f}") else shown


def _moment(stamp: str) -> str:
    return datetime.fromisoformat(stamp).strftime("%-d %B %Y, %H:%M UTC")


@cache
def _read(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
