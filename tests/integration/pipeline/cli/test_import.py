"""`labelmint import`: the user's own images become a data set that can be prepared."""

from __future__ import annotations

import hashlib
import io
import json

import pytest

from labelmint.runtime.atomic_files import load_json
from pipeline import stage
from pipeline.cli import reading
from pipeline.settings import schema
from tests.command import labelmint
from tests.image_trees import encoded, good_tree, in_folder, in_tar, in_zip


@pytest.fixture
def photos(checkout):
    return in_folder(checkout / "photos", good_tree(("cat", "dog", "eel"), count=10))


def test_images_become_a_data_set_that_can_be_prepared(checkout, photos, monkeypatch):
    (checkout / "deeper").mkdir()
    done = labelmint(checkout / "deeper", "import", photos, "--name", "mine", "--size", 8)
    assert done.code == 0, done.err
    assert "mine: 30 images in 3 classes (cat 10, dog 10, eel 10), colour" in done.out
    assert "\n  test        no test set: 20 % of each class will be held out\n" in done.out
    assert "next: make repro DATASET=mine QUICK=1 " in done.out
    assert labelmint(checkout, "use", "default", "mine").code == 0
    dataset = schema.load(checkout / "params.yaml").dataset
    assert (dataset.name, dataset.path, dataset.channels, dataset.image_size) == (
        "mine",
        "data/raw/mine.tar",
        3,
        8,
    )
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("LABELMINT_TRACKING", "off")
    assert stage.main(["prepare"]) == 0
    facts = load_json(checkout / "data" / "tensors" / "dataset.json")
    assert (facts["name"], facts["classes"], facts["n_test"]) == ("mine", ["cat", "dog", "eel"], 6)
    title = (checkout / "experiments" / "mine.yaml").read_text().splitlines()[0]
    assert title == '# Your own images: 30 in 3 classes, imported from "photos".'


def test_the_same_images_give_the_same_file_from_a_folder_or_an_archive(checkout, photos):
    tree = {path.relative_to(photos).as_posix(): path.read_bytes() for path in sorted(photos.rglob("*.png"))}
    in_zip(checkout / "photos.zip", dict(reversed(tree.items())))
    for name, origin in (("one", photos), ("two", checkout / "photos.zip")):
        assert labelmint(checkout, "import", origin, "--name", name).code == 0
    assert (checkout / "data/raw/one.tar").read_bytes() == (checkout / "data/raw/two.tar").read_bytes()


def test_an_earlier_import_is_replaced_with_force_only(checkout, photos):
    assert labelmint(checkout, "import", photos, "--name", "mine").code == 0
    before = (checkout / "data/raw/mine.tar").read_bytes()
    (photos / "cat" / "new.png").write_bytes(encoded(4321))
    done = labelmint(checkout, "import", photos, "--name", "mine")
    assert done.code == 2
    assert "mine.tar exists; choose another --name, or replace it with --force" in done.err
    assert (checkout / "data/raw/mine.tar").read_bytes() == before
    assert labelmint(checkout, "import", photos, "--name", "mine", "--force").code == 0
    assert (checkout / "data/raw/mine.tar").read_bytes() != before


def test_grey_images_get_one_channel_and_keep_their_own_split(checkout):
    parts = [(part, label) for part in ("train", "test") for label in "ab"]
    tree = {
        f"{part}/{label}/{number}.png": encoded(number + 50 * index, mode="L")
        for index, (part, label) in enumerate(parts)
        for number in range(4)
    }
    in_folder(checkout / "grey", tree)
    done = labelmint(checkout, "import", checkout / "grey", "--name", "grey")
    assert "grey\n  labels      one folder per class in train/, test/\n" in done.out
    assert "\n  training    8 images\n  test        8 images\n" in done.out
    assert "channels: 1" in (checkout / "experiments" / "grey.yaml").read_text()


def test_training_images_alone_are_told_so(checkout):
    tree = {f"train/{name}": content for name, content in good_tree(count=10).items()}
    in_folder(checkout / "photos", tree)
    done = labelmint(checkout, "import", checkout / "photos", "--name", "mine")
    assert "no test set: 20 % of each class will be held out" in done.out


