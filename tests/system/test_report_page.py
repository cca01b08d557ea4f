"""The report in Chromium: by mouse and keyboard, on a phone, dark, in print, and with very many arms."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from labelmint.reporting.charts import PALETTE
from tests import random_arms
from tests.system.browser import Page, browser
from tests.system.servers import until

TEXT, IMAGE = 1, 3  # types of objects in a PDF, as PDFium numbers them
EVIL = "<script>alert(1)</script>"

_CONTRASTS = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = (colour) => {
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const [r, g, b] = colour.slice(0, 3).map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const background = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = rgba(getComputedStyle(at).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
};
const lowest = new Map();
for (const element of document.querySelectorAll('body *')) {
  if (!element.checkVisibility() || element.closest('script, .unseen')) continue;
  if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
  const style = getComputedStyle(element), svg = element instanceof SVGElement;
  const luminances = [luminance(rgba(svg ? style.fill : style.color)), luminance(background(element))];
  const [high, low] = luminances.sort((a, b) => b - a);
  const ratio = (high + 0.05) / (low + 0.05);
  const key = `${element.tagName}.${element.className.baseVal ?? element.className}`;
  if (!(lowest.get(key)?.[0] <= ratio)) lowest.set(key, [ratio, element.textContent.trim().slice(0, 40)]);
}
return [...lowest].map(([key, [ratio, text]]) => [ratio, `${key}: ${text}`]).sort((a, b) => a[0] - b[0]);
"""

_STRUCTURE = """
const all = (selector) => [...document.querySelectorAll(selector)];
const levels = all('h1,h2,h3,h4,h5').map((each) => +each.tagName[1]);
const ids = all('[id]').map((each) => each.id);
return {
  main: all('main').length,
  nav: all('nav[aria-label]').length,
  h1: levels.filter((level) => level === 1).length,
  skipped_levels: levels.filter((level, index) => index && level > levels[index - 1] + 1).length,
  images_without_text: all('img:not([alt]), img[alt=""]').length,
  charts_without_text: all('svg:not([aria-hidden])').filter((each) => !each.ariaLabel).length,
  tables_without_caption: all('table').filter((each) => !each.caption?.textContent.trim()).length,
  repeated_ids: ids.length - new Set(ids).size,
  broken_links: all('a[href^="#"]').filter((each) => !document.getElementById(each.hash.slice(1))).length,
}
"""

_OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"


@pytest.fixture(scope="module")
def report(params, tmp_path_factory) -> Path:
    """Two generators on two fractions of ten classes, one of which has a hostile name."""
    shown = replace(params, generators=["dcgan", "cgan"], percents=[40, 100])
    return random_arms.report(tmp_path_factory.mktemp("report"), shown, [EVIL, *map(str, range(1, 10))])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture
def page(chromium, report):
    """The report, freshly loaded at a width of 1280 pixels, in light mode."""
    emulate(chromium, 1280, "light")
    chromium.open(report.as_uri(), "What is synthetic noise data worth?", seconds=60)
    return chromium


@pytest.fixture
def printed(page) -> Any:
    """The page as Chromium prints it, closed arms among it."""
    from pypdfium2 import PdfDocument

    options = {"printBackground": True, "preferCSSPageSize": True, "generateDocumentOutline": True}
    sheet = {"paperWidth": 8.27, "paperHeight": 11.69, "generateTaggedPDF": True}  # A4 in inches
    pdf = page.chrome.execute_cdp_cmd("Page.printToPDF", options | sheet)["data"]
    document = PdfDocument(base64.b64decode(pdf))
    yield document
    document.close()


def _bounds(page: Any, *types: int) -> list[tuple[float, float, float, float]]:
    """(left, bottom, right, top) of the page's objects of some types, points."""
    return [each.get_bounds() for each in page.get_objects(list(types))]


def emulate(page: Page, width: int, scheme: str) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})


def execute(page: Page, script: str) -> Any:
    return page.chrome.execute_script(script)


def press(page: Page, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page.chrome).send_keys(*keys).perform()


class TestSafety:
    def test_there_is_no_error_and_no_network_request(self, page):
        assert page.chrome.get_log("browser") == []
        names = execute(page, "return performance.getEntriesByType('resource').map((each) => each.name)")
        assert [name for name in names if not name.startswith("data:")] == []

    def test_a_class_name_is_not_executed(self, page, report):
        text = report.read_text()
        assert text.count("<script") == text.count("</script>") == 1
        assert "&lt;script&gt;alert(1)" in text
        assert execute(page, "return document.scripts.length") == 1
        assert EVIL in page.text()
        titles = execute(page, "return [...document.querySelectorAll('.heat th')].map((each) => each.title)")
        assert titles.count(EVIL) >= 2

    def test_the_policy_blocks_other_scripts(self, page):
        execute(
            page,
            "const script = document.createElement('script'); "
            "script.textContent = 'window.broken = 1'; document.body.append(script)",
        )
        assert execute(page, "return window.broken ?? null") is None
        assert any("Content Security Policy" in entry["message"] for entry in page.chrome.get_log("browser"))


