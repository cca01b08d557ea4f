"""The command `labelmint doctor`, in a real DVC project."""

from __future__ import annotations

import json

from pipeline.doctor import project
from tests.system.servers import free_port
from tests.system.tiny_project import TinyProject


def test_problem_decides_the_exit_code(tmp_path):
    tiny = TinyProject(tmp_path / "tiny")
    text = (tiny.root / "params.yaml").read_text()
    assert "  cluster: null " in text
    (tiny.root / "params.yaml").write_text(
        text.replace("cluster: null ", f"cluster: tcp://127.0.0.1:{free_port()} ")
    )
    done = tiny.labelmint("doctor", "--json")
    found = {each["subject"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["cluster"]["state"] == "problem"
    assert found["schedules"]["state"] == "ok"
    assert found["DVC"]["state"] == "note"
    assert found["DVC"]["fix"] == "make repro"
    assert "prepare" in found["DVC"]["says"]

    (tiny.root / ".dvc" / "tmp" / "rwlock").write_text("")  # as a killed DVC leaves it
    (damaged,) = project.dvc(tiny.root)
    assert damaged.state == "problem"
    assert "rm .dvc/tmp/rwlock" in damaged.fix
