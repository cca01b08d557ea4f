"""Implementation of `labelmint import`: your own images become a file in data/raw and an experiment."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from labelmint.data.importing import Imported, import_images
from labelmint.data.settings import Dataset
from labelmint.runtime.atomic_files import save_bytes
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import printable
from labelmint.runtime.settings import Compute
from labelmint.runtime.words import counted

_SPLITS = {"train": "training", "validation": "validation", "test": "test"}
_MAX_CLASSES = 8  # named in the description


def import_dataset(
    root: Path, origin: Path, dataset: Dataset, force: bool = False, dry_run: bool = False
) -> Imported:
    """Write data/raw/<name>.tar and experiments/<name>.yaml. Raises InputError; then nothing is written.

    force: replace an earlier import. dry_run: do all the work in a temporary folder.
    """
    target, experiment = root / str(dataset.path), root / "experiments" / f"{dataset.name}.yaml"
    for path in (target, experiment):
        if path.exists() and not force:
            raise InputError(f"{path} exists; choose another --name, or replace it with --force")
    if dry_run:
        with TemporaryDirectory() as folder:
            return import_images(origin, Path(folder) / target.name, dataset, Compute())
    imported = import_images(origin, target, dataset, Compute())
    save_bytes(experiment, _overlay(dataset, imported, origin).encode())
    return imported


def describe(dataset: Dataset, imported: Imported) -> str:
    """What was imported, for the user to check."""
    counts = sorted(zip(imported.classes, imported.counts), key=lambda each: -each[1])
    named = ", ".join(f"{printable(label)} {count:,}" for label, count in counts[:_MAX_CLASSES])
    others = len(counts) - _MAX_CLASSES
    rest = f" and {others:,} more" if others > 0 else ""
    images = counted(sum(imported.counts), "image")
    colour = "grey" if imported.grey else "colour"
    rows = [("labels", imported.labels)]
    rows += [(_SPLITS[split], counted(count, "image")) for split, count in imported.splits.items()]
    if "test" not in imported.splits:
        rows.append(("test", f"no test set: {dataset.test_percent} % of each class will be held out"))
    if imported.copies and imported.splits:
        also = "is also in another set; it" if imported.copies == 1 else "are also in another set; they"
        rows.append(
            ("copies", f"{counted(imported.copies, 'training image')} {also} will be left out of training")
        )
    elif imported.repeated:
        are = "are copies of others" if imported.repeated > 1 else "is a copy of another"
        none = "none will be in both training and test set"
        rows.append(("copies", f"{counted(imported.repeated, 'image')} {are}; {none}"))
    if imported.contradictory:
        rows.append(
            ("labels", f"{counted(imported.contradictory, 'image')} with equal content in another class")
        )
    rows += [("left out", text) for text in imported.left_out]
    lines = [f"  {printable(f'{title:<10}  {text}')}" for title, text in rows]
    return "\n".join([f"{dataset.name}: {images} in {len(counts)} classes ({named}{rest}), {colour}", *lines])


def _overlay(dataset: Dataset, imported: Imported, origin: Path) -> str:
    settings: dict[str, str | int | None] = {
        "name": dataset.name,
        "format": dataset.format,
        "path": dataset.path,
        "sha256": imported.sha256,
        "image_size": dataset.image_size,
        "channels": 1 if imported.grey else 3,
        "fit": dataset.fit,
        "on_bad_image": dataset.on_bad_image,
    }
    if imported.bit_depth is not None:
        settings["bit_depth"] = imported.bit_depth
    # JSON strings are valid YAML, whatever a name contains.
    images = f"{sum(imported.counts):,} in {len(imported.classes)} classes"
    lines = [
        f"# Your own images: {images}, imported from {json.dumps(origin.name)}.",
        "dataset:",
        *(f"  {name}: {json.dumps(value)}" for name, value in settings.items()),
    ]
    return "\n".join(lines) + "\n"
