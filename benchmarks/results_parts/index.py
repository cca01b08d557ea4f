"""The headline table of docs/results/README.md, and which rows the pictures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results_parts.bars import CHARTS
from benchmarks.results_parts.records import Entry, Measured, Record
from labelmint.reporting.worth import in_words
from labelmint.runtime.errors import InputError

BEGIN = "<!-- The table below is made by `python benchmarks/results.py index`. -->\n\n"
END = "\n<!-- End of the table. -->"

_HEADINGS = (
    *("data set", "real images", "generator", "real %", "synthetic %", "distilled %", "mixed %"),
    *("worth of synthetic images", "seeds", "settings chosen on", "machine", "run"),
)
_CHOSEN_ON = {
    "test": "test images",
    "validation": "held-out images",
    "nothing": "fixed before",
    None: "not stated",
}


@dataclass(frozen=True)
class Row:
    """One entry of a record. name: of the record."""

    name: str
    record: Record
    entry: Entry


def rows(records: Mapping[str, Record]) -> list[Row]:
    """Entries that no other record replaces, in order."""
    replaced = {
        (name, entry.arm)
        for record in records.values()
        for name in record.replaces
        for entry in record.entries
    }
    return [row for row in _all_rows(records) if (row.name, row.entry.arm) not in replaced]


def pictures(folder: Path, records: Mapping[str, Record]) -> dict[str, list[Row]]:
    """Rows of each picture by its file: that of the table, and PAGE.png of each page that shows one.

    Pages whose picture is drawn from a table of their own are left out.
    """
    found = {"headline.png": rows(records)}
    for page in sorted({record.page for record in records.values() if record.page} - CHARTS.keys()):
        name = Path(page).with_suffix(".png").name
        if f"({name})" in (folder / page).read_text(encoding="utf-8"):
            found[name] = [row for row in _all_rows(records) if row.record.page == page]
    return found


def _all_rows(records: Mapping[str, Record]) -> list[Row]:
    """Entries by data set and fraction, the newest first."""
    found = [Row(name, record, entry) for name, record in records.items() for entry in record.entries]
    found.sort(key=lambda row: (row.record.date, row.entry.seeds, row.name), reverse=True)
    return sorted(found, key=lambda row: (row.entry.dataset, row.entry.percent))


def table(found: list[Row]) -> str:
    """The rows in Markdown."""
    lines = (_HEADINGS, ("---",) * len(_HEADINGS), *map(_cells, found))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def with_table(readme: Path, text: str) -> str:
    """Content of the page with this table. Raises: InputError if the page lacks the marks around it."""
    content = readme.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(
            f"{readme}: the comments around the table are missing: {BEGIN.strip()} {END.strip()}"
        )
    return before + begin + text + end + after


def _cells(row: Row) -> tuple[str, ...]:
    record, entry = row.record, row.entry
    names = ("real", "synthetic", "synthetic_distilled", "mixed")
    real, synthetic, distilled, mixed = map(entry.sources.get, names)
    count = f" ({real.real_images:,})" if real and real.real_images else ""
    return (
        entry.dataset,
        f"{entry.percent} %{count}",
        entry.generator,
        *(_accuracy(each) for each in (real, synthetic, distilled, mixed)),
        in_words(synthetic.worth) if synthetic and synthetic.worth else "–",
        str(entry.seeds),
        _CHOSEN_ON[record.chosen_on],
        record.machine,
        f"[{record.date}: {record.title}]({record.page or f'{row.name}.json'})",
    )


def _accuracy(found: Measured | None) -> str:
    if found is None:
        return "–"
    value = f"{100 * found.accuracy:.2f}"
    if found.low is None or found.high is None:
        return value
    return f"{value} [{100 * found.low:.2f}, {100 * found.high:.2f}]"