class TestReading:
    def test_the_page_fits_a_phone(self, page, report):
        emulate(page, 375, "light")
        page.open(report.as_uri())
        execute(page, _OPEN_ALL)
        assert execute(page, "return [innerWidth, document.documentElement.scrollWidth]") == [375, 375]

    @pytest.mark.parametrize("width", [1280, 1920])
    def test_the_main_table_shows_all_its_columns(self, page, report, width):
        emulate(page, width, "light")
        page.open(report.as_uri())
        table = "document.querySelector('.scroll[aria-label=\"All results\"]')"
        shown, needed = execute(page, f"return [{table}.clientWidth, {table}.scrollWidth]")
        assert needed == shown
        assert execute(page, "return document.documentElement.scrollWidth <= innerWidth")

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_text_has_enough_contrast(self, page, report, scheme):
        """4.5:1 (WCAG 2.2, 1.4.3)."""
        emulate(page, 1280, scheme)
        page.open(report.as_uri())
        execute(page, _OPEN_ALL)
        dark = execute(page, "return matchMedia('(prefers-color-scheme: dark)').matches")
        assert dark == (scheme == "dark")
        contrasts = execute(page, _CONTRASTS)
        assert len(contrasts) > 20
        assert [each for each in contrasts if each[0] < 4.5] == []

    def test_the_structure_is_accessible(self, page):
        found = execute(page, _STRUCTURE)
        assert {name for name, count in found.items() if count} == {"main", "nav", "h1"}
        assert (found["main"], found["nav"], found["h1"]) == (1, 1, 1)

    def test_print_has_light_colours_and_all_frames(self, page, report):
        emulate(page, 1280, "dark")
        page.open(report.as_uri())
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        background = execute(page, "return getComputedStyle(document.body).backgroundColor")
        assert background == "rgb(255, 255, 255)"
        frames = "[...document.querySelector('.frames').querySelectorAll('.frame')]"
        assert execute(page, f"return {frames}.every((each) => each.checkVisibility())")
        assert not execute(page, "return document.querySelector('#filter').checkVisibility()")

    def test_the_first_printed_page_has_verdict_chart_and_samples(self, printed, page):
        first = printed[0]
        text = " ".join(first.get_textpage().get_text_range().split())
        assert execute(page, "return document.querySelector('.headline').textContent") in text
        assert "fraction of the real training data, %" in text and "synthetic images only" in text
        (samples,) = _bounds(first, IMAGE)
        assert samples[3] - samples[1] > 60  # points

    def test_no_heading_is_the_last_on_its_printed_page(self, printed, page):
        """Each has text or a picture at least 1.5 cm below it."""
        headings = [(each.get_title(), each.get_dest()) for each in printed.get_toc()]
        assert sum(title == "Real and synthetic images" for title, _ in headings) == 4, "closed arms are open"
        orphans = [
            title
            for title, place in headings
            if min(bottom for _, bottom, *_ in _bounds(printed[place.get_index()], IMAGE, TEXT))
            > place.get_view()[1][1] - 60
        ]
        assert not orphans
        opened = execute(page, "return document.querySelectorAll('.arm[open]').length")
        assert opened == 1, "arms that printing opened are closed again"


class TestFiles:
    """Figures as files, and links to files."""

    def save(self, page: Page, folder: Path, button: str) -> Path:
        """Click a button, and wait for its file."""
        parameters = {"behavior": "allow", "downloadPath": str(folder)}
        page.chrome.execute_cdp_cmd("Browser.setDownloadBehavior", parameters)
        execute(page, f"document.querySelector({json.dumps(button)}).click()")
        until(lambda: any(path.suffix in (".svg", ".png") for path in folder.iterdir()), 60)
        (file,) = folder.iterdir()
        return file

    def test_a_chart_is_saved_as_svg_with_its_legend_in_light_colours(self, page, report, tmp_path):
        emulate(page, 1280, "dark")
        page.open(report.as_uri())
        file = self.save(page, tmp_path, "#accuracy .save button")
        assert file.name == "accuracy-against-the-fraction-of-real-data.svg"
        drawn = ElementTree.parse(file).getroot()
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
        texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
        assert {"accuracy on real test images, %", "real images only"} <= set(texts)
        strokes = {each.get("stroke") for each in drawn.iter("{http://www.w3.org/2000/svg}polyline")}
        light = "rgb({}, {}, {})".format(*bytes.fromhex(PALETTE[0][0][1:]))
        assert light in strokes and "var(" not in file.read_text()

    @pytest.mark.parametrize(
        ("button", "name"),
        [
            ("#accuracy .save button + button", "accuracy-against-the-fraction-of-real-data"),
            (".arm figure:has(.sheet) .save button", "dcgan-40-0-real-training-images-on-the-left"),
        ],
        ids=["chart", "picture"],
    )
    def test_a_figure_is_saved_as_png(self, page, tmp_path, button, name):
        file = self.save(page, tmp_path, button)
        assert file.name.startswith(name) and file.suffix == ".png"
        with Image.open(file) as picture:
            assert picture.width > 300 and len(picture.convert("RGB").getcolors(1 << 24) or []) > 2

    def test_results_are_linked(self, page, report):
        links = execute(page, "return [...document.links].map((each) => each.href)")
        assert report.with_name("results.csv").as_uri() in links


