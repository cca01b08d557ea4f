"""The index of docs/results: its records, the table made from them, and its pages."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from benchmarks import results
from benchmarks.results_parts import bars, index, picture, png, records
from benchmarks.results_parts.bars import Bar, Bars
from benchmarks.results_parts.records import Entry, Measured, Record
from labelmint.metrics.worth import Worth
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.errors import InputError

ENTRY = Entry(
    dataset="mnist",
    percent=40,
    generator="dcgan",
    network="small_cnn",
    steps=100,
    seeds=3,
    split="test",
    test_images=10_000,
    sources={
        "real": Measured(0.99, 0.985, 0.995, real_images=24_000, synthetic_images=0),
        "synthetic": Measured(0.9812, worth=Worth(1234.0, 987.0, 2345.0, 600, 60_000)),
    },
)
RECORD = Record(
    title="a trial",
    date="2026-11-28",
    command="make repro",
    machine="some CPU, 2 cores",
    torch="2.15.0",
    code=None,
    chosen_on="validation",
    entries=[ENTRY],
)


def test_the_committed_index_agrees_with_its_records():
    """`python benchmarks/results.py index` would change nothing. It also finds every page that they name."""
    found, readme = records.load_all(results.FOLDER), results.FOLDER / "README.md"
    assert len(index.rows(found)) > 10
    assert index.with_table(readme, index.table(index.rows(found))) == readme.read_text(encoding="utf-8")
    for name, rows in index.pictures(results.FOLDER, found).items():
        assert png.shows(results.FOLDER / name, picture.shown(rows)), name
        assert (results.FOLDER / name).stat().st_size < 100_000, name
    for page, chart in bars.CHARTS.items():
        picture_of_page = (results.FOLDER / page).with_suffix(".png")
        values = bars.read(results.FOLDER / page, chart)
        assert png.shows(picture_of_page, bars.shown(values, chart)), page


def test_every_page_shows_a_picture_that_is_there():
    for page in results.FOLDER.glob("*.md"):
        shown = re.findall(r"^!\[.+\]\((\S+\.png)\)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert shown, page.name
        assert all((results.FOLDER / name).is_file() for name in shown), page.name


def test_bars_have_the_first_number_of_each_cell(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "text\n\n| a | b | time, s |\n|---|---|---|\n| x | `one` | **1,234.5** [1, 2] |\n"
        "| | two | −3 % |\n| y | – | none |\n\n| c |\n|---|\n| 1 |\n",
        encoding="utf-8",
    )
    chart = Bars(("a", "b"), ("time, s",), "seconds")
    found = bars.read(page, chart)
    assert found == [Bar("x, one", (1234.5,)), Bar("x, two", (-3.0,))]
    (tmp_path / "page.png").write_bytes(bars.draw(found, chart))
    assert png.shows(tmp_path / "page.png", bars.shown(found, chart))
    assert not png.shows(tmp_path / "page.png", bars.shown(found[:1], chart))
    with pytest.raises(ValueError, match="'d' is not in list"):
        bars.read(page, replace(chart, labels=("d",)))


def test_the_index_links_every_page_once_in_its_list_and_no_other():
    text = (results.FOLDER / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"\((\S+\.md)\) \|$", text.partition("\n## Pages\n")[2], re.MULTILINE)
    pages = {path.name for path in results.FOLDER.glob("*.md")} - {"README.md"}
    assert sorted(listed) == sorted(pages)


def test_a_row_has_intervals_worth_and_what_is_not_known():
    (line,) = index.table(index.rows({"trial": RECORD})).splitlines()[2:]
    assert line == (
        "| mnist | 40 % (24,000) | dcgan | 99.00 [98.50, 99.50] | 98.12 | – | – | 1,200 [990, 2,300] | 3 "
        "| held-out images | some CPU, 2 cores | [2026-11-28: a trial](trial.json) |"
    )


def test_rows_are_the_newest_first_within_data_set_and_fraction_without_replaced_ones():
    small = replace(ENTRY, percent=5)
    found = {
        "old": replace(RECORD, date="2026-11-01", entries=[ENTRY, small]),
        "kept": replace(RECORD, date="2026-11-02"),
        "new": replace(RECORD, date="2026-11-03", replaces=["old"]),
        "digits": replace(RECORD, entries=[replace(ENTRY, dataset="digits")]),
    }
    assert [(row.name, row.entry.percent) for row in index.rows(found)] == [
        *(("digits", 40), ("old", 5), ("new", 40), ("kept", 40))
    ]


def test_a_page_that_shows_its_picture_has_all_runs_of_the_page(tmp_path):
    (tmp_path / "trial.md").write_text("![Accuracy](trial.png)\n", encoding="utf-8")
    (tmp_path / "silent.md").write_text("No picture.\n", encoding="utf-8")
    found = {
        "old": replace(RECORD, page="trial.md"),
        "new": replace(RECORD, page="trial.md", replaces=["old"]),
        "silent": replace(RECORD, page="silent.md"),
    }
    shown = index.pictures(tmp_path, found)
    assert {name: [row.name for row in rows] for name, rows in shown.items()} == {
        "headline.png": ["silent", "new"],
        "trial.png": ["old", "new"],
    }


def test_records_survive_their_file_and_other_json_is_left_alone(tmp_path):
    path = records.path_of(tmp_path, "trial")
    records.save(path, RECORD)
    save_json(tmp_path / "speed.json", {"ratio": 2})
    assert records.load_all(tmp_path) == {"trial": RECORD}
    with pytest.raises(InputError, match=r"trial\.json exists; choose another name"):
        records.path_of(tmp_path, "trial")
    with pytest.raises(InputError, match=r"'\.\./trial' is not a name of results"):
        records.path_of(tmp_path, "../trial")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replaces": ["other"]}, "replaces other, which is no record beside it"),
        ({"page": "trial.md"}, "its page trial.md does not exist"),
        ({"date": "yesterday"}, "date: String should match pattern"),
        ({"machines": 2}, "machines: Unexpected keyword argument"),
        ({"entries": []}, "entries: List should have at least 1 item"),
    ],
)
def test_a_record_that_is_wrong_is_named_with_the_reason(tmp_path, change, message):
    path = tmp_path / "trial.json"
    records.save(path, RECORD)
    save_json(path, load_json(path) | change)
    with pytest.raises(InputError, match=rf"trial\.json: .*{message}"):
        records.load_all(tmp_path)


def test_accuracies_are_fractions(tmp_path):
    path, percent = tmp_path / "trial.json", Measured(98.12)
    records.save(path, replace(RECORD, entries=[replace(ENTRY, sources={"real": percent})]))
    with pytest.raises(InputError, match=r"entries\.0\.sources\.real\.accuracy: .* less than or equal to 1"):
        records.load_all(tmp_path)


def test_a_page_without_the_marks_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("# Results\n", encoding="utf-8")
    with pytest.raises(InputError, match="the comments around the table are missing"):
        results.write_index(tmp_path)
