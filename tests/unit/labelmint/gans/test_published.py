"""A generator from an untrusted source is opened only if its description is true."""

from __future__ import annotations

import json
import resource
import shutil
import time
from pathlib import Path

import pytest

from labelmint.gans import archive, published
from labelmint.runtime.errors import InputError
from tests.untrained_generators import CLASSES, untrained


@pytest.fixture(scope="module")
def generator(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "cgan-40-0"
    archive.save(folder, untrained("conditional"), {})
    return folder


def changed(generator: Path, folder: Path, change: dict[str, object], network: dict[str, object]) -> Path:
    """A copy with another description. network: changes to the generator's network."""
    shutil.copytree(generator, folder)
    description = json.loads((generator / "architecture.json").read_text()) | change
    description["family"]["generator"] |= network
    (folder / "architecture.json").write_text(json.dumps(description))
    return folder


def test_opens_what_was_saved(generator):
    opened = published.open_generator(generator)
    assert opened.label_spec.names == CLASSES
    assert opened.family == untrained("conditional").family


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family_name": "../../pipeline.cli"}, "no family '../../pipeline.cli' here"),
        ({"family_name": "initialization"}, "no family 'initialization' here"),
        ({"shape": [3, 100_000, 100_000]}, "images of shape"),
        ({"shape": "large"}, "is no generator that this version can read"),
        (
            {"family": {"generator": {}, "labels": "conditional", "exec": "x"}},
            "is no generator that this version can read (TypeError",
        ),
        ({"classes": ["cat"]}, "is no generator that this version can read"),
    ],
)
def test_refuses_a_false_description(generator, tmp_path, change, message):
    with pytest.raises(InputError) as error:
        published.open_generator(changed(generator, tmp_path / "false", change, {}))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"dense_filters": 8000, "filters": [8000]}, "dense.weight is "),  # gigabytes, if it were built
        ({"filters": [10**12]}, "filters[0] must be 1 to 65536, got 1000000000000"),
        ({"kernels": [4, 10**9]}, "kernels[1] must be 1 to 1024, got 1000000000"),
        ({"kind": "mlp", "units": [2] * 1000}, "units must have at most 64 entries, got 1000"),
    ],
)
def test_never_builds_a_network_that_is_larger_than_its_weights(generator, tmp_path, network, message):
    folder = changed(generator, tmp_path / "large", {}, network)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(InputError) as error:
        published.open_generator(folder)
    assert message in str(error.value)
    assert time.process_time() - started < 1.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 << 10  # KiB
