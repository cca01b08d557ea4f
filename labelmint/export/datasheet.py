"""The README.md of a sample: where the images come from, what is known of their worth, and how to open them (Gebru et al. 2021)."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Mapping
from typing import Any

from labelmint.export.orders import Order, Plan
from labelmint.gans.archive import GeneratorArchive
from labelmint.runtime.errors import InputError

_UNKNOWN = "not written down"
_LISTED = 100
_MEASURES = {
    "frechet_classifier": "Fréchet distance to the test images, in the features of the project's frozen network",
    "kid": "kernel distance, the same",
    "precision": "precision: share of minted images that are like real ones",
    "recall": "recall: share of real images that minted ones cover",
    "density": "density",
    "coverage": "coverage",
}
_OPENING = {
    "folders": 'torchvision.datasets.ImageFolder("{0}")\ndatasets.load_dataset("imagefolder", data_dir="{0}")',
    "tensors": 'numpy.load("{0}/images.npy", mmap_mode="r")  # uint8, images x channels x height x width\nnumpy.load("{0}/labels.npy")',
    "parquet": 'datasets.load_dataset("parquet", data_dir="{0}")\npandas.read_parquet("{0}/data")',
    "webdataset": 'webdataset.WebDataset("{0}/train-{{000000..{1:06d}}}.tar", shardshuffle=False).decode("pil")\n'
    'datasets.load_dataset("webdataset", data_files="{0}/*.tar")',
}


def render(
    archive: GeneratorArchive,
    name: str,
    weights_sha256: str,
    order: Order,
    plan: Plan,
    format: str,
    folder: str,
    shards: int,
    metrics: Mapping[str, Any] | None,
) -> str:
    """name: of the generator, such as dcgan-40-0. metrics: what `evaluate` found of it, where it did."""
    family, seen = archive.family, archive.trained_on
    channels, size, _ = archive.shape
    several = plan.kind == "multi_hot"
    lines = [
        f"# {plan.total:,} images minted by {_plain(name)}",
        "",
        "Every image in this folder was made by a program; none is a photograph or a scan. "
        "The labels are those that the generator was asked for"
        + (", or tells itself; nobody looked at them." if several else "; nobody looked at them."),
        "",
        "## How they were made",
        "",
        "| | |",
        "|---|---|",
        f"| generator | {_plain(name)}: {archive.family_name}, {_kind(plan.kind)} |",
        f"| weights, SHA-256 | {_quoted(weights_sha256)} |",
        f"| images | {plan.total:,}, {size} x {size} pixels, {'grey' if channels == 1 else 'RGB'} |",
        f"| latents | {family.latent_size} values, {family.latent_distribution}; seed {order.seed} |",
        f"| command | {_quoted(command(name, order, format, folder))} |",
        "",
        "The same command gives the same bytes. Each image follows from its own latent seed.",
        "",
        "## What the generator was trained on",
        "",
        "| | |",
        "|---|---|",
        f"| data set | {_plain(seen.get('title') or _UNKNOWN)} |",
        f"| share | {_share(seen)} |",
        f"| SHA-256 of those images | {_quoted(seen.get('images_sha256'))} |",
        f"| licence | {_plain(seen.get('licence') or _UNKNOWN)} |",
        "",
        "A minted image is not free of the licence and the rights of the images that the generator learned from; "
        "whoever passes this folder on has to keep to them. Where those were pictures of people, minted ones may resemble them.",
        "",
        "## What is known of their worth",
        "",
        *_told(metrics),
        "",
        "## Labels",
        "",
        *_labels(plan, format),
        "",
        "## Opening them",
        "",
        "```python",
        *_OPENING[format].format(folder, shards - 1).split("\n"),
        "```",
    ]
    return "\n".join(lines) + "\n"


def command(name: str, order: Order, format: str, folder: str) -> str:
    """That makes this sample."""
    requested = "".join(f" --class {_shell(each)}" for each in order.requested)
    return f"labelmint sample {name}{requested} --count {order.count} --seed {order.seed} --format {format} --out {_shell(folder)}"


def _kind(kind: str) -> str:
    return {
        "per_class": "one generator per class",
        "conditional": "one generator, told the class",
        "multi_hot": "one generator, told attributes",
        "none": "one generator, without labels",
    }[kind]


def _share(seen: Mapping[str, Any]) -> str:
    if "percent" not in seen:
        return _UNKNOWN
    return _plain(f"{seen['percent']} % of its training images: {seen['images']:,} (replicate {seen['seed']})")


def _quoted(value: str | None) -> str:
    """As code. A ` would end it, and what follows would be read as markup."""
    if not value:
        return _UNKNOWN
    text = " ".join(value.split()).replace("`", "'").replace("|", "\\|")
    return f"`{text}`"


