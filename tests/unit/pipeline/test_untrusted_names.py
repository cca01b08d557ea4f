"""Classes, generators and arms with names that are commands or markup: such names are refused or escaped."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from labelmint.export import datasheet
from labelmint.export.export import Export
from labelmint.export.orders import Order
from labelmint.runtime.errors import InputError
from pipeline import stage
from pipeline.settings import schema
from stages.paths import Arm
from tests.conftest import ROOT
from tests.untrained_generators import untrained

COMMANDS = ("$(touch sprung)", "; touch sprung", "`touch sprung`", "a\ntouch sprung", "' && touch sprung #")
MARKUP = "<img src=x onerror=alert(1)>"


def test_no_command_of_dvc_contains_a_setting():
    """DVC passes commands to a shell as they are."""
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    commands = {name: stage["cmd"] for name, stage in stages.items()}
    assert not [name for name, command in commands.items() if set(command) & set("$;&|<>`'\"")]


@pytest.mark.parametrize("name", [*COMMANDS, "../../evil", "Upper", "", "a/b"])
def test_generator_has_a_plain_name(params, name):
    with pytest.raises(ValueError, match="must be"):
        replace(params, families={**params.families, name: params.families["dcgan"]}, generators=[name])


def test_params_file_with_such_a_generator_is_refused(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("  dcgan:", '  "$(touch x)":', 1)
    (tmp_path / "params.yaml").write_text(text.replace("generators: [dcgan]", 'generators: ["$(touch x)"]'))
    with pytest.raises(InputError, match=r"'\$\(touch x\)' must be"):
        schema.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("name", COMMANDS)
def test_arm_has_a_plain_name(name):
    with pytest.raises(InputError, match="is not an arm"):
        Arm.parse(f"{name}-40-0")


@pytest.mark.parametrize(
    ("address", "stage_name", "arm"),
    [
        ("train_generators@dcgan-40-0", "train_generators", "dcgan-40-0"),
        ("train_baselines@40-0", "train_baselines", "real-40-0"),
        ("prepare", "prepare", None),
        ("synthesize@dcgan-40-0", "evaluate", None),  # of the process that has started this one
        ("", "evaluate", None),
    ],
)
def test_arm_of_dvcs_name_of_the_stage(address, stage_name, arm):
    assert stage.arm_of(address, stage_name) == arm


class _Tags(HTMLParser):
    """found: tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, set[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name for name, _ in attrs}))


def test_datasheet_shows_names_as_text():
    from markdown import markdown

    names = [MARKUP, "[a](javascript:alert(1))", "`b` | c"]
    archive = untrained("per_class")
    archive = replace(archive, label_spec=replace(archive.label_spec, names=names))
    archive.trained_on.update(title=f"Pets {MARKUP}", licence="x | </table><script>alert(1)</script>")
    export = Export(archive, "ab", Order(1), "folders", Path("out"))
    sheet = datasheet.render(export, "pets-40-0", "ab" * 32, None)
    tags = _Tags()
    tags.feed(markdown(sheet, extensions=["tables", "fenced_code"]))
    of_tables = {"table", "thead", "tbody", "tr", "th", "td"}
    of_text = {"h1", "h2", "p", "code", "pre", "ul", "li", "strong", "em"}
    assert {tag for tag, _ in tags.found} <= of_tables | of_text
    assert all(attributes <= {"class"} for _, attributes in tags.found)
    assert "alert(1)" in sheet
