"""The commands that read or write images: `import` and `sample`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from labelmint.data.reading.reading import Choice
from labelmint.data.settings import Dataset
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import printable
from labelmint.runtime.settings import Compute
from labelmint.runtime.words import counted
from pipeline.cli.options import AsJson, Labels, Layout, Split, complete_classifier, complete_generator
from pipeline.project import project_root, project_root_or_none

app = typer.Typer()


@app.command("import", epilog="Example: labelmint import ~/photos.zip --name photos --size 64")
def import_(
    origin: Annotated[
        Path, typer.Argument(help="Folder, zip or tar with one folder of images per class; or an .npz.")
    ],
    *,
    name: Annotated[
        str, typer.Option(help="Name of the data set: lower-case letters, digits and _, e.g. photos.")
    ],
    size: Annotated[int, typer.Option(help="Width and height of the images to learn, pixels.")] = 32,
    fit: Annotated[
        Literal["cover", "contain", "resize"],
        typer.Option(help="How images become square: cut what is over, pad, or stretch."),
    ] = "cover",
    on_bad_image: Annotated[
        Literal["fail", "skip"],
        typer.Option(help="Whether a bad image ends the import, or is left out: up to 1 %, or three."),
    ] = "fail",
    encoding: Annotated[
        str | None,
        typer.Option(
            help="Encoding of the names in a zip or tar that does not state it, e.g. gbk. Default: guessed.",
            show_default=False,
        ),
    ] = None,
    layout: Layout = None,
    split: Split = "",
    labels: Labels = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier import of the same name.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every image, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import your own images: check each, pack them into data/raw, and write an experiment for them."""
    from pipeline.cli import reading
    from pipeline.cli.importing import describe, import_dataset

    root = project_root()
    try:
        dataset = Dataset(
            name=name,
            format="imagefolder",
            path=f"data/raw/{name}.tar",
            image_size=size,
            channels=3,
            fit=fit,
            on_bad_image=on_bad_image,
            encoding=encoding,
            **reading.of_flags(layout, split, labels).settings,
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    imported = reading.decided(
        lambda choice: import_dataset(root, origin, replace(dataset, **choice.settings), force, dry_run),
        Choice.of(dataset),
    )
    if as_json:
        typer.echo(json.dumps({**asdict(imported), "path": str(imported.path)}, ensure_ascii=False))
        return
    for image, reason in imported.bad:
        typer.echo(f"left out: {printable(f'{image}: {reason}')}", err=True)
    first_look = f"next: make repro DATASET={name} QUICK=1   (a first look; without QUICK=1 the full size)"
    typer.echo(f"{describe(dataset, imported)}\n{'nothing was written' if dry_run else first_look}")


@app.command(epilog="Example: labelmint sample dcgan-100-0 --class 7 --count 100 --out sevens")
def sample(
    generator: Annotated[
        str,
        typer.Argument(
            help="An arm, e.g. dcgan-100-0, or the folder of a generator.", autocompletion=complete_generator
        ),
    ],
    *,
    count: Annotated[
        int, typer.Option(help="Images per class; in all if labels are attributes or there are none.")
    ],
    out: Annotated[
        Path, typer.Option(help="New folder, or the folder of an interrupted run of the same command.")
    ],
    requested: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="A class, or attributes, e.g. Male+Smiling. May be repeated. Default: all.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        Literal["folders", "tensors", "parquet", "webdataset"],
        typer.Option(help="PNG files in class folders, .npy arrays, Parquet, or WebDataset tars."),
    ] = "folders",
    seed: Annotated[int, typer.Option(help="Seed. The same seed gives the same bytes.")] = 0,
    latent_deviation: Annotated[
        float | None,
        typer.Option(
            help="Factor of the latents, as synthesis.latent_deviation. Default: that of the arm's synthetic "
            "data set, else 1.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes. Default: one per core.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="As compute.device: auto, cpu, cuda, cuda:N or mps.")] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be generated, and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Generate labelled images from a trained generator. Needs no training data and no project.

    Run an interrupted command again to continue it.
    """
    from pipeline.cli import sampling

    try:
        compute = Compute(device=device, workers="auto" if workers is None else workers)
    except ValueError as error:
        raise InputError(str(error)) from error
    root = project_root_or_none()
    request = sampling.Request(
        generator, tuple(requested or ()), count, out, format, seed, latent_deviation, compute, dry_run
    )
    done = sampling.sample(root, request)
    typer.echo(json.dumps(asdict(done), ensure_ascii=False) if as_json else sampling.describe(done, dry_run))


@app.command(epilog="Example: labelmint predict new_photos --out labels.csv")
def predict(
    images: Annotated[
        Path, typer.Argument(help="An image, a folder with images at any depth, or a zip or tar.")
    ],
    *,
    classifier: Annotated[
        str,
        typer.Option(
            help="A classifier of the project, e.g. dcgan-100-0/mixed, or the folder of a saved one. "
            "Default: the one whose accuracy has the highest lower end of its interval.",
            show_default=False,
            autocompletion=complete_classifier,
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="File to write. Default: standard output.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="As compute.device: auto, cpu, cuda, cuda:N or mps.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Label new images with a trained classifier: CSV or JSON with the probability of each class."""
    from labelmint.runtime.atomic_files import save_bytes
    from pipeline.cli import prediction

    name, found = prediction.find(project_root_or_none(), classifier, device)
    predictions, bad = found.predict_files(images)
    text = prediction.to_json(predictions) if as_json else prediction.to_csv(predictions, found.classes)
    if out:
        save_bytes(out, text.encode())
    else:
        typer.echo(text, nl=False)
    for image, reason in bad:
        typer.echo(f"left out: {printable(f'{image}: {reason}')}", err=True)
    target = f" into {out}" if out else ""
    typer.echo(f"{name} labelled {counted(len(predictions), 'image')}{target}", err=True)


@app.command(epilog="Example: labelmint expand photos --per-class 500 --out more --minutes 10")
def expand(
    origin: Annotated[Path, typer.Argument(help="Folder, zip or tar with one folder of images per class.")],
    *,
    out: Annotated[Path, typer.Option(help="New folder for images, generator, classifier and verdict.")],
    per_class: Annotated[int, typer.Option(help="Synthetic images of each class.")] = 500,
    minutes: Annotated[float, typer.Option(help="Time for all of it, roughly; at least 1.")] = 10.0,
    size: Annotated[int, typer.Option(help="Width and height of the images, pixels.")] = 32,
    family: Annotated[str, typer.Option(help="GAN family, one with classes.")] = "dcgan",
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    device: Annotated[str, typer.Option(help="As compute.device: auto, cpu, cuda, cuda:N or mps.")] = "auto",
    layout: Layout = None,
    split: Split = "",
    labels: Labels = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check the images, and train nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make more labelled images from a folder of some, and say whether they help. Needs no project."""
    from labelmint.api.dataset import load_dataset
    from labelmint.api.expand import expand as run
    from pipeline.cli import reading

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} exists already; name a new folder")
    given = reading.of_flags(layout, split, labels)
    if dry_run:
        dataset = reading.decided(
            lambda choice: load_dataset(origin, image_size=size, **choice.settings), given
        )
        kept = f"{counted(len(dataset.labels), 'training image')} of {len(dataset.classes)} classes"
        typer.echo(f"{kept}, {counted(len(dataset.test_labels), 'test image')}; nothing was trained")
        return
    done = reading.decided(
        lambda choice: run(
            origin,
            per_class=per_class,
            minutes=minutes,
            family=family,
            seed=seed,
            device=device,
            image_size=size,
            **choice.settings,
        ),
        given,
    )
    done.save(out)
    for doubt in done.doubts:
        typer.echo(f"warning: {doubt.text}", err=True)
    if as_json:
        typer.echo((out / "verdict.json").read_text(encoding="utf-8"), nl=False)
        return
    typer.echo(f"{done.verdict}\n{counted(len(done.labels), 'labelled image')}: {out / 'images'}")
    typer.echo(
        f"label others with the classifier: labelmint predict FOLDER --classifier {out / 'classifier'}"
    )
