"""Classes, experiments and generators with names that are commands or markup: none of it is run."""

from __future__ import annotations

import shutil

import pytest
from ruamel.yaml import YAML

from tests.image_trees import good_tree, in_zip
from tests.system.clone import Clone
from tests.unit.pipeline.test_untrusted_names import COMMANDS, MARKUP


@pytest.mark.parametrize(
    "name", ["$(shell touch sprung)", "$(touch sprung)", "; touch sprung", "`touch sprung`"]
)
def test_make_runs_no_name(tmp_path, name):
    """Neither make nor the shell that it starts, whether the name is an argument or in the environment."""
    clone = Clone(tmp_path / "clone", shrink=False)
    repro = ("make", "-o", ".venv/.ready", "repro")
    done = clone.run(*repro, f"EXPERIMENT={name}", f"DATASET={name}", f"TARGET={name}", UI=name, QUICK=name)
    assert done.returncode == 2, done.stderr
    assert f"no experiment '{name.split()[0]}'" in done.stderr
    variables = ("EXPERIMENT", "TARGET", "SET", "LABELMINT_MIRROR", "UV_TORCH_BACKEND")
    done = clone.run(*repro, f"SET={name}")
    assert done.returncode == 2, done.stderr
    assert "expected NAME=VALUE" in done.stderr
    clone.run(*repro, "--dry-run", **dict.fromkeys(variables, name))
    assert not list(tmp_path.rglob("sprung*"))


def test_from_import_to_synthetic_images(tmp_path):
    clone = Clone(tmp_path / "clone")
    in_zip(clone.folder / "photos.zip", good_tree(("$(touch sprung)", "; touch sprung", MARKUP), count=5))
    imported = clone.run("labelmint", "import", "photos.zip", "--name", "mine", "--size", "16")
    assert imported.returncode == 0, imported.stderr
    shutil.move(
        clone.folder / "experiments" / "mine.yaml", clone.folder / "experiments" / "; touch sprung.yaml"
    )
    refused = clone.run("make", "-o", ".venv/.ready", "repro", "EXPERIMENT=; touch sprung")
    assert refused.returncode == 2, refused.stderr
    assert "no experiment ';'" in refused.stderr
    used = clone.run("labelmint", "use", "; touch sprung")
    assert used.returncode == 0, used.stderr
    clone.change(
        percents=[100],
        training={"epochs": 1, "images_per_epoch": 16, "batch_size": 8},
        synthesis={"images_per_class": 4},
    )
    assert clone.repro("synthesize") == ["prepare", "train_generators@dcgan-100-0", "synthesize@dcgan-100-0"]

    # Settings of somebody else, with a file for each family, so that DVC gets as far as its command.
    families = clone.folder / "labelmint" / "families"
    family = YAML(typ="safe").load((clone.folder / "params.yaml").read_text())["families"]["dcgan"]
    for name in COMMANDS[:3]:
        shutil.copy(families / "dcgan.py", families / f"{name}.py")
        clone.change(generators=[name], families={name: family})
        for command in (("labelmint", "check"), ("dvc", "repro", "synthesize")):
            done = clone.run(*command)
            assert done.returncode != 0
            assert f"'{COMMANDS[0]}' must be" in done.stderr, done.stderr
    assert not list(tmp_path.rglob("sprung*"))
