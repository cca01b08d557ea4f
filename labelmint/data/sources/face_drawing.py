"""Drawing of one procedural face: flat shapes from back to front, around given landmarks."""

from __future__ import annotations

from typing import cast

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 178, 218
MEAN_LANDMARKS = np.array(
    [69 + 111j, 108 + 111j, 88 + 135j, 73 + 152j, 104 + 152j]
)  # x + iy; CelebA's mean, rounded
_SCALE = 2  # drawn this much larger and then averaged, because ImageDraw has no antialiasing

_HAIR_COLOURS = {
    "Black_Hair": (32, 27, 32),
    "Brown_Hair": (110, 66, 38),
    "Blond_Hair": (230, 192, 112),
    "Gray_Hair": (178, 178, 182),
    None: (178, 68, 38),  # red; in CelebA too some heads have no hair colour
}
_SKINS = np.array([(242, 198, 164), (218, 162, 122), (166, 112, 78), (116, 74, 54)], float)
_IRISES = np.array([(92, 60, 36), (70, 110, 60), (60, 105, 160), (90, 100, 110)], float)
_LIPSTICKS = np.array([(196, 34, 52), (210, 54, 110), (142, 28, 60)], float)
_PALE, _ROSE, _GREY = np.array([(252, 230, 220), (225, 85, 90), (150, 148, 150)], float)
_WHITE, _DARK, _MOUTH = np.array([(252, 250, 246), (26, 20, 22), (112, 34, 42)], float)