def test_the_flag_for_bad_images_is_named(checkout, photos):
    (photos / "cat" / "bad.png").write_bytes(b"")
    done = labelmint(checkout, "import", photos, "--name", "mine")
    assert done.err.endswith("repair or remove them, or leave up to 3 out with --on-bad-image skip\n")
    done = labelmint(checkout, "import", photos, "--name", "mine", "--on-bad-image", "skip")
    assert done.code == 0
    assert "left out: cat/bad.png: empty file" in done.err


def test_a_dry_run_checks_every_image_and_leaves_nothing(checkout, photos):
    done = labelmint(checkout, "import", photos, "--name", "mine", "--dry-run", "--json")
    result = json.loads(done.out)
    assert (result["classes"], result["counts"], result["grey"]) == (
        ["cat", "dog", "eel"],
        [10, 10, 10],
        False,
    )
    assert not (checkout / "experiments" / "mine.yaml").exists()
    assert not (checkout / "data").exists()
    assert labelmint(checkout, "import", photos, "--name", "mine").code == 0
    with (checkout / "data" / "raw" / "mine.tar").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == result["sha256"]
    (photos / "cat" / "bad.png").write_bytes(b"")
    done = labelmint(checkout, "import", photos, "--name", "other", "--dry-run")
    assert done.code == 2
    assert "cat/bad.png: empty file" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--name", "mine"], "nowhere does not exist"),
        (["photos", "--name", "My Photos"], "must be lower-case letters, digits and _"),
        (["photos", "--name", "mnist"], "is a published data set"),
        (["photos", "--name", "default"], "exists; choose another --name"),
        (["photos", "--name", "mine", "--size", "2"], "image_size must be 4 to 1024, got 2"),
        (
            ["photos", "--name", "mine"],
            "4 of 34 images cannot be used (cat/bad-0.png: empty file, cat/bad-1.png: empty file, "
            "cat/bad-2.png: empty file and 1 more); repair or remove them: at most 3 can be left out",
        ),
        (["photos", "--name", "mine", "--on-bad-image", "skip"], "at most 3 can be left out"),
    ],
)
def test_user_errors_leave_nothing(checkout, photos, arguments, message):
    for number in range(4):
        (photos / "cat" / f"bad-{number}.png").write_bytes(b"")
    before = sorted((checkout / "experiments").iterdir())
    done = labelmint(checkout, "import", *arguments)
    error = done.err.splitlines()[-1]
    assert done.code == 2
    assert error.startswith("error: ")
    assert message in error
    assert sorted((checkout / "experiments").iterdir()) == before
    assert not [path for path in (checkout / "data").rglob("*") if path.is_file()]


