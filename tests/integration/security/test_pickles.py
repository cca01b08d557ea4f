"""A pickle runs code when it is opened. One is fed to every entrance: nothing of it runs, and one line says what is wrong.

`labelmint sample` has its own in tests/pipeline/test_sample.py.
"""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pytest

from labelmint.classifiers import archive as classifiers
from labelmint.classifiers import feature_network
from labelmint.classifiers.efficientnet import EfficientNetB0
from labelmint.classifiers.settings import Classifier
from labelmint.data.storage.tensors import load_set, save_checksums, save_set
from labelmint.gans import archive as generators
from labelmint.metrics import inception
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.errors import InputError
from labelmint.training.checkpoints import Checkpoints
from pipeline.settings import schema as settings
from stages.paths import Arm
from tests.conftest import CPU
from tests.payload import Payload, pickled, saved, sha256

ARM = Arm("dcgan", 100, 0)
KINDS = {
    "a pickle": pickled,
    "torch.save": saved,
    "torch.save as it was before 1.6": lambda trap: saved(trap, zipped=False),
}


@pytest.fixture
def trap(tmp_path):
    path = tmp_path / "sprung"
    yield path
    assert not path.exists(), "what came from outside was run"


@pytest.fixture(params=KINDS)
def poisoned(request, trap):
    """A file of weights."""
    path = trap.with_name("weights.pth")
    path.write_bytes(KINDS[request.param](trap))
    return path


def test_classifier_weights(poisoned):
    with pytest.raises(InputError, match="classifier.weights: .*weights.pth is not a state dict of tensors"):
        EfficientNetB0(Classifier(weights=str(poisoned)), (3, 32, 32), 2, poisoned.parent)


def test_inception_weights(poisoned):
    found, why = inception.load(str(poisoned), poisoned.parent, CPU)
    assert found is None and "is not a state dict of tensors" in why and "\n" not in why


def test_inception_weights_that_change_after_they_were_checked(trap, monkeypatch):
    """torch-fidelity unpickles whatever lies at the path it is given, so it is given none of a person's."""
    import torch
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
    assert "the weights do not fit" in inception.load(str(path), path.parent, CPU)[1]
    assert opened and opened != [str(path)]


class TestWeightsThatADescriptionVouchesFor:
    """safetensors by name, a pickle by content, and the checksum beside it is right."""

    @pytest.fixture
    def kept(self, workspace, tmp_path, trap):
        def spoil(folder, weights, description, place):
            shutil.copytree(folder, tmp_path / "own")
            (tmp_path / "own" / weights).write_bytes(content := pickled(trap))
            facts = load_json(tmp_path / "own" / description)
            place(facts, sha256(content))
            save_json(tmp_path / "own" / description, facts)
            return tmp_path / "own"

        return spoil

    def test_feature_network(self, workspace, kept):
        place = kept(workspace.feature_network, "network.safetensors", "network.json", lambda facts, sha: facts.update(sha256=sha))  # fmt: skip
        with pytest.raises(InputError, match="network.safetensors: no safetensors"):
            feature_network.load(place)

    def test_classifiers(self, workspace, kept):
        place = kept(
            workspace.classifiers(ARM), "synthetic.safetensors", "classifiers.json", lambda facts, sha: facts["synthetic"].update(weights_sha256=sha)
        )  # fmt: skip
        with pytest.raises(InputError, match="synthetic.safetensors: no safetensors"):
            classifiers.network(place, "synthetic")

    def test_generators_and_discriminators(self, workspace, kept):
        place = kept(
            workspace.generator(ARM), "discriminator.safetensors", "architecture.json", lambda facts, sha: facts.update(discriminator_sha256=sha)
        )  # fmt: skip
        with pytest.raises(InputError, match="discriminator.safetensors: no safetensors"):
            generators.load_discriminators(place)


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints(tmp_path, trap, capsys, kind):
    """With the right checksum: whoever can write there can write that too."""
    import hashlib

    kept = Checkpoints(tmp_path / "class-0", {"seed": 1})
    kept.save(0, 1, {"value": 1})
    content = KINDS[kind](trap)
    path = tmp_path / "class-0" / "000-000000000002.pt"
    path.write_bytes(hashlib.sha256(content).digest() + content)
    assert kept.load()["step"] == 1
    assert f"{path}: damaged checkpoint" in capsys.readouterr().err


def test_arrays(tmp_path, trap, noise):
    save_set(tmp_path, noise, np.zeros(len(noise), np.int64))
    np.save(tmp_path / "labels.npy", np.array([Payload(trap)], object), allow_pickle=True)
    save_checksums(tmp_path)
    with pytest.raises(InputError, match="labels.npy: damaged array"):
        load_set(tmp_path)


def test_imagenet_batches(project, refused, trap):
    folder = project / "data" / "raw" / "imagenet32"
    folder.mkdir(parents=True)
    for name in ("train_data_batch_1.npz", "val_data.npz"):
        np.savez(folder / name, data=np.zeros((2, 3072), np.uint8), labels=np.array([Payload(trap)] * 2, object))
    assert "labels holds Python objects, whose loading would run code; refused" in refused(name="imagenet32", image_size=32, channels=3)  # fmt: skip


def test_arrow_extension_types(project, refused, trap):
    """pyarrow before 14.0.1 unpickled this on opening the file (CVE-2023-47248)."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    poisoned = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickled(trap)}
    schema = pa.schema([pa.field("image", pa.binary()), pa.field("label", pa.int64(), metadata=poisoned)])
    table = pa.table([[b"x"] * 8, [0, 1] * 4], schema=schema)
    (project / "mine").mkdir()
    pq.write_table(table, project / "mine" / "train.parquet")
    said = refused(name="mine", format="huggingface", path="mine", image_size=8, channels=3)
    assert "8 of 8 images cannot be used" in said  # they were read, and are none


def test_a_loading_script_is_no_data(project, refused, trap):
    (project / "mine").mkdir()
    (project / "mine" / "mine.py").write_text(f"from pathlib import Path\nPath({str(trap)!r}).touch()\n")
    said = refused(name="mine", format="huggingface", path="mine", image_size=8, channels=3)
    assert "neither Parquet nor Arrow files there" in said


def test_pickles_among_images(project, refused, trap):
    with zipfile.ZipFile(project / "t.zip", "w") as archive:
        for name in ("cat/0.png", "cat/1.png", "cat/2.pkl", "dog/0.png", "dog/1.png"):
            archive.writestr(name, pickled(trap))
    said = refused(name="mine", format="imagefolder", path="t.zip", image_size=8, channels=3)
    assert "4 of 4 images cannot be used" in said


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system ['touch {trap}']", "!!python/object/new:os.system ['touch {trap}']"]
)
def test_yaml_tags(tmp_path, trap, tag):
    path = tmp_path / "params.yaml"
    path.write_text(f"dataset: {tag.format(trap=trap)}\n")
    with pytest.raises(InputError, match="params.yaml"):
        settings.load(path)


def test_json_is_only_json(tmp_path):
    (tmp_path / "facts.json").write_text(json.dumps({"__reduce__": "os.system"}) + "\n__import__('os')")
    with pytest.raises(InputError, match="not JSON"):
        load_json(tmp_path / "facts.json")
