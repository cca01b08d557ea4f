"""Samples of generators of every kind of labels, opened by the libraries that are meant to open them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from labelmint.data.storage.tensors import load_set
from labelmint.export import datasheet, export
from labelmint.export.export import Export
from labelmint.export.formats import folder_names
from labelmint.export.orders import Order, Plan
from labelmint.gans import archive, published, registry
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.conditioning import LabelSpec
from labelmint.gans.initialization import initialize
from labelmint.gans.settings import Family
from labelmint.runtime.errors import InputError
from stages.paths import Arm
from tests.stages.tiny import FAMILIES, SHAPE

CLASSES = ["cat", "dog", "T-shirt/top"]
NAMES = ["Male", "Smiling", "Young"]
KINDS = {
    "per_class": FAMILIES["dcgan"],
    "conditional": FAMILIES["cgan"],
    "multi_hot": FAMILIES["attribute_cgan"],
    "none": replace(FAMILIES["dcgan"], labels="none"),
}
FAMILY_OF = {"per_class": "dcgan", "conditional": "cgan", "multi_hot": "attribute_cgan", "none": "dcgan"}


def generators(kind: str, shape: tuple[int, int, int] = SHAPE, family: Family | None = None) -> GeneratorArchive:
    """Untrained ones, each of its own weights."""
    family = family or KINDS[kind]
    labels = np.array([[0, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 0]])
    label_spec = LabelSpec.of(family, NAMES if kind == "multi_hot" else CLASSES, labels)
    states = []
    for number in range(len(CLASSES) if kind == "per_class" else 1):
        network = registry.load(FAMILY_OF[kind]).build_generator(family, shape, label_spec.vectors.shape[1])
        initialize(network, "glorot_uniform", torch.Generator().manual_seed(number))
        states.append({name: value.numpy() for name, value in network.state_dict().items() if value.ndim})
    weights = {name: np.stack([state[name] for state in states]) for name in states[0]}
    seen = {"name": "pets", "title": "Pets", "licence": "CC BY 4.0", "percent": 40, "seed": 0, "images": 12, "images_sha256": "ab" * 32}  # fmt: skip
    return GeneratorArchive(FAMILY_OF[kind], family, shape, label_spec, weights, seen)


def sample(kind: str, format: str, folder: Path, order: Order, workers: int = 1) -> Export:
    made = Export(generators(kind), "weights", order, format, folder, workers)
    assert export.run(made, "sheet") == made.plan.total
    return made


def arrays(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_set(folder)
    return np.array(images), np.array(labels)


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def short_stretches(monkeypatch):
    """Of 7 images, so that a few make several, and the last is not full."""
    monkeypatch.setattr(export, "_SHARD_ROWS", 7)


@pytest.mark.usefixtures("short_stretches")
class TestOpened:
    """Every format holds the very same images and labels as the arrays."""

    def test_imagefolder_of_torchvision(self, kind, tmp_path):
        from torchvision.datasets import ImageFolder

        sample(kind, "tensors", tmp_path / "arrays", Order(6))
        sample(kind, "folders", tmp_path / "folders", Order(6))
        images, labels = arrays(tmp_path / "arrays")
        opened = ImageFolder(str(tmp_path / "folders"), loader=lambda path: (path, np.array(Image.open(path))))
        assert len(opened) == len(images)
        for (path, pixels), place in opened:
            folder, number = opened.classes[place], int(Path(path).stem)
            assert Path(path).name == f"{number:06d}.png"
            if kind in ("per_class", "conditional"):
                label = folder_names(CLASSES).index(folder)
                row = number * len(CLASSES) + label  # classes take turns
                assert labels[row] == label
            else:
                row = number
                told = [name for name, on in zip(NAMES, labels[row]) if on] if kind == "multi_hot" else None
                assert folder == ("unlabelled" if told is None else "+".join(told) or "none of them")
            assert np.array_equal(pixels, images[row, 0])

    def test_parquet_by_datasets(self, kind, tmp_path):
        from datasets import ClassLabel, load_dataset

        sample(kind, "tensors", tmp_path / "arrays", Order(6))
        sample(kind, "parquet", tmp_path / "parquet", Order(6))
        images, labels = arrays(tmp_path / "arrays")
        opened = load_dataset(str(tmp_path / "parquet"), split="train", cache_dir=str(tmp_path / "cache"))
        assert np.array_equal(np.stack([np.array(image) for image in opened["image"]]), images[:, 0])
        assert opened["latent_seed"] == np.load(tmp_path / "arrays" / "latent_seeds.npy").tolist()
        if kind == "multi_hot":
            assert np.array_equal(np.stack([opened[name] for name in NAMES], 1), labels.astype(bool))
        elif kind == "none":
            assert opened.column_names == ["image", "latent_seed"]
        else:
            assert opened.features["label"] == ClassLabel(names=CLASSES) and opened["label"] == labels.tolist()

    def test_webdataset(self, kind, tmp_path):
        import webdataset

        sample(kind, "tensors", tmp_path / "arrays", Order(6))
        made = sample(kind, "webdataset", tmp_path / "tars", Order(6))
        images, labels = arrays(tmp_path / "arrays")
        pattern = f"{tmp_path}/tars/train-{{000000..{made.shards - 1:06d}}}.tar"
        opened = list(webdataset.WebDataset(pattern, shardshuffle=False).decode("l8"))
        assert [each["__key__"] for each in opened] == [f"{row:09d}" for row in range(len(images))]
        assert np.array_equal(np.stack([each["png"] for each in opened]), images[:, 0])
        if kind == "multi_hot":
            assert [list(each["json"]["attributes"].values()) for each in opened] == labels.tolist()
        elif kind == "none":
            assert not any("cls" in each for each in opened)
        else:
            assert [each["cls"] for each in opened] == labels.tolist()
            assert [each["json"]["class"] for each in opened] == [CLASSES[label] for label in labels]

    def test_webdataset_by_datasets(self, tmp_path):
        from datasets import load_dataset

        sample("conditional", "webdataset", tmp_path / "tars", Order(6))
        files = {"train": sorted(map(str, (tmp_path / "tars").glob("*.tar")))}
        opened = load_dataset("webdataset", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
        assert [int(label) for label in opened["cls"]] == [0, 1, 2] * 6

    def test_what_import_reads(self, tmp_path):
        """Minted folders are images of one's own, like any."""
        from labelmint.data.sources import imagefolder

        sample("per_class", "folders", tmp_path / "folders", Order(6))
        source = imagefolder.read_from(tmp_path / "folders", "minted", tmp_path / "scratch")
        assert source.classes == ["T-shirt_top", "cat", "dog"] and np.bincount(source.labels).tolist() == [6, 6, 6]


