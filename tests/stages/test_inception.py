"""Inception metrics: weights that a test makes, since the real ones cannot be fetched; the row says why where there are none."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from labelmint.metrics import inception
from labelmint.reporting.tables import to_table
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm
from tests.conftest import CPU
from tests.stages.test_arms import beside


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A state dict of the right shape, of random numbers."""
    torch_fidelity = pytest.importorskip("torch_fidelity")
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(torch_fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        patch.setattr(torch, "load", lambda *_, **__: {})
        network = torch_fidelity.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], "nowhere")
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def network(weights, tmp_path_factory) -> inception.Inception:
    found, why = inception.load(str(weights), tmp_path_factory.mktemp("raw"), CPU)
    assert why == ""
    return found


def images(count: int, seed: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, channels, 16, 16), dtype=np.uint8)


class TestNetwork:
    def test_features_have_the_fields_sizes_and_a_known_hash(self, network, weights):
        found = network.features(images(3, 0))
        assert found.pool.shape == (3, 2048) and found.logits.shape == (3, 1008)
        assert network.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()

    def test_grey_is_tripled(self, network):
        grey = images(2, 0)
        assert np.array_equal(network.features(grey).pool, network.features(np.repeat(grey, 3, 1)).pool)

    def test_metrics_are_torch_fidelitys_own(self, network, weights):
        """The library's whole way, from images to numbers, against ours."""
        from torch.utils.data import Dataset
        from torch_fidelity import calculate_metrics

        class Images(Dataset):
            def __init__(self, array):
                self.array = torch.from_numpy(np.repeat(array, 3, 1))

            def __len__(self):
                return len(self.array)

            def __getitem__(self, index):
                return self.array[index]

        first, second = images(24, 0), images(24, 1) // 2
        library = calculate_metrics(
            input1=Images(first), input2=Images(second), cuda=False, isc=True, fid=True, kid=True, kid_subset_size=24,
            batch_size=50, cache=False, feature_extractor_weights_path=str(weights), verbose=False, save_cpu_ram=True,
        )  # fmt: skip
        ours = inception.metrics(network.features(first), network.features(second))
        assert ours["fid"] == pytest.approx(library["frechet_inception_distance"], rel=1e-4, abs=1e-6)
        assert ours["kid_inception"] == pytest.approx(library["kernel_inception_distance_mean"], rel=1e-4, abs=1e-8)
        assert ours["inception_score"] == pytest.approx(library["inception_score_mean"], rel=1e-6)
        assert ours["fid_infinity"] is None  # 24 images cannot fix 2048 means

    def test_of_a_set_with_itself_is_zero(self, network):
        own = network.features(images(20, 0))
        assert inception.metrics(own, own)["fid"] == pytest.approx(0, abs=1e-6)


def test_the_stage_measures_as_many_real_as_minted_images(params, workspace, weights, tmp_path, monkeypatch):
    """With a most that both sets exceed; each number with its n, its split and the hash of the weights."""
    whole = inception.Inception.features  # of whose 2048 features 16 will do: roots of covariances of all take a minute

    def first(self: inception.Inception, images: np.ndarray) -> inception.Features:
        found = whole(self, images)
        return inception.Features(found.pool[:, :16], found.logits)

    monkeypatch.setattr(inception.Inception, "features", first)
    arm, layout = Arm("dcgan", 100, 0), beside(workspace, tmp_path)
    (tmp_path / "data" / "classifiers").symlink_to(workspace.root / "data" / "classifiers")
    module, few = entry("evaluate"), replace(params.metrics, inception=str(weights), inception_images=12)
    module.run(select(module.Params, replace(params, metrics=few), arm), layout, NullTracker())
    content, digest = load_json(layout.metrics(arm)), hashlib.sha256(weights.read_bytes()).hexdigest()
    assert content["absent"] == {}
    for row in content["rows"][:2]:
        assert row["fid"] > 0 and row["fid_infinity"] is None and row["measured"]["fid_infinity"]["sizes"] == []
        for name in ("fid", "fid_infinity", "kid_inception", "inception_score"):
            how = row["measured"][name]
            assert (how["n"], how["split"]) == (12, {"real": "train"}.get(row["source"], "synthetic"))
            assert how["network"].endswith(digest) and "299" in how["resize"]
    assert to_table(content["rows"])[1]["n_inception"] == 12


class TestAbsence:
    def test_none_says_so(self, tmp_path):
        assert inception.load("none", tmp_path, CPU) == (None, "metrics.inception is none: no weights were asked for")

    def test_a_missing_or_foreign_file_says_so_and_fails_nothing(self, tmp_path):
        assert "cannot be read" in inception.load(str(tmp_path / "no.pth"), tmp_path, CPU)[1]
        (tmp_path / "text.pth").write_text("text")
        assert "not a state dict" in inception.load(str(tmp_path / "text.pth"), tmp_path, CPU)[1]

    def test_a_fetched_file_is_checked_by_its_sum(self, tmp_path, monkeypatch):
        (tmp_path / inception._WEIGHTS).write_bytes(b"other")
        monkeypatch.setenv("LABELMINT_MIRROR", str(tmp_path))
        assert "SHA-256 does not start with 6726825d" in inception.load("fetch", tmp_path / "raw", CPU)[1]

    def test_code_in_a_pickle_is_not_run(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return open, (str(tmp_path / "sprung"), "w")

        torch.save({"a": Trap()}, tmp_path / "trap.pth")
        assert "not a state dict" in inception.load(str(tmp_path / "trap.pth"), tmp_path, CPU)[1]
        assert not (tmp_path / "sprung").exists()

    def test_the_metrics_say_why_and_the_page_shows_it(self, workspace):
        content = load_json(workspace.metrics(Arm("dcgan", 100, 0)))
        assert "none: no weights were asked for" in content["absent"]["fid, kid_inception, inception_score"]
        assert "not measured: metrics.inception is none" in (workspace.reports / "index.html").read_text()
