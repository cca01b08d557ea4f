"""A data set larger than compute.resident_bytes is read batch by batch, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

from tests.conftest import ROOT

IMAGES = 30_000

TRAIN = """
import hashlib, sys
from pathlib import Path
import numpy as np, torch
from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.settings import Family
from labelmint.training.images import FileImages
from labelmint.training.replica import Replica
from labelmint.training.settings import Training
from labelmint.training.run import Setup
from labelmint.training.trainer import train
torch.set_num_threads(1)
family = Family(
    generator=GeneratorNetwork(dense_filters=8, filters=[8], strides=[4, 4]),
    discriminator=DiscriminatorNetwork(filters=[8, 8], strides=[4, 4]),
)
rows = np.arange(int(sys.argv[3]))
replica = Replica("all", "dcgan", family, Training(epochs=1, images_per_epoch=640), rows, seed=5)
((_, trained),) = train([replica], FileImages(Path(sys.argv[1])), Setup(resident_bytes=int(sys.argv[2])))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
weights = b"".join(value.tobytes() for value in trained.weights.values())
print(int(peak) * 1024, hashlib.sha256(weights).hexdigest())
"""


def test_memory_stays_bounded_and_weights_are_the_same(tmp_path):
    """The images are 369 MB; with 1 MB of resident_bytes they must not be in memory together."""
    few = np.random.default_rng(0).integers(0, 256, (500, 3, 64, 64), dtype=np.uint8)
    path = tmp_path / "images.npy"
    array = np.lib.format.open_memmap(path, "w+", np.uint8, (IMAGES, 3, 64, 64))
    for start in range(0, IMAGES, len(few)):
        array[start : start + len(few)] = few
    del array
    peaks, hashes = {}, {}
    for resident_bytes in (10**6, 10**10):
        answer = subprocess.run(
            [sys.executable, "-c", TRAIN, str(path), str(resident_bytes), str(IMAGES)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        peak, hashes[resident_bytes] = answer.stdout.split()
        peaks[resident_bytes] = int(peak)
    assert hashes[10**6] == hashes[10**10]
    assert peaks[10**10] - peaks[10**6] > 0.8 * IMAGES * 3 * 64 * 64
    assert peaks[10**6] < 900e6
