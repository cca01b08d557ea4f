"""Settings of every family in miniature. No test framework is needed to import them."""

from __future__ import annotations

from dataclasses import replace

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.settings import Family, Optimizer

SHAPE = (1, 16, 16)
LABELS = 3
_G, _D = GeneratorNetwork(dense_filters=4, filters=[4]), DiscriminatorNetwork(filters=[4, 8])
_D_WITHOUT_NORM = replace(_D, batch_norm=False)
_RMSPROP = Optimizer("rmsprop", 5e-4, beta2=0.99)

FAMILIES = {
    "dcgan": Family(latent_size=6, generator=_G, discriminator=_D),
    "vanilla": Family(
        latent_size=6,
        generator=GeneratorNetwork("mlp", units=[8]),
        discriminator=DiscriminatorNetwork("mlp", units=[8]),
    ),
    "cgan": Family(
        "conditional",
        6,
        generator=replace(_G, condition="concat"),
        discriminator=replace(_D, condition="channel"),
    ),
    "acgan": Family(
        "conditional",
        6,
        generator=replace(_G, condition="concat"),
        discriminator=replace(_D, condition="auxiliary"),
    ),
    "projection_cgan": Family(
        "conditional",
        6,
        generator=replace(_G, condition="batch_norm"),
        discriminator=replace(_D_WITHOUT_NORM, spectral_norm=True, condition="projection"),
        initialization="glorot_uniform",
        update="alternating",
    ),
    "attribute_cgan": Family(
        "multi_hot",
        6,
        generator=replace(_G, condition="branch", embedding=2),
        discriminator=replace(_D, condition="channel"),
    ),
    "fairness_gan": Family(
        "multi_hot",
        6,
        generator=GeneratorNetwork(
            "resnet", units=[5], dense_filters=4, filters=[4, 4], condition="batch_norm"
        ),
        discriminator=DiscriminatorNetwork(
            "resnet", filters=[4, 4], batch_norm=False, spectral_norm=True, condition="projection"
        ),
        initialization="glorot_uniform",
        update="alternating",
        fairness="demographic_parity",
        protected="Male",
        outcome="Smiling",
    ),
    "wgan": Family(
        latent_size=6,
        generator=_G,
        discriminator=_D,
        update="alternating",
        n_critic=2,
        clip=0.01,
        generator_optimizer=_RMSPROP,
        discriminator_optimizer=_RMSPROP,
    ),
    "wgan_gp": Family(
        latent_size=6,
        generator=_G,
        discriminator=_D_WITHOUT_NORM,
        update="alternating",
        n_critic=2,
        gradient_penalty=10.0,
    ),
    "r3gan": Family(
        latent_size=6,
        generator=replace(_G, batch_norm=False),
        discriminator=_D_WITHOUT_NORM,
        update="alternating",
        r1=0.1,
        r2=0.1,
    ),
}
"""Labels, where there are any, have length LABELS: classes or attributes."""
