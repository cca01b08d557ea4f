"""Pictures from fixed latents: every family leaves a grid of each epoch and a GIF of them all, a row per label it can be asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from labelmint.data.storage.tensors import load_set
from labelmint.runtime.tracker import NullTracker
from pipeline.settings import schema as settings
from pipeline.stage import entry, select
from stages.paths import Arm, Paths
from tests.stages.tiny import one_thread  # noqa: F401

ATTRIBUTES = ["Male", "Attractive"]
OF_DIGITS = ["vanilla", "dcgan", "cgan", "acgan", "projection_cgan", "wgan", "wgan_gp", "r3gan"]
SIZE, SHOWN, EPOCHS = 16, 3, 2


@pytest.fixture(scope="module")
def faces(params, tmp_path_factory) -> tuple[settings.Params, Paths]:
    """Few drawn faces with two attributes."""
    data = replace(params.dataset, name="faces", attributes=ATTRIBUTES, image_size=SIZE, channels=3, images_per_class=80)  # fmt: skip
    params, layout = (
        replace(params, dataset=data, generators=["attribute_cgan"]),
        Paths(tmp_path_factory.mktemp("faces")),
    )
    module = entry("prepare")
    module.run(select(module.Params, params, None), layout, NullTracker())
    return params, layout


def train(params: settings.Params, layout: Paths, name: str) -> Paths:
    training = replace(params.training, epochs=EPOCHS, images_per_epoch=40, preview_images=SHOWN)
    module = entry("train_generators")
    of = select(module.Params, replace(params, training=training), Arm(name, 100, 0))
    module.run(of, layout, NullTracker())
    return layout


def check(layout: Paths, name: str, rows: int) -> None:
    """Of `rows` x SHOWN images, three times enlarged in the grids and twice in the GIF; what is shown changes as G learns."""
    folder = layout.generator(Arm(name, 100, 0))
    paths = sorted((folder / "samples").iterdir())
    assert [path.name for path in paths] == ["epoch-0001.png", "epoch-0002.png"]
    width, height = SHOWN * (SIZE + 1) - 1, rows * (SIZE + 1) - 1
    grids = [Image.open(path) for path in paths]
    assert {grid.size for grid in grids} == {(3 * width, 3 * height)}
    assert np.asarray(grids[0]).std() > 0 and not np.array_equal(*map(np.asarray, grids))
    moving = Image.open(folder / "progress.gif")
    assert (moving.n_frames, moving.size) == (EPOCHS, (2 * width, 2 * height))


@pytest.mark.parametrize("name", OF_DIGITS)
def test_a_row_for_each_digit(params, workspace, tmp_path, name):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tensors").symlink_to(workspace.tensors)
    check(train(params, Paths(tmp_path), name), name, 10)


@pytest.mark.parametrize("name", ["attribute_cgan", "fairness_gan"])
def test_a_row_for_each_pattern_of_attributes(faces, name):
    params, layout = faces
    patterns = len(np.unique(load_set(layout.tensors)[1], axis=0))
    assert patterns > 2
    check(train(params, layout, name), name, patterns)


def test_one_row_without_labels(faces):
    params, layout = faces
    families = params.families | {"dcgan": replace(params.families["dcgan"], labels="none")}
    check(train(replace(params, families=families, generators=["dcgan"]), layout, "dcgan"), "dcgan", 1)


def test_no_family_is_left_out(params):
    assert {*OF_DIGITS, "attribute_cgan", "fairness_gan"} == set(params.families)
