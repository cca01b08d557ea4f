"""The page as a person meets it: in Chromium, by mouse and by keyboard, on a telephone, in the dark, on paper; and with far too many arms."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.system.browser import Page, browser
from tests import random_arms

EVIL = "<script>alert(1)</script>"
GENERATORS = ["dcgan", "cgan"]

_CONTRASTS = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = (colour) => {
  const [r, g, b] = colour.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = rgba(getComputedStyle(at).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
};
const seen = new Map();
for (const element of document.querySelectorAll('body *')) {
  if (!element.checkVisibility() || element.closest('script, .unseen')) continue;
  if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
  const style = getComputedStyle(element), ink = rgba(element instanceof SVGElement ? style.fill : style.color);
  const [most, least] = [luminance(ink), luminance(behind(element))].sort((a, b) => b - a);
  const ratio = (most + 0.05) / (least + 0.05), key = `${element.tagName}.${element.className.baseVal ?? element.className}`;
  if (!(seen.get(key)?.[0] <= ratio)) seen.set(key, [ratio, element.textContent.trim().slice(0, 40)]);
}
return [...seen].map(([key, [ratio, text]]) => [ratio, `${key}: ${text}`]).sort((a, b) => a[0] - b[0]);
"""


@pytest.fixture(scope="module")
def made(params, tmp_path_factory) -> Path:
    """Two generators on two shares of ten classes, one of them with a hostile name."""
    of = replace(params, generators=GENERATORS, percents=[40, 100])
    return random_arms.report(tmp_path_factory.mktemp("made"), of, [EVIL, *map(str, range(1, 10))])


@pytest.fixture(scope="module")
def chrome():
    with browser() as page:
        yield page


@pytest.fixture
def page(chrome, made) -> Page:
    """Freshly loaded at 1280 pixels, in light colours."""
    look(chrome, 1280, "light")
    chrome.open(made.as_uri(), "What are minted made worth?", seconds=60)
    return chrome


def look(page: Page, width: int, scheme: str) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})


def ask(page: Page, script: str):
    return page.chrome.execute_script(script)


def press(page: Page, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page.chrome).send_keys(*keys).perform()


class TestSafety:
    def test_nothing_fails_and_nothing_is_asked_of_any_network(self, page):
        assert page.chrome.get_log("browser") == []
        assert [name for name in ask(page, "return performance.getEntriesByType('resource').map((each) => each.name)") if not name.startswith("data:")] == []  # fmt: skip

    def test_a_class_called_script_is_read_not_run(self, page, made):
        text = made.read_text()
        assert text.count("<script") == text.count("</script>") == 1 and "&lt;script&gt;alert(1)" in text
        assert ask(page, "return document.scripts.length") == 1
        assert EVIL in page.text()
        named = ask(page, f"return [...document.querySelectorAll('.heat th')].filter((each) => each.title === '{EVIL.replace('/', chr(92) + '/')}').length")  # fmt: skip
        assert named >= 2

    def test_the_policy_stops_a_script_that_is_not_the_pages_own(self, page):
        ask(page, "const s = document.createElement('script'); s.textContent = 'window.broken = 1'; document.body.append(s)")  # fmt: skip
        assert ask(page, "return window.broken ?? null") is None
        assert any("Content Security Policy" in entry["message"] for entry in page.chrome.get_log("browser"))


