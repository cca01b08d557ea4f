"""Weights on disk."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.data.storage.weights import load_weights, save_weights
from labelmint.runtime.errors import InputError


def test_weights_return_with_their_hash_and_are_refused_with_another(tmp_path):
    path, weights = tmp_path / "w.safetensors", {"a": np.arange(3, dtype=np.float32)}
    digest = save_weights(path, weights)
    found = load_weights(path, digest)
    assert np.array_equal(found["a"], weights["a"])
    assert found["a"].flags.writeable
    with pytest.raises(InputError, match="its checksum is not the recorded one"):
        load_weights(path, "0" * 64)
    with pytest.raises(InputError, match="is missing; `dvc repro` makes it"):
        load_weights(tmp_path / "other.safetensors", digest)
