"""The environment that a flow gives its stages."""

from __future__ import annotations

import json

import pytest

from pipeline.flow import prefect_environment
from pipeline.flow.prefect_environment import Addresses, record_addresses, running_servers


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


def test_servers_of_another_project_or_of_a_killed_process_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(prefect_environment, "answers", lambda url: True)
    own, copied = tmp_path / "own", tmp_path / "copied"
    found = Addresses("http://127.0.0.1:1", "http://127.0.0.1:2")
    record_addresses(own, found)
    assert running_servers(own) == found
    file, other = own / ".servers" / "addresses.json", copied / ".servers" / "addresses.json"
    other.parent.mkdir(parents=True)
    other.write_bytes(file.read_bytes())
    assert running_servers(copied) is None
    record = json.loads(file.read_bytes())
    record["owner"]["created"] -= 1000  # another process has its number now
    file.write_text(json.dumps(record), encoding="utf-8")
    assert running_servers(own) is None
