"""The synthetic data set of an arm, and what `labelmint sample` exports from the same generator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labelmint.data.storage.tensors import load_set
from labelmint.export import export
from labelmint.export.export import Export
from labelmint.export.orders import Order
from labelmint.gans import archive, published
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm, Paths
from tests.untrained_generators import CLASSES, untrained

ARM = Arm("dcgan", 100, 0)


def synthesize(params, root) -> Paths:
    """A workspace with an untrained generator per class, and 15 images of each."""
    paths = Paths(root)
    archive.save(paths.generator(ARM), untrained("per_class"), {})
    module = entry("synthesize")
    module.run(select(module.Params, params, ARM), paths, NullTracker())
    return paths


@pytest.mark.parametrize("deviation", [1.0, 1.5])
def test_an_export_with_the_arms_seed_starts_with_its_synthetic_data_set(params, tmp_path, deviation):
    synthesis = replace(params.synthesis, latent_deviation=deviation)
    paths = synthesize(replace(params, synthesis=synthesis), tmp_path)
    assert load_json(paths.synthetic(ARM) / "manifest.json")["latent_deviation"] == deviation
    generator = published.open_generator(paths.generator(ARM))
    order = Order(15, latent_deviation=deviation)
    export.run(
        Export(generator, "weights", order, "tensors", tmp_path / "out", Compute("cpu", workers=1)), ""
    )
    images, labels = load_set(tmp_path / "out")
    synthetic, synthetic_labels = load_set(paths.synthetic(ARM))
    by_class = np.argsort(labels, kind="stable")
    assert np.array_equal(labels[by_class], synthetic_labels)
    assert np.abs(images[by_class].astype(int) - synthetic).max() <= 1


def test_the_manifest_describes_the_data_set(params, tmp_path):
    paths = synthesize(params, tmp_path)
    images, labels = load_set(paths.synthetic(ARM))
    manifest = load_json(paths.synthetic(ARM) / "manifest.json")
    assert manifest["arm"] == "dcgan-100-0"
    assert manifest["classes"] == manifest["rows"] == CLASSES
    assert manifest["shape"] == list(images.shape[1:])
    assert manifest["images_per_class"] == 15
    assert np.bincount(labels).tolist() == [15, 15, 15]
    assert len(set(np.load(paths.synthetic(ARM) / "latent_seeds.npy").tolist())) == 45
