from __future__ import annotations

import os

import numpy as np
import pytest

from labelmint.data import stored_images
from labelmint.data.source import BadImageError
from labelmint.data.stored_images import Block, FolderImages, RecordImages


def test_records_are_found_in_their_files_and_turned(tmp_path):
    content = np.arange(60, dtype=np.uint8)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(content.tobytes())
    blocks = [Block(tmp_path / "a", 1, 13, 4), Block(tmp_path / "b", 0, 20, 3)]
    images = RecordImages(blocks, (2, 3, 2), "CHW")
    with images.open() as image:
        assert (image(3) == content[40:52].reshape(2, 3, 2).transpose(1, 2, 0)).all()
        assert (image(4) == content[:12].reshape(2, 3, 2).transpose(1, 2, 0)).all()
        assert (image(6) == content[40:52].reshape(2, 3, 2).transpose(1, 2, 0)).all()
    assert images.name(5) == "b, record 1"
    with RecordImages([Block(tmp_path / "a", 0, 6, 10)], (2, 3), "WH").open() as image:
        assert (image(1) == content[6:12].reshape(2, 3).T).all()


def test_a_truncated_record_is_a_bad_image(tmp_path):
    (tmp_path / "a").write_bytes(bytes(10))
    with (
        RecordImages([Block(tmp_path / "a", 0, 6, 2)], (2, 3), "HW").open() as image,
        pytest.raises(BadImageError, match="truncated after 4 of 6 bytes"),
    ):
        image(1)


def test_a_pipe_that_replaced_a_listed_file_is_a_bad_image(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with (
        FolderImages(tmp_path, ["pipe.png"]).open() as image,
        pytest.raises(BadImageError, match="not a regular file"),
    ):
        image(0)


def test_a_missing_and_a_large_file_are_bad_images(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_images, "MAX_BYTES", 100)
    (tmp_path / "large.png").write_bytes(bytes(101))
    with FolderImages(tmp_path, ["gone.png", "large.png"]).open() as image:
        with pytest.raises(BadImageError, match="cannot be read"):
            image(0)
        with pytest.raises(BadImageError, match="more than 100 bytes"):
            image(1)