def _plain(text: object) -> str:
    """Words from elsewhere, such as class names, so that no viewer takes them for HTML or for links and code of Markdown."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", html.escape(" ".join(str(text).split()), quote=False))


def _told(metrics: Mapping[str, Any] | None) -> list[str]:
    """Raises: InputError when the measures are not as `evaluate` writes them."""
    try:
        return _measured(metrics)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"the measures of this generator in data/metrics are damaged ({type(error).__name__}: {' '.join(str(error).split())[:120]}); delete them and run `dvc repro`"
        ) from error


def _measured(metrics: Mapping[str, Any] | None) -> list[str]:
    if metrics is None:
        return ["Nothing: this generator has not been evaluated here. `dvc repro` measures its arm."]
    rows = {row["source"]: row for row in metrics["rows"]}
    minted, real = rows.get("synthetic", {}), rows.get("real", {})
    lines = []
    if minted.get("accuracy") is not None:
        lines.append(
            f"A classifier trained on images of this generator alone told {_accuracy(minted)} of real test images right; "
            f"one trained on the very same real images that the generator saw, {_accuracy(real)}."
        )
    if minted.get("memorised") is not None:
        lines += [
            "",
            f"**Memorised**: {100 * minted['memorised']:.2f} % of minted images lie nearer to a training image than 99 % of real test images do; "
            "about 1 % is what new real images would give, more means copies.",
        ]
    found = [
        f"| {words} | {minted[key]:.4g} | {real[key]:.4g} |"
        for key, words in _MEASURES.items()
        if minted.get(key) is not None and real.get(key) is not None
    ]
    lines += ["", "| | minted | real, same share |", "|---|---|---|", *found] if found else []
    protocol = metrics.get("protocol", {})
    return [*lines, "", *(f"* {_plain(name)}: {_plain(text)}" for name, text in protocol.items())]


def _accuracy(row: Mapping[str, Any]) -> str:
    return f"{100 * row['accuracy']:.2f} % [{100 * row['accuracy_low']:.2f}, {100 * row['accuracy_high']:.2f}]"


def _labels(plan: Plan, format: str) -> list[str]:
    if plan.kind == "none":
        return ["None. labels.npy holds -1." if format == "tensors" else "None."]
    if plan.kind == "multi_hot":
        how = {
            "folders": "A folder bears the names of the attributes that its images have, joined by +.",
            "tensors": "labels.npy holds a 1 or a 0 for each of these, in this order.",
            "parquet": "A column each, true or false.",
            "webdataset": "In each .json, under `attributes`.",
        }[format]
        return [f"Attributes: {', '.join(map(_plain, plan.names))}. {how}"]
    listed = [f"{number}: {_plain(name)}" for number, name in enumerate(plan.names)]
    more = f" and {len(listed) - _LISTED:,} more" if len(listed) > _LISTED else ""
    minted = (
        ""
        if len(plan.titles) == len(plan.names)
        else f" Minted: {', '.join(map(_plain, plan.titles[:_LISTED]))}, no other class."
    )
    note = (
        " In folders a class is known by its name; a reader may number the folders that it finds otherwise."
        if format == "folders"
        else ""
    )
    return [f"Classes by number: {', '.join(listed[:_LISTED])}{more}.{minted}{note}"]


def _shell(text: str) -> str:
    return shlex.quote(text)
