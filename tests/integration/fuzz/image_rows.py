"""Messages about bad folders of images, and about images that cannot be used."""

from __future__ import annotations

import os

from tests.image_trees import encoded, good_tree, in_folder, png_of
from tests.integration.fuzz.bad_inputs import folder_with, tree_with
from tests.integration.fuzz.error_row import IMPORT, Row

_SKIP = "repair or remove them, or leave up to 3 out with --on-bad-image skip"
_SETTINGS_TOO = "(settings of `dataset`: layout, split_folders, labels)"

IMAGES = [
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
        IMPORT,
        "photos: loose.png outside of a class folder; put each image into the folder of its class; "
        f"decide with --layout classes {_SETTINGS_TOO}",
        arrange=folder_with("loose.png", encoded()),
    ),
    Row(
        "a split beside classes",
        IMPORT,
        f"photos: test/ named as a split, beside cat/, dog/; decide with --layout classes {_SETTINGS_TOO}",
        arrange=folder_with("test/1.png", encoded()),
    ),
    Row(
        "folders below class folders",
        IMPORT,
        "photos: folders below class folders: is cat/young/1.png of class cat or young?; "
        f"decide with --layout classes or --layout innermost {_SETTINGS_TOO}",
        arrange=folder_with("cat/young/1.png", encoded()),
    ),
    Row(
        "the same images twice",
        IMPORT,
        "photos: photos/ has the same files as what is beside it (if these are copies, remove one of them); "
        f"decide with --layout classes or --layout innermost {_SETTINGS_TOO}",
        arrange=lambda root: in_folder(root / "photos", good_tree() | good_tree(above="photos/")),
    ),
    Row(
        "splits without class folders",
        IMPORT,
        "photos: no class folders in images/train/ (a data set for detection?); put each image into the "
        "folder of its class, or give a table of labels with --labels FILE",
        arrange=lambda root: in_folder(root / "photos", good_tree(("train", "val"), above="images/")),
    ),
    Row(
        "one class only",
        IMPORT,
        "photos: 'only' is the only class, and a classifier needs two; "
        "put the images of each class into a folder of its own",
        arrange=lambda root: in_folder(root / "photos", good_tree(("only",))),
    ),
    Row(
        "a table with several columns",
        IMPORT,
        "photos: which column of t.csv has the labels, breed, age? name it with --labels t.csv:id,COLUMN",
        arrange=lambda root: in_folder(
            root / "photos", good_tree(("images",)) | {"t.csv": b"id,breed,age\n0,a,1\n1,b,2\n"}
        ),
    ),
    Row(
        "a test set of the training images",
        IMPORT,
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
        IMPORT,
        "1 of 13 images cannot be used (cat/x.HEIC: not a PNG, JPEG, BMP, WEBP, TIFF or PPM image, but a "
        f"HEIC photo: convert it first, e.g. `magick photo.heic photo.jpg`); {_SKIP}",
        arrange=folder_with("cat/x.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
    ),
    Row(
        "a class without images",
        IMPORT,
        "photos: no images in class folder eel; add images or remove the folder",
        arrange=tree_with(lambda root: (root / "eel").mkdir()),
    ),
    Row(
        "a pipe among the images",
        IMPORT,
        "photos/cat/x.png is a pipe, socket or device; remove it",
        arrange=tree_with(lambda root: os.mkfifo(root / "cat" / "x.png")),
    ),
    Row(
        "control characters in a file name",
        IMPORT,
        rf"1 of 13 images cannot be used (cat/\x1b[2J\n.png: empty file); {_SKIP}",
        arrange=folder_with("cat/\x1b[2J\n.png", b""),
    ),
    Row(
        "an empty image",
        IMPORT,
        f"1 of 13 images cannot be used (cat/x.png: empty file); {_SKIP}",
        arrange=folder_with("cat/x.png", b""),
    ),
    Row(
        "a damaged image",
        IMPORT,
        f"1 of 13 images cannot be used (cat/x.png: damaged (…)); {_SKIP}",
        arrange=folder_with("cat/x.png", encoded(size=(64, 64))[:2000]),
    ),
    Row(
        "an image that declares billions of pixels",
        IMPORT,
        "1 of 13 images cannot be used (cat/x.png: declares 2,500,000,000 pixels; "
        f"at most 64,000,000 are decoded); {_SKIP}",
        arrange=folder_with("cat/x.png", png_of(50_000, 50_000)),
    ),
]