class TestUse:
    def test_the_filter_works_by_keyboard(self, page):
        from selenium.webdriver.common.keys import Keys

        rows = (
            "return [...document.querySelectorAll('#accuracy tbody tr')]"
            ".filter((each) => each.checkVisibility()).length"
        )
        before = execute(page, rows)
        assert before == 2 * 2 * 3
        press(page, Keys.TAB)
        assert execute(page, "return document.activeElement.className") == "skip"
        for _ in range(40):
            press(page, Keys.TAB)
            if execute(page, "return document.activeElement.value") == "cgan":
                break
        assert execute(page, "return getComputedStyle(document.activeElement).outlineStyle") == "solid"
        press(page, Keys.SPACE)
        assert execute(page, rows) == before / 2
        assert execute(page, "return document.querySelector('#filter output').textContent") == "2 of 4 arms"
        lines = execute(
            page,
            "return [...document.querySelectorAll('#accuracy .first .series')]"
            ".filter((each) => getComputedStyle(each).display !== 'none').map((each) => each.dataset.name)",
        )
        assert [name for name in lines if "cgan" in name.split(", ")] == []
        assert "real images only" in lines
        press(page, Keys.SPACE)
        assert execute(page, rows) == before

    def test_lines_omit_a_fraction_that_is_not_selected(self, page):
        line = "document.querySelector('#accuracy .first polyline')"
        points = f"return {line}.getAttribute('points').split(' ').length"
        assert execute(page, points) == 2
        execute(page, "document.querySelector('[data-by=percent] input').click()")
        assert execute(page, points) == 1

    def test_arrow_keys_read_a_chart(self, page):
        from selenium.webdriver.common.keys import Keys

        tip = "return document.querySelector('#tip').textContent"
        execute(page, "document.querySelector('#accuracy svg.chart').focus()")
        press(page, Keys.ARROW_RIGHT)
        expected = r"real images only: [\d.]+ % \([\d.]+ to [\d.]+\) with 40 % of the real data"
        assert re.fullmatch(expected, execute(page, tip))
        press(page, Keys.END)
        assert "with 100 % of the real data" in execute(page, tip)
        press(page, Keys.ESCAPE)
        assert not execute(page, "return document.querySelector('#tip').checkVisibility()")

    def test_the_slider_moves_through_epochs(self, page):
        from selenium.webdriver.common.keys import Keys

        shown = (
            "return [...document.querySelectorAll('.frames')[0].querySelectorAll('.frame')]"
            ".filter((each) => each.checkVisibility()).map((each) => each.dataset.epoch)"
        )
        assert execute(page, shown) == ["6"]
        execute(page, "document.querySelector('.player input').focus()")
        press(page, Keys.ARROW_LEFT)
        assert execute(page, shown) == ["5"]

    def test_a_link_opens_its_arm(self, page):
        from selenium.webdriver.support.ui import WebDriverWait

        is_open = "return document.querySelector('#arm-cgan-100-0').closest('details').open"
        assert not execute(page, is_open)
        execute(page, "document.querySelector('a[href=\"#arm-cgan-100-0\"]').click()")
        assert WebDriverWait(page.chrome, 30).until(lambda _: execute(page, is_open))

    def test_everything_is_shown_without_the_script(self, report):
        text = report.read_text()
        assert '<form id="filter" hidden' in text  # controls without effect are hidden
        assert text.count('class="frame"') == 4 * 6
        assert 'class="frames"' in text


def test_forty_arms_of_a_hundred_classes_make_a_usable_page(params, tmp_path, chromium):
    generators = [
        *("dcgan", "cgan", "acgan", "wgan", "wgan_gp", "r3gan", "vanilla"),
        *("projection_cgan", "attribute_cgan", "fairness_gan"),
    ]
    shown = replace(params, generators=generators, percents=[40, 60, 80, 100])
    report = random_arms.report(tmp_path, shown, [f"class {number}" for number in range(100)])
    assert report.stat().st_size < 5e6
    emulate(chromium, 375, "light")
    chromium.open(report.as_uri(), "40 of 40 arms", seconds=120)
    assert chromium.chrome.get_log("browser") == []
    assert execute(chromium, "return document.querySelectorAll('.arm').length") == 40
    assert execute(chromium, "return document.querySelectorAll('.arm[open]').length") == 1
    assert execute(chromium, "return document.documentElement.scrollWidth") == 375
    text = chromium.text()
    assert "The 20 classes with the lowest recall" in text
    assert "12 of 100 rows are shown" in text
