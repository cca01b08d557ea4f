"""What groups of settings of a family refuse."""

from __future__ import annotations

import pytest

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.settings import Family


def test_refuses_a_latent_of_no_size():
    with pytest.raises(ValueError, match="^latent_size must be 1 to 4096, got 0$"):
        Family(latent_size=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernels": [4]}, "kernels has 1 entries, strides has 2 entries; they must agree"),
        ({"kernels": [4], "strides": [2]}, "1 filters need 2 kernels and strides"),
        ({"kernels": [1, 4]}, "a kernel of 1 with stride 2 cannot multiply the size by 2"),
        ({"kernels": [4, 4], "strides": [2, 1]}, "a kernel of 4 with stride 1 cannot"),
        ({"filters": [10**12]}, r"filters\[0\] must be 1 to 65536, got 1000000000000"),
        ({"kernels": [4, 10**9]}, r"kernels\[1\] must be 1 to 1024"),
        ({"units": [2] * 1000}, "units must have at most 64 entries, got 1000"),
        ({"kind": "mlp"}, "an mlp needs units"),
        ({"kind": "mlp", "units": [8], "condition": "channel"}, "an mlp has no maps for condition: channel"),
        ({"condition": "batch_norm", "batch_norm": False}, "condition: batch_norm needs batch_norm: true"),
        ({"condition": "branch"}, "condition: branch needs embedding"),
        ({"kind": "resnet", "filters": []}, "a resnet needs filters"),
        ({"norm_after_activation": True, "batch_norm": False}, "norm_after_activation needs kind: conv and"),
    ],
)
def test_refuses_generators_that_cannot_be_built(settings, message):
    with pytest.raises(ValueError, match=message):
        GeneratorNetwork(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head_dropout": 1.0}, "head_dropout must be 0 to 0.95, got 1.0"),
        ({"input_noise": 11}, "input_noise must be 0 to 10, got 11"),
        ({"strides": [2]}, "filters has 2 entries, kernels has 2 entries, strides has 1 entries"),
        ({"filters": [], "kernels": [], "strides": []}, "filters must not be empty"),
        ({"condition": "concat"}, "condition: concat is for an mlp"),
        ({"condition": "merge"}, "condition: merge needs units"),
        ({"kind": "mlp", "units": [8], "condition": "merge"}, "an mlp has no maps for condition: merge"),
        ({"norm_after_activation": True, "kind": "resnet"}, "norm_after_activation needs kind: conv and"),
    ],
)
def test_refuses_discriminators_that_cannot_be_built(settings, message):
    with pytest.raises(ValueError, match=message):
        DiscriminatorNetwork(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"labels": "conditional"},
            "labels: conditional needs generator.condition: other than none, got none",
        ),
        (
            {"generator": GeneratorNetwork(condition="concat")},
            "labels: per_class needs generator.condition: none",
        ),
        ({"gradient_penalty": 10}, "needs update: alternating or simultaneous"),
        ({"gradient_penalty": 10, "update": "alternating"}, "needs discriminator.batch_norm: false"),
        ({"n_critic": 5, "update": "simultaneous"}, "takes one step of each"),
        ({"fairness": "demographic_parity", "protected": "Male"}, "needs `protected` and `outcome`"),
        ({"clip": -0.1}, "clip must be 0 to 10000, got -0.1"),
    ],
)
def test_refuses_families_whose_settings_disagree(settings, message):
    with pytest.raises(ValueError, match=message):
        Family(**settings)


@pytest.mark.parametrize(
    ("network", "size", "start"),
    [
        (GeneratorNetwork(), 16, 4),
        (GeneratorNetwork(kind="mlp", units=[8]), 17, 17),
        (GeneratorNetwork(kind="resnet", filters=[8, 8, 8]), 32, 4),
    ],
)
def test_start_size(network, size, start):
    assert network.start_size(size) == start


def test_start_size_refuses_a_size_that_the_strides_cannot_make():
    with pytest.raises(
        ValueError, match=r"strides \[2, 2\] multiply the size by 4, which cannot make 18 pixels"
    ):
        GeneratorNetwork().start_size(18)
