"""A workspace in which only `prepare` has run, and what training reads from it."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.data.storage.tensors import load_set
from labelmint.runtime.tracker import NullTracker
from labelmint.training.images import FileImages
from labelmint.training.replica import Replica
from stages import prepare
from stages.paths import Paths
from tests.fake_cuda import fake_cuda

__all__ = ["fake_cuda"]


@pytest.fixture(scope="session")
def prepared(params, tmp_path_factory) -> Paths:
    """Few real digits, prepared. Tests write elsewhere."""
    paths = Paths(tmp_path_factory.mktemp("prepared"))
    prepare.run(
        prepare.Params(params.dataset, params.percents, params.seeds, params.compute), paths, NullTracker()
    )
    return paths


@pytest.fixture(scope="session")
def digits(prepared) -> FileImages:
    return FileImages(prepared.tensors / "images.npy")


@pytest.fixture
def replica(params, prepared) -> Replica:
    """Six steps on the images of the digit 3, with the default dcgan."""
    _, labels = load_set(prepared.tensors)
    return Replica(
        "3", "dcgan", params.families["dcgan"], params.training, np.flatnonzero(labels == 3), seed=7
    )
