"""The environment that a flow gives its stages."""

from __future__ import annotations

import pytest

from pipeline.flow import prefect_environment


@pytest.mark.parametrize(
    ("runner", "address", "passed"),
    [("threads", "", True), ("dask", "", True), ("dask", "tcp://host:8786", False)],
)
def test_cuda_devices_of_this_machine_are_not_those_of_other_machines(
    tmp_path, monkeypatch, runner, address, passed
):
    monkeypatch.setenv(prefect_environment.RUNNER, runner)
    monkeypatch.setenv(prefect_environment.DASK_ADDRESS, address)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("LABELMINT_MIRROR", "here")
    environment = prefect_environment.for_stages(tmp_path)
    assert environment["LABELMINT_MIRROR"] == "here"
    assert ("CUDA_VISIBLE_DEVICES" in environment) == passed
