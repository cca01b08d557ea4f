"""The stage `prepare` on CelebA's published layout, with procedural faces."""

from __future__ import annotations

import numpy as np

from labelmint.data.sources.faces import write_celeba
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json


def test_several_attributes_and_the_published_split(project, run_stage):
    write_celeba(project / "data" / "raw" / "celeba", 40)
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("[dcgan]", "[]"))
    dataset = {"name": "celeba", "attributes": ["Male", "Smiling"], "image_size": 32, "channels": 3}
    code, stderr = run_stage("prepare", **dataset, crop="center", validation_percent=0)
    assert code == 0, stderr
    manifest = load_json(project / "data/tensors/manifest.json")
    images, labels = load_set(project / "data/tensors")
    assert labels.dtype == np.float32
    assert labels.shape == (32, 2)
    assert images.shape == (32, 3, 32, 32)
    assert manifest["labels"] == "multi_hot"
    assert manifest["train"]["source_name"][0] == "000001.jpg"
    assert [manifest[f"n_{part}"] for part in ("train", "validation", "test")] == [32, 4, 4]
