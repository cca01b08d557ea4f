"""A classifier learns real digits."""

from __future__ import annotations

from dataclasses import replace

import torch

from labelmint.classifiers import fit, job
from labelmint.classifiers.pools import Pool
from labelmint.data.storage.tensors import load_set
from tests.conftest import CPU


def test_a_small_cnn_learns_real_digits(params, prepared):
    pool = Pool.real(*load_set(prepared.tensors), percent=100, seed=0)
    own = job.Job("real", [pool], 10, replace(params.classifier, steps=120), 0, prepared.raw)
    fitted = fit.fit(own, CPU)
    images, labels = load_set(prepared.test_tensors)
    network = job.build(own.params, (1, 16, 16), 10, None)
    network.load_state_dict({name: torch.from_numpy(values) for name, values in fitted.weights.items()})
    assert (job.predict(network, images, CPU).argmax(1) == labels).mean() > 0.8
