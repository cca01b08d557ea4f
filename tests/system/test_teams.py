"""Sharing results: a second clone gets everything without training, from a folder and from an S3 API; experiments of DVC."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.system.clone import Clone

pytestmark = pytest.mark.slow
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


def git(folder, *arguments: str) -> None:
    subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def first(real, tmp_path_factory) -> Clone:
    """A colleague's copy of the real run: its files, its cache, committed."""
    clone = Clone.__new__(Clone)
    clone.folder = tmp_path_factory.mktemp("team") / "first"
    left_out = shutil.ignore_patterns(".servers", ".tracking", "mlartifacts", "mlflow.db*", "tmp")
    shutil.copytree(real.folder, clone.folder, ignore=left_out, symlinks=True)
    git(clone.folder, "add", "-A")
    git(clone.folder, "commit", "-qm", "Results")
    return clone


def checked(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def results(folder) -> str:
    return (folder / "reports/results.csv").read_text()


@pytest.fixture
def bucket():
    """An address that speaks S3's language."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    keys = dict(aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1")
    boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket="labelmint")
    yield address
    server.stop()


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_second_clone_gets_every_result_without_training(first, tmp_path, request, kind):
    if kind == "folder":
        place, more = str(tmp_path / "shared"), []
    else:
        place, more = "s3://labelmint/results", [("endpointurl", request.getfixturevalue("bucket"))]
    checked(first.run("dvc", "remote", "add", "--force", "--default", "team", place))
    for name, value in more:
        checked(first.run("dvc", "remote", "modify", "team", name, value))
    checked(first.run("dvc", "push", **KEYS))
    git(first.folder, "commit", "-qam", f"Remote: {kind}")

    second = Clone.__new__(Clone)
    second.folder = tmp_path / "second"
    git(tmp_path, "clone", "-q", str(first.folder), str(second.folder))
    assert not (second.folder / "data").exists()
    checked(second.run("dvc", "pull", **KEYS))
    assert results(second.folder) == results(first.folder)
    assert (second.folder / "data/generators/dcgan-50-0/generator.safetensors").read_bytes() == (first.folder / "data/generators/dcgan-50-0/generator.safetensors").read_bytes()  # fmt: skip
    assert second.repro() == []


def test_experiments_of_dvc(first):
    """One in the workspace, one queued; each on one stage, for the time's sake."""
    target, surroundings = "train_feature_network", {"LABELMINT_TRACKING": "off"}
    checked(first.run("dvc", "exp", "run", "-n", "fewer", "-S", "feature_network.steps=20", target, **surroundings))
    checked(
        first.run(
            "dvc", "exp", "run", "--queue", "-n", "queued", "-S", "feature_network.steps=25", target, **surroundings
        )
    )
    checked(first.run("dvc", "queue", "start", **surroundings))
    done = first.run("dvc", "queue", "logs", "queued", "--follow")
    shown = json.loads(checked(first.run("dvc", "exp", "show", "--json")))
    steps = {}
    for branch in shown:
        for experiment in branch.get("experiments") or []:
            for revision in experiment["revs"]:
                if revision["data"]:
                    steps[experiment["name"]] = revision["data"]["params"]["params.yaml"]["data"]["feature_network"][
                        "steps"
                    ]
    assert steps == {"fewer": 20, "queued": 25}, done.stdout[-2000:]
    difference = json.loads(checked(first.run("dvc", "params", "diff", "HEAD", "--json")))
    assert difference["params.yaml"]["feature_network.steps"] == {"old": 40, "new": 20, "diff": -20}
