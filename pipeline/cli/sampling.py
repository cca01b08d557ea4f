"""`labelmint sample`: labelled images of any number from a trained generator, in a form that other programs read."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import printable
from pipeline.settings.schema import nearest
from stages.paths import Arm, Paths

_SPARE = 1 << 20


@dataclass(frozen=True)
class Sample:
    """What was minted, or would be. minted: images made by this run; the rest were there already. bytes: on disk, estimated."""

    generator: str
    format: str
    folder: str
    images: int
    minted: int
    bytes: int
    titles: list[str]


def sample(
    root: Path | None,
    generator: str,
    requested: tuple[str, ...],
    count: int,
    out: Path,
    format: str,
    seed: int,
    workers: int | None,
    dry_run: bool,
) -> Sample:
    """root: of the project, None outside of one. Raises: InputError."""
    place = find(root, generator)
    # Heavy: torch.
    from labelmint.export import datasheet, export, orders
    from labelmint.gans import published

    order = orders.Order(count, requested, seed)
    archive = published.open_generator(place)
    description = place / published.DESCRIPTION
    identity = hashlib.sha256(description.read_bytes()).hexdigest()  # it holds the weights' own
    made = export.Export(archive, identity, order, format, out, workers)
    name, size, minted = place.resolve().name, export.expected_bytes(made), 0
    if not dry_run:
        weights, measured = load_json(description)["weights_sha256"], _metrics(root, place)
        text = datasheet.render(made, name, weights, measured)
        _check_space(out, size)
        minted = export.run(made, text)
    return Sample(name, format, str(out), made.plan.total, minted, size, made.plan.titles)


def find(root: Path | None, generator: str) -> Path:
    """The folder that `generator` names: an arm, a family of which there is one arm only, or a path."""
    known = sorted(path.parent.name for path in root.glob("data/generators/*/architecture.json")) if root else []
    if root and generator in known:
        return Paths(root).generator(Arm.parse(generator))
    own = [name for name in known if name.rsplit("-", 2)[0] == generator]
    if root and len(own) == 1:
        return Paths(root).generator(Arm.parse(own[0]))
    if len(own) > 1:
        raise InputError(f"there are several generators of {generator}: {', '.join(own)}; name one")
    if Path(generator).exists() or "/" in generator:
        return Path(generator)
    there = f"; there are {', '.join(known)}" if known else "; `make repro` trains some"
    raise InputError(f"no generator '{generator}'{nearest(generator, known)}{there}, or name the folder of one")


def describe(done: Sample, dry_run: bool) -> str:
    """For the person."""
    what = (
        f"{done.images:,} images ({', '.join(map(printable, done.titles[:12]))}{' …' if len(done.titles) > 12 else ''})"
    )
    size = f"about {done.bytes / 1e6:,.1f} MB"
    if dry_run:
        return f"{done.generator} would mint {what} into {done.folder} as {done.format}, {size}; nothing was written"
    if not done.minted:
        return f"{done.folder} already holds these {done.images:,} images"
    rest = f", {done.images - done.minted:,} of them earlier" if done.minted < done.images else ""
    return f"{done.generator} minted {what} into {done.folder}{rest}; {done.folder}/README.md says what they are"


def _metrics(root: Path | None, place: Path) -> Any:
    """What `evaluate` found of the generator, or None."""
    if root is None or place.resolve().parent != (root / "data" / "generators").resolve():
        return None
    path = Paths(root).metrics(Arm.parse(place.name))
    return load_json(path) if path.exists() else None


def _check_space(out: Path, size: int) -> None:
    above = out.absolute()
    while not above.exists():
        above = above.parent
    free = shutil.disk_usage(above).free
    if size + _SPARE > free:
        raise InputError(
            f"--out {out}: about {size / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; lower --count or name another disk"
        )