def face_transform(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarity transform from the mean frame to a face, by least squares.

    The mean frame has CelebA's mean landmarks, with x = 0 between the eyes.
    points: complex (..., 5), landmarks x + iy in pixels.
    Returns: (turn, shift), complex (...) each; turn * p + shift maps a point p of the mean frame to the face.
    """
    mean = MEAN_LANDMARKS - 88.5
    spread = mean - mean.mean()
    turn = (points * spread.conj()).sum(-1) / (abs(spread) ** 2).sum()
    return turn, points.mean(-1) - turn * mean.mean()


_CIRCLE = np.exp(2j * np.pi * np.arange(28) / 28)
_HALF_CIRCLE = -np.exp(1j * np.pi * np.arange(15) / 14)  # left, up, right
_ALONG = np.arange(9) / 8


def _ellipse(centre: complex, x: float, y: float, outline: np.ndarray = _CIRCLE) -> np.ndarray:
    """An ellipse, or the part of it that `outline` traces. x, y: radii."""
    return centre + x * outline.real + 1j * y * outline.imag


def _arc(start: complex, end: complex, sag: float = 0) -> np.ndarray:
    """A parabola whose middle is `sag` px below the straight line."""
    return start + (end - start) * _ALONG + 4j * sag * _ALONG * (1 - _ALONG)


def _lens(start: complex, end: complex, upper: float, lower: float) -> np.ndarray:
    """The area between two arcs. upper, lower: their sag."""
    return np.concatenate([_arc(start, end, upper), _arc(end, start, lower)])


def _mirrored(x: list[float], y: list[float]) -> np.ndarray:
    """A smooth closed outline (Catmull and Rom 1974) from its right half, whose ends are on the axis."""
    half = np.array(x) + 1j * np.array(y)
    points = np.concatenate([half, -half[-2:0:-1].conj()])
    around = np.concatenate([points[-1:], points, points[:2]])
    return (np.stack([around[at : at + len(points)] for at in range(4)], axis=1) @ _SPLINE).ravel()


# Weights of four neighbours at t = 0, 1/6, .. 5/6 between the middle two: float (4, 6).
_SPLINE = (
    np.vander(np.arange(6) / 6, 4) @ [[-1, 3, -3, 1], [2, -5, 4, -1], [-1, 0, 1, 0], [0, 2, 0, 0]]
).T / 2


class Face:
    """A face that is being drawn.

    on: whether the face has an attribute, by its name. points: int (5, 2), landmarks.
    rng: source of all that no attribute names. The order of its draws is part of the face.
    """

    def __init__(self, on: dict[str, bool], points: np.ndarray, rng: np.random.Generator) -> None:
        self.on, self.rng = on, rng
        landmarks = points[:, 0] + 1j * points[:, 1]
        self.turn, self.shift = face_transform(landmarks)
        *eyes, self.nose, self.left_mouth, self.right_mouth = ((landmarks - self.shift) / self.turn).tolist()
        self.eyes = list(zip((-1, 1), eyes))

        tone = rng.uniform(0, 2.999)
        skin = _SKINS[int(tone)] + (tone % 1) * (_SKINS[int(tone) + 1] - _SKINS[int(tone)])
        self.skin = _PALE + self.vary(3) if on["Pale_Skin"] else skin
        self.shadow, self.crease = self.skin * (0.84, 0.78, 0.76), self.skin * (0.66, 0.57, 0.54)
        hair = _HAIR_COLOURS[next((name for name in _HAIR_COLOURS if name and on[name]), None)]
        self.hair = np.clip(np.array(hair) * rng.uniform(0.85, 1.1) + rng.uniform(-6, 6, 3), 8, 250)
        self.wide = (37.0 if on["Oval_Face"] else 43.5) + self.vary(1)  # half of the face
        self.chin = (186.0 if on["Oval_Face"] else 177.0) + self.vary(1.2)
        self.hair_side, self.hair_top = self.wide + 5 + self.vary(1.5), 40 + self.vary(4)

        colours = 150 + 0.6 * (rng.uniform(40, 235, (2, 1, 3)) - 150) + self.vary(30)
        backdrop = colours[0] + (colours[1] - colours[0]) * np.linspace(0, 1, _SCALE * HEIGHT)[:, None, None]
        column = Image.fromarray(backdrop.astype(np.uint8))
        self.image = column.resize((_SCALE * WIDTH, _SCALE * HEIGHT), Image.Resampling.NEAREST)
        self.pen = ImageDraw.Draw(self.image, "RGBA")  # this mode blends colours that have alpha

    def pixels(self) -> np.ndarray:
        """Draw the face: uint8 (218, 178, 3), lit from one side, with a little noise."""
        for part in (self.back, self.head, self.age, self.mouth_and_nose, self.eyes_and_brows, self.front):
            part()
        across, down, level = self.vary(0.1), self.vary(0.07), 0.95 + self.vary(0.05)
        light = level + across * np.linspace(-1, 1, WIDTH) + down * np.linspace(-1, 1, HEIGHT)[:, None]
        light += 0.015 * self.rng.integers(-1, 2, (HEIGHT, WIDTH), np.int8)
        lit = np.asarray(self.image.reduce(_SCALE)) * light[:, :, None].astype(np.float32)
        return cast(np.ndarray, np.minimum(lit, 255, out=lit)).astype(np.uint8)

    def vary(self, spread: float) -> float:
        """A uniform draw from [-spread, spread)."""
        return float(self.rng.uniform(-spread, spread))

    def to_canvas(self, points: np.ndarray) -> list[float]:
        """Coordinates x, y, x, y, … on the canvas of points in the mean frame."""
        canvas = _SCALE * (self.turn * points + self.shift) + (1 + 1j) * (_SCALE - 1) / 2
        return cast(list[float], canvas.view(np.float64).tolist())

    def fill(self, points: np.ndarray, colour: np.ndarray, alpha: int = 255) -> None:
        self.pen.polygon(self.to_canvas(points), (*(int(value) for value in colour), alpha))

    def line(self, points: np.ndarray, colour: np.ndarray, width: float, alpha: int = 255) -> None:
        ink = (*(int(value) for value in colour), alpha)
        self.pen.line(self.to_canvas(points), ink, max(1, round(_SCALE * width)), "curve")

    def back(self) -> None:
        """Draw the hair behind the face, neck, shoulders and ears."""
        male, wide, side, shirt = self.on["Male"], self.wide, self.hair_side, self.rng.uniform(40, 220, 3)
        self.hair_end = 112 if male else 190 + self.vary(22)
        if not male:
            flare = side + 4 + self.vary(4)
            ys = [70, 80, 135, self.hair_end - 16, self.hair_end, self.hair_end + 2]
            self.fill(_mirrored([0, side, flare, flare + 1, flare - 14, 0], ys), self.hair * 0.82)
        neck = (0.64 if male else 0.46) * wide
        self.fill(_mirrored([0, neck, neck, neck + 12, 0], [150, 155, 190, 204, 232]), self.skin * 0.93)
        self.fill(
            _mirrored([0, neck, neck - 2, 0], [160, 163, self.chin + 3, self.chin + 11]), self.shadow, 170
        )
        slope = 205 if male else 209
        self.fill(
            _mirrored([0, neck + 3, neck + 28, 86, 100, 0], [213, 197, slope, slope + 7, 260, 260]), shirt
        )
        for sign in (-1, 1) if male else ():  # women's ears are under their hair
            self.fill(_ellipse(sign * (wide + 1) + 121j, 6.5, 11), self.skin * 0.96)
            self.fill(_ellipse(sign * (wide + 2) + 121j, 3.2, 6.5), self.shadow)

    def head(self) -> None:
        """Draw the face without its features. Men have broad jaws."""
        wide, chin = self.wide, self.chin
        cheek, jaw, tip = (0.95, 0.80, 0.42) if self.on["Male"] else (0.89, 0.62, 0.26)
        rouge = 34 if self.on["Heavy_Makeup"] else 9
        xs = [0, 0.62 * wide, 0.94 * wide, wide, cheek * wide, jaw * wide, tip * wide, 0]
        self.fill(_mirrored(xs, [56, 61, 84, 114, 146, chin - 17, chin - 2, chin]), self.skin)
        for sign in (-1, 1):
            for size in (11, 8):
                self.fill(_ellipse(sign * wide * 0.6 + 138j, size, size * 0.7), _ROSE, rouge)
        # CelebA's "Attractive" is an opinion of its annotators. A neutral mark replaces it: clear skin and
        # large eyes, or freckles and small eyes (see eyes_and_brows).
        if not self.on["Attractive"]:
            for sign in (-1, 1):
                for x, y in zip(self.rng.uniform(7, 0.8 * wide, 12), self.rng.uniform(122, 142, 12)):
                    self.fill(_ellipse(complex(sign * x, y), 1.3, 1.2), self.crease * 0.9, 190)

    def age(self) -> None:
        """Draw wrinkles: on the forehead, from nose to mouth, under and beside the eyes."""
        if self.on["Young"]:
            return
        for y in (78, 84, 90):
            half = 19 + self.vary(3)
            self.line(_arc(-half + y * 1j, half + y * 1j, -2 + self.vary(1)), self.crease, 1.4, 210)
        for (sign, eye), mouth in zip(self.eyes, (self.left_mouth, self.right_mouth)):
            bow = sign * 3 * np.sin(np.pi * _ALONG)
            self.line(_arc(self.nose + sign * 9 - 2j, mouth + sign * 6 + 1j) + bow, self.crease, 1.6, 210)
            self.line(_arc(eye - 8 + 9j, eye + 8 + 9j, 3), self.crease, 1.4, 210)
            for rise in (-3, 1, 5):
                self.line(
                    _arc(eye + sign * 12.5 + rise * 0.4j, eye + sign * 18 + rise * 1j), self.crease, 1.1, 210
                )

    def mouth_and_nose(self) -> None:
        on, nose, left, right = self.on, self.nose, self.left_mouth, self.right_mouth
        self.line(_arc(nose - 5 - 20j, nose - 6 - 3j), self.shadow, 1.6, 150)
        self.fill(_lens(nose - 8, nose + 8, -3, 7), self.shadow, 160)
        for sign in (-1, 1):
            self.fill(_ellipse(nose + sign * 3.8 + 2.2j, 1.8, 1.1), self.crease * 0.75)
        lips = _LIPSTICKS[self.rng.integers(3)] if on["Wearing_Lipstick"] else 0.55 * self.skin + 0.38 * _ROSE
        thick = 1.0 if on["Male"] else 1.5
        if on["Smiling"]:
            left, right, deep = left - 1.5 - 1.5j, right + 1.5 - 1.5j, 15 + self.vary(1.5)
            self.fill(_lens(left - 1.5, right + 1.5, 0.5 - thick, deep + 2 + thick), lips)
            self.fill(_lens(left + 1, right - 1, 3.5, deep), _MOUTH)
            self.fill(_lens(left + 2, right - 2, 3.5, 0.55 * deep + 2), _WHITE)
        else:
            sag = -2.5 + self.vary(1.2)
            self.fill(_lens(left, right, sag - 3.2 * thick, sag), lips * 0.93)
            self.fill(_lens(left, right, sag, sag + 4.6 * thick + 1), lips)
            self.line(_arc(left, right, sag), lips * 0.55, 1.2)
        if on["Mustache"]:
            for sign in (-1, 1):
                middle = (left + right) / 2
                self.fill(_lens(middle - 6j, middle + sign * 21 + 1j, -7, 3), self.hair * 0.9)

    def eyes_and_brows(self) -> None:
        on, rng = self.on, self.rng
        x, y = (10.5, 6.2) if on["Attractive"] else (7.6, 3.6)
        iris = np.clip(_IRISES[rng.integers(4)] + rng.uniform(-12, 12, 3), 0, 255)
        eyeshadow = rng.uniform(40, 180, 3)
        brow = self.hair * 0.8 if on["Young"] else 0.35 * self.hair + 0.65 * _GREY
        lift, thick, lash = 14 + self.vary(1.5), 2.6 if on["Male"] else 1.3, 1.4 if on["Male"] else 2.0
        for sign, eye in self.eyes:
            if on["Heavy_Makeup"]:
                self.fill(_lens(eye - x - 2, eye + x + 2, -1.6 * y - 4, 0), eyeshadow, 130)
            inner, outer = eye - sign * x + 0.5j, eye + sign * x - 0.5j
            self.fill(_lens(inner, outer, -y, y), _WHITE)
            self.fill(_ellipse(eye, 0.82 * y, 0.82 * y), iris)
            self.fill(_ellipse(eye, 0.42 * y + 0.5, 0.42 * y + 0.5), _DARK)
            self.fill(_ellipse(eye + (1 - 1j) * 0.36 * y, 0.9, 0.9), _WHITE)
            self.line(_arc(inner, outer, -y), _DARK, lash)
            self.line(_arc(inner, outer, y), self.crease, 0.8, 150)
            self.fill(_lens(eye - 11 - lift * 1j, eye + 11 - lift * 1j, -4 - thick, -3 + thick), brow)
        if on["Eyeglasses"]:
            frame_colour = rng.uniform(10, 70, 3)
            for sign, eye in self.eyes:
                rim = _ellipse(eye + 1j, 15, 12.5)
                self.fill(rim, _WHITE, 30)
                self.line(np.append(rim, rim[:2]), frame_colour, 2.4)
                self.line(_arc(eye + sign * 15, sign * (self.wide + 1) + 108j), frame_colour, 2.4)
            self.line(_arc(self.eyes[0][1] + 15, self.eyes[1][1] - 15, -2), frame_colour, 2.4)

    def front(self) -> None:
        """Draw the hair over the forehead and beside the face, and a hat that leaves the sides uncovered."""
        male, wide, side, top = self.on["Male"], self.wide, self.hair_side, self.hair_top
        low = 112j if male else 1j * min(self.hair_end - 12, 158 + self.vary(8))
        inside, part, line = wide - (2 if male else 4) + 102j, self.vary(0.5) * wide, (70 + self.vary(2)) * 1j
        if self.on["Bangs"]:
            below = _arc(inside, -inside.conjugate(), -13)
        else:
            left, right = _arc(inside, part + line, -9), _arc(part + line, -inside.conjugate(), -9)
            below = np.concatenate([left, right])
        dome = _ellipse(84j, side + 1, 84 - top, _HALF_CIRCLE)
        locks = ([-wide + low, -side - 2 + low], [side + 2 + low, wide + low])
        self.fill(np.concatenate([locks[0], dome, locks[1], below]), self.hair)
        shine = _ellipse(84j, 0.78 * side, 0.78 * (84 - top), _HALF_CIRCLE)[8:12]
        self.line(shine if part < 0 else -shine.conj(), self.hair + 0.3 * (_WHITE - self.hair), 3.5, 110)
        if self.on["Bangs"]:
            for x in (-0.5, -0.2, 0.15, 0.45):
                self.line(_arc(x * wide + 72j, 1.15 * x * wide + 89j), self.hair * 0.7, 1.2)
        else:
            self.line(_arc(part + line, 0.7 * part + (top + 5) * 1j, 0), self.hair * 0.7, 1.2)
        if self.on["Wearing_Hat"]:
            felt = self.rng.uniform(40, 210, 3)
            self.fill(_ellipse(72j, side + 4, 86 - top, _HALF_CIRCLE), felt)
            self.line(_arc(-side - 5 + 74j, side + 5 + 74j, -5), felt * 0.7, 10)
