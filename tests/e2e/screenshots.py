"""Remake the pictures of docs/viewer.md: `python -m tests.e2e.screenshots [DIRECTORY]`."""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from selenium.webdriver.common.by import By
from tests.e2e.audit_day import NOW, SHOWN, day, shown
from tests.e2e.browser import chromium, emulate, viewer


def remake(directory: Path) -> None:
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        raise SystemExit("needs chromium and chromedriver: apt-get install chromium chromium-driver")

    with (
        TemporaryDirectory() as full_directory,
        TemporaryDirectory() as empty_directory,
        viewer(Path(full_directory), day(), shown(), now=NOW) as full,
        viewer(Path(empty_directory), now=NOW) as empty,
        chromium(program, driver) as browser,
    ):
        search, timeline = f"{full}/?since=24h", f"{full}/correlations?correlation_id={SHOWN}"
        urlopen(f"{full}/api/v1/audit/verify").read()

        def shoot(
            name: str, url: str, width: int, height: int, *, scheme: str = "light", is_mobile: bool = False
        ) -> None:
            emulate(browser, width, height, scheme=scheme, is_mobile=is_mobile)
            browser.get(url)
            for payload in browser.find_elements(By.CSS_SELECTOR, ".failure .payload"):
                payload.find_element(By.TAG_NAME, "summary").click()
            browser.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
            browser.save_screenshot(str(directory / f"viewer-{name}.png"))

        shoot("search", search, 1060, 720)
        shoot("search-dark", f"{search}&event_outcome=failure", 1060, 600, scheme="dark")
        shoot("cases", f"{full}/cases?since=24h&text=payment-api", 1060, 620)
        shoot("integrity", f"{full}/integrity", 860, 520)
        shoot("timeline", timeline, 860, 840)
        shoot("phone", search, 360, 740, is_mobile=True)
        shoot("cases-phone", f"{full}/cases?since=24h", 360, 740, scheme="dark", is_mobile=True)
        shoot("empty", empty, 960, 560)
        shoot("refused", f"{full}/?since=yesterday&event_outcome=failure", 960, 400)


if __name__ == "__main__":
    remake(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
