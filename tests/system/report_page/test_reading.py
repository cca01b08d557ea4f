"""Reading the report in Chromium: without risk, on a phone, in light and dark colours, and in print."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.system.browser import emulate, execute
from tests.system.report_page.conftest import EVIL

pytestmark = pytest.mark.xdist_group("report_page")  # with one report and one browser
TEXT, IMAGE = 1, 3  # types of objects in a PDF, as PDFium numbers them

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
