"""Training one replica: same seed, same weights, wherever it is stopped; health; what is written."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from labelmint.data.storage.tensors import load_set
from labelmint.gans import archive
from labelmint.gans.sampling import latent_seeds, latents_from_seeds, sample_images
from labelmint.gans.settings import Optimizer
from labelmint.random_streams import Stream
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError
from labelmint.training import checkpoints, health, optimizers, trainer
from labelmint.training.checkpoints import Checkpoints, IdentityChangedError
from labelmint.training.health import Monitor, spacing
from labelmint.training.image_ops import mirror
from labelmint.training.images import ArrayImages, FileImages, Sampler, batches, digest
from labelmint.training.trainer import DivergedError, Replica, Trained, newest, train
from stages.paths import Arm
from tests.conftest import CPU, LIMIT, equal, wild


def train_one(replica: Replica, images) -> Trained:
    ((_, result),) = train([replica], images)
    return result


class TestSampler:
    def test_each_pass_shows_every_image_once(self):
        sampler = Sampler(10, 4, seed=0)
        stream = np.concatenate([sampler(step) for step in range(5)])
        assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
        assert stream[:10].tolist() != stream[10:].tolist()

    def test_any_batch_may_be_the_first(self):
        onward = Sampler(10, 4, seed=3)
        for step in range(9):
            assert np.array_equal(onward(step), Sampler(10, 4, seed=3)(step))
        assert not np.array_equal(onward(0), Sampler(10, 4, seed=4)(0))

    def test_a_batch_may_be_larger_than_the_class(self):
        assert np.bincount(Sampler(3, 8, seed=0)(0)).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


class TestImages:
    def test_streamed_or_resident_from_file_or_memory_they_are_the_same(self, tmp_path):
        array = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)
        np.save(tmp_path / "images.npy", array)
        rows, places = np.arange(5, 35, 2), np.array([[3, 0], [14, 3]])
        for images in (ArrayImages(array), FileImages(tmp_path / "images.npy")):
            assert images.shape == (3, 8, 8)
            for limit in (LIMIT, 0):
                read = batches(images, rows, CPU, limit)
                assert np.array_equal(read(places).numpy(), array[rows[places]])
            assert digest(images, rows) == digest(ArrayImages(array), rows) != digest(images, rows[1:])


class TestReplica:
    def test_same_seed_same_weights_and_another_seed_others(self, replica, digits):
        first, again, other = (train_one(replace(replica, seed=seed), digits) for seed in (7, 7, 8))
        assert equal(first, again) and not equal(first, other)

    @pytest.mark.parametrize("at", [1, 2, 3, 5])
    def test_stopped_at_any_step_it_ends_the_same(self, replica, digits, tmp_path, monkeypatch, at):
        whole = train_one(replica, digits)
        kept = replace(replica, checkpoints=tmp_path / "kept")
        monkeypatch.setattr(trainer, "Pace", Always)
        step = trainer.Single.train_step

        def step_or_die(self, number, *arguments):
            if number == at:
                raise KeyboardInterrupt
            step(self, number, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(trainer.Single, "train_step", step_or_die)
            with pytest.raises(KeyboardInterrupt):
                train_one(kept, digits)
        taken = []
        monkeypatch.setattr(trainer.Single, "train_step", lambda self, *given: (taken.append(given[0]), step(self, *given)))
        resumed = train_one(kept, digits)
        assert taken == list(range(at, replica.steps))
        assert equal(whole, resumed) and np.array_equal(whole.previews, resumed.previews)
        unclocked = [[row | {"images_per_second": 0} for row in each.epochs] for each in (whole, resumed)]
        assert unclocked[0] == unclocked[1]

    def test_tracks_its_numbers_and_draws_the_fixed_latents_each_epoch(self, replica, digits):
        trained = train_one(replica, digits)
        assert [row["images_seen"] for row in trained.epochs] == [24, 48]
        assert all(
            0 <= row["d_acc_real"] <= 1 and row["d_loss_fake"] > 0 and row["g_gradient"] > 0 and row["diversity"] > 0
            for row in trained.epochs
        )
        assert trained.previews.shape == (2, 1, 3, 1, 16, 16) and trained.previews.dtype == np.uint8

    def test_a_batch_may_exceed_the_class(self, replica, digits):
        training = replace(replica.training, batch_size=32, images_per_epoch=None)
        assert train_one(replace(replica, training=training), digits).epochs[-1]["images_seen"] == 64

    @pytest.mark.parametrize("update", ["sequential", "simultaneous"])
    def test_options_change_what_is_learned(self, replica, digits, update):
        base = replace(replica, family=replace(replica.family, update=update))
        noisy = replace(base.family.discriminator, head_noise=0.5)
        plain = train_one(base, digits)
        for changed in (
            replace(base, family=replace(base.family, label_smoothing=0.3)),
            replace(base, family=replace(base.family, discriminator=noisy)),
            replace(base, training=replace(base.training, translation=0.0)),
            replace(base, training=replace(base.training, ema_half_life=0)),
            replace(base, training=replace(base.training, learning_rate_decay="linear")),
            replace(base, mirrored=True),
        ):
            assert not equal(plain, train_one(changed, digits))

    def test_half_life_of_the_average_is_in_images(self):
        assert newest(100, images=100, images_seen=10_000) == pytest.approx(0.5)
        assert newest(100, images=200, images_seen=10_000) == pytest.approx(0.75)
        assert newest(100, images=10, images_seen=200) == pytest.approx(0.5)  # early, a twentieth of what was seen
        assert newest(0, images=10, images_seen=200) == 1


class Always(checkpoints.Pace):
    def due(self) -> bool:
        return True


class TestCheckpoints:
    def saved(self, folder, identity=None, steps=(10, 20, 30)):
        kept = Checkpoints(folder, identity or {"training.epochs": 7, "data": "a" * 64})
        for step in steps:
            kept.save(0, step, {"weights": torch.full((3,), float(step))})
        return kept

    def test_the_last_two_are_kept_and_a_damaged_one_costs_no_more(self, tmp_path, capsys):
        kept = self.saved(tmp_path / "c")
        older, newer = sorted((tmp_path / "c").iterdir())
        assert kept.load()["step"] == 30
        content = bytearray(newer.read_bytes())
        content[len(content) // 2] ^= 1
        newer.write_bytes(content)
        assert kept.load()["weights"].tolist() == [20, 20, 20]
        assert f"{newer}: damaged checkpoint" in capsys.readouterr().err
        older.write_bytes(older.read_bytes()[:100])
        assert kept.load() is None

    def test_one_without_an_identity_is_damaged_too(self, tmp_path, capsys):
        kept = self.saved(tmp_path / "c", steps=(10,))
        buffer = io.BytesIO()
        torch.save({"step": 20}, buffer)
        content = buffer.getvalue()
        (tmp_path / "c" / "000-000000000020.pt").write_bytes(hashlib.sha256(content).digest() + content)
        assert kept.load()["step"] == 10
        assert "000-000000000020.pt: damaged checkpoint (KeyError)" in capsys.readouterr().err

    def test_a_restart_is_newer_than_what_was_given_up(self, tmp_path):
        kept = self.saved(tmp_path / "c")
        kept.save(1, 5, {})
        assert kept.load()["attempt"] == 1

    def test_other_settings_are_refused_by_name(self, tmp_path):
        self.saved(tmp_path / "c")
        other = Checkpoints(tmp_path / "c", {"training.epochs": 8, "data": "a" * 64})
        with pytest.raises(IdentityChangedError, match=r"training\.epochs 7, now 8$"):
            other.load()

    def test_a_stage_says_which_setting_keeps_it_from_resuming(self, tmp_path, capsys):
        first = checkpoints.open_folder(tmp_path, "dcgan-40-0", {"training.epochs": 7, "data": "a"})
        assert checkpoints.open_folder(tmp_path, "dcgan-40-0", {"training.epochs": 7, "data": "a"}) == first
        assert checkpoints.open_folder(tmp_path, "dcgan-60-0", {"training.epochs": 9, "data": "a"}) != first
        assert capsys.readouterr().err == ""
        other = checkpoints.open_folder(tmp_path, "dcgan-40-0", {"training.epochs": 8, "data": "a"})
        assert "it is not resumed: training.epochs 7, now 8;" in capsys.readouterr().err and other != first
        for name, content in (
            ("a", "{"),
            ("b", '{"owner": "dcgan-80-0"}'),
            ("c", "[]"),
            ("d", '{"owner": 1, "identity": 2}'),
        ):
            (tmp_path / name).mkdir()
            (tmp_path / name / "identity.json").write_text(content)
        checkpoints.clear_owner(tmp_path, "dcgan-40-0")  # whatever became of another's
        said = capsys.readouterr().err
        assert all(f"{tmp_path}/{name}/identity.json: damaged (" in said for name in "abcd")
        assert len(list(tmp_path.iterdir())) == 1 + 4

    def test_saving_takes_a_small_share_of_the_time(self):
        pace = checkpoints.Pace(share=0.02)
        pace.took(0.5)
        assert pace.next - checkpoints.time.monotonic() == pytest.approx(25, abs=0.5)


class TestHealth:
    def test_spacing_is_of_nearest_neighbours(self):
        flat = torch.tensor([10, 13, 100, 104], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 1, 16, 16)
        assert spacing(flat) == pytest.approx(3)  # the lower of the two middle ones

    def test_copies_of_three_images_are_a_collapse(self):
        real = torch.randint(0, 256, (64, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        row = {"d_acc_real": 0.7, "d_acc_fake": 0.7, "g_gradient": 1.0}
        assert Monitor(spacing(real)).look(row, real[torch.arange(64) % 3], 0.5) == (0.0, health.COLLAPSED)
        diversity, verdict = Monitor(spacing(real)).look(row, real.roll(1, 2), 0.5)
        assert verdict == health.OK and diversity == pytest.approx(1, abs=0.1)

    @pytest.mark.parametrize(
        ("change", "verdict"),
        [
            ({"g_loss": float("nan")}, health.NOT_FINITE),
            ({"d_acc_real": 1.0, "d_acc_fake": 0.999}, health.SATURATED),
            ({"g_gradient": 1e-5}, health.VANISHING),
        ],
    )
    def test_verdicts_from_the_numbers(self, change, verdict):
        images = torch.arange(64, dtype=torch.uint8).view(-1, 1, 1, 1).expand(64, 1, 8, 8)
        row = {"d_acc_real": 0.7, "d_acc_fake": 0.7, "g_gradient": 1.0, "g_loss": 1.0}
        monitor = Monitor(1.0)
        assert monitor.look(row, images, 0.3)[1] == health.OK
        for look in range(3):
            assert not monitor.failed or (verdict == health.NOT_FINITE and look)
            assert monitor.look(row | change, images, 0.4)[1] == verdict
        assert monitor.failed
        assert monitor.look(row, images, 0.5)[1] == health.OK and not monitor.failed

    def test_a_collapsing_gan_and_a_healthy_one_are_told_apart(self, replica, digits):
        """With one latent number a generator can only draw a line: whatever it learns, its images repeat."""
        training = replace(replica.training, epochs=6, images_per_epoch=640, batch_size=32, restarts=0)
        healthy = replace(replica, training=training)
        collapsing = replace(healthy, family=replace(replica.family, latent_size=1))
        verdicts = {}
        for name, each in (("healthy", healthy), ("collapsing", collapsing)):
            verdicts[name] = [row["health"] for row in train_one(each, digits).epochs[2:]]
        assert verdicts == {"healthy": [health.OK] * 4, "collapsing": [health.COLLAPSED] * 4}

    def test_the_unwell_begin_anew_with_another_seed_and_the_last_attempt_counts(self, replica, digits, capsys):
        training = replace(replica.training, epochs=5, images_per_epoch=24, restarts=2)
        starved = replace(replica, training=training, family=replace(replica.family, latent_size=1))
        trained = train_one(starved, digits)
        assert [(row["attempt"], row["epoch"]) for row in trained.epochs] == [
            *((attempt, epoch) for attempt in (0, 1) for epoch in (1, 2, 3, 4)),
            *((2, epoch) for epoch in (1, 2, 3, 4, 5)),
        ]
        assert len(trained.previews) == 5
        assert (
            capsys.readouterr().err.count("class 3: collapsed after 96 images; beginning anew with another seed") == 2
        )

    def test_losses_that_are_not_finite_end_it_in_one_line_when_no_restart_is_left(self, replica, digits, capsys):
        with pytest.raises(DivergedError, match="class 3: the losses are no longer finite after 24 images"):
            train_one(wild(replica), digits)
        assert "not finite after 24 images; beginning anew" in capsys.readouterr().err


class TestMirror:
    def test_flips_a_half_of_the_allowed_and_nothing_else(self):
        images = torch.rand(2000, 3, 4, 4)
        allowed = torch.arange(2000) % 2 == 0
        given = mirror(images, allowed, Stream(0))
        flipped, same = (given == images.flip(-1)).all(-1).all(-1).all(-1), (given == images).all(-1).all(-1).all(-1)
        assert (flipped | same).all() and not flipped[~allowed].any()
        assert 430 < flipped[allowed].sum() < 570

    def test_a_generator_learns_both_sides_only_where_it_may(self, replica):
        """All images are bright on the left; only a mirrored replica mints some that are bright on the right."""
        left = np.zeros((64, 1, 16, 16), np.uint8)
        left[..., :8] = 220
        training = replace(replica.training, epochs=1, images_per_epoch=3200, batch_size=32, translation=0.0, preview_images=64)  # fmt: skip
        sides = {}
        for allowed in (False, True):
            one = replace(replica, rows=np.arange(64), training=training, mirrored=allowed)
            minted = train_one(one, ArrayImages(left)).previews[-1, 0, :, 0].astype(float)
            sides[allowed] = (minted[..., 8:].mean((1, 2)) > minted[..., :8].mean((1, 2))).mean()
        assert sides[False] == 0 and sides[True] > 0.1


class TestAdam:
    def test_is_torch_optim_adam_whatever_the_layout_of_the_gradient(self):
        rng = torch.Generator().manual_seed(0)
        weight = torch.randn(6, 4, 3, 3, generator=rng).contiguous(memory_format=torch.channels_last)
        ours, theirs = weight.clone(memory_format=torch.preserve_format), weight.clone().requires_grad_()
        adam = optimizers.build([ours], Optimizer("adam", 1e-3, 0.5, 0.999))
        reference = torch.optim.Adam([theirs], 1e-3, (0.5, 0.999))
        for step in range(5):
            gradient = torch.randn(6, 4, 3, 3, generator=rng)
            adam.step([gradient], 1.0)
            theirs.grad = gradient
            reference.step()
            assert torch.allclose(ours, theirs, atol=1e-7), step


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
            "diversity",
            "health",
            "images_per_second",
        } <= rows[0].keys()
        assert sorted(path.name for path in (folder / "samples").iterdir()) == ["epoch-0001.png", "epoch-0002.png"]
        assert Image.open(folder / "progress.gif").n_frames == 2
        generators = archive.load(folder)
        assert generators.label_spec.names == [str(digit) for digit in range(10)]
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
        again = sample_images(generators, 4, seeds[chosen], np.zeros((2, 0), np.float32))[0].astype(int)
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
