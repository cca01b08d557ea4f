from __future__ import annotations

import gzip
import hashlib
import struct
import zipfile

import numpy as np
import pytest

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN
from labelmint.data.sources import idx, read
from labelmint.runtime.errors import InputError

RNG = np.random.default_rng(5)
RAMP = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def idx_bytes(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


class TestDecompress:
    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_reads_plain_and_gzipped_files(self, tmp_path, pack):
        path = tmp_path / "images"
        path.write_bytes(pack(idx_bytes(RAMP)))
        assert idx.read_header(idx.decompress(path, tmp_path / "scratch"), 3) == (2, 3, 4)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (idx_bytes(RAMP)[:-1], "declares 24 bytes, the file has 23"),
            (idx_bytes(RAMP) + b"x", "declares 24 bytes, the file has 25"),
            (b"\0\0", "too few for an idx header"),
            (b"\0\0\x0d\x03" + idx_bytes(RAMP)[4:], "not an idx file of bytes in 3 dimensions"),
            (b"\0\0\x08\x03" + b"\xff" * 12, "declares 79228162458924105385300197375 bytes"),
            (b"<html>" + b"x" * 40, "not an idx file"),
            (gzip.compress(idx_bytes(RAMP), mtime=0)[:-9], "damaged gzip"),
            (gzip.compress(idx_bytes(RAMP), mtime=0)[:12] + b"\xff" * 20, "damaged gzip"),
        ],
    )
    def test_refuses_damaged_and_other_files(self, tmp_path, content, message):
        path = tmp_path / "images"
        path.write_bytes(content)
        with pytest.raises(InputError, match=message) as error:
            idx.read_header(idx.decompress(path, tmp_path / "scratch"), 3)
        assert "images" in str(error.value)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("start", "limit"),
        [
            (idx_bytes(RAMP)[:16], 40),
            (b"\0\0\x08\x03" + b"\xff" * 12, 4 << 20),
            (b"<html>" + b"x" * 40, 1 << 20),
        ],
    )
    def test_decompresses_a_bomb_no_further_than_it_declares(self, tmp_path, monkeypatch, start, limit):
        monkeypatch.setattr(idx, "_MAX_BYTES", 4 << 20)
        path, scratch = tmp_path / "images.gz", tmp_path / "scratch"
        path.write_bytes(gzip.compress(start + bytes(8 << 20), 1))
        with pytest.raises(InputError, match=f"to more than the {limit:,} bytes that it declares"):
            idx.decompress(path, scratch, "0" * 32)
        assert (scratch / "images").stat().st_size <= (4 << 20) + (1 << 20)

    def test_compares_the_checksum_before_parsing(self, tmp_path):
        path = tmp_path / "images"
        path.write_bytes(b"anything")
        assert idx.decompress(path, tmp_path, hashlib.md5(b"anything").hexdigest()) == path
        with pytest.raises(InputError, match="checksum is"):
            idx.decompress(path, tmp_path, "0" * 32)


class TestRead:
    def test_fashion_mnist_of_other_bytes(self, tmp_path):
        folder = tmp_path / "FashionMNIST" / "raw"
        folder.mkdir(parents=True)
        for part in idx._PARTS:
            (folder / part).write_bytes(idx_bytes(RAMP))
        with pytest.raises(InputError, match=f"{idx._PARTS[0]}: checksum is .*, expected f4a8712d7a061bf5"):
            read(Dataset(name="fashion_mnist"), tmp_path, tmp_path / "scratch")

    def test_kmnist_is_checked_by_the_checksums_of_its_files(self, tmp_path, monkeypatch, contents):
        folder = tmp_path / "KMNIST" / "raw"
        folder.mkdir(parents=True)
        images, labels = RNG.integers(0, 256, (4, 28, 28)), np.array([0, 9, 3, 3])
        known = idx._SETS["kmnist"]
        for part, content in zip(idx._PARTS, (images, labels, images[:2], labels[:2])):
            packed = gzip.compress(idx_bytes(content))
            (folder / f"{part}.gz").write_bytes(packed)
            monkeypatch.setitem(known.file_md5, part, hashlib.md5(packed).hexdigest())
        source = read(Dataset(name="kmnist"), tmp_path, tmp_path / "scratch")
        assert source.labels.tolist() == [0, 9, 3, 3, 0, 9]
        assert np.asarray(source.split).tolist() == [TRAIN] * 4 + [TEST] * 2
        assert (contents(source, 5)[0] == images[1]).all()
        monkeypatch.setitem(known.file_md5, idx._PARTS[0], "0" * 32)
        with pytest.raises(InputError, match="checksum is"):
            read(Dataset(name="kmnist"), tmp_path, tmp_path / "scratch")

    @pytest.mark.parametrize(("kind", "first"), [("letters", 1), ("digits", 0)])
    def test_emnist_is_a_zip_of_images_stored_by_column(self, tmp_path, monkeypatch, contents, kind, first):
        images = RNG.integers(0, 256, (3, 28, 28)).astype(np.uint8)
        labels = np.array([0, 2, 1]) + first
        (tmp_path / "emnist").mkdir()
        path = tmp_path / "emnist" / "gzip.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for part in ("train", "test"):
                for name, content in (("images-idx3", images), ("labels-idx1", labels)):
                    member = f"gzip/emnist-{kind}-{part}-{name}-ubyte.gz"
                    archive.writestr(member, gzip.compress(idx_bytes(content)))
        monkeypatch.setattr(idx, "_EMNIST_MD5", hashlib.md5(path.read_bytes()).hexdigest())
        source = read(Dataset(name=f"emnist_{kind}"), tmp_path, tmp_path / "scratch")
        assert source.labels.tolist() == [0, 2, 1] * 2
        assert (contents(source, 4)[0] == images[1].T).all()

    def test_images_and_labels_of_different_data_sets(self, tmp_path):
        files = [tmp_path / part for part in idx._PARTS]
        images = RNG.integers(0, 256, (4, 28, 28))
        for path, content in zip(files, (images, np.zeros(3), images, np.zeros(4))):
            path.write_bytes(idx_bytes(content))
        with pytest.raises(InputError, match="4 images in train-images-idx3-ubyte but 3 labels"):
            idx._assemble(idx._SETS["mnist"], files, {})

    def test_training_and_test_images_of_different_sizes(self, tmp_path):
        files = [tmp_path / part for part in idx._PARTS]
        contents: list[np.ndarray] = [RAMP, np.zeros(2), RAMP[:, 1:], np.zeros(2)]
        for path, content in zip(files, contents):
            path.write_bytes(idx_bytes(content))
        with pytest.raises(InputError, match="training and test images differ in size"):
            idx._assemble(idx._SETS["mnist"], files, {})
