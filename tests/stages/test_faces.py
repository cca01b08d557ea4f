"""Procedural faces: drawn the same every time, where the landmarks say, with attributes that can be learned."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, VALIDATION
from labelmint.data.sources import celeba, face_drawing, faces
from labelmint.runtime.errors import InputError

MALE_SMILING = Dataset(name="faces", attributes=["Male", "Smiling"], image_size=64, channels=3)


def draw(count: int, indices: list[int], seed: int = 0) -> list[np.ndarray]:
    with faces.FaceImages(count, seed).open() as read:
        return [read(index) for index in indices]


class TestDrawing:
    def test_a_face_depends_on_seed_and_index_alone(self):
        forward, backward = draw(20, [3, 7, 12]), draw(5000, [12, 3, 7])  # another order, another count
        assert forward[0].shape == (face_drawing.HEIGHT, face_drawing.WIDTH, 3) and forward[0].dtype == np.uint8
        for one, other in zip(forward, [backward[1], backward[2], backward[0]]):
            assert (one == other).all()
        assert (forward[0] != draw(20, [3], seed=1)[0]).mean() > 0.5

    def test_survives_pickling(self):
        images = pickle.loads(pickle.dumps(faces.FaceImages(20, 4)))
        with images.open() as read:
            assert (read(9) == draw(20, [9], seed=4)[0]).all()
        assert images.named and images.name(0) == "000001.jpg" and images.name(11_999) == "012000.jpg"

    def test_no_two_faces_are_alike(self):
        drawn = np.stack(draw(30, list(range(30)))).astype(int)
        for index in range(29):
            assert abs(drawn[index] - drawn[index + 1 :]).mean((1, 2, 3)).min() > 5

    def test_features_are_drawn_at_the_landmarks(self):
        count = 60
        points = faces.landmarks(count, 0)
        smiling = faces.attributes(count, 0)[:, faces.ATTRIBUTES.index("Smiling")] > 0
        for index, pixels in enumerate(draw(count, list(range(count)))):
            for x, y in points[index, :2]:
                assert pixels[y, x].max() < 75, "a pupil, darker than every skin"
            mouth = points[index, 3:].mean(0).astype(int)
            inside = pixels[mouth[1] : mouth[1] + 12, mouth[0] - 2 : mouth[0] + 3].astype(int)
            teeth = (inside.min(2) > 140) & (np.ptp(inside, axis=2) < 15)  # white, as no skin is
            assert teeth.any() == smiling[index]


class TestTables:
    count = 100_000
    table = faces.attributes(count, 0)

    def share(self, name: str, of: np.ndarray | None = None) -> float:
        column = self.has(name)
        return float((column if of is None else column[of]).mean())

    def has(self, name: str) -> np.ndarray:
        return self.table[:, faces.ATTRIBUTES.index(name)] > 0

    def test_values_and_order(self):
        assert self.table.shape == (self.count, 40) and self.table.dtype == np.int8
        assert set(np.unique(self.table)) == {-1, 1}
        assert (faces.ATTRIBUTES[0], faces.ATTRIBUTES[20], faces.ATTRIBUTES[39]) == (
            "5_o_Clock_Shadow",
            "Male",
            "Young",
        )
        assert (faces.attributes(100, 0) == self.table[:100]).all()
        assert (faces.attributes(100, 1) != self.table[:100]).any()

    def test_exactly_the_drawn_attributes_vary(self):
        varying = {name for name, column in zip(faces.ATTRIBUTES, self.table.T) if len(set(column.tolist())) == 2}
        assert varying == set(faces.DRAWN)
        assert (self.table[:, [name not in faces.DRAWN for name in faces.ATTRIBUTES]] == -1).all()

    def test_shares(self):
        for name, expected in (("Male", 0.42), ("Young", 0.77), ("Smiling", 0.48), ("Oval_Face", 0.28)):
            assert self.share(name) == pytest.approx(expected, abs=0.01), name

    def test_demographic_parity_gap_of_attractive_is_two_fifths(self):
        male = self.has("Male")
        assert self.share("Attractive", ~male) == pytest.approx(0.68, abs=0.01)
        assert self.share("Attractive", male) == pytest.approx(0.28, abs=0.01)

    def test_hair_has_at_most_one_colour(self):
        colours = sum(self.has(name).astype(int) for name in ("Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair"))
        assert set(np.unique(colours)) == {0, 1}
        assert self.share("Gray_Hair", ~self.has("Young")) > 10 * self.share("Gray_Hair", self.has("Young"))

    def test_only_men_have_mustaches_and_mostly_women_lipstick(self):
        male = self.has("Male")
        assert self.share("Mustache", ~male) == 0 and self.share("Mustache", male) > 0.1
        assert self.share("Wearing_Lipstick", ~male) > 0.7 and self.share("Wearing_Lipstick", male) < 0.02

    def test_landmarks_are_celebas_in_the_mean_with_a_few_pixels_of_jitter(self):
        points = faces.landmarks(self.count, 0)
        assert points.dtype == np.int32 and (faces.landmarks(100, 0) == points[:100]).all()
        mean = [(69, 111), (108, 111), (88, 135), (73, 152), (104, 152)]
        assert np.allclose(points.mean(0), mean, atol=0.1)
        assert points.std(0).min() > 1 and points.std(0).max() < 4

    def test_windows(self):
        points = np.zeros((2, 5, 2), np.int32)
        points[:, 0] = [[69, 111], [70, 108]]
        assert faces.landmark_boxes(points).tolist() == [[54, 96, 118, 160], [55, 93, 119, 157]]
        every = faces.landmarks(self.count, 0)
        for boxes in (faces.landmark_boxes(every), faces.head_boxes(every)):
            assert boxes.dtype == np.int32 and boxes[:, :2].min() >= 0
            assert boxes[:, 2].max() <= face_drawing.WIDTH and boxes[:, 3].max() <= face_drawing.HEIGHT

    @pytest.mark.parametrize(("count", "parts"), [(10, [8, 1, 1]), (12_000, [9600, 1200, 1200]), (6, [4, 1, 1])])
    def test_partition_is_in_order(self, count, parts):
        expected = np.repeat([TRAIN, VALIDATION, TEST], parts)
        assert faces.partition(count).tolist() == expected.tolist()


class TestRead:
    def test_several_attributes_are_multi_hot(self, tmp_path):
        source = faces.read(MALE_SMILING, tmp_path, tmp_path)
        columns = [faces.ATTRIBUTES.index("Male"), faces.ATTRIBUTES.index("Smiling")]
        assert source.classes == ["Male", "Smiling"] and source.labels.dtype == np.uint8
        assert (source.labels == (faces.attributes(faces.FACES, 0)[:, columns] > 0)).all()
        assert source.boxes is None and np.bincount(source.split).tolist() == [9600, 1200, 1200]

    def test_one_attribute_makes_two_classes(self, tmp_path):
        source = faces.read(replace(MALE_SMILING, attributes=["Young"]), tmp_path, tmp_path)
        assert source.classes == ["not Young", "Young"] and source.labels.shape == (faces.FACES,)

    def test_crops(self, tmp_path):
        points = faces.landmarks(faces.FACES, 0)
        window = faces.read(replace(MALE_SMILING, crop="landmarks"), tmp_path, tmp_path).boxes
        assert (window[:, :2] == points[:, 0] - 15).all() and (window[:, 2:] - window[:, :2] == 64).all()
        head = faces.read(replace(MALE_SMILING, crop="bounding_box"), tmp_path, tmp_path).boxes
        assert (head[:, None, :2] < points).all() and (points < head[:, None, 2:]).all()

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("Smilling", "no 'Smilling'; did you mean 'Smiling'?"),
            ("male", "no 'male'; did you mean 'Male'?"),
            ("Goatee", "Goatee: not visible in procedural faces; those that are: Attractive, Bangs, .*, Young$"),
        ],
    )
    def test_refuses_what_it_cannot_draw(self, tmp_path, name, says):
        with pytest.raises(InputError, match=says):
            faces.read(replace(MALE_SMILING, attributes=["Male", name]), tmp_path, tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "celeba"
    faces.write_celeba(folder, 6, seed=3)
    return folder


class TestWriteCelebA:
    def lines(self, folder, name: str) -> list[str]:
        return (folder / name).read_bytes().decode("ascii").split("\n")

    def test_images(self, folder):
        names = sorted(path.name for path in (folder / "img_align_celeba").iterdir())
        assert names == [f"{number:06d}.jpg" for number in range(1, 7)]
        with Image.open(folder / "img_align_celeba" / names[4]) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (178, 218))
            difference = np.asarray(image).astype(int) - draw(6, [4], seed=3)[0]
        assert abs(difference).mean() < 4  # grey levels, lost in compression

    def test_attributes(self, folder):
        lines = self.lines(folder, "list_attr_celeba.txt")
        assert lines[:2] == ["6", " ".join(faces.ATTRIBUTES) + " "] and lines[8:] == [""]
        row = " ".join({1: " 1", -1: "-1"}[value] for value in faces.attributes(6, 3)[5].tolist())
        assert lines[7] == f"000006.jpg {row}" and "-1 -1  1" in row

    def test_landmarks_boxes_and_partition(self, folder):
        lines = self.lines(folder, "list_landmarks_align_celeba.txt")
        head = (
            "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
        )
        assert lines[:2] == ["6", head] and lines[8:] == [""]
        assert lines[2].split() == ["000001.jpg", *map(str, faces.landmarks(6, 3)[0].ravel())]
        lines = self.lines(folder, "list_bbox_celeba.txt")
        assert lines[:2] == ["6", "image_id x_1 y_1 width height"] and len(lines) == 9
        left, top, right, bottom = faces.head_boxes(faces.landmarks(6, 3))[2].tolist()
        assert lines[4].split() == ["000003.jpg", *map(str, (left, top, right - left, bottom - top))]
        expected = [f"{number:06d}.jpg {part}" for number, part in zip(range(1, 7), (0, 0, 0, 0, 1, 2))]
        assert self.lines(folder, "list_eval_partition.txt") == [*expected, ""]

    @pytest.mark.parametrize("crop", ["none", "landmarks", "bounding_box"])
    def test_the_reader_of_celeba_finds_the_same(self, folder, tmp_path, crop):
        dataset = replace(MALE_SMILING, name="celeba", path=str(folder), crop=crop)
        source, points = celeba.read(dataset, tmp_path, tmp_path), faces.landmarks(6, 3)
        columns = [faces.ATTRIBUTES.index("Male"), faces.ATTRIBUTES.index("Smiling")]
        assert (source.labels == (faces.attributes(6, 3)[:, columns] > 0)).all()
        assert source.split.tolist() == faces.partition(6).tolist()
        if crop != "none":
            boxes = faces.landmark_boxes(points) if crop == "landmarks" else faces.head_boxes(points)
            assert (source.boxes == boxes).all()


LEARNED = ("Black_Hair", "Male", "Oval_Face", "Smiling", "Young")


def accuracies(images: np.ndarray, labels: np.ndarray, train: int, epochs: int = 14) -> np.ndarray:
    """Per label, on the images after the first `train`. images: uint8 (N, 64, 64, 3). labels: bool (N, A)."""
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    targets = torch.from_numpy(labels).float()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two would wait for each other wherever another program runs
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            layers: list[nn.Module] = []
            for before, after in ((3, 8), (8, 16), (16, 32), (32, 48)):
                layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
            network = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(48 * 16, labels.shape[1]))
            optimizer = torch.optim.Adam(network.parameters(), 2e-3)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, epochs * -(-train // 50))
            for _ in range(epochs):
                for batch in torch.randperm(train).split(50):
                    optimizer.zero_grad()
                    nn.functional.binary_cross_entropy_with_logits(network(inputs[batch]), targets[batch]).backward()
                    optimizer.step()
                    schedule.step()
        network.eval()
        with torch.no_grad():
            correct = (network(inputs[train:]) > 0) == (targets[train:] > 0)
    finally:
        torch.set_num_threads(threads)
    return correct.float().mean(0).numpy()


def test_attributes_can_be_learned_from_the_center_crop():
    count, train = 1600, 1200
    crop = (27, 33, 151, 185)  # 70 % of each side
    images = np.stack(
        [np.asarray(Image.fromarray(face).crop(crop).resize((64, 64))) for face in draw(count, list(range(count)))]
    )
    labels = faces.attributes(count, 0)[:, [faces.ATTRIBUTES.index(name) for name in LEARNED]] > 0
    reached = accuracies(images, labels, train)
    shares = labels[train:].mean(0)
    for name, accuracy, majority in zip(LEARNED, reached, np.maximum(shares, 1 - shares)):
        assert accuracy >= 0.93, f"{name}: {accuracy:.3f}"
        assert 1 - accuracy < (1 - majority) / 2, f"{name}: {accuracy:.3f}, always the same answer: {majority:.3f}"
