"""Classifiers: the network against the library's, one recipe for all arms, no peeking."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from labelmint.classifiers import archive, efficientnet, feature_network, fit, sources
from labelmint.classifiers.augment import augment
from labelmint.classifiers.settings import Augmentation, Classifier
from labelmint.data.storage.tensors import load_set
from labelmint.random_streams import Stream
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError
from stages.paths import Arm

CPU = torch.device("cpu")
NO_AUGMENTATION = Augmentation(0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("size", [16, 28, 64])
def test_efficientnet_gives_what_the_library_gives(size):
    """Ours leaves out taps that only meet padding, and turns 1 x 1 convolutions into matrix products."""
    from efficientnet_pytorch import EfficientNet

    torch.manual_seed(0)
    ours = efficientnet.EfficientNetB0(Classifier(stem_stride=2, head_dropout=0), (3, size, size), 10, None).trunk
    library = EfficientNet.from_name("efficientnet-b0", image_size=size, dropout_rate=0.0, drop_connect_rate=0.0)
    library._fc = torch.nn.Identity()
    library.load_state_dict(ours.state_dict())
    images = torch.randn(3, 3, size, size).requires_grad_()
    ours.eval(), library.eval()
    assert torch.allclose(ours(images), library(images), rtol=1e-3, atol=1e-4)
    gradients = [torch.autograd.grad((network(images) ** 2).sum(), images)[0] for network in (ours, library)]
    assert torch.allclose(*gradients, rtol=1e-2, atol=1e-4 * gradients[1].abs().max().item())


def test_efficientnet_has_the_reports_top():
    network = efficientnet.EfficientNetB0(Classifier(), (1, 16, 16), 10, None)
    assert (
        network.dropout.probability,
        network.dense.in_features,
        network.dense.out_features,
        network.head.out_features,
    ) == (0.3, 1280, 512, 10)
    assert network(torch.zeros(2, 1, 16, 16)).shape == (2, 10)
    strides = [
        efficientnet.EfficientNetB0(Classifier(stem_stride=stride), (1, 16, 16), 10, None).trunk._conv_stem.stride
        for stride in (1, 2)
    ]
    assert strides == [(1, 1), (2, 2)]


class TestWeights:
    @pytest.fixture
    def state(self):
        from efficientnet_pytorch import EfficientNet

        return EfficientNet.from_name("efficientnet-b0").state_dict()

    def test_by_path(self, tmp_path, state):
        torch.save(state, tmp_path / "w.pth")
        network = efficientnet.EfficientNetB0(Classifier(weights=str(tmp_path / "w.pth")), (1, 32, 32), 10, tmp_path)
        assert torch.equal(network.trunk._conv_stem.weight, state["_conv_stem.weight"])
        assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 10)  # grey images reach three channels

    def test_by_name_from_a_mirror_with_the_sum_checked(self, tmp_path, state, monkeypatch):
        torch.save(state, tmp_path / "made.pth")
        digest = hashlib.sha256((tmp_path / "made.pth").read_bytes()).hexdigest()
        name = f"efficientnet-b0-{digest[:8]}.pth"
        monkeypatch.setattr(efficientnet, "_IMAGENET", name)
        monkeypatch.setenv("LABELMINT_MIRROR", str(tmp_path))
        (tmp_path / "made.pth").rename(tmp_path / name)
        network = efficientnet.EfficientNetB0(Classifier(weights="imagenet"), (3, 32, 32), 10, tmp_path / "raw")
        assert torch.equal(network.trunk._conv_stem.weight, state["_conv_stem.weight"])
        (tmp_path / name).write_bytes(b"other")
        with pytest.raises(InputError, match=f"SHA-256 does not start with {digest[:8]}"):
            efficientnet.EfficientNetB0(Classifier(weights="imagenet"), (3, 32, 32), 10, tmp_path / "raw")

    def test_refuses_a_missing_file_and_a_pickle_that_runs_code(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            efficientnet.EfficientNetB0(Classifier(weights=str(tmp_path / "none.pth")), (3, 32, 32), 10, tmp_path)

        class Trap:
            def __reduce__(self):
                return open, (str(tmp_path / "sprung"), "w")

        torch.save({"a": Trap()}, tmp_path / "trap.pth")
        with pytest.raises(InputError, match="not a state dict of tensors"):
            efficientnet.EfficientNetB0(Classifier(weights=str(tmp_path / "trap.pth")), (3, 32, 32), 10, tmp_path)
        assert not (tmp_path / "sprung").exists()


class TestFit:
    def job(self, params, workspace, **changes) -> fit.Job:
        images, labels = load_set(workspace.tensors)
        return fit.Job(
            "real",
            [fit.Pool("real", np.asarray(images), labels)],
            10,
            replace(params.classifier, **changes),
            0,
            workspace.raw,
        )

    def test_learns_real_digits(self, params, workspace):
        job = self.job(params, workspace, steps=120)
        fitted = fit.fit(job, CPU)
        images, labels = load_set(workspace.test_tensors)
        network = fit.build(job.params, (1, 16, 16), 10, None)
        network.load_state_dict({name: torch.from_numpy(values) for name, values in fitted.weights.items()})
        assert (fit.predict(network, images, CPU).argmax(1) == labels).mean() > 0.8

    def test_same_seed_same_weights_whatever_the_global_generator(self, params, workspace):
        torch.manual_seed(1)
        first = fit.fit(self.job(params, workspace), CPU)
        torch.manual_seed(2)
        again = fit.fit(self.job(params, workspace), CPU)
        assert all(np.array_equal(values, again.weights[name]) for name, values in first.weights.items())

    def test_looks_as_often_as_told_and_keeps_the_best(self, params, workspace):
        fitted = fit.fit(self.job(params, workspace), CPU)
        assert [row["step"] for row in fitted.evaluations] == [10, 20, 30]
        best = max(fitted.evaluations, key=lambda row: (row["holdout_accuracy"], -row["holdout_loss"]))
        assert fitted.best_step == best["step"]

    def test_held_out_images_are_never_trained_on(self, params, workspace):
        job = self.job(params, workspace)
        kept, (held_images, held_labels) = fit._hold_out(job)
        seen = {image.tobytes() for image in kept[0].images}
        assert len(held_labels) == 10 and not any(image.tobytes() in seen for image in held_images)

    def test_the_mixed_arm_draws_its_share_of_each(self):
        pools = [
            fit.Pool("real", np.full((5, 1, 4, 4), value, np.uint8), np.full(5, value), share)
            for value, share in ((0, 0.25), (1, 0.75))
        ]
        images, labels = fit._batch(pools, fit._draw(pools, 4000, 0), CPU)
        assert labels.float().mean().item() == pytest.approx(0.75, abs=0.03)
        assert torch.equal(images.flatten(1).float().mean(1), labels.float())

    def test_every_epoch_takes_each_image_once_in_an_order_of_its_own(self):
        taken = np.concatenate([fit._in_turn(10, step, 4, 0) for step in range(5)])
        first, second = taken[:10], taken[10:]
        assert sorted(first) == sorted(second) == list(range(10)) and list(first) != list(second)
        assert np.array_equal(np.concatenate([fit._in_turn(10, step, 25, 0) for step in range(2)])[:20], taken)

    def test_the_last_moment_is_kept_where_asked(self, params, workspace):
        job = self.job(params, workspace)
        # Labels in another order cannot be learned: the best moment is one by chance.
        pools = [sources.shuffled(job.pools[0], seed=0)]
        blind = replace(job, pools=pools, params=replace(job.params, evaluations=6))
        best, last = fit.fit(blind, CPU), fit.fit(replace(blind, params=replace(blind.params, checkpoint="last")), CPU)
        alone = fit.fit(replace(blind, params=replace(blind.params, evaluations=1)), CPU)
        assert last.evaluations == best.evaluations and last.best_step == 30 > best.best_step
        assert all(np.array_equal(values, alone.weights[name]) for name, values in last.weights.items())

    def test_a_bootstrap_keeps_classes_repeats_images_and_has_no_copy_of_a_held_out_one(self, params, workspace):
        job = self.job(params, workspace)
        pools = sources.real_source("real_bootstrap", workspace, Arm("real", 100, 0), params.classifier).pools
        again = replace(job, pools=pools)
        (drawn,), (held_images, _) = fit._hold_out(again)
        (whole,), _ = fit._hold_out(job)
        seen, held = ({image.tobytes() for image in images} for images in (drawn.images, held_images))
        assert not seen & held and 55 < len(seen) < 85  # 1 - 1/e of 110 is 70
        assert np.array_equal(np.bincount(drawn.labels), np.bincount(whole.labels))
        all_of_it = fit.resampled(pools[0])  # as the nearest neighbour has it
        assert len(all_of_it.labels) == 120 and 60 < len({image.tobytes() for image in all_of_it.images}) < 90
        assert fit.resampled(job.pools[0]) is job.pools[0]


class TestAugment:
    images = torch.rand(50, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def test_nothing_switched_on_changes_nothing(self):
        assert torch.equal(augment(self.images, NO_AUGMENTATION, Stream(0)), self.images)

    @pytest.mark.parametrize("name", ["rotation", "shift", "scale", "shear", "blur", "contrast", "noise"])
    def test_each_change_acts_and_stays_in_range(self, name):
        changed = augment(self.images, replace(NO_AUGMENTATION, **{name: 0.5}), Stream(1))
        assert changed.shape == self.images.shape and changed.abs().max() <= 1
        assert not torch.equal(changed, self.images)

    def test_blur_keeps_the_mean_of_a_flat_image(self):
        flat = torch.full((4, 1, 9, 9), 0.3)
        assert torch.allclose(augment(flat, replace(NO_AUGMENTATION, blur=2.0), Stream(0)), flat, atol=1e-6)

    def test_rotation_turns_about_the_centre(self):
        bar = torch.full((1, 1, 17, 17), -1.0)
        bar[0, 0, 8] = 1
        turned = augment(bar.expand(200, -1, -1, -1), replace(NO_AUGMENTATION, rotation=90.0), Stream(0))
        assert (turned[:, 0, 8, 8] > 0.9).all()


class TestStages:
    def test_every_source_had_equal_steps_and_its_own_images(self, workspace):
        arm = Arm("dcgan", 100, 0)
        facts = archive.load(workspace.baseline(arm)) | archive.load(workspace.classifiers(arm))
        assert {name: (made["n_real"], made["n_synthetic"]) for name, made in facts.items()} == {
            **dict.fromkeys(("real", "real-linear"), (120, 0)),
            **dict.fromkeys(("synthetic", "synthetic-linear"), (0, 150)),
            **dict.fromkeys(("mixed", "mixed-linear"), (120, 150)),
        }
        assert {made["steps"] for made in facts.values()} == {30}

    def test_the_baseline_has_the_images_the_generator_had(self, workspace, params):
        subsets = load_json(workspace.tensors / "manifest.json")["subsets"]["0"]
        images, _ = load_set(workspace.tensors)
        pool = sources.real_pool(workspace, Arm("dcgan", 50, 0))
        assert np.array_equal(pool.images, images[subsets["50"]])

    def test_feature_network_is_frozen_and_hashed(self, workspace, tmp_path):
        network = feature_network.load(workspace.feature_network)
        content = (workspace.feature_network / "network.safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == network.sha256
        images, _ = load_set(workspace.tensors)
        features = network.features(images)
        assert features.shape == (120, 8) and features.min() >= 0
        assert np.allclose(features[:7], network.features(images[:7]), atol=1e-5)
        assert (features**2).mean() == pytest.approx(1, rel=1e-5)

    def test_damaged_weights_are_refused(self, workspace, tmp_path):
        folder = workspace.baseline(Arm("dcgan", 100, 0))
        for path in folder.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes() + (b"x" if path.suffix == ".safetensors" else b""))
        with pytest.raises(InputError, match="checksum"):
            archive.network(tmp_path, "real")
