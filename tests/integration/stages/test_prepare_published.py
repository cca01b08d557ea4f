"""The stage `prepare` on small copies of published formats, and on a data set that is nowhere."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labelmint.data import download
from labelmint.data.sources import cifar
from labelmint.data.storage.tensors import load_set
from tests.image_trees import encoded
from tests.unit.labelmint.data.sources.test_imagenet32 import make_batches
from tests.unit.labelmint.data.sources.test_lsun import make_lmdb


def test_lsun(project, run_stage):
    for number, name in enumerate(("bedroom_train", "bedroom_val", "tower_train", "tower_val")):
        seeds = range(10 * number, 10 * number + (2 if name.endswith("val") else 6))
        values = [encoded(seed, "JPEG", size=(60, 40)) for seed in seeds]
        make_lmdb(project / "data" / "raw" / "lsun" / f"{name}_lmdb", values)
    dataset = {"name": "lsun", "categories": ["bedroom", "tower"], "image_size": 16, "channels": 3}
    code, stderr = run_stage("prepare", **dataset, crop="center", crop_percent=50)
    assert code == 0, stderr
    images, labels = load_set(project / "data/tensors")
    assert images.shape == (12, 3, 16, 16)
    assert labels.tolist() == [0] * 6 + [1] * 6
    assert load_set(project / "data/tensors/test")[1].tolist() == [0, 0, 1, 1]


def test_imagenet32(project, run_stage):
    images, labels = make_batches(project / "data/raw/imagenet32")
    code, stderr = run_stage("prepare", name="imagenet32", image_size=32, channels=3)
    assert code == 0, stderr
    tensors, own = load_set(project / "data/tensors")
    assert own.tolist() == (labels[:9] - 1).tolist()
    assert (tensors == images[:9].reshape(9, 3, 32, 32)).all()


def test_huggingface(project, run_stage):
    pictures = [encoded(number, size=(8, 8)) for number in range(10)]
    cells = [{"bytes": picture, "path": None} for picture in pictures]
    (project / "mine").mkdir()
    for name, part in (("train", slice(0, 8)), ("test", slice(8, 10))):
        table = pa.table({"image": cells[part], "label": [0, 1] * ((part.stop - part.start) // 2)})
        pq.write_table(table, project / "mine" / f"{name}-00000-of-00001.parquet")
    code, stderr = run_stage("prepare", name="huggingface", path="mine", image_size=8, channels=3)
    assert code == 0, stderr
    images, labels = load_set(project / "data/tensors")
    assert labels.tolist() == [0, 1] * 4
    noise = np.random.default_rng(5).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert (images[5] == noise.transpose(2, 0, 1)).all()


def test_a_published_set_that_is_nowhere(refused, monkeypatch):
    """The message names all locations that were tried."""

    def locate(names, raw, addresses):
        return download.locate(names, raw, ["http://127.0.0.1:9/x"])

    monkeypatch.setattr(cifar, "locate", locate)
    message = refused(name="cifar10", image_size=32, channels=3)
    assert "cifar-10-binary.tar.gz not found: tried" in message
    assert "data/raw" in message
    assert "http://127.0.0.1:9/x" in message
    assert "refused" in message
