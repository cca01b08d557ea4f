"""Procedural faces: reproducible, drawn at their landmarks, with visible attributes."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, VALIDATION
from labelmint.data.sources import celeba, face_drawing, faces
from labelmint.runtime.errors import InputError

COUNT = 100_000
MALE_SMILING = Dataset(name="faces", attributes=["Male", "Smiling"], image_size=64, channels=3)


def draw(count: int, indices: list[int], seed: int = 0) -> list[np.ndarray]:
    with faces.FaceImages(count, seed).open() as read:
        return [read(index) for index in indices]


class TestDrawing:
    def test_a_face_depends_only_on_seed_and_index(self):
        forward, backward = draw(20, [3, 7, 12]), draw(5000, [12, 3, 7])  # another order and count
        assert forward[0].shape == (face_drawing.HEIGHT, face_drawing.WIDTH, 3)
        assert forward[0].dtype == np.uint8
        for one, other in zip(forward, [backward[1], backward[2], backward[0]]):
            assert (one == other).all()
        assert (forward[0] != draw(20, [3], seed=1)[0]).mean() > 0.5

    def test_images_can_be_pickled(self):
        images = pickle.loads(pickle.dumps(faces.FaceImages(20, 4)))
        with images.open() as read:
            assert (read(9) == draw(20, [9], seed=4)[0]).all()
        assert images.named
        assert images.name(0) == "000001.jpg"
        assert images.name(11_999) == "012000.jpg"

    def test_all_faces_differ(self):
        drawn = np.stack(draw(15, list(range(15)))).astype(int)
        for index in range(14):
            assert abs(drawn[index] - drawn[index + 1 :]).mean((1, 2, 3)).min() > 5

    def test_features_are_drawn_at_the_landmarks(self):
        count = 40
        points = faces.landmarks(count, 0)
        smiling = faces.attributes(count, 0)[:, faces.ATTRIBUTES.index("Smiling")] > 0
        for index, pixels in enumerate(draw(count, list(range(count)))):
            for x, y in points[index, :2]:
                assert pixels[y, x].max() < 75, "a pupil is darker than every skin"
            mouth = points[index, 3:].mean(0).astype(int)
            inside = pixels[mouth[1] : mouth[1] + 12, mouth[0] - 2 : mouth[0] + 3].astype(int)
            teeth = (inside.min(2) > 140) & (np.ptp(inside, axis=2) < 15)  # white, unlike every skin
            assert teeth.any() == smiling[index]


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    """Attributes of COUNT faces."""
    return faces.attributes(COUNT, 0)


def has(table: np.ndarray, name: str) -> np.ndarray:
    """Whether each face has an attribute: bool (COUNT,)."""
    return table[:, faces.ATTRIBUTES.index(name)] > 0


class TestTables:
    def test_values_and_order(self, table):
        assert table.shape == (COUNT, 40)
        assert table.dtype == np.int8
        assert set(np.unique(table)) == {-1, 1}
        assert [faces.ATTRIBUTES[index] for index in (0, 20, 39)] == ["5_o_Clock_Shadow", "Male", "Young"]
        assert (faces.attributes(100, 0) == table[:100]).all()
        assert (faces.attributes(100, 1) != table[:100]).any()

    def test_exactly_the_drawn_attributes_vary(self, table):
        varying = {name for name, column in zip(faces.ATTRIBUTES, table.T) if len(set(column.tolist())) == 2}
        assert varying == set(faces.DRAWN)
        assert (table[:, [name not in faces.DRAWN for name in faces.ATTRIBUTES]] == -1).all()

    def test_frequencies(self, table):
        for name, expected in (("Male", 0.42), ("Young", 0.77), ("Smiling", 0.48), ("Oval_Face", 0.28)):
            assert has(table, name).mean() == pytest.approx(expected, abs=0.01), name

    def test_demographic_parity_gap_of_attractive_is_two_fifths(self, table):
        male = has(table, "Male")
        assert has(table, "Attractive")[~male].mean() == pytest.approx(0.68, abs=0.01)
        assert has(table, "Attractive")[male].mean() == pytest.approx(0.28, abs=0.01)

    def test_hair_has_at_most_one_colour(self, table):
        names = ("Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair")
        colours = sum(has(table, name).astype(int) for name in names)
        assert set(np.unique(colours)) == {0, 1}
        grey, young = has(table, "Gray_Hair"), has(table, "Young")
        assert grey[~young].mean() > 10 * grey[young].mean()

    def test_only_men_have_mustaches_and_mostly_women_lipstick(self, table):
        male = has(table, "Male")
        assert has(table, "Mustache")[~male].mean() == 0
        assert has(table, "Mustache")[male].mean() > 0.1
        assert has(table, "Wearing_Lipstick")[~male].mean() > 0.7
        assert has(table, "Wearing_Lipstick")[male].mean() < 0.02

    def test_landmarks_are_celebas_in_the_mean_with_a_few_pixels_of_jitter(self):
        points = faces.landmarks(COUNT, 0)
        assert points.dtype == np.int32
        assert (faces.landmarks(100, 0) == points[:100]).all()
        mean = [(69, 111), (108, 111), (88, 135), (73, 152), (104, 152)]
        assert np.allclose(points.mean(0), mean, atol=0.1)
        assert points.std(0).min() > 1
        assert points.std(0).max() < 4

    def test_windows(self):
        points = np.zeros((2, 5, 2), np.int32)
        points[:, 0] = [[69, 111], [70, 108]]
        assert faces.landmark_boxes(points).tolist() == [[54, 96, 118, 160], [55, 93, 119, 157]]
        every = faces.landmarks(COUNT, 0)
        for boxes in (faces.landmark_boxes(every), faces.head_boxes(every)):
            assert boxes.dtype == np.int32
            assert boxes[:, :2].min() >= 0
            assert boxes[:, 2].max() <= face_drawing.WIDTH
            assert boxes[:, 3].max() <= face_drawing.HEIGHT

    @pytest.mark.parametrize(
        ("count", "parts"), [(10, [8, 1, 1]), (12_000, [9600, 1200, 1200]), (6, [4, 1, 1])]
    )
    def test_partition_is_in_order(self, count, parts):
        expected = np.repeat([TRAIN, VALIDATION, TEST], parts)
        assert faces.partition(count).tolist() == expected.tolist()


class TestRead:
    def test_several_attributes_are_multi_hot(self, tmp_path):
        source = faces.read(MALE_SMILING, tmp_path, tmp_path)
        columns = [faces.ATTRIBUTES.index("Male"), faces.ATTRIBUTES.index("Smiling")]
        assert source.classes == ["Male", "Smiling"]
        assert source.labels.dtype == np.uint8
        assert (source.labels == (faces.attributes(faces.FACES, 0)[:, columns] > 0)).all()
        assert source.boxes is None
        assert np.bincount(np.asarray(source.split)).tolist() == [9600, 1200, 1200]

    def test_one_attribute_makes_two_classes(self, tmp_path):
        source = faces.read(replace(MALE_SMILING, attributes=["Young"]), tmp_path, tmp_path)
        assert source.classes == ["not Young", "Young"]
        assert source.labels.shape == (faces.FACES,)

    def test_crops(self, tmp_path):
        points = faces.landmarks(faces.FACES, 0)
        window = np.asarray(faces.read(replace(MALE_SMILING, crop="landmarks"), tmp_path, tmp_path).boxes)
        assert (window[:, :2] == points[:, 0] - 15).all()
        assert (window[:, 2:] - window[:, :2] == 64).all()
        head = np.asarray(faces.read(replace(MALE_SMILING, crop="bounding_box"), tmp_path, tmp_path).boxes)
        assert (head[:, None, :2] < points).all()
        assert (points < head[:, None, 2:]).all()

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("Smilling", "no 'Smilling'; did you mean 'Smiling'?"),
            ("male", "no 'male'; did you mean 'Male'?"),
            (
                "Goatee",
                "Goatee: not visible in procedural faces; use one of Attractive, Bangs, .*, Young$",
            ),
        ],
    )
    def test_refuses_unknown_and_invisible_attributes(self, tmp_path, name, says):
        with pytest.raises(InputError, match=says):
            faces.read(replace(MALE_SMILING, attributes=["Male", name]), tmp_path, tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "celeba"
    faces.write_celeba(folder, 6, seed=3)
    return folder


class TestWriteCelebA:
    def lines(self, folder, name: str):
        return (folder / name).read_bytes().decode("ascii").split("\n")

    def test_images(self, folder):
        names = sorted(path.name for path in (folder / "img_align_celeba").iterdir())
        assert names == [f"{number:06d}.jpg" for number in range(1, 7)]
        with Image.open(folder / "img_align_celeba" / names[4]) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (178, 218))
            difference = np.asarray(image).astype(int) - draw(6, [4], seed=3)[0]
        assert abs(difference).mean() < 4  # grey levels, lost by compression

    def test_attributes(self, folder):
        lines = self.lines(folder, "list_attr_celeba.txt")
        assert lines[:2] == ["6", " ".join(faces.ATTRIBUTES) + " "]
        assert lines[8:] == [""]
        row = " ".join({1: " 1", -1: "-1"}[value] for value in faces.attributes(6, 3)[5].tolist())
        assert lines[7] == f"000006.jpg {row}"
        assert "-1 -1  1" in row

    def test_landmarks_boxes_and_partition(self, folder):
        lines = self.lines(folder, "list_landmarks_align_celeba.txt")
        names = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
        assert lines[:2] == ["6", " ".join(f"{name}_{axis}" for name in names for axis in "xy")]
        assert lines[8:] == [""]
        assert lines[2].split() == ["000001.jpg", *map(str, faces.landmarks(6, 3)[0].ravel())]
        lines = self.lines(folder, "list_bbox_celeba.txt")
        assert lines[:2] == ["6", "image_id x_1 y_1 width height"]
        assert len(lines) == 9
        left, top, right, bottom = faces.head_boxes(faces.landmarks(6, 3))[2].tolist()
        assert lines[4].split() == ["000003.jpg", *map(str, (left, top, right - left, bottom - top))]
        expected = [f"{number:06d}.jpg {part}" for number, part in zip(range(1, 7), (0, 0, 0, 0, 1, 2))]
        assert self.lines(folder, "list_eval_partition.txt") == [*expected, ""]

    @pytest.mark.parametrize("crop", ["none", "landmarks", "bounding_box"])
    def test_the_reader_of_celeba_returns_the_same(self, folder, tmp_path, crop):
        dataset = replace(MALE_SMILING, name="celeba", path=str(folder), crop=crop)
        source, points = celeba.read(dataset, tmp_path, tmp_path), faces.landmarks(6, 3)
        columns = [faces.ATTRIBUTES.index("Male"), faces.ATTRIBUTES.index("Smiling")]
        assert (source.labels == (faces.attributes(6, 3)[:, columns] > 0)).all()
        assert np.asarray(source.split).tolist() == faces.partition(6).tolist()
        if crop != "none":
            boxes = faces.landmark_boxes(points) if crop == "landmarks" else faces.head_boxes(points)
            assert np.array_equal(np.asarray(source.boxes), boxes)
