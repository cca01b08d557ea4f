"""Using the report in Chromium: by mouse and keyboard, its figures as files, and very many arms."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from labelmint.reporting.charts import PALETTE
from tests import random_arms
from tests.system.browser import Page, emulate, execute, press
from tests.system.servers import until

pytestmark = pytest.mark.xdist_group("report_page")  # with one report and one browser


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
