"""An image tree to tensors: our converter against torchvision's ImageFolder + DataLoader.

`python benchmarks/decoding.py [cifar10-images.tar] [--json FILE]` takes CIFAR-10's JPEGs as they are (50,000
of 32 x 32) and enlarged to photographs (3,000 of 640 x 480), writes them as trees, and reads each tree in
every way in turn: with one process and with one per core. All ways decode, resize to 32 x 32 with the same
antialiased filter and keep uint8; ours also hashes every image twice and writes the file.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import IO, Any, cast

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from labelmint.data.convert import convert
from labelmint.data.settings import Dataset
from labelmint.data.sources import imagefolder
from labelmint.runtime.devices import available_cores
from labelmint.runtime.settings import Compute

_ROUNDS = 5
_SIZE = 32


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).parent.parent.parent / "shared" / "data" / "cifar10-images.tar"
    parser.add_argument("archive", nargs="?", type=Path, default=default, help="path of cifar10-images.tar")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    if not arguments.archive.exists():
        sys.exit(f"{arguments.archive} is missing; give the path of cifar10-images.tar")
    cores = available_cores()
    print(
        f"torchvision {torchvision.__version__}, {cores} cores, images/s, median of {_ROUNDS} rounds in turn"
    )
    results: list[dict[str, Any]] = []
    trees: list[tuple[str, int, tuple[int, int] | None]] = [
        ("CIFAR-10, 32 x 32", 50_000, None),
        ("photographs, 640 x 480", 3_000, (640, 480)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, count, size in trees:
            tree = write_tree(arguments.archive, Path(folder) / str(count), count, size)
            results.append({"tree": name, "images": count, **measure(tree, cores)})
            print(table(results[-1], cores))
    if arguments.json:
        content = {"cores": cores, "rounds": _ROUNDS, "trees": results}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_tree(archive: Path, folder: Path, count: int, size: tuple[int, int] | None) -> Path:
    """Write the first `count` training images, evenly over the classes, as folder/class/name.jpg.

    size: width and height to enlarge them to, or None to copy their bytes.
    """
    with tarfile.open(archive) as tar:
        for entry in tar:
            part, *names = entry.name.split("/")
            if part != "train" or not entry.isfile() or int(Path(names[-1]).stem) >= count // 10:
                continue
            content = cast(IO[bytes], tar.extractfile(entry)).read()  # a regular file has content
            path = folder / "/".join(names)
            path.parent.mkdir(parents=True, exist_ok=True)
            if size is None:
                path.write_bytes(content)
            else:
                Image.open(io.BytesIO(content)).resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
    return folder


def measure(tree: Path, cores: int) -> dict[str, float]:
    """Median images per second of each way, and ratios of the same round."""
    source = imagefolder.read_from(tree, "tree", tree / "unused")
    rows = np.arange(len(source.labels))
    dataset = Dataset(name="imagefolder", path=str(tree), image_size=_SIZE, channels=3)
    target = tree.parent / "images.npy"

    def ours(workers: int) -> Callable[[], object]:
        return lambda: convert(source, rows, dataset, target, Compute(workers=workers))

    transform = v2.Compose(
        [v2.Resize((_SIZE, _SIZE), InterpolationMode.BICUBIC, antialias=True), v2.PILToTensor()]
    )
    folder = torchvision.datasets.ImageFolder(str(tree), transform)

    def theirs(workers: int) -> Callable[[], None]:
        def run() -> None:
            loader = torch.utils.data.DataLoader(folder, batch_size=256, num_workers=workers)
            np.concatenate([images.numpy() for images, _ in loader])

        return run

    ways = {
        "ours_1": ours(1),
        "ours_n": ours(cores),
        "torchvision_0": theirs(0),
        "torchvision_n": theirs(cores),
    }
    for way in ways.values():
        way()  # brings the files into the page cache
    seconds = [{name: _seconds(way) for name, way in ways.items()} for _ in range(_ROUNDS)]
    speeds = {name: len(rows) / median(each[name] for each in seconds) for name in ways}
    return speeds | {
        "ours_n_over_ours_1": median(each["ours_1"] / each["ours_n"] for each in seconds),
        "ours_n_over_torchvision_n": median(each["torchvision_n"] / each["ours_n"] for each in seconds),
        "ours_1_over_torchvision_0": median(each["torchvision_0"] / each["ours_1"] for each in seconds),
    }


def table(result: dict[str, Any], cores: int) -> str:
    return (
        f"{result['tree']}: ours, 1 process {result['ours_1']:,.0f}; "
        f"{cores} processes {result['ours_n']:,.0f} ({result['ours_n_over_ours_1']:.2f}x); "
        f"torchvision in the main process {result['torchvision_0']:,.0f}; "
        f"with {cores} workers {result['torchvision_n']:,.0f}; "
        f"ours / torchvision with {cores} processes each {result['ours_n_over_torchvision_n']:.2f}, "
        f"with one {result['ours_1_over_torchvision_0']:.2f}"
    )


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
