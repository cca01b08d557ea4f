"""A run in the environments that people have: a proxy, a locale, packages of the same names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.system.tiny_project import TinyProject

PROXY = "http://127.0.0.1:9"  # nothing listens there


def test_run_beside_a_dead_proxy_and_packages_of_the_same_names(tmp_path):
    """The server of the run is on the loopback interface, and its code is that of the installed command."""
    project, others = TinyProject(tmp_path / "tiny"), tmp_path / "others"
    for package in ("pipeline", "stages"):
        (others / package).mkdir(parents=True)
        (others / package / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    environment = project.environment(
        **{name: PROXY for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY")},
        **{"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "LABELMINT_TRACKING": "off"},
        PYTHONPATH=str(others),
    )
    for name in ("NO_PROXY", "no_proxy"):
        environment.pop(name, None)
    done = subprocess.run(
        [Path(sys.executable).parent / "labelmint", "run", "prepare"],
        cwd=project.root,
        env={**environment, "TZ": "Europe/Vienna"},
        capture_output=True,
        encoding="utf-8",
        timeout=280,
    )
    assert (done.returncode, done.stdout) == (0, "1 ran\n"), done.stderr[-2000:]
    assert project.ran() == ["prepare"]
    assert os.environ.get("http_proxy") != PROXY
