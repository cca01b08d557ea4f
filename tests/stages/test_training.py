"""Training one replica and many: same seed, same weights, however it is run; what is written."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from stages.prepare.errors import InputError
from stages.prepare.files import load_json
from stages.prepare.layout import Arm
from stages.prepare.params import Compute
from stages.prepare.tensors import load_set
from stages.synthesize.sampling import latent_seeds, latents_from_seeds, mint
from stages.train_generators import archive, checkpoints, trainer
from stages.train_generators.augment import mirror
from stages.train_generators.engine import run_jobs
from stages.train_generators.moving_average import MovingAverage
from stages.train_generators.trainer import Diverged, Replica, batch_indices, train_replica

CPU = torch.device("cpu")


@pytest.fixture
def replica(params, workspace) -> Replica:
    images, labels = load_set(workspace.tensors)
    return Replica("3", "dcgan", params.families["dcgan"], params.training, np.asarray(images[labels == 3]), seed=7)


def equal(first: trainer.Trained, second: trainer.Trained) -> bool:
    return first.weights.keys() == second.weights.keys() and all(
        np.array_equal(values, second.weights[name]) for name, values in first.weights.items()
    )


class TestBatches:
    def test_each_pass_shows_every_image_once(self):
        stream = np.concatenate([batch_indices(10, 4, step, seed=0) for step in range(5)])
        assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
        assert stream[:10].tolist() != stream[10:].tolist()

    def test_a_batch_may_be_larger_than_the_class(self):
        batch = batch_indices(3, 8, 0, seed=0)
        assert np.bincount(batch).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


class TestReplica:
    def test_same_seed_same_weights_and_another_seed_others(self, replica):
        first, again, other = (train_replica(replace(replica, seed=seed), CPU) for seed in (7, 7, 8))
        assert equal(first, again) and not equal(first, other)

    def test_resumed_after_a_kill_at_any_epoch_it_ends_the_same(self, replica, tmp_path, monkeypatch):
        whole = train_replica(replica, CPU)
        path = tmp_path / "checkpoint"
        keep, cut = checkpoints.save, []

        def save_then_die(*arguments):
            keep(*arguments)
            if not cut:
                cut.append(True)
                raise KeyboardInterrupt

        monkeypatch.setattr(checkpoints, "save", save_then_die)
        with pytest.raises(KeyboardInterrupt):
            train_replica(replace(replica, checkpoint=path), CPU)
        resumed = train_replica(replace(replica, checkpoint=path), CPU)
        assert equal(whole, resumed) and np.array_equal(whole.previews, resumed.previews)
        assert [row["g_loss"] for row in whole.epochs] == [row["g_loss"] for row in resumed.epochs]

    def test_a_damaged_checkpoint_is_said_and_not_used(self, replica, tmp_path, capsys):
        path = tmp_path / "checkpoint"
        first = train_replica(replace(replica, checkpoint=path), CPU)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert equal(first, train_replica(replace(replica, checkpoint=path), CPU))
        assert "damaged checkpoint" in capsys.readouterr().err

    def test_tracks_five_numbers_and_draws_the_fixed_latents_each_epoch(self, replica):
        trained = train_replica(replica, CPU)
        assert [row["images_seen"] for row in trained.epochs] == [24, 48]
        assert all(
            0 <= row["d_acc_real"] <= 1 and row["d_loss_fake"] > 0 and row["images_per_second"] > 0
            for row in trained.epochs
        )
        assert trained.previews.shape == (2, 3, 1, 16, 16) and trained.previews.dtype == np.uint8

    def test_a_batch_may_exceed_the_class(self, replica):
        trained = train_replica(
            replace(replica, training=replace(replica.training, batch_size=32, images_per_epoch=None)), CPU
        )
        assert trained.epochs[-1]["images_seen"] == 64

    @pytest.mark.parametrize("update", ["sequential", "simultaneous"])
    def test_options_change_what_is_learned(self, replica, update):
        base = train_replica(replica, CPU)
        for changed in (
            replace(replica, family=replace(replica.family, label_smoothing=0.3, update=update)),
            replace(
                replica,
                family=replace(
                    replica.family, discriminator=replace(replica.family.discriminator, head_noise=0.5), update=update
                ),
            ),
            replace(replica, training=replace(replica.training, translation=0.0)),
            replace(replica, training=replace(replica.training, ema_half_life=0)),
            replace(replica, training=replace(replica.training, learning_rate_decay="linear")),
            replace(replica, mirror=True),
        ):
            assert not equal(base, train_replica(changed, CPU))

    def test_losses_that_are_not_finite_end_it_in_one_line(self, replica):
        wild = replace(
            replica.family, generator_optimizer=replace(replica.family.generator_optimizer, learning_rate=float("inf"))
        )
        with pytest.raises(Diverged, match="class 3: the losses are no longer finite after 24 images"):
            train_replica(replace(replica, family=wild), CPU)


class TestMirror:
    def test_flips_a_half_of_the_allowed_and_nothing_else(self):
        images = torch.rand(2000, 3, 4, 4)
        allowed = torch.arange(2000) % 2 == 0
        given = mirror(images, allowed, torch.Generator().manual_seed(0))
        flipped, same = (given == images.flip(-1)).all((1, 2, 3)), (given == images).all((1, 2, 3))
        assert (flipped | same).all() and not flipped[~allowed].any()
        assert 430 < flipped[allowed].sum() < 570

    def test_a_generator_learns_both_sides_only_where_it_may(self, replica):
        """All images are bright on the left; only a mirrored replica mints some that are bright on the right."""
        left = np.zeros((64, 1, 16, 16), np.uint8)
        left[..., :8] = 220
        training = replace(replica.training, epochs=1, images_per_epoch=3200, batch_size=32, translation=0.0, preview_images=64)  # fmt: skip
        sides = {}
        for allowed in (False, True):
            trained = train_replica(replace(replica, images=left, training=training, mirror=allowed), CPU)
            minted = trained.previews[-1, :, 0].astype(float)
            sides[allowed] = (minted[..., 8:].mean((1, 2)) > minted[..., :8].mean((1, 2))).mean()
        assert sides[False] == 0 and sides[True] > 0.1


class TestEngine:
    def test_one_worker_or_two_give_the_same_weights(self, replica):
        replicas = [replace(replica, name=str(seed), seed=seed) for seed in (1, 2, 3)]
        alone = dict(run_jobs(train_replica, replicas, Compute("cpu", 1)))
        spread = dict(run_jobs(train_replica, replicas, Compute("cpu", 2)))
        assert alone.keys() == spread.keys() == {0, 1, 2}
        assert all(equal(alone[position], spread[position]) for position in alone)

    def test_a_failure_in_a_worker_reaches_the_caller(self, replica):
        wild = replace(
            replica.family, generator_optimizer=replace(replica.family.generator_optimizer, learning_rate=float("inf"))
        )
        with pytest.raises(Diverged):
            list(run_jobs(train_replica, [replica, replace(replica, family=wild)], Compute("cpu", 2)))


class TestMovingAverage:
    def test_half_life_is_in_images(self):
        network = torch.nn.Linear(1, 1, bias=False)
        network.weight.data.fill_(0.0)
        average = MovingAverage(network, half_life=100)
        network.weight.data.fill_(1.0)
        average.update(network, images=100, images_seen=10_000)
        assert average.network.weight.item() == pytest.approx(0.5)
        average.update(network, images=200, images_seen=10_200)
        assert average.network.weight.item() == pytest.approx(0.875)

    def test_statistics_belong_to_the_averaged_weights(self):
        network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Unflatten(1, (4, 1, 1)), torch.nn.BatchNorm2d(4))
        latents = [torch.randn(500, 3, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
        published = MovingAverage(network, 100).with_own_statistics(latents)
        maps = torch.cat([published[0](batch) for batch in latents])
        assert torch.allclose(published[2].running_mean, maps.mean(0), atol=1e-5)
        assert not published.training


class TestFiles:
    def test_of_an_arm(self, workspace):
        folder = workspace.generator(Arm("dcgan", 100, 0))
        with (folder / "training.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 10 * 2
        assert {
            "class",
            "images_seen",
            "d_loss_real",
            "d_loss_fake",
            "g_loss",
            "d_acc_real",
            "d_acc_fake",
            "images_per_second",
        } <= rows[0].keys()
        assert sorted(path.name for path in (folder / "samples").iterdir()) == ["epoch-0001.png", "epoch-0002.png"]
        assert Image.open(folder / "progress.gif").n_frames == 2
        generators = archive.load(folder)
        assert generators.classes == [str(digit) for digit in range(10)]
        assert all(len(values) == 10 for values in generators.weights.values())

    def test_damaged_weights_are_refused(self, workspace, tmp_path):
        source = workspace.generator(Arm("dcgan", 100, 0))
        for name in ("architecture.json", "generator.safetensors"):
            (tmp_path / name).write_bytes((source / name).read_bytes())
        content = bytearray((tmp_path / "generator.safetensors").read_bytes())
        content[-1] ^= 1
        (tmp_path / "generator.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="checksum"):
            archive.load(tmp_path)

    def test_checkpoints_are_gone_once_the_arm_is_done(self, workspace):
        assert not list((workspace.root / ".checkpoints").glob("*"))


class TestSynthesis:
    def test_images_come_back_from_their_stored_seeds(self, workspace):
        arm = Arm("dcgan", 100, 0)
        images, labels = load_set(workspace.synthetic(arm))
        seeds = np.load(workspace.synthetic(arm) / "latent_seeds.npy")
        assert images.shape == (150, 1, 16, 16) and np.bincount(labels).tolist() == [15] * 10
        assert len(set(seeds.tolist())) == 150
        assert load_json(workspace.synthetic(arm) / "manifest.json")["images_per_class"] == 15
        generators = archive.load(workspace.generator(arm))
        chosen = np.flatnonzero(labels == 4)[[3, 9]]
        again = mint(generators, 4, seeds[chosen]).astype(int)
        assert np.abs(again - images[chosen].astype(int)).max() <= 1  # a batch of another size may round otherwise

    def test_more_images_begin_with_the_same_ones(self, params):
        family = params.families["dcgan"]
        assert np.array_equal(latent_seeds(5, 0, 1), latent_seeds(9, 0, 1)[:5])
        assert torch.equal(
            latents_from_seeds(latent_seeds(5, 0, 1), family), latents_from_seeds(latent_seeds(9, 0, 1), family)[:5]
        )
        assert not torch.equal(
            latents_from_seeds(latent_seeds(5, 0, 1), family), latents_from_seeds(latent_seeds(5, 0, 2), family)
        )