class TestReadings:
    """What is understood of a tree is printed, or asked, or refused with the flag that decides."""

    def test_what_is_left_out_is_printed_and_recorded(self, checkout, monkeypatch):
        tree = {f"train/{name}": content for name, content in good_tree(("2", "10")).items()}
        tree |= {"test/1.png": encoded(99), "LICENSE": b"MIT", "train/2/j.tga": b"x"}
        in_folder(checkout / "photos", tree)
        done = labelmint(checkout, "import", "photos", "--name", "mine", "--size", 8)
        assert done.out.splitlines()[1:7] == [
            "  labels      one folder per class in train/",
            "  training    12 images",
            "  test        no test set: 20 % of each class will be held out",
            "  left out    1 image in test/: no class folders in it, so no labels",
            "  left out    1 file .tga: images of a kind that is not read; convert them, e.g. to PNG",
            "  left out    1 file without a known ending: not images",
        ]
        assert labelmint(checkout, "use", "default", "mine").code == 0
        monkeypatch.chdir(checkout)
        monkeypatch.setenv("LABELMINT_TRACKING", "off")
        assert stage.main(["prepare"]) == 0
        manifest = load_json(checkout / "data" / "tensors" / "manifest.json")
        assert manifest["classes"] == ["2", "10"]
        assert manifest["reading"]["class_order"] == "natural"
        assert len(manifest["reading"]["left_out"]) == 3

    def test_an_import_from_before_keeps_its_order_of_classes(self, checkout, monkeypatch):
        path = in_tar(checkout / "mine.tar", good_tree(("2", "10")))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        settings = {"name": "mine", "format": "imagefolder", "path": "mine.tar", "sha256": digest}
        text = "# Mine.\ndataset:\n" + "".join(f"  {name}: {value}\n" for name, value in settings.items())
        (checkout / "experiments" / "mine.yaml").write_text(text)
        assert labelmint(checkout, "use", "default", "mine").code == 0
        monkeypatch.chdir(checkout)
        monkeypatch.setenv("LABELMINT_TRACKING", "off")
        assert stage.main(["prepare"]) == 0
        manifest = load_json(checkout / "data" / "tensors" / "manifest.json")
        assert (manifest["classes"], manifest["reading"]["class_order"]) == (["10", "2"], "code points")

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            ([], "photos: train/ named as a split, beside extra/; decide with --layout splits or --layout"),
            (["--layout", "splits", "--labels", "none.csv"], "--labels none.csv is neither in it nor a file"),
            (["--split", "training=train"], "split_folders: 'training=train' must be train=, validation= or"),
            (["--layout", "folders"], "Invalid value for '--layout'"),
        ],
    )
    def test_an_unclear_tree_is_refused_without_a_terminal(self, checkout, flags, message):
        in_folder(checkout / "photos", good_tree(above="train/") | good_tree(("extra",), count=3))
        done = labelmint(checkout, "import", "photos", "--name", "mine", *flags)
        assert done.code == 2
        assert message in done.err.splitlines()[-1]
        assert not (checkout / "data").exists()

    def test_flags_decide_for_import_and_expand(self, checkout):
        in_folder(checkout / "photos", good_tree(above="a/") | good_tree(count=3, above="bb/"))
        flags = ("--split", "train=a,test=bb")
        done = labelmint(checkout, "import", "photos", "--name", "mine", *flags)
        assert "  training    12 images\n  test        6 images\n" in done.out, done.err
        done = labelmint(checkout, "expand", "photos", "--out", "more", "--dry-run", *flags)
        assert done.out == "12 training images of 2 classes, 6 test images; nothing was trained\n"
        done = labelmint(checkout, "expand", "photos", "--out", "more", "--dry-run")
        assert (done.code, "decide with --layout classes or" in done.err) == (2, True)

    def test_the_user_is_asked_on_a_terminal(self, checkout, monkeypatch):
        in_folder(checkout / "photos", good_tree(count=8) | {"cat/more/1.png": encoded(77)})
        monkeypatch.setattr(reading, "_on_terminal", lambda: True)
        answers = iter(["9", "1"])
        monkeypatch.setattr("typer.prompt", lambda *_, **__: next(answers))
        done = labelmint(checkout, "import", "photos", "--name", "mine")
        assert done.code == 0, done.err
        assert "  1  --layout classes: 2 classes (cat, dog), 17 images\n" in done.err
        assert "  2  --layout innermost: 3 classes (cat, dog, more), 17 images\n" in done.err
        assert "(cat 9, dog 8)" in done.out

    def test_no_answer_on_a_terminal_is_the_refusal(self, checkout, monkeypatch):
        in_folder(checkout / "photos", good_tree() | {"cat/more/1.png": encoded(77)})
        monkeypatch.setattr(reading, "_on_terminal", lambda: True)
        monkeypatch.setattr("sys.stdin", io.StringIO())
        done = labelmint(checkout, "import", "photos", "--name", "mine")
        assert done.code == 2
        assert "decide with --layout classes or --layout innermost" in done.err.splitlines()[-1]

    def test_an_image_in_two_classes_is_said(self, checkout, photos):
        for label in ("cat", "dog"):
            (photos / label / "both.png").write_bytes(encoded(4321))
        done = labelmint(checkout, "import", photos, "--name", "mine", "--dry-run")
        assert "  labels      2 images with equal content in another class\n" in done.out
        assert "  copies      1 image is a copy of another; none will be in both" in done.out

    def test_a_test_set_of_training_images_is_no_test_set(self, checkout):
        tree = good_tree()
        both = {f"{part}/{name}": content for part in ("train", "test") for name, content in tree.items()}
        in_folder(checkout / "photos", both)
        done = labelmint(checkout, "import", "photos", "--name", "mine")
        assert done.code == 2
        assert "12 of 12 training images are also in the test or validation set" in done.err
        own = {
            f"train/{label}/n{seed}.png": encoded(500 + seed) for seed, label in enumerate(["cat", "dog"] * 3)
        }
        in_folder(checkout / "few", both | own)
        done = labelmint(checkout, "import", "few", "--name", "few")
        assert "  copies      12 training images are also in another set; they will be left out" in done.out
