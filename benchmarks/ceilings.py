"""Are real images that the feature network was trained on a ceiling, beside those that it has not seen?

`python benchmarks/ceilings.py [digits mnist FOLDER ...] [--raw data/raw]` trains the feature network as the
stage does, and measures both kinds of real training images against the test images, as many of each.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from labelmint.api.dataset import load_dataset
from labelmint.classifiers import feature_learner
from labelmint.classifiers.settings import FeatureNetwork
from labelmint.metrics.frechet import frechet_classifier
from labelmint.metrics.inputs import Comparison, LabelledImages
from labelmint.metrics.kid import kid
from labelmint.metrics.precision_recall import precision_recall
from labelmint.metrics.settings import Metrics

_STEPS = {"digits": 400, "mnist": 1000, "fashion_mnist": 1000}
"""Of the experiments default, mnist_quick and fashion_quick; 2,000, as in cifar10_quick, for all others."""
_NAMES = ("precision", "recall", "density", "coverage", "frechet_classifier", "kid")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", default=["digits"], help="data sets, or folders or archives of images"
    )
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="folder of downloaded data sets")
    parser.add_argument("--seeds", type=int, default=1, help="feature networks (default: 1)")
    parser.add_argument("--steps", type=int, help="training steps of the feature network")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    results = {}
    print(f"{'':28}{'':8}" + "".join(f"{name.split('_')[0]:>11}" for name in _NAMES))
    for name in arguments.names:
        data = load_dataset(name, raw=arguments.raw)
        for seed in range(arguments.seeds):
            title = f"{Path(name).name}, seed {seed}"
            params = FeatureNetwork(steps=arguments.steps or _STEPS.get(name, 2000), seed=seed)
            results[title] = found = ceilings(data.train, data.test, len(data.classes), params)
            for kind, values in found.items():
                numbers = "".join(f"{values[metric]:11.4g}" for metric in _NAMES)
                print(f"{title:28}{kind:8}{numbers}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def ceilings(
    training: LabelledImages, test: LabelledImages, classes: int, params: FeatureNetwork
) -> dict[str, dict[str, Any]]:
    """Metrics of images that the network has seen and has not seen, in its features."""
    trained = feature_learner.train(params, *training, [False] * classes)
    network = trained.frozen("0" * 64)
    rest = np.setdiff1d(np.arange(len(training[1])), trained.unseen)
    seen = np.random.default_rng(params.seed).choice(rest, len(trained.unseen), replace=False)
    found = {}
    for kind, rows in (("seen", seen), ("unseen", trained.unseen)):
        chosen = replace(network, unseen=rows)
        comparison = Comparison.of(
            chosen, test, training, training, rows=rows, classes=classes, params=Metrics()
        )
        values: dict[str, Any] = {"n": len(rows), "holdout_accuracy": trained.accuracy}
        for function in (frechet_classifier, kid, precision_recall):
            values |= function(comparison)["real"]
        found[kind] = {key: values[key] for key in (*_NAMES, "n", "holdout_accuracy")}
    return found


if __name__ == "__main__":
    main()