class TestOrders:
    def test_a_class_alone_is_that_of_all(self, tmp_path):
        for kind in ("per_class", "conditional"):
            sample(kind, "tensors", tmp_path / kind / "all", Order(5))
            sample(kind, "tensors", tmp_path / kind / "one", Order(5, ("dog",)))
            images, labels = arrays(tmp_path / kind / "all")
            one, told = arrays(tmp_path / kind / "one")
            assert told.tolist() == [1] * 5
            assert np.abs(one.astype(int) - images[labels == 1]).max() <= 1  # another batch may round otherwise

    def test_seeds_differ(self, kind, tmp_path):
        sample(kind, "tensors", tmp_path / "zero", Order(8))
        sample(kind, "tensors", tmp_path / "one", Order(8, seed=1))
        zero, one = arrays(tmp_path / "zero")[0], arrays(tmp_path / "one")[0]
        assert not any(np.array_equal(a, b) for a in zero for b in one)

    def test_no_two_images_have_one_latent(self, kind):
        plan = Plan(generators(kind), Order(500))
        assert len(np.unique(plan.rows(0, plan.total).seeds)) == plan.total

    def test_patterns_come_in_their_real_shares(self):
        """Half of the real images were Smiling+Young."""
        plan = Plan(generators("multi_hot"), Order(10_000))
        which = plan.rows(0, 10_000).which
        counts = {title: int((which == place).sum()) for place, title in enumerate(plan.titles)}
        assert counts == pytest.approx({"none of them": 2500, "Smiling+Young": 5000, "Male": 2500}, abs=3)

    def test_a_pattern_that_no_real_image_had_may_be_asked_for(self, tmp_path):
        sample("multi_hot", "tensors", tmp_path, Order(3, ("Male+Young", "none of them")))
        assert arrays(tmp_path)[1].tolist() == [[1, 0, 1], [0, 0, 0]] * 3

    def test_a_fair_generator_names_its_own_outcome(self, tmp_path):
        """The folder says what the generator told, not what was asked."""
        labels = np.array([[0, 1, 1], [1, 0, 0]])
        family = FAMILIES["fairness_gan"]
        label_spec = LabelSpec.of(family, NAMES, labels)
        network = registry.load("fairness_gan").build_generator(family, SHAPE, 3)
        initialize(network, "glorot_uniform", torch.Generator().manual_seed(0))
        weights = {name: value.numpy()[None] for name, value in network.state_dict().items() if value.ndim}
        found = GeneratorArchive("fairness_gan", family, SHAPE, label_spec, weights)
        for format in ("folders", "tensors"):
            export.run(Export(found, "w", Order(40, ("Male",)), format, tmp_path / format, 1), "")
        told = arrays(tmp_path / "tensors")[1]
        assert (told[:, 0] == 1).all() and {0.0, 1.0} == set(told[:, 1].tolist())  # Smiling is the outcome
        for row, label in enumerate(told):
            folder = "+".join(name for name, on in zip(NAMES, label) if on)
            assert (tmp_path / "folders" / folder / f"{row:06d}.png").exists()

    @pytest.mark.parametrize(
        ("kind", "arguments", "says"),
        [
            ("per_class", (1, ("dgo",)), "no class 'dgo'; did you mean 'dog'?; there are cat, dog"),
            ("multi_hot", (1, ("Male+Smilin",)), "no attribute 'Smilin'; did you mean 'Smiling'?"),
            ("none", (1, ("cat",)), "was trained without labels"),
            ("per_class", (0,), "--count must be at least 1"),
            ("per_class", (1, ("cat", "cat")), "names one twice"),
            ("per_class", (1, (), -1), "--seed must be"),
        ],
    )
    def test_what_cannot_be(self, kind, arguments, says):
        with pytest.raises(InputError) as raised:
            Plan(generators(kind), Order(*arguments))
        assert says in str(raised.value)


