"""The stage train_generators: what it writes for every family, and what it leaves behind."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmint.data.storage.tensors import load_set
from labelmint.gans import archive
from labelmint.runtime.devices import threads
from labelmint.runtime.errors import InputError
from labelmint.runtime.tracker import NullTracker
from labelmint.training.checkpoints import SaveInterval
from labelmint.training.run import Run
from pipeline.settings import schema
from stages import prepare, train_generators
from stages.paths import Arm, Paths

ATTRIBUTES = ["Male", "Attractive"]
DIGIT_FAMILIES = ["vanilla", "cgan", "acgan", "projection_cgan", "wgan", "wgan_gp", "r3gan"]
FACE_FAMILIES = ["attribute_cgan", "fairness_gan"]
SIZE, PREVIEWS, EPOCHS = 16, 3, 2


@pytest.fixture(autouse=True)
def one_thread():
    with threads(1):
        yield


@pytest.fixture(scope="module")
def faces(params, tmp_path_factory) -> Paths:
    """Few drawn faces with two attributes, prepared."""
    dataset = replace(
        params.dataset, name="faces", attributes=ATTRIBUTES, image_size=SIZE, channels=3, images_per_class=80
    )
    paths = Paths(tmp_path_factory.mktemp("faces"))
    prepare.run(prepare.Params(dataset, params.percents, params.seeds, params.compute), paths, NullTracker())
    return paths


def beside(prepared: Paths, root: Path) -> Paths:
    """A workspace at `root` with the tensors of another."""
    (root / "data").mkdir()
    (root / "data" / "tensors").symlink_to(prepared.tensors)
    return Paths(root)


def train(params: schema.Params, paths: Paths, name: str) -> Path:
    training = replace(params.training, epochs=EPOCHS, images_per_epoch=16, preview_images=PREVIEWS)
    arm = Arm(name, 100, 0)
    stage = train_generators.Params(arm, params.families[name], training, params.compute)
    train_generators.run(stage, paths, NullTracker())
    return paths.generator(arm)


def check_previews(folder: Path, rows: int) -> None:
    """Check for `rows` x PREVIEWS images, enlarged threefold in grids and twofold in the GIF, that change."""
    paths = sorted((folder / "samples").iterdir())
    assert [path.name for path in paths] == ["epoch-0001.png", "epoch-0002.png"]
    width, height = PREVIEWS * (SIZE + 1) - 1, rows * (SIZE + 1) - 1
    grids = [Image.open(path) for path in paths]
    assert {grid.size for grid in grids} == {(3 * width, 3 * height)}
    assert np.asarray(grids[0]).std() > 0
    assert not np.array_equal(np.asarray(grids[0]), np.asarray(grids[1]))
    animation = Image.open(folder / "progress.gif")
    assert getattr(animation, "n_frames", 1) == EPOCHS
    assert animation.size == (2 * width, 2 * height)


@pytest.fixture(scope="module")
def folder(params, prepared, tmp_path_factory) -> Path:
    """What the stage wrote for the digits and dcgan."""
    return train(params, beside(prepared, tmp_path_factory.mktemp("dcgan")), "dcgan")


@pytest.mark.parametrize("name", DIGIT_FAMILIES)
def test_previews_have_a_row_for_each_digit(params, prepared, tmp_path, name):
    check_previews(train(params, beside(prepared, tmp_path), name), 10)


@pytest.mark.parametrize("name", FACE_FAMILIES)
def test_previews_have_a_row_for_each_combination_of_attributes(params, faces, tmp_path, name):
    combinations = len(np.unique(load_set(faces.tensors)[1], axis=0))
    assert combinations > 2
    check_previews(train(params, beside(faces, tmp_path), name), combinations)


def test_previews_have_one_row_without_labels(params, faces, tmp_path):
    families = params.families | {"dcgan": replace(params.families["dcgan"], labels="none")}
    check_previews(train(replace(params, families=families), beside(faces, tmp_path), "dcgan"), 1)


def test_every_family_is_tested(params):
    assert {"dcgan", *DIGIT_FAMILIES, *FACE_FAMILIES} == set(params.families)


class TestFiles:
    def test_previews_have_a_row_for_each_class(self, folder):
        check_previews(folder, 10)

    def test_the_curves_of_every_class(self, folder):
        with (folder / "training.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 10 * EPOCHS
        columns = "class,attempt,epoch,images_seen,d_loss_real,d_loss_fake,g_loss,d_acc_real,d_acc_fake,"
        columns += "d_score_real,d_score_fake,penalty,g_gradient,diversity,health,images_per_second"
        assert list(rows[0]) == columns.split(",")

    def test_the_archive_holds_a_generator_and_a_discriminator_per_class(self, folder):
        generators = archive.load(folder)
        assert generators.label_spec.names == [str(digit) for digit in range(10)]
        assert all(len(values) == 10 for values in generators.weights.values())
        assert generators.trained_on["name"] == "digits"
        assert len(archive.load_discriminators(folder)) == 10

    def test_damaged_weights_are_refused(self, folder, tmp_path):
        for name in ("architecture.json", "generator.safetensors"):
            (tmp_path / name).write_bytes((folder / name).read_bytes())
        content = bytearray((tmp_path / "generator.safetensors").read_bytes())
        content[-1] ^= 1
        (tmp_path / "generator.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="checksum"):
            archive.load(tmp_path)

    def test_checkpoints_are_deleted_once_the_arm_is_done(self, folder):
        root = folder.parents[2]
        assert (root / ".checkpoints").is_dir()
        assert not list((root / ".checkpoints").iterdir())


def test_an_interrupted_stage_resumes_to_the_same_files(params, prepared, folder, tmp_path, monkeypatch):
    """It is interrupted in the fifth class; those before are finished from their last checkpoints."""
    paths, step = beside(prepared, tmp_path), Run.step
    steps: list[int] = []

    def step_or_die(self):
        if len(steps) == 4 * 4 + 2:
            raise KeyboardInterrupt
        steps.append(self.steps_done)
        step(self)

    monkeypatch.setattr(SaveInterval, "due", lambda self: True)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "step", step_or_die)
        with pytest.raises(KeyboardInterrupt):
            train(params, paths, "dcgan")
    assert steps == [0, 1, 2, 3] * 4 + [0, 1]
    assert len(list((tmp_path / ".checkpoints").glob("*/class-*"))) == 5
    resumed = train(params, paths, "dcgan")
    for name in ("generator.safetensors", "discriminator.safetensors", "progress.gif"):
        assert (resumed / name).read_bytes() == (folder / name).read_bytes(), name
    assert not list((tmp_path / ".checkpoints").iterdir())
