from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from labelmint.data.source import TEST, TRAIN, VALIDATION
from labelmint.data.sources import imagefolder
from labelmint.runtime.errors import InputError
from tests.image_trees import PACKERS, encoded, good_tree, in_folder, in_tar, in_zip

IMAGE = encoded()


@pytest.fixture
def tree(tmp_path):
    """A folder of the classes cat and dog."""
    return in_folder(tmp_path / "tree", good_tree(count=2))


class TestReadFrom:
    @pytest.mark.parametrize("packer", PACKERS)
    def test_all_containers_give_the_same(self, tmp_path, contents, packer):
        tree = good_tree()
        source = imagefolder.read_from(PACKERS[packer](tmp_path, tree), "mine", tmp_path / "scratch")
        assert source.classes == ["cat", "dog"]
        assert source.labels.tolist() == [0] * 6 + [1] * 6
        assert (source.split, source.notes) == (None, [])
        assert [source.images.name(index) for index in range(12)] == sorted(tree)
        assert contents(source, *range(12)) == [tree[name] for name in sorted(tree)]

    @pytest.mark.parametrize("packer", ["folder", "zip", "tar"])
    def test_a_split_of_its_own_below_an_outer_folder(self, tmp_path, packer):
        tree = (
            good_tree(above="flowers/train/")
            | good_tree(count=3, above="flowers/Test/")
            | good_tree(count=2, above="flowers/val/")
            | {"flowers/readme.txt": b"hello", "__MACOSX/._x.png": b"x", "flowers/train/cat/.DS_Store": b"x"}
        )
        source = imagefolder.read_from(PACKERS[packer](tmp_path, tree), "mine", tmp_path / "scratch")
        assert source.classes == ["cat", "dog"]
        assert np.asarray(source.split).tolist() == [TRAIN] * 12 + [VALIDATION] * 4 + [TEST] * 6
        assert source.labels.tolist() == [0] * 6 + [1] * 6 + [0] * 2 + [1] * 2 + [0] * 3 + [1] * 3
        assert all("/Test/" in source.images.name(index) for index in range(16, 22))
        assert source.notes == ["ignored 1 files that are not images"]

    def test_names_in_any_script_with_spaces_and_in_both_unicode_forms(self, tmp_path):
        composed, decomposed = "Stra\u00dfenk\u00f6ter", "Stra\u00dfenko\u0308ter"
        tree = good_tree(("猫 と 犬", composed, "a b"))
        tree |= {f"{decomposed}/n{number}.png": IMAGE for number in range(2)}
        source = imagefolder.read_from(in_zip(tmp_path / "t.zip", tree), "mine", tmp_path)
        assert source.classes == [composed, "a b", "猫 と 犬"]
        assert np.bincount(source.labels).tolist() == [8, 6, 6]

    def test_folders_below_a_class_belong_to_it(self, tmp_path):
        tree = good_tree(count=4) | {f"cat/more/{number}.png": IMAGE for number in range(4)}
        source = imagefolder.read_from(in_folder(tmp_path / "t", tree), "mine", tmp_path)
        assert np.bincount(source.labels).tolist() == [8, 4]
        assert imagefolder.name_in_class(source.images.name(4), "cat") == "more/0.png"

    def test_follows_links_within_the_tree(self, tree, tmp_path, contents):
        (tree / "cat" / "again.png").symlink_to(tree / "dog" / "0.png")
        source = imagefolder.read_from(tree, "mine", tmp_path)
        assert np.bincount(source.labels).tolist() == [3, 2]
        assert contents(source, 2) == [(tree / "dog" / "0.png").read_bytes()]


def test_arranges_thousands_of_classes():
    names = [f"class {label}/{number}.png" for label in range(3_000) for number in range(3)]
    folders = [f"class {label}" for label in range(3_000)]
    entries, others = imagefolder.arrange(names, folders, Path("t"))
    assert others == 0
    assert len(imagefolder.class_names(entries, Path("t"))) == 3_000
    assert [names[entry.index] for entry in entries] == sorted(names, key=lambda name: name.split("/"))


class TestRefusals:
    @pytest.mark.parametrize(
        ("names", "message"),
        [
            ([], "no images in it"),
            (["notes.txt"], "no images in it"),
            (
                ["cat/1.png", "dog/1.png", "loose.png"],
                "loose.png outside of a class folder; put each image into",
            ),
            (["cat/1.png", "dog/1.png", "Cat/1.png"], "classes Cat, cat differ in case only"),
            (["train/cat/1.png", "test/cat/1.png", "test/eel/1.png"], "class eel has no training images"),
            (["cat/1.png", "cat/2.png"], "'cat' is the only class, and a classifier needs two"),
        ],
    )
    def test_of_trees(self, tmp_path, names, message):
        (tmp_path / "t").mkdir()
        path = in_folder(tmp_path / "t", dict.fromkeys(names, b""))
        with pytest.raises(InputError, match=message) as error:
            imagefolder.read_from(path, "mine", tmp_path)
        assert "\n" not in str(error.value)

    def test_of_a_class_folder_without_images(self, tree, tmp_path):
        (tree / "bird").mkdir()
        with pytest.raises(
            InputError, match="no images in class folder bird; add images or remove the folder"
        ):
            imagefolder.read_from(tree, "mine", tmp_path)

    @pytest.mark.parametrize("target", ["../../secret.png", "/etc", "loop.png", "nowhere.png"])
    def test_of_links_out_of_the_tree_to_folders_in_circles_and_to_nothing(self, tree, tmp_path, target):
        (tmp_path / "secret.png").write_bytes(IMAGE)
        (tree / "cat" / "link.png").symlink_to(target)
        (tree / "cat" / "loop.png").symlink_to("link.png" if target == "loop.png" else "0.png")
        with pytest.raises(InputError, match=r"cat/(link|loop)\.png is a link that leads out of .*tree"):
            imagefolder.read_from(tree, "mine", tmp_path)

    @pytest.mark.parametrize("name", ["cat/pipe.png", "cat/pipe", "pipes/.hidden"])
    def test_of_a_pipe_without_waiting_for_its_writer(self, tree, tmp_path, name):
        (tree / name).parent.mkdir(exist_ok=True)
        os.mkfifo(tree / name)
        with pytest.raises(InputError, match=f"{name} is a pipe, socket or device; remove it"):
            imagefolder.read_from(tree, "mine", tmp_path)

    def test_of_other_paths(self, tmp_path):
        with pytest.raises(InputError, match="does not exist; give the folder or archive"):
            imagefolder.read_from(tmp_path / "nowhere", "mine", tmp_path)
        (tmp_path / "x").write_text("hello")
        with pytest.raises(InputError, match="neither a folder nor a zip or tar archive"):
            imagefolder.read_from(tmp_path / "x", "mine", tmp_path)

    def test_of_an_import_that_changed(self, tmp_path):
        path = in_tar(tmp_path / "t.tar", good_tree(count=1))
        message = "dataset.sha256 is 0000000000000000…; the file changed, run `labelmint import` again"
        with pytest.raises(InputError, match=message):
            imagefolder.check_sha256(path, "0" * 64)
        path.unlink()
        with pytest.raises(InputError, match="is missing; run `labelmint import` again"):
            imagefolder.check_sha256(path, "0" * 64)
