"""The reference of settings: complete, and the source of the page and of the comments."""

from __future__ import annotations

import json

import pytest

from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import flat
from pipeline.settings import reference, schema
from tests.conftest import ROOT

DEFAULT = ROOT / "experiments" / "default.yaml"


def test_the_page_in_the_docs_is_current():
    page = (ROOT / "docs" / "params.md").read_text()
    assert page == reference.to_markdown(), "run: labelmint params --markdown > docs/params.md"


@pytest.mark.parametrize("name", ["experiments/default.yaml", "params.yaml"])
def test_the_comments_of_the_settings_are_current(name):
    text = (ROOT / name).read_text()
    assert text == reference.with_comments(text), (
        "run: labelmint params --yaml > new.yaml; mv new.yaml " + name
    )


def test_lists_every_setting_once():
    default = schema.read(DEFAULT)
    default["families"] = {"<generator>": default["families"]["dcgan"]}
    assert sorted(flat(default)) == sorted(each.name for each in reference.collect())


def test_states_type_range_default_and_meaning():
    (r1,) = reference.find("families.dcgan.r1")
    assert (r1.name, r1.type, r1.default) == ("families.<generator>.r1", "number, 0 to 10000", 0.0)
    assert "Mescheder" in r1.meaning
    text = reference.to_text(reference.find("compute"))
    assert "compute.device: auto  (auto | cpu | cuda | cuda:N | mps)\n    Device to compute on." in text
    assert "training" not in [line.split(".")[0] for line in text.splitlines()]
    (percents,) = reference.find("percents")
    assert percents.required
    assert reference.to_text([percents]).startswith("percents: required  (list of integer")


def test_json_holds_all_fields():
    rows = {row["name"]: row for row in json.loads(reference.to_json(reference.collect()))}
    assert rows["training.batch_size"] == {
        "name": "training.batch_size",
        "type": "integer, 2 to 65536",
        "default": 64,
        "required": False,
        "meaning": "Images per step. If it exceeds the images of a class, images repeat within a batch.",
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("training.epoch", "no setting 'training.epoch'; did you mean 'training.epochs'?"),
        ("classifier.moment", "classifier.moment is now classifier.checkpoint"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, message):
    with pytest.raises(InputError, match=message):
        reference.find(name)


def test_comments_replace_those_beside_settings_and_keep_those_on_lines_of_their_own():
    text = (
        "# Title.\n\ntraining: # old\n  # About epochs.\n  epochs: 7 # old\n"
        + " " * 28
        + "# goes on\n  rotation: 0.0\n"
    )
    assert reference.with_comments(text) == (
        "# Title.\n\n"
        "training:                   # How generators are trained, the same for every family\n"
        "  # About epochs.\n"
        "  epochs: 7                 # Number of epochs\n"
        "  rotation: 0.0             # Largest rotation of real images, degrees\n"
    )
