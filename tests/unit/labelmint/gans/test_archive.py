"""Generators on disk: they are read as they were written, also those of earlier versions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from labelmint.gans import archive
from labelmint.runtime.errors import InputError
from tests.untrained_generators import FAMILY_OF, untrained


@pytest.mark.parametrize("labels", FAMILY_OF)
def test_what_was_saved_is_loaded(labels, tmp_path):
    saved = untrained(labels)
    archive.save(tmp_path, saved, {"weight": np.zeros((1, 2), np.float32)})
    loaded = archive.load(tmp_path)
    assert (loaded.family_name, loaded.family, loaded.shape) == (saved.family_name, saved.family, saved.shape)
    assert loaded.trained_on == saved.trained_on
    assert loaded.label_spec.names == saved.label_spec.names
    for name in ("vectors", "frequencies"):
        assert np.array_equal(getattr(loaded.label_spec, name), getattr(saved.label_spec, name))
    latents, requested = (
        torch.zeros(1, saved.family.latent_size),
        torch.from_numpy(saved.label_spec.vectors[:1]),
    )
    images = [each.network(0)(latents, requested)[0] for each in (saved, loaded)]
    assert torch.equal(*images)


def test_a_generator_of_an_earlier_version_is_readable(tmp_path):
    """Earlier versions wrote label_shares, critic_steps and no trained_on."""
    saved = untrained("multi_hot")
    archive.save(tmp_path, saved, {"weight": np.zeros((1, 2), np.float32)})
    path = tmp_path / "architecture.json"
    content = json.loads(path.read_text())
    content["label_shares"] = content.pop("label_frequencies")
    content["family"]["critic_steps"] = content["family"].pop("n_critic")
    del content["trained_on"]
    path.write_text(json.dumps(content))
    loaded = archive.load(tmp_path)
    assert loaded.family == saved.family
    assert np.array_equal(loaded.label_spec.frequencies, saved.label_spec.frequencies)
    assert loaded.trained_on == {}


def test_weights_that_do_not_fit_are_refused():
    generator = untrained("per_class")
    generator.weights["more"] = next(iter(generator.weights.values()))
    with pytest.raises(InputError, match=r"generator 1: weights do not fit the architecture \(more\)"):
        generator.network(1)


def test_damaged_weights_are_refused(tmp_path):
    archive.save(tmp_path, untrained("none"), {"weight": np.zeros((1, 2), np.float32)})
    with (tmp_path / "generator.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="checksum"):
        archive.load(tmp_path)
