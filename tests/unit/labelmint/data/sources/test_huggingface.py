from __future__ import annotations

import io
import json
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


def read_table(path: Path, **settings) -> Source:
    return read(Dataset(name="mine", format="huggingface", path=str(path), **settings), path, path)


def write(path: Path, columns: dict, names: dict[str, list[str]] | None = None, **features: str) -> Path:
    """A Parquet file, by default of images only.

    names: class names of ClassLabel columns. features: types of others.
    """
    count = len(next(iter(columns.values())))
    table = pa.table(
        ({} if "image" in columns else {"image": [b"%d" % row for row in range(count)]}) | columns
    )
    types: dict = {name: {"_type": kind} for name, kind in features.items()}
    types |= {name: {"_type": "ClassLabel", "names": own} for name, own in (names or {}).items()}
    stored = json.dumps({"info": {"features": types}})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": stored}), path)
    return path


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


class TestLabels:
    @pytest.mark.parametrize(
        ("labels", "classes", "numbers"),
        [
            (["dog", "cat", "dog"], ["cat", "dog"], [1, 0, 1]),
            (pa.array(["dog", "cat", "dog"], pa.large_string()), ["cat", "dog"], [1, 0, 1]),
            (pa.array(["dog", "cat", "dog"]).dictionary_encode(), ["cat", "dog"], [1, 0, 1]),
            (["10", "2", "10"], ["2", "10"], [1, 0, 1]),
            ([30, 2, 30], ["2", "30"], [1, 0, 1]),
            (pa.array([3, 2, 3], pa.uint8()), ["2", "3"], [1, 0, 1]),
            ([True, False, True], ["False", "True"], [1, 0, 1]),
            ([1, -1, 1], ["-1", "1"], [1, 0, 1]),
        ],
    )
    def test_words_and_numbers_become_classes(self, tmp_path, labels, classes, numbers):
        source = read_table(write(tmp_path / "one.parquet", {"label": labels}))
        assert (source.classes, source.labels.tolist()) == (classes, numbers)

    def test_class_names_that_occur_twice_are_told_apart(self, tmp_path):
        path = write(tmp_path / "one.parquet", {"label": [0, 1, 2]}, {"label": ["crane", "fox", "crane"]})
        assert read_table(path).classes == ["crane_0", "fox", "crane_2"]

    def test_several_columns_are_asked_about(self, tmp_path):
        names = {"fine_label": ["oak", "elm", "cod"], "coarse_label": ["tree", "fish"]}
        columns = {"fine_label": [0, 1, 2], "coarse_label": [0, 0, 1]}
        path = write(tmp_path / "one.parquet", columns, names)
        message = "fine_label, coarse_label could be the labels; set dataset.label_column to one of them"
        with pytest.raises(InputError, match=message):
            read_table(path)
        assert read_table(path, label_column="coarse_label").classes == ["tree", "fish"]
        assert read_table(path, label_column="fine_label").labels.tolist() == [0, 1, 2]
        with pytest.raises(InputError, match="no column 'fine_labl' among .*; did you mean 'fine_label'?"):
            read_table(path, label_column="fine_labl")

    def test_a_column_of_any_name_can_be_chosen(self, tmp_path):
        path = write(tmp_path / "one.parquet", {"breed": ["pug", "lab"], "age": [3, 4]})
        with pytest.raises(
            InputError, match="no ClassLabel column among image, breed, age; set dataset.label_"
        ):
            read_table(path)
        assert read_table(path, label_column="breed").classes == ["lab", "pug"]

    @pytest.mark.parametrize("hidden", [-1, None])
    @pytest.mark.parametrize("names", [None, {"label": ["cat", "dog"]}])
    def test_a_test_set_without_labels_is_left_out(self, tmp_path, contents, hidden, names):
        write(tmp_path / "data" / "train-0.parquet", {"label": [0, 1, 0]}, names)
        write(tmp_path / "data" / "test-0.parquet", {"label": pa.array([hidden] * 2, pa.int64())}, names)
        source = read_table(tmp_path)
        assert source.labels.tolist() == [0, 1, 0]
        assert np.asarray(source.split).tolist() == [TRAIN] * 3
        assert source.notes == ["the test split has no labels (-1): held out from train instead"]
        assert contents(source, 0, 1, 2) == [b"0", b"1", b"2"]

    def test_images_without_a_label_are_counted(self, tmp_path, contents):
        write(tmp_path / "train.parquet", {"label": ["cat", None, "dog", "cat", ""]})
        source = read_table(tmp_path)
        assert source.notes == ["2 of 5 training images have no label and are left out"]
        assert (source.classes, source.labels.tolist()) == (["cat", "dog"], [0, 1, 0])
        assert contents(source, 1, 2) == [b"2", b"3"]
        assert source.images.name(1) == "train.parquet, row 2"

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([[0], [0, 1]], "column 'label' is list<.*>, expected one class number or word per image"),
            ([0.5, 1.0], "column 'label' is double, expected one class number or word"),
            ([-1, -1], "the training images have no labels; set dataset.label_column"),
        ],
    )
    def test_refuses_others(self, tmp_path, labels, message):
        path = write(tmp_path / "one.parquet", {"label": labels})
        with pytest.raises(InputError, match=message):
            read_table(path)

    def test_refuses_class_names_that_differ_between_files(self, tmp_path):
        write(tmp_path / "train.parquet", {"label": [0, 1]}, {"label": ["cat", "dog"]})
        write(tmp_path / "test.parquet", {"label": [0, 1]}, {"label": ["dog", "cat"]})
        with pytest.raises(InputError, match="test.parquet has other classes in 'label' than train.parquet"):
            read_table(tmp_path)

    def test_refuses_class_names_that_cannot_be_encoded(self, tmp_path):
        path = write(tmp_path / "one.parquet", {"label": [0, 1]}, {"label": ["cat", "\ud83d"]})
        with pytest.raises(InputError, match=r"'\\ud83d' is not valid UTF-8"):
            read_table(path)


