"""The system's headless Chromium. Tests that need it are skipped where it is absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

SCREENSHOTS = Path(os.environ.get("LABELMINT_SCREENSHOTS", ROOT / "screenshots"))
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
_TIMEOUT_SECONDS = 240.0  # a page of much JavaScript on a busy machine


@contextmanager
def browser(width: int = 1400, height: int = 1000, *, offline: bool = False) -> Iterator[Page]:
    """A page in a new browser of that size in pixels. offline: it finds no other machine."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip(
            "no chromium and chromedriver here; Debian's packages chromium and chromium-driver have them"
        )
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    network = ("--host-resolver-rules=MAP * ~NOTFOUND",) if offline else ()
    for option in (*_OPTIONS, *network, f"--window-size={width},{height}"):
        options.add_argument(option)
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    chrome.set_script_timeout(_TIMEOUT_SECONDS)
    try:
        yield Page(chrome)
    finally:
        chrome.quit()


class Page:
    """A page of the browser."""

    def __init__(self, chrome: Any):
        self.chrome = chrome

    def open(self, address: str, *texts: str, seconds: float = _TIMEOUT_SECONDS) -> None:
        """Load the page and wait until it shows all `texts`."""
        self.chrome.get(address)
        self.see(*texts, seconds=seconds)

    def see(self, *texts: str, seconds: float = _TIMEOUT_SECONDS) -> None:
        """Wait until the page shows all `texts`. Raises: AssertionError if it does not."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            WebDriverWait(self.chrome, seconds).until(lambda _: all(text in self.text() for text in texts))
        except TimeoutException:
            missing, shown = [text for text in texts if text not in self.text()], self.text()[:3000]
            raise AssertionError(f"{self.chrome.current_url} does not show {missing}:\n{shown}") from None

    def text(self) -> str:
        """The text that the page shows."""
        return self.chrome.execute_script("return document.body ? document.body.innerText : ''") or ""

    def set_local_storage(self, part_of_key: str, value: str) -> None:
        """Set values of the page's local storage, and load the page again."""
        script = (
            "for (const key of Object.keys(localStorage))"
            " if (key.includes(arguments[0])) localStorage.setItem(key, arguments[1])"
        )
        self.chrome.execute_script(script, part_of_key, value)
        self.chrome.refresh()

    def click(self, text: str) -> None:
        """Click the first element with exactly this text, as soon as there is one."""
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        locator = (By.XPATH, f"//*[text()[normalize-space()='{text}']]")
        element = WebDriverWait(self.chrome, _TIMEOUT_SECONDS).until(
            lambda chrome: chrome.find_element(*locator)
        )
        self.chrome.execute_script("arguments[0].click()", element)

    def scroll_to_end(self) -> None:
        """Scroll every part of the page to its end: MLflow draws charts when they come into view."""
        self.chrome.execute_script(
            "for (const each of document.querySelectorAll('*')) each.scrollTop = each.scrollHeight"
        )

    def replace_text(self, old: str, new: str) -> None:
        """Replace text that the page shows, such as the path of a temporary folder, before a screenshot."""
        script = (
            "const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);"
            " while (walker.nextNode())"
            " walker.currentNode.data = walker.currentNode.data.replaceAll(arguments[0], arguments[1])"
        )
        self.chrome.execute_script(script, old, new)

    def save(self, name: str) -> Path:
        """Save a screenshot with few colours, since the documentation contains some of them."""
        from PIL import Image

        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        Image.open(BytesIO(self.chrome.get_screenshot_as_png())).convert("RGB").quantize(128).save(
            path, optimize=True
        )
        return path


def emulate(page: Page, width: int, scheme: str) -> None:
    """Show the page at this width in pixels, and in a colour scheme: "light" or "dark"."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})


def execute(page: Page, script: str) -> Any:
    """Run JavaScript in the page. Returns: what it returns."""
    return page.chrome.execute_script(script)


def press(page: Page, *keys: str) -> None:
    """Press keys, one after the other, where the focus is."""
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page.chrome).send_keys(*keys).perform()