@pytest.mark.usefixtures("short_stretches")
class TestGoingOn:
    def test_workers_change_no_byte(self, tmp_path):
        for format in ("folders", "tensors", "parquet", "webdataset"):
            for workers in (1, 2):
                sample("conditional", format, tmp_path / f"{format}-{workers}", Order(9), workers)
            assert tree(tmp_path / f"{format}-1") == tree(tmp_path / f"{format}-2")

    @pytest.mark.parametrize("format", ["folders", "tensors", "parquet", "webdataset"])
    def test_a_stop_anywhere_is_gone_on_from(self, format, tmp_path, monkeypatch):
        """After each of the four stretches in turn; the rest is made, and no more."""
        sample("per_class", format, tmp_path / "whole", Order(9))
        write = export._write_shard
        for stops in range(4):
            folder, left = tmp_path / f"stopped-{stops}", [stops]

            def failing(*arguments, left=left):
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
                write(*arguments)

            made = Export(generators("per_class"), "weights", Order(9), format, folder, 1)
            monkeypatch.setattr(export, "_write_shard", failing)
            with pytest.raises(KeyboardInterrupt):
                export.run(made, "sheet")
            assert not (folder / "README.md").exists()
            monkeypatch.setattr(export, "_write_shard", write)
            assert export.run(made, "sheet") == 27 - 7 * stops
            assert tree(folder) == tree(tmp_path / "whole")
            assert export.run(made, "sheet") == 0

    def test_a_stop_while_finishing(self, tmp_path, monkeypatch):
        """All rows were written, and one of the arrays already had its name."""
        sample("per_class", "tensors", tmp_path / "whole", Order(9))
        made = Export(generators("per_class"), "weights", Order(9), "tensors", tmp_path / "cut", 1)
        replace_, calls = export.save_bytes, []

        def failing(path, content):
            if path.name == "README.md":
                calls.append(path)
                raise KeyboardInterrupt
            replace_(path, content)

        monkeypatch.setattr(export, "save_bytes", failing)
        with pytest.raises(KeyboardInterrupt):
            export.run(made, "sheet")
        monkeypatch.setattr(export, "save_bytes", replace_)
        (tmp_path / "cut" / "labels.npy").rename(tmp_path / "cut" / "labels.npy.partial")
        assert export.run(made, "sheet") == 0 and calls
        assert tree(tmp_path / "cut") == tree(tmp_path / "whole")

    def test_another_order_does_not_mix_in(self, tmp_path):
        sample("per_class", "tensors", tmp_path / "out", Order(9))
        before = tree(tmp_path / "out")
        with pytest.raises(InputError, match="another order \\(count: 9, now 8\\)"):
            export.run(Export(generators("per_class"), "weights", Order(8), "tensors", tmp_path / "out", 1), "")
        assert tree(tmp_path / "out") == before

    def test_a_folder_with_something_else_is_left_alone(self, tmp_path):
        (tmp_path / "thesis.txt").write_text("mine")
        with pytest.raises(InputError, match="is not empty"):
            export.run(Export(generators("per_class"), "weights", Order(8), "folders", tmp_path, 1), "")
        assert tree(tmp_path) == {"thesis.txt": b"mine"}


