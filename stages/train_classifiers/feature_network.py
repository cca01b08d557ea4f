"""The stage: one small CNN, trained on the whole real training set and frozen, whose features the metrics use.

It never sees a synthetic or a test image, so no arm can please it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from stages.prepare.files import load_json, save_json
from stages.prepare.layout import Layout
from stages.prepare.pixels import normalize
from stages.prepare.splits import derive_seed
from stages.prepare.tensors import load_set
from stages.prepare.tracker import Tracker, say
from stages.prepare.weights import load_weights, save_weights
from stages.train_classifiers import params as P
from stages.train_classifiers import targets
from stages.train_classifiers.small_cnn import SmallCNN
from stages.train_generators.augment import mirror, translate
from stages.train_generators.engine import threads
from stages.train_generators.randomness import Stream

_BATCH = 500
_TRANSLATION = 0.1


@dataclass(frozen=True)
class Params:
    feature_network: P.FeatureNetwork


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    images, labels = load_set(layout.tensors)
    facts = load_json(layout.tensors / "dataset.json")
    classes = len(facts["classes"])
    with threads(1):  # the same weights on any number of cores
        network = train(params.feature_network, np.asarray(images), labels, facts["mirror"])
        # In units of their own size, or a distance would tell how large this network's numbers happen to be.
        scale = float(np.sqrt((in_batches(network.features, images) ** 2).mean()))
        accuracy = targets.share_right(targets.decide(in_batches(network, images), labels.ndim > 1), labels)
    save(layout.feature_network, network, params.feature_network, tuple(images.shape[1:]), classes, scale)
    tracker.log_metrics({"training_accuracy": accuracy})
    say(f"feature network: {params.feature_network.steps} steps, {100 * accuracy:.2f} % on its own training images")


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
