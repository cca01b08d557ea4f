"""Classes, experiments and generators bear names that are commands and markup: nothing of it is ever run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from labelmint.export import datasheet
from labelmint.export.export import Export
from labelmint.export.orders import Order
from labelmint.runtime.errors import InputError
from pipeline import stage
from pipeline.settings import schema as settings
from tests.conftest import ROOT
from tests.system.clone import Clone
from tests.untrained_generators import untrained
from tests.image_trees import good_tree, in_zip

COMMANDS = ("$(touch sprung)", "; touch sprung", "`touch sprung`", "a\ntouch sprung", "' && touch sprung #")
MARKUP = "<img src=x onerror=alert(1)>"


def test_no_command_of_dvc_names_what_params_say():
    """DVC hands commands to a shell as they are."""
    made = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    assert not [name for name, each in made.items() if "$" in each["cmd"] or set(each["cmd"]) & set(";&|<>`'\"")]


@pytest.mark.parametrize("name", [*COMMANDS, "../../evil", "Upper", "", "a/b"])
def test_a_generator_has_a_plain_name(params, name):
    with pytest.raises(ValueError, match="must be small letters, digits and _"):
        replace(params, families={**params.families, name: params.families["dcgan"]}, generators=[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_an_arm_has_a_plain_name(project, capsys, monkeypatch, name):
    monkeypatch.setenv("DVC_STAGE", f"synthesize@{name}-40-0")
    assert stage.main(["synthesize"]) == 2
    assert "is not an arm" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "stage_", "arm"),
    [
        ("train_generators@dcgan-40-0", "train_generators", "dcgan-40-0"),
        ("train_baselines@40-0", "train_baselines", "real-40-0"),
        ("prepare", "prepare", None),
        ("synthesize@dcgan-40-0", "evaluate", None),  # of whatever started this
        ("", "evaluate", None),
    ],
)
def test_the_arm_that_dvc_names(address, stage_, arm):
    assert stage.arm_of(address, stage_) == arm


@pytest.mark.parametrize("name", ["$(shell touch sprung)", "$(touch sprung)", "; touch sprung", "`touch sprung`"])
def test_make_runs_no_name(tmp_path, name):
    """Neither make itself nor the shell that it starts, wherever the name comes from."""
    clone = Clone(tmp_path / "clone", shrink=False)
    repro = ("make", "-o", ".venv/.ready", "repro")
    done = clone.run(*repro, f"EXPERIMENT={name}", f"DATASET={name}", f"TARGET={name}", UI=name, QUICK=name)
    assert f"no experiment '{name.split()[0]}'" in done.stderr and done.returncode == 2, done.stderr
    clone.run(*repro, "--dry-run", **dict.fromkeys(("EXPERIMENT", "TARGET", "LABELMINT_MIRROR", "UV_TORCH_BACKEND"), name))  # fmt: skip
    assert not list(tmp_path.rglob("sprung*"))


class TestDatasheet:
    @pytest.fixture
    def sheet(self) -> str:
        names = [MARKUP, "[a](javascript:alert(1))", "`b` | c"]
        archive = untrained("per_class")
        archive = replace(archive, label_spec=replace(archive.label_spec, names=names))
        archive.trained_on.update(title=f"Pets {MARKUP}", licence="x | </table><script>alert(1)</script>")
        export = Export(archive, "ab", Order(1), "folders", Path("out"), 1)
        return datasheet.render(export, "pets-40-0", "ab" * 32, None)

    def test_names_are_words(self, sheet):
        from html.parser import HTMLParser

        from markdown import markdown

        tags = []
        parser = HTMLParser()
        parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
        parser.feed(markdown(sheet, extensions=["tables", "fenced_code"]))
        assert {tag for tag, _ in tags} <= {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "ul", "li", "strong", "em"}  # fmt: skip
        assert not [attributes for _, attributes in tags if set(attributes) - {"class"}]
        assert "alert(1)" in sheet  # it is told, as a word


@pytest.mark.slow
def test_from_import_to_minted_images(tmp_path):
    clone = Clone(tmp_path / "clone")
    in_zip(clone.folder / "photos.zip", good_tree(("$(touch sprung)", "; touch sprung", MARKUP), count=5))
    shown = clone.run("labelmint", "import", "photos.zip", "--name", "mine", "--size", "16")
    assert shown.returncode == 0, shown.stderr
    shutil.move(clone.folder / "experiments" / "mine.yaml", clone.folder / "experiments" / "; touch sprung.yaml")
    used = clone.run("make", "-o", ".venv/.ready", "repro", "EXPERIMENT=; touch sprung")
    assert "no experiment ';'" in used.stderr and used.returncode == 2, used.stderr
    used = clone.run("labelmint", "use", "; touch sprung")
    assert used.returncode == 0, used.stderr
    clone.change(
        percents=[100],
        training={"epochs": 1, "images_per_epoch": 16, "batch_size": 8},
        synthesis={"images_per_class": 4},
    )
    ran = clone.repro("synthesize")
    assert ran == ["prepare", "train_generators@dcgan-100-0", "synthesize@dcgan-100-0"]
    # Settings that somebody handed over, with a file for each family, so that DVC comes to its command.
    families = clone.folder / "stages" / "train_generators" / "families"
    family = YAML(typ="safe").load((clone.folder / "params.yaml").read_text())["families"]["dcgan"]
    for name in COMMANDS[:3]:
        shutil.copy(families / "dcgan.py", families / f"{name}.py")
        clone.change(generators=[name], families={name: family})
        for command in (("labelmint", "check"), ("dvc", "repro", "synthesize")):
            done = clone.run(*command)
            assert done.returncode != 0 and f"families: '{COMMANDS[0]}' must be small letters" in done.stderr, (
                done.stderr
            )
    assert not list(tmp_path.rglob("sprung*"))


def test_the_schema_says_what_is_wrong_with_a_family(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("  dcgan:\n", '  "$(touch x)":\n', 1)
    (tmp_path / "params.yaml").write_text(text.replace("generators: [dcgan]", 'generators: ["$(touch x)"]'))
    with pytest.raises(InputError, match=r"families: '\$\(touch x\)' must be small letters"):
        settings.load(tmp_path / "params.yaml")
