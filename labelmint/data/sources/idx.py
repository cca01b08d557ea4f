"""Reader of the idx format of MNIST and its relatives, plain or gzipped.

Source: LeCun, Cortes, Burges, "The MNIST database", file formats; Cohen et al. 2017 for EMNIST, whose images
are stored column by column.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from labelmint.data.download import locate
from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, Source
from labelmint.data.stored_images import Block, RecordImages
from labelmint.data.zips import unpack_zip_member
from labelmint.runtime.atomic_files import named_os_errors
from labelmint.runtime.errors import InputError

_UINT8 = 0x08
_MAX_BYTES = 1 << 30  # EMNIST's largest file has 547 million
_MAX_BYTES_OF_OTHERS = 1 << 20
_PARTS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_DIGITS = list("0123456789")
_LETTERS = list("abcdefghijklmnopqrstuvwxyz")
_CAPITALS = [letter.upper() for letter in _LETTERS]
_BALANCED = [*_DIGITS, *_CAPITALS, *"abdefghnqrt"]


@dataclass(frozen=True)
class _Set:
    """A published data set.

    folder: where mirrors keep it. first_label: label of the first class.
    content_md5: checksums of the decompressed files, by part. file_md5: checksums of the published .gz files.
    """

    title: str
    licence: str
    folder: str
    addresses: tuple[str, ...]
    classes: list[str]
    content_md5: dict[str, str] = field(default_factory=dict)
    file_md5: dict[str, str] = field(default_factory=dict)
    layout: Literal["HW", "WH"] = "HW"
    first_label: int = 0


def _by_part(*sums: str) -> dict[str, str]:
    return dict(zip(_PARTS, sums))


_SETS = {
    "mnist": _Set(
        title="MNIST (LeCun, Cortes, Burges)",
        licence="CC BY-SA 3.0",
        folder="MNIST",
        addresses=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        classes=_DIGITS,
        content_md5=_by_part(
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    "fashion_mnist": _Set(
        title="Fashion-MNIST (Zalando)",
        licence="MIT",
        folder="FashionMNIST",
        addresses=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        classes=[
            *("T-shirt", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ],
        content_md5=_by_part(
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    ),
    "kmnist": _Set(
        title="Kuzushiji-MNIST (CODH)",
        licence="CC BY-SA 4.0",
        folder="KMNIST",
        addresses=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        classes=["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
        file_md5=_by_part(
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
}

_EMNIST_MD5 = "58c8d27c78d21e728a6bc7b3cc06412e"
_EMNIST_CLASSES = {
    "balanced": _BALANCED,
    "bymerge": _BALANCED,
    "byclass": [*_DIGITS, *_CAPITALS, *_LETTERS],
    "letters": _LETTERS,
    "digits": _DIGITS,
    "mnist": _DIGITS,
}


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    if dataset.name.startswith("emnist_"):
        return _read_emnist(dataset.name.removeprefix("emnist_"), raw, scratch)
    known = _SETS[dataset.name]

    def find(part: str) -> Path:
        names = [f"{folder}{part}{end}" for folder in _folders(known.folder) for end in (".gz", "")]
        path = locate(names, raw, [f"{address}{part}.gz" for address in known.addresses])
        if (md5 := known.file_md5.get(part)) and path.suffix == ".gz":
            check_md5(path, md5)
        return decompress(path, scratch, known.content_md5.get(part))

    checksums = {f"{part} (md5, decompressed)": md5 for part, md5 in known.content_md5.items()}
    checksums |= {f"{part}.gz (md5)": md5 for part, md5 in known.file_md5.items()}
    return _assemble(known, [find(part) for part in _PARTS], checksums)


def _folders(folder: str) -> tuple[str, ...]:
    """Folders to search. Only MNIST's files may be in data/raw itself: its relatives' have the same names."""
    return (f"{folder}/raw/", f"{folder.lower()}/") + (("",) if folder == "MNIST" else ())


def _read_emnist(kind: str, raw: Path, scratch: Path) -> Source:
    """Read one of EMNIST's sets from the published zip of gzipped idx files."""
    known = _Set(
        title=f"EMNIST {kind} (Cohen, Afshar, Tapson, van Schaik)",
        licence="NIST, free to use",
        folder="EMNIST",
        addresses=("https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",),
        classes=_EMNIST_CLASSES[kind],
        layout="WH",
        first_label=1 if kind == "letters" else 0,
    )
    archive = locate(["emnist/gzip.zip", "EMNIST/raw/gzip.zip", "EMNIST/gzip.zip"], raw, known.addresses)
    check_md5(archive, _EMNIST_MD5)
    files = []
    for part in ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1"):
        name = f"emnist-{kind}-{part}-ubyte.gz"
        packed = unpack_zip_member(archive, f"gzip/{name}", scratch / name)
        files.append(decompress(packed, scratch))
        packed.unlink()
    return _assemble(known, files, {"gzip.zip (md5)": _EMNIST_MD5})


