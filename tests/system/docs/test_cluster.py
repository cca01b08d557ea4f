"""The files of docs/cluster/: what can be run or checked without a cluster."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.system.clone import Clone

FOLDER = ROOT / "docs" / "cluster"
SCRIPTS = sorted(FOLDER.glob("*.sbatch"))
# Of sbatch(1): name -> pattern of its value.
OPTIONS = {
    **{"array": r"\d+-\d+", "gres": r"gpu:\d+", "ntasks": r"\d+", "requeue": r""},
    **{"cpus-per-task": r"\d+", "gpus-per-task": r"\d+", "time": r"\d\d:\d\d:\d\d"},
}


@pytest.mark.parametrize("script", SCRIPTS, ids=[path.name for path in SCRIPTS])
def test_a_slurm_script_has_valid_syntax_options_and_commands(script):
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    first, second, *body = script.read_text().splitlines()
    assert first == "#!/bin/bash"
    options = second.removeprefix("#SBATCH ").split()
    assert options
    for option in options:
        name, _, value = option.removeprefix("--").partition("=")
        assert re.fullmatch(OPTIONS[name], value), option
    for line in body:
        if found := re.search(r"labelmint (run .*)", line):
            import typer

            from pipeline.cli.main import app

            name, *arguments = shlex.split(found[1])
            commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
            commands[name].make_context(name, arguments)
        if line.startswith("make "):
            assert _make_accepts(*line.split()[1:])


def _make_accepts(*arguments: str) -> bool:
    return subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, check=False).returncode == 0


@pytest.mark.timeout(900)
def test_a_task_of_the_array_evaluates_its_arm_from_the_shared_cache(tmp_path):
    """The script as it is, without Slurm: task 3 is dcgan-100-0."""
    clone = Clone(tmp_path / "labelmint")
    clone.install()
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "add", "-A"], cwd=clone.folder, check=True)
    subprocess.run([*git, "commit", "-qm", "Settings"], cwd=clone.folder, check=True)
    (clone.folder / "data" / "raw").mkdir()
    clone.repro("train_feature_network")

    script = str(FOLDER / "arms.sbatch")
    done = clone.run("bash", script, HOME=str(tmp_path), SLURM_ARRAY_TASK_ID="3", LABELMINT_TRACKING="off")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    own = tmp_path / "labelmint-arm-3"
    found = json.loads((own / "data/metrics/dcgan-100-0.json").read_text())
    assert [row["source"] for row in found["rows"]] == ["real", "synthetic", "mixed"]
    assert "Stage 'train_feature_network' is cached" in done.stdout
    assert clone.repro() == ["report"], "the project takes every arm from the cache"


def test_the_kubernetes_job_fits_the_image_and_the_makefile():
    claim, job = yaml.safe_load_all((FOLDER / "job.yaml").read_text())
    assert (claim["kind"], job["apiVersion"], job["kind"]) == ("PersistentVolumeClaim", "batch/v1", "Job")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    program, *arguments = container["command"]
    assert program == "make" and _make_accepts(*arguments)
    assert "WORKDIR /labelmint\n" in (ROOT / "Dockerfile").read_text()
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert volumes["kept"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    ignored = (ROOT / ".gitignore").read_text().split()
    for mount in container["volumeMounts"]:
        assert mount["name"] in volumes
        folder = mount["mountPath"].removeprefix("/labelmint")
        # What the image has from git must not be hidden by a volume.
        assert folder in ("/dev/shm", "/.dvc/cache", "/data/raw") or f"{folder}/" in ignored
