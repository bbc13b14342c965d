"""Script that draws docs/report.png: the top of a page from `score --report`, on a wide screen and on a phone.

    python docs/report.py run.html docs/report.png

It needs playwright, Chromium and Pillow. The picture does not show the rows of the page, because their texts belong to somebody.
"""

import base64
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

_TOGETHER = """
<body style="margin:0;background:#c9cfd8;padding:28px;width:1424px;display:flex;gap:28px;align-items:flex-start;box-sizing:border-box">
<img src="{wide}" style="width:1040px;border-radius:10px"><img src="{narrow}" style="width:300px;border-radius:18px">
</body>
"""


def picture(browser: Browser, page_file: Path, width: int, height: int, scheme: str) -> str:
    """Return the top of the page as a data URI."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.goto(page_file.resolve().as_uri())
    page.wait_for_selector("figure svg")
    return f"data:image/png;base64,{base64.b64encode(page.screenshot()).decode()}"


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        wide = picture(browser, source, 1180, 1150, "light")
        narrow = picture(browser, source, 375, 1267, "dark")
        page = browser.new_page(viewport={"width": 1424, "height": 1070})
        page.set_content(_TOGETHER.format(wide=wide, narrow=narrow))
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        page.screenshot(path=target)
        browser.close()
    few = Image.open(target).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(target, optimize=True)  # a third of the size


if __name__ == "__main__":
    main()