def _assemble(known: _Set, files: list[Path], checksums: dict[str, str]) -> Source:
    """Join training and test set. files: plain idx files in the order of _PARTS. Raises: InputError."""
    blocks, labels, shapes = [], [], set()
    for images_path, labels_path in (files[:2], files[2:]):
        count, *shape = read_header(images_path, 3)
        (label_count,) = read_header(labels_path, 1)
        if count != label_count:
            raise InputError(
                f"{known.title}: {count} images in {images_path.name} "
                f"but {label_count} labels in {labels_path.name}; use files of the same data set"
            )
        blocks.append(Block(images_path, 16, math.prod(shape), count))
        labels.append(np.fromfile(labels_path, np.uint8, offset=8).astype(np.int64) - known.first_label)
        shapes.add(tuple(shape))
    if len(shapes) > 1:
        raise InputError(
            f"{known.title}: training and test images differ in size ({shapes}); "
            "use files of the same data set"
        )
    return Source(
        title=known.title,
        licence=known.licence,
        classes=known.classes,
        labels=np.concatenate(labels),
        images=RecordImages(blocks, shapes.pop(), known.layout),
        split=np.repeat([TRAIN, TEST], [len(part) for part in labels]).astype(np.uint8),
        checksums=checksums,
    )


def read_header(path: Path, dimensions: int) -> tuple[int, ...]:
    """Read the shape of a plain uint8 idx file.

    dimensions: 3 for images (N, H, W), 1 for labels (N,).
    Raises: InputError when the file is truncated, too long, or not an idx file of this kind.
    """
    with path.open("rb") as file:
        start = file.read(4 + 4 * dimensions)
    if len(start) < 4 + 4 * dimensions:
        raise InputError(
            f"{path.name}: {len(start)} bytes are too few for an idx header; "
            "the file is truncated, delete it and run again"
        )
    zero, dtype, rank = struct.unpack(">HBB", start[:4])
    if (zero, dtype, rank) != (0, _UINT8, dimensions):
        raise InputError(
            f"{path.name}: not an idx file of bytes in {dimensions} dimensions "
            f"(it starts with {start[:4].hex()}); delete it and run again"
        )
    shape = struct.unpack(f">{rank}I", start[4:])
    expected, found = math.prod(shape), path.stat().st_size - len(start)
    if found != expected:
        raise InputError(
            f"{path.name}: the header declares {expected} bytes, the file has {found}; "
            "delete it and run again"
        )
    return shape


def decompress(path: Path, scratch: Path, md5: str | None = None) -> Path:
    """Decompress a gzipped idx file into `scratch`, up to the size that its header declares.

    md5: checksum of the decompressed content, checked before anything is parsed.
    Returns: the decompressed file; `path` itself when it is not gzipped. Raises: InputError.
    """
    digest, target = hashlib.md5(usedforsecurity=False), path
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    if gzipped:
        scratch.mkdir(parents=True, exist_ok=True)
        target = scratch / path.name.removesuffix(".gz")
    try:
        with gzip.open(path) if gzipped else path.open("rb") as file, ExitStack() as stack:
            out = stack.enter_context(target.open("wb")) if gzipped else None
            size = limit = 0
            while chunk := file.read(1 << 20):
                limit = limit or _declared_size(chunk)
                size += len(chunk)
                if gzipped and size > limit:
                    raise InputError(
                        f"{path}: decompresses to more than the {limit:,} bytes that it declares; "
                        "delete the file and run again"
                    )
                digest.update(chunk)
                if out:
                    with named_os_errors(target):
                        out.write(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip data ({error}); delete the file and run again") from error
    _compare_md5(path, digest.hexdigest(), md5)
    return target


def _declared_size(start: bytes) -> int:
    """Size in bytes of the idx file that begins with `start`.

    Of other files 1 MiB is read: enough for their checksum to be reported.
    """
    rank = start[3] if len(start) > 3 else 0
    if start[:3] != bytes([0, 0, _UINT8]) or rank not in (1, 3) or len(start) < 4 + 4 * rank:
        return _MAX_BYTES_OF_OTHERS
    shape: tuple[int, ...] = struct.unpack(f">{rank}I", start[4 : 4 + 4 * rank])
    return min(4 + 4 * rank + math.prod(shape), _MAX_BYTES)


def check_md5(path: Path, md5: str) -> None:
    """Compare a file's MD5 with the published one. Raises: InputError."""
    with path.open("rb") as file:
        _compare_md5(path, hashlib.file_digest(file, "md5").hexdigest(), md5)


def _compare_md5(path: Path, found: str, md5: str | None) -> None:
    if md5 and found != md5:
        raise InputError(
            f"{path}: checksum is {found}, expected {md5}; delete the file and run again to fetch a good copy"
        )
