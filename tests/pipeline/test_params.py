"""The schema: what it refuses, and how it says so."""

from __future__ import annotations

import copy

import pytest

from labelmint.runtime.errors import InputError
from pipeline.settings import schema as settings
from tests.conftest import ROOT


@pytest.fixture
def content() -> dict:
    return copy.deepcopy(settings.read(ROOT / "experiments" / "default.yaml"))


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("training.epoch", 5, "unknown setting 'training.epoch'; did you mean 'epochs'?"),
        ("trainin", {}, "unknown setting 'trainin'; did you mean 'training'?"),
        (
            "families.dcgan.generator.filter",
            [1],
            "unknown setting 'families.dcgan.generator.filter'; did you mean 'filters'?",
        ),
        ("classifier.augmentation.rotate", 1, "did you mean 'rotation'?"),
        ("training.epochs", "5", "training.epochs: Input should be a valid integer, got '5'"),
        ("training.epochs", True, "training.epochs: Input should be a valid integer"),
        ("training.epochs", 0, "epochs must be 1 to 100000, got 0"),
        ("training.batch_size", 1, "batch_size must be 2 to"),
        ("percents", [0, 40], "percents: 0 is not a share"),
        ("percents", [101], "percents: 101 is not a share"),
        ("percents", [40.5], "percents.0: Input should be a valid integer"),
        ("percents", [], "must each name at least one"),
        ("percents", [40, 40], "names one twice"),
        ("seeds", [-1], "seeds: -1 is below 0"),
        ("generators", ["dcgann"], "'dcgann' is not in families; did you mean 'dcgan'?"),
        ("dataset.name", "mnst", "did you mean 'mnist'?"),
        ("dataset.image_size", 18, "cannot make 18 pixels"),
        ("dataset.channels", 2, "dataset.channels: Input should be 1 or 3, got 2"),
        ("families.dcgan.generator.kernels", [4], "kernels has 1 entries, strides has 2 entries"),
        ("families.dcgan.generator.kernels", [1, 4], "a kernel of 1 with stride 2"),
        ("families.dcgan.discriminator.head_dropout", 1.0, "head_dropout must be 0 to 0.95"),
        ("families.dcgan.label_smoothing", 0.9, "label_smoothing must be 0 to 0.5"),
        ("classifier.evaluations", 500, "checks must be 1 to steps (150), got 500"),
        ("classifier", 3, "classifier: Input should be an object"),
        ("compute.workers", "many", "compute.workers"),
    ],
)
def test_refuses_in_one_line(content, place, value, says):
    *path, last = place.split(".")
    target = content
    for part in path:
        target = target[part]
    target[last] = value
    with pytest.raises(InputError) as error:
        settings.check(content, "params.yaml")
    assert says in str(error.value) and str(error.value).startswith("params.yaml: ") and "\n" not in str(error.value)


def test_a_batch_larger_than_the_smallest_class_is_fine(content):
    content["training"]["batch_size"] = 4096
    assert settings.check(content, "params.yaml").training.batch_size == 4096


def test_says_what_is_missing(content):
    del content["training"], content["seeds"]
    with pytest.raises(InputError, match="params.yaml: missing seeds, training"):
        settings.check(content, "params.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [("a: [", "not YAML"), ("- 1\n", "expected settings"), ("", "expected settings"), (None, "is missing")],
)
def test_refuses_a_file_that_is_no_settings(tmp_path, text, says):
    if text is not None:
        (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError, match=says) as error:
        settings.load(tmp_path / "params.yaml")
    assert "\n" not in str(error.value)
