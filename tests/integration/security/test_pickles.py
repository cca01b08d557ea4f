"""A pickle runs code when it is opened. Every reader gets one: none of it runs, and one line names the file.

`labelmint sample` has its own tests.
"""

from __future__ import annotations

import hashlib
import json
import zipfile

import numpy as np
import pytest
import torch

from labelmint.classifiers import archive as classifiers
from labelmint.classifiers import feature_network
from labelmint.classifiers.efficientnet import EfficientNetB0
from labelmint.classifiers.settings import Classifier
from labelmint.data.storage.tensors import load_set, save_checksums, save_set
from labelmint.gans import archive as generators
from labelmint.metrics import inception
from labelmint.metrics.registry import NotMeasuredError
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.errors import InputError
from labelmint.training.checkpoints import Checkpoints
from pipeline.settings import schema
from tests.conftest import CPU
from tests.payload import Payload, pickled, saved, sha256
from tests.untrained_generators import untrained

KINDS = {
    "pickle": pickled,
    "torch.save": saved,
    "torch.save before 1.6": lambda trap: saved(trap, zipped=False),
}


@pytest.fixture
def trap(tmp_path):
    """The file that a payload creates."""
    path = tmp_path / "sprung"
    yield path
    assert not path.exists(), "untrusted code was run"


class TestPretrainedWeights:
    @pytest.fixture(params=KINDS)
    def poisoned(self, request, trap):
        path = trap.with_name("weights.pth")
        path.write_bytes(KINDS[request.param](trap))
        return path

    def test_classifier(self, poisoned):
        with pytest.raises(
            InputError, match=r"classifier\.weights: .*weights\.pth is not a state dict of tensors"
        ):
            EfficientNetB0(Classifier(weights=str(poisoned)), (3, 32, 32), 2, poisoned.parent)

    def test_inception(self, poisoned):
        with pytest.raises(NotMeasuredError, match="is not a state dict of tensors") as raised:
            inception.load(str(poisoned), poisoned.parent, CPU)
        assert "\n" not in str(raised.value)

    def test_inception_weights_that_change_after_the_check(self, trap, monkeypatch):
        """torch-fidelity unpickles the file at its path argument, so it never gets the user's path."""
        from torch_fidelity import FeatureExtractorInceptionV3

        path = trap.with_name("weights.pth")
        torch.save({"weight": torch.zeros(1)}, path)
        opened = []

        def build(self, *arguments, feature_extractor_weights_path):
            path.write_bytes(saved(trap))
            opened.append(feature_extractor_weights_path)
            torch.load(feature_extractor_weights_path, weights_only=False)
            raise RuntimeError("does not fit")

        monkeypatch.setattr(FeatureExtractorInceptionV3, "__init__", build)
        with pytest.raises(NotMeasuredError, match="the weights do not fit"):
            inception.load(str(path), path.parent, CPU)
        assert opened
        assert opened != [str(path)]


