"""The reader of idx files on the published MNIST and Fashion-MNIST, where they are available."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.data import download
from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN
from labelmint.data.sources import read
from tests.conftest import SHARED

TEST_COUNTS = {
    "mnist": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    "fashion_mnist": [1000] * 10,
}


@pytest.mark.parametrize(
    ("name", "folder", "mean", "first_class"),
    [("mnist", "MNIST", 33.32, "0"), ("fashion_mnist", "FashionMNIST", 72.94, "T-shirt")],
)
def test_published_files(monkeypatch, tmp_path, name, folder, *, mean, first_class):
    if not (SHARED / folder).is_dir():
        pytest.skip(f"{folder} is not at {SHARED}; set LABELMINT_TEST_DATA")
    monkeypatch.setenv(download.MIRROR, str(SHARED))
    source = read(Dataset(name=name), tmp_path, tmp_path)
    assert np.asarray(source.split).tolist() == [TRAIN] * 60000 + [TEST] * 10000
    assert np.bincount(source.labels[source.split == TEST]).tolist() == TEST_COUNTS[name]
    assert source.classes[0] == first_class
    assert len(source.classes) == 10
    with source.images.open() as image:
        training = np.stack([image(index) for index in range(60000)])
    assert training.shape == (60000, 28, 28)
    assert round(float(training.mean()), 2) == mean
