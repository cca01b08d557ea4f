"""What lies between latents, and what their sums mean (Radford et al. 2016, section 6).

Concepts are found, not chosen by hand: a classifier of attributes that saw only real images tells which latents make, say,
smiling women. Whether the sum of concepts means what it should is told by the same classifier.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch

from labelmint.data.storage.pixels import to_uint8
from labelmint.data.storage.splits import derive_seed
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.initialization import draw_latents
from labelmint.gans.settings import Family
from labelmint.random_streams import Stream

_ROWS, _COLUMNS = 12, 10
_BATCH = 500
_CANDIDATES = 2000
_PER_CONCEPT = 3
_SUMS, _AROUND = 10, 20
_NOISE = 0.25
_MOST_PAIRS = 3

Decode = Callable[[torch.Tensor], np.ndarray]
"""latents, float (N, z) -> images, uint8 (N, C, S, S)."""
Tell = Callable[[np.ndarray], np.ndarray]
"""images -> logits of the attributes, float (N, A)."""


def slerp(first: torch.Tensor, second: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Points on the arc from one latent to the other: (z,), (z,), (k,) -> (k, z).

    Normal latents lie near a sphere, and a straight line would lead through its empty inside (White 2016). Their lengths are
    interpolated besides. Latents on one line are joined by it.
    """
    lengths = first.norm(), second.norm()
    units = first / lengths[0], second / lengths[1]
    angle = torch.arccos((units[0] @ units[1]).clamp(-1, 1))
    shares = shares[:, None]
    if angle.sin() < 1e-3:
        return torch.lerp(first, second, shares)
    direction = (((1 - shares) * angle).sin() * units[0] + (shares * angle).sin() * units[1]) / angle.sin()
    return direction * torch.lerp(*lengths, shares)


def between(first: torch.Tensor, second: torch.Tensor, steps: int, family: Family) -> torch.Tensor:
    """(steps, z): along the arc; of uniform latents along the straight line, which does not leave their cube."""
    shares = torch.linspace(0, 1, steps)
    if family.latent_distribution == "normal":
        return slerp(first, second, shares)
    return torch.lerp(first, second, shares[:, None])


def decoder(generators: GeneratorArchive, position: int, label: np.ndarray) -> Decode:
    """Generator number `position`, always told `label`, float32 (K,)."""
    network, told = generators.network(position), torch.from_numpy(label)

    @torch.no_grad()
    def decode(latents: torch.Tensor) -> np.ndarray:
        parts = [
            to_uint8(network(part, told.expand(len(part), -1))[0]).contiguous().numpy()
            for part in latents.split(_BATCH)
        ]
        return np.concatenate(parts)

    return decode


def decoders(generators: GeneratorArchive) -> list[tuple[str, Decode]]:
    """A name and a decoder for each row of a sheet: a class, a common pattern of attributes, or all."""
    label_spec = generators.label_spec
    if generators.family.labels == "per_class":
        nothing = np.zeros(0, np.float32)
        return [(name, decoder(generators, place, nothing)) for place, name in enumerate(label_spec.names[:_ROWS])]
    return [
        (label_spec.title(place), decoder(generators, 0, label_spec.vectors[place]))
        for place in label_spec.commonest(_ROWS)
    ]


def interpolations(generators: GeneratorArchive, seed: int) -> tuple[np.ndarray, list[str]]:
    """uint8 (rows, columns, C, S, S), and what each row is: from one latent to another, the same two in each row that has a label."""
    rows, family = decoders(generators), generators.family
    unlabelled = family.labels == "none"
    stream = Stream(derive_seed(seed, "interpolation"))
    count = _ROWS // 2 if unlabelled else 1
    ends = draw_latents(2 * count, family, stream)
    paths = [between(*pair, _COLUMNS, family) for pair in ends.split(2)]
    if unlabelled:
        return np.stack([rows[0][1](path) for path in paths]), []
    return np.stack([decode(paths[0]) for _, decode in rows]), [name for name, _ in rows]


def grid_of_labels(generators: GeneratorArchive, seed: int) -> tuple[np.ndarray, list[str]] | None:
    """uint8 (rows, columns, C, S, S): the label by row, the latent by column. None where labels are not asked for."""
    if generators.family.labels not in ("conditional", "multi_hot"):
        return None
    latents = draw_latents(_COLUMNS, generators.family, Stream(derive_seed(seed, "label grid")))
    rows = decoders(generators)
    return np.stack([decode(latents) for _, decode in rows]), [name for name, _ in rows]


@dataclass(frozen=True)
class Arithmetic:
    """B and not A - neither + A and not B = both, as the paper's figure 7 shows it.

    images: uint8 (4, 4, C, S, S), by term and row: three of a concept, and below them what their mean latent gives; of the last term
    three sums with noise, and below them the sum itself. So the last row is the equation, in images.
    reached: share of sums that the classifier says are both; base: share of all minted images; sums: how many were tried.
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


def arithmetic(decode: Decode, tell: Tell, latents: torch.Tensor, names: list[str], seed: int) -> tuple[list[Arithmetic], list[str]]:  # fmt: skip
    """(one for each pair of the first attributes, and why there is none for the others).

    latents: (N, z), candidates. Of each concept the thirty whose attributes the classifier is surest of, three to a sum.
    """
    logits = np.concatenate([tell(decode(part)) for part in latents.split(_BATCH)])
    made, absent = [], []
    for pair in list(combinations(range(len(names)), 2))[:_MOST_PAIRS]:
        both = (names[pair[0]], names[pair[1]])
        concepts = [_surest(logits[:, pair], signs) for signs in ((-1, 1), (-1, -1), (1, -1))]
        sums = min(_SUMS, min(map(len, concepts)) // _PER_CONCEPT)
        if sums == 0:
            absent.append(
                f"{both[0]}, {both[1]}: fewer than {_PER_CONCEPT} of {len(latents)} minted images show one of the concepts"
            )
            continue
        # One of the surest and some less sure in every sum, so that sums are alike.
        terms = [latents[torch.from_numpy(places[: sums * _PER_CONCEPT])].view(_PER_CONCEPT, sums, -1).mean(0) for places in concepts]  # fmt: skip
        found = terms[0] - terms[1] + terms[2]
        noise = Stream(derive_seed(seed, "arithmetic", *pair)).uniform(sums, _AROUND, latents.shape[1])
        around = found[:, None] + _NOISE * (2 * noise - 1)
        told = tell(decode(around.flatten(0, 1)))[:, pair]
        # Of the first sum: what it is made of, its terms, and what comes out.
        chosen = [latents[torch.from_numpy(places[: sums * _PER_CONCEPT : sums])] for places in concepts]
        shown = zip([*chosen, around[0, :_PER_CONCEPT]], [*terms, found])
        images = np.stack([decode(torch.cat([above, below[:1]])) for above, below in shown])
        reached, base = (float((each > 0).all(1).mean()) for each in (told, logits[:, pair]))
        made.append(Arithmetic(both, images, reached, base, sums * _AROUND))
    return made, absent


def _surest(logits: np.ndarray, signs: tuple[int, int]) -> np.ndarray:
    """Places of the images that show the concept, the surest first. logits: (N, 2)."""
    least = (logits * np.array(signs)).min(1)  # as sure as of the attribute that is less sure
    order = np.argsort(-least, kind="stable")
    return order[least[order] > 0][: _SUMS * _PER_CONCEPT]


def candidates(family: Family, seed: int) -> torch.Tensor:
    return draw_latents(_CANDIDATES, family, Stream(derive_seed(seed, "concepts")))