class TestOwnWeights:
    """A pickle named .safetensors, whose checksum the description has."""

    def test_feature_network(self, tmp_path, trap):
        (tmp_path / "network.safetensors").write_bytes(content := pickled(trap))
        save_json(tmp_path / "network.json", {"sha256": sha256(content)})
        with pytest.raises(InputError, match=r"network\.safetensors: not safetensors"):
            feature_network.load(tmp_path)

    def test_classifiers(self, tmp_path, trap):
        (tmp_path / "synthetic.safetensors").write_bytes(content := pickled(trap))
        save_json(tmp_path / "classifiers.json", {"synthetic": {"weights_sha256": sha256(content)}})
        with pytest.raises(InputError, match=r"synthetic\.safetensors: not safetensors"):
            classifiers.network(tmp_path, "synthetic")

    @pytest.mark.parametrize(
        ("file", "key"),
        [("generator.safetensors", "weights_sha256"), ("discriminator.safetensors", "discriminator_sha256")],
    )
    def test_generators_and_discriminators(self, tmp_path, trap, file, key):
        folder = tmp_path / "generator"
        generators.save(folder, untrained("per_class"), {"weight": np.zeros((1, 1), np.float32)})
        (folder / file).write_bytes(content := pickled(trap))
        save_json(
            folder / "architecture.json", load_json(folder / "architecture.json") | {key: sha256(content)}
        )
        with pytest.raises(InputError, match=f"{file}: not safetensors"):
            generators.load_discriminators(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints(tmp_path, trap, capsys, kind):
    """With the right checksum, which the author of the file can compute too."""
    checkpoints = Checkpoints(tmp_path / "class-0", {"seed": 1})
    checkpoints.save(0, 1, {"value": 1})
    content = KINDS[kind](trap)
    path = tmp_path / "class-0" / "000-000000000002.pt"
    path.write_bytes(hashlib.sha256(content).digest() + content)
    state = checkpoints.load()
    assert state is not None
    assert state["step"] == 1
    assert f"{path}: damaged checkpoint" in capsys.readouterr().err


def test_arrays(tmp_path, trap, noise):
    save_set(tmp_path, noise, np.zeros(len(noise), np.int64))
    np.save(tmp_path / "labels.npy", np.array([Payload(trap)], object), allow_pickle=True)
    save_checksums(tmp_path)
    with pytest.raises(InputError, match=r"labels\.npy: damaged array"):
        load_set(tmp_path)


def test_imagenet_batches(project, refused, trap):
    folder = project / "data" / "raw" / "imagenet32"
    folder.mkdir(parents=True)
    labels = np.array([Payload(trap)] * 2, object)
    for name in ("train_data_batch_1.npz", "val_data.npz"):
        np.savez(folder / name, data=np.zeros((2, 3072), np.uint8), labels=labels)
    message = refused(name="imagenet32", image_size=32, channels=3)
    assert "labels contains Python objects, which can run any code when they are loaded" in message


def test_arrow_extension_types(project, refused, trap):
    """When it opened such a file, pyarrow before 14.0.1 unpickled this (CVE-2023-47248)."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    poisoned = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickled(trap),
    }
    columns = [pa.field("image", pa.binary()), pa.field("label", pa.int64(), metadata=poisoned)]
    table = pa.table([[b"x"] * 8, [0, 1] * 4], schema=pa.schema(columns))
    (project / "mine").mkdir()
    pq.write_table(table, project / "mine" / "train.parquet")
    message = refused(name="mine", format="huggingface", path="mine", image_size=8, channels=3)
    assert "8 of 8 images cannot be used" in message  # they were read, and are no images


def test_loading_script_is_not_run(project, refused, trap):
    (project / "mine").mkdir()
    (project / "mine" / "mine.py").write_text(f"from pathlib import Path\nPath({str(trap)!r}).touch()\n")
    message = refused(name="mine", format="huggingface", path="mine", image_size=8, channels=3)
    assert "no Parquet or Arrow files there" in message


def test_pickles_named_as_images(project, refused, trap):
    with zipfile.ZipFile(project / "t.zip", "w") as archive:
        for name in ("cat/0.png", "cat/1.png", "cat/2.pkl", "dog/0.png", "dog/1.png"):
            archive.writestr(name, pickled(trap))
    message = refused(name="mine", format="imagefolder", path="t.zip", image_size=8, channels=3)
    assert "4 of 4 images cannot be used" in message


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!python/object/new:os.system"])
def test_yaml_tags(tmp_path, trap, tag):
    path = tmp_path / "params.yaml"
    path.write_text(f"dataset: {tag} ['touch {trap}']\n")
    with pytest.raises(InputError, match=r"params\.yaml"):
        schema.load(path)


def test_json_with_code_behind_it(tmp_path):
    (tmp_path / "facts.json").write_text(json.dumps({"__reduce__": "os.system"}) + "\n__import__('os')")
    with pytest.raises(InputError, match="not JSON"):
        load_json(tmp_path / "facts.json")
