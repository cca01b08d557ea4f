"""A person's own images: good trees of every shape, and everything that strangers' trees hold."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from labelmint.data.settings import Dataset
from labelmint.data.source import BadImageError
from labelmint.data.sources import imagefolder, read
from labelmint.data.storage.tensors import load_set
from labelmint.data.stored_images import FolderImages
from labelmint.runtime.atomic_files import load_json
from tests.conftest import SHARED
from tests.image_trees import MINE, PACKERS, encoded, good_tree, in_folder, in_tar, in_zip


class TestGoodTrees:
    @pytest.mark.parametrize("packer", PACKERS)
    def test_every_container_gives_the_same_tensors(self, project, run_stage, packer):
        tree = good_tree()
        code, said = run_stage("prepare", **MINE, path=str(PACKERS[packer](project, tree)))
        assert code == 0, said
        images, labels = load_set(project / "data/tensors")
        assert images.shape == (10, 3, 8, 8) and labels.tolist() == [0] * 5 + [1] * 5
        manifest = load_json(project / "data/tensors/manifest.json")
        assert manifest["classes"] == ["cat", "dog"] and manifest["n_test"] == 2
        for image, name in zip(images, manifest["train"]["source_name"]):
            picture = Image.open(io.BytesIO(tree[name])).resize((8, 8), Image.Resampling.BICUBIC)
            assert (image == np.asarray(picture).transpose(2, 0, 1)).all()

    @pytest.mark.parametrize("packer", ["folder", "zip", "tar"])
    def test_a_split_of_their_own_under_a_common_folder(self, project, run_stage, packer):
        tree = (
            good_tree(above="flowers/train/")
            | good_tree(count=3, above="flowers/Test/")
            | good_tree(count=2, above="flowers/val/")
        )
        tree |= {"flowers/readme.txt": b"hello", "__MACOSX/._x.png": b"x", "flowers/train/cat/.DS_Store": b"x"}
        code, said = run_stage("prepare", **MINE, path=str(PACKERS[packer](project, tree)))
        assert code == 0 and "note: 1 files that are not images were left out" in said, said
        manifest = load_json(project / "data/tensors/manifest.json")
        assert [manifest[f"n_{part}"] for part in ("train", "validation", "test")] == [12, 4, 6]
        assert all("/Test/" in name for name in manifest["test"]["source_name"])

    def test_names_in_any_script_and_with_spaces(self, project, run_stage):
        composed, decomposed = "Stra\u00dfenk\u00f6ter", "Stra\u00dfenko\u0308ter"
        tree = good_tree(("猫 と 犬", composed, "a b")) | {f"{decomposed}/n{i}.png": encoded(900 + i) for i in range(2)}
        code, said = run_stage("prepare", **MINE, path=str(in_zip(project / "t.zip", tree)))
        assert code == 0, said
        manifest = load_json(project / "data/tensors/manifest.json")
        assert manifest["classes"] == [composed, "a b", "猫 と 犬"]  # one class, however its name was typed
        assert manifest["n_train"] + manifest["n_test"] == 20

    def test_a_class_name_is_never_a_command(self, project, run_stage):
        tree = good_tree(("$(touch sprung)", "; touch sprung", "-rf"))
        assert run_stage("prepare", **MINE, path=str(in_folder(project / "t", tree)))[0] == 0
        assert not (project / "sprung").exists()

    def test_folders_below_a_class_belong_to_it(self, project, run_stage):
        tree = good_tree(count=4) | {f"cat/more/{i}.png": encoded(500 + i) for i in range(4)}
        assert run_stage("prepare", **MINE, path=str(in_folder(project / "t", tree)))[0] == 0
        assert np.bincount(load_set(project / "data/tensors")[1]).tolist() == [6, 3]

    def test_ten_thousand_classes(self, project, run_stage):
        content = [encoded(number, size=(4, 4)) for number in range(3)]
        tree = {f"class {label}/{number}.png": content[number] for label in range(10_000) for number in range(3)}
        code, said = run_stage(
            "prepare", **{**MINE, "image_size": 4}, path=str(in_tar(project / "t.tar", tree)), test_percent=10
        )
        # Each class holds out the same number of images, some of which others train on: those are dropped, and some class has too few.
        assert code == 2 and "and 9," in said.splitlines()[-1] and len(said.splitlines()[-1]) < 300
        tree = {name: encoded(place, size=(4, 4)) for place, name in enumerate(tree)}
        code, said = run_stage("prepare", path=str(in_tar(project / "t.tar", tree)))
        assert code == 0, said
        assert len(load_json(project / "data/tensors/dataset.json")["classes"]) == 10_000

    def test_links_within_the_tree_are_followed(self, project, run_stage):
        root = in_folder(project / "t", good_tree())
        (root / "cat" / "again.png").symlink_to(root / "dog" / "0.png")
        assert run_stage("prepare", **MINE, path=str(root))[0] == 0

    def test_real_cifar_as_its_owner_keeps_it(self, tmp_path):
        path = SHARED / "cifar10-images.tar"
        if not path.exists():
            pytest.skip(f"{path} is not there; set LABELMINT_TEST_DATA")
        source = read(Dataset(name="cifar", format="imagefolder", path=str(path)), tmp_path, tmp_path)
        assert len(source.labels) == 60_000 and source.classes[:3] == ["airplane", "automobile", "bird"]
        assert np.bincount(source.split).tolist() == [50_000, 0, 10_000]
        assert np.bincount(source.labels).tolist() == [6000] * 10


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def png_of(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def moving(kind: str) -> bytes:
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (0, 100, 200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


BAD_IMAGES = {
    "truncated.jpg": (cut(encoded(kind="JPEG", size=(64, 64))), "damaged ("),
    "truncated.png": (cut(encoded(size=(64, 64))), "damaged ("),
    "empty.png": (b"", "empty file"),
    "text.png": (b"this is not a picture\n", "not a PNG, JPEG, BMP, WEBP or TIFF image, but text"),
    "page.png": (b"<html><body>404</body></html>", "but a page of markup"),
    "bomb.png": (png_of(50_000, 50_000), "declares 2,500,000,000 pixels; at most 64,000,000 are decoded"),
    "large.png": (png_of(10_000, 8_000), "declares 10000 x 8000 pixels"),
    "dot.png": (encoded(size=(1, 1)), "1 x 1 pixels; at least 4 x 4"),
    "moving.gif": (moving("GIF"), "but a GIF"),
    "moving.png": (moving("PNG"), "3 frames; one picture a file"),
    "moving.webp": (moving("WEBP"), "3 frames; one picture a file"),
    "pages.tif": (moving("TIFF"), "3 frames; one picture a file"),
    "print.jpg": (encoded(kind="JPEG", mode="CMYK"), "CMYK, colours for print; save it as RGB"),
    "float.tif": (encoded(kind="TIFF", mode="F"), "floating-point pixels"),
}


class TestBadImages:
    @pytest.mark.parametrize("name", BAD_IMAGES)
    def test_are_named_with_what_is_wrong(self, refused, project, name):
        content, says = BAD_IMAGES[name]
        root = in_folder(project / "t", good_tree() | {f"cat/{name}": content})
        said = refused(**MINE, path=str(root))
        assert f"1 of 13 images cannot be used (cat/{name}: " in said and says in said
        assert "set dataset.on_bad_image: skip" in said

    @pytest.mark.parametrize("packer", ["folder", "zip", "tar", "tar.gz"])
    def test_may_be_skipped_and_are_listed(self, project, run_stage, packer):
        tree = good_tree(count=100) | {"cat/bad.png": b"", "dog/bad.png": cut(encoded(size=(64, 64)))}
        code, said = run_stage("prepare", **MINE, path=str(PACKERS[packer](project, tree)), on_bad_image="skip")
        assert code == 0 and "2 bad ones left out, listed in manifest.json" in said, said
        manifest = load_json(project / "data/tensors/manifest.json")
        assert [each["image"] for each in manifest["bad_images"]] == ["cat/bad.png", "dog/bad.png"]
        assert manifest["n_train"] + manifest["n_test"] == 200
        names = manifest["train"]["source_name"] + manifest["test"]["source_name"]
        assert len(names) == 200 and not [name for name in names if "bad" in name]
        for image, name in zip(
            load_set(project / "data/tensors")[0], manifest["train"]["source_name"]
        ):  # rows moved up
            picture = Image.open(io.BytesIO(tree[name])).resize((8, 8), Image.Resampling.BICUBIC)
            assert (image == np.asarray(picture).transpose(2, 0, 1)).all()

    def test_too_many_cannot_be_skipped(self, refused, project):
        root = in_folder(project / "t", good_tree(count=20) | {"cat/bad.png": b""})
        said = refused(**MINE, path=str(root), on_bad_image="skip")
        assert "1 of 41 images cannot be used (cat/bad.png: empty file); skipping is for at most 1 %" in said

    def test_links_that_go_round_in_circles(self, project, refused):
        root = in_folder(project / "t", good_tree())
        path = root / "cat" / "0.png"
        path.unlink()
        path.symlink_to(root / "cat" / "loop.png")
        (root / "cat" / "loop.png").symlink_to(path)
        assert "is a link that leads out of" in refused(**MINE, path=str(root))


class TestBadTrees:
    @pytest.mark.parametrize(
        ("tree", "says"),
        [
            ({}, "no images in it"),
            ({"notes.txt": b"x"}, "no images in it"),
            (good_tree() | {"loose.png": encoded()}, "loose.png outside of a class folder"),
            (good_tree() | {"Cat/1.png": encoded()}, "classes Cat, cat differ in case only"),
            (good_tree() | {"bird/1.png": encoded(77)}, "class bird: fewer than 2 training images"),
            (good_tree(above="train/") | good_tree(("cat", "dog", "eel"), 2, "test/"), "class eel has no training images"),
            (good_tree(("cat", "dog", "eel"), above="train/") | good_tree(count=2, above="test/"), "class eel: fewer than 1 test"),
            ({f"c{number}/1.png": encoded(number) for number in range(500)}, "and 497 more: fewer than 2 training images"),
        ],
    )  # fmt: skip
    def test_are_refused_in_one_line(self, refused, project, tree, says):
        (project / "t").mkdir()
        assert says in refused(**MINE, path=str(in_folder(project / "t", tree)))

    def test_a_class_folder_without_images(self, refused, project):
        root = in_folder(project / "t", good_tree())
        (root / "bird").mkdir()
        assert "no images in class folder bird; add images or remove the folder" in refused(**MINE, path=str(root))

    def test_a_link_out_of_the_tree(self, refused, project):
        root = in_folder(project / "t", good_tree())
        (project / "secret.png").write_bytes(encoded())
        (root / "cat" / "secret.png").symlink_to(project / "secret.png")
        assert "secret.png is a link that leads out of" in refused(**MINE, path=str(root))
        (root / "cat" / "secret.png").unlink()
        (root / "bird").symlink_to("/etc")
        assert "bird is a link that leads out of" in refused(**MINE, path=str(root))

    @pytest.mark.parametrize("name", ["cat/pipe.png", "cat/pipe", "pipes/.hidden"])
    def test_a_pipe_is_not_waited_for(self, refused, project, name):
        root = in_folder(project / "t", good_tree())
        (root / name).parent.mkdir(exist_ok=True)
        os.mkfifo(root / name)
        assert f"{name} is a pipe, socket or device; remove it" in refused(**MINE, path=str(root))

    def test_nor_one_that_took_a_files_place_since_it_was_listed(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.png")
        with FolderImages(tmp_path, ["pipe.png"]).open() as read_, pytest.raises(BadImageError, match="not a regular file"):
            read_(0)

    def test_a_name_that_would_command_the_terminal_is_shown(self, refused, project):
        name = "\x1b]0;gone\x07\nerror: all is well\u202e.png"
        said = refused(**MINE, path=str(in_folder(project / "t", good_tree() | {f"cat/{name}": b""})))
        assert r"(cat/\x1b]0;gone\x07\nerror: all is well\u202e.png: empty file)" in said

    def test_nothing_there(self, refused, project):
        assert "does not exist; give the folder" in refused(**MINE, path="nowhere")
        (project / "x").write_text("hello")
        assert "neither a folder nor a zip or tar archive" in refused(**MINE, path="x")


def test_messages_name_a_few_and_count_the_rest():
    assert imagefolder.some(["a"]) == "a" and imagefolder.some(list("abcdef")) == "a, b, c and 3 more"
