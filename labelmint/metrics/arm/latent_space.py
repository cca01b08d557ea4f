"""The latent space of generators: interpolation, labels, sums of concepts (Radford et al. 2016, section 6).

Concepts are not chosen by hand: a classifier of attributes, trained on real images only, finds latents that
show, say, smiling women. The same classifier decides whether a sum of concepts shows what it should.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.classifiers import archive as classifiers
from labelmint.classifiers.job import predict
from labelmint.data.storage.image_grid import grid, png
from labelmint.data.storage.pixels import to_uint8
from labelmint.data.storage.splits import derive_seed
from labelmint.gans import archive
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.initialization import draw_latents
from labelmint.gans.settings import Family
from labelmint.random_streams import Stream
from labelmint.runtime.atomic_files import save_bytes

_ROWS, _COLUMNS = 12, 10
_BATCH = 500
_CANDIDATES = 2000
_PER_CONCEPT = 3
_SUMS, _NOISY_COPIES = 10, 20
_NOISE = 0.25
_MAX_PAIRS = 3

Decode = Callable[[torch.Tensor], np.ndarray]
"""latents, float (N, z) -> images, uint8 (N, C, S, S)."""
Classify = Callable[[np.ndarray], np.ndarray]
"""images -> logits of the attributes, float (N, A)."""


def draw(
    generator: Path, baseline: Path, folder: Path, dataset: dict[str, Any], *, seed: int, device: torch.device
) -> dict[str, Any]:
    """Write sheets of an arm's latent space as PNG into `folder`.

    generator: folder of the arm's generators. baseline: folder of the classifier trained on the same real
    images.
    dataset: content of dataset.json. Returns: rows, by sheet the title of each row; arithmetic, its results;
    absent, reasons why there are no sums of concepts.
    """
    generators = archive.load(generator)
    sheets = {
        "interpolation": interpolations(generators, seed, device),
        "labels": label_sheet(generators, seed, device),
    }
    rows = {}
    for name, sheet in sheets.items():
        if sheet is not None:
            save_bytes(folder / f"{name}.png", png(grid(sheet[0])))
            rows[name] = sheet[1]
    sums, absent = _arithmetic(generators, baseline, dataset, seed, device)
    for number, each in enumerate(sums):
        save_bytes(folder / f"arithmetic-{number}.png", png(grid(each.images.swapaxes(0, 1))))
    return {"rows": rows, "arithmetic": [each.described for each in sums], "absent": absent}


def _arithmetic(
    generators: GeneratorArchive, baseline: Path, dataset: dict[str, Any], seed: int, device: torch.device
) -> tuple[list[Arithmetic], list[str]]:
    if dataset["labels"] != "multi_hot":
        return [], ["they need several dataset.attributes, and a classifier of them"]
    if generators.family.labels != "none":
        reason = "this generator gets the attributes as labels, so its latents do not determine them"
        return [], [f"{reason}; with labels: none they would"]
    network = classifiers.network(baseline, "real").to(device)
    decode = decoder(generators, 0, np.zeros(0, np.float32), device)
    latents = draw_latents(_CANDIDATES, generators.family, Stream(derive_seed(seed, "concepts")))
    return arithmetic(
        decode, lambda images: predict(network, images, device), latents, dataset["classes"], seed
    )


def slerp(first: torch.Tensor, second: torch.Tensor, fractions: torch.Tensor) -> torch.Tensor:
    """Points on the arc from one latent to the other: (z,), (z,), (k,) -> (k, z).

    Normal latents are close to a sphere, and a straight line would pass through its empty inside (White
    2016). Lengths are interpolated linearly. Between collinear latents the path is a straight line.
    """
    lengths = first.norm(), second.norm()
    units = first / lengths[0], second / lengths[1]
    angle = torch.arccos((units[0] @ units[1]).clamp(-1, 1))
    fractions = fractions[:, None]
    if angle.sin() < 1e-3:
        return torch.lerp(first, second, fractions)
    direction = (
        ((1 - fractions) * angle).sin() * units[0] + (fractions * angle).sin() * units[1]
    ) / angle.sin()
    path: torch.Tensor = direction * torch.lerp(*lengths, fractions)
    return path


def between(first: torch.Tensor, second: torch.Tensor, steps: int, family: Family) -> torch.Tensor:
    """Path between latents, (steps, z): an arc, or for uniform latents a line, which stays in their cube."""
    fractions = torch.linspace(0, 1, steps)
    if family.latent_distribution == "normal":
        return slerp(first, second, fractions)
    return torch.lerp(first, second, fractions[:, None])


def decoder(generators: GeneratorArchive, position: int, label: np.ndarray, device: torch.device) -> Decode:
    """Generator number `position` on the device, always with the same label, float32 (K,)."""
    network, condition = generators.network(position).to(device), torch.from_numpy(label).to(device)

    @torch.no_grad()
    def decode(latents: torch.Tensor) -> np.ndarray:
        parts = [
            to_uint8(network(part.to(device), condition.expand(len(part), -1))[0]).cpu().contiguous().numpy()
            for part in torch.split(latents, _BATCH)
        ]
        return np.concatenate(parts)

    return decode


def decoders(generators: GeneratorArchive, device: torch.device) -> list[tuple[str, Decode]]:
    """Title and decoder of each row of a sheet: a class, a common combination of attributes, or all."""
    label_spec = generators.label_spec
    if generators.family.labels == "per_class":
        no_label = np.zeros(0, np.float32)
        return [
            (name, decoder(generators, index, no_label, device))
            for index, name in enumerate(label_spec.names[:_ROWS])
        ]
    return [
        (label_spec.title(index), decoder(generators, 0, label_spec.vectors[index], device))
        for index in label_spec.commonest(_ROWS)
    ]


def interpolations(
    generators: GeneratorArchive, seed: int, device: torch.device
) -> tuple[np.ndarray, list[str]]:
    """Sheet of paths between two latents, uint8 (rows, columns, C, S, S), and the titles of its rows.

    Rows with labels show the same two latents; without labels each row has its own.
    """
    rows, family = decoders(generators, device), generators.family
    unlabelled = family.labels == "none"
    stream = Stream(derive_seed(seed, "interpolation"))
    count = _ROWS // 2 if unlabelled else 1
    ends = draw_latents(2 * count, family, stream)
    paths = [between(ends[at], ends[at + 1], _COLUMNS, family) for at in range(0, 2 * count, 2)]
    if unlabelled:
        return np.stack([rows[0][1](path) for path in paths]), []
    return np.stack([decode(paths[0]) for _, decode in rows]), [name for name, _ in rows]


def label_sheet(
    generators: GeneratorArchive, seed: int, device: torch.device
) -> tuple[np.ndarray, list[str]] | None:
    """Sheet of a label per row and a latent per column, uint8 (rows, columns, C, S, S), and its rows' titles.

    None for generators without conditioning.
    """
    if generators.family.labels not in ("conditional", "multi_hot"):
        return None
    latents = draw_latents(_COLUMNS, generators.family, Stream(derive_seed(seed, "label grid")))
    rows = decoders(generators, device)
    return np.stack([decode(latents) for _, decode in rows]), [name for name, _ in rows]


@dataclass(frozen=True)
class Arithmetic:
    """B and not A - neither + A and not B = both, laid out as figure 7 of the paper.

    images: uint8 (4, 4, C, S, S), by term and row. A concept has three of its images and below them that of
    their mean latent; the last term has three sums with noise, and below them the sum itself. The last row is
    the equation.
    reached: fraction of sums that the classifier finds to show both. base: the same of all synthetic images.
    sums: how many were tried.
    """

    names: tuple[str, str]
    images: np.ndarray
    reached: float
    base: float
    sums: int

    @property
    def described(self) -> dict[str, Any]:
        first, second = self.names
        return {
            "terms": [f"{second}, not {first}", "neither", f"{first}, not {second}", f"{first} and {second}"],
            "reached": self.reached,
            "base": self.base,
            "sums": self.sums,
        }


def arithmetic(
    decode: Decode, classify: Classify, latents: torch.Tensor, names: list[str], seed: int
) -> tuple[list[Arithmetic], list[str]]:
    """(sums of concepts for each pair of the first attributes, reasons why a pair has none).

    latents: candidates, (N, z). Each concept uses the thirty images that the classifier is most certain of,
    three per sum.
    """
    logits = np.concatenate([classify(decode(part)) for part in torch.split(latents, _BATCH)])
    results, absent = [], []
    for pair in list(combinations(range(len(names)), 2))[:_MAX_PAIRS]:
        both = (names[pair[0]], names[pair[1]])
        concepts = [_most_certain(logits[:, pair], signs) for signs in ((-1, 1), (-1, -1), (1, -1))]
        sums = min(_SUMS, min(map(len, concepts)) // _PER_CONCEPT)
        if sums == 0:
            absent.append(
                f"{both[0]}, {both[1]}: fewer than {_PER_CONCEPT} of {len(latents)} synthetic images show "
                "one of the concepts"
            )
            continue
        # Every sum gets one of the most certain images and some less certain ones, so that sums are alike.
        groups = [latents[torch.from_numpy(indices[: sums * _PER_CONCEPT])] for indices in concepts]
        terms = [group.view(_PER_CONCEPT, sums, -1).mean(0) for group in groups]
        total = terms[0] - terms[1] + terms[2]
        noise = Stream(derive_seed(seed, "arithmetic", *pair)).uniform(sums, _NOISY_COPIES, latents.shape[1])
        noisy = total[:, None] + _NOISE * (2 * noise - 1)
        predicted = classify(decode(noisy.flatten(0, 1)))[:, pair]
        # The sheet shows the first sum: images of its concepts, their means, and the result.
        columns = zip([*(group[::sums] for group in groups), noisy[0, :_PER_CONCEPT]], [*terms, total])
        images = np.stack([decode(torch.cat([above, below[:1]])) for above, below in columns])
        reached, base = (float((each > 0).all(1).mean()) for each in (predicted, logits[:, pair]))
        results.append(Arithmetic(both, images, reached, base, sums * _NOISY_COPIES))
    return results, absent


def _most_certain(logits: np.ndarray, signs: tuple[int, int]) -> np.ndarray:
    """Indices of the images that show the concept, the most certain first. logits: (N, 2)."""
    certainty = (logits * np.array(signs)).min(1)  # that of the less certain attribute
    order = np.argsort(-certainty, kind="stable")
    found: np.ndarray = order[certainty[order] > 0][: _SUMS * _PER_CONCEPT]
    return found
