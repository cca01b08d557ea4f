"""Inception: its features, the metrics from them, and its numbers in the stage evaluate."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from labelmint.metrics import inception
from labelmint.reporting.tables import to_table
from labelmint.runtime.atomic_files import load_json
from stages.paths import Arm
from tests.conftest import CPU
from tests.integration.stages.workspaces import linked, run

ARM = Arm("dcgan", 100, 0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A state dict of the right shape."""
    torch_fidelity = pytest.importorskip("torch_fidelity")
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        extractor = torch_fidelity.FeatureExtractorInceptionV3
        patch.setattr(extractor, "load_state_dict", lambda self, state: None)
        patch.setattr(torch, "load", lambda *_, **__: {})
        network = extractor("inception-v3-compat", ["2048"], "nowhere")
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def network(weights, tmp_path_factory) -> inception.Inception:
    return inception.load(str(weights), tmp_path_factory.mktemp("raw"), CPU)


class TestInception:
    """With random weights, since the real ones cannot be fetched."""

    @staticmethod
    def images(count: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (count, 1, 16, 16), dtype=np.uint8)

    def test_features_have_known_sizes_and_a_known_hash(self, network, weights):
        found = network.features(self.images(3, 0))
        assert found.pool.shape == (3, 2048)
        assert found.logits.shape == (3, 1008)
        assert network.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()

    def test_grey_is_tripled(self, network):
        grey = self.images(2, 0)
        assert np.array_equal(network.features(grey).pool, network.features(np.repeat(grey, 3, 1)).pool)

    def test_metrics_are_those_of_torch_fidelity(self, network, weights, monkeypatch):
        """The library from images to numbers, against ours, in 32 of 2048 features, to save time."""
        from torch_fidelity import FeatureExtractorInceptionV3, calculate_metrics

        class Images(torch.utils.data.Dataset):
            def __init__(self, array):
                self.array = torch.from_numpy(np.repeat(array, 3, 1))

            def __len__(self):
                return len(self.array)

            def __getitem__(self, index):
                return self.array[index]

        complete = FeatureExtractorInceptionV3.forward

        def first_features(self, batch):
            return tuple(each[:, :32] if each.shape[1] == 2048 else each for each in complete(self, batch))

        monkeypatch.setattr(FeatureExtractorInceptionV3, "forward", first_features)
        monkeypatch.setattr(inception, "_SPLITS", 2)  # of several images each
        first, second = self.images(4, 0), self.images(4, 1) // 2
        library = calculate_metrics(
            input1=Images(first),
            input2=Images(second),
            **dict.fromkeys(("isc", "fid", "kid", "save_cpu_ram"), True),
            **dict.fromkeys(("cuda", "cache", "verbose"), False),
            isc_splits=2,
            kid_subset_size=4,
            batch_size=50,
            feature_extractor_weights_path=str(weights),
        )
        ours = inception.metrics(network.features(first), network.features(second))
        assert ours["fid"] == pytest.approx(library["frechet_inception_distance"], rel=1e-4, abs=1e-6)
        kernel = library["kernel_inception_distance_mean"]
        assert ours["kid_inception"] == pytest.approx(kernel, rel=1e-4, abs=1e-8)
        assert ours["inception_score"] == pytest.approx(library["inception_score_mean"], rel=1e-6)
        assert ours["fid_infinity"] is None  # 4 images cannot fit 32 means

    def test_the_stage_measures_as_many_real_as_synthetic_images(
        self, params, workspace, weights, tmp_path, monkeypatch
    ):
        """Each number has its n, its split and the hash of the weights; features are pixels, to save time."""

        def pixels(self: inception.Inception, images: np.ndarray) -> inception.Features:
            values = images.reshape(len(images), -1).astype(np.float32)
            return inception.Features(values[:, 100:116], values)

        monkeypatch.setattr(inception.Inception, "features", pixels)
        paths = linked(workspace, tmp_path)
        metrics = replace(params.metrics, inception=str(weights), inception_images=12)
        run("evaluate", replace(params, metrics=metrics), ARM, paths)
        content, digest = load_json(paths.metrics(ARM)), hashlib.sha256(weights.read_bytes()).hexdigest()
        assert content["absent"] == {}
        assert content["protocol"]["fid"].endswith("at most 12 images a side")
        for row, split in zip(content["rows"][:2], ("train", "synthetic")):
            assert row["fid"] > 0
            assert row["fid_infinity"] is None
            assert row["measured"]["fid_infinity"]["sizes"] == []
            for name in ("fid", "fid_infinity", "kid_inception", "inception_score"):
                how = row["measured"][name]
                assert (how["n"], how["split"]) == (12, split)
                assert how["network"].endswith(digest)
                assert "299" in how["resize"]
                assert how["precision"] == "fp32"
        assert to_table(content["rows"])[1]["n_inception"] == 12
