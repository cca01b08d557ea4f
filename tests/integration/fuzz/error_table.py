"""Messages about bad input: the table from which a test runs each row, and which docs/operations.md shows.

`python -m tests.integration.fuzz.error_table` prints the docs' table. In a message, … marks what varies.
"""

from __future__ import annotations

import os
import re
import tarfile
from dataclasses import dataclass

import numpy as np

from tests.image_trees import encoded, good_tree, in_folder, in_zip, png_of
from tests.integration.fuzz.bad_inputs import (
    Arrange,
    bomb,
    both,
    cut_archive,
    dataset,
    flip,
    folder_with,
    mine,
    mnist,
    pickled_npz,
    raw_zip,
    replaced,
    settings_folder,
    stored_set,
    tar_with,
    tree_with,
    two_labels,
    written,
)

FIRST, LAST = "<!-- written by `python -m tests.integration.fuzz.error_table` -->", "<!-- end -->"


@dataclass(frozen=True)
class Row:
    """One bad input.

    command: `labelmint` or `stage`, and arguments. code: exit code. arrange: creates the input in a project.
    """

    title: str
    command: str
    message: str
    code: int = 2
    arrange: Arrange = lambda root: None

    def matches(self, message: str) -> bool:
        return (
            re.fullmatch(".*".join(map(re.escape, self.message.split("…"))), message, re.DOTALL) is not None
        )


