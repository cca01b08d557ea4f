from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, BadImageError, Source
from labelmint.data.sources import read
from labelmint.runtime.errors import InputError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A data set of 8 training and 2 test images, saved by the `datasets` library in all its formats."""
    datasets = pytest.importorskip("datasets")
    folder = tmp_path_factory.mktemp("saved")
    labels = [number % 2 for number in range(10)]
    images = [Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)) for number in range(10)]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    data = datasets.Dataset.from_dict({"image": images, "label": labels}, features)
    parts = datasets.DatasetDict({"test": data.select(range(8, 10)), "train": data.select(range(8))})
    parts.save_to_disk(str(folder / "arrow"))
    (folder / "parquet").mkdir()
    parts["train"].to_parquet(str(folder / "parquet" / "train-00000-of-00001.parquet"), batch_size=3)
    parts["test"].to_parquet(str(folder / "parquet" / "test-00000-of-00001.parquet"))
    data.to_parquet(str(folder / "one.parquet"))
    return folder


def read_table(path: Path) -> Source:
    return read(Dataset(name="mine", format="huggingface", path=str(path)), path, path)


@pytest.mark.parametrize(("name", "has_split"), [("arrow", True), ("parquet", True), ("one.parquet", False)])
def test_reads_what_the_library_writes(saved, contents, name, has_split):
    source = read_table(saved / name)
    assert source.classes == ["cat", "dog"]
    assert source.labels.tolist() == [0, 1] * 5
    assert (source.split is not None) == has_split
    if has_split:
        assert np.asarray(source.split).tolist() == [TRAIN] * 8 + [TEST] * 2
    for index, content in zip((9, 0, 5, 4), contents(source, 9, 0, 5, 4)):
        assert np.asarray(Image.open(io.BytesIO(content))).mean() == 20 * index
    if name == "parquet":
        assert source.images.name(9) == "test-00000-of-00001.parquet, row 1"


def test_reads_record_batches(tmp_path, contents):
    table = pa.table({"img": [b"a", b"b", b"c"], "label": [1, 0, 1]})
    with (
        pa.OSFile(str(tmp_path / "train.arrow"), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=2)
    source = read_table(tmp_path)
    assert source.classes == ["0", "1"]
    assert source.labels.tolist() == [1, 0, 1]
    assert contents(source, 2, 0, 1) == [b"c", b"a", b"b"]


def test_an_empty_cell_is_a_bad_image(tmp_path):
    pq.write_table(pa.table({"image": [b"x", None], "label": [0, 1]}), tmp_path / "one.parquet")
    with (
        read_table(tmp_path).images.open() as image,
        pytest.raises(BadImageError, match="no image in the row"),
    ):
        image(1)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"], "label": [0]}, "no Image column among text, label; name it 'image'"),
        ({"image": [b"x"], "label": ["cat"]}, "is object, expected class numbers without gaps"),
        ({"image": [b"x"], "label": [-1]}, "column 'label' has no class numbers"),
        ({"image": [b"x"], "label": [1]}, "2 classes but only 1 images"),
    ],
)
def test_refuses_other_columns(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "one.parquet")
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "one.parquet")


def test_refuses_other_files(tmp_path):
    with pytest.raises(InputError, match="no Parquet or Arrow files there"):
        read_table(tmp_path)
    pq.write_table(pa.table({"image": [b"x"], "label": [0]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"picture": [b"x"], "label": [0]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="b.parquet has other columns than a.parquet"):
        read_table(tmp_path)
    (tmp_path / "b.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(InputError, match="damaged Parquet or Arrow data"):
        read_table(tmp_path)
