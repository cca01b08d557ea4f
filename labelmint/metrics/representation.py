"""What a discriminator has learned to see: its features, and a linear SVM on them (Radford et al. 2016, section 5.1).

All convolutions' maps, max-pooled, laid side by side. The same is done with a discriminator that was not trained and with
plain pixels: what both reach is no merit of training.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from labelmint.data.storage.pixels import normalize
from labelmint.data.storage.splits import at_most, derive_seed, hold_out
from labelmint.gans import archive, registry
from labelmint.gans.initialization import initialize, with_own_statistics
from labelmint.metrics import svm
from labelmint.metrics.accuracy import wilson
from labelmint.metrics.settings import Representation
from labelmint.runtime.progress import say
from stages.paths import Paths

_BATCH = 200
_STATISTICS_BATCHES = 50
_MOST_VALIDATED = 10_000
Set = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Extractor:
    """networks: discriminators, several where each class has its own, whose features then stand side by side; none: pixels."""

    networks: list[nn.Module]
    labels: int
    pooling: str
    pool_size: int
    device: torch.device

    @torch.no_grad()
    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """uint8 (N, C, S, S) -> float32 (N, d)."""
        images = normalize(torch.from_numpy(np.array(batch)).to(self.device))
        if not self.networks:
            return images.flatten(1).cpu().numpy()
        return np.concatenate([self._seen(network, images).cpu().numpy() for network in self.networks], 1)

    def _seen(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        maps: list[torch.Tensor] = []
        hooks = [block.register_forward_hook(lambda _, __, output: maps.append(output)) for block in blocks(network)]
        try:
            network(images, torch.zeros(len(images), self.labels, device=images.device))
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat([self._pooled(each).flatten(1) for each in maps], 1)

    def _pooled(self, maps: torch.Tensor) -> torch.Tensor:
        if maps.ndim == 2:
            return maps  # of an mlp
        if self.pooling == "window":
            return F.max_pool2d(maps, min(self.pool_size, maps.shape[-1]))
        return F.adaptive_max_pool2d(maps, min(self.pool_size, maps.shape[-1]))


def blocks(network: nn.Module) -> list[nn.Module]:
    """What makes the maps of a discriminator, in order."""
    trunk: Any = getattr(network, "trunk", network)
    return [*([trunk.first] if hasattr(trunk, "first") else []), *trunk.blocks]


def extractors(layout_folder: Path, training: np.ndarray, params: Representation, device: torch.device, seed: int) -> dict[str, Extractor]:  # fmt: skip
    """The arm's discriminators; the same untrained; and pixels. training: uint8, of which batch normalisation's statistics are taken."""
    trained = archive.load_discriminators(layout_folder)
    generators = archive.load(layout_folder)
    labels = generators.label_spec.vectors.shape[1]
    fresh = []
    for place in range(len(trained)):
        network = registry.load(generators.family_name).build_discriminator(generators.family, generators.shape, labels)
        rng = torch.Generator().manual_seed(derive_seed(seed, "random discriminator", place))
        initialize(network, generators.family.initialization, rng)
        fresh.append(network)

    def ready(network: nn.Module) -> nn.Module:
        def batches() -> Iterator[tuple[torch.Tensor, ...]]:
            order = np.random.default_rng(derive_seed("statistics")).permutation(len(training))
            for at in range(0, min(len(order), _STATISTICS_BATCHES * _BATCH), _BATCH):
                rows = np.sort(order[at : at + _BATCH])
                images = normalize(torch.from_numpy(np.array(training[rows])).to(device))
                yield images, torch.zeros(len(rows), labels, device=device)

        return with_own_statistics(network.to(device), batches())

    def extractor(networks: list[nn.Module]) -> Extractor:
        return Extractor([ready(each) for each in networks], labels, params.pooling, params.pool_size, device)

    return {"discriminator": extractor(trained), "untrained discriminator": extractor(fresh), "pixels": extractor([])}


def measure(layout: Paths, folder: Path, training: Set, test: Set, params: Representation, device: torch.device, seed: int) -> dict[str, Any]:  # fmt: skip
    """training: of the arm; labels int64 (N,), -1 for none is not among them.

    Returns: rows, one per kind of features and number of labels; left_out, numbers of labels that were not tried, and why.
    """
    rows: list[dict[str, Any]] = []
    classes = int(training[1].max()) + 1
    counts, left_out = triable(training[1], params.labels_per_class)
    for reason in left_out:
        say(f"representation: {reason}")
    layout.checkpoints.mkdir(parents=True, exist_ok=True)
    for name, extractor in extractors(folder, training[0], params, device, seed).items():
        with tempfile.TemporaryDirectory(dir=layout.checkpoints) as scratch:
            own = on_disk(extractor, training[0], Path(scratch) / "training.npy")
            reference = on_disk(extractor, test[0], Path(scratch) / "test.npy")
            for count in [0, *counts]:
                row = probe((own, training[1]), (reference, test[1]), classes, count, params, seed)
                say(f"{name}, {count or 'all'} labels per class: {100 * row['accuracy']:.2f} %")
                if row["unconverged"]:
                    say(
                        f"{name}, {count or 'all'} labels per class: {row['unconverged']} of {row['fits']} SVMs had not converged after "
                        f"{params.iterations} iterations; raise metrics.representation.iterations"
                    )
                rows.append({"features": name, "size": own.shape[1], "labels_per_class": count or None, **row})
            del own, reference
    return {"rows": rows, "left_out": left_out}


def triable(labels: np.ndarray, counts: list[int]) -> tuple[list[int], list[str]]:
    """(numbers of labels per class that leave images of every class to choose C on, and why the others were left out).

    labels: int64 (N,). Of a class with no more images every draw would be the same, and nothing would be left to choose C on.
    """
    least = int(np.unique(labels, return_counts=True)[1].min())
    reasons = [
        f"{count} labels per class left out: the smallest class has {least} training images, and C is chosen on others of them"
        for count in counts
        if count >= least
    ]
    return [count for count in counts if count < least], reasons


def on_disk(extractor: Extractor, images: np.ndarray, path: Path) -> np.ndarray:
    """Features as a memory map of float16, (N, d): they may be larger than memory."""
    features = None
    for at in range(0, len(images), _BATCH):
        part = extractor(images[at : at + _BATCH])
        if features is None:
            features = np.lib.format.open_memmap(path, "w+", np.float16, (len(images), part.shape[1]))
        features[at : at + len(part)] = part.clip(-60_000, 60_000)
    return features


def probe(training: Set, test: Set, classes: int, per_class: int, params: Representation, seed: int) -> dict[str, Any]:
    """Accuracy on the test set of an SVM whose C was chosen on training images that it had not seen.

    per_class: how many labels it is given, in `params.draws` different draws; 0 for all of them, once. Returns: accuracy, low,
    high (95 %: of one draw Wilson's, of several the deviation between them), C of each, draws; n_labels, images that it is given;
    n_validation, images that C was chosen on, 0 where there is but one: of `per_class` labels further ones, of all a part of them;
    fits, SVMs made, and unconverged, how many of them stopped before they were done.
    """
    values, labels = training
    found, chosen = [], []
    converged: list[bool] = []
    for draw in range(params.draws if per_class else 1):
        if per_class:
            own = at_most(labels, per_class, seed, "labels", draw)
            rest = np.setdiff1d(np.arange(len(labels)), own)
            held = rest[at_most(labels[rest], max(1, _MOST_VALIDATED // classes), seed, "validation", draw)]
            kept = own
        else:
            own = np.arange(len(labels))
            kept, held = hold_out(labels, params.validation_percent, seed, "validation", 0)
            held = held[at_most(labels[held], max(1, _MOST_VALIDATED // classes), seed, "validation", draw)]
        best, well = _best_c(values, labels, kept, held, classes, params)
        table = svm.Table.of(values, own)
        weights, done = svm.fit(table, labels[own], classes, best, params.iterations)
        converged += [*well, done]
        told = svm.classify(table.others(test[0], np.arange(len(test[1]))), weights)
        found.append(float((told == test[1]).mean()))
        chosen.append(best)
    accuracy = float(np.mean(found))
    if len(found) == 1:
        low, high = wilson(accuracy * len(test[1]), len(test[1]))
    else:
        from scipy.stats import t

        half = float(t.ppf(0.975, len(found) - 1) * np.std(found, ddof=1) / np.sqrt(len(found)))
        low, high = accuracy - half, accuracy + half
    told_of = {"n_labels": len(own), "n_validation": len(held) if len(params.c) > 1 else 0}
    told_of |= {"fits": len(converged), "unconverged": converged.count(False)}
    return {"accuracy": accuracy, "low": low, "high": high, "C": chosen, "draws": len(found), **told_of}


def _best_c(values: np.ndarray, labels: np.ndarray, kept: np.ndarray, held: np.ndarray, classes: int, params: Representation) -> tuple[float, list[bool]]:  # fmt: skip
    """(the C of the best accuracy on held-out training images, of equals the smallest; whether each fit converged)."""
    if len(params.c) == 1:
        return params.c[0], []
    table = svm.Table.of(values, kept)
    scores, converged = [], []
    for c in sorted(params.c):
        weights, done = svm.fit(table, labels[kept], classes, c, params.iterations)
        converged.append(done)
        scores.append((svm.classify(table.others(values, held), weights) == labels[held]).mean())
    return sorted(params.c)[int(np.argmax(scores))], converged
