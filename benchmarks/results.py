"""The index of results: records of runs in docs/results/*.json, and the headline table made from them.

`python benchmarks/results.py record NAME --title TEXT --chosen-on test|validation|nothing` writes what the
last run measured to docs/results/NAME.json: accuracies with intervals and worth by data set, fraction and
generator, with the settings, machine, code and command. Run it on the machine of the run.

`python benchmarks/results.py index` rewrites the table and the picture of docs/results/README.md from all
records, and the picture PAGE.png of each page that shows one, from its records or its own table. JSON
files of other benchmarks in that folder are left alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.results_parts import bars, index, picture, png, recording, records
from labelmint.runtime.atomic_files import save_bytes
from labelmint.runtime.errors import InputError

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "results"


def write_index(folder: Path) -> list[str]:
    """Bring the table of README.md and all pictures up to date. Returns: names of the written files."""
    readme, found = folder / "README.md", records.load_all(folder)
    text = index.with_table(readme, index.table(index.rows(found)))
    written = []
    if text != readme.read_text(encoding="utf-8"):
        save_bytes(readme, text.encode())
        written.append(readme.name)
    for name, rows in index.pictures(folder, found).items():
        if not png.shows(folder / name, picture.shown(rows)):
            save_bytes(folder / name, picture.draw(rows))
            written.append(name)
    for page, chart in bars.CHARTS.items():
        if not (folder / page).exists():
            continue
        path, values = (folder / page).with_suffix(".png"), bars.read(folder / page, chart)
        if not png.shows(path, bars.shown(values, chart)):
            save_bytes(path, bars.draw(values, chart))
            written.append(path.name)
    return written


def main() -> None:
    arguments = _parser().parse_args()
    try:
        if arguments.command == "index":
            print(f"written: {', '.join(write_index(FOLDER)) or 'nothing, all is up to date'}")
            return
        path = records.path_of(FOLDER, arguments.name)
        found = recording.record(
            ROOT, arguments.title, arguments.chosen_on, arguments.page, arguments.replaces
        )
        records.save(path, found)
        print(f"written: {path}; next: python benchmarks/results.py index")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("index", help="rewrite the table and the pictures")
    record = commands.add_parser("record", help="write a record of the last run")
    record.add_argument("name", help="name of the record: docs/results/NAME.json")
    record.add_argument("--title", required=True, help="what distinguishes this run, in a few words")
    record.add_argument(
        "--chosen-on",
        required=True,
        choices=get_args(records.ChosenOn),
        help="images on which its settings were compared with others",
    )
    record.add_argument("--page", help="page in docs/results that explains the run")
    record.add_argument(
        "--replaces", nargs="+", default=[], metavar="NAME", help="records that the table shows no longer"
    )
    return parser


if __name__ == "__main__":
    main()
