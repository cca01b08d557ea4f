"""The stage: one small CNN, trained on the whole real training set and frozen, whose features the metrics use.

It never sees a synthetic or a test image, so no arm can please it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from labelmint.classifiers import settings as P
from labelmint.classifiers import targets
from labelmint.classifiers.small_cnn import SmallCNN
from labelmint.data.storage.pixels import normalize
from labelmint.data.storage.splits import derive_seed
from labelmint.data.storage.weights import load_weights, save_weights
from labelmint.random_streams import Stream
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.training.image_ops import mirror, translate

_BATCH = 500
_TRANSLATION = 0.1


def train(params: P.FeatureNetwork, images: np.ndarray, labels: np.ndarray, mirrored: list[bool]) -> SmallCNN:
    """images: uint8 (N, C, S, S); labels: int64 (N,), or float32 multi-hot (N, A).
    mirrored: by class or attribute, whether its images may be flipped.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(params.seed, "feature network"))
        network = SmallCNN(tuple(images.shape[1:]), len(mirrored), params.features)
    optimizer = torch.optim.AdamW(network.parameters(), params.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, params.learning_rate, total_steps=params.steps)
    network.train()
    for step in range(params.steps):
        stream = Stream(derive_seed(params.seed, "feature step", step))
        chosen = stream.integers(0, len(labels) - 1, params.batch_size).numpy()
        batch = translate(normalize(torch.from_numpy(images[chosen])), _TRANSLATION, stream)
        target = torch.from_numpy(labels[chosen])
        if any(mirrored):
            batch = mirror(batch, targets.may_flip(mirrored, target), stream)
        loss = targets.loss(network(batch), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def save(
    folder: Path, network: SmallCNN, params: P.FeatureNetwork, shape: tuple[int, ...], classes: int, scale: float
) -> None:
    weights = {name: value.contiguous().numpy() for name, value in network.state_dict().items()}
    digest = save_weights(folder / "network.safetensors", weights)
    facts = {
        "params": asdict(params),
        "shape": list(shape),
        "classes": classes,
        "scale": scale,
        "sha256": digest,
    }
    save_json(folder / "network.json", facts)


def load(folder: Path) -> FrozenNetwork:
    """Raises: InputError when it is missing or damaged."""
    facts = load_json(folder / "network.json")
    weights = load_weights(folder / "network.safetensors", facts["sha256"])
    network = SmallCNN(tuple(facts["shape"]), facts["classes"], facts["params"]["features"])
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return FrozenNetwork(network.eval(), facts["sha256"], facts["scale"])


@dataclass(frozen=True)
class FrozenNetwork:
    """sha256: of its weights. scale: root mean square of its features over the real training images."""

    network: SmallCNN
    sha256: str
    scale: float

    def features(self, images: np.ndarray) -> np.ndarray:
        """uint8 (N, C, S, S) -> float32 (N, features) in units of `scale`."""
        return in_batches(self.network.features, images) / self.scale


@torch.no_grad()
def in_batches(function: Callable[[torch.Tensor], torch.Tensor], images: np.ndarray) -> np.ndarray:
    """function of normalized images, over uint8 (N, C, S, S), in batches of a fixed size."""
    batches = (torch.from_numpy(np.array(images[at : at + _BATCH])) for at in range(0, len(images), _BATCH))
    return np.concatenate([function(normalize(batch)).numpy() for batch in batches])
