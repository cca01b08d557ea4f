"""The stage `prepare` on real digits and on planted duplicates."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from labelmint.data.arrays import prepare_arrays
from labelmint.data.hashes import content_hash
from labelmint.data.preparation import split
from labelmint.data.settings import Dataset
from labelmint.data.sources import read
from labelmint.data.storage.splits import subset
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json
from tests.image_trees import MINE, in_folder, smooth_images


class TestDigits:
    def test_the_split_is_a_partition_of_all_digits(self, tmp_path):
        source = read(Dataset(), tmp_path, tmp_path)
        train, validation, test = split(source, Dataset())
        assert len(source.labels) == 1797
        assert sorted([*train, *test]) == list(range(1797))
        assert not len(validation)
        with source.images.open() as image:
            first = np.asarray(image(0))
        assert first.shape == (8, 8)
        assert first.max() == 239  # 15 of 16

    def test_arrays_and_manifest_belong_together(self, project, run_stage):
        assert run_stage("prepare", images_per_class=12)[0] == 0
        folder = project / "data" / "tensors"
        (images, labels), (test_images, _) = load_set(folder), load_set(folder / "test")
        manifest = load_json(folder / "manifest.json")
        assert images.shape == (120, 1, 16, 16) == test_images.shape
        assert manifest["train"]["sha256_16"] == [f"{content_hash(image):016x}" for image in images]
        assert not set(manifest["train"]["sha256_16"]) & set(manifest["test"]["sha256_16"])
        assert not set(manifest["train"]["source_index"]) & set(manifest["test"]["source_index"])
        assert manifest["subsets"]["0"]["40"] == subset(labels, 40, 0).tolist()
        assert manifest["preprocessing"]["resize_filter"] == "bicubic"
        # Only the manifest may contain percents and seeds, or a new one would make every stage stale.
        assert "subsets" not in load_json(folder / "dataset.json")

    def test_validation_is_drawn_from_the_images_that_are_not_for_testing(self, run_stage, project):
        assert run_stage("prepare", validation_percent=10)[0] == 0
        folders = [project / "data/tensors" / name for name in ("", "validation", "test")]
        sizes = [len(load_set(folder)[1]) for folder in folders]
        manifest = load_json(folders[0] / "manifest.json")
        positions = [manifest[name]["source_index"] for name in ("train", "validation", "test")]
        assert sum(sizes) == 1797
        assert sorted(sum(positions, [])) == list(range(1797))
        assert sizes[1] == pytest.approx(0.1 * (sizes[0] + sizes[1]), abs=5)
        assert sizes == [len(own) for own in positions]

    def test_one_process_or_two_write_the_same_bytes(self, project, run_stage):
        content = []
        for workers in ("1", "2"):
            text = (project / "params.yaml").read_text()
            (project / "params.yaml").write_text(re.sub(r'(workers"?): \w+', rf"\1: {workers}", text))
            assert run_stage("prepare", image_size=32)[0] == 0
            files = sorted((project / "data/tensors").rglob("*.*"))
            content.append([path.read_bytes() for path in files])
        assert content[0] == content[1]
        assert len(content[0]) == 11

    def test_mirrored_classes_are_recorded(self, run_stage, project, refused):
        assert "no class 'ten'" in refused(mirror=["ten"])
        assert run_stage("prepare", mirror=["0", "8"])[0] == 0
        mirror = load_json(project / "data/tensors/dataset.json")["mirror"]
        assert mirror == [True] + [False] * 7 + [True, False]

    def test_arrays_in_memory_are_those_of_the_stage(self, project, run_stage, tmp_path):
        assert run_stage("prepare", images_per_class=12)[0] == 0
        dataset = prepare_arrays(Dataset(images_per_class=12), tmp_path / "raw")
        for folder, images, labels in (
            (project / "data/tensors", dataset.images, dataset.labels),
            (project / "data/tensors/test", dataset.test_images, dataset.test_labels),
        ):
            assert np.array_equal(load_set(folder)[0], images)
            assert np.array_equal(load_set(folder)[1], labels)
        assert dataset.classes == [str(digit) for digit in range(10)]
        assert not (tmp_path / "raw").exists()


def encoded(tensor: np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(tensor.transpose(1, 2, 0)).save(buffer, kind, **options)
    return buffer.getvalue()


class TestDuplicates:
    """3 of 20 test images are in training byte for byte, 2 as a JPEG; 1 training image occurs twice."""

    @pytest.fixture
    def settings(self, project) -> dict:
        train, test = smooth_images(60), smooth_images(20, seed=7)
        files = {f"train/{'ab'[number % 2]}/{number}.png": encoded(each) for number, each in enumerate(train)}
        files |= {f"test/{'ab'[number % 2]}/{number}.png": encoded(each) for number, each in enumerate(test)}
        files |= {f"train/a/copy{number}.png": encoded(test[number]) for number in (0, 2, 5)}
        files |= {f"train/b/near{number}.jpg": encoded(test[number], "JPEG", quality=90) for number in (8, 9)}
        files["train/a/twice.png"] = encoded(train[0])
        return {**MINE, "image_size": 32, "path": str(in_folder(project / "tree", files))}

    def test_exact_ones_are_dropped_and_all_are_counted(self, project, run_stage, settings):
        code, message = run_stage("prepare", **settings)
        assert code == 0
        assert "3 dropped because another split has them; 2 test images have a near duplicate" in message
        manifest = load_json(project / "data/tensors/manifest.json")
        counts = manifest["duplicates"]
        assert counts["train_images_also_in_test"] == 3
        assert counts["repeated_within_train"] == 1
        assert counts["near_test_in_training"] == 2
        assert counts["near_within_train"] == 0
        assert manifest["n_train"] == 63 == len(load_set(project / "data/tensors")[0])
        names = manifest["train"]["source_name"]
        assert not [name for name in names if "copy" in name]
        assert len([name for name in names if "near" in name]) == 2
        assert not set(manifest["train"]["sha256_16"]) & set(manifest["test"]["sha256_16"])

    def test_near_ones_are_dropped_on_request(self, project, run_stage, settings):
        assert run_stage("prepare", **settings, near_duplicates="drop")[0] == 0
        manifest = load_json(project / "data/tensors/manifest.json")
        assert manifest["n_train"] == 61
        assert not [name for name in manifest["train"]["source_name"] if "near" in name]

    def test_both_are_refused_on_request(self, refused, settings):
        message = refused(**settings, duplicates="refuse")
        assert (
            "3 training images also occur in the test or validation set; set dataset.duplicates: drop"
            in message
        )
        message = refused(**settings, near_duplicates="refuse", duplicates="drop")
        assert "2 training images also have a near duplicate in the test or validation set" in message
