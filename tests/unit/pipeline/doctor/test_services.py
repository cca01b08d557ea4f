from __future__ import annotations

from unittest.mock import Mock

import pytest

from pipeline.doctor import services
from tests.unit.pipeline.doctor.findings import only


@pytest.mark.parametrize(("answering", "state"), [(True, "ok"), (False, "note")])
def test_servers_that_the_environment_names(root, monkeypatch, answering, state):
    assert list(services.servers(root)) == []
    answers = Mock(return_value=answering)
    monkeypatch.setattr(services, "answers", answers)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:5000")
    found = only(services.servers(root))
    assert found.state == state
    assert "secret" not in found.says
    answers.assert_called_once_with("http://127.0.0.1:5000/health")
    assert ("labelmint sync" in found.fix) is not answering


@pytest.mark.parametrize(
    ("listening", "answering", "state", "says"),
    [
        (True, True, "ok", "answers"),
        (True, False, "note", "a program that is not {} listens"),
        (False, False, "ok", "free for {} (make ui)"),
    ],
)
def test_ports(root, monkeypatch, listening, answering, state, says):  # noqa: PLR0917
    monkeypatch.setattr(services, "listens", lambda host, port: listening)
    monkeypatch.setattr(services, "answers", lambda url: answering)
    found = list(services.ports(root))
    assert [each.subject for each in found] == ["port 4200", "port 5000"]
    assert [each.state for each in found] == [state, state]
    assert all(says.format(name) in each.says for each, name in zip(found, ("Prefect", "MLflow")))


@pytest.mark.parametrize(("listening", "state"), [(True, "ok"), (False, "problem")])
def test_cluster(root, monkeypatch, change, listening, state):
    assert list(services.cluster(root)) == []
    listens = Mock(return_value=listening)
    monkeypatch.setattr(services, "listens", listens)
    change("compute", cluster="tcp://127.0.0.1:8786")
    assert only(services.cluster(root)).state == state
    listens.assert_called_once_with("127.0.0.1", 8786)
