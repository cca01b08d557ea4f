"""What the schema of params.yaml refuses, and how it says so."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import flat
from pipeline.settings import schema
from tests.conftest import ROOT

CONTENT = schema.read(ROOT / "experiments" / "default.yaml")


@pytest.fixture
def content() -> dict[str, Any]:
    """Settings of the default experiment, to change."""
    return copy.deepcopy(CONTENT)


def put(content: dict[str, Any], name: str, value: object) -> None:
    *groups, last = name.split(".")
    for group in groups:
        content = content[group]
    content[last] = value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("training.epoch", 5, "unknown setting 'training.epoch'; did you mean 'epochs'?"),
        ("trainin", {}, "unknown setting 'trainin'; did you mean 'training'?"),
        (
            "families.dcgan.generator.filter",
            [1],
            "unknown setting 'families.dcgan.generator.filter'; did you mean 'filters'?",
        ),
        ("classifier.augmentation.rotate", 1, "did you mean 'rotation'?"),
        ("training.epochs", "5", "training.epochs must be an integer from 1 to 100000, got '5'"),
        ("training.epochs", True, "training.epochs must be an integer from 1 to 100000, got True"),
        ("training.epochs", 0, "training.epochs must be 1 to 100000, got 0"),
        ("training.batch_size", 1, "training.batch_size must be 2 to 65536, got 1"),
        ("percents", [0, 40], "percents[0] must be 1 to 100, got 0"),
        ("percents", [101], "percents[0] must be 1 to 100, got 101"),
        ("percents", [40.5], "percents[0] must be an integer from 1 to 100, got 40.5"),
        ("percents", [], "percents must have at least 1 entries, got 0"),
        ("percents", [40, 40], "percents: [40, 40] names one twice"),
        ("classifier.learning_curve", [5, 5], "learning_curve: [5, 5] names one twice"),
        ("classifier.learning_curve", [100], "classifier.learning_curve[0] must be 1 to 99, got 100"),
        ("classifier.learning_curve_percent", 1, "learning_curve_percent must be 2 to 100, got 1"),
        ("seeds", [-1], "seeds[0] must be at least 0, got -1"),
        ("generators", ["dcgann"], "'dcgann' is not in families; did you mean 'dcgan'?"),
        ("generators", {}, "generators must be a list, each entry text"),
        ("dataset.name", "mnst", "did you mean 'mnist'?"),
        ("dataset.image_size", 18, "cannot make 18 pixels"),
        ("dataset.channels", 2, "dataset.channels must be 1 or 3, got 2"),
        ("dataset.mirror", [3], "dataset.mirror must be none or all or a list, each entry text"),
        (
            "families.dcgan.generator.kernels",
            [4],
            "families.dcgan.generator: kernels has 1 entries, strides has 2",
        ),
        ("families.dcgan.generator.kernels", [1, 4], "a kernel of 1 with stride 2"),
        (
            "families.dcgan.discriminator.head_dropout",
            1.0,
            "families.dcgan.discriminator.head_dropout must be 0 to 0.95, got 1.0",
        ),
        ("families.dcgan.label_smoothing", 0.9, "families.dcgan.label_smoothing must be 0 to 0.5, got 0.9"),
        ("families", {"DC": {}}, "families: 'DC' must be lower-case letters"),
        ("families", 3, "families must be groups of settings by name, got 3"),
        ("classifier.evaluations", 500, "classifier: evaluations must be 1 to steps (300), got 500"),
        (
            "classifier",
            {"network": "small_cnn", "weights": "imagenet"},
            "classifier: weights: imagenet is for larger networks; small_cnn needs none",
        ),
        ("classifier", 3, "classifier must be a group of settings, got 3"),
        ("compute.workers", "many", "compute.workers must be an integer from 1 to 1024 or auto, got 'many'"),
        ("compute.cluster", "here", "compute: cluster must be the address of a scheduler"),
        ("metrics.protected", "Male", "metrics: protected and outcome must name two of dataset.attributes"),
    ],
)
def test_refuses_in_one_line(content, name, value, message):
    put(content, name, value)
    with pytest.raises(InputError) as error:
        schema.check(content, "params.yaml")
    text = str(error.value)
    assert message in text
    assert text.startswith("params.yaml: ")
    assert "\n" not in text


@pytest.mark.parametrize(("old", "new"), schema.RENAMED.items())
def test_refuses_an_old_name_with_the_new_one(content, old, new):
    old, new = old.replace("*", "wgan"), new.replace("*", "wgan")
    assert new in flat(content), "the new name is a setting"
    put(content, old, flat(content)[new])
    with pytest.raises(InputError) as error:
        schema.check(content, "params.yaml")
    assert str(error.value) == f"params.yaml: {old} is now {new}"
    assert f"| `{old}` | `{new}` |".replace("wgan", "<generator>") in (ROOT / "CHANGELOG.md").read_text()


def test_integers_become_floats_where_the_setting_is_one(content):
    content["training"]["translation"] = 0
    translation = schema.check(content, "params.yaml").training.translation
    assert translation == 0.0
    assert type(translation) is float


def test_allows_a_batch_larger_than_the_smallest_class(content):
    content["training"]["batch_size"] = 4096
    assert schema.check(content, "params.yaml").training.batch_size == 4096


def test_names_missing_groups(content):
    del content["training"], content["seeds"]
    with pytest.raises(InputError, match="params.yaml: missing seeds, training"):
        schema.check(content, "params.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("- 1\n", "expected settings"),
        ("", "expected settings"),
        (None, "is missing; run in the folder of the project"),
        ("#" * 1_000_001, "larger than 1,000,000 bytes"),
        ("[" * 500, "nested too deeply"),
        ("a: 2001-13-45", "not YAML"),
        ("generators: &a {b: *a}", "missing dataset"),
    ],
)
def test_refuses_a_file_without_settings(tmp_path, text, message):
    if text is not None:
        (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        schema.load(tmp_path / "params.yaml")
    assert "\n" not in str(error.value)


def test_refuses_bytes_that_are_not_text(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"a: \xff")
    with pytest.raises(InputError, match="line 1 is not UTF-8"):
        schema.load(tmp_path / "params.yaml")


def test_refuses_a_cycle_of_aliases(content):
    content["generators"] = content
    with pytest.raises(InputError, match="cannot be read as settings: Circular reference detected"):
        schema.check(content, "params.yaml")


def test_overlay_merges_mappings_and_replaces_everything_else():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    schema.overlay(base, {"a": {"c": [3]}, "d": {"e": 4}})
    assert base == {"a": {"b": 1, "c": [3]}, "d": {"e": 4}}


@pytest.mark.parametrize("saved", [b"\xef\xbb\xbf# \xc3\xb6\r\na: 1\r\n", b"# \xc3\xb6\na: 1\n"])
def test_text_is_the_same_whatever_the_editor_adds(tmp_path, saved):
    (tmp_path / "params.yaml").write_bytes(saved)
    assert schema.text_of(tmp_path / "params.yaml") == "# ö\na: 1\n"
    assert schema.read(tmp_path / "params.yaml") == {"a": 1}


def test_line_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "params.yaml").write_bytes("# one\na: é\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"params.yaml: line 2 is not UTF-8; save the file in this encoding"):
        schema.read(tmp_path / "params.yaml")


def test_a_learning_curve_needs_the_baseline_of_its_last_point(content):
    put(content, "classifier.learning_curve", [5, 10])
    assert schema.check(content, "params.yaml").classifier.learning_curve == [5, 10]
    put(content, "percents", [40, 60])
    with pytest.raises(InputError, match=r"learning_curve_percent: 100 is not among percents \[40, 60\]"):
        schema.check(content, "params.yaml")
    put(content, "classifier.learning_curve_percent", 60)
    assert schema.check(content, "params.yaml").percents == [40, 60]
    put(content, "classifier.learning_curve", [5, 60])
    with pytest.raises(InputError, match=r"60 is not below learning_curve_percent \(60\)"):
        schema.check(content, "params.yaml")
