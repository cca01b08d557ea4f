"""Images that are there twice: planted, found, counted, and kept apart."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from labelmint.data import duplicates
from labelmint.data.duplicates import near_pairs, perceptual_hashes
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json
from tests.image_trees import MINE, in_folder


def pictures(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """uint8 (count, 3, size, size): smooth, as photographs are, and all different."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    large = [np.asarray(Image.fromarray(each).resize((size, size), Image.Resampling.BICUBIC)) for each in small]
    return np.stack(large).transpose(0, 3, 1, 2)


def png(tensor: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(tensor.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def again(tensor: np.ndarray, quality: int) -> bytes:
    """The same picture, kept by somebody else as a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(tensor.transpose(1, 2, 0)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


class TestNearPairs:
    def brute(self, hashes: np.ndarray, images: np.ndarray, bits: int, rms: float) -> list[tuple[int, int]]:
        pairs = []
        for first in range(len(hashes)):
            for second in range(first + 1, len(hashes)):
                differing = bin(int(hashes[first]) ^ int(hashes[second])).count("1")
                gap = images[first].astype(float) - images[second]
                if differing <= bits and np.sqrt((gap**2).mean()) <= rms:
                    pairs.append((first, second))
        return pairs

    @pytest.mark.parametrize("bits", [0, 1, 4, 8])
    def test_finds_what_a_search_of_all_pairs_finds(self, bits):
        rng = np.random.default_rng(bits)
        few = rng.integers(0, 2**63, 12, dtype=np.uint64)
        hashes = np.concatenate([few, few, few, rng.integers(0, 2**63, 40, dtype=np.uint64)])
        for _ in range(4):
            hashes ^= np.uint64(1) << rng.integers(0, 64, len(hashes), dtype=np.uint64)
        images = rng.integers(0, 40, (len(hashes), 1, 4, 4), dtype=np.uint8)
        found, complete = near_pairs(hashes, images, bits, 17.0)
        assert complete and list(map(tuple, found.tolist())) == self.brute(hashes, images, bits, 17.0)

    def test_ends_when_nearly_all_hashes_are_alike(self, monkeypatch):
        monkeypatch.setattr(duplicates, "MOST_CANDIDATES", 1000)
        images = np.random.default_rng(0).integers(0, 256, (200, 1, 4, 4), dtype=np.uint8)
        assert not near_pairs(np.zeros(200, np.uint64), images, 4, 8.0)[1]

    def test_a_hash_survives_what_leaves_the_picture_the_same(self):
        tensors = pictures(50)
        lighter = (tensors * 0.8 + 30).astype(np.uint8)
        changed = np.bitwise_count(perceptual_hashes(tensors) ^ perceptual_hashes(lighter))
        others = np.bitwise_count(perceptual_hashes(tensors) ^ perceptual_hashes(pictures(50, seed=1)))
        assert changed.max() <= 4 and others.min() > 8

    def test_one_batch_or_many(self):
        tensors = pictures(30)
        assert perceptual_hashes(tensors).tolist() == [int(perceptual_hashes(each[None])[0]) for each in tensors]
        assert perceptual_hashes(tensors[:0]).shape == (0,)


class TestStage:
    """Of 20 test images, 3 are in training byte for byte, and 2 as a JPEG; 1 training image is there twice."""

    @pytest.fixture
    def tree(self, project):
        train, test = pictures(60), pictures(20, seed=7)
        files = {f"train/{'ab'[number % 2]}/{number}.png": png(each) for number, each in enumerate(train)}
        files |= {f"test/{'ab'[number % 2]}/{number}.png": png(each) for number, each in enumerate(test)}
        files |= {f"train/a/copy{number}.png": png(test[number]) for number in (0, 2, 5)}
        files |= {f"train/b/near{number}.jpg": again(test[number], 90) for number in (8, 9)}
        files["train/a/twice.png"] = png(train[0])
        return str(in_folder(project / "tree", files))

    def settings(self, tree: str, **changes) -> dict:
        return {**MINE, "image_size": 32, "path": tree, **changes}

    def test_exact_ones_are_dropped_and_all_are_counted(self, project, run_stage, tree):
        code, said = run_stage("prepare", **self.settings(tree))
        assert code == 0 and "3 dropped because another split has them; 2 test images have a near duplicate" in said
        manifest = load_json(project / "data/tensors/manifest.json")
        counts = manifest["duplicates"]
        assert counts["train_images_also_in_test"] == 3 and counts["repeated_within_train"] == 1
        assert counts["near_test_in_training"] == 2 and counts["near_within_train"] == 0
        assert manifest["n_train"] == 63 == len(load_set(project / "data/tensors")[0])
        names = manifest["train"]["source_name"]
        assert not [name for name in names if "copy" in name] and len([name for name in names if "near" in name]) == 2
        assert not set(manifest["train"]["sha256_16"]) & set(manifest["test"]["sha256_16"])

    def test_near_ones_are_dropped_when_asked(self, project, run_stage, tree):
        assert run_stage("prepare", **self.settings(tree, near_duplicates="drop"))[0] == 0
        manifest = load_json(project / "data/tensors/manifest.json")
        assert manifest["n_train"] == 61 and not [name for name in manifest["train"]["source_name"] if "near" in name]

    def test_or_refused(self, refused, tree):
        said = refused(**self.settings(tree, duplicates="refuse"))
        assert "3 training images also stand in the test or validation set; set dataset.duplicates: drop" in said
        said = refused(**self.settings(tree, duplicates="drop", near_duplicates="refuse"))
        assert "2 training images also have a near duplicate in the test or validation set" in said
