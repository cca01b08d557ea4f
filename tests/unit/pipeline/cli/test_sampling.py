"""`labelmint sample` in one process: what it finds, refuses and writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from labelmint.gans import archive
from labelmint.runtime.atomic_files import save_json, save_table
from labelmint.runtime.errors import InputError
from pipeline.cli import sampling
from tests.command import labelmint
from tests.payload import pickled, sha256
from tests.untrained_generators import untrained


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generator outside of any project."""
    folder = tmp_path_factory.mktemp("generators") / "cgan-40-0"
    archive.save(folder, untrained("conditional"), {})
    return folder


def test_needs_nothing_but_the_folder_of_a_generator(generator, tmp_path):
    arguments = ("sample", generator, "--class", "dog", "--count", 3, "--out", "dogs", "--workers", 1)
    done = labelmint(tmp_path, *arguments, "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["images"], result["generated"], result["titles"]) == (3, 3, ["dog"])
    names = sorted(path.name for path in (tmp_path / "dogs" / "dog").iterdir())
    assert names == ["000000.png", "000001.png", "000002.png"]
    sheet = (tmp_path / "dogs" / "README.md").read_text()
    assert "# 3 synthetic images from cgan-40-0" in sheet
    assert "CC BY 4.0" in sheet
    assert labelmint(tmp_path, *arguments).out == "dogs already holds these 3 images\n"


def test_a_dry_run_writes_nothing(generator, tmp_path):
    done = labelmint(
        tmp_path, "sample", generator, "--count", 1000, "--out", "out", "--format", "tensors", "--dry-run"
    )
    expected = (
        "cgan-40-0 would generate 3,000 images (cat, dog, T-shirt/top) into out as tensors, about 0.8 MB"
    )
    assert done.out == f"{expected}; nothing was written\n"
    assert not list(tmp_path.iterdir())


def test_refuses_more_than_the_disk_holds(generator, tmp_path):
    done = labelmint(tmp_path, "sample", generator, "--count", 10**12, "--out", "out", "--format", "tensors")
    assert done.code == 2
    assert "GB are free; lower --count or name another disk" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "disguise", ["generator.pt", "generator.pkl", "folder/generator.pth", "folder/generator.safetensors"]
)
def test_refuses_a_pickle_without_opening_it(generator, tmp_path, disguise):
    trap, path = tmp_path / "sprung", tmp_path / disguise
    content = pickled(trap)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    if path.suffix == ".safetensors":  # with a description that has its hash
        facts = json.loads((generator / "architecture.json").read_text())
        (path.parent / "architecture.json").write_text(
            json.dumps(facts | {"weights_sha256": sha256(content)})
        )
    done = labelmint(
        tmp_path, "sample", path.parent if "/" in disguise else path, "--count", 1, "--out", "out"
    )
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1, done.err
    assert ("is a pickle" in done.err) == (path.suffix != ".safetensors")
    assert not trap.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("accuracy", "known"), [(0.9123456, True), (0.92, False)])
def test_the_data_sheet_says_what_the_report_found_the_images_worth(generator, tmp_path, accuracy, known):
    """Unless the arm has been evaluated again since that report."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    shutil.copytree(generator, tmp_path / "data" / "generators" / "cgan-40-0")
    own = {"generator": "cgan", "percent": 40, "seed": 0, "n_real": 100, "n_synthetic": 30}
    accuracies = {"accuracy": 0.9123456, "accuracy_low": 0.9, "accuracy_high": 0.93}
    rows = [own | accuracies | {"source": source} for source in ("real", "synthetic")]
    point = rows[0] | {"source": "real_5_percent", "n_real": 5}
    save_json(tmp_path / "data/metrics/cgan-40-0.json", {"rows": rows, "protocol": {}})
    worth = {"accuracy": accuracy, "worth": 12.0, "worth_low": 8.0, "worth_high": 100.0}
    save_table(
        tmp_path / "reports/results.csv", [*rows[0], *list(worth)[1:]], [rows[0], rows[1] | worth, point]
    )
    done = labelmint(tmp_path, "sample", "cgan-40-0", "--count", 1, "--out", "out", "--workers", 1)
    assert done.code == 0, done.err
    sheet = (tmp_path / "out" / "README.md").read_text()
    sentence = "**Worth**: 30 of these images gave the accuracy that 12 \\[8, ≥ 100\\] real images"
    assert (sentence in sheet) == known == ("Worth" in sheet)


@pytest.mark.parametrize(
    ("generator_of_the_project", "options", "expected"),
    [
        (True, (), 1.5),
        (True, ("--latent-deviation", 1), 1.0),
        (False, (), 1.0),
        (False, ("--latent-deviation", 2.5), 2.5),
    ],
)
def test_latents_are_as_wide_as_those_of_the_synthetic_data_set(
    generator, tmp_path, generator_of_the_project, options, expected
):
    """Only then its metrics are about these images."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    shutil.copytree(generator, tmp_path / "data" / "generators" / "cgan-40-0")
    save_json(tmp_path / "data/synthetic/cgan-40-0/manifest.json", {"latent_deviation": 1.5})
    save_json(tmp_path / "data/metrics/cgan-40-0.json", {"rows": [], "protocol": {"kid": "all images"}})
    name = "cgan-40-0" if generator_of_the_project else generator
    done = labelmint(tmp_path, "sample", name, "--count", 1, "--out", "out", "--workers", 1, *options)
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "out" / ".sample.json").read_text())["latent_deviation"] == expected
    assert ("all images" in (tmp_path / "out" / "README.md").read_text()) == (expected == 1.5)


def test_refuses_latents_of_another_range(generator, tmp_path):
    done = labelmint(tmp_path, "sample", generator, "--count", 1, "--out", "out", "--latent-deviation", 4)
    assert (done.code, done.err) == (
        2,
        "error: --latent-deviation must be above 0 and at most 3, got 4\n",
    )


def test_finds_generators_of_the_project_by_name(generator, tmp_path):
    folder = tmp_path / "data" / "generators"
    for arm in ("cgan-40-0", "dcgan-40-0", "dcgan-80-0"):
        shutil.copytree(generator, folder / arm)
    assert sampling.find(tmp_path, "dcgan-80-0") == folder / "dcgan-80-0"
    assert sampling.find(tmp_path, "cgan") == folder / "cgan-40-0"
    with pytest.raises(InputError, match="several generators of dcgan: dcgan-40-0, dcgan-80-0; name one"):
        sampling.find(tmp_path, "dcgan")
    with pytest.raises(InputError, match="no generator 'dcgan-81-0'; did you mean 'dcgan-80-0'"):
        sampling.find(tmp_path, "dcgan-81-0")
    with pytest.raises(InputError, match="no generator 'dcgan'; `make repro` trains some"):
        sampling.find(None, "dcgan")


def test_describes_what_was_generated_and_what_existed():
    done = sampling.Sample("cgan-40-0", "folders", "out", 1000, 400, 5_000_000, ["a", "b\x1b"])
    generated = r"cgan-40-0 generated 1,000 images (a, b\x1b) into out, 600 of them earlier"
    assert sampling.describe(done, dry_run=False) == f"{generated}; out/README.md describes them"
