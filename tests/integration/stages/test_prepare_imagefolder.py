"""The stage `prepare` on the user's own images: good trees in all containers, and bad images."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from labelmint.data.convert import convert
from labelmint.data.settings import Dataset
from labelmint.data.sources import read
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.settings import Compute
from tests.conftest import SHARED
from tests.image_trees import MINE, PACKERS, encoded, good_tree, in_folder, in_tar, png_of


def resized(content: bytes) -> np.ndarray:
    """uint8 (3, 8, 8), by Pillow alone."""
    picture = Image.open(io.BytesIO(content)).resize((8, 8), Image.Resampling.BICUBIC)
    return np.asarray(picture).transpose(2, 0, 1)


class TestGoodTrees:
    @pytest.mark.parametrize("packer", PACKERS)
    def test_all_containers_give_the_same_tensors(self, project, run_stage, packer):
        tree = good_tree()
        code, stderr = run_stage(
            "prepare", **MINE, path=str(PACKERS[packer](project, tree | {"cat/notes.txt": b"x"}))
        )
        assert code == 0, stderr
        assert "note: left out: 1 file .txt: not images" in stderr
        images, labels = load_set(project / "data/tensors")
        assert labels.tolist() == [0] * 5 + [1] * 5
        manifest = load_json(project / "data/tensors/manifest.json")
        assert manifest["classes"] == ["cat", "dog"]
        assert manifest["n_test"] == 2
        assert images.shape == (10, 3, 8, 8)
        for image, name in zip(images, manifest["train"]["source_name"]):
            assert (image == resized(tree[name])).all()

    def test_a_split_of_its_own(self, project, run_stage):
        tree = (
            good_tree(above="t/train/")
            | good_tree(count=3, above="t/Test/")
            | good_tree(count=2, above="t/val/")
        )
        code, stderr = run_stage("prepare", **MINE, path=str(in_tar(project / "t.tar", tree)))
        assert code == 0, stderr
        manifest = load_json(project / "data/tensors/manifest.json")
        assert [manifest[f"n_{part}"] for part in ("train", "validation", "test")] == [12, 4, 6]
        assert all("/Test/" in name for name in manifest["test"]["source_name"])

    def test_a_class_name_is_never_run_as_a_command(self, project, run_stage):
        tree = good_tree(("$(touch sprung)", "; touch sprung", "-rf", "猫 と 犬"))
        assert run_stage("prepare", **MINE, path=str(in_folder(project / "t", tree)))[0] == 0
        assert not (project / "sprung").exists()

    def test_many_classes(self, project, run_stage):
        settings = {**MINE, "image_size": 4, "channels": 1, "test_percent": 10}
        content = [encoded(number, size=(4, 4)) for number in range(3)]
        names = [f"class {label}/{number}.png" for label in range(300) for number in range(3)]
        tree = {name: content[number % 3] for number, name in enumerate(names)}
        code, stderr = run_stage("prepare", **settings, path=str(in_tar(project / "t.tar", tree)))
        # All classes have the same images: those that are drawn for testing are dropped from training.
        last = stderr.splitlines()[-1]
        assert code == 2
        assert "class 0, class 1, class 2 and 297 more: fewer than 2 training images" in last
        tree = {name: encoded(number, size=(4, 4)) for number, name in enumerate(names)}
        code, stderr = run_stage("prepare", path=str(in_tar(project / "t.tar", tree)))
        assert code == 0, stderr
        assert len(load_json(project / "data/tensors/dataset.json")["classes"]) == 300

    def test_the_published_cifar_images_as_a_tar(self, tmp_path):
        path = SHARED / "cifar10-images.tar"
        if not path.exists():
            pytest.skip(f"{path} is not there; set LABELMINT_TEST_DATA")
        source = read(Dataset(name="cifar", format="imagefolder", path=str(path)), tmp_path, tmp_path)
        assert source.classes[:3] == ["airplane", "automobile", "bird"]
        assert np.bincount(np.asarray(source.split)).tolist() == [50_000, 0, 10_000]
        assert np.bincount(source.labels).tolist() == [6000] * 10


def truncated(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (0, 100, 200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


BAD_IMAGES = {
    "truncated.jpg": (truncated(encoded(kind="JPEG", size=(64, 64))), "damaged ("),
    "truncated.png": (truncated(encoded(size=(64, 64))), "damaged ("),
    "empty.png": (b"", "empty file"),
    "text.png": (b"this is not a picture\n", "not a PNG, JPEG, BMP, WEBP, TIFF or PPM image, but text"),
    "page.png": (b"<html><body>404</body></html>", "not a PNG, JPEG, BMP, WEBP, TIFF or PPM image, but "),
    "bomb.png": (png_of(50_000, 50_000), "declares 2,500,000,000 pixels; at most 64,000,000 are decoded"),
    "large.png": (png_of(10_000, 8_000), "declares 10000 x 8000 pixels"),
    "dot.png": (encoded(size=(1, 1)), "1 x 1 pixels; at least 4 x 4"),
    "animated.gif": (animated("GIF"), "not a PNG, JPEG, BMP, WEBP, TIFF or PPM image, but a GIF"),
    "animated.png": (animated("PNG"), "3 frames"),
    "animated.webp": (animated("WEBP"), "3 frames"),
    "pages.tif": (animated("TIFF"), "3 frames"),
    "print.jpg": (encoded(kind="JPEG", mode="CMYK"), "CMYK"),
    "float.tif": (encoded(kind="TIFF", mode="F"), "floating-point pixels"),
}


class TestBadImages:
    def test_all_are_named_with_the_reason(self, tmp_path, refused, project):
        tree = good_tree() | {f"cat/{name}": content for name, (content, _) in BAD_IMAGES.items()}
        dataset = Dataset(**MINE, path=str(in_folder(project / "t", tree)))
        source = read(dataset, tmp_path, tmp_path)
        rows = np.arange(len(source.labels))
        bad = dict(convert(source, rows, dataset, tmp_path / "images.npy", Compute(workers=1)).bad)
        assert bad.keys() == {f"cat/{name}" for name in BAD_IMAGES}
        for name, (_, reason) in BAD_IMAGES.items():
            assert bad[f"cat/{name}"].startswith(reason), (name, bad[f"cat/{name}"])
        message = refused(**MINE, path=dataset.path)
        assert message.startswith(
            f"14 of 26 images cannot be used (cat/animated.gif: {bad['cat/animated.gif']}, "
        )
        assert " and 11 more); " in message
        assert "repair or remove them: at most 3 can be left out" in message

    @pytest.mark.parametrize("packer", ["folder", "zip", "tar.gz"])
    def test_few_can_be_skipped_and_are_listed(self, project, run_stage, packer):
        bad = {"cat/bad.png": b"", "dog/bad.png": truncated(encoded(size=(64, 64)))}
        tree = good_tree(count=100) | bad
        path = str(PACKERS[packer](project, tree))
        code, stderr = run_stage("prepare", **MINE, path=path, on_bad_image="skip")
        assert code == 0, stderr
        manifest = load_json(project / "data/tensors/manifest.json")
        assert [each["image"] for each in manifest["bad_images"]] == sorted(bad)
        names = manifest["train"]["source_name"] + manifest["test"]["source_name"]
        assert sorted(names) == sorted(tree.keys() - bad.keys())
        for image, name in zip(load_set(project / "data/tensors")[0], manifest["train"]["source_name"]):
            assert (image == resized(tree[name])).all()  # rows after a bad image moved up

    def test_many_cannot_be_skipped(self, refused, project):
        bad = {f"cat/bad-{number}.png": b"" for number in range(4)}
        root = in_folder(project / "t", good_tree(count=20) | bad)
        message = refused(**MINE, path=str(root), on_bad_image="skip")
        assert "4 of 44 images cannot be used (cat/bad-0.png: empty file, " in message
        assert "at most 3 can be left out" in message

    def test_control_characters_of_a_name_are_escaped(self, refused, project):
        name = "\x1b]0;gone\x07\nerror: all is well\u202e.png"
        message = refused(**MINE, path=str(in_folder(project / "t", good_tree() | {f"cat/{name}": b""})))
        assert r"(cat/\x1b]0;gone\x07\nerror: all is well\u202e.png: empty file)" in message


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (good_tree() | {"loose.png": encoded()}, "loose.png outside of a class folder"),
        (good_tree() | {"bird/1.png": encoded(77)}, "class bird: fewer than 2 training images"),
        (
            good_tree(("cat", "dog", "eel"), above="train/") | good_tree(count=2, above="test/"),
            "class eel: fewer than 1 test",
        ),
        (
            {f"c{number}/1.png": encoded(number) for number in range(300)},
            "and 297 more: fewer than 2 training images",
        ),
    ],
)
def test_bad_trees_are_refused_in_one_line(refused, project, tree, message):
    assert message in refused(**MINE, path=str(in_folder(project / "t", tree)))
