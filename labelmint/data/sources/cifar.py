"""Reader of CIFAR-10 and CIFAR-100 in the published binary version. The pickled version is never opened.

Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html. A record is one or two label bytes and
3 x 32 x 32 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmint.data.archives import list_members
from labelmint.data.download import locate
from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, Source
from labelmint.data.sources.idx import check_md5
from labelmint.data.stored_images import Block, RecordImages
from labelmint.runtime.errors import InputError

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Set:
    """A published data set. label_bytes: number of bytes before each image; the last of them is the class."""

    title: str
    archive: str
    md5: str
    pickled: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    label_bytes: int
    class_names: str
    classes: int


_SETS = {
    "cifar10": _Set(
        title="CIFAR-10 (Krizhevsky)",
        archive="cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        pickled="cifar-10-python.tar.gz",
        train=tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
        test=("cifar-10-batches-bin/test_batch.bin",),
        label_bytes=1,
        class_names="cifar-10-batches-bin/batches.meta.txt",
        classes=10,
    ),
    "cifar100": _Set(
        title="CIFAR-100 (Krizhevsky)",
        archive="cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        pickled="cifar-100-python.tar.gz",
        train=("cifar-100-binary/train.bin",),
        test=("cifar-100-binary/test.bin",),
        label_bytes=2,
        class_names="cifar-100-binary/fine_label_names.txt",
        classes=100,
    ),
}


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    known = _SETS[dataset.name]
    for name in (known.pickled, f"{dataset.name}/{known.pickled}"):
        if (raw / name).exists() and not list(raw.rglob(known.archive)):
            raise InputError(
                f"{raw / name} is the pickled version, and a pickle can run any code when it is opened; "
                f"put {known.archive} there instead"
            )
    names = [f"{folder}{known.archive}" for folder in (f"{dataset.name}/", "")]
    archive = locate(names, raw, [f"https://www.cs.toronto.edu/~kriz/{known.archive}"])
    check_md5(archive, known.md5)
    listing = list_members(archive, scratch)
    path, members = listing.path, {member.name: member for member in listing.members}
    if missing := [name for name in (*known.train, *known.test, known.class_names) if name not in members]:
        raise InputError(f"{archive}: {', '.join(missing)} missing; fetch the published archive again")

    blocks, labels, split = [], [], []
    stride = known.label_bytes + _PIXELS
    for part, files in ((TRAIN, known.train), (TEST, known.test)):
        for name in files:
            count, remainder = divmod(members[name].size, stride)
            if remainder:
                raise InputError(
                    f"{archive}: the size of {name} is not a multiple of {stride} bytes; fetch it again"
                )
            offset = members[name].key
            records = np.memmap(path, np.uint8, "r", offset, (count, stride))
            labels.append(records[:, known.label_bytes - 1].astype(np.int64))
            blocks.append(Block(path, offset + known.label_bytes, stride, count))
            split.append(np.full(count, part, np.uint8))
    meta = members[known.class_names]
    with path.open("rb") as file:
        file.seek(meta.key)
        classes = file.read(meta.size).decode("ascii", "replace").split()
    if len(classes) != known.classes:
        raise InputError(
            f"{archive}: {known.class_names} names {len(classes)} classes, expected {known.classes}; "
            "fetch it again"
        )
    return Source(
        title=known.title,
        licence="not stated; for research, cite Krizhevsky 2009",
        classes=classes,
        labels=np.concatenate(labels),
        images=RecordImages(blocks, (3, 32, 32), "CHW"),
        split=np.concatenate(split),
        checksums={f"{known.archive} (md5)": known.md5},
    )
