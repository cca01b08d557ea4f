"""`labelmint import`: a person's own images become a file in data/raw and an experiment that names it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from labelmint.data.importing import Imported, import_images
from labelmint.data.settings import Dataset, Fit, OnBadImage
from labelmint.runtime.atomic_files import save_bytes
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import printable
from labelmint.runtime.settings import Compute

_LISTED = 8


def import_dataset(
    root: Path,
    origin: Path,
    name: str,
    size: int,
    fit: Fit,
    on_bad_image: OnBadImage,
    force: bool,
    dry_run: bool = False,
) -> Imported:
    """Write data/raw/<name>.tar and experiments/<name>.yaml. Raises: InputError; then nothing is written.

    dry_run: do all of it elsewhere, and throw it away.
    """
    relative = f"data/raw/{name}.tar"
    try:
        dataset = Dataset(
            name=name,
            format="imagefolder",
            path=relative,
            image_size=size,
            channels=3,
            fit=fit,
            on_bad_image=on_bad_image,
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    target, experiment = root / relative, root / "experiments" / f"{name}.yaml"
    for path in (target, experiment):
        if path.exists() and not force:
            raise InputError(f"{path} exists; choose another --name, or replace it with --force")
    if dry_run:
        with TemporaryDirectory() as folder:
            return import_images(origin, Path(folder) / target.name, dataset, Compute())
    made = import_images(origin, target, dataset, Compute())
    save_bytes(experiment, _overlay(dataset, made, origin).encode())
    return made


def describe(name: str, made: Imported) -> str:
    """What was taken in, for the person to check."""
    counts = sorted(zip(made.classes, made.counts), key=lambda each: -each[1])
    named = ", ".join(f"{printable(label)} {count:,}" for label, count in counts[:_LISTED])
    rest = f" and {len(counts) - _LISTED:,} more classes" if len(counts) > _LISTED else ""
    lines = [
        f"{name}: {sum(made.counts):,} images in {len(made.classes)} classes ({named}{rest}), {'grey' if made.grey else 'colour'}",
        "train and test as they were given" if made.own_split else "no test set of its own: `prepare` holds one out",
    ]
    if made.repeated:
        lines.append(f"{made.repeated:,} images are there more than once; none will be in training and test alike")
    return "\n".join(lines)


def _overlay(dataset: Dataset, made: Imported, origin: Path) -> str:
    settings = {
        "name": dataset.name,
        "format": dataset.format,
        "path": dataset.path,
        "sha256": made.sha256,
        "image_size": dataset.image_size,
        "channels": 1 if made.grey else 3,
        "fit": dataset.fit,
        "on_bad_image": dataset.on_bad_image,
    }
    # JSON's strings are YAML's too, whatever a name holds.
    lines = [
        f"# Images of one's own: {sum(made.counts):,} in {len(made.classes)} classes, imported from {json.dumps(origin.name)}."
    ]
    lines += ["dataset:", *(f"  {name}: {json.dumps(value)}" for name, value in settings.items())]
    return "\n".join(lines) + "\n"
