from __future__ import annotations

import os

import pytest

from labelmint.data.reading.tree import open_tree
from labelmint.runtime.errors import InputError
from tests.image_trees import encoded, good_tree, in_folder

IMAGE = encoded()


@pytest.fixture
def tree(tmp_path):
    """A folder of the classes cat and dog."""
    return in_folder(tmp_path / "tree", good_tree(count=2))


class TestRefusals:
    @pytest.mark.parametrize("target", ["../../secret.png", "/etc", "loop.png", "nowhere.png"])
    def test_of_links_out_of_the_tree_to_folders_in_circles_and_to_nothing(self, tree, tmp_path, target):
        (tmp_path / "secret.png").write_bytes(IMAGE)
        (tree / "cat" / "link.png").symlink_to(target)
        (tree / "cat" / "loop.png").symlink_to("link.png" if target == "loop.png" else "0.png")
        with pytest.raises(InputError, match=r"cat/(link|loop)\.png is a link that leads out of .*tree"):
            open_tree(tree, tmp_path)

    @pytest.mark.parametrize("name", ["cat/pipe.png", "cat/pipe", "pipes/.hidden"])
    def test_of_a_pipe_without_waiting_for_its_writer(self, tree, tmp_path, name):
        (tree / name).parent.mkdir(exist_ok=True)
        os.mkfifo(tree / name)
        with pytest.raises(InputError, match=f"{name} is a pipe, socket or device; remove it"):
            open_tree(tree, tmp_path)

    def test_of_a_folder_that_cannot_be_listed(self, tree, tmp_path, monkeypatch):
        scandir = os.scandir

        def refuse(path):
            if str(path).endswith("dog"):
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(InputError, match=r"tree/dog: cannot be listed \(Permission denied\)"):
            open_tree(tree, tmp_path)

    def test_of_other_paths(self, tmp_path):
        with pytest.raises(InputError, match="does not exist; give the folder or archive"):
            open_tree(tmp_path / "nowhere", tmp_path)
        (tmp_path / "x").write_text("hello")
        with pytest.raises(InputError, match="neither a folder nor a zip or tar archive"):
            open_tree(tmp_path / "x", tmp_path)
