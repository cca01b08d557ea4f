"""What is said of bad input: the one table, from which a test runs each row and docs/operations.md is written.

`python -m tests.fuzz.table` prints the docs' table. In a message, … stands for what differs from case to case.
"""

from __future__ import annotations

import gzip
import io
import itertools
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.payload import Payload
from tests.image_trees import png_of
from tests.image_trees import encoded, good_tree, in_folder, in_tar, in_zip

FIRST, LAST = "<!-- written by `python -m tests.fuzz.table` -->", "<!-- end -->"
_MINE = {"name": "mine", "format": "imagefolder", "image_size": 8, "channels": 3}
Arrange = Callable[[Path], object]


@dataclass(frozen=True)
class Row:
    """command: `labelmint` or `stage` and its arguments. arrange: makes the input in a project's folder. code: the exit code."""

    title: str
    command: str
    message: str
    code: int = 2
    arrange: Arrange = lambda root: None

    def matches(self, said: str) -> bool:
        return re.fullmatch(".*".join(map(re.escape, self.message.split("…"))), said, re.DOTALL) is not None


def dataset(**changes: object) -> Arrange:
    """Settings of dataset in params.yaml."""

    def change(root: Path) -> None:
        text = (root / "params.yaml").read_text()
        for name, value in changes.items():
            text, found = re.subn(rf"(?m)^(  {name}:) [^#\n]*", rf"\1 {value} ", text, count=1)
            assert found, name
        (root / "params.yaml").write_text(text)

    return change


def both(first: Arrange, second: Arrange) -> Arrange:
    def make(root: Path) -> None:
        first(root)
        second(root)

    return make


def mine(path: str, make: Arrange, **changes: object) -> Arrange:
    return both(make, dataset(**{**_MINE, "path": path, **changes}))


def replaced(old: str, new: str) -> Arrange:
    def change(root: Path) -> None:
        text = (root / "params.yaml").read_text()
        assert old in text
        (root / "params.yaml").write_text(text.replace(old, new, 1))

    return change