_TRAIN = "stage train_generators dcgan-40-0"
_IMPORT = "labelmint import photos --name mine"
_SKIP = "repair or remove them, or leave up to 3 out with --on-bad-image skip"
_SETTINGS_TOO = "(settings of `dataset`: layout, split_folders, labels)"
_SETTINGS = [
    Row(
        "an unknown setting",
        "labelmint check",
        "params.yaml: unknown setting 'training.epoch'; did you mean 'epochs'?",
        arrange=replaced("  epochs: 10", "  epoch: 10"),
    ),
    Row(
        "a setting out of its range",
        "labelmint check",
        "params.yaml: percents[1] must be 1 to 100, got 140",
        arrange=replaced("[40, 60, 80, 100]", "[40, 140]"),
    ),
    Row(
        "a setting of the wrong type",
        "labelmint check",
        "params.yaml: training.epochs must be an integer from 1 to 100000, got 'many'",
        arrange=replaced("epochs: 10 ", "epochs: many "),
    ),
    Row(
        "settings that are not YAML",
        "labelmint check",
        "params.yaml: not YAML: …",
        arrange=written("params.yaml", "dataset: ["),
    ),
    Row(
        "settings saved as UTF-16",
        "labelmint check",
        "params.yaml: line 1 is not UTF-8; save the file in this encoding",
        arrange=written("params.yaml", "dataset:".encode("utf-16")),
    ),
    Row(
        "a setting that is not finite",
        "labelmint check",
        "params.yaml: classifier.learning_rate must be a number above 0, got inf",
        arrange=replaced("learning_rate: 4.0e-3", "learning_rate: .inf"),
    ),
    Row(
        "an alias that contains itself",
        "labelmint use own",
        "experiments/own.yaml: cannot be read as settings: Circular reference detected",
        arrange=written("experiments/own.yaml", "generators: &a [*a]\n"),
    ),
    Row(
        "settings that are nested too deeply",
        "labelmint check",
        "params.yaml: nested too deeply",
        arrange=written("params.yaml", "a: " + "[" * 1_000),
    ),
    Row(
        "a settings file that is too large",
        "labelmint check",
        "params.yaml: larger than 1,000,000 bytes",
        arrange=written("params.yaml", "#" * 1_000_001),
    ),
    Row(
        "a generator without settings",
        "labelmint check",
        "params.yaml: generators: 'dcgn' is not in families; did you mean 'dcgan'?",
        arrange=replaced("generators: [dcgan]", "generators: [dcgn]"),
    ),
    Row(
        "a generator named `$(touch x)`",
        "labelmint check",
        "params.yaml: families: '$(touch x)' must be lower-case letters, digits and _, "
        "starting with a letter",
        arrange=replaced("  cgan:", '  "$(touch x)":'),
    ),
    Row(
        "an unknown experiment",
        "labelmint use mnist_quik",
        "no experiment 'mnist_quik'; did you mean 'mnist_quick' or 'mnist'?; "
        "`labelmint experiments` lists all …",
    ),
    Row(
        "an experiment with a bad setting",
        "labelmint use own",
        "experiments/own.yaml: seeds[0] must be at least 0, got -1",
        arrange=written("experiments/own.yaml", "seeds: [-1]\n"),
    ),
    Row(
        "a folder in place of a file",
        "stage prepare",
        "prepare: params.yaml: Is a directory",
        code=1,
        arrange=settings_folder,
    ),
]
_COMMANDS = [
    Row(
        "an unknown command",
        "labelmint chek",
        "No such command 'chek'. Did you mean 'check'?; `labelmint --help` shows its usage",
    ),
    Row(
        "an option's value of the wrong type",
        "labelmint sample dcgan --count many --out x",
        "Invalid value for '--count': Input should be a valid integer, unable to parse string as an integer; "
        "`labelmint sample --help` shows its usage",
    ),
    Row(
        "percents that are not numbers",
        "labelmint run --percents half",
        "--percents 'half': expected whole numbers such as 40,60",
    ),
    Row(
        "a generator that was not trained",
        "labelmint sample dcgan --count 1 --out x",
        "no generator 'dcgan'; `make repro` trains some, or name the folder of one",
    ),
    Row(
        "a pickle in place of a generator",
        "labelmint sample ./g.pt --count 1 --out x",
        "g.pt is a pickle, which can execute code when opened, so it is refused; "
        "labelmint opens generator.safetensors with architecture.json beside it",
        arrange=written("g.pt", b"\x80\x04."),
    ),
    Row(
        "a time zone that is none",
        "labelmint serve --timezone CEST",
        "--timezone 'CEST': no time zone has this name; take one of a place, e.g. Europe/Vienna, or UTC",
    ),
    Row("an unknown stage", "stage polish", "polish: no stage 'polish'; `dvc stage list` shows them"),
    Row(
        "a name that is not an arm",
        "stage evaluate dcgan",
        "evaluate dcgan: 'dcgan' is not an arm: write GENERATOR-PERCENT-SEED, such as dcgan-40-0",
    ),
]
_IMAGES = [
    Row(
        "a folder of images that does not exist",
        "labelmint import nowhere --name mine",
        "nowhere does not exist; give the folder or archive that has the images",
    ),
    Row(
        "an invalid name of a data set",
        "labelmint import photos --name Cats!",
        "name must be lower-case letters, digits and _, starting with a letter, got 'Cats!'",
    ),
    Row(
        "an image outside of a class folder",
        _IMPORT,
        "photos: loose.png outside of a class folder; put each image into the folder of its class; "
        f"decide with --layout classes {_SETTINGS_TOO}",
        arrange=folder_with("loose.png", encoded()),
    ),
    Row(
        "a split beside classes",
        _IMPORT,
        f"photos: test/ named as a split, beside cat/, dog/; decide with --layout classes {_SETTINGS_TOO}",
        arrange=folder_with("test/1.png", encoded()),
    ),
    Row(
        "folders below class folders",
        _IMPORT,
        "photos: folders below class folders: is cat/young/1.png of class cat or young?; "
        f"decide with --layout classes or --layout innermost {_SETTINGS_TOO}",
        arrange=folder_with("cat/young/1.png", encoded()),
    ),
    Row(
        "the same images twice",
        _IMPORT,
        "photos: photos/ has the same files as what is beside it (if these are copies, remove one of them); "
        f"decide with --layout classes or --layout innermost {_SETTINGS_TOO}",
        arrange=lambda root: in_folder(root / "photos", good_tree() | good_tree(above="photos/")),
    ),
    Row(
        "splits without class folders",
        _IMPORT,
        "photos: no class folders in images/train/ (a data set for detection?); put each image into the "
        "folder of its class, or give a table of labels with --labels FILE",
        arrange=lambda root: in_folder(root / "photos", good_tree(("train", "val"), above="images/")),
    ),
    Row(
        "one class only",
        _IMPORT,
        "photos: 'only' is the only class, and a classifier needs two; "
        "put the images of each class into a folder of its own",
        arrange=lambda root: in_folder(root / "photos", good_tree(("only",))),
    ),
    Row(
        "a table with several columns",
        _IMPORT,
        "photos: which column of t.csv has the labels, breed, age? name it with --labels t.csv:id,COLUMN",
        arrange=lambda root: in_folder(
            root / "photos", good_tree(("images",)) | {"t.csv": b"id,breed,age\n0,a,1\n1,b,2\n"}
        ),
    ),
    Row(
        "a test set of the training images",
        _IMPORT,
        "class cat, dog: fewer than 2 training images; 12 of 12 training images are also in the test or "
        "validation set, and a test on images that were learned measures nothing; remove these copies from "
        "one of the sets",
        arrange=lambda root: in_folder(
            root / "photos",
            {
                f"{part}/{name}": content
                for part in ("train", "test")
                for name, content in good_tree().items()
            },
        ),
    ),
    Row(
        "a HEIC photo",
        _IMPORT,
        "1 of 13 images cannot be used (cat/x.HEIC: not a PNG, JPEG, BMP, WEBP, TIFF or PPM image, but a "
        f"HEIC photo: convert it first, e.g. `magick photo.heic photo.jpg`); {_SKIP}",
        arrange=folder_with("cat/x.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
    ),
    Row(
        "a class without images",
        _IMPORT,
        "photos: no images in class folder eel; add images or remove the folder",
        arrange=tree_with(lambda root: (root / "eel").mkdir()),
    ),
    Row(
        "a pipe among the images",
        _IMPORT,
        "photos/cat/x.png is a pipe, socket or device; remove it",
        arrange=tree_with(lambda root: os.mkfifo(root / "cat" / "x.png")),
    ),
    Row(
        "control characters in a file name",
        _IMPORT,
        rf"1 of 13 images cannot be used (cat/\x1b[2J\n.png: empty file); {_SKIP}",
        arrange=folder_with("cat/\x1b[2J\n.png", b""),
    ),
    Row(
        "an empty image",
        _IMPORT,
        f"1 of 13 images cannot be used (cat/x.png: empty file); {_SKIP}",
        arrange=folder_with("cat/x.png", b""),
    ),
    Row(
        "a damaged image",
        _IMPORT,
        f"1 of 13 images cannot be used (cat/x.png: damaged (…)); {_SKIP}",
        arrange=folder_with("cat/x.png", encoded(size=(64, 64))[:2000]),
    ),
    Row(
        "an image that declares billions of pixels",
        _IMPORT,
        "1 of 13 images cannot be used (cat/x.png: declares 2,500,000,000 pixels; "
        f"at most 64,000,000 are decoded); {_SKIP}",
        arrange=folder_with("cat/x.png", png_of(50_000, 50_000)),
    ),
]
_ARCHIVES = [
    Row(
        "a file that is not an archive",
        "stage prepare",
        "prepare: t.zip: neither a folder nor a zip or tar archive; give the one that has the images",
        arrange=mine("t.zip", written("t.zip", "hello")),
    ),
    Row(
        "a truncated archive",
        "stage prepare",
        "prepare: t.tar.gz: damaged archive (…); fetch it again",
        arrange=mine("t.tar.gz", cut_archive),
    ),
    Row(
        "a member outside of its archive",
        "stage prepare",
        "prepare: t.tar: member '../x.png' would lead out of the archive; refused, create the archive again",
        arrange=mine("t.tar", tar_with("../x.png")),
    ),
    Row(
        "a link in an archive",
        "stage prepare",
        "prepare: t.tar: member 'cat/x.png' is a link; put plain files into the archive",
        arrange=mine("t.tar", tar_with("cat/x.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    ),
    Row(
        "a device in an archive",
        "stage prepare",
        "prepare: t.tar: member 'cat/x.png' is a device or special file; put plain files into the archive",
        arrange=mine("t.tar", tar_with("cat/x.png", type=tarfile.CHRTYPE)),
    ),
    Row(
        "a zip bomb",
        "stage prepare",
        "prepare: t.zip: 'cat/bomb.png' swells from … to 33,554,432 bytes or more, as a bomb does; refused",
        arrange=mine("t.zip", bomb),
    ),
    Row(
        "an archive that changed since `import`",
        "stage prepare",
        "prepare: t.zip: checksum is …, but dataset.sha256 is 0000000000000000…; "
        "the file changed, run `labelmint import` again",
        arrange=mine("t.zip", lambda root: in_zip(root / "t.zip", good_tree()), sha256='"' + "0" * 64 + '"'),
    ),
    Row(
        "a published file with other content",
        "stage prepare",
        "prepare: data/raw/MNIST/raw/train-images-idx3-ubyte: checksum is …, "
        "expected 6bbc9ace898e44ae57da46a324031adb; delete the file and run again to fetch a good copy",
        arrange=both(mnist(b"\x00\x00\x08\x03"), dataset(name="mnist")),
    ),
    Row(
        "arrays that contain Python objects",
        "stage prepare",
        "prepare: data/raw/imagenet32/train_data_batch_1.npz: labels contains Python objects, "
        "which can run any code when they are loaded; fetch the published batches again",
        arrange=both(pickled_npz, dataset(name="imagenet32", image_size=32, channels=3)),
    ),
    Row(
        "names in an unknown encoding",
        "labelmint import t.zip --name mine",
        "t.zip: does not state the encoding of its names, such as b'\\xaa\\xae\\xe8\\xaa\\xa0/0.png'; "
        "say which it is with --encoding or dataset.encoding, e.g. cp866",
        arrange=raw_zip({"кошка/0.png".encode("cp866"): b""}),
    ),
    Row(
        "names that are not UTF-8",
        _IMPORT,
        r"photos: 'cat/caf\udce9.png' is not valid UTF-8; rename it, "
        "for example with `convmv -f latin1 -t utf8 -r --notest FOLDER`",
        arrange=folder_with("cat/caf\udce9.png", b""),
    ),
    Row(
        "a compression method that is not read",
        "labelmint import t.zip --name mine",
        "t.zip: member 'cat/0.png' has compression method 9 (Deflate64), which is not read; "
        "unpack the archive and give the folder",
        arrange=raw_zip({b"cat/0.png": b""}, method=9),
    ),
    Row(
        "one name twice in an archive",
        "stage prepare",
        "prepare: t.tar: 'cat/0.png' is in the archive more than once, and one would be lost; "
        "create the archive again",
        arrange=mine("t.tar", tar_with("cat/0.png")),
    ),
    Row(
        "a RAR archive",
        "labelmint import t.rar --name mine",
        "t.rar: a RAR archive; unpack it and give the folder",
        arrange=written("t.rar", b"Rar!\x1a\x07\x01\x00"),
    ),
    Row(
        "arrays without names",
        "labelmint import t.npz --name mine",
        "t.npz: cannot tell what 'arr_0' holds of arr_0; name its arrays as MedMNIST does: "
        "train_images, train_labels, test_images, test_labels",
        arrange=lambda root: np.savez(root / "t.npz", np.zeros((2, 8, 8), np.uint8)),
    ),
    Row(
        "several columns of labels",
        "stage prepare",
        "prepare: t: fine_label, coarse_label could be the labels; set dataset.label_column to one of them",
        arrange=mine("t", two_labels, format="huggingface"),
    ),
    Row(
        "a damaged table",
        "stage prepare",
        "prepare: t: damaged Parquet or Arrow data (…); save it again",
        arrange=mine("t", written("t/train.parquet", "PAR1 no"), format="huggingface"),
    ),
]
_OUTPUTS = [
    Row(
        "a missing input of a stage",
        _TRAIN,
        "train_generators dcgan-40-0: data/tensors/images.npy is missing; `dvc repro` makes it",
    ),
    Row(
        "a flipped bit in a tensor file",
        _TRAIN,
        "train_generators dcgan-40-0: data/tensors/images.npy: damaged, its checksum is not the one in "
        "checksums.json; delete it and run again",
        arrange=stored_set(flip),
    ),
    Row(
        "a description that is not JSON",
        _TRAIN,
        "train_generators dcgan-40-0: data/tensors/dataset.json: not JSON (…); delete it and run again",
        arrange=stored_set(written("data/tensors/dataset.json", "{")),
    ),
    Row(
        "a learning rate with which training diverges",
        "stage train_feature_network",
        "train_feature_network: feature network: its features are no longer finite after step 20; "
        "lower feature_network.learning_rate",
        code=1,
        arrange=both(
            stored_set(
                written("data/tensors/dataset.json", '{"mirror": [false, false], "classes": ["a", "b"]}')
            ),
            both(
                replaced("steps: 400 ", "steps: 20 "),
                replaced("learning_rate: 2.0e-3     # Largest", "learning_rate: 1.0e+30     # Largest"),
            ),
        ),
    ),
    Row(
        "metrics that are not JSON",
        "stage report",
        "report: data/metrics/dcgan-40-0.json: not JSON (…); delete it and run again",
        arrange=written("data/metrics/dcgan-40-0.json", "NaN,"),
    ),
]
ROWS = [*_SETTINGS, *_COMMANDS, *_IMAGES, *_ARCHIVES, *_OUTPUTS]


def markdown() -> str:
    """The table between the marks of docs/operations.md."""

    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("<", "&lt;")

    lines = [FIRST, "", "| input | command | message | exit code |", "|---|---|---|---|"]
    lines += [
        f"| {cell(row.title)} | `{_shown(row.command)}` | {cell(row.message)} | {row.code} |" for row in ROWS
    ]
    return "\n".join([*lines, "", LAST])


def _shown(command: str) -> str:
    return re.sub("^stage ", "python -m pipeline.stage ", command)


if __name__ == "__main__":
    print(markdown())
