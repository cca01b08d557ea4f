"""Arcs between latents, and sums of concepts where the answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from labelmint.classifiers import archive as classifiers
from labelmint.classifiers import fit
from labelmint.data.storage.tensors import load_set
from labelmint.data.storage.weights import load_weights, save_weights
from labelmint.gans import archive
from labelmint.gans.settings import Family
from labelmint.metrics import latent_space
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm
from tests.conftest import CPU
from tests.stages.test_labels import all_stages


class TestArc:
    def test_of_a_right_angle(self):
        first, second = torch.tensor([1.0, 0]), torch.tensor([0, 1.0])
        third = latent_space.slerp(first, second, torch.tensor([1 / 3]))[0]
        assert third.tolist() == pytest.approx([math.cos(math.pi / 6), math.sin(math.pi / 6)], abs=1e-6)

    def test_begins_and_ends_at_the_latents_and_lengths_change_evenly(self):
        first, second = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
        second *= 3
        path = latent_space.slerp(first, second, torch.linspace(0, 1, 5))
        assert torch.allclose(path[0], first, atol=1e-5) and torch.allclose(path[-1], second, atol=1e-5)
        lengths = path.norm(dim=1)
        assert torch.allclose(lengths.diff(), (second.norm() - first.norm()).expand(4) / 4, atol=1e-4)

    def test_latents_on_one_line_are_joined_by_it(self):
        path = latent_space.slerp(torch.tensor([1.0, 1]), torch.tensor([2.0, 2]), torch.tensor([0.5]))
        assert path.tolist() == [[1.5, 1.5]]

    def test_uniform_latents_stay_in_their_cube(self):
        corner = torch.ones(3)
        path = latent_space.between(corner, torch.tensor([1.0, -1, 1]), 5, Family(latent_distribution="uniform"))
        assert path.abs().max() <= 1 and path[2].tolist() == [1, 0, 1]


class TestArithmetic:
    """A generator that shows the first two numbers of a latent as grey, and a classifier that reads them."""

    @staticmethod
    def decode(latents: torch.Tensor) -> np.ndarray:
        grey = (latents[:, :2] * 40 + 128).round().clamp(0, 255).to(torch.uint8)
        return grey.view(-1, 2, 1, 1).numpy()

    @staticmethod
    def tell(images: np.ndarray) -> np.ndarray:
        return (images.reshape(-1, 2).astype(float) - 128) / 40 - 0.5

    latents = torch.randn(2000, 16, generator=torch.Generator().manual_seed(0))

    def test_a_linear_generator_adds_up(self):
        (made,), absent = latent_space.arithmetic(self.decode, self.tell, self.latents, ["Male", "Smiling"], 0)
        share = 1 - 0.5 * (1 + math.erf(0.5 / math.sqrt(2)))  # each attribute is on in P(z > 0.5)
        assert made.base == pytest.approx(share**2, abs=0.03)
        assert made.reached > 0.95 and made.sums == 200 and absent == []
        assert made.described["terms"] == ["Smiling, not Male", "neither", "Male, not Smiling", "Male and Smiling"]
        assert made.images.shape == (4, 4, 2, 1, 1)
        told = [(self.tell(images) > 0).all(0).tolist() for images in made.images]
        assert told[3] == [True, True] and (self.tell(made.images[0]) > 0).tolist() == [[False, True]] * 4

    def test_below_each_concept_is_its_mean_latent_and_the_last_row_is_the_equation(self):
        """Grey levels of a linear generator add up, but for rounding; of latents so short that none is cut off at white."""
        (made,), _ = latent_space.arithmetic(self.decode, self.tell, self.latents / 2, ["Male", "Smiling"], 0)
        grey = made.images.reshape(4, 4, 2).astype(float)  # term, row, number of the latent
        assert np.abs(grey[:3, 3] - grey[:3, :3].mean(1)).max() <= 1
        assert np.abs(grey[3, 3] - (grey[0, 3] - grey[1, 3] + grey[2, 3])).max() <= 2
        around = np.abs(grey[3, :3] - grey[3, 3])
        assert 0 < around.max() <= 0.25 * 40 + 1  # the noise is at most 0.25, a level 40

    def test_latents_that_mean_nothing_do_not(self):
        """The picture depends on the latent by a hash only: sums reach no more than chance."""

        def scrambled(latents: torch.Tensor) -> np.ndarray:
            return self.decode(torch.sin(1e4 * latents))

        (made,), _ = latent_space.arithmetic(scrambled, self.tell, self.latents, ["Male", "Smiling"], 0)
        assert made.reached == pytest.approx(made.base, abs=0.1)

    def test_a_concept_that_is_not_there_is_said_to_be(self):
        made, (reason,) = latent_space.arithmetic(self.decode, lambda images: np.ones((len(images), 2)), self.latents[:90], ["Male", "Smiling"], 0)  # fmt: skip
        assert made == [] and reason.startswith("Male, Smiling: fewer than 3 of 90")


def test_a_conditional_generator_shows_the_same_latent_under_each_label(params, workspace, tmp_path):
    asked = replace(params, generators=["cgan"], percents=[100])
    layout = all_stages(asked, tmp_path)
    arm = Arm("cgan", 100, 0)
    told = load_json(layout.metrics(arm))["latent_space"]
    assert told["rows"]["labels"] == [str(digit) for digit in range(10)] == told["rows"]["interpolation"]
    assert Image.open(layout.latent_space(arm) / "labels.png").size == (10 * 3 * 17 - 3, 10 * 3 * 17 - 3)
    sheet, _ = latent_space.grid_of_labels(archive.load(layout.generator(arm)), 0)
    assert sheet.shape == (10, 10, 1, 16, 16) and not np.array_equal(sheet[0], sheet[1])
    page = (layout.reports / "index.html").read_text()
    assert "The same latent down each column" in page and "No sums of concepts" not in page


def biased(folder: Path, shift: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> None:
    """Add to the logits of the stored real-trained classifier what `shift` makes of those that it gives to `images`."""
    told = fit.predict(classifiers.network(folder, "real"), images, CPU)
    weights = load_weights(folder / "real.safetensors", classifiers.load(folder)["real"]["weights_sha256"])
    weights["head.bias"] = weights["head.bias"] + shift(told).astype(np.float32)
    facts = classifiers.load(folder)
    facts["real"]["weights_sha256"] = save_weights(folder / "real.safetensors", weights)
    save_json(folder / "classifiers.json", facts)


def test_sums_of_concepts_through_the_stages(params, tmp_path):
    """So little training decides nothing by itself: a classifier that finds each attribute in half of the minted images is planted,
    then one that finds both in all."""
    data = replace(params.dataset, name="faces", attributes=["Male", "Smiling"], image_size=16, channels=3, images_per_class=150)  # fmt: skip
    families = params.families | {"dcgan": replace(params.families["dcgan"], labels="none")}
    asked = replace(params, dataset=data, families=families, percents=[100])
    layout, arm = all_stages(asked, tmp_path), Arm("dcgan", 100, 0)
    images = np.asarray(load_set(layout.synthetic(arm))[0])

    def again(shift: Callable[[np.ndarray], np.ndarray]) -> tuple[dict, str]:
        biased(layout.baseline(arm), shift, images)
        for name, of in (("evaluate", arm), ("report", None)):
            module = entry(name)
            module.run(select(module.Params, asked, of), layout, NullTracker())
        return load_json(layout.metrics(arm))["latent_space"], (layout.reports / "index.html").read_text()

    told, page = again(lambda logits: -np.median(logits, 0))
    (made,) = told["arithmetic"]
    assert told["absent"] == [] and made["sums"] % 20 == 0 and 0 < made["base"] < 1
    assert made["terms"] == ["Smiling, not Male", "neither", "Male, not Smiling", "Male and Smiling"]
    factor = 3  # of so small images on a sheet
    assert Image.open(layout.latent_space(arm) / "arithmetic-0.png").size == (4 * factor * 17 - factor,) * 2
    assert f"{100 * made['reached']:.2f} % of {made['sums']} sums are what they should be" in page
    assert "Columns: Smiling, not Male; minus neither;" in page and "No sums of concepts" not in page

    told, page = again(lambda logits: 1 - logits.min(0))
    assert told["arithmetic"] == [] and len(told["absent"]) == 1
    assert "No sums of concepts: Male, Smiling: fewer than 3 of 2000 minted images" in page
    assert "bear no labels" in page