class TestNames:
    def test_class_names_become_folders(self):
        assert folder_names(["T-shirt/top", "..", "a:b", " x. "]) == ["T-shirt_top", "_", "a_b", "x"]

    def test_names_that_fall_together_stay_apart(self):
        assert folder_names(["a/b", "a:b", "A_B", "c"]) == ["a_b~0", "a_b~1", "A_B~2", "c"]


class TestDatasheet:
    def test_it_says_where_the_images_come_from(self, kind):
        found, order = generators(kind), Order(5, seed=3)
        text = datasheet.render(found, "dcgan-40-0", "cd" * 32, order, Plan(found, order), "tensors", "out", 1, None)
        for part in ("Pets", "40 % of its training images: 12", "ab" * 32, "cd" * 32, "CC BY 4.0", "seed 3"):
            assert part in text
        assert "has not been evaluated here" in text
        assert "labelmint sample dcgan-40-0 --count 5 --seed 3 --format tensors --out out" in text

    def test_it_holds_the_metrics_of_a_trained_arm(self, workspace):
        arm = Arm("dcgan", 100, 0)
        found = archive.load(workspace.generator(arm))
        metrics = json.loads(workspace.metrics(arm).read_text())
        order = Order(5, ("7",))
        text = datasheet.render(found, arm.name, "", order, Plan(found, order), "folders", "out", 1, metrics)
        row = next(row for row in metrics["rows"] if row["source"] == "synthetic")
        assert f"told {100 * row['accuracy']:.2f} % [" in text
        assert f"**Memorised**: {100 * row['memorised']:.2f} %" in text
        assert f"| {row['kid']:.4g} |" in text and "Minted: 7, no other class" in text
        facts = json.loads((workspace.tensors / "dataset.json").read_text())
        assert f"| data set | {facts['title']} |" in text and f"| licence | {facts['licence']} |" in text
        assert found.trained_on["images"] == 12 * 10 and len(found.trained_on["images_sha256"]) == 64

    def test_the_sample_of_an_arm_is_its_synthetic_set(self, workspace, tmp_path):
        arm = Arm("dcgan", 100, 0)
        found = published.open_generator(workspace.generator(arm))
        export.run(Export(found, "w", Order(15), "tensors", tmp_path, 1), "")
        images, labels = arrays(tmp_path)
        minted, told = load_set(workspace.synthetic(arm))
        order = np.argsort(labels, kind="stable")
        assert np.array_equal(labels[order], told)
        assert np.abs(images[order].astype(int) - minted).max() <= 1


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