class TestImageColumn:
    def test_a_column_of_files_is_found_by_its_type(self, tmp_path, contents):
        cells = [{"path": "a.png", "bytes": b"a"}, {"path": "b.png", "bytes": b"b"}]
        pq.write_table(pa.table({"picture": cells, "label": [0, 1]}), tmp_path / "one.parquet")
        assert contents(read_table(tmp_path), 1, 0) == [b"b", b"a"]

    def test_one_named_image_is_taken_aloud(self, tmp_path, contents):
        columns = {"mask": [b"m", b"n"], "image": [b"a", b"b"], "label": [0, 1]}
        source = read_table(write(tmp_path / "one.parquet", columns, image="Image", mask="Image"))
        assert contents(source, 1) == [b"b"]
        assert source.notes == ["images are those of column 'image', not of mask"]

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"text": ["a"], "label": [0]}, "no Image column among text, label; name it 'image'"),
            ({"image": [[1, 2]], "label": [0]}, "column 'image' is list<.*>, expected image files; save it"),
            ({"front": [b"x"], "back": [b"y"], "label": [0]}, "images are in front, back; name the column"),
        ],
    )
    def test_refuses_others(self, tmp_path, columns, message):
        pq.write_table(pa.table(columns), tmp_path / "one.parquet")
        with pytest.raises(InputError, match=message):
            read_table(tmp_path / "one.parquet")


class TestFiles:
    @pytest.mark.parametrize(
        ("train", "test"),
        [
            ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
            ("default/train/0000.parquet", "default/test/0000.parquet"),
            ("default/partial-train/0000.parquet", "default/partial-test/0000.parquet"),
            ("pets_train.parquet", "pets_test.parquet"),
            ("pets.train.1.parquet", "pets.test.1.parquet"),
        ],
    )
    def test_splits_by_folders_and_words(self, tmp_path, train, test):
        write(tmp_path / test, {"label": [1, 0]})
        write(tmp_path / train, {"label": [0, 1, 0]})
        write(tmp_path / ".cache" / "train.parquet", {"other": [0]})
        source = read_table(tmp_path)
        assert np.asarray(source.split).tolist() == [TRAIN] * 3 + [TEST] * 2
        assert source.labels.tolist() == [0, 1, 0, 1, 0]

    @pytest.mark.parametrize(
        "files",
        [
            ("plain/train-0.parquet", "rotated/train-0.parquet"),
            ("plain-train-0.parquet", "rotated-train-0.parquet"),
        ],
    )
    def test_several_configurations_are_asked_about(self, tmp_path, files):
        for file in files:
            write(tmp_path / file, {"label": [0, 1]})
        with pytest.raises(
            InputError, match="2 configurations, plain, rotated; set dataset.path to the folder"
        ):
            read_table(tmp_path)
        assert read_table((tmp_path / files[1]).parent if "/" in files[1] else tmp_path / files[1]).classes

    def test_a_file_of_no_split_beside_others_is_refused(self, tmp_path):
        for name in ("train", "test", "extra"):
            write(tmp_path / f"{name}.parquet", {"label": [0, 1]})
        with pytest.raises(
            InputError, match="extra.parquet belongs to no split by its name, but other files do"
        ):
            read_table(tmp_path)

    def test_a_test_split_alone_is_used_aloud(self, tmp_path):
        write(tmp_path / "test.parquet", {"label": [0, 1]})
        source = read_table(tmp_path)
        assert source.split is None
        assert source.notes == ["only a test split is there; it is used as all images"]
        write(tmp_path / "validation.parquet", {"label": [0, 1]})
        with pytest.raises(InputError, match="has test and validation data, but no training data"):
            read_table(tmp_path)

    def test_files_that_datasets_caches_are_no_data(self, tmp_path):
        table = pa.table({"image": [b"a", b"b"], "label": [0, 1]})
        for name in ("data-00000-of-00001.arrow", "cache-1b2c.arrow"):
            with pa.OSFile(str(tmp_path / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
                out.write_table(table)
        assert read_table(tmp_path).labels.tolist() == [0, 1]


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
