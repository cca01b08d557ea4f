"""The feature network: a small CNN, trained once on all real training images and frozen.

Metrics use its features. It never sees a synthetic or a test image, so that no arm can be fitted to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from labelmint.classifiers import targets
from labelmint.classifiers.settings import FeatureNetwork
from labelmint.classifiers.small_networks import SmallCNN
from labelmint.data.storage.pixels import normalize
from labelmint.data.storage.splits import derive_seed
from labelmint.data.storage.weights import load_weights, save_weights
from labelmint.random_streams import Stream
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.devices import threads
from labelmint.training.image_ops import mirror, translate

_BATCH = 500
_CPU_PIXELS, _CPU_IMAGES = 98_000, 25
"""Pixels, and at least images, of a part of a batch on a CPU, whose maps then stay in the cache. Parts have
the bits of the whole batch in half of its time; with fewer images they may round differently."""
_TRANSLATION = 0.1


@dataclass(frozen=True)
class Trained:
    """The trained network. scale: root mean square of its features. accuracy: on its own training images."""

    network: SmallCNN
    scale: float
    accuracy: float


def train(params: FeatureNetwork, images: np.ndarray, labels: np.ndarray, may_mirror: list[bool]) -> Trained:
    """Train the network.

    images: uint8 (N, C, S, S). labels: int64 (N,), or float32 multi-hot (N, A). may_mirror: by class or
    attribute, whether its images may be flipped.
    """
    with threads(1):  # the same weights on any number of cores
        network = _train(params, np.asarray(images), labels, may_mirror)
        # Features are divided by their scale: distances would otherwise depend on this network's arbitrary
        # units.
        scale = float(np.sqrt((in_batches(network.features, images) ** 2).mean()))
        predicted = targets.decide(in_batches(network, images), labels.ndim > 1)
    return Trained(network, scale, targets.fraction_correct(predicted, labels))


def _train(
    params: FeatureNetwork, images: np.ndarray, labels: np.ndarray, may_mirror: list[bool]
) -> SmallCNN:
    channels, height, width = images.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(params.seed, "feature network"))
        network = SmallCNN((channels, height, width), len(may_mirror), params.features)
    optimizer = torch.optim.AdamW(network.parameters(), params.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, params.learning_rate, total_steps=params.steps)
    network.train()
    for step in range(params.steps):
        stream = Stream(derive_seed(params.seed, "feature step", step))
        chosen = stream.integers(0, len(labels) - 1, params.batch_size).numpy()
        batch = translate(normalize(torch.from_numpy(images[chosen])), _TRANSLATION, stream)
        target = torch.from_numpy(labels[chosen])
        if any(may_mirror):
            batch = mirror(batch, targets.may_flip(may_mirror, target), stream)
        loss = targets.loss(network(batch), target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return network.eval()


def save(
    folder: Path, trained: Trained, params: FeatureNetwork, shape: tuple[int, int, int], classes: int
) -> None:
    """Write network.safetensors and network.json. shape: (C, S, S) of the images."""
    weights = {name: value.contiguous().numpy() for name, value in trained.network.state_dict().items()}
    facts = {
        "params": asdict(params),
        "shape": list(shape),
        "classes": classes,
        "scale": trained.scale,
        "sha256": save_weights(folder / "network.safetensors", weights),
    }
    save_json(folder / "network.json", facts)


def load(folder: Path) -> FrozenNetwork:
    """Read the network. Raises: InputError if it is missing or damaged."""
    facts = load_json(folder / "network.json")
    weights = load_weights(folder / "network.safetensors", facts["sha256"])
    channels, height, width = facts["shape"]
    network = SmallCNN((channels, height, width), facts["classes"], facts["params"]["features"])
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return FrozenNetwork(network.eval(), facts["sha256"], facts["scale"])


@dataclass(frozen=True)
class FrozenNetwork:
    """sha256: hash of the weights. scale: root mean square of the features over the real training images."""

    network: SmallCNN
    sha256: str
    scale: float

    def features(self, images: np.ndarray, device: torch.device | str = "cpu") -> np.ndarray:
        """Features in units of `scale`, float32 (N, features).

        images: uint8 (N, C, S, S). device: where the network is moved and runs.
        """
        return in_batches(self.network.to(device).features, images, device) / self.scale


@torch.no_grad()
def in_batches(
    function: Callable[[torch.Tensor], torch.Tensor],
    images: np.ndarray,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """A function of normalized images, applied to uint8 (N, C, S, S) in batches of a fixed size.

    device: where the function gets them. Returns: the values of all images, on the CPU.
    """
    size = _BATCH
    if torch.device(device).type == "cpu":
        size = min(_BATCH, max(_CPU_IMAGES, _CPU_PIXELS // (images.shape[-2] * images.shape[-1])))
    values = []
    for at in range(0, len(images), _BATCH):
        batch = torch.from_numpy(np.array(images[at : at + _BATCH])).to(device)
        values += [function(normalize(part)).cpu() for part in batch.tensor_split(max(1, len(batch) // size))]
    return torch.cat(values).numpy()
