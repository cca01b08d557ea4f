"""Commands and stages under a locale without UTF-8, in which Python reads and writes ASCII by default."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.system.servers import clean_environment

ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "LABELMINT_TRACKING": "off"}
STAGES = """
import locale, sys
from dataclasses import replace
from pathlib import Path
from tests import conftest
assert locale.getpreferredencoding(False) == "ANSI_X3.4-1968"
params = conftest.shrunk()
params = replace(params, percents=[100], compute=replace(params.compute, portable=False))
conftest.run_stages(conftest.Paths(Path(sys.argv[1])), params)
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=clean_environment(**ASCII),
        capture_output=True,
        timeout=300,
    )


COMMANDS = {
    "use own": "params.yaml now holds own",
    "check": "",
    "experiments own": "Käse 図 über alles",
    "experiments --json": "Käse 図 über alles",
    "params --yaml": "# Öl 油",
    "use --dry-run default": "training.epochs: 3 -> 10",
}


def test_commands(checkout):
    own, default = checkout / "experiments" / "own.yaml", checkout / "experiments" / "default.yaml"
    own.write_text("# Käse 図 über alles\ntraining: {epochs: 3}\n", encoding="utf-8")
    default.write_text(default.read_text(encoding="utf-8") + "# Öl 油\n", encoding="utf-8")
    for command, expected in COMMANDS.items():
        done = run(checkout, "-m", "pipeline.cli.main", *command.split())
        assert done.returncode == 0, (command, done.stderr)
        assert expected in (done.stdout + done.stderr).decode("utf-8")
    assert "# Öl 油" in (checkout / "params.yaml").read_text(encoding="utf-8")


def test_stages(tmp_path):
    done = run(tmp_path, "-c", STAGES, str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Fréchet" in (tmp_path / "reports" / "results.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "data" / "metrics" / "dcgan-100-0.json").read_text(encoding="utf-8"))
