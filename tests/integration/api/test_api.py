"""The public API as the README shows it, on scikit-learn's digits."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import labelmint
from labelmint.data.reading.reading import UnclearError
from labelmint.data.storage.splits import hold_out
from labelmint.runtime.errors import InputError
from tests.image_trees import encoded, good_tree, in_folder

SMALL: dict[str, Any] = {"epochs": 1, "images_per_epoch": 32, "batch_size": 16, "preview_images": 2}
RECIPE: dict[str, Any] = {"network": "small_cnn", "steps": 30, "batch_size": 32, "evaluations": 2}


@pytest.fixture(scope="module")
def dataset():
    return labelmint.load_dataset("digits", images_per_class=15)


@pytest.fixture(scope="module")
def synthesizer(dataset):
    return labelmint.Synthesizer("cgan", workers=1, **SMALL).fit(dataset)


class TestDataset:
    def test_of_a_published_name(self, dataset):
        assert dataset.images.dtype == np.uint8 and dataset.images.shape == (150, 1, 16, 16)
        assert dataset.classes == [str(digit) for digit in range(10)]
        assert np.bincount(dataset.labels).tolist() == [15] * 10 and len(dataset.test_images) == 150

    def test_of_a_folder(self, tmp_path, dataset):
        from PIL import Image

        for index, (image, label) in enumerate(zip(dataset.images, dataset.labels, strict=True)):
            folder = tmp_path / "My photos" / f"class {label % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).save(folder / f"{index}.png")
        own = labelmint.load_dataset(tmp_path / "My photos", image_size=16, channels=1, test_percent=20)
        assert own.classes == ["class 0", "class 1"]
        assert len(own.images) + len(own.test_images) == 150
        known = {image.tobytes() for image in dataset.images}
        assert all(image.tobytes() in known for image in own.images)

    def test_of_folders_that_can_be_read_in_several_ways(self, tmp_path):
        root = in_folder(tmp_path / "photos", good_tree() | {"cat/young/1.png": encoded(77)})
        with pytest.raises(UnclearError, match="is cat/young/1.png of class cat or young") as error:
            labelmint.load_dataset(root)
        settings = error.value.proposals[0].choice.settings
        own = labelmint.load_dataset(root, **settings)
        assert (own.classes, settings["layout"]) == (["cat", "dog"], "classes")
        assert len(own.images) + len(own.test_images) == 13

    def test_refuses_what_does_not_exist_and_unknown_settings(self, tmp_path):
        with pytest.raises(InputError, match="nowhere does not exist; give a folder or archive"):
            labelmint.load_dataset(tmp_path / "nowhere")
        with pytest.raises(InputError, match="unknown setting 'image_sise'; did you mean 'image_size'"):
            labelmint.load_dataset("digits", image_sise=16)
        with pytest.raises(InputError, match="image_size must be 4 to 1024"):
            labelmint.load_dataset("digits", image_size=1)


class TestSynthesizer:
    def test_samples_as_many_of_each_class_and_the_same_for_one_seed(self, synthesizer):
        images, labels = synthesizer.sample(per_class=4)
        assert images.dtype == np.uint8 and images.shape == (40, 1, 16, 16)
        assert np.bincount(labels).tolist() == [4] * 10
        again, _ = synthesizer.sample(per_class=4)
        other, _ = synthesizer.sample(per_class=4, seed=1)
        assert np.array_equal(images, again) and not np.array_equal(images, other)

    def test_saved_and_loaded_it_gives_the_same_images(self, synthesizer, tmp_path):
        synthesizer.save(tmp_path / "generator")
        loaded = labelmint.load(tmp_path / "generator")
        assert loaded.family == "cgan" and loaded.classes == synthesizer.classes
        assert np.array_equal(loaded.sample(per_class=2)[0], synthesizer.sample(per_class=2)[0])

    def test_fits_arrays_with_nested_settings(self, dataset):
        few = dataset.labels < 2
        own = labelmint.Synthesizer(
            "dcgan", workers=1, latent_size=8, generator={"filters": [8], "dense_filters": 8}, **SMALL
        )
        own.fit(images=dataset.images[few], labels=dataset.labels[few])
        assert own.family_settings.generator.filters == [8] and own.family_settings.latent_size == 8
        assert own.classes == ["0", "1"] and own.sample(per_class=3)[0].shape == (6, 1, 16, 16)

    @pytest.mark.parametrize(
        ("arguments", "settings", "message"),
        [
            (["dcgn"], {}, "no family 'dcgn'; did you mean 'dcgan'"),
            (["dcgan"], {"epoch": 3}, "unknown setting 'epoch'; did you mean 'epochs'"),
            (["dcgan"], {"generator": {"filter": [3]}}, "unknown setting 'generator.filter'; did you mean"),
            (["dcgan"], {"epochs": 0}, "epochs must be 1 to 100000, got 0"),
            (["dcgan"], {"device": "tpu"}, "device"),
        ],
    )
    def test_refuses_in_words(self, arguments, settings, message):
        with pytest.raises(InputError, match=message):
            labelmint.Synthesizer(*arguments, **settings)

    def test_refuses_arrays_that_do_not_fit(self, dataset):
        with pytest.raises(InputError, match=r"images: expected uint8 \(N, C, S, S\), got float64"):
            labelmint.Synthesizer().fit(images=dataset.images / 255, labels=dataset.labels)
        with pytest.raises(InputError, match="labels: expected one per image"):
            labelmint.Synthesizer().fit(images=dataset.images, labels=dataset.labels[:3])
        with pytest.raises(InputError, match="not trained yet; call fit first"):
            labelmint.Synthesizer().sample()


class TestQuality:
    def test_a_classifier_learns_and_reports_its_interval(self, dataset):
        classifier = labelmint.train_classifier(dataset, **{**RECIPE, "steps": 120})
        found = classifier.evaluate(dataset.test_images, dataset.test_labels)
        assert found["accuracy"] > 0.6 and found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
        probabilities = classifier.predict_proba(dataset.test_images[:5])
        assert probabilities.shape == (5, 10) and np.allclose(probabilities.sum(1), 1, atol=1e-5)
        assert np.array_equal(probabilities.argmax(1), classifier.predict(dataset.test_images[:5]))

    def test_the_report_tells_copies_of_the_real_images_from_noise(self, dataset):
        noise = np.random.default_rng(0).integers(0, 256, dataset.images.shape, dtype=np.uint8)
        options: dict[str, Any] = {
            "classifier": RECIPE,
            "features": {"steps": 40, "features": 8},
            "metrics": {"points": 100, "neighbours": 3},
        }
        copies = labelmint.quality_report(dataset.train, dataset.train, dataset.test, **options)
        worst = labelmint.quality_report(dataset.train, (noise, dataset.labels), dataset.test, **options)
        good, bad = copies.synthetic, worst.synthetic
        assert good["accuracy"] == copies.real["accuracy"] and copies["difference"] == 0
        assert good["exact_copies"] == 150 and bad["exact_copies"] == 0
        assert copies.real["frechet_classifier"] == worst.real["frechet_classifier"]
        _, unseen = hold_out(dataset.labels, 25, 0, "feature network holdout")
        held_out = dataset.images[unseen], dataset.labels[unseen]
        ceiling = labelmint.quality_report(dataset.train, held_out, dataset.test, **options)
        assert ceiling["frechet_classifier"] == pytest.approx(copies.real["frechet_classifier"])
        assert (bad["frechet_classifier"] or 0) > 2 * (good["frechet_classifier"] or 0)
        low, high = worst.intervals["synthetic"]["accuracy"]
        accuracy = bad["accuracy"] or 0
        assert low <= accuracy <= high and accuracy < (good["accuracy"] or 0)
        assert "accuracy" in str(copies) and "not measured: " in str(copies), "Inception's weights are absent"

    def test_refuses_other_shapes(self, dataset):
        small = (dataset.images[:, :, :8, :8], dataset.labels)
        with pytest.raises(InputError, match=r"synthetic: expected images of shape \(1, 16, 16\)"):
            labelmint.quality_report(dataset.train, small, dataset.test)


def test_importing_the_package_imports_nothing_heavy():
    """Less than 0.2 s: of all modules that could take longer none is imported."""
    heavy = ("torch", "numpy", "pydantic", "scipy")
    code = f"import sys, labelmint; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert set(labelmint.__all__) <= set(dir(labelmint)) and "metrics" in dir(labelmint)
