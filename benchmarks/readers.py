"""Readers of data sets: ours against torchvision's of the same format, in speed and on damaged files.

`python benchmarks/readers.py [DATA] [--json FILE]`. DATA is a folder with `MNIST/raw` (the published files)
and `cifar10-images.tar`. CIFAR-10, LSUN and CelebA are written here in their published layouts, CIFAR-10's
pixels at random. Both readers start from the same files and end with every image and label in memory, in one
process; they take turns, and a ratio is of the same round. torchvision's checksums of the published files
are replaced by those of the written ones.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import pickle  # nosec B403  # made here, to see who would load it
import platform
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import lmdb
import numpy as np
import torchvision
from torchvision import datasets

from benchmarks.decoding import write_tree
from labelmint.data import sources
from labelmint.data.decode import decode
from labelmint.data.settings import Dataset
from labelmint.data.sources import cifar
from labelmint.data.sources.faces import write_celeba
from tests.payload import pickled

_ROUNDS = 3
_RECORDS = 2000  # in each of CIFAR-10's files
_JPEGS, _FACES = 10_000, 1500
_DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@dataclass(frozen=True)
class Format:
    """A data set on disk. ours, theirs: read all of it; theirs gets a folder that it may change.

    damaged: name of a damage -> (the file, its new content).
    """

    name: str
    images: int
    ours: Callable[[], list[np.ndarray]]
    theirs: Callable[[], list[np.ndarray]]
    damaged: dict[str, tuple[Path, bytes]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, default=_DATA)
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    print(f"torchvision {torchvision.__version__}, Python {platform.python_version()}, one process, images/s")
    results = []
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for make in (mnist, cifar10, lsun, celeba, image_folder):
            root = Path(folder) / make.__name__
            root.mkdir()
            form = make(root, arguments.data.resolve())
            results.append({"format": form.name, "images": form.images, **speeds(form), **outcomes(form)})
            print(json.dumps(results[-1], indent=1))
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"rounds": _ROUNDS, "formats": results}, indent=1) + "\n", encoding="utf-8"
        )


def speeds(form: Format) -> dict[str, float]:
    """Median images per second of both readers, and the median ratio of the same round."""
    ways = {"ours": form.ours, "torchvision": form.theirs}
    read = {name: way() for name, way in ways.items()}  # also brings the files into the page cache
    order = {name: sorted(map(np.ndarray.tobytes, images)) for name, images in read.items()}
    if order["ours"] != order["torchvision"] or len(order["ours"]) != form.images:
        raise ValueError("the readers disagree")
    seconds = [{name: _seconds(way) for name, way in ways.items()} for _ in range(_ROUNDS)]
    return {
        **{
            f"{name}_per_second": round(form.images / median(each[name] for each in seconds)) for name in ways
        },
        "ours_over_torchvision": round(median(each["torchvision"] / each["ours"] for each in seconds), 2),
    }


def outcomes(form: Format) -> dict[str, dict[str, str]]:
    """What each reader does with each damage: the error that it raises, or "reads it"."""
    found = {}
    for damage, (path, content) in form.damaged.items():
        good = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        found[damage] = {"ours": _outcome(form.ours), "torchvision": _outcome(form.theirs)}
        path.unlink() if good is None else path.write_bytes(good)
    return found


def _outcome(way: Callable[[], object]) -> str:
    ran = Path("ran")
    try:
        way()
        result = "reads it"
    except Exception as error:  # any reader's own
        result = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if ran.exists():
        ran.unlink()
        result += "; the file's own code has run"
    return result


def read_ours(dataset: Dataset, raw: Path) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as scratch:
        source = sources.read(dataset, raw, Path(scratch))
        with source.images.open() as read:
            return [_pixels(read(index)) for index in range(len(source.labels))]


def _pixels(content: bytes | np.ndarray) -> np.ndarray:
    return np.asarray(decode(content).image) if isinstance(content, bytes) else np.array(content)


def read_theirs(*parts: Any) -> list[np.ndarray]:
    return [np.asarray(part[index][0]) for part in parts for index in range(len(part))]


def mnist(root: Path, data: Path) -> Format:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for packed in (data / "MNIST" / "raw").glob("*.gz"):
        (folder / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    images = folder / "t10k-images-idx3-ubyte"
    content = images.read_bytes()
    return Format(
        "MNIST (idx)",
        70_000,
        lambda: read_ours(Dataset(name="mnist"), root),
        lambda: read_theirs(*(datasets.MNIST(str(root), train=train) for train in (True, False))),
        {"truncated": (images, content[:-1]), "one byte changed": (images, content[:-1] + b"\x99")},
    )


def cifar10(root: Path, data: Path) -> Format:
    known, rng = cifar._SETS["cifar10"], np.random.default_rng(0)
    theirs = root / datasets.CIFAR10.base_folder
    theirs.mkdir()
    sums: dict[str, str] = {}

    def pickle_to(name: str, content: dict[str, Any]) -> None:
        (theirs / name).write_bytes(pickle.dumps(content))
        sums[name] = md5_of((theirs / name).read_bytes())

    with tarfile.open(root / known.archive, "w:gz", compresslevel=1) as archive:

        def add(name: str, content: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

        for name in (*known.train, *known.test):
            records = rng.integers(0, 256, (_RECORDS, 1 + 3 * 32 * 32)).astype(np.uint8)
            records[:, 0] %= 10
            add(name, records.tobytes())
            pickle_to(Path(name).stem, {"data": records[:, 1:], "labels": records[:, 0].tolist()})
        names = [f"class {number}" for number in range(10)]
        add(known.class_names, "\n".join(name.replace(" ", "_") for name in names).encode())
        pickle_to("batches.meta", {"label_names": names})
    content = (root / known.archive).read_bytes()
    cifar._SETS["cifar10"] = replace(known, md5=md5_of(content))

    class Written(datasets.CIFAR10):  # type: ignore[misc]  # torchvision has no types
        train_list = [[Path(name).stem, sums[Path(name).stem]] for name in known.train]
        test_list = [[Path(name).stem, sums[Path(name).stem]] for name in known.test]
        meta = {**datasets.CIFAR10.meta, "md5": sums["batches.meta"]}

    batch = theirs / "test_batch"
    return Format(
        "CIFAR-10",
        6 * _RECORDS,
        lambda: read_ours(Dataset(name="cifar10"), root),
        lambda: read_theirs(*(Written(str(root), train=train) for train in (True, False))),
        {
            "archive truncated": (root / known.archive, content[:-1]),
            "batch truncated": (batch, batch.read_bytes()[:-1]),
            "batch with code": (batch, pickled(Path("ran"))),
        },
    )


def lsun(root: Path, data: Path) -> Format:
    write_celeba(root / "celeba", _FACES)
    files = sorted((root / "celeba" / "img_align_celeba").iterdir())
    for number, category in enumerate(("bedroom", "tower")):
        path = root / "lsun" / f"{category}_train_lmdb"
        path.mkdir(parents=True)
        with lmdb.open(str(path), map_size=1 << 28) as environment, environment.begin(write=True) as writing:
            for file in files[number::2]:
                content = file.read_bytes()
                writing.put(hashlib.sha1(content, usedforsecurity=False).hexdigest().encode(), content)
    kept = path / "data.mdb"
    cache = Path("_cache_" + "".join(filter(str.isalpha, str(path))))

    def theirs() -> list[np.ndarray]:
        return read_theirs(datasets.LSUN(str(root / "lsun"), classes=["bedroom_train", "tower_train"]))

    return Format(
        "LSUN (LMDB)",
        _FACES,
        lambda: read_ours(Dataset(name="lsun", categories=["bedroom", "tower"]), root),
        theirs,
        {
            "truncated": (kept, kept.read_bytes()[:4096]),
            "cache of keys with code": (cache, pickled(Path("ran"))),
        },
    )


def celeba(root: Path, data: Path) -> Format:
    folder = root / "celeba"
    write_celeba(folder, _FACES)
    images = sorted((folder / "img_align_celeba").iterdir())
    (folder / "identity_CelebA.txt").write_text(
        "".join(f"{path.name} 1\n" for path in images), encoding="utf-8"
    )
    table = folder / "list_attr_celeba.txt"
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    tables = sorted(folder.glob("*.txt"))

    class Written(datasets.CelebA):  # type: ignore[misc]  # torchvision has no types
        file_list = [("", md5_of(path.read_bytes()), path.name) for path in tables]

    return Format(
        "CelebA",
        _FACES,
        lambda: read_ours(Dataset(name="celeba", attributes=["Male"]), root),
        lambda: read_theirs(Written(str(root), split="all")),
        {
            "table without its last line": (table, "".join(lines[:-1]).encode()),
            "an image truncated": (images[0], images[0].read_bytes()[:-200]),
        },
    )


def image_folder(root: Path, data: Path) -> Format:
    tree = write_tree(data / "cifar10-images.tar", root / "train", _JPEGS, None)
    image = next(tree.rglob("*.jpg"))
    return Format(
        "ImageFolder",
        _JPEGS,
        lambda: read_ours(Dataset(name="imagefolder", path=str(tree)), root),
        lambda: read_theirs(datasets.ImageFolder(str(tree))),
        {"an image truncated": (image, image.read_bytes()[:-200])},
    )


def md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _rate(images: int, seconds: list[float]) -> int:
    return round(images / median(seconds))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
