"""Messages about bad archives, published files, arrays and tables."""

from __future__ import annotations

import tarfile

import numpy as np

from tests.image_trees import good_tree, in_zip
from tests.integration.fuzz.bad_inputs import (
    bomb,
    both,
    cut_archive,
    dataset,
    folder_with,
    mine,
    mnist,
    pickled_npz,
    raw_zip,
    tar_with,
    two_labels,
    written,
)
from tests.integration.fuzz.error_row import IMPORT, Row

ARCHIVES = [
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
        IMPORT,
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