class TestReading:
    def test_fits_a_telephone(self, page, made):
        look(page, 375, "light")
        page.open(made.as_uri())
        ask(page, "document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert ask(page, "return [innerWidth, document.documentElement.scrollWidth]") == [375, 375]

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_contrast_of_all_text(self, page, made, scheme):
        """4.5:1, WCAG 2.2, 1.4.3."""
        look(page, 1280, scheme)
        page.open(made.as_uri())
        ask(page, "document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        dark = ask(page, "return matchMedia('(prefers-color-scheme: dark)').matches")
        assert dark == (scheme == "dark")
        found = ask(page, _CONTRASTS)
        assert len(found) > 20 and [each for each in found if each[0] < 4.5] == []

    def test_landmarks_headings_and_words_for_pictures(self, page):
        told = ask(page, """
            const levels = [...document.querySelectorAll('h1,h2,h3,h4,h5')].map((each) => +each.tagName[1]);
            return {
              main: document.querySelectorAll('main').length, nav: document.querySelectorAll('nav[aria-label]').length,
              h1: levels.filter((level) => level === 1).length,
              jumps: levels.filter((level, at) => at && level > levels[at - 1] + 1).length,
              mute: [...document.querySelectorAll('img:not([alt]), img[alt=""]')].length,
              untold: [...document.querySelectorAll('svg:not([aria-hidden])')].filter((each) => !each.getAttribute('aria-label')).length,
              uncaptioned: [...document.querySelectorAll('table')].filter((each) => !each.caption?.textContent.trim()).length,
              ids: document.querySelectorAll('[id]').length - new Set([...document.querySelectorAll('[id]')].map((each) => each.id)).size,
              broken: [...document.querySelectorAll('a[href^="#"]')].filter((each) => !document.getElementById(each.hash.slice(1))).length,
            }""")  # fmt: skip
        assert told == {"main": 1, "nav": 1, "h1": 1, "jumps": 0, "mute": 0, "untold": 0, "uncaptioned": 0, "ids": 0, "broken": 0}  # fmt: skip

    def test_prints_in_light_colours_with_all_frames(self, page, made):
        look(page, 1280, "dark")
        page.open(made.as_uri())
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert ask(page, "return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert ask(page, "return [...document.querySelector('.frames').querySelectorAll('.frame')].every((each) => each.checkVisibility())")  # fmt: skip
        assert not ask(page, "return document.querySelector('#filter').checkVisibility()")
        paper = page.chrome.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
        assert base64.b64decode(paper).startswith(b"%PDF")
        assert ask(page, "return [...document.querySelectorAll('.arm')].every((each) => each.open)")


class TestUse:
    def test_filters_by_keyboard_alone(self, page):
        from selenium.webdriver.common.keys import Keys

        rows = "return [...document.querySelectorAll('#accuracy tbody tr')].filter((each) => each.checkVisibility()).length"
        before = ask(page, rows)
        assert before == 2 * 2 * 3
        press(page, Keys.TAB)
        assert ask(page, "return document.activeElement.className") == "skip"
        for _ in range(40):
            press(page, Keys.TAB)
            if ask(page, "return document.activeElement.value") == "cgan":
                break
        assert ask(page, "return getComputedStyle(document.activeElement).outlineStyle") == "solid"
        press(page, Keys.SPACE)
        assert ask(page, rows) == before / 2
        assert ask(page, "return document.querySelector('#filter output').textContent") == "2 of 4 arms"
        lines = "return [...document.querySelectorAll('#accuracy .wide .series')].filter((each) => getComputedStyle(each).display !== 'none').map((each) => each.dataset.name)"
        assert [name for name in ask(page, lines) if "cgan" in name.split(", ")] == []
        assert "real images only" in ask(page, lines)
        press(page, Keys.SPACE)
        assert ask(page, rows) == before

    def test_a_share_that_is_not_picked_leaves_the_lines(self, page):
        place = "document.querySelector('#accuracy .wide polyline').getAttribute('points').split(' ').length"
        assert ask(page, f"return {place}") == 2
        ask(page, "document.querySelector('[data-by=percent] input').click()")
        assert ask(page, f"return {place}") == 1

    def test_arrow_keys_read_a_chart(self, page):
        from selenium.webdriver.common.keys import Keys

        ask(page, "document.querySelector('#accuracy svg.chart').focus()")
        press(page, Keys.ARROW_RIGHT)
        first = ask(page, "return document.querySelector('#tip').textContent")
        assert re.fullmatch(r"real images only: [\d.]+ % \([\d.]+ to [\d.]+\) with 40 % of the real data", first)
        press(page, Keys.END)
        assert "with 100 % of the real data" in ask(page, "return document.querySelector('#tip').textContent")
        press(page, Keys.ESCAPE)
        assert not ask(page, "return document.querySelector('#tip').checkVisibility()")

    def test_the_slider_goes_through_epochs(self, page):
        from selenium.webdriver.common.keys import Keys

        shown = "return [...document.querySelectorAll('.frames')[0].querySelectorAll('.frame')].filter((each) => each.checkVisibility()).map((each) => each.dataset.epoch)"
        assert ask(page, shown) == ["6"]
        ask(page, "document.querySelector('.player input').focus()")
        press(page, Keys.ARROW_LEFT)
        assert ask(page, shown) == ["5"]

    def test_a_link_opens_its_arm(self, page):
        closed = "return document.querySelector('#arm-cgan-100-0').closest('details').open"
        assert not ask(page, closed)
        ask(page, "document.querySelector('a[href=\"#arm-cgan-100-0\"]').click()")
        time.sleep(0.3)
        assert ask(page, closed)

    def test_without_its_script_all_is_there(self, made):
        text = made.read_text()
        assert '<form id="filter" hidden' in text  # what would do nothing is not shown
        assert text.count('class="frame"') == 4 * 6 and 'class="frames"' in text


class TestSize:
    def test_a_hundred_classes_and_forty_arms_make_a_usable_page(self, params, tmp_path, chrome):
        generators = ["dcgan", "cgan", "acgan", "wgan", "wgan_gp", "r3gan", "vanilla", "projection_cgan", "attribute_cgan", "fairness_gan"]  # fmt: skip
        of = replace(params, generators=generators, percents=[40, 60, 80, 100])
        path = random_arms.report(tmp_path, of, [f"class {number}" for number in range(100)])
        assert path.stat().st_size < 5e6
        look(chrome, 375, "light")
        chrome.open(path.as_uri(), "40 of 40 arms", seconds=120)
        assert chrome.chrome.get_log("browser") == []
        assert ask(chrome, "return document.querySelectorAll('.arm').length") == 40
        assert ask(chrome, "return document.querySelectorAll('.arm[open]').length") == 1
        assert ask(chrome, "return document.documentElement.scrollWidth") == 375
        assert "The 20 classes told worst" in chrome.text() and "12 of 100 rows are shown" in chrome.text()
