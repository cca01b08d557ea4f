"""Stage: train the network whose features the metrics use."""

from __future__ import annotations

from dataclasses import dataclass

from labelmint.classifiers import feature_learner, feature_network
from labelmint.classifiers.settings import FeatureNetwork
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.devices import arithmetic, pick_device, resident_bytes
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import Tracker
from stages.paths import Paths


@dataclass(frozen=True)
class Params:
    """The parts of params.yaml that this stage depends on."""

    feature_network: FeatureNetwork
    compute: Compute


def run(params: Params, paths: Paths, tracker: Tracker) -> None:
    """Write data/feature_network."""
    settings, facts = params.feature_network, load_json(paths.tensors / "dataset.json")
    images, labels = load_set(paths.tensors)
    device = pick_device(params.compute)
    with arithmetic(params.compute, device):
        trained = feature_learner.train(
            settings,
            images,
            labels,
            facts["mirror"],
            device=device,
            resident_bytes=resident_bytes(params.compute, device),
        )
    channels, height, width = images.shape[1:]
    classes = len(facts["classes"])
    feature_network.save(paths.feature_network, trained, settings, (channels, height, width), classes)
    tracker.log_metrics({"holdout_accuracy": trained.accuracy})
    accuracy = f"{100 * trained.accuracy:.2f} % of {len(trained.unseen)} held-out images"
    say(f"feature network: {settings.steps} steps, {accuracy}")
