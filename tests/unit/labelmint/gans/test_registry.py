"""The registry of families: its entries, the standard networks, and refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labelmint.gans import registry
from labelmint.gans.network_settings import DiscriminatorNetwork
from labelmint.gans.networks import Generator, MLPDiscriminator
from labelmint.gans.settings import Family
from labelmint.runtime.errors import InputError
from pipeline.settings import schema
from tests.conftest import ROOT
from tests.tiny_families import FAMILIES

DEFAULT = schema.load(ROOT / "experiments" / "default.yaml")


def test_every_family_of_the_default_has_an_entry():
    assert set(registry.NAMES) == set(DEFAULT.families)


@pytest.mark.parametrize("name", registry.NAMES)
def test_recommended_settings_are_those_of_the_default(name):
    entry = registry.load(name)
    assert entry.settings == DEFAULT.families[name]
    assert entry.title
    assert entry.source[-4:].isdigit()  # author and year


@pytest.mark.parametrize("name", registry.NAMES)
def test_recommended_settings_pass_the_check(name):
    settings = registry.load(name).settings
    registry.check(name, settings, [settings.protected, settings.outcome, "Young"])


def test_networks_are_the_standard_ones_unless_an_entry_has_its_own():
    entry = registry.load("dcgan")
    assert isinstance(entry.build_generator(FAMILIES["dcgan"], (1, 16, 16), 0), Generator)
    mlp = replace(FAMILIES["dcgan"], discriminator=DiscriminatorNetwork("mlp", units=[4]))
    assert isinstance(entry.build_discriminator(mlp, (1, 16, 16), 0), MLPDiscriminator)
    assert registry.load("fairness_gan").build_generator is not entry.build_generator


def test_unsupported_labels_are_refused_with_the_supported_ones():
    with pytest.raises(InputError, match=r"families.dcgan.labels: dcgan takes per_class or none, not condi"):
        registry.check("dcgan", FAMILIES["cgan"], ["a", "b"])


def test_an_acgan_needs_an_auxiliary_classifier():
    with pytest.raises(InputError, match=r"families.acgan: acgan needs discriminator.condition: auxiliary"):
        registry.check("acgan", FAMILIES["cgan"], ["a", "b"])


def test_a_paired_objective_needs_both_batches_at_once():
    with pytest.raises(InputError, match=r"families.r3gan: .*needs update: alternating or simultaneous"):
        registry.check("r3gan", Family(), ["a", "b"])
