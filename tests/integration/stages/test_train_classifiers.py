"""The stages train_baselines, train_classifiers and train_feature_network on few real digits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from labelmint.classifiers import archive, feature_network
from labelmint.classifiers.pools import Images
from labelmint.data.storage.tensors import load_set, save_set
from labelmint.gans import archive as gans
from labelmint.gans.sampling import sample_dataset
from labelmint.runtime.atomic_files import load_json, save_json
from stages import train_classifiers
from stages.paths import Arm, Paths
from tests.conftest import CPU
from tests.integration.stages.workspaces import run

ARM, BASELINE = Arm("dcgan", 50, 0), Arm("real", 50, 0)


@pytest.fixture(scope="module")
def paths(params, prepared, tmp_path_factory) -> Paths:
    """A workspace with an arm, its classifiers and its baseline."""
    paths = Paths(tmp_path_factory.mktemp("classifiers"))
    shutil.copytree(prepared.root, paths.root, dirs_exist_ok=True)
    for name in ("train_generators", "synthesize", "train_classifiers"):
        run(name, params, ARM, paths)
    run("train_baselines", params, BASELINE, paths)
    return paths


def test_every_source_has_equal_steps_and_its_own_images(paths, params):
    facts = archive.load(paths.baseline(ARM)) | archive.load(paths.classifiers(ARM))
    assert {name: (each["n_real"], each["n_synthetic"]) for name, each in facts.items()} == {
        **dict.fromkeys(("real", "real-linear"), (60, 0)),
        **dict.fromkeys(("synthetic", "synthetic-linear"), (0, 150)),
        **dict.fromkeys(("mixed", "mixed-linear"), (60, 150)),
    }
    assert {each["steps"] for each in facts.values()} == {params.classifier.steps}


def test_the_baseline_has_the_images_of_the_generator(paths):
    images, labels = load_set(paths.tensors)
    rows = load_json(paths.tensors / "manifest.json")["subsets"]["0"]["50"]
    found = archive.training_images(paths.baseline(ARM), "real", images, images)
    assert (found[0] == images[rows]).all()
    assert (found[1] == labels[rows]).all()


def test_the_mixed_classifier_has_both(paths):
    (real, _), (synthetic, synthetic_labels) = load_set(paths.tensors), load_set(paths.synthetic(ARM))
    images, labels = archive.training_images(paths.classifiers(ARM), "mixed", real, synthetic)
    assert (images[60:] == synthetic).all()
    assert (labels[60:] == synthetic_labels).all()


class TestOtherSyntheticSets:
    """Another synthetic set of the same generators, in a workspace of its own."""

    @pytest.fixture
    def train(self, paths, params, tmp_path) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
        """Function: trains on a source, and returns its images and labels.

        It is given the synthetic set, changes of its manifest.json, and settings of the classifier.
        """

        def run_with(source: str, synthetic: Images, manifest: dict, **settings: Any) -> Images:
            own = Paths(tmp_path)
            save_set(own.synthetic(ARM), *synthetic)
            content = load_json(paths.synthetic(ARM) / "manifest.json")
            save_json(own.synthetic(ARM) / "manifest.json", content | manifest)
            own.classifiers(ARM).parent.mkdir()
            for name in ("tensors", "generators", f"classifiers/{BASELINE.name}"):
                (own.root / "data" / name).symlink_to(paths.root / "data" / name)
            recipe = replace(params.classifier, **{"sources": ["real"], "steps": 3, **settings})
            run("train_classifiers", replace(params, classifier=recipe), ARM, own)
            return archive.training_images(
                own.classifiers(ARM), source, load_set(paths.tensors)[0], synthetic[0]
            )

        return run_with

    @pytest.mark.parametrize(("shift", "low", "high"), [(0, 0.6, 1.0), (1, 0.0, 0.3)])
    def test_a_filter_keeps_what_the_baseline_recognizes(self, paths, train, shift, low, high):
        """Of real images in place of synthetic ones: most with right labels, and few with wrong ones."""
        images, labels = load_set(paths.tensors)
        synthetic = np.asarray(images), (labels + shift) % 10
        found = train("mixed_filtered", synthetic, {}, sources=["real", "mixed_filtered"])
        assert np.bincount(found[1][60:]).tolist() == [12] * 10
        known = {image.tobytes() for image in images}
        assert low <= np.mean([image.tobytes() in known for image in found[0][60:]]) <= high

    def test_distillation_ignores_wrong_labels(self, paths, train, tmp_path):
        """Real images in place of synthetic ones, all with wrong labels: the baseline knows better."""
        images, labels = load_set(paths.tensors)
        names = ["synthetic", "synthetic_distilled"]
        synthetic = np.asarray(images), (labels + 1) % 10
        train("synthetic_distilled", synthetic, {}, sources=["real", *names], steps=60)
        folder = Paths(tmp_path).classifiers(ARM)
        wrong, right = (archive.logits(folder, name, images, CPU).argmax(1) == labels for name in names)
        assert wrong.mean() < 0.2
        assert right.mean() > 0.6

    def test_further_images_are_sampled_on_the_device(self, paths, train, monkeypatch):
        """On a GPU, new images of every epoch would else keep one CPU core busy for minutes."""
        gpu, devices = torch.device("cuda", 0), []

        def sample(archive, count, seed, device, **options):
            devices.append(device)
            return sample_dataset(archive, count, seed, **options)

        monkeypatch.setattr(train_classifiers, "pick_device", lambda compute: gpu)
        monkeypatch.setattr("labelmint.classifiers.sampler.sample_dataset", sample)
        train("untrained", load_set(paths.synthetic(ARM)), {}, sources=["real", "untrained"], sweep=[20])
        assert devices == [gpu, gpu]

    def test_further_images_have_the_deviation_of_the_stored_ones(self, paths, train):
        found, _ = train(
            "synthetic_20", load_set(paths.synthetic(ARM)), {"latent_deviation": 2.0}, sweep=[20]
        )
        generators = gans.load(paths.generator(ARM))
        expected = sample_dataset(generators, 20, ARM.seed, latent_deviation=2.0)
        assert np.array_equal(found, expected.images)


def test_seconds_are_recorded_apart(paths):
    assert set(load_json(paths.timing("train_baselines", BASELINE))) == {"real", "real-linear"}
    assert {"synthetic", "mixed"} < set(load_json(paths.timing("train_classifiers", ARM)))


def test_the_feature_network_is_written(params, prepared, tmp_path):
    paths = Paths(tmp_path)
    paths.tensors.parent.mkdir()
    paths.tensors.symlink_to(prepared.tensors)
    run("train_feature_network", params, None, paths)
    network = feature_network.load(paths.feature_network)
    images, _ = load_set(paths.tensors)
    assert (network.features(images) ** 2).mean() == pytest.approx(1, rel=1e-5)
