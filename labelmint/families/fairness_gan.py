"""Fairness GAN (Sattigeri et al. 2018): images with an outcome Y that does not reveal the protected label C.

G generates an image X and its outcome Y from a latent and C. D has four outputs: whether X is real, whether
(X, Y) is real, C predicted from X, C predicted from Y. G maximizes the first three and wants the last to be
wrong. Under demographic_parity Y must not reveal C at all. Under equality_of_opportunity it must not do so
among images with the true outcome 1, which G then receives too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from labelmint.gans.layers import BatchNorm, Convolution, Dropout, GaussianNoise, Linear
from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.objectives import DiscriminatorOutput, NonSaturating, Objective, binary_cross_entropy
from labelmint.gans.parts import Shape, activation, apply_spectral_norm
from labelmint.gans.registry import FamilyEntry
from labelmint.gans.residual import ResidualGenerator, ResidualTrunk
from labelmint.gans.settings import Family
from labelmint.random_streams import Stream

PROTECTED, OUTCOME = 0, 1
"""Columns of the labels: dataset.attributes must name the protected attribute first, then the outcome."""

_HEAD_UNITS = 128


class FairGenerator(ResidualGenerator):
    """A generator that also generates the outcome, 0 or 1, by hidden layers of `units`.

    condition_size: how many of the requested labels it receives.
    """

    def __init__(self, params: GeneratorNetwork, latent_size: int, shape: Shape, condition_size: int):
        super().__init__(params, latent_size, shape, condition_size)
        self.condition_size = condition_size
        # The condition comes in a second time: with conditional batch normalisation `entry` does not contain
        # it.
        widths = [self.entry.size + condition_size, *params.units]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths, params.units):
            norm = [nn.Unflatten(1, (-1, 1, 1)), BatchNorm(outputs), nn.Flatten()]
            layers += [nn.Linear(inputs, outputs, bias=False), *norm, nn.Tanh()]
        self.outcome = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        condition = labels[:, : self.condition_size]
        entered = self.entry(latents, condition)
        probability = torch.sigmoid(self.outcome(torch.cat([entered, condition], 1)))
        # 0 or 1 as real outcomes are: D could otherwise recognize generated ones by values in between. The
        # gradient is that of the probability (straight-through estimator).
        hard = (probability > 0.5).float() + (probability - probability.detach())
        return self.images(entered, condition), torch.cat([labels[:, :1], hard, labels[:, 2:]], 1)


class FairDiscriminator(nn.Module):
    """Outputs (N, 4): logits of X real, (X, Y) real, C from X, C from Y.

    Y comes in by projection, or as maps beside those of X.
    """

    def __init__(self, params: DiscriminatorNetwork, shape: Shape):
        super().__init__()
        self.trunk = ResidualTrunk(params, shape, 0)
        maps, size = self.trunk.channels, self.trunk.size
        self.dropout, self.noise = Dropout(params.head_dropout), GaussianNoise(params.head_noise)
        features = maps * size * size

        def head(inputs: int, depth: int = 1) -> nn.Sequential:
            widths = [inputs] + [_HEAD_UNITS] * depth
            hidden = [
                layer for pair in zip(widths, widths[1:]) for layer in (Linear(*pair), activation(params))
            ]
            return nn.Sequential(*hidden, Linear(_HEAD_UNITS, 1))

        # These names are keys of saved weights.
        self.real, self.protected, self.betrayed = head(features), head(features), head(1, 2)
        self.projected = params.condition == "projection"
        if self.projected:
            self.joint, self.projection = head(features), Linear(1, features, bias=False)
        else:
            self.spread = Linear(1, features)
            self.together = nn.Sequential(Convolution(2 * maps, max(1, maps // 2), 3), activation(params))
            self.joint = head(features // 2)
        apply_spectral_norm(self, params, self.trunk.first)

    def forward(
        self, images: torch.Tensor, labels: torch.Tensor, stream: Stream | None = None
    ) -> torch.Tensor:
        maps = self.trunk(images, labels[:, :0], stream)
        maps = self.noise(self.dropout(maps, stream), stream)
        features, outcome = maps.permute(0, 2, 3, 1).flatten(1), labels[:, OUTCOME : OUTCOME + 1]
        if self.projected:
            # Centred, so that both outcomes have an effect.
            joint = self.joint(features) + (self.projection(2 * outcome - 1) * features).sum(1, keepdim=True)
        else:
            spread = self.spread(outcome).unflatten(1, (maps.shape[2], maps.shape[3], -1)).permute(0, 3, 1, 2)
            joint = self.joint(self.together(torch.cat([maps, spread], 1)).permute(0, 2, 3, 1).flatten(1))
        return torch.cat([self.real(features), joint, self.protected(features), self.betrayed(outcome)], 1)


@dataclass(frozen=True)
class Fair(Objective):
    """The losses of both networks on the four outputs.

    base: loss of the first two. opportunity: whether the fairness is equality of opportunity.
    weight: of the leakage in G's loss. auxiliary, auxiliary_generator: weights of predicting C from X, for D
    and G.
    """

    base: NonSaturating
    opportunity: bool
    weight: float
    auxiliary: float
    auxiliary_generator: float
    saturates = True
    has_target = True

    def real(self, real: DiscriminatorOutput) -> torch.Tensor:
        return _both(self.base.real, real) + self.auxiliary * self._protected(real)

    def fake(self, fake: DiscriminatorOutput) -> torch.Tensor:
        # How far Y reveals C is learned from generated pairs alone: these must become fair.
        return _both(self.base.fake, fake) + self.auxiliary * self._protected(fake) + self.leakage(fake)

    def generator(self, fake: DiscriminatorOutput) -> torch.Tensor:
        realism = _both(self.base.generator, fake) + self.auxiliary_generator * self._protected(fake)
        return realism - self.weight * self.leakage(fake)

    def _protected(self, output: DiscriminatorOutput) -> torch.Tensor:
        """Cross-entropy of C predicted from X."""
        return binary_cross_entropy(output.outputs[..., 2], output.labels[..., PROTECTED]).mean(-1)

    def leakage(self, output: DiscriminatorOutput) -> torch.Tensor:
        """Cross-entropy of C predicted from Y, over the images that the kind of fairness is about."""
        losses = binary_cross_entropy(output.outputs[..., 3], output.labels[..., PROTECTED])
        counted = output.requested[..., OUTCOME] if self.opportunity else torch.ones_like(losses)
        return (losses * counted).sum(-1) / counted.sum(-1).clamp(min=1)


def _both(loss: Callable[[DiscriminatorOutput], torch.Tensor], output: DiscriminatorOutput) -> torch.Tensor:
    """The mean of the losses of the image alone and of image and outcome."""
    return (loss(output) + loss(output._replace(outputs=output.outputs[..., 1:]))) / 2


def build_generator(family: Family, shape: Shape, labels: int) -> FairGenerator:
    condition_size = 1 + (family.fairness == "equality_of_opportunity")
    return FairGenerator(family.generator, family.latent_size, shape, condition_size)


def build_discriminator(family: Family, shape: Shape, labels: int) -> FairDiscriminator:
    return FairDiscriminator(family.discriminator, shape)


def objective(family: Family) -> Fair:
    return Fair(
        NonSaturating(family.label_smoothing),
        family.fairness == "equality_of_opportunity",
        family.fairness_weight,
        family.auxiliary_weight,
        family.auxiliary_weight_generator,
    )


def check(family: Family, dataset_labels: list[str]) -> None:
    """Raises: ValueError if the attributes, networks or the kind of fairness do not fit."""
    if family.fairness == "none":
        raise ValueError("fairness_gan needs fairness: demographic_parity or equality_of_opportunity")
    if dataset_labels[:2] != [family.protected, family.outcome]:
        names = f"{family.protected} and {family.outcome}"
        raise ValueError(
            f"dataset.attributes must begin with `protected` and `outcome`, {names}, got {dataset_labels}"
        )
    if family.generator.kind != "resnet" or family.discriminator.kind != "resnet":
        raise ValueError("fairness_gan is built of residual blocks; it needs kind: resnet for both networks")
    if family.discriminator.condition not in ("projection", "channel"):
        raise ValueError("discriminator.condition of fairness_gan: projection, or channel (concatenation)")


FAMILY = FamilyEntry(
    title="Fairness GAN",
    source="Sattigeri et al. 2018",
    label_kinds=("multi_hot",),
    objective=objective,
    settings=Family(
        labels="multi_hot",
        fairness="demographic_parity",
        protected="Male",
        outcome="Attractive",
        generator=GeneratorNetwork(
            "resnet", units=[64], dense_filters=64, filters=[64, 32], condition="batch_norm"
        ),
        discriminator=DiscriminatorNetwork(
            "resnet", filters=[32, 64], batch_norm=False, spectral_norm=True, condition="projection"
        ),
        initialization="glorot_uniform",
        update="alternating",
    ),
    build_generator=build_generator,
    build_discriminator=build_discriminator,
    check=check,
)
