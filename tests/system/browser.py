"""Headless Chromium, as the system has it. Tests that need it skip, saying so, where it is absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCREENSHOTS = Path(os.environ.get("LABELMINT_SCREENSHOTS", ROOT / "screenshots"))

_PATIENCE_SECONDS = 240.0  # a page of much JavaScript on a busy machine


@contextmanager
def browser(width: int = 1400, height: int = 1000) -> Iterator[Page]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver here; Debian's packages chromium and chromium-driver have them")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for each in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        f"--window-size={width},{height}",
    ):
        options.add_argument(each)
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    chrome.set_script_timeout(_PATIENCE_SECONDS)
    try:
        yield Page(chrome)
    finally:
        chrome.quit()


class Page:
    def __init__(self, chrome):
        self.chrome = chrome

    def open(self, address: str, *texts: str, seconds: float = _PATIENCE_SECONDS) -> None:
        """Load the page and wait until all `texts` can be read on it."""
        self.chrome.get(address)
        self.see(*texts, seconds=seconds)

    def see(self, *texts: str, seconds: float = _PATIENCE_SECONDS) -> None:
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            WebDriverWait(self.chrome, seconds).until(lambda _: all(text in self.text() for text in texts))
        except TimeoutException:
            missing = [text for text in texts if text not in self.text()]
            raise AssertionError(
                f"{missing} cannot be read on {self.chrome.current_url}:\n{self.text()[:3000]}"
            ) from None

    def text(self) -> str:
        return self.chrome.execute_script("return document.body ? document.body.innerText : ''") or ""

    def remember(self, key: str, value: str) -> None:
        """Set what the page keeps in the browser, by a part of its key, and load the page anew."""
        self.chrome.execute_script(
            "for (const key of Object.keys(localStorage)) if (key.includes(arguments[0])) localStorage.setItem(key, arguments[1])",
            key,
            value,
        )
        self.chrome.refresh()

    def click(self, text: str) -> None:
        """The first element that says just this, as soon as it is there."""
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        place = (By.XPATH, f"//*[text()[normalize-space()='{text}']]")
        element = WebDriverWait(self.chrome, _PATIENCE_SECONDS).until(lambda chrome: chrome.find_element(*place))
        self.chrome.execute_script("arguments[0].click()", element)

    def save(self, name: str) -> Path:
        """A screenshot, of few colours, since documentation keeps some of them."""
        from io import BytesIO

        from PIL import Image

        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        Image.open(BytesIO(self.chrome.get_screenshot_as_png())).convert("RGB").quantize(128).save(path, optimize=True)
        return path
