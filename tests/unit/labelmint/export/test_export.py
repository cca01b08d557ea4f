"""Interrupted exports resume, and nothing else in a folder is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labelmint.data.storage.tensors import load_set
from labelmint.export import export
from labelmint.export.export import Export
from labelmint.export.orders import Order, sample_rows
from labelmint.gans.archive import GeneratorArchive
from labelmint.runtime.atomic_files import load_json, save_bytes, save_json
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from tests.tiny_families import FAMILIES
from tests.untrained_generators import ATTRIBUTES, file_tree, untrained

SHARD_ROWS = 7
"""27 images make four shards, of which the last is not full."""


@pytest.fixture(autouse=True)
def short_shards(monkeypatch):
    monkeypatch.setattr(export, "_SHARD_ROWS", SHARD_ROWS)


@pytest.fixture(scope="module")
def generator() -> GeneratorArchive:
    import pyarrow.parquet

    pyarrow.array([1])  # imports pandas: no test shall pay for that
    return untrained("per_class")


def exported(generator: GeneratorArchive, format: str, folder: Path, count: int = 9) -> Export:
    return Export(generator, "weights", Order(count), format, folder, Compute("cpu", workers=1))


@pytest.mark.parametrize("stops", range(4))
@pytest.mark.parametrize("format", ["folders", "tensors", "parquet", "webdataset"])
def test_an_export_resumes_after_any_shard(generator, format, stops, tmp_path, monkeypatch):
    whole = exported(generator, format, tmp_path / "whole")
    assert export.run(whole, "sheet") == 27
    write, remaining = export._write_shard, [stops]

    def interrupted(*arguments):
        if not remaining[0]:
            raise KeyboardInterrupt
        remaining[0] -= 1
        write(*arguments)

    stopped = exported(generator, format, tmp_path / "stopped")
    monkeypatch.setattr(export, "_write_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export.run(stopped, "sheet")
    assert not (stopped.folder / "README.md").exists()
    monkeypatch.setattr(export, "_write_shard", write)
    assert export.run(stopped, "sheet") == 27 - SHARD_ROWS * stops
    assert file_tree(stopped.folder) == file_tree(whole.folder)
    assert export.run(stopped, "sheet") == 0


def test_an_export_resumes_while_finishing(generator, tmp_path, monkeypatch):
    """All rows are written, and some of the arrays have their final names."""
    whole, cut = (exported(generator, "tensors", tmp_path / name) for name in ("whole", "cut"))
    export.run(whole, "sheet")
    calls = []

    def interrupted(path, content):
        if path.name == "README.md":
            calls.append(path)
            raise KeyboardInterrupt
        save_bytes(path, content)

    monkeypatch.setattr(export, "save_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export.run(cut, "sheet")
    monkeypatch.undo()
    monkeypatch.setattr(export, "_SHARD_ROWS", SHARD_ROWS)
    (cut.folder / "labels.npy").rename(cut.folder / "labels.npy.partial")
    assert export.run(cut, "sheet") == 0
    assert calls
    assert file_tree(cut.folder) == file_tree(whole.folder)


def test_another_order_is_refused(generator, tmp_path):
    export.run(exported(generator, "tensors", tmp_path / "out"), "sheet")
    before = file_tree(tmp_path / "out")
    with pytest.raises(InputError, match=r"another order \(count: 9, now 8\)"):
        export.run(exported(generator, "tensors", tmp_path / "out", count=8), "")
    assert file_tree(tmp_path / "out") == before


def test_another_device_is_refused_and_older_exports_are_of_a_cpu(generator, tmp_path):
    """Devices differ in rounding: one export must not mix them."""
    made = exported(generator, "tensors", tmp_path / "out")
    export.run(made, "sheet")
    state = load_json(made.folder / export.STATE)
    save_json(made.folder / export.STATE, state | {"device": "cuda"})
    with pytest.raises(InputError, match=r"another order \(device: cuda, now cpu\)"):
        export.run(made, "sheet")
    save_json(made.folder / export.STATE, {name: state[name] for name in state if name != "device"})
    assert export.run(made, "sheet") == 0


def test_another_deviation_is_refused_and_older_exports_have_that_of_training(generator, tmp_path):
    made = exported(generator, "tensors", tmp_path / "out")
    export.run(made, "sheet")
    wider = replace(made, order=replace(made.order, latent_deviation=1.5))
    with pytest.raises(InputError, match=r"another order \(latent_deviation: 1.0, now 1.5\)"):
        export.run(wider, "sheet")
    state = load_json(made.folder / export.STATE)
    save_json(made.folder / export.STATE, {name: state[name] for name in state if name != "latent_deviation"})
    assert export.run(made, "sheet") == 0


def test_images_are_computed_on_the_device(generator, tmp_path, monkeypatch):
    asked = []

    def recorded(archive, plan, rows, device):
        asked.append(device.type)
        return sample_rows(archive, plan, rows)

    monkeypatch.setattr("labelmint.runtime.devices.find_device", lambda *_: torch.device("meta"))
    monkeypatch.setattr(export, "find_device", lambda *_: torch.device("meta"))
    monkeypatch.setattr(export, "sample_rows", recorded)
    made = exported(generator, "tensors", tmp_path / "out")
    export.run(made, "sheet")
    assert set(asked) == {"meta"}
    assert load_json(made.folder / export.STATE)["device"] == "meta"


def test_a_folder_with_other_files_is_refused(generator, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        export.run(exported(generator, "folders", tmp_path), "")
    assert file_tree(tmp_path) == {"thesis.txt": b"mine"}


def test_labels_are_the_outcomes_that_a_fairness_gan_generates(tmp_path):
    """Smiling is the outcome, so it may differ from the requested label."""
    generator = untrained("multi_hot", family=FAMILIES["fairness_gan"], name="fairness_gan")
    for format in ("folders", "tensors"):
        order = Order(40, ("Male",))
        export.run(
            Export(generator, "weights", order, format, tmp_path / format, Compute("cpu", workers=1)), ""
        )
    labels = np.array(load_set(tmp_path / "tensors")[1])
    assert (labels[:, 0] == 1).all()
    assert set(labels[:, 1].tolist()) == {0.0, 1.0}
    for row, label in enumerate(labels):
        folder = "+".join(name for name, present in zip(ATTRIBUTES, label) if present)
        assert (tmp_path / "folders" / folder / f"{row:06d}.png").exists()
