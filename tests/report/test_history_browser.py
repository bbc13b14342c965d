"""The page of a history in a real browser, as the other pages in test_browser.py; run with `pytest -m browser`."""

import pytest
from history_records import nights, write
from test_browser import _TEXTS, check_readable, chromium, contrast, shown
from test_history import with_rejects

from scorer.report.history import history_of
from scorer.report.history_page import history_page

pytestmark = pytest.mark.browser
__all__ = ["chromium", "shown"]


@pytest.fixture
def page(shown, tmp_path):
    def opened(*jobs):
        paths = [path for name, records in zip("ab", jobs, strict=False) for path in write(tmp_path / name, records)]
        (tmp_path / "history.html").write_text(history_page(history_of(paths)))
        return shown(tmp_path / "history.html")

    return opened


def eventful(count):
    """Records of a job with failures, rejects, a new model, and one night without a record."""
    records = nights(count)
    for place in (9, 10):
        records[place] = {
            **records[place],
            "published": False,
            "error": "the input has 5 records, fewer than --min-rows 10 requires.",
        }
    for record in records[20:]:
        record["bundle"] = {"name": "newer", "id": "b" * 64}
    records[-1] = with_rejects(records[-1], 0.31)
    return [record for place, record in enumerate(records) if place != 15]


def check_page(page, charts):
    """Check all but the wide table as other pages; the table scrolls within the page."""
    width = page.viewport_size["width"]
    assert page.locator("figure svg").count() == charts
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(
        "[...document.querySelectorAll('.runs')].every((one) => one.parentElement.scrollWidth >= one.offsetWidth)"
    )
    for one in page.evaluate(_TEXTS):
        assert one["size"] >= 11.5, one
        assert contrast(one["colour"], one["background"]) >= 4.5, one
    page.evaluate("document.querySelectorAll('.runs').forEach((one) => { one.hidden = true; })")
    check_readable(page, width)


@pytest.mark.parametrize("count", [4, 30, 90])
def test_the_page_of_a_history_is_readable_and_quiet(page, count):
    opened = page(eventful(count) if count >= 30 else nights(count))
    check_page(opened, opened.locator("figure").count())


def test_the_page_of_one_run_has_no_charts(page):
    opened = page(nights(1))
    assert opened.locator("figure").count() == 0
    assert "The newest cannot be judged yet" in opened.text_content("body")
    assert opened.evaluate("document.documentElement.scrollWidth") <= opened.viewport_size["width"]


def test_the_page_of_several_jobs_is_readable_and_quiet(page):
    opened = page(eventful(30), nights(9, seed=1))
    check_page(opened, opened.locator("figure").count())
    opened.locator("a[href='#job-2']").click()
    assert opened.evaluate("document.querySelector('#job-2').getBoundingClientRect().top") < 900


def test_a_chart_of_a_history_names_the_run_under_the_pointer(page):
    opened = page(eventful(30))
    opened.locator("figure[data-chart=job-1-1] svg").hover(position={"x": 150, "y": 40})
    assert "2026" in opened.locator("figure[data-chart=job-1-1] [aria-label=tip]").text_content()
