"""How Prefect's and MLflow's servers are started."""

from __future__ import annotations

import os

import pytest

from pipeline.flow.server_process import LOOPBACK
from pipeline.flow.servers import _mlflow, _prefect, exposure_warning

SECRET = "c0rrect-h0rse"


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_SERVER_ALLOWED_HOSTS", raising=False)


@pytest.mark.parametrize("make", [_prefect, _mlflow])
@pytest.mark.parametrize("host", [LOOPBACK, "0.0.0.0"])
def test_servers_listen_on_the_requested_host(tmp_path, make, host):
    server = make(tmp_path, host, 4000)
    assert server.command[server.command.index("--host") + 1] == host
    assert server.address == "http://127.0.0.1:4000"


@pytest.mark.parametrize("host", [LOOPBACK, "0.0.0.0"])
def test_mlflow_allows_own_names_only(tmp_path, host):
    allowed = _mlflow(tmp_path, host, 5000).environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert "*" not in allowed
    assert "127.0.0.1:*" in allowed
    assert (os.uname().nodename in allowed) is (host == "0.0.0.0")


def test_password_of_the_database_is_on_no_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", f"postgresql://user:{SECRET}@127.0.0.1/mlflow")
    assert SECRET not in " ".join(_mlflow(tmp_path, LOOPBACK, 5000).command)


def test_warning_says_how_to_protect_the_servers():
    warning = exposure_warning("0.0.0.0", 4200, 5000)
    assert "ssh -L 4200:127.0.0.1:4200 -L 5000:127.0.0.1:5000" in warning
    assert "PREFECT_SERVER_API_AUTH_STRING" in warning
    assert "SECURITY.md" in warning
    assert "\n" not in warning
