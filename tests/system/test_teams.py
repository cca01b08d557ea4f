"""Sharing results: a second clone gets them without training, from a folder or S3; DVC's experiments."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.system.clone import Clone

GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


def git(folder, *arguments: str) -> None:
    subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def first(real, tmp_path_factory) -> Clone:
    """A copy of the real run with its files and DVC's cache, committed."""
    folder = tmp_path_factory.mktemp("team") / "first"
    ignored = shutil.ignore_patterns(".servers", ".tracking", "mlartifacts", "mlflow.db*", "tmp")
    shutil.copytree(real.folder, folder, ignore=ignored, symlinks=True)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Results")
    return Clone.at(folder)


def checked(done: subprocess.CompletedProcess[str]) -> str:
    """Output of a command that has succeeded."""
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def bucket():
    """URL of a service with the API of S3."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket="labelmint")
    yield address
    server.stop()


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_second_clone_gets_every_result_without_training(first, tmp_path, request, kind):
    remote = str(tmp_path / "shared") if kind == "folder" else "s3://labelmint/results"
    checked(first.run("dvc", "remote", "add", "--force", "--default", "team", remote))
    if kind == "s3":
        address = request.getfixturevalue("bucket")
        checked(first.run("dvc", "remote", "modify", "team", "endpointurl", address))
    checked(first.run("dvc", "push", timeout=900, **KEYS))
    git(first.folder, "commit", "-qam", f"Remote: {kind}")

    git(tmp_path, "clone", "-q", str(first.folder), str(tmp_path / "second"))
    second = Clone.at(tmp_path / "second")
    assert not (second.folder / "data" / "tensors").exists()
    checked(second.run("dvc", "pull", timeout=900, **KEYS))
    for name in ("reports/results.csv", "data/generators/dcgan-50-0/generator.safetensors"):
        assert (second.folder / name).read_bytes() == (first.folder / name).read_bytes()
    assert second.repro() == []


def test_experiments_of_dvc(first):
    """One experiment in the workspace and one in DVC's queue, each of one stage, to save time."""
    stage, environment = "train_feature_network", {"LABELMINT_TRACKING": "off"}
    for options in (
        ["-n", "fewer", "-S", "feature_network.steps=20"],
        ["--queue", "-n", "queued", "-S", "feature_network.steps=25"],
    ):
        checked(first.run("dvc", "exp", "run", *options, stage, **environment))
    checked(first.run("dvc", "queue", "start", **environment))
    logs = first.run("dvc", "queue", "logs", "queued", "--follow").stdout
    shown = json.loads(checked(first.run("dvc", "exp", "show", "--json")))
    steps = {
        experiment["name"]: revision["data"]["params"]["params.yaml"]["data"]["feature_network"]["steps"]
        for branch in shown
        for experiment in branch.get("experiments") or []
        for revision in experiment["revs"]
        if revision["data"]
    }
    assert steps == {"fewer": 20, "queued": 25}, logs[-2000:]
    difference = json.loads(checked(first.run("dvc", "params", "diff", "HEAD", "--json")))
    assert difference["params.yaml"]["feature_network.steps"] == {"old": 40, "new": 20, "diff": -20}
