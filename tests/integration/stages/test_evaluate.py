"""The stage evaluate, on a tiny arm of real digits."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from labelmint.data.storage.tensors import load_set, save_set
from labelmint.gans import archive
from labelmint.metrics.arm.discriminator_features import extractors
from labelmint.metrics.intervals import wilson
from labelmint.metrics.settings import Representation
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.errors import InputError
from stages.paths import Arm, Paths
from tests.conftest import CPU
from tests.integration.stages.workspaces import linked, page, rows, run

ARM = Arm("dcgan", 100, 0)
REPRESENTATION = Representation(measured=True, labels_per_class=[5, 12], draws=2, c=[0.3, 3.0], iterations=50)
MIRRORED = (0, 8)
"""Digits that training may mirror in TestPlantedCopies."""


class TestContent:
    def test_every_source_has_a_row(self, workspace):
        content = load_json(workspace.metrics(ARM))
        assert [row["source"] for row in content["rows"]] == ["real", "synthetic", "mixed"]
        for row in content["rows"]:
            assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
            assert sum(map(sum, row["confusion"])) == 120
        real, synthetic, _ = content["rows"]
        # Real images are nearer to real images than what two epochs of training generate.
        assert real["frechet_classifier"] < synthetic["frechet_classifier"]
        assert real["coverage"] > synthetic["coverage"]
        assert "sha256" in content["protocol"]["features"]
        assert "120 real test images" in content["protocol"]["accuracy"]
        json.dumps(content, allow_nan=False)

    def test_every_number_has_its_protocol(self, workspace):
        """Bounds and deviations have that of their number."""
        found = rows(workspace, ARM)
        counts = ("_per_class", "_copies", "_infinity", "_intra_class")
        for source, least in (("real", 10), ("synthetic", 20), ("mixed", 3)):
            row = found[source]
            numbers = {
                name for name, value in row.items() if isinstance(value, float) or name.endswith(counts)
            }
            numbers = {re.sub("_(low|high|deviation)$", "", name) for name in numbers}
            assert len(numbers) >= least
            for name in numbers:
                how = row["measured"][name]
                assert how["split"], name
                assert how["resize"], name
                assert how["network"].startswith(("sha256 ", "none: ")), name
                assert how["precision"] == "fp32", name
                n = how["n"] if isinstance(how["n"], list) else [how["n"]]
                assert all(isinstance(count, int) for count in n), name
                assert sum(n) > 0 or row[name] is None, name
        real, synthetic = found["real"]["measured"], found["synthetic"]["measured"]
        held_out = 30  # of 120
        assert real["frechet_classifier"]["n"] == synthetic["frechet_classifier"]["n"] == held_out
        assert synthetic["exact_copies"]["n"] == 150
        assert (synthetic["memorised"]["n"], synthetic["memorised"]["n_training"]) == (150, 120)
        assert synthetic["memorised_pixels"]["network"] == "none: pixels"
        assert synthetic["diversity_per_class"]["n"] == [3] * 10  # as many as held out, too few to measure

    def test_gan_test_has_an_interval(self, workspace):
        found = load_json(workspace.metrics(ARM))["gan_test"]
        assert found["measured"]["accuracy"]["n"] == 150
        assert found["measured"]["recalls"]["n"] == [15] * 10
        assert found["measured"]["accuracy"]["network"].startswith("sha256 ")
        assert found["measured"]["accuracy"]["precision"] == "fp32"
        interval = found["accuracy_low"], found["accuracy_high"]
        assert interval == pytest.approx(wilson(150 * found["accuracy"], 150))

    def test_what_is_absent_has_its_reason_on_the_page(self, workspace):
        absent = load_json(workspace.metrics(ARM))["absent"]
        assert "no weights were requested" in absent["fid, kid_inception, inception_score"]
        assert "not measured: metrics.inception is none" in page(workspace)


class TestSplit:
    """Settings are chosen on images that are not the test set: metrics.split."""

    @pytest.fixture
    def on_validation(self, params):
        return replace(params, percents=[100], metrics=replace(params.metrics, split="validation"))

    def test_is_refused_without_validation_images(self, on_validation, workspace):
        before = workspace.metrics(ARM).read_bytes()
        expected = "metrics.split: validation, but there are no such images; set dataset.validation_percent"
        with pytest.raises(InputError, match=expected):
            run("evaluate", on_validation, ARM, workspace)
        assert workspace.metrics(ARM).read_bytes() == before

    def test_all_numbers_are_for_the_validation_images(self, on_validation, workspace, tmp_path):
        paths = linked(workspace, tmp_path, "tensors")
        paths.tensors.mkdir()
        for path in workspace.tensors.iterdir():
            if path.name not in ("test", "validation"):  # the test set is not there to be opened
                (paths.tensors / path.name).symlink_to(path)
        images, labels = load_set(workspace.test_tensors)
        save_set(paths.validation_tensors, np.array(images[:70]), labels[:70])
        run("evaluate", on_validation, ARM, paths)
        content = load_json(paths.metrics(ARM))
        assert (content["split"], content["n_test"]) == ("validation", 70)
        for row in content["rows"]:
            assert row["split"] == "validation"
            assert sum(map(sum, row["confusion"])) == 70
            accuracy = row["measured"]["accuracy"]
            assert (accuracy["split"], accuracy["n"]) == ("validation", 70)
            measured = json.dumps(row["measured"])
            assert '"reference": "validation"' in measured
            assert '"test"' not in measured
        run("report", on_validation, None, paths)
        assert "Evaluated on the validation images (70), not on the test set" in page(paths)
        assert "70 real test images" in page(paths)
        assert "Evaluated on the" not in page(workspace)


@pytest.fixture(scope="module")
def planted(params, workspace, tmp_path_factory) -> tuple[Paths, np.ndarray, np.ndarray]:
    """The workspace, evaluated and reported; the synthetic images; the indices of the copies.

    One three is a mirrored copy too, which training never shows; one zero differs from its copy by one level.
    """
    paths = linked(workspace, tmp_path_factory.mktemp("planted"), "tensors", "synthetic")
    paths.tensors.mkdir()
    for path in workspace.tensors.iterdir():
        if path.suffix == ".json" and "mirror" in (facts := load_json(path)):
            facts["mirror"] = [digit in MIRRORED for digit in range(10)]
            save_json(paths.tensors / path.name, facts)
        else:
            (paths.tensors / path.name).symlink_to(path)
    images, labels = map(np.array, load_set(workspace.synthetic(ARM)))
    training, classes = load_set(workspace.tensors)
    copies = np.flatnonzero(np.arange(len(images)) % 3 < 2)
    for index in copies:
        own = np.flatnonzero(classes == labels[index])
        images[index] = training[own[index % len(own)]]
    mirrored = copies[np.isin(labels[copies], MIRRORED) & (copies % 3 == 1)]
    images[mirrored] = images[mirrored][..., ::-1]
    images[2] = training[np.flatnonzero(classes == 0)[0]] ^ 1
    three = np.flatnonzero(labels == 3)
    images[three[three % 3 == 2][0]] = training[np.flatnonzero(classes == 3)[0]][..., ::-1]
    save_set(paths.synthetic(ARM), images, labels)
    manifest = workspace.synthetic(ARM) / "manifest.json"
    (paths.synthetic(ARM) / "manifest.json").write_bytes(manifest.read_bytes())
    params = replace(params, percents=[100])
    run("evaluate", params, ARM, paths)
    run("report", params, None, paths)
    return paths, images, copies


class TestPlantedCopies:
    """Two in three synthetic images are training images; half of their zeros and eights are mirrored."""

    def test_move_every_measure(self, workspace, planted):
        """The ceiling of AuthPct is the third that is no copy; with two thirds of copies C_T is about -5."""
        paths, images, copies = planted
        before, found = rows(workspace, ARM)["synthetic"], rows(paths, ARM)["synthetic"]
        fraction = len(copies) / len(images)
        assert fraction == 2 / 3
        assert (before["exact_copies"], found["exact_copies"]) == (0, len(copies))
        for name in ("memorised", "memorised_pixels"):
            assert before[name] < 0.5 < fraction <= found[name], name
        assert found["authentic"] <= 1 - fraction < before["authentic"]
        assert found["copying"] < -3 < before["copying"]

    def test_the_nearest_image_is_the_original_or_its_mirror_image(self, workspace, planted):
        paths, images, copies = planted
        training, classes = load_set(workspace.tensors)
        closest = load_json(paths.metrics(ARM))["nearest"]["pixels"]["closest"]
        for synthetic, real, distance, mirrored in closest:
            shown = training[real][..., ::-1] if mirrored else training[real]
            assert distance < 0.05
            assert synthetic in copies
            assert np.array_equal(images[synthetic], shown)
            assert not mirrored or classes[real] in MIRRORED
        assert {mirrored for *_, mirrored in closest} == {0, 1}

    def test_are_on_the_page(self, planted):
        """In the table, and as pairs of equal images."""
        paths, _, copies = planted
        content = page(paths)
        assert re.search(rf'class="name">dcgan-100-0</th><td>{len(copies)}</td><td>\d', content)
        assert "or the mirror image of one that training may flip" in content
        alt = "Synthetic images and their nearest real training images, closest pairs, in pixels"
        found = re.search(rf'<img src="data:image/png;base64,([^"]+)"[^>]*alt="{alt}"', content)
        assert found
        sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))
        assert sheet.shape[0] == 2 * 16 + 1
        assert np.array_equal(sheet[:16], sheet[17:])
        assert sheet.std() > 20


class TestRepresentation:
    def test_discriminators_are_kept_as_trained(self, workspace):
        """Not with their first weights, and with batch normalisation's statistics of real images."""
        (images, _), folder = load_set(workspace.tensors), workspace.generator(ARM)
        assert len(archive.load_discriminators(folder)) == 10
        made = extractors(folder, np.asarray(images), Representation(), CPU, 0)
        trained, untrained = (made[name].networks[3] for name in ("discriminator", "untrained discriminator"))
        name, weights = next(item for item in trained.named_parameters() if item[0].endswith("weight"))
        assert not torch.equal(weights, dict(untrained.named_parameters())[name])
        means = [norm.running_mean for norm in trained.modules() if isinstance(norm, torch.nn.BatchNorm2d)]
        assert means
        assert all(mean is not None and mean.any() for mean in means)

    def test_features_of_all_classes_are_concatenated(self, params, workspace, tmp_path):
        paths = linked(workspace, tmp_path)
        own = replace(REPRESENTATION, pool_size=1)
        run("evaluate", replace(params, metrics=replace(params.metrics, representation=own)), ARM, paths)
        check_representation(paths, 96 * 10)


def check_representation(paths: Paths, size: int) -> None:
    """Check the results of REPRESENTATION with `size` features, for 12 training images per class."""
    content = load_json(paths.metrics(ARM))["representation"]
    left_out = "12 labels per class left out: the smallest class has 12 training images"
    assert content["left_out"] == [f"{left_out}, and C is chosen on others of them"]
    sizes = {"discriminator": size, "untrained discriminator": size, "pixels": 256}
    found = [(row["features"], row["size"], row["labels_per_class"]) for row in content["rows"]]
    assert found == [(name, size, count) for name, size in sizes.items() for count in (None, 5)]
    for row in content["rows"]:
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert set(row["C"]) <= {0.3, 3.0}
        few = row["labels_per_class"] is not None
        assert row["accuracy"] > (0.5 if few else 0.75)
        assert (row["n_labels"], row["n_validation"]) == ((50, 70) if few else (120, 10))
        assert row["fits"] == (6 if few else 3)
        assert row["fits"] >= row["unconverged"]
    assert not list(paths.checkpoints.glob("tmp*"))  # temporary features are deleted
