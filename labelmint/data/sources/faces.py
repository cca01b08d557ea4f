"""Procedural faces: a replacement for CelebA where CelebA is not available.

A face follows from (seed, index). Its attributes and landmarks are drawn in bulk, which is cheap for all
faces. The rest (skin, background, light, hair length, tilt, noise) comes from the face's own generator.
Sizes, landmarks and attribute names are those of aligned and cropped CelebA (Liu et al. 2015). Frequencies
and dependencies of the attributes are close to CelebA's, as a study of fairness needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from labelmint.data.settings import Dataset
from labelmint.data.source import Source, single_attribute_to_classes
from labelmint.data.sources import celeba
from labelmint.data.sources.face_drawing import MEAN_LANDMARKS, Face, face_transform
from labelmint.data.storage.splits import derive_seed
from labelmint.runtime.errors import InputError

_HEAD = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair "
    "Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup "
    "High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose "
    "Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat "
    "Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young"
)
ATTRIBUTES = tuple(_HEAD.split())
"""CelebA's attributes, in the order of its table."""

DRAWN = (
    *("Attractive", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Eyeglasses"),
    *("Gray_Hair", "Heavy_Makeup", "Male", "Mustache", "No_Beard", "Oval_Face"),
    *("Pale_Skin", "Smiling", "Wearing_Hat", "Wearing_Lipstick", "Young"),
)
"""Visible attributes. The others are -1 for every face."""

FACES = 12_000


@dataclass(frozen=True)
class FaceImages:
    """Faces of a seed, drawn when they are read: uint8 (218, 178, 3), the same in any order and process."""

    count: int
    seed: int = 0
    named = True

    def name(self, index: int) -> str:
        return f"{index + 1:06d}.jpg"

    @contextmanager
    def open(self) -> Iterator[Callable[[int], np.ndarray]]:
        on, points = attributes(self.count, self.seed) > 0, landmarks(self.count, self.seed)

        def read(index: int) -> np.ndarray:
            rng = np.random.default_rng(derive_seed(self.seed, "face", index))
            return Face(dict(zip(ATTRIBUTES, on[index].tolist())), points[index], rng).pixels()

        yield read


def attributes(count: int, seed: int) -> np.ndarray:
    """Attributes of the first `count` faces: int8 (count, 40) of 1 and -1, columns as ATTRIBUTES."""
    rng = np.random.default_rng(derive_seed(seed, "face attributes"))
    (sex, age, beauty, smile, oval, mustache, lips, makeup, glasses, bangs, hat, pale, hair) = rng.random(
        (count, 13)
    ).T
    on = {"Male": (male := sex < 0.42), "Young": (young := age < np.where(male, 0.66, 0.85))}
    # 0.68 of the women and 0.28 of the men: the gap of 0.4 in demographic parity that fairness GANs reduce.
    on["Attractive"] = beauty < np.where(male, np.where(young, 0.36, 0.12), np.where(young, 0.74, 0.35))
    on["Smiling"] = smile < np.where(male, 0.40, 0.54)
    on["Oval_Face"] = oval < np.where(male, 0.25, 0.30)
    on["Mustache"] = male & (mustache < 0.16)
    on["No_Beard"] = ~on["Mustache"]
    on["Wearing_Lipstick"] = lips < np.where(male, 0.01, 0.78)
    on["Heavy_Makeup"] = on["Wearing_Lipstick"] & ~male & (makeup < 0.75)
    on["Eyeglasses"] = glasses < np.where(young, 0.08, 0.20)
    on["Bangs"] = bangs < np.where(male, 0.08, 0.20)
    on["Wearing_Hat"] = hat < np.where(male, 0.08, 0.03)
    on["Pale_Skin"] = pale < 0.08
    grey = np.where(young, 0.02, 0.35)
    on["Gray_Hair"] = hair < grey
    rest = (hair - grey) / (1 - grey)  # uniform in [0, 1) where hair is not grey
    for name, low, high in (("Black_Hair", 0, 0.36), ("Brown_Hair", 0.36, 0.66), ("Blond_Hair", 0.66, 0.85)):
        on[name] = (rest >= low) & (rest < high)
    table = np.full((count, len(ATTRIBUTES)), -1, np.int8)
    for name, values in on.items():
        table[values, ATTRIBUTES.index(name)] = 1
    return table


def landmarks(count: int, seed: int) -> np.ndarray:
    """Landmarks: CelebA's mean ones, moved, scaled and turned together, and each with a jitter of its own.

    Returns: int32 (count, 5, 2), x and y in pixels of left eye, right eye, nose, left and right corner of the
        mouth. Left is left in the picture.
    """
    rng = np.random.default_rng(derive_seed(seed, "face landmarks"))
    jitter = np.clip(rng.standard_normal((count, 14)), -2.5, 2.5)
    shift = 1.5 * (jitter[:, 0] + 1j * jitter[:, 1])
    turn = (1 + 0.02 * jitter[:, 2]) * np.exp(0.035j * jitter[:, 3])
    each = 0.7 * (jitter[:, 4:9] + 1j * jitter[:, 9:14])
    middle = MEAN_LANDMARKS.mean()
    points = middle + shift[:, None] + turn[:, None] * (MEAN_LANDMARKS - middle) + each
    return cast(np.ndarray, np.rint(np.stack([points.real, points.imag], axis=2))).astype(np.int32)


def partition(count: int) -> np.ndarray:
    """Split of the faces, uint8 (count,): 80 % TRAIN, then 10 % VALIDATION and 10 % TEST, as in CelebA."""
    split = np.digitize(np.arange(count), [count * 8 // 10, count * 9 // 10])
    return cast(np.ndarray, split).astype(np.uint8)


def landmark_boxes(points: np.ndarray) -> np.ndarray:
    """Windows by the left eye (see celeba.landmark_boxes): int (N, 5, 2) -> int32 (N, 4)."""
    return celeba.landmark_boxes(points[:, 0])


def head_boxes(points: np.ndarray) -> np.ndarray:
    """Boxes around the drawn heads and their hair.

    points: int (N, 5, 2), landmarks. Returns: int32 (N, 4), left, top, right, bottom.
    """
    turn, shift = face_transform(points[..., 0] + 1j * points[..., 1])
    centre, scale = turn * 112j + shift, abs(turn)
    x, y = 58 * scale, 77 * scale
    corners = [centre.real - x, centre.imag - y, centre.real + x, centre.imag + y]
    return cast(np.ndarray, np.rint(np.stack(corners, 1))).astype(np.int32)


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    """Read FACES faces of seed 0. Raises: InputError when an attribute is unknown or not visible."""
    columns = [celeba.find_attribute(name, list(ATTRIBUTES)) for name in dataset.attributes]
    if hidden := [name for name in dataset.attributes if name not in DRAWN]:
        raise InputError(
            f"dataset.attributes: {', '.join(hidden)}: not visible in procedural faces; "
            f"use one of {', '.join(DRAWN)}"
        )
    points = landmarks(FACES, 0)
    boxes = {"landmarks": landmark_boxes, "bounding_box": head_boxes}.get(dataset.crop)
    source = Source(
        title="Procedural faces (drawn by labelmint)",
        licence="none needed: drawn, not photographed",
        classes=list(dataset.attributes),
        labels=(attributes(FACES, 0)[:, columns] > 0).astype(np.uint8),
        images=FaceImages(FACES),
        split=partition(FACES),
        boxes=boxes(points) if boxes else None,
    )
    return single_attribute_to_classes(source, dataset)


def write_celeba(folder: Path, count: int, seed: int = 0, quality: int = 92) -> None:
    """Write faces in CelebA's published layout: JPEGs in img_align_celeba/ and the four list_*.txt files."""
    images, points = FaceImages(count, seed), landmarks(count, seed)
    names = [images.name(index) for index in range(count)]
    (folder / "img_align_celeba").mkdir(parents=True)
    with images.open() as read_image:
        for index, name in enumerate(names):
            Image.fromarray(read_image(index)).save(folder / "img_align_celeba" / name, quality=quality)
    landmark_names = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
    columns = " ".join(f"{name}_x {name}_y" for name in landmark_names)
    boxes = head_boxes(points)
    boxes[:, 2:] -= boxes[:, :2]
    for file, head, values, widths in (
        ("list_attr_celeba.txt", f"{count}\n{_HEAD} \n", attributes(count, seed), (2, 2)),
        ("list_landmarks_align_celeba.txt", f"{count}\n{columns}\n", points.reshape(count, 10), (2, 4)),
        ("list_bbox_celeba.txt", f"{count}\nimage_id x_1 y_1 width height\n", boxes, (5, 3)),
        ("list_eval_partition.txt", "", partition(count)[:, None], (1, 1)),
    ):
        rows = (
            f"{name} {first:{widths[0]}d}" + "".join(f" {value:{widths[1]}d}" for value in others) + "\n"
            for name, (first, *others) in zip(names, values.tolist())
        )
        (folder / file).write_text(head + "".join(rows), encoding="ascii", newline="\n")
