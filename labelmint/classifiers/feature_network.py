"""The feature network: a small CNN, trained once on real training images and frozen.

Metrics use its features. It never sees a synthetic or a test image, so that no arm can be fitted to it. Nor
does it see a part of the training images: these are the real images that metrics compare with test images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from labelmint.classifiers.settings import FeatureNetwork
from labelmint.classifiers.small_networks import SmallCNN
from labelmint.data.storage.pixels import normalize
from labelmint.data.storage.tensors import load_array, save_array, save_checksums
from labelmint.data.storage.weights import load_weights, save_weights
from labelmint.runtime.atomic_files import load_json, save_json

_BATCH = 500
_CPU_PIXELS, _CPU_IMAGES = 98_000, 25
"""Pixels, and at least images, of a part of a batch on a CPU, whose maps then stay in the cache. Parts have
the bits of the whole batch in half of its time; with fewer images they may round differently."""


@dataclass(frozen=True)
class Trained:
    """The trained network.

    scale: root mean square of its features. features: of all training images in units of `scale`, float32
    (N, features). unseen: int64 (M,), indices of the training images that it was not trained on. accuracy: on
    these.
    """

    network: SmallCNN
    scale: float
    features: np.ndarray
    unseen: np.ndarray
    accuracy: float

    def frozen(self, sha256: str) -> FrozenNetwork:
        """sha256: hash of the weights."""
        return FrozenNetwork(self.network, sha256, self.scale, self.unseen, self.features)


def save(
    folder: Path, trained: Trained, params: FeatureNetwork, shape: tuple[int, int, int], classes: int
) -> None:
    """Write network.safetensors, network.json, features.npy, unseen.npy. shape: (C, S, S) of the images."""
    weights = {name: value.contiguous().numpy() for name, value in trained.network.state_dict().items()}
    facts = {
        "params": asdict(params),
        "shape": list(shape),
        "classes": classes,
        "scale": trained.scale,
        "sha256": save_weights(folder / "network.safetensors", weights),
    }
    save_array(folder / "features.npy", trained.features)
    save_array(folder / "unseen.npy", trained.unseen)
    save_checksums(folder)
    save_json(folder / "network.json", facts)


def load(folder: Path) -> FrozenNetwork:
    """Read the network. Raises: InputError if it is missing or damaged."""
    facts = load_json(folder / "network.json")
    weights = load_weights(folder / "network.safetensors", facts["sha256"])
    channels, height, width = facts["shape"]
    network = SmallCNN((channels, height, width), facts["classes"], facts["params"]["features"])
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    features = load_array(folder / "features.npy", mapped=True)
    unseen = load_array(folder / "unseen.npy")
    return FrozenNetwork(network.eval(), facts["sha256"], facts["scale"], unseen, features)


@dataclass(frozen=True)
class FrozenNetwork:
    """A trained network that does not change.

    sha256: hash of the weights. scale: root mean square of the features over the real training images.
    unseen: int64 (M,), indices of the real training images that it was not trained on.
    training: features of all of them, in units of `scale`, float32 (N, features).
    """

    network: SmallCNN
    sha256: str
    scale: float
    unseen: np.ndarray
    training: np.ndarray

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
