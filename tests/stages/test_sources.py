"""Published formats: real ones where they are at hand, else small trees in the exact format, drawn by the test."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmint.data import download
from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, Source
from labelmint.data.sources import cifar, idx, read
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.errors import InputError
from tests.conftest import SHARED

RNG = np.random.default_rng(5)


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def pixels_of(source: Source, *places: int) -> list[np.ndarray]:
    with source.images.open() as image:
        return [np.asarray(image(place)) for place in places]


class TestIdx:
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)

    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_reads_plain_and_gzipped(self, tmp_path, pack):
        path = tmp_path / "images"
        path.write_bytes(pack(idx_bytes(self.images)))
        assert idx.header(idx.plain(path, tmp_path / "scratch"), 3) == (2, 3, 4)

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (idx_bytes(images)[:-1], "promises 24 bytes, the file holds 23"),
            (idx_bytes(images) + b"x", "promises 24 bytes, the file holds 25"),
            (b"\0\0", "too few for an idx header"),
            (b"\0\0\x0d\x03" + idx_bytes(images)[4:], "not an idx file of bytes in 3 dimensions"),
            (b"<html>" + b"x" * 40, "not an idx file"),
            (gzip.compress(idx_bytes(images), mtime=0)[:-9], "damaged gzip"),
            (gzip.compress(idx_bytes(images), mtime=0)[:12] + b"\xff" * 20, "damaged gzip"),
        ],
    )
    def test_refuses_what_is_cut_or_foreign(self, tmp_path, content, says):
        path = tmp_path / "images"
        path.write_bytes(content)
        with pytest.raises(InputError, match=says) as error:
            idx.header(idx.plain(path, tmp_path / "scratch"), 3)
        assert "images" in str(error.value) and "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("start", "limit"),
        [(idx_bytes(images)[:16], 40), (b"\0\0\x08\x03" + b"\xff" * 12, 1 << 30), (b"<html>" + b"x" * 40, 1 << 20)],
    )
    def test_a_bomb_is_unpacked_no_further_than_it_promises(self, tmp_path, monkeypatch, start, limit):
        monkeypatch.setattr(idx, "_MOST_BYTES", min(limit, 8 << 20))
        path, scratch = tmp_path / "images.gz", tmp_path / "scratch"
        path.write_bytes(gzip.compress(start + bytes(32 << 20), 1))
        with pytest.raises(
            InputError, match=f"unpacks to more than the {min(limit, 8 << 20):,} bytes that it promises"
        ):
            idx.plain(path, scratch, "0" * 32)
        assert (scratch / "images").stat().st_size <= (8 << 20) + (1 << 20)

    def test_checks_the_sum_before_parsing(self, tmp_path):
        path = tmp_path / "images"
        path.write_bytes(b"anything")
        assert idx.plain(path, tmp_path, hashlib.md5(b"anything").hexdigest()) == path
        with pytest.raises(InputError, match="checksum"):
            idx.plain(path, tmp_path, "0" * 32)

    @pytest.mark.parametrize(
        ("name", "mean", "first_class"), [("mnist", 33.32, "0"), ("fashion_mnist", 72.94, "T-shirt")]
    )
    def test_real_sets(self, monkeypatch, tmp_path, name, mean, first_class):
        folder = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[name]
        if not (SHARED / folder).is_dir():
            pytest.skip(f"{folder} is not at {SHARED}; set LABELMINT_TEST_DATA")
        monkeypatch.setenv(download.MIRROR, str(SHARED))
        source = read(Dataset(name=name), tmp_path, tmp_path)
        assert [(source.split == part).sum() for part in (TRAIN, TEST)] == [60000, 10000]
        assert source.classes[0] == first_class and len(source.classes) == 10
        training = np.stack(pixels_of(source, *range(60000)))
        assert training.shape == (60000, 28, 28) and round(float(training.mean()), 2) == mean
        if name == "mnist":
            counts = np.bincount(source.labels[source.split == TEST]).tolist()
            assert counts == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]

    def test_kmnist_is_known_by_the_sums_of_its_files(self, tmp_path, monkeypatch):
        folder = tmp_path / "KMNIST" / "raw"
        folder.mkdir(parents=True)
        images, labels = RNG.integers(0, 256, (4, 28, 28)), np.array([0, 9, 3, 3])
        known = idx._SETS["kmnist"]
        for part, content in zip(idx._PARTS, (images, labels, images[:2], labels[:2])):
            packed = gzip.compress(idx_bytes(content))
            (folder / f"{part}.gz").write_bytes(packed)
            monkeypatch.setitem(known.file_md5, part, hashlib.md5(packed).hexdigest())
        source = read(Dataset(name="kmnist"), tmp_path, tmp_path / "scratch")
        assert source.labels.tolist() == [0, 9, 3, 3, 0, 9] and (pixels_of(source, 5)[0] == images[1]).all()
        monkeypatch.setitem(known.file_md5, idx._PARTS[0], "0" * 32)
        with pytest.raises(InputError, match="checksum is"):
            read(Dataset(name="kmnist"), tmp_path, tmp_path / "scratch")

    @pytest.mark.parametrize(("kind", "first"), [("letters", 1), ("digits", 0)])
    def test_emnist_is_stored_column_by_column_in_a_zip(self, tmp_path, monkeypatch, kind, first):
        images, labels = RNG.integers(0, 256, (3, 28, 28)).astype(np.uint8), np.array([0, 2, 1]) + first
        (tmp_path / "emnist").mkdir()
        path = tmp_path / "emnist" / "gzip.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for part in ("train", "test"):
                for what, content in (("images-idx3", images), ("labels-idx1", labels)):
                    name = f"gzip/emnist-{kind}-{part}-{what}-ubyte.gz"
                    archive.writestr(name, gzip.compress(idx_bytes(content)))
        monkeypatch.setattr(idx, "_EMNIST_MD5", hashlib.md5(path.read_bytes()).hexdigest())
        source = read(Dataset(name=f"emnist_{kind}"), tmp_path, tmp_path / "scratch")
        assert source.labels.tolist() == [0, 2, 1] * 2
        assert (pixels_of(source, 4)[0] == images[1].T).all()

    def test_counts_must_agree(self, refused, project):
        folder = project / "data" / "raw" / "FashionMNIST" / "raw"
        folder.mkdir(parents=True)
        images = RNG.integers(0, 256, (4, 28, 28))
        for part, content in zip(idx._PARTS, (images, np.zeros(3), images, np.zeros(4))):
            (folder / part).write_bytes(idx_bytes(content))
        assert "checksum is" in refused(name="fashion_mnist", image_size=28)

    def test_images_and_labels_that_do_not_belong_together(self, tmp_path):
        files = [tmp_path / part for part in idx._PARTS]
        images = RNG.integers(0, 256, (4, 28, 28))
        for path, content in zip(files, (images, np.zeros(3), images, np.zeros(4))):
            path.write_bytes(idx_bytes(content))
        with pytest.raises(InputError, match="4 images in train-images-idx3-ubyte but 3 labels"):
            idx._assemble("x", "", "", [], files, {})


class TestCifar:
    @pytest.fixture(params=["cifar10", "cifar100"])
    def made(self, request, tmp_path, monkeypatch):
        """(name, raw folder, images, labels) of an archive with few records in each published file."""
        known, raw = cifar._SETS[request.param], tmp_path / "raw"
        raw.mkdir()
        files = [*known.train, *known.test]
        images = RNG.integers(0, 256, (2 * len(files), 3, 32, 32)).astype(np.uint8)
        labels = RNG.integers(0, known.classes, len(images))
        with tarfile.open(raw / known.archive, "w:gz") as archive:
            for place, name in enumerate(files):
                records = b""
                for row in (2 * place, 2 * place + 1):
                    records += bytes([7] * (known.label_bytes - 1) + [labels[row]]) + images[row].tobytes()
                _add(archive, name, records)
            _add(
                archive,
                known.class_names,
                "\n".join(f"c{number}" for number in range(known.classes)).encode() + b"\n\n",
            )
        sum_ = hashlib.md5((raw / known.archive).read_bytes()).hexdigest()
        monkeypatch.setitem(cifar._SETS, request.param, replace(known, md5=sum_))
        return request.param, raw, images, labels

    def test_reads_the_binary_version(self, made, tmp_path):
        name, raw, images, labels = made
        source = read(Dataset(name=name), raw, tmp_path / "scratch")
        assert source.labels.tolist() == labels.tolist() and source.classes[3] == "c3"
        assert source.split.tolist() == [TRAIN] * (len(labels) - 2) + [TEST] * 2
        for place, found in enumerate(pixels_of(source, *range(len(labels)))):
            assert (found == images[place].transpose(1, 2, 0)).all()

    def test_checks_the_sum_first(self, made, tmp_path):
        name, raw, *_ = made
        path = raw / cifar._SETS[name].archive
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(InputError, match="checksum is"):
            read(Dataset(name=name), raw, tmp_path / "scratch")

    def test_the_pickled_version_is_never_opened(self, refused, project):
        class Sprung:
            def __reduce__(self):
                return Path.touch, (project / "sprung",)

        folder = project / "data" / "raw"
        folder.mkdir(parents=True)
        with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
            _add(archive, "cifar-10-batches-py/data_batch_1", pickle.dumps(Sprung()))
        said = refused(name="cifar10", image_size=32, channels=3)
        assert "is the pickled version" in said and "put cifar-10-binary.tar.gz there" in said
        assert not (project / "sprung").exists()


class TestLsun:
    def make(self, folder: Path, count: int) -> list[np.ndarray]:
        import lmdb

        images = [RNG.integers(0, 256, (40, 60, 3)).astype(np.uint8) for _ in range(count)]
        with lmdb.open(str(folder), map_size=1 << 24) as environment, environment.begin(write=True) as view:
            for place, image in enumerate(images):
                view.put(hashlib.sha1(str(place).encode()).hexdigest().encode(), jpeg(image))
        return images

    def test_categories_are_classes_and_val_is_the_test_set(self, project, run_stage):
        raw = project / "data" / "raw" / "lsun"
        for category in ("bedroom", "tower"):
            for part, count in (("train", 6), ("val", 2)):
                (raw / f"{category}_{part}_lmdb").mkdir(parents=True)
                self.make(raw / f"{category}_{part}_lmdb", count)
        code, said = run_stage(
            "prepare", name="lsun", categories=["bedroom", "tower"], image_size=16, channels=3, crop="center", crop_percent=50
        )  # fmt: skip
        assert code == 0, said
        images, labels = load_set(project / "data/tensors")
        assert images.shape == (12, 3, 16, 16) and labels.tolist() == [0] * 6 + [1] * 6
        assert load_set(project / "data/tensors/test")[1].tolist() == [0, 0, 1, 1]

    def test_a_category_without_test_images_has_some_held_out(self, project, tmp_path):
        (tmp_path / "x" / "church_train_lmdb").mkdir(parents=True)
        self.make(tmp_path / "x" / "church_train_lmdb", 5)
        source = read(Dataset(name="lsun", categories=["church"], path=str(tmp_path / "x")), tmp_path, tmp_path)
        assert source.split is None and len(source.labels) == 5 and "church_train_lmdb, key " in source.images.name(3)

    def test_mistakes(self, refused, project):
        assert "bedroom_train_lmdb is missing; get the category" in refused(name="lsun", categories=["bedroom"])
        folder = project / "data/raw/lsun/bedroom_train_lmdb"
        folder.mkdir(parents=True)
        (folder / "data.mdb").write_bytes(b"not an lmdb" * 1000)
        assert "damaged LMDB" in refused(name="lsun", categories=["bedroom"])


class TestImagenet32:
    def make(self, folder: Path, save=np.savez) -> tuple[np.ndarray, np.ndarray]:
        folder.mkdir(parents=True)
        images = RNG.integers(0, 256, (12, 3072)).astype(np.uint8)
        labels = np.array([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3])
        for number, part in enumerate((slice(0, 3), slice(3, 6), slice(6, 9)), 1):
            name = f"train_data_batch_{number if number < 3 else 10}.npz"
            save(folder / name, data=images[part], labels=labels[part].tolist(), mean=images.mean(0))
        save(folder / "val_data.npz", data=images[9:], labels=labels[9:].tolist())
        return images, labels

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_reads_the_published_batches_in_place(self, tmp_path, save):
        images, labels = self.make(tmp_path / "imagenet32", save)
        source = read(Dataset(name="imagenet32"), tmp_path, tmp_path / "scratch")
        assert source.labels.tolist() == (labels - 1).tolist() and source.classes == ["1", "2", "3"]
        assert source.split.tolist() == [TRAIN] * 9 + [TEST] * 3
        for place, found in enumerate(pixels_of(source, *range(12))):
            assert (found == images[place].reshape(3, 32, 32).transpose(1, 2, 0)).all()
        assert (tmp_path / "scratch").exists() == (save is np.savez_compressed)

    def test_names_that_are_shared_by_two_classes_are_told_apart(self, tmp_path):
        self.make(tmp_path / "imagenet32")
        (tmp_path / "imagenet32" / "map_clsloc.txt").write_text("n1 1 crane\nn2 2 crane\nn3 3 kit_fox\n")
        assert read(Dataset(name="imagenet32"), tmp_path, tmp_path).classes == ["crane_1", "crane_2", "kit_fox"]

    @pytest.mark.parametrize(
        ("arrays", "says"),
        [
            ({"data": np.zeros((2, 3072), np.uint8), "labels": np.array([{}, {}])}, "labels holds Python objects"),
            ({"data": np.array([[{}]]), "labels": [1]}, "data holds Python objects, whose loading would run code"),
            ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "2 images but 1 labels"),
            ({"data": np.zeros((2, 100), np.uint8), "labels": [1, 1]}, "expected uint8"),
            ({"data": np.zeros((2, 3072), np.uint8)}, "not a whole npz with data and labels"),
            ({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 1001]}, "labels run from 1 to 1001"),
        ],
    )
    def test_bad_batches(self, refused, project, arrays, says):
        folder = project / "data/raw/imagenet32"
        self.make(folder)
        np.savez(folder / "train_data_batch_2.npz", **arrays)
        assert says in refused(name="imagenet32", image_size=32, channels=3)

    @pytest.mark.parametrize(
        ("arrays", "says"),
        [
            ({"data": np.zeros((10_000, 3072), np.uint8), "labels": np.ones(10_000, np.uint8)}, "'data.npy' swells from "),
            ({"data": np.zeros((1, 3072), np.uint8), "labels": np.ones(17 << 20, np.uint8)}, "'labels.npy' swells from "),
        ],
    )  # fmt: skip
    def test_a_bomb_is_not_unpacked(self, refused, project, arrays, says):
        folder = project / "data/raw/imagenet32"
        self.make(folder)
        np.savez_compressed(folder / "train_data_batch_2.npz", **arrays)
        assert says in refused(name="imagenet32", image_size=32, channels=3)

    def test_more_labels_than_imagenet_has(self, refused, project):
        folder = project / "data/raw/imagenet32"
        self.make(folder)
        np.savez(
            folder / "train_data_batch_2.npz", data=np.zeros((1, 3072), np.uint8), labels=np.ones(2_000_001, np.uint8)
        )
        assert "2,000,001 labels, but ImageNet has fewer" in refused(name="imagenet32", image_size=32, channels=3)

    def test_a_cut_batch_and_a_missing_one(self, refused, project):
        folder = project / "data/raw/imagenet32"
        assert "missing; get the 32x32 npz batches" in refused(name="imagenet32")
        self.make(folder)
        path = folder / "train_data_batch_1.npz"
        path.write_bytes(path.read_bytes()[:5000])
        assert "train_data_batch_1.npz: not a whole npz" in refused(name="imagenet32")


class TestHuggingFace:
    @pytest.fixture
    def saved(self, tmp_path, monkeypatch):
        """A real data set of the `datasets` library, in all the forms that people keep."""
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        datasets = pytest.importorskip("datasets")
        labels = [number % 2 for number in range(10)]
        images = [Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)) for number in range(10)]
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
        whole = datasets.Dataset.from_dict({"image": images, "label": labels}, features)
        parts = datasets.DatasetDict({"test": whole.select(range(8, 10)), "train": whole.select(range(8))})
        parts.save_to_disk(str(tmp_path / "arrow"))
        (tmp_path / "parquet").mkdir()
        parts["train"].to_parquet(str(tmp_path / "parquet" / "train-00000-of-00001.parquet"), batch_size=3)
        parts["test"].to_parquet(str(tmp_path / "parquet" / "test-00000-of-00001.parquet"))
        whole.to_parquet(str(tmp_path / "one.parquet"))
        return tmp_path

    @pytest.mark.parametrize(("form", "split"), [("arrow", True), ("parquet", True), ("one.parquet", False)])
    def test_reads_what_the_library_writes(self, saved, form, split):
        source = read(Dataset(name="mine", format="huggingface", path=str(saved / form)), saved, saved)
        assert source.classes == ["cat", "dog"] and source.labels.tolist() == [0, 1] * 5
        assert (source.split is not None) == split
        if split:
            assert source.split.tolist() == [TRAIN] * 8 + [TEST] * 2
        with source.images.open() as image:
            for place in (9, 0, 5, 4):
                assert np.asarray(Image.open(io.BytesIO(image(place)))).mean() == 20 * place

    def test_the_whole_stage(self, saved, project, run_stage):
        code, said = run_stage("prepare", name="huggingface", path=str(saved / "parquet"), image_size=8, channels=3)
        assert code == 0, said
        assert load_set(project / "data/tensors")[0][:, 0, 0, 0].tolist() == [20 * number for number in range(8)]

    def test_mistakes(self, saved, refused):
        import pyarrow as pa
        import pyarrow.parquet as pq

        assert "neither Parquet nor Arrow files" in refused(name="huggingface", path=str(saved / "home"))
        pq.write_table(pa.table({"text": ["a"], "label": [0]}), saved / "text.parquet")
        assert "no Image column among text, label" in refused(name="huggingface", path=str(saved / "text.parquet"))
        pq.write_table(pa.table({"image": [b"x"], "label": ["cat"]}), saved / "words.parquet")
        assert "expected class numbers" in refused(name="huggingface", path=str(saved / "words.parquet"))
        (saved / "bad.parquet").write_bytes(b"PAR1 nonsense PAR1")
        assert "damaged Parquet or Arrow data" in refused(name="huggingface", path=str(saved / "bad.parquet"))


def test_a_published_set_that_is_nowhere(refused, monkeypatch):
    """Offline: every place that was looked at is named."""
    monkeypatch.setattr(
        cifar, "locate", lambda names, raw, addresses: download.locate(names, raw, ["http://127.0.0.1:9/x"])
    )
    said = refused(name="cifar10", image_size=32, channels=3)
    assert "cifar-10-binary.tar.gz not found: tried" in said and "data/raw" in said and "refused" in said


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
