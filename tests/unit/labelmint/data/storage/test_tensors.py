"""Labelled images on disk: row-wise access, and what is refused."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

from labelmint.data.storage.tensors import (
    ImageFile,
    keep_rows,
    load_set,
    read_array_header,
    save_array,
    save_checksums,
    save_set,
    write_header,
)
from labelmint.runtime.errors import InputError


def flip_bit(path: Path, position: int = -1) -> None:
    """Flip one bit and keep the times, as a disk does it, unseen by DVC."""
    facts, content = path.stat(), bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


class TestLoadSet:
    def test_returns_what_was_saved(self, tmp_path, noise):
        save_set(tmp_path, noise, np.arange(len(noise)))
        images, labels = load_set(tmp_path)
        assert np.array_equal(images, noise)
        assert labels.tolist() == list(range(len(noise)))
        with pytest.raises(ValueError, match="read-only"):
            images[0] = 0

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda folder: (folder / "labels.npy").unlink(), "labels.npy is missing"),
            (lambda folder: (folder / "checksums.json").unlink(), "checksums.json is missing"),
            (
                lambda folder: (folder / "checksums.json").write_text("[]"),
                "images.npy: damaged, its checksum",
            ),
            (
                lambda folder: (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:-5]),
                "images.npy: damaged, its checksum is not the one in checksums.json; delete it",
            ),
            (lambda folder: flip_bit(folder / "images.npy"), "images.npy: damaged, its checksum"),
            (lambda folder: flip_bit(folder / "labels.npy"), "labels.npy: damaged, its checksum"),
        ],
    )
    def test_refuses_damaged_files(self, tmp_path, noise, damage, message):
        save_set(tmp_path, noise, np.zeros(len(noise), np.int64))
        damage(tmp_path)
        with pytest.raises(InputError, match=message):
            load_set(tmp_path)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("images.npy", b"", "damaged array"),
            ("labels.npy", np.zeros(3, np.int64), "expected uint8 images"),
            ("labels.npy", np.array([{}], object), "damaged array"),
        ],
    )
    def test_refuses_other_content_with_a_right_checksum(self, tmp_path, noise, name, content, message):
        save_set(tmp_path, noise, np.zeros(len(noise), np.int64))
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            np.save(tmp_path / name, content)
        save_checksums(tmp_path)
        with pytest.raises(InputError, match=message):
            load_set(tmp_path)


class TestRows:
    def test_reads_rows_in_any_order(self, tmp_path, noise):
        save_array(tmp_path / "x.npy", noise)
        with ImageFile(tmp_path / "x.npy") as file:
            assert len(file) == len(noise)
            assert np.array_equal(file[np.array([7, 0, 7])], noise[[7, 0, 7]])

    def test_keeps_some_rows(self, tmp_path, noise):
        save_array(tmp_path / "x.npy", noise)
        keep_rows(tmp_path / "x.npy", np.array([1, 5]))
        assert np.array_equal(np.load(tmp_path / "x.npy"), noise[[1, 5]])

    def test_header_of_a_file_to_be_written(self, tmp_path):
        offset = write_header(tmp_path / "x.npy", (3, 1, 2, 2))
        assert (tmp_path / "x.npy").stat().st_size == offset + 12
        assert np.array_equal(np.load(tmp_path / "x.npy"), np.zeros((3, 1, 2, 2), np.uint8))


class TestHeader:
    def header(self, array: np.ndarray):
        buffer = io.BytesIO()
        np.save(buffer, array)
        buffer.seek(0)
        return read_array_header(buffer)

    def test_describes_the_array(self):
        shape, dtype, offset = self.header(np.zeros((2, 3), np.int16))
        assert (shape, dtype, offset) == ((2, 3), np.int16, 128)

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.array([{}], object), "contains Python objects"),
            (np.asfortranarray(np.zeros((2, 3))), "stored column by column"),
        ],
    )
    def test_refuses_objects_and_columns(self, array, message):
        with pytest.raises(ValueError, match=message):
            self.header(array)

    def test_refuses_other_files(self):
        with pytest.raises(ValueError, match="is not an array"):
            read_array_header(io.BytesIO(b"PK" + bytes(100)))
