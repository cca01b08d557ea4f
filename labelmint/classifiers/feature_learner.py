"""Training of the feature network."""

from __future__ import annotations

import math

import numpy as np
import torch

from labelmint.classifiers import targets
from labelmint.classifiers.feature_network import Trained, in_batches
from labelmint.classifiers.settings import FeatureNetwork
from labelmint.classifiers.small_networks import SmallCNN
from labelmint.data.storage.pixels import normalize
from labelmint.data.storage.splits import derive_seed, hold_out
from labelmint.runtime.devices import threads
from labelmint.runtime.errors import DivergedError
from labelmint.runtime.progress import Progress
from labelmint.training.engine.optimizers import Adam, OneCycle
from labelmint.training.engine.step_inputs import StepDraws, StepInput
from labelmint.training.image_ops import mirror, translate

_TRANSLATION = 0.1
_RISING = 0.3  # fraction of the steps in which the learning rate rises
_BETAS, _WEIGHT_DECAY = (0.9, 0.999), 0.01
_BETA1 = OneCycle(0.95, 0.85, 0.95, _RISING)
_CPU = torch.device("cpu")


def train(
    params: FeatureNetwork,
    images: np.ndarray,
    labels: np.ndarray,
    may_mirror: list[bool],
    *,
    device: torch.device = _CPU,
    resident_bytes: int = 0,
) -> Trained:
    """Train the network on all images but those that it holds out.

    images: uint8 (N, C, S, S). labels: int64 (N,), or float32 multi-hot (N, A). may_mirror: by class or
    attribute, whether its images may be flipped. resident_bytes: images up to this size stay on a GPU.
    Raises: DivergedError.
    """
    resident = device.type != "cpu" and images.nbytes <= resident_bytes
    rows, unseen = hold_out(labels, params.holdout_percent, params.seed, "feature network holdout")
    # On a CPU one thread: the same weights on any number of cores.
    with threads(1 if device.type == "cpu" else torch.get_num_threads()):
        learner = FeatureNetworkLearner(
            params, images, labels, may_mirror, rows=rows, device=device, resident=resident
        )
        # Without a graph: beta1 changes in every step, and the optimizer's kernel takes it as a number.
        with Progress("feature network", params.steps, "steps") as progress:
            for _ in range(params.steps):
                learner.prepare()
                learner.step()
                progress.add(1)
        network = learner.network.eval()
        features = in_batches(network.features, images, device)
        predicted = targets.decide(_logits(network, features[unseen]), labels.ndim > 1)
    # Features are divided by their scale: distances would otherwise depend on this network's arbitrary units.
    with np.errstate(over="ignore", invalid="ignore"):
        scale = float(np.sqrt((features**2).mean()))
    if not (math.isfinite(scale) and scale > 0):
        what, advice = ("no longer finite", "lower") if scale else ("all zero", "raise features or lower")
        raise DivergedError(
            f"feature network: its features are {what} after step {params.steps:,}; "
            f"{advice} feature_network.learning_rate"
        )
    accuracy = targets.fraction_correct(predicted, labels[unseen])
    return Trained(network.cpu(), scale, features / np.float32(scale), unseen, accuracy)


@torch.no_grad()
def _logits(network: SmallCNN, features: np.ndarray) -> np.ndarray:
    head = network.head.cpu()
    logits: np.ndarray = head(torch.from_numpy(features)).numpy()
    return logits


class FeatureNetworkLearner:
    """The feature network in training. Every step draws from a stream keyed by the seed and its number.

    rows: int64 (n,), indices of the images that it is trained on.
    """

    def __init__(
        self,
        params: FeatureNetwork,
        images: np.ndarray,
        labels: np.ndarray,
        may_mirror: list[bool],
        *,
        rows: np.ndarray,
        device: torch.device,
        resident: bool,
    ):
        self.params, self.steps_done = params, 0
        self.images = np.asarray(images)
        channels, height, width = self.images.shape[1:]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(params.seed, "feature network"))
            network = SmallCNN((channels, height, width), len(may_mirror), params.features)
        self.network = network.to(device).train()
        self.optimizer = Adam(list(network.parameters()), *_BETAS, _WEIGHT_DECAY)
        self.rate = StepInput((), torch.float64 if device.type == "cpu" else torch.float32, device)
        self.draws = StepDraws(device)
        self.labels, self.rows = torch.from_numpy(labels).to(device), torch.from_numpy(rows).to(device)
        self.may_mirror = torch.tensor(may_mirror, device=device) if any(may_mirror) else None
        self.resident: torch.Tensor | None = None
        if resident:
            self.resident = torch.from_numpy(np.ascontiguousarray(self.images)).to(device)

    def prepare(self) -> None:
        """Host: write what differs between steps."""
        step, steps = self.steps_done, self.params.steps
        self.rate.write(OneCycle.of_rate(self.params.learning_rate, _RISING).at(step, steps))
        self.optimizer.beta1 = _BETA1.at(step, steps)
        self.draws.prepare(derive_seed(self.params.seed, "feature step", step))
        self.steps_done += 1

    def step(self) -> None:
        """Device: train for one step."""
        self.draws.begin()
        stream = self.draws.root()
        chosen = self.rows[stream.integers(0, len(self.rows) - 1, self.params.batch_size)]
        if self.resident is None:
            pixels = torch.from_numpy(self.images[chosen.cpu().numpy()]).to(chosen.device)
        else:
            pixels = self.resident[chosen]
        batch, target = translate(normalize(pixels), _TRANSLATION, stream), self.labels[chosen]
        if self.may_mirror is not None:
            batch = mirror(batch, targets.may_flip(self.may_mirror, target), stream)
        loss = targets.loss(self.network(batch), target, target.ndim > 1)
        self.optimizer.step(list(torch.autograd.grad(loss, self.optimizer.weights)), self.rate.values)
