from __future__ import annotations

import numpy as np
import pytest

from labelmint.data.reading.reading import Choice
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
        assert source.notes == [
            "left out: 1 file .txt: not images",
            "left out: 2 files of the system or hidden: not looked at",
        ]

    def test_names_in_any_script_with_spaces_and_in_both_unicode_forms(self, tmp_path):
        composed, decomposed = "Stra\u00dfenk\u00f6ter", "Stra\u00dfenko\u0308ter"
        tree = good_tree(("猫 と 犬", composed, "a b"))
        tree |= {f"{decomposed}/n{number}.png": IMAGE for number in range(2)}
        source = imagefolder.read_from(in_zip(tmp_path / "t.zip", tree), "mine", tmp_path)
        assert source.classes == [composed, "a b", "猫 と 犬"]
        assert np.bincount(source.labels).tolist() == [8, 6, 6]

    def test_folders_below_a_class_belong_to_it(self, tmp_path):
        tree = good_tree(count=4) | {f"cat/more/{number}.png": IMAGE for number in range(4)}
        source = imagefolder.read_from(
            in_folder(tmp_path / "t", tree), "mine", tmp_path, choice=Choice(layout="classes")
        )
        assert np.bincount(source.labels).tolist() == [8, 4]
        assert source.images.name(4) == "cat/more/0.png"

    def test_follows_links_within_the_tree(self, tree, tmp_path, contents):
        (tree / "cat" / "again.png").symlink_to(tree / "dog" / "0.png")
        source = imagefolder.read_from(tree, "mine", tmp_path)
        assert np.bincount(source.labels).tolist() == [3, 2]
        assert contents(source, 2) == [(tree / "dog" / "0.png").read_bytes()]


class TestChecksum:
    def test_of_an_import_that_changed(self, tmp_path):
        path = in_tar(tmp_path / "t.tar", good_tree(count=1))
        message = "dataset.sha256 is 0000000000000000…; the file changed, run `labelmint import` again"
        with pytest.raises(InputError, match=message):
            imagefolder.check_sha256(path, "0" * 64)
        path.unlink()
        with pytest.raises(InputError, match="is missing; run `labelmint import` again"):
            imagefolder.check_sha256(path, "0" * 64)