def written(name: str, content: str | bytes) -> Arrange:
    def write(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def _tar_with(name: str, **entry: object) -> Arrange:
    def make(root: Path) -> None:
        in_tar(root / "t.tar", good_tree())
        with tarfile.open(root / "t.tar", "a") as archive:
            member = tarfile.TarInfo(name)
            for field, value in entry.items():
                setattr(member, field, value)
            archive.addfile(member)

    return make


def _bomb(root: Path) -> None:
    with zipfile.ZipFile(root / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/bomb.png", bytes(32 << 20))


def _cut(path: str, make: Arrange) -> Arrange:
    def cut(root: Path) -> None:
        make(root)
        content = (root / path).read_bytes()
        (root / path).write_bytes(content[: len(content) // 2])

    return cut


def _folder_with(name: str, content: bytes) -> Arrange:
    return lambda root: in_folder(root / "photos", good_tree() | {name: content})


def _mnist(images: bytes) -> Arrange:
    return written("data/raw/MNIST/raw/train-images-idx3-ubyte", images)


def _npz(root: Path) -> None:
    for name in ("train_data_batch_1", "val_data"):
        buffer = io.BytesIO()
        np.savez(buffer, data=np.zeros((2, 3072), np.uint8), labels=np.array([Payload(root / "sprung")] * 2, object))
        written(f"data/raw/imagenet32/{name}.npz", buffer.getvalue())(root)


def _set(spoil: Arrange) -> Arrange:
    def make(root: Path) -> None:
        from labelmint.data.storage.tensors import save_set

        save_set(root / "data" / "tensors", np.zeros((4, 1, 16, 16), np.uint8), np.arange(4))
        spoil(root)

    return make


def _flip(root: Path) -> None:
    path = root / "data" / "tensors" / "images.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


ALIAS_BOMB = (
    "[&a [x, x], "
    + ", ".join(f"&{name} [{', '.join([f'*{of}'] * 9)}]" for of, name in itertools.pairwise("abcdefghijkl"))
    + "]"
)
_TRAIN = "stage train_generators dcgan-40-0"
_FOLDER = "labelmint import photos --name mine"
ROWS = [
    Row("a setting that is not known", "labelmint check", "params.yaml: unknown setting 'training.epoch'; did you mean 'epochs'?", arrange=replaced("  epochs: 7", "  epoch: 7")),
    Row("a setting out of its range", "labelmint check", "params.yaml: percents: 140 is not a share of the real data; use whole numbers from 1 to 100", arrange=replaced("[40, 60, 80, 100]", "[40, 140]")),
    Row("a setting of the wrong kind", "labelmint check", "params.yaml: training.epochs: Input should be a valid integer, got 'many'", arrange=replaced("epochs: 7 ", "epochs: many ")),
    Row("settings that are no YAML", "labelmint check", "params.yaml: not YAML: …", arrange=written("params.yaml", "dataset: [")),
    Row("aliases that swell", "labelmint check", "params.yaml: not YAML: its aliases (*) make more than 100,000 values of it; write the values out", arrange=replaced("generators: [dcgan]", f"generators: {ALIAS_BOMB}")),
    Row("an alias within itself", "labelmint use own", "experiments/own.yaml: not YAML: its aliases (*) lead back to themselves; write the values out", arrange=written("experiments/own.yaml", "generators: &a [*a]\n")),
    Row("settings nested without end", "labelmint check", "params.yaml: nested too deeply", arrange=written("params.yaml", "a: " + "[" * 50_000)),
    Row("a generator without settings", "labelmint check", "params.yaml: generators: 'dcgn' is not in families; did you mean 'dcgan'?", arrange=replaced("generators: [dcgan]", "generators: [dcgn]")),
    Row("a generator called `$(touch x)`", "labelmint check", "params.yaml: families: '$(touch x)' must be small letters, digits and _, beginning with a letter", arrange=replaced("  cgan:", '  "$(touch x)":')),
    Row("an experiment that is not there", "labelmint use mnist_quik", "no experiment 'mnist_quik'; did you mean 'mnist_quick'?; there are …"),
    Row("an experiment that does not pass", "labelmint use own", "experiments/own.yaml: seeds: -1 is below 0", arrange=written("experiments/own.yaml", "seeds: [-1]\n")),
    Row("a command that is not there", "labelmint chek", "No such command 'chek'. Did you mean 'check'?; `labelmint --help` shows what it takes"),
    Row("an option's value of the wrong kind", "labelmint sample dcgan --count many --out x", "Invalid value for '--count': Input should be a valid integer, unable to parse string as an integer; `labelmint sample --help` shows what it takes"),
    Row("percents that are no numbers", "labelmint run --percents half", "--percents 'half': expected whole numbers such as 40,60"),
    Row("a generator that was not trained", "labelmint sample dcgan --count 1 --out x", "no generator 'dcgan'; `make repro` trains some, or name the folder of one"),
    Row("a pickle for a generator", "labelmint sample ./g.pt --count 1 --out x", "g.pt is a pickle, which can run any code when it is opened, so it is refused; labelmint opens generator.safetensors with architecture.json beside it", arrange=written("g.pt", b"\x80\x04.")),
    Row("a folder of images that is not there", "labelmint import nowhere --name mine", "nowhere does not exist; give the folder or archive that holds the images"),
    Row("a name for one's images that cannot be", "labelmint import photos --name Cats!", "name: 'Cats!' must be small letters, digits and _, beginning with a letter"),
    Row("an image outside of a class folder", _FOLDER, "photos: loose.png outside of a class folder; put each image into the folder of its class", arrange=_folder_with("loose.png", encoded())),
    Row("a class without images", _FOLDER, "photos: no images in class folder eel; add images or remove the folder", arrange=lambda root: in_folder(root / "photos", good_tree()) and (root / "photos" / "eel").mkdir()),
    Row("a pipe among the images", _FOLDER, "photos/cat/x.png is a pipe, socket or device; remove it", arrange=lambda root: in_folder(root / "photos", good_tree()) and os.mkfifo(root / "photos" / "cat" / "x.png")),
    Row("a name that would command the terminal", _FOLDER, r"1 of 13 images cannot be used (cat/\x1b[2J\n.png: empty file); repair or remove them, or set dataset.on_bad_image: skip", arrange=_folder_with("cat/\x1b[2J\n.png", b"")),
    Row("an empty image", _FOLDER, "1 of 13 images cannot be used (cat/x.png: empty file); repair or remove them, or set dataset.on_bad_image: skip", arrange=_folder_with("cat/x.png", b"")),
    Row("a damaged image", _FOLDER, "1 of 13 images cannot be used (cat/x.png: damaged (…)); repair or remove them, or set dataset.on_bad_image: skip", arrange=_folder_with("cat/x.png", encoded(size=(64, 64))[:2000])),
    Row("an image bomb", _FOLDER, "1 of 13 images cannot be used (cat/x.png: declares 2,500,000,000 pixels; at most 64,000,000 are decoded); repair or remove them, or set dataset.on_bad_image: skip", arrange=_folder_with("cat/x.png", png_of(50_000, 50_000))),
    Row("a file that is no archive", "stage prepare", "prepare: t.zip: neither a folder nor a zip or tar archive", arrange=mine("t.zip", written("t.zip", "hello"))),
    Row("a cut archive", "stage prepare", "prepare: t.tar.gz: damaged archive (…); fetch it again", arrange=mine("t.tar.gz", _cut("t.tar.gz", lambda root: written("t.tar.gz", gzip.compress(in_tar(root / "t.tar", good_tree()).read_bytes()))(root)))),
    Row("an archive whose names lead out", "stage prepare", "prepare: t.tar: member '../x.png' would lead out of the archive; refused, create the archive again", arrange=mine("t.tar", _tar_with("../x.png"))),
    Row("a link in an archive", "stage prepare", "prepare: t.tar: member 'cat/x.png' is a link; put plain files into the archive", arrange=mine("t.tar", _tar_with("cat/x.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"))),
    Row("a device in an archive", "stage prepare", "prepare: t.tar: member 'cat/x.png' is a device or special file; put plain files into the archive", arrange=mine("t.tar", _tar_with("cat/x.png", type=tarfile.CHRTYPE))),
    Row("a bomb in an archive", "stage prepare", "prepare: t.zip: 'cat/bomb.png' swells from … to 33,554,432 bytes or more, as a bomb does; refused", arrange=mine("t.zip", _bomb)),
    Row("an archive that changed since `import`", "stage prepare", "prepare: t.zip: checksum is …, but dataset.sha256 is 0000000000000000…; the file changed, run `labelmint import` again", arrange=mine("t.zip", lambda root: in_zip(root / "t.zip", good_tree()), sha256='"' + "0" * 64 + '"')),
    Row("a published file with other bytes", "stage prepare", "prepare: data/raw/MNIST/raw/train-images-idx3-ubyte: checksum is …, expected 6bbc9ace898e44ae57da46a324031adb; delete the file and run again to fetch a good copy", arrange=both(_mnist(b"\x00\x00\x08\x03"), dataset(name="mnist"))),
    Row("arrays that hold Python objects", "stage prepare", "prepare: data/raw/imagenet32/train_data_batch_1.npz: labels holds Python objects, whose loading would run code; refused", arrange=both(_npz, dataset(name="imagenet32", image_size=32, channels=3))),
    Row("a table that is none", "stage prepare", "prepare: t: damaged Parquet or Arrow data (…)", arrange=mine("t", written("t/train.parquet", "PAR1 no"), format="huggingface")),
    Row("a stage that is not there", "stage polish", "polish: no stage 'polish'; `dvc stage list` shows them"),
    Row("an arm that is none", "stage evaluate dcgan", "evaluate dcgan: 'dcgan' is not an arm: write GENERATOR-PERCENT-SEED, such as dcgan-40-0"),
    Row("a stage whose input is missing", _TRAIN, "train_generators dcgan-40-0: data/tensors/images.npy is missing; `dvc repro` makes it"),
    Row("a flipped bit in a tensor file", _TRAIN, "train_generators dcgan-40-0: data/tensors/images.npy: damaged, its checksum is not the one in checksums.json; delete it and run again", arrange=_set(_flip)),
    Row("a description that is no JSON", _TRAIN, "train_generators dcgan-40-0: data/tensors/dataset.json: not JSON (…); delete it and run again", arrange=_set(written("data/tensors/dataset.json", "{"))),
    Row("a measure that is no JSON", "stage report", "report: data/metrics/dcgan-40-0.json: not JSON (…); delete it and run again", arrange=written("data/metrics/dcgan-40-0.json", "NaN,")),
    Row("a folder where a file belongs", "stage prepare", "prepare: params.yaml: Is a directory", 1, arrange=both(lambda root: (root / "params.yaml").unlink(), lambda root: (root / "params.yaml").mkdir())),
]  # fmt: skip


def markdown() -> str:
    """The table between the marks of docs/operations.md."""

    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("<", "&lt;")

    lines = [FIRST, "", "| input | command | what is said | exit code |", "|---|---|---|---|"]
    lines += [f"| {cell(row.title)} | `{_shown(row.command)}` | {cell(row.message)} | {row.code} |" for row in ROWS]
    return "\n".join([*lines, "", LAST])


def _shown(command: str) -> str:
    return re.sub("^stage ", "python -m pipeline.stage ", command)


if __name__ == "__main__":
    print(markdown())
