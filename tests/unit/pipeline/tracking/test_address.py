from __future__ import annotations

from pipeline.tracking import address


def test_errors_of_mlflow_lose_credentials(tmp_path, monkeypatch):
    uri = "http://user:p%40ss-w0rd@127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    error = ValueError(f"{uri}/api failed\nwith p@ss-w0rd and t0ken")
    message = address.without_credentials(tmp_path, error)
    assert message == "http://***@127.0.0.1:9/api failed with *** and ***"


def test_default_store_is_in_the_project(tmp_path):
    assert address.tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
