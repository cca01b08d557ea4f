"""Networks as the rows of a report's table, one per layer with weights, in the order of computation.

"conv 64>128 3x3/2 14px SN | BN 128 | leaky_relu 0.2" is a convolution of 64 maps to 128, with kernels of
3 x 3, a stride of 2, an output of 14 pixels and spectral normalisation, but no bias; batch normalisation of
128 means and variances follows, then an activation. A deconv is a transposed convolution. CBN has a scale and
a shift for one label.
"""

from __future__ import annotations

import re

import torch
from torch import nn

from labelmint.gans import registry
from labelmint.gans.initialization import spectral_layers
from labelmint.gans.layers import BatchNorm, ConditionalBatchNorm, Dropout, Embedding, GaussianNoise
from pipeline.settings import schema

Rows = list[str]
Table = dict[str, Rows]
"""Rows of both networks, "G" and "D"."""

LEAKY, SLIGHTLY_LEAKY = "leaky_relu 0.2", "leaky_relu 0.01"


def rows_of(params: schema.Params) -> tuple[dict[str, Rows], dict[str, int]]:
    """Rows, and numbers of parameters, of both networks ("G" and "D") of an experiment with one family."""
    (name,), dataset = params.generators, params.dataset
    family, entry = params.families[name], registry.load(name)
    count = len(dataset.attributes) if dataset.multi_hot else 10
    labels = count if family.labels in ("conditional", "multi_hot") else 0
    shape = (dataset.channels, dataset.image_size, dataset.image_size)
    with torch.device("meta"):
        generator = entry.build_generator(family, shape, labels)
        discriminator = entry.build_discriminator(family, shape, labels)
        of_g, of_d = _recorded(generator), _recorded(discriminator)
        images, image_labels = generator(torch.zeros(2, family.latent_size), torch.zeros(2, labels))
        discriminator(images, image_labels)
    assert images.shape == (2, *shape)
    networks = {"G": generator, "D": discriminator}
    return {"G": of_g, "D": of_d}, {
        player: sum(weight.numel() for weight in network.parameters()) for player, network in networks.items()
    }


def parameters(rows: Rows) -> int:
    """The number of parameters that the rows have."""
    total = 0
    for row in rows:
        inputs, outputs = map(int, re.findall(r"(\d+)>(\d+)", row)[0])
        kernel = int(found[1]) if (found := re.search(r" (\d+)x", row)) else 1
        total += inputs * outputs * kernel**2 + outputs * (" bias" in row)
        total += sum(2 * int(width) for width in re.findall(r"BN (\d+)", row))
    return total


def _recorded(network: nn.Module) -> Rows:
    """The rows, which running the network writes."""
    rows: Rows = []
    spectral: set[nn.Module] = set(spectral_layers(network))
    within = {
        part
        for norm in network.modules()
        if isinstance(norm, ConditionalBatchNorm)
        for part in norm.modules()
        if part is not norm
    }

    def record(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            marks = [" SN"] * (layer in spectral) + [" bias"] * (layer.bias is not None)
            rows.append(_weights(layer, output) + "".join(marks))
        elif following := _following(layer):
            rows[-1] += f" | {following}"

    for layer in network.modules():
        if layer not in within:
            layer.register_forward_hook(record)
    return rows


def _weights(layer: nn.Module, output: torch.Tensor) -> str:
    if isinstance(layer, nn.Linear):
        kind = "embedding" if isinstance(layer, Embedding) else "linear"
        return f"{kind} {layer.in_features}>{layer.out_features}"
    assert isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
    kind = "deconv" if isinstance(layer, nn.ConvTranspose2d) else "conv"
    (kernel, width), stride = layer.kernel_size, layer.stride[0]
    return f"{kind} {layer.in_channels}>{layer.out_channels} {kernel}x{width}/{stride} {output.shape[-1]}px"


def _following(layer: nn.Module) -> str:
    match layer:
        case ConditionalBatchNorm():
            return f"CBN {layer.norm.num_features}"
        case BatchNorm():
            return f"BN {layer.num_features}"
        case nn.LeakyReLU():
            return f"leaky_relu {layer.negative_slope}"
        case nn.ReLU() | nn.SELU() | nn.Tanh():
            return type(layer).__name__.lower()
        case Dropout(probability=probability) if probability:
            return f"dropout {probability}"
        case GaussianNoise(deviation=deviation) if deviation:
            return f"noise {deviation}"
    return ""
