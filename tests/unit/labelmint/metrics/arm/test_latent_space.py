"""Arcs between latents, and sums of concepts where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from labelmint.gans.settings import Family
from labelmint.metrics.arm import latent_space

NAMES = ["Male", "Smiling"]


class TestArc:
    def test_of_a_right_angle(self):
        first, second = torch.tensor([1.0, 0]), torch.tensor([0, 1.0])
        third = latent_space.slerp(first, second, torch.tensor([1 / 3]))[0]
        assert third.tolist() == pytest.approx([math.cos(math.pi / 6), math.sin(math.pi / 6)], abs=1e-6)

    def test_ends_at_the_latents_and_lengths_change_evenly(self):
        first, second = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
        second *= 3
        path = latent_space.slerp(first, second, torch.linspace(0, 1, 5))
        assert torch.allclose(path[0], first, atol=1e-5)
        assert torch.allclose(path[-1], second, atol=1e-5)
        lengths = path.norm(dim=1)
        assert torch.allclose(lengths.diff(), (second.norm() - first.norm()).expand(4) / 4, atol=1e-4)

    def test_of_collinear_latents_is_a_line(self):
        path = latent_space.slerp(torch.tensor([1.0, 1]), torch.tensor([2.0, 2]), torch.tensor([0.5]))
        assert path.tolist() == [[1.5, 1.5]]

    def test_uniform_latents_stay_in_their_cube(self):
        family = Family(latent_distribution="uniform")
        path = latent_space.between(torch.ones(3), torch.tensor([1.0, -1, 1]), 5, family)
        assert path.abs().max() <= 1
        assert path[2].tolist() == [1, 0, 1]


class TestArithmetic:
    """A generator that shows two numbers of a latent as grey levels, and a classifier that reads them."""

    latents = torch.randn(1000, 16, generator=torch.Generator().manual_seed(0))

    @staticmethod
    def decode(latents: torch.Tensor) -> np.ndarray:
        grey = (latents[:, :2] * 40 + 128).round().clamp(0, 255).to(torch.uint8)
        return grey.view(-1, 2, 1, 1).numpy()

    @staticmethod
    def classify(images: np.ndarray) -> np.ndarray:
        logits: np.ndarray = (images.reshape(-1, 2).astype(float) - 128) / 40 - 0.5
        return logits

    def test_a_linear_generator_adds_up(self):
        (found,), absent = latent_space.arithmetic(self.decode, self.classify, self.latents, NAMES, 0)
        fraction = 1 - 0.5 * (1 + math.erf(0.5 / math.sqrt(2)))  # each attribute is present in P(z > 0.5)
        assert found.base == pytest.approx(fraction**2, abs=0.03)
        assert found.reached > 0.95
        assert found.sums == 200
        assert absent == []
        assert found.described["terms"] == [
            "Smiling, not Male",
            "neither",
            "Male, not Smiling",
            "Male and Smiling",
        ]
        assert found.images.shape == (4, 4, 2, 1, 1)
        assert (self.classify(found.images[3]) > 0).all()
        assert (self.classify(found.images[0]) > 0).tolist() == [[False, True]] * 4

    def test_the_last_row_is_the_equation_of_mean_latents(self):
        """Grey levels of a linear generator add up but for rounding; short latents are not clipped."""
        (found,), _ = latent_space.arithmetic(self.decode, self.classify, self.latents / 2, NAMES, 0)
        grey = found.images.reshape(4, 4, 2).astype(float)  # term, row, number of the latent
        assert np.abs(grey[:3, 3] - grey[:3, :3].mean(1)).max() <= 1
        assert np.abs(grey[3, 3] - (grey[0, 3] - grey[1, 3] + grey[2, 3])).max() <= 2
        noise = np.abs(grey[3, :3] - grey[3, 3])
        assert 0 < noise.max() <= 0.25 * 40 + 1  # the noise is at most 0.25, and a level is 1/40

    def test_latents_without_meaning_reach_no_more_than_chance(self):
        """The image depends on a latent through a hash only."""

        def scrambled(latents: torch.Tensor) -> np.ndarray:
            return self.decode(torch.sin(1e4 * latents))

        (found,), _ = latent_space.arithmetic(scrambled, self.classify, self.latents, NAMES, 0)
        assert found.reached == pytest.approx(found.base, abs=0.1)

    def test_a_concept_that_no_image_shows_is_the_reason(self):
        found, (reason,) = latent_space.arithmetic(
            self.decode, lambda images: np.ones((len(images), 2)), self.latents[:90], NAMES, 0
        )
        assert found == []
        assert reason.startswith("Male, Smiling: fewer than 3 of 90")
