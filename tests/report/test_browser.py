"""The pages in a real browser: headless Chromium, on narrow and wide screens, light and dark.

Run with `pytest -m browser`; needs Chromium (Debian: apt install chromium) and `pip install '.[browser]'`.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
from factories import reviews
from test_run_page import HOSTILE

from scorer.report.compare import compare
from scorer.report.compare_page import comparison_page

pytestmark = pytest.mark.browser

# The laid-out text elements of a page, with box, font size and colours; text in charts has its scaled size.
_TEXTS = """
() => {
  const rgb = (colour) => { const c = document.createElement('canvas').getContext('2d'); c.fillStyle = colour; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]; };
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const found = rgb(getComputedStyle(e).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest('script, noscript, details:not([open]) > :not(summary)')) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!box.width) continue;
    const svg = element.closest('svg');
    const style = getComputedStyle(element);
    const scale = svg ? element.getScreenCTM().a : 1;
    found.push({
      text: node.textContent.trim().slice(0, 60), drawn: svg ? svg.getAttribute('aria-label') : null,
      size: parseFloat(style.fontSize) * scale, left: box.left, right: box.right, top: box.top, bottom: box.bottom,
      colour: rgb(svg ? style.fill : style.color), background: background(element),
    });
  }
  return found;
}
"""


def contrast(colour, background):
    """Return the contrast ratio as WCAG 2.2 defines it."""

    def luminance(rgb):
        parts = [part / 255 for part in rgb[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(colour), luminance(background)))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "no Chromium: apt install chromium, or say where it is in CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[(width, scheme) for width in (375, 1280) for scheme in ("light", "dark")], ids=str)
def shown(request, chromium):
    """Open a page; the test fails if the page logs, throws or requests anything."""
    width, scheme = request.param
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems = []

    def show(path):
        page = context.new_page()
        page.on("console", lambda message: problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
        page.on(
            "request", lambda asked: asked.url == path.as_uri() or problems.append(f"request: {asked.url[:100]}")
        )  # fmt: skip
        page.goto(path.as_uri())
        page.wait_for_function(
            "document.querySelectorAll('figure svg').length >= document.querySelectorAll('figure').length"
        )
        return page

    yield show
    context.close()
    assert problems == []


def check_readable(page, width, drawn=20):
    texts = page.evaluate(_TEXTS)
    assert len(texts) > 60
    assert sum(one["drawn"] is not None for one in texts) > drawn
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for one in texts:
        assert one["size"] >= 11.5, one
        assert one["left"] >= 0, one
        assert one["right"] <= width, one
        assert contrast(one["colour"], one["background"]) >= 4.5, one
    for name in {one["drawn"] for one in texts} - {None}:  # labels of a chart do not overlap
        drawn = [one for one in texts if one["drawn"] == name]
        for number, one in enumerate(drawn):
            for other in drawn[number + 1 :]:
                apart = (
                    one["right"] <= other["left"] or other["right"] <= one["left"]
                    or one["bottom"] - 2 <= other["top"] or other["bottom"] - 2 <= one["top"]
                )  # fmt: skip
                assert apart, (name, one["text"], other["text"])


@pytest.fixture
def run_page(score, tmp_path):
    """Make the page of a run with rejects, drift and hostile texts."""

    def make(*arguments):
        texts = [*reviews(300, 2, 3).texts, *HOSTILE, *(f"{text} xxxxx" for text in reviews(90, 2, 4).texts), "", " "]
        texts += [f"{text} {text} {text}" for text in texts[:40]]
        lines = [json.dumps({"id": f"<b>{row}", "stars": row % 5, "text": text}) for row, text in enumerate(texts)]
        lines += ["broken"] * 4
        (tmp_path / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))
        arguments = (tmp_path / "in.jsonl", "-o", tmp_path / f"{'long-' * 30}out.csv", *arguments)
        assert score(*arguments, "--report", tmp_path / "run.html", "--max-drift", "0.1").code == 3
        return tmp_path / "run.html"

    return make


def test_the_page_of_a_run_is_readable_and_quiet(run_page, shown, request):
    page = shown(run_page("--keep", "stars"))
    width = page.viewport_size["width"]
    check_readable(page, width)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    check_readable(page, width)
    assert page.evaluate("window.harmed") is None
    assert page.locator("figure svg").count() == 3


@pytest.mark.parametrize("model", ["multi_label_bundle", "regression_bundle"])
def test_the_page_of_another_task_is_readable_and_quiet(run_page, shown, request, model):
    page = shown(run_page("--model", request.getfixturevalue(model).path, "--keep", "stars"))
    width = page.viewport_size["width"]
    check_readable(page, width)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    check_readable(page, width)
    assert page.locator("figure svg").count() == 3


def test_explained_rows_and_kept_columns_fit_the_page(score, tmp_path, shown):
    kinds = ["film-counterfactual", "product-sentences", "pros-and-cons"]
    records = [
        {"id": row, "kind": kinds[row % 3], "text": f"{text} It was so, and so {row}."}
        for row, text in enumerate(reviews(300, 2, 3).texts)
    ]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    arguments = (tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--report", tmp_path / "run.html")
    assert score(*arguments, "--keep", "kind", "--explain", "8").code == 0
    page = shown(tmp_path / "run.html")
    check_readable(page, page.viewport_size["width"])
    hidden = "(one) => one.scrollWidth - one.clientWidth"
    assert page.locator(".by-column .scroll").evaluate(hidden) == 0
    boxes = [one.bounding_box() for one in page.locator(".explained > .examples > li").all()]
    assert len(boxes) == 8
    columns = {round(box["x"]) for box in boxes}
    assert len(columns) == (1 if page.viewport_size["width"] == 375 else 2)


def test_the_page_prints_as_dark_text_on_white(run_page, shown):
    page = shown(run_page("--keep", "stars"))
    page.emulate_media(media="print")
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    for one in page.evaluate(_TEXTS):
        assert contrast(one["colour"], [255, 255, 255]) >= 4.5, one
    assert page.locator("figure svg").first.is_visible()


def test_a_chart_says_what_is_under_the_pointer(run_page, shown):
    page = shown(run_page())
    page.locator("figure[data-chart=score] svg").first.hover()
    assert "rows" in page.locator("figure[data-chart=score] svg [aria-label=tip]").text_content()


def test_charts_follow_the_width_of_the_window(run_page, shown):
    page = shown(run_page())
    page.set_viewport_size({"width": 700, "height": 900})
    page.wait_for_timeout(200)
    check_readable(page, 700)


def test_the_page_of_a_failed_run_is_readable_and_quiet(score, tmp_path, shown):
    (tmp_path / "in.jsonl").write_text("broken\n")
    assert score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--report", tmp_path / "run.html").code == 4
    page = shown(tmp_path / "run.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert "The only row was rejected" in page.text_content("h1")


def test_the_page_of_two_outputs_is_readable_and_quiet(score, tmp_path, shown):
    texts = [*reviews(200, 2, 3).texts, *HOSTILE]
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"id": f"<b>{text}", "text": text}) + "\n" for text in set(texts))
    )
    for precision in ("fp32", "int8"):
        more = ("--threshold", "0.8") if precision == "int8" else ()
        arguments = (
            tmp_path / "in.jsonl",
            "-o",
            tmp_path / f"{precision}.csv",
            "--keep",
            "text",
            "--precision",
            precision,
        )
        assert score(*arguments, *more).code == 0
    files = [str(tmp_path / f"{precision}.csv") for precision in ("fp32", "int8")]
    found = compare(*files)
    assert found.flipped_rows
    (tmp_path / "compared.html").write_text(comparison_page(found, *files))
    page = shown(tmp_path / "compared.html")
    width = page.viewport_size["width"]
    check_readable(page, width)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    check_readable(page, width)
    assert page.locator("figure svg").count() == 3


def test_the_page_of_two_outputs_with_several_labels_is_readable_and_quiet(score, multi_label_bundle, tmp_path, shown):
    files = two_outputs(score, multi_label_bundle, tmp_path)
    rows = [line.split(",") for line in Path(files[1]).read_text().splitlines()]
    for row in rows[1::7]:
        row[1] = "" if row[1] else "bad"
    Path(files[1]).write_text("".join(f"{','.join(row)}\n" for row in rows))
    check_comparison(files, tmp_path, shown)


def test_the_page_of_two_outputs_with_values_is_readable_and_quiet(score, regression_bundle, tmp_path, shown):
    files = two_outputs(score, regression_bundle, tmp_path)
    check_comparison(files, tmp_path, shown)
    rows = [line.rsplit(",", 1) for line in Path(files[1]).read_text().splitlines()]
    rows[1:] = [[before, f"{float(value) * -31_000:.6f}"] for before, value in rows[1:]]
    Path(files[1]).write_text("".join(f"{','.join(row)}\n" for row in rows))
    check_comparison(files, tmp_path, shown)


def two_outputs(score, bundle, folder):
    """Score in two ways, as near as fp32 is to a second model."""
    texts = [*reviews(200, 2, 3).texts, *HOSTILE]
    (folder / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (folder / "other.jsonl").write_text("".join(json.dumps({"text": f"{text} bad"}) + "\n" for text in texts))
    files = [str(folder / "a.csv"), str(folder / "b.csv")]
    for name, path in zip(("in", "other"), files, strict=True):
        assert score(folder / f"{name}.jsonl", "-o", path, "--model", bundle.path).code == 0
    return files


def check_comparison(files, folder, shown):
    found = compare(*files)
    (folder / "compared.html").write_text(comparison_page(found, *files))
    page = shown(folder / "compared.html")
    width = page.viewport_size["width"]
    check_readable(page, width, 25)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    check_readable(page, width, 25)
    assert page.locator("figure svg").count() == 3


def test_without_scripts_the_numbers_are_there(run_page, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(run_page("--keep", "stars").as_uri())
    page.locator("figure[data-chart=score] summary").click()
    assert page.locator("figure[data-chart=score] td", has_text="0.95").is_visible()
    assert page.locator("figure[data-chart=score] noscript").text_content().startswith("Charts are drawn by scripts")
    widths = [bar.bounding_box()["width"] for bar in page.locator("#labels .bar > span").all()]
    assert len(widths) == 2  # bars need no scripts
    assert min(widths) > 20
    assert page.locator(".by-column .bar > span").count() == 5
    context.close()
