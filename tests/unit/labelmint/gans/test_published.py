"""Generators from untrusted sources: pickles and false descriptions are refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch

from labelmint.gans import archive, published
from labelmint.runtime.errors import InputError
from tests.untrained_generators import FAMILY_OF, untrained

SHAPE = (3, 64, 64)


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """Folder of a small generator of 64 x 64 RGB images."""
    family = replace(FAMILY_OF["conditional"], latent_size=2)
    network = replace(family.generator, dense_filters=2, filters=[2])
    folder = tmp_path_factory.mktemp("published") / "cgan-40-0"
    archive.save(folder, untrained("conditional", SHAPE, replace(family, generator=network)), {})
    return folder


@pytest.fixture
def changed(generator, tmp_path):
    """Copy the generator with changes to its description."""

    def copy(change):
        folder = tmp_path / "changed"
        shutil.copytree(generator, folder)
        description = json.loads((folder / published.DESCRIPTION).read_text())
        change(description)
        (folder / published.DESCRIPTION).write_text(json.dumps(description))
        return folder

    return copy


def test_a_generator_is_opened(generator):
    assert published.open_generator(generator).shape == SHAPE


@pytest.mark.parametrize("labels", ["per_class", "conditional"])
def test_an_ensemble_is_opened(tmp_path, labels):
    archive.save(tmp_path, untrained(labels, ensemble=4), {})
    assert published.open_generator(tmp_path).ensemble == 4


def test_classes_with_different_numbers_of_generators_are_refused(tmp_path):
    generators = untrained("per_class", ensemble=2)
    cut = {name: values[:5] for name, values in generators.weights.items()}
    archive.save(tmp_path, replace(generators, weights=cut), {})
    with pytest.raises(InputError, match=r"weights of \[5\] generators, not a multiple of 3"):
        published.open_generator(tmp_path)


@pytest.mark.parametrize("suffix", published._PICKLE_SUFFIXES)
def test_a_pickle_is_refused(tmp_path, suffix):
    path = tmp_path / f"generator{suffix}"
    path.write_bytes(b"")
    for named in (path, tmp_path):
        with pytest.raises(InputError, match="is a pickle, which can execute code when opened"):
            published.open_generator(named)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family_name": "../../pipeline.cli"}, "no family '../../pipeline.cli' here"),
        ({"family_name": "initialization"}, "no family 'initialization' here"),
        ({"shape": [3, 100_000, 100_000]}, "images of shape"),
        ({"shape": "large"}, "is no generator that this version can read"),
        (
            {"family": {"labels": "conditional", "exec": "x"}},
            "is no generator that this version can read (TypeError",
        ),
        ({"classes": ["cat"]}, "is no generator that this version can read"),
    ],
)
def test_a_false_description_is_refused(changed, change, message):
    folder = changed(lambda description: description.update(change))
    with pytest.raises(InputError) as raised:
        published.open_generator(folder)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        # 4 GB, if it were allocated.
        (
            {"dense_filters": 8000, "filters": [8000]},
            "dense.weight is (512, 5), described as (2048000, 5)",
        ),
        ({"filters": [10**12]}, "filters[0] must be 1 to 65536"),
        ({"kernels": [4, 10**9]}, "kernels[1] must be 1 to 1024"),
        ({"kind": "mlp", "units": [2] * 1000}, "units must have at most 64 entries"),
    ],
)
def test_a_network_larger_than_its_weights_is_not_allocated(changed, monkeypatch, sizes, message):
    """Tensors of the network are on the device meta until their shapes have been compared."""
    allocated = []
    empty = torch.empty

    def watched(*arguments, **options):
        made = empty(*arguments, **options)
        if made.device.type != "meta":
            allocated.append(made.nbytes)
        return made

    monkeypatch.setattr(torch, "empty", watched)
    folder = changed(lambda description: description["family"]["generator"].update(sizes))
    with pytest.raises(InputError) as raised:
        published.open_generator(folder)
    assert message in str(raised.value)
    assert sum(allocated) < 1 << 20
