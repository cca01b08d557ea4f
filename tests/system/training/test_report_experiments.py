"""Every experiment of the reports trains and samples, shrunk, on real images."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmint.data.storage.tensors import load_set
from pipeline.settings import experiments
from pipeline.settings import schema as settings
from pipeline.settings.experiments import Choice
from stages.paths import Arm, Paths
from tests.conftest import ROOT, SHARED
from tests.integration.stages.workspaces import run
from tests.report_experiments import OF_REPORTS


def params_of(name: str, quick: bool = False, dataset: dict[str, object] | None = None) -> settings.Params:
    content = settings.parse(experiments.rendered(ROOT, Choice((name,), quick)))
    content["dataset"].update(dataset or {})
    return settings.check(content, name)


@pytest.fixture(scope="module")
def prepare(tmp_path_factory) -> Callable[[settings.Params], Paths]:
    """Function from settings to a new workspace with tensors. Each data set is prepared once."""
    done: dict[str, Path] = {}

    def make(params: settings.Params) -> Paths:
        paths, key = Paths(tmp_path_factory.mktemp("run")), json.dumps(str(params.dataset))
        if key not in done:
            run("prepare", params, None, paths)
            done[key] = paths.tensors
        else:
            paths.tensors.parent.mkdir(parents=True)
            paths.tensors.symlink_to(done[key])
        return paths

    return make


def shrunk(name: str) -> settings.Params:
    """The quick size with two steps of eight images, on a few real ones."""
    quick = experiments.load(ROOT, name).quick.get("dataset", {})
    data: dict[str, object] = {"images_per_class": 12}
    if params_of(name).dataset.name == "cifar10":  # available as an archive of JPEG files
        data |= {"name": "cifar10_jpeg", "format": "imagefolder", "path": str(SHARED / "cifar10-images.tar")}
    elif quick.get("name") != "faces" and not SHARED.is_dir():
        pytest.skip(f"real images are not at {SHARED}; set LABELMINT_TEST_DATA")
    params = params_of(name, True, data)
    family = params.families[params.generators[0]]
    training = replace(
        params.training, epochs=2, images_per_epoch=8 * family.n_critic, batch_size=8, preview_images=2
    )
    synthesis = replace(params.synthesis, images_per_class=3)
    return replace(
        params,
        percents=[100],
        training=training,
        synthesis=synthesis,
        compute=replace(params.compute, device="cpu", workers=1),
    )


@pytest.mark.parametrize("name", OF_REPORTS)
def test_it_trains_and_samples(name, prepare, monkeypatch):
    monkeypatch.setenv("LABELMINT_MIRROR", str(SHARED))
    params = shrunk(name)
    paths, arm = prepare(params), Arm(params.generators[0], 100, 0)
    for stage in ("train_generators", "synthesize"):
        run(stage, params, arm, paths)
    family, dataset = params.families[arm.generator], params.dataset
    folder = paths.generator(arm)
    with (folder / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (10 if family.labels == "per_class" else 1)
    losses = ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake", "penalty", "g_gradient")
    assert all(math.isfinite(float(row[column])) for row in rows for column in losses)
    assert len(list((folder / "samples").iterdir())) == 2
    assert getattr(Image.open(folder / "progress.gif"), "n_frames", 1) >= 1

    images, labels = load_set(paths.synthetic(arm))
    names = json.loads((paths.tensors / "dataset.json").read_text())["classes"]
    assert images.shape == (3 * len(names), dataset.channels, dataset.image_size, dataset.image_size)
    assert images.std() > 0
    if family.labels == "none":
        assert (labels == -1).all()
    elif family.labels == "multi_hot":
        assert labels.shape == (len(images), len(names)) and set(np.unique(labels)) <= {0, 1}
    else:
        assert np.bincount(labels).tolist() == [3] * len(names)
