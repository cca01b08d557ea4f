"""Bounds of squared distances from float32 matrix products, on a CPU or a CUDA device.

Points x are moved by a common centre, scaled by a power of two so that no norm exceeds 1, and rounded to
float32: z. With n = |z|^2, u = 2^-24, d dimensions and g = (d + 2) u / (1 - (d + 2) u), the squared distance
of two scaled points x and p is

    n_x + h, up to slack (n_x + n_p) + tiny, where h = n_p - 2 z_x.z_p and slack = 2 g + 16 u.

h is one matrix product with d + 1 terms, whose error 2 g covers for any order of summation (Higham 2002,
section 3.1). 16 u covers the rounding of z and n, and of the sums and comparisons below; tiny covers
underflow.

Memory: each side is cast to float32 once, in blocks. A block of points and a tile of distances are as large
as `Sizes` says; queries are held at once up to 256 MiB, and beyond that the points are cast again for each
256 MiB of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from labelmint.runtime.devices import arithmetic
from labelmint.runtime.settings import Compute

if TYPE_CHECKING:
    import torch

_CAST_ROWS = 1000
_SAMPLE = 1000
_QUERY_BYTES = 256 << 20
_GROUP = 32
_UNIT = 2.0**-24
_FULL_PRECISION = Compute(precision="fp32")  # TensorFloat-32 would break the bounds


@dataclass(frozen=True)
class Sizes:
    """Largest sizes: bytes and rows of a block of points, bytes of a tile of distances."""

    block_bytes: int
    block_rows: int
    tile_bytes: int


CPU_SIZES = Sizes(64 << 20, 4096, 8 << 20)  # a tile stays in the cache while it is searched
GPU_SIZES = Sizes(256 << 20, 65_536, 256 << 20)


@dataclass(frozen=True)
class Block:
    """Consecutive points of one side, in float32 on the device.

    indices: int64 (n,), of the points within their set. factors: float32 (n, d + 1), a side of the product.
    norms: float64 (n,). errors: float32 (n,), slack * norms + tiny.
    """

    indices: np.ndarray
    factors: torch.Tensor
    norms: np.ndarray
    errors: torch.Tensor

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Frame:
    """Common centre, float64 (d,), and scale of two sets of points, and the error of their products."""

    centre: np.ndarray
    scale: float
    slack: float
    tiny: float
    device: torch.device
    sizes: Sizes

    @classmethod
    def of(cls, queries: np.ndarray, points: np.ndarray, device: torch.device | str) -> Frame:
        """Frame of (N, d) and (M, d).

        device: CUDA, or else the CPU is used, since the error of MPS's products is not documented.
        Raises: ValueError where a value is not finite.
        """
        import torch

        sides = (queries,) if queries is points else (queries, points)
        extremes = [(float(each.max(initial=0)), -float(each.min(initial=0))) for each in sides]
        largest = float(np.max(extremes))  # NaN where one is
        if not math.isfinite(largest):
            raise ValueError("distances need finite points")
        size = points.shape[1]
        # Every |x - centre| is at most 2 sqrt(d) times the largest value.
        exponent = math.frexp(largest)[1] + math.ceil(math.log2(2 * math.sqrt(size)))
        rounding = (size + 2) * _UNIT
        on = torch.device(device if torch.device(device).type == "cuda" else "cpu")
        return cls(
            centre=points[:: max(1, len(points) // _SAMPLE)].mean(0, dtype=np.float64),
            scale=math.ldexp(1.0, -max(-500, min(500, exponent))),
            slack=2 * rounding / (1 - rounding) + 16 * _UNIT,
            tiny=(size + 2) * 2.0**-120,
            device=on,
            sizes=CPU_SIZES if on.type == "cpu" else GPU_SIZES,
        )

    def queries(self, queries: np.ndarray) -> Iterator[Block]:
        """Blocks whose factors are (-2 z, 1)."""
        rows = max(1, _QUERY_BYTES // (4 * queries.shape[1] + 4))
        for start in range(0, len(queries), rows):
            factors, norms = self._cast(queries[start : start + rows])
            factors[:, :-1] *= -2
            factors[:, -1] = 1
            yield self._block(start, factors, norms)

    def points(self, points: np.ndarray) -> Iterator[Block]:
        """Blocks whose factors are (z, n)."""
        most = max(1, min(self.sizes.block_rows, self.sizes.block_bytes // (4 * points.shape[1] + 4)))
        rows = max(most - most % _GROUP, min(most, _GROUP))  # whole groups need no padding
        for start in range(0, len(points), rows):
            factors, norms = self._cast(points[start : start + rows])
            factors[:, -1] = norms
            yield self._block(start, factors, norms)

    def _cast(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(float32 (n, d + 1) with z in all columns but the last, float64 (n,): |z|^2)."""
        factors, norms = np.empty((len(points), points.shape[1] + 1), np.float32), np.empty(len(points))
        for at in range(0, len(points), _CAST_ROWS):
            part = slice(at, at + _CAST_ROWS)
            factors[part, :-1] = (points[part] - self.centre) * self.scale
            norms[part] = np.square(factors[part, :-1], dtype=np.float64).sum(1)
        return factors, norms

    def _block(self, start: int, factors: np.ndarray, norms: np.ndarray) -> Block:
        import torch

        errors = torch.from_numpy((self.slack * norms + self.tiny).astype(np.float32))
        return Block(
            np.arange(start, start + len(norms)),
            torch.from_numpy(factors).to(self.device),
            norms,
            errors.to(self.device),
        )

    def tiles(self, queries: Block, points: Block) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield (rows of `queries`, h of these rows and all `points`, float32 (rows, n))."""
        rows = max(1, self.sizes.tile_bytes // (4 * max(1, len(points.factors))))
        for start in range(0, len(queries), rows):
            part = slice(start, min(start + rows, len(queries)))
            with arithmetic(_FULL_PRECISION, self.device):
                product = queries.factors[part] @ points.factors.T
            yield part, product


@dataclass(frozen=True)
class Candidates:
    """Pairs of a query and a point: int64 (P,) each. counts: how many points equal that one; it counts too.

    Of equal points only the first is a candidate.
    """

    queries: np.ndarray
    points: np.ndarray
    counts: np.ndarray


def candidates(
    queries: np.ndarray, points: np.ndarray, k: int, device: torch.device | str
) -> Iterator[Candidates]:
    """Yield pairs among which are, for each query, its k nearest points and all that are as near as the k-th.

    queries: (N, d). points: (M, d). Pairs of a query are yielded together.
    """
    frame = Frame.of(queries, points, device)
    for block in frame.queries(queries):
        yield _candidates(frame, block, points, k)


def _candidates(frame: Frame, queries: Block, points: np.ndarray, k: int) -> Candidates:
    import torch

    # Upper bounds of the k least values of h of each query. Those of other points may be below the largest.
    best = torch.full((len(queries), k), math.inf, device=frame.device)
    counts = np.zeros(len(points), np.int64)
    found: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for block in frame.points(points):
        distinct, repeats = _distinct(points, block)
        counts[distinct.indices] = repeats
        width = max(1, min(_GROUP, len(distinct) // (4 * k)))
        padded = _padded(distinct, width)
        for rows, h in frame.tiles(queries, padded):
            # Columns of a group are `groups` apart. A search of the groups' minima costs a fraction of one
            # of all columns.
            grouped = h.view(len(h), width, -1)
            errors = padded.errors.view(width, -1)
            least, error = grouped.amin(1), errors.amax(0)
            best[rows] = torch.cat([best[rows], least + error], 1).topk(k, largest=False).values
            limit = best[rows].amax(1) + 2 * queries.errors[rows]
            row, group = (least - error <= limit[:, None]).nonzero(as_tuple=True)
            lower = grouped[row, :, group] - errors[:, group].T
            pair, place = (lower <= limit[row, None]).nonzero(as_tuple=True)
            column = place * least.shape[1] + group[pair]
            real = column < len(distinct)
            index = torch.from_numpy(distinct.indices).to(frame.device)[column[real]]
            found.append((rows.start + row[pair][real], index, lower[pair, place][real]))
    row, index, lower = (torch.cat(each) for each in zip(*found))
    near = lower <= (best.amax(1) + 2 * queries.errors)[row]
    chosen = index[near].cpu().numpy()
    return Candidates(queries.indices[row[near].cpu().numpy()], chosen, counts[chosen])


def _distinct(points: np.ndarray, block: Block) -> tuple[Block, np.ndarray]:
    """The block without points that equal an earlier one in it; how many equal each, itself included.

    Thousands of equal images, as a collapsed generator makes them, would all be candidates. Equal points have
    equal norms, so only those are compared.
    """
    import torch

    order = np.argsort(block.norms, kind="stable")
    alike = np.flatnonzero(block.norms[order[1:]] == block.norms[order[:-1]])
    if not len(alike):
        return block, np.ones(len(block), np.int64)
    start, repeats = block.indices[0], np.zeros(len(block), bool)
    repeats[1 + alike] = (points[start + order[alike]] == points[start + order[1 + alike]]).all(1)
    firsts = order[~repeats]
    counts = np.diff(np.append(np.flatnonzero(~repeats), len(order)))
    ascending = np.argsort(firsts)
    kept = firsts[ascending]
    on_device = torch.from_numpy(kept).to(block.factors.device)
    factors, errors = block.factors[on_device], block.errors[on_device]
    return Block(block.indices[kept], factors, block.norms[kept], errors), counts[ascending]


def _padded(block: Block, multiple: int) -> Block:
    """The block with infinitely far points at its end, so that its rows are a multiple of `multiple`."""
    from torch.nn import functional as F

    if not (missing := -len(block) % multiple):
        return block
    factors = F.pad(block.factors, (0, 0, 0, missing))
    factors[len(block) :, -1] = math.inf
    return replace(block, factors=factors, errors=F.pad(block.errors, (0, missing)))


@dataclass(frozen=True)
class Containment:
    """Which balls contain which points, where float32 decides.

    points: int64 (M,), how many balls surely contain each. balls: int64 (N,), how many points each surely
    contains. open_balls, open_points: int64 (P,) each, the pairs that float32 does not decide.
    """

    points: np.ndarray
    balls: np.ndarray
    open_balls: np.ndarray
    open_points: np.ndarray


def containment(
    centres: np.ndarray, radii: np.ndarray, points: np.ndarray, device: torch.device | str
) -> Containment:
    """Containment of points, (M, d), in balls with centres (N, d) and radii float64 (N,)."""
    import torch

    frame = Frame.of(centres, points, device)
    squares = (radii * frame.scale) ** 2
    of_points, of_balls = np.zeros(len(points), np.int64), np.zeros(len(centres), np.int64)
    open_balls, open_points = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for balls in frame.queries(centres):
        square = squares[balls.indices]
        limits = torch.from_numpy((square - balls.norms).astype(np.float32)).to(frame.device)
        errors = balls.errors + torch.from_numpy((4 * _UNIT * square).astype(np.float32)).to(frame.device)
        for block in frame.points(points):
            for rows, h in frame.tiles(balls, block):
                limit, error = limits[rows, None], errors[rows, None] + block.errors.amax()
                inside = h <= limit - error
                of_points[block.indices] += inside.sum(0).cpu().numpy()
                of_balls[balls.indices[rows]] += inside.sum(1).cpu().numpy()
                undecided = (h <= limit + error) ^ inside
                # Few rows have any, and a search of the whole tile would take most of the time.
                own = undecided.any(1).nonzero()[:, 0]
                row, column = undecided[own].nonzero(as_tuple=True)
                open_balls.append(balls.indices[rows][own[row].cpu().numpy()])
                open_points.append(block.indices[column.cpu().numpy()])
    return Containment(of_points, of_balls, np.concatenate(open_balls), np.concatenate(open_points))
