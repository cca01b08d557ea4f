"""CelebA in its published layout, of faces that the test draws."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, VALIDATION, Source
from labelmint.data.sources import read
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError


def content_of(source: Source, place: int) -> bytes:
    with source.images.open() as read_image:
        return read_image(place)


def test_splits_of_celeba_are_kept(project, run_stage):
    """The whole stage on a tree in CelebA's published layout."""
    from labelmint.data.sources.faces import write_celeba

    write_celeba(project / "data" / "raw" / "celeba", 40)
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("[dcgan]", "[]"))
    code, said = run_stage(
        "prepare", name="celeba", attributes=["Male", "Smiling"], image_size=32, channels=3, crop="center", validation_percent=0
    )  # fmt: skip
    assert code == 0, said
    manifest = load_json(project / "data/tensors/manifest.json")
    images, labels = load_set(project / "data/tensors")
    assert labels.dtype == np.float32 and labels.shape == (manifest["n_train"], 2) and images.shape[1:] == (3, 32, 32)
    assert manifest["labels"] == "multi_hot" and manifest["train"]["source_name"][0] == "000001.jpg"
    assert manifest["n_validation"] and manifest["n_train"] + manifest["n_validation"] + manifest["n_test"] == 40


class TestCelebA:
    @pytest.fixture
    def folder(self, tmp_path):
        from labelmint.data.sources.faces import write_celeba

        write_celeba(tmp_path / "celeba", 12)
        return tmp_path / "celeba"

    def read(self, folder: Path, **changes) -> Source:
        settings = {"name": "celeba", "attributes": ["Male", "Young"], "path": str(folder), **changes}
        return read(Dataset(**settings), folder, folder)

    def test_attributes_are_those_of_the_table(self, folder):
        source = self.read(folder)
        rows = [line.split() for line in (folder / "list_attr_celeba.txt").read_text().splitlines()]
        columns = [1 + rows[1].index(name) for name in ("Male", "Young")]
        assert source.labels.tolist() == [[int(row[column] == "1") for column in columns] for row in rows[2:]]
        assert set(source.split.tolist()) == {TRAIN, VALIDATION, TEST}

    def test_one_attribute_makes_two_classes(self, folder):
        source = self.read(folder, attributes=["Male"])
        assert source.classes == ["not Male", "Male"]
        assert source.labels.tolist() == self.read(folder).labels[:, 0].tolist()

    def test_a_zip_is_read_like_the_folder(self, folder):
        before = content_of(self.read(folder), 3)
        with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
            for path in sorted((folder / "img_align_celeba").iterdir(), reverse=True):
                archive.write(path, f"img_align_celeba/{path.name}")
                path.unlink()
        (folder / "img_align_celeba").rmdir()
        assert content_of(self.read(folder), 3) == before

    def test_the_landmark_window(self, folder):
        source = self.read(folder, crop="landmarks")
        row = (folder / "list_landmarks_align_celeba.txt").read_text().splitlines()[2].split()
        left, top = int(row[1]) - 15, int(row[2]) - 15
        assert source.boxes[0].tolist() == [left, top, left + 64, top + 64]

    def test_bounding_boxes_come_with_a_warning(self, folder):
        source = self.read(folder, crop="bounding_box")
        row = list(map(int, (folder / "list_bbox_celeba.txt").read_text().splitlines()[2].split()[1:]))
        assert source.boxes[0].tolist() == [row[0], row[1], row[0] + row[2], row[1] + row[3]]
        assert "bounding boxes are unreliable" in source.notes[0]

    @pytest.mark.parametrize(
        ("file", "change", "says"),
        [
            ("list_attr_celeba.txt", lambda lines: [*lines[:4], *lines[5:]], "first line promises 12 rows, it has 11"),
            ("list_attr_celeba.txt", lambda lines: ["11", *lines[1:4], *lines[5:]], "no row for 000003.jpg"),
            ("list_attr_celeba.txt", lambda lines: [*lines[:3], lines[3][:-4], *lines[4:]], "line 4: expected a name and 40"),
            ("list_attr_celeba.txt", lambda lines: [*lines[:3], lines[3].replace("-1", "x", 1), *lines[4:]], "line 4: expected"),
            ("list_attr_celeba.txt", lambda lines: [*lines[:3], lines[3].replace("-1", "3", 1), *lines[4:]], "values other than 1 and -1"),
            ("list_eval_partition.txt", lambda lines: lines[:-1], "no row for 000012.jpg"),
            ("list_eval_partition.txt", lambda lines: [lines[0][:-1] + "7", *lines[1:]], "values other than 0, 1 and 2"),
        ],
    )  # fmt: skip
    def test_tables_with_a_row_missing_or_wrong(self, folder, file, change, says):
        path = folder / file
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
        with pytest.raises(InputError, match=says) as error:
            self.read(folder)
        assert "\n" not in str(error.value)

    def test_other_mistakes(self, folder):
        with pytest.raises(InputError, match="no 'Smilling'; did you mean 'Smiling'"):
            self.read(folder, attributes=["Smilling"])
        (folder / "img_align_celeba" / "000005.jpg").unlink()
        with pytest.raises(InputError, match="000005.jpg missing, though list_attr_celeba.txt has a row"):
            self.read(folder)
        with pytest.raises(InputError, match="put img_align_celeba.zip and the list"):
            self.read(folder / "nowhere")
