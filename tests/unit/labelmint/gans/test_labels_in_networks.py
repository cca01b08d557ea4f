"""Conditioning: outputs worked out by hand from the weights of each network, and from no others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from labelmint.gans.initialization import initialize
from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.registry import build_discriminator, build_generator
from labelmint.gans.settings import Family

SHAPE, LABELS, LATENT = (2, 16, 16), 3, 5
A, B = (
    torch.eye(LABELS)[[0, 0, 1, 2]],
    torch.eye(LABELS)[[2, 1, 1, 0]],
)  # the third image has the same label in both
BOTH = torch.tensor([[1.0, 0.0, 1.0]])

CONV_G, MLP_G, RESNET_G = (
    GeneratorNetwork(dense_filters=4, filters=[3]),
    GeneratorNetwork("mlp", units=[7, 6]),
    GeneratorNetwork("resnet", dense_filters=4, filters=[4, 3]),
)
CONV_D, MLP_D, RESNET_D = (
    DiscriminatorNetwork(filters=[4, 6]),
    DiscriminatorNetwork("mlp", units=[7, 6]),
    DiscriminatorNetwork("resnet", filters=[4, 6], batch_norm=False),
)
LABELLED_G, LABELLED_D = replace(CONV_G, condition="concat"), replace(CONV_D, condition="channel")

GENERATORS = [
    *((params, "concat", size) for params in (CONV_G, MLP_G, RESNET_G) for size in (0, 2)),
    *((params, "product", 0) for params in (CONV_G, MLP_G, RESNET_G)),
    *((params, "batch_norm", 0) for params in (CONV_G, RESNET_G)),
    (CONV_G, "channel", 0),
    (CONV_G, "channel", 2),
    (CONV_G, "branch", 2),
    (replace(CONV_G, batch_norm=False), "branch", 2),
    (replace(CONV_G, dense_norm="units"), "batch_norm", 0),
]
DISCRIMINATORS = [
    *((params, "projection", 0) for params in (CONV_D, MLP_D, RESNET_D)),
    *(
        (params, condition, size)
        for params in (CONV_D, RESNET_D)
        for condition in ("channel", "merge")
        for size in (0, 2)
    ),
    *((params, "branch", 2) for params in (CONV_D, RESNET_D)),
    (MLP_D, "concat", 0),
    (MLP_D, "concat", 2),
    (replace(CONV_D, minibatch_std=True), "projection", 0),
]


def case_id(case: object) -> str:
    return getattr(case, "kind", None) or str(case)


def generator(params: GeneratorNetwork, condition: Any, embedding: int = 0) -> Any:
    params = replace(params, condition=condition, embedding=embedding)
    family = Family("conditional", LATENT, generator=params, discriminator=LABELLED_D)
    network = build_generator(family, SHAPE, LABELS)
    initialize(network, "normal", torch.Generator().manual_seed(0))
    return network.eval().requires_grad_(False)  # in evaluation mode images are independent


def discriminator(params: DiscriminatorNetwork, condition: Any, embedding: int = 0, **changes) -> Any:
    params = replace(
        params, condition=condition, embedding=embedding, units=params.units or [5, 4], **changes
    )
    family = Family("conditional", LATENT, generator=LABELLED_G, discriminator=params)
    network = build_discriminator(family, SHAPE, LABELS)
    initialize(network, "glorot_uniform", torch.Generator().manual_seed(0))
    return network.eval().requires_grad_(False)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def seen(module: torch.nn.Module, network: torch.nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
    """The first argument of `module`, a part of `network`, when the network runs on `inputs`."""
    kept: list[torch.Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    network(*inputs)
    handle.remove()
    return kept[0]


class TestGenerators:
    latents = noise(4, LATENT)

    @pytest.mark.parametrize(("params", "condition", "embedding"), GENERATORS, ids=case_id)
    def test_a_label_changes_its_own_image_only_and_is_returned(self, params, condition, embedding):
        network = generator(params, condition, embedding)
        (first, returned), (second, _) = network(self.latents, A), network(self.latents, B)
        assert first.shape == (4, *SHAPE)
        assert first.abs().max() <= 1
        assert returned is A
        changed = (first != second).flatten(1).any(1)
        assert changed.tolist() == [True, True, False, True]

    @pytest.mark.parametrize(("params", "condition", "embedding"), GENERATORS, ids=case_id)
    def test_labels_act_through_their_own_weights_only(self, params, condition, embedding):
        """With those weights at 0, every label gives the same images."""
        network = generator(params, condition, embedding)
        label_weights = [
            weight
            for name, weight in network.named_parameters()
            if name.split(".")[-2] in ("embed", "label_dense", "scale", "shift")
        ]
        if condition == "concat" and not embedding:
            first = network.layers[0] if params.kind == "mlp" else network.dense
            label_weights = [first.weight[:, LATENT:]]
        assert label_weights
        assert len(label_weights) < len(list(network.parameters()))
        for weight in label_weights:
            weight.zero_()
        assert torch.equal(network(self.latents, A)[0], network(self.latents, B)[0])

    @pytest.mark.parametrize("params", [CONV_G, MLP_G, RESNET_G], ids=case_id)
    def test_concat_concatenates_latents_and_embedding(self, params):
        network = generator(params, "concat", 2)
        first = network.layers[0] if params.kind == "mlp" else network.dense
        rows = network.entry.embed.weight.T  # of each label
        assert torch.equal(
            seen(first, network, self.latents, A), torch.cat([self.latents, rows[[0, 0, 1, 2]]], 1)
        )
        several = seen(first, network, self.latents[:1], BOTH)[0, LATENT:]
        assert torch.allclose(several, rows[0] + rows[2])

    @pytest.mark.parametrize("params", [CONV_G, MLP_G, RESNET_G], ids=case_id)
    def test_product_multiplies_latents_by_the_embedding(self, params):
        network = generator(params, "product")
        first = network.layers[0] if params.kind == "mlp" else network.dense
        rows = network.entry.embed.weight.T
        assert torch.equal(seen(first, network, self.latents, A), self.latents * rows[[0, 0, 1, 2]])

    def test_channel_is_one_more_map_computed_from_the_label(self):
        for embedding in (0, 2):
            network = generator(CONV_G, "channel", embedding)
            maps = seen(network.layers[0], network, self.latents, A)
            assert maps.shape == (4, 5, 4, 4)
            given = network.embed.weight.T[[0, 0, 1, 2]] if embedding else A
            plane = F.linear(given, network.label_dense.weight, network.label_dense.bias).view(4, 1, 4, 4)
            assert torch.allclose(maps[:, 4:], plane, atol=1e-6)

    @pytest.mark.parametrize("batch_norm", [True, False])
    def test_branch_is_maps_of_the_label_normalised_like_those_of_the_latents(self, batch_norm):
        network = generator(replace(CONV_G, batch_norm=batch_norm), "branch", 2).train()
        maps = seen(network.layers[0], network, self.latents, A)
        assert maps.shape == (4, 6, 4, 4)
        raw = (
            F.linear(A, network.label_dense.weight, network.label_dense.bias)
            .view(4, 4, 4, 2)
            .permute(0, 3, 1, 2)
        )
        if batch_norm:
            norm = network.label_first[0]
            raw = F.batch_norm(raw, None, None, norm.weight, norm.bias, training=True)
        assert torch.allclose(maps[:, 4:], raw.relu(), atol=1e-5)

    def test_batch_norm_normalises_the_dense_layer_and_all_but_the_last(self):
        kinds = [type(module).__name__ for module in generator(CONV_G, "batch_norm").modules()]
        assert kinds.count("ConditionalBatchNorm") == 2
        kinds = [type(module).__name__ for module in generator(RESNET_G, "batch_norm").modules()]
        assert kinds.count("ConditionalBatchNorm") == 6  # three a block


class TestDiscriminators:
    images = noise(4, *SHAPE)

    @pytest.mark.parametrize(("params", "condition", "embedding"), DISCRIMINATORS, ids=case_id)
    def test_a_label_changes_the_logit_of_its_own_image_only(self, params, condition, embedding):
        network = discriminator(params, condition, embedding)
        first, second = network(self.images, A), network(self.images, B)
        assert first.shape == (4, 1)
        assert (first != second).flatten().tolist() == [True, True, False, True]

    @pytest.mark.parametrize(("params", "condition", "embedding"), DISCRIMINATORS, ids=case_id)
    def test_labels_act_through_their_own_weights_only(self, params, condition, embedding):
        network = discriminator(params, condition, embedding)
        resnet = params.kind == "resnet"
        entry = network.trunk.entry if resnet else getattr(network, "entry", network)
        first = network.trunk.first[0] if resnet else network.blocks[0][0]
        if condition == "projection":
            label_weights = network.head.projection.weight
        elif condition == "merge":
            label_weights = network.head.after[0].weight[:, 5:]
        elif condition == "branch":
            label_weights = entry.of_labels[0].weight
        elif embedding:
            label_weights = entry.embed.weight if condition == "concat" else entry.embed[0].weight
        else:
            label_weights = first.weight[:, -LABELS:]
        label_weights.zero_()
        assert torch.equal(network(self.images, A), network(self.images, B))

    @pytest.mark.parametrize("spectral_norm", [False, True])
    @pytest.mark.parametrize("params", [CONV_D, MLP_D, RESNET_D], ids=case_id)
    def test_projection_adds_the_inner_product_of_features_and_label_embedding(self, params, spectral_norm):
        network = discriminator(params, "projection", spectral_norm=spectral_norm)
        features, head = seen(network.head, network, self.images, A), network.head
        psi, rows, bias = head.output.weight[0], head.projection.weight.T, head.output.bias
        if spectral_norm:
            psi, rows = psi / psi.norm(), rows / torch.linalg.svdvals(rows)[0]
        expected = (
            features @ psi
            + bias
            + torch.stack([feature @ rows[label] for feature, label in zip(features, (0, 0, 1, 2))])
        )
        assert torch.allclose(network(self.images, A).flatten(), expected, atol=1e-4)
        several = features[:1] @ (psi + rows[0] + rows[2]) + bias  # of several labels, the sum
        assert torch.allclose(network(self.images[:1], BOTH).flatten(), several, atol=1e-4)

    @pytest.mark.parametrize("params", [CONV_D, RESNET_D], ids=case_id)
    @pytest.mark.parametrize("embedding", [0, 2, 256])
    def test_channel_is_more_maps_of_the_image(self, params, embedding):
        """An embedding of 256 values is the map of 16 x 16 itself."""
        network = discriminator(params, "channel", embedding)
        resnet = params.kind == "resnet"
        entry, first = (
            (network.trunk.entry, network.trunk.first) if resnet else (network.entry, network.blocks[0])
        )
        entered = seen(first, network, self.images, A)
        assert torch.equal(entered[:, :2], self.images)
        if embedding:
            rows, dense = entry.embed[0].weight.T[[0, 0, 1, 2]], entry.embed[1:]
            assert len(dense) == (embedding != 256)
            expected = F.linear(rows, dense[0].weight, dense[0].bias) if len(dense) else rows
            assert torch.allclose(entered[:, 2:], expected.view(4, 1, 16, 16), atol=1e-6)
        else:
            assert torch.equal(entered[:, 2:], A.view(4, 3, 1, 1).expand(4, 3, 16, 16))

    def test_branch_has_one_layer_for_the_image_and_one_for_the_labels(self):
        network = discriminator(CONV_D, "branch", 2).train()
        entered = seen(network.blocks[0], network, self.images, A)
        planes = A.view(4, 3, 1, 1).expand(4, 3, 16, 16)
        expected = []
        for layers, given in ((network.entry.of_images, self.images), (network.entry.of_labels, planes)):
            maps = F.conv2d(given, layers[0].weight, layers[0].bias, stride=2)
            maps = F.batch_norm(maps, None, None, layers[1].weight, layers[1].bias, training=True)
            expected.append(F.leaky_relu(maps, 0.2))
        assert entered.shape == (4, 4, 8, 8)
        assert torch.allclose(entered, torch.cat(expected, 1), atol=1e-5)

    def test_merge_concatenates_features_and_embedding_before_more_units(self):
        network = discriminator(CONV_D, "merge", 2)
        head, features = network.head, seen(network.head, network, self.images, A)
        before = F.linear(features, head.before.weight, head.before.bias)
        merged = torch.cat([before, head.embed.weight.T[[0, 0, 1, 2]]], 1)
        hidden = F.leaky_relu(F.linear(merged, head.after[0].weight, head.after[0].bias), 0.2)
        assert (before.shape[1], hidden.shape[1]) == (5, 4)
        expected = F.linear(hidden, head.output.weight, head.output.bias)
        assert torch.allclose(network(self.images, A), expected, atol=1e-5)

    def test_concat_concatenates_pixels_and_embedding(self):
        network = discriminator(MLP_D, "concat", 2)
        entered = seen(network.blocks[0], network, self.images, A)
        assert torch.equal(
            entered, torch.cat([self.images.flatten(1), network.embed.weight.T[[0, 0, 1, 2]]], 1)
        )

    @pytest.mark.parametrize("params", [CONV_D, MLP_D, RESNET_D], ids=case_id)
    def test_auxiliary_predicts_the_labels_without_receiving_them(self, params):
        network = discriminator(params, "auxiliary")
        outputs = network(self.images, A)
        assert outputs.shape == (4, 1 + LABELS)
        assert torch.equal(outputs, network(self.images, B))
        assert outputs.std(0).min() > 0
