"""Fairness GAN (Sattigeri et al. 2018): images with an outcome Y that does not tell the protected attribute C.

G makes, from a latent and C, an image X and its outcome Y. D says of (X, Y): is X real, is (X, Y) real, what C does X show,
what C does Y betray. G wants the first two, the third, and that the last be wrong. For demographic_parity Y must not betray
C at all; for equality_of_opportunity not among those whose true outcome, which G is then told too, is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from labelmint.gans.layers import BatchNorm, Convolution, Dropout, GaussianNoise, Linear
from labelmint.gans.networks import Shape, activation, limit
from labelmint.gans.objectives import Judged, NonSaturating, Objective, binary_cross_entropy
from labelmint.gans.residual import ResidualGenerator, ResidualTrunk
from labelmint.gans.settings import DiscriminatorNetwork, Family, GeneratorNetwork
from labelmint.random_streams import Stream

LABELS = ("multi_hot",)
PROTECTED, OUTCOME = 0, 1
"""Columns of the labels: dataset.attributes must name the protected attribute first, then the outcome."""

_HEAD_UNITS = 128


class FairGenerator(ResidualGenerator):
    """Beside the image an outcome, 0 or 1, from the same latent and condition by hidden layers of `units`."""

    def __init__(self, params: GeneratorNetwork, latent_size: int, shape: Shape, told: int):
        super().__init__(params, latent_size, shape, told)
        self.told = told
        layers: list[nn.Module] = []
        # The outcome is told the condition itself besides: where conditional batch normalisation carries it, `entry` does not.
        for inputs, outputs in zip([self.entry.size + told, *params.units], params.units):
            layers += [nn.Linear(inputs, outputs, bias=False), nn.Unflatten(1, (-1, 1, 1)), BatchNorm(outputs), nn.Flatten(), nn.Tanh()]  # fmt: skip
        self.outcome = nn.Sequential(*layers, nn.Linear([self.entry.size + told, *params.units][-1], 1))

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        condition = labels[:, : self.told]
        entered = self.entry(latents, condition)
        share = torch.sigmoid(self.outcome(torch.cat([entered, condition], 1)))
        # 0 or 1 as real outcomes are, or D would know minted ones by their doubts; the gradient is that of the share.
        hard = (share > 0.5).float() + (share - share.detach())
        return self.images(entered, condition), torch.cat([labels[:, :1], hard, labels[:, 2:]], 1)


class FairDiscriminator(nn.Module):
    """outputs (N, 4): logits of X real, (X, Y) real, C by X, C by Y. Y comes in by projection, or as maps beside X's."""

    def __init__(self, params: DiscriminatorNetwork, shape: Shape):
        super().__init__()
        self.trunk = ResidualTrunk(params, shape, 0)
        maps, size = self.trunk.channels, self.trunk.size
        self.dropout, self.noise = Dropout(params.head_dropout), GaussianNoise(params.head_noise)
        features = maps * size * size

        def head(inputs: int, depth: int = 1) -> nn.Sequential:
            widths = [inputs] + [_HEAD_UNITS] * depth
            hidden = [layer for pair in zip(widths, widths[1:]) for layer in (Linear(*pair), activation(params))]
            return nn.Sequential(*hidden, Linear(_HEAD_UNITS, 1))

        self.real, self.protected, self.betrayed = head(features), head(features), head(1, 2)
        self.projected = params.condition == "projection"
        if self.projected:
            self.joint, self.projection = head(features), Linear(1, features, bias=False)
        else:
            self.spread = Linear(1, features)
            self.together = nn.Sequential(Convolution(2 * maps, max(1, maps // 2), 3), activation(params))
            self.joint = head(features // 2)
        if params.spectral_norm:
            limit(self)

    def forward(self, images: torch.Tensor, labels: torch.Tensor, stream: Stream | None = None) -> torch.Tensor:
        maps = self.trunk(images, labels[:, :0], stream)
        maps = self.noise(self.dropout(maps, stream), stream)
        features, outcome = maps.permute(0, 2, 3, 1).flatten(1), labels[:, OUTCOME : OUTCOME + 1]
        if self.projected:
            # Centred, so that both outcomes pull.
            joint = self.joint(features) + (self.projection(2 * outcome - 1) * features).sum(1, keepdim=True)
        else:
            spread = self.spread(outcome).unflatten(1, (maps.shape[2], maps.shape[3], -1)).permute(0, 3, 1, 2)
            joint = self.joint(self.together(torch.cat([maps, spread], 1)).permute(0, 2, 3, 1).flatten(1))
        return torch.cat([self.real(features), joint, self.protected(features), self.betrayed(outcome)], 1)


@dataclass(frozen=True)
class Fair(Objective):
    """D's and G's losses on the four outputs. weight: of the outcome betraying the protected attribute, in G's."""

    source: NonSaturating
    opportunity: bool
    weight: float
    auxiliary: float
    auxiliary_generator: float
    saturates = True
    has_target = True

    def real(self, judged: Judged) -> torch.Tensor:
        return _both(self.source.real, judged) + self.auxiliary * self._shown(judged)

    def fake(self, judged: Judged) -> torch.Tensor:
        # Whether Y betrays C is learned from minted pairs alone: they are what is to be fair.
        return _both(self.source.fake, judged) + self.auxiliary * self._shown(judged) + self.betrayed(judged)

    def generator(self, judged: Judged) -> torch.Tensor:
        wanted = _both(self.source.generator, judged) + self.auxiliary_generator * self._shown(judged)
        return wanted - self.weight * self.betrayed(judged)

    def _shown(self, judged: Judged) -> torch.Tensor:
        return binary_cross_entropy(judged.outputs[..., 2], judged.labels[..., PROTECTED]).mean(-1)

    def betrayed(self, judged: Judged) -> torch.Tensor:
        """Cross-entropy of C by Y, over those that the kind of fairness is about."""
        each = binary_cross_entropy(judged.outputs[..., 3], judged.labels[..., PROTECTED])
        counted = judged.requested[..., OUTCOME] if self.opportunity else torch.ones_like(each)
        return (each * counted).sum(-1) / counted.sum(-1).clamp(min=1)


def _both(loss: Callable[[Judged], torch.Tensor], judged: Judged) -> torch.Tensor:
    """The mean of the losses of the image alone and of image and outcome."""
    return (loss(judged) + loss(judged._replace(outputs=judged.outputs[..., 1:]))) / 2


def build_generator(family: Family, shape: Shape, labels: int) -> FairGenerator:
    told = 1 + (family.fairness == "equality_of_opportunity")
    return FairGenerator(family.generator, family.latent_size, shape, told)


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
    """Raises: ValueError when the attributes, networks or the kind of fairness do not fit."""
    if family.fairness == "none":
        raise ValueError("fairness_gan needs fairness: demographic_parity or equality_of_opportunity")
    if dataset_labels[:2] != [family.protected, family.outcome]:
        raise ValueError(
            f"dataset.attributes must begin with `protected` and `outcome`, {family.protected} and {family.outcome}, got {dataset_labels}"
        )
    if family.generator.kind != "resnet" or family.discriminator.kind != "resnet":
        raise ValueError("fairness_gan is built of residual blocks; it needs kind: resnet for both networks")
    if family.discriminator.condition not in ("projection", "channel"):
        raise ValueError("discriminator.condition of fairness_gan: projection, or channel (report A's concatenation)")
