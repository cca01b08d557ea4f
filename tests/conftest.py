"""Shared by all tests: the real settings, shrunk, and real data."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labelmint.runtime import portable
from labelmint.runtime.tracker import NullTracker
from labelmint.training.replica import Replica, Trained
from pipeline import failures, stage
from pipeline.settings import schema as settings
from pipeline.terminal import messages_on_stderr
from stages.paths import Arm, Paths

CPU = torch.device("cpu")
LIMIT = 1 << 30
ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("LABELMINT_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def no_portable_limits() -> Iterator[None]:
    """Stages run in this process, which has imported torch: compute.portable would refuse that."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (portable, stage):
            patch.setattr(module, "set_limits", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """A shell starts what it runs in the background, such as a test run, with Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch):
    """Tests see no mirror and no tracking server of the user who runs them."""
    for name in (
        "LABELMINT_MIRROR",
        "MLFLOW_TRACKING_URI",
        "LABELMINT_TRACKING",
        "LABELMINT_PARENT_RUN",
        "LABELMINT_RUN_OWNER",
        "MLFLOW_EXPERIMENT_NAME",
        "MLFLOW_RUN_ID",
        "PREFECT_API_URL",
        "LABELMINT_DEBUG",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def params() -> settings.Params:
    return shrunk()


def shrunk() -> settings.Params:
    """The default settings, shrunk to a few steps on a few images."""
    real = settings.load(ROOT / "experiments" / "default.yaml")
    return replace(
        real,
        dataset=replace(real.dataset, images_per_class=12),
        percents=[50, 100],
        training=replace(real.training, epochs=2, images_per_epoch=24, batch_size=8, preview_images=3),
        synthesis=replace(real.synthesis, images_per_class=15),
        classifier=replace(real.classifier, network="small_cnn", steps=30, evaluations=3, batch_size=16),
        feature_network=replace(real.feature_network, steps=60, features=8),
        compute=replace(real.compute, device="cpu", workers=1),
    )


@pytest.fixture(scope="session")
def workspace(params, tmp_path_factory) -> Paths:
    """A workspace in which every stage has run once on few real digits."""
    paths = Paths(tmp_path_factory.mktemp("workspace"))
    run_stages(paths, params)
    return paths


def run_stages(paths: Paths, params: settings.Params) -> None:
    """Run every stage once: of dcgan on all images, whatever the fractions."""
    from pipeline.stage import entry, select

    tracker, arm, baseline = NullTracker(), Arm("dcgan", 100, 0), Arm("real", 100, 0)
    stages = {"prepare": None, "train_feature_network": None, "train_generators": arm, "synthesize": arm}
    stages |= {"train_baselines": baseline, "train_classifiers": arm, "evaluate": arm, "report": None}
    own = replace(params, percents=[100])
    for name, of in stages.items():
        module = entry(name)
        module.run(select(module.Params, params if name == "prepare" else own, of), paths, tracker)


def equal(first: Trained, second: Trained) -> bool:
    """Whether the generators' weights are equal bit for bit."""
    return first.weights.keys() == second.weights.keys() and all(
        np.array_equal(values, second.weights[name]) for name, values in first.weights.items()
    )


def wild(replica: Replica) -> Replica:
    """A replica whose losses soon become infinite."""
    adam = replace(replica.family.generator_optimizer, learning_rate=1e30)
    return replace(replica, family=replace(replica.family, generator_optimizer=adam))


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The folder that holds MNIST/raw."""
    if not (SHARED / "MNIST" / "raw").is_dir():
        pytest.skip(f"real MNIST is not at {SHARED}; set LABELMINT_TEST_DATA")
    return SHARED


@pytest.fixture
def project(tmp_path, monkeypatch) -> Iterator[Path]:
    """A workspace with settings but no data, in which tracking is off."""
    shutil.copy(ROOT / "experiments" / "default.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABELMINT_TRACKING", "off")
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def run_stage(project, capsys) -> Callable[..., tuple[int, str]]:
    """A function: runs a stage with changes to `dataset`, as DVC starts it.

    Settings of families that are not trained are left out, since reading them takes longest.
    Returns: (exit code, stderr).
    """

    def run(*arguments: str, **dataset: object) -> tuple[int, str]:
        content = settings.read(project / "params.yaml")
        content["dataset"].update(dataset)
        content["families"] = {name: content["families"][name] for name in content["generators"]}
        (project / "params.yaml").write_text(json.dumps(content, indent=1))  # JSON is YAML
        code = stage.main(list(arguments))
        return code, capsys.readouterr().err.strip()

    return run


@pytest.fixture
def refused(project, run_stage) -> Callable[..., str]:
    """A function: the error line of `prepare` for data that it refuses, leaving nothing behind."""

    def refuse(**dataset: object) -> str:
        code, output = run_stage("prepare", **dataset)
        last: str = output.splitlines()[-1]
        assert code in (2, failures.UNREACHABLE), output
        assert last.startswith("error: prepare: ") and "Traceback" not in output, output
        assert not list((project / "data").glob("tensors/*")) and not (project / "data" / ".prepare").exists()
        assert len(last) < 800
        return last.removeprefix("error: prepare: ")

    return refuse


@pytest.fixture
def noise() -> np.ndarray:
    """uint8 (40, 1, 16, 16)."""
    return np.random.default_rng(0).integers(0, 256, (40, 1, 16, 16), dtype=np.uint8)


@pytest.fixture(autouse=True)
def messages():
    """Messages of the library are on stderr, as a stage's user sees them."""
    with messages_on_stderr():
        yield


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project of settings only: experiments/, params.yaml and dvc.yaml."""
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path
