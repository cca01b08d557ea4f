"""Without usable weights Inception metrics are absent, with the reason, and nothing fails."""

from __future__ import annotations

import pytest
import torch

from labelmint.metrics import inception, registry
from labelmint.metrics.registry import NotMeasuredError
from tests.unit.labelmint.metrics.conftest import compare, images


def reason(weights: str, downloads) -> str:
    with pytest.raises(NotMeasuredError) as caught:
        inception.load(weights, downloads, "cpu")
    return str(caught.value)


def test_none_is_the_reason(tmp_path):
    assert reason("none", tmp_path) == "metrics.inception is none: no weights were requested"


def test_a_missing_or_a_wrong_file(tmp_path):
    assert "cannot be read" in reason(str(tmp_path / "no.pth"), tmp_path)
    (tmp_path / "text.pth").write_text("text")
    assert "not a state dict" in reason(str(tmp_path / "text.pth"), tmp_path)


def test_a_fetched_file_is_checked_by_its_hash(tmp_path, monkeypatch):
    (tmp_path / inception._WEIGHTS).write_bytes(b"other")
    monkeypatch.setenv("LABELMINT_MIRROR", str(tmp_path))
    assert "SHA-256 does not start with 6726825d" in reason("fetch", tmp_path / "raw")


def test_code_in_a_pickle_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "sprung"), "w")

    torch.save({"a": Trap()}, tmp_path / "trap.pth")
    assert "not a state dict" in reason(str(tmp_path / "trap.pth"), tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_other_metrics_are_measured_without_it(network):
    sets = images(60, 1), images(60, 2), images(60, 0)
    values, absent = registry.measure_images(compare(network, *sets))
    assert absent == {
        "fid, kid_inception, inception_score": "metrics.inception is none: no weights were requested"
    }
    assert values["synthetic"]["frechet_classifier"] > 0
    assert "fid" not in values["synthetic"]
