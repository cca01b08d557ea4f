"""From a folder of labelled images to more of them and a verdict, on real digits, in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import labelmint
from labelmint.api import expand as module
from tests.command import labelmint as command


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images each of zeros, ones and twos, a folder per class."""
    folder = tmp_path_factory.mktemp("digits")
    dataset = labelmint.load_dataset("digits", images_per_class=40)
    for index, (image, label) in enumerate(zip(dataset.images, dataset.labels)):
        if label < 3:
            (folder / f"digit {label}").mkdir(exist_ok=True)
            Image.fromarray(image[0]).save(folder / f"digit {label}" / f"{index}.png")
    return folder


@pytest.fixture
def slow_machine(monkeypatch):
    """A machine on which everything has its least size, and that a smaller one than usual."""
    monkeypatch.setattr(module, "_per_step", lambda seconds: 1e6)
    monkeypatch.setattr(module, "_GENERATOR_IMAGES", (200, 300))
    monkeypatch.setattr(module, "_CLASSIFIER_STEPS", (20, 30))


def test_images_numbers_and_verdict(digits, slow_machine):
    done = labelmint.expand(digits, per_class=7, minutes=1, workers=1, image_size=16, channels=1)
    assert done.images.shape == (21, 1, 16, 16)
    assert np.bincount(done.labels).tolist() == [7, 7, 7]
    assert (len(done.dataset.labels), len(done.dataset.test_labels)) == (96, 24)
    assert done.synthesizer.archive.trained_on["images"] == 96
    assert {each.description.steps for each in done.classifiers.values()} == {20}
    for name, classifier in done.classifiers.items():
        measured = classifier.evaluate(done.dataset.test_images, done.dataset.test_labels)
        assert done.accuracy[name][0] == measured["accuracy"]
    assert done.difference["mixed"][0] == pytest.approx(done.accuracy["mixed"][0] - done.accuracy["real"][0])
    assert "24 real test images" in done.verdict or "no better than chance" in done.verdict


def test_the_command_writes_all_and_its_classifier_labels_images(digits, slow_machine, tmp_path):
    size = ("--size", "16", "--per-class", "5", "--minutes", "1")
    done = command(tmp_path, "expand", digits, "--out", "more", *size, "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record == json.loads((tmp_path / "more" / "verdict.json").read_text())
    assert (record["n_real"], record["n_synthetic"], record["n_test"]) == (96, 15, 24)
    images = tmp_path / "more" / "images"
    assert {path.parent.name for path in images.rglob("*.png")} == {"digit 0", "digit 1", "digit 2"}
    assert len(list(images.rglob("*.png"))) == 15
    assert record["verdict"] in (images / "README.md").read_text()
    assert labelmint.load(tmp_path / "more" / "generator").classes == ["digit 0", "digit 1", "digit 2"]
    labelled = command(tmp_path, "predict", digits / "digit 1", "--classifier", "more/classifier")
    assert labelled.code == 0 and len(labelled.out.splitlines()) == 41

    again = command(tmp_path, "expand", digits, "--out", "more", *size)
    assert again.code == 2 and "exists already; name a new folder" in again.err


def test_a_dry_run_trains_nothing(digits, tmp_path):
    done = command(tmp_path, "expand", digits, "--out", "more", "--dry-run")
    assert done.out == "96 training images of 3 classes, 24 test images; nothing was trained\n"
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--minutes", "0.5"), "minutes must be at least 1, got 0.5"),
        (("--minutes", "nan"), "minutes must be at least 1"),
        (("--per-class", "0"), "per_class must be at least 1"),
        (("--family", "dcgna"), "no family 'dcgna'; did you mean 'dcgan'?"),
        (
            ("--family", "attribute_cgan"),
            "attribute_cgan generates no images of given classes; choose another family",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(digits, tmp_path, option, message):
    done = command(tmp_path, "expand", digits, "--out", "more", *option)
    assert done.code == 2
    assert message in done.err.splitlines()[-1]
    assert not (tmp_path / "more").exists()


def test_the_verdict_follows_the_interval():
    def verdict(low: float, high: float) -> str:
        value = (low + high) / 2
        accuracy = {"real": (0.9, 0.88, 0.92), "synthetic": (0.5, 0.4, 0.6), "mixed": (0.9 + value, 0.8, 1.0)}
        difference = {"mixed": (value, low, high), "synthetic": (-0.4, -0.5, -0.3)}
        empty = np.zeros((0, 1, 16, 16), np.uint8)
        labels = np.zeros(300, np.int64)
        dataset = labelmint.LabelledDataset(empty, labels, empty, labels, ["a", "b"])
        synthesizer = labelmint.Synthesizer()
        return module.Expansion(empty, labels, dataset, synthesizer, {}, accuracy, difference, []).verdict

    assert verdict(0.01, 0.03).startswith(
        "In this run, adding the synthetic images raised accuracy: 92.0 % of 300 real test images are "
        "classified correctly instead of 90.0 % (+2.0 points, 95 % interval +1.0 to +3.0)."
    )
    assert verdict(-0.03, -0.01).startswith(
        "In this run, adding the synthetic images lowered accuracy: 88.0 %"
    )
    assert verdict(-0.01, 0.02).startswith(
        "In this run, adding the synthetic images made no clear difference: 90.5 %"
    )


@pytest.mark.parametrize("step", [0.002, 0.25, 3.0])
def test_a_step_is_timed_without_the_start(step: float):
    """Ten seconds of start."""
    trained = []

    def seconds(steps: int) -> float:
        trained.append(steps)
        return 10 + step * steps

    assert module._per_step(seconds) == pytest.approx(step)
    assert step * sum(trained) < 30


def test_a_step_that_takes_no_time_ends_the_timing():
    assert module._per_step(lambda steps: 0.001) > 0
