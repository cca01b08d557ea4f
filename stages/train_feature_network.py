"""The stage: train the network whose features the metrics use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labelmint.classifiers import settings as P
from labelmint.classifiers import targets
from labelmint.classifiers.feature_network import in_batches, save, train
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.devices import threads
from labelmint.runtime.progress import say
from labelmint.runtime.tracker import Tracker
from stages.paths import Paths


@dataclass(frozen=True)
class Params:
    feature_network: P.FeatureNetwork


def run(params: Params, layout: Paths, tracker: Tracker) -> None:
    images, labels = load_set(layout.tensors)
    facts = load_json(layout.tensors / "dataset.json")
    classes = len(facts["classes"])
    with threads(1):  # the same weights on any number of cores
        network = train(params.feature_network, np.asarray(images), labels, facts["mirror"])
        # In units of their own size, or a distance would tell how large this network's numbers happen to be.
        scale = float(np.sqrt((in_batches(network.features, images) ** 2).mean()))
        accuracy = targets.fraction_correct(targets.decide(in_batches(network, images), labels.ndim > 1), labels)
    save(layout.feature_network, network, params.feature_network, tuple(images.shape[1:]), classes, scale)
    tracker.log_metrics({"training_accuracy": accuracy})
    say(f"feature network: {params.feature_network.steps} steps, {100 * accuracy:.2f} % on its own training images")
