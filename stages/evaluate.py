"""Stage evaluate: measure one arm and its baseline on the test images."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from labelmint.data.storage.splits import subset
from labelmint.data.storage.tensors import load_set
from labelmint.metrics.arm.evaluation import ArmData, ArmFolders, evaluate
from labelmint.metrics.settings import Metrics
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.devices import arithmetic, pick_device, precision_in_force
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import Tracker
from stages.paths import Arm, Paths


@dataclass(frozen=True)
class Params:
    """The parts of params.yaml that this stage depends on."""

    arm: Arm
    metrics: Metrics
    compute: Compute


def run(params: Params, paths: Paths, tracker: Tracker) -> None:
    """Write data/metrics/<arm>.json and data/latent_space/<arm>."""
    started, arm = time.perf_counter(), params.arm
    folders = ArmFolders(
        generator=paths.generator(arm),
        classifiers=paths.classifiers(arm),
        baseline=paths.baseline(arm),
        feature_network=paths.feature_network,
        latent_space=paths.latent_space(arm),
        downloads=paths.raw,
        scratch=paths.checkpoints,
    )
    data, device = load(paths, arm, params.metrics.split), pick_device(params.compute)
    compute = params.compute
    if compute.precision == "bf16":  # concerns training: nothing here computes in less than tf32
        compute = replace(compute, precision="tf32")
    with arithmetic(compute, device):
        content = evaluate(
            arm.name,
            data,
            folders,
            params.metrics,
            seed=arm.seed,
            device=device,
            precision=precision_in_force(compute, device),
        )
    identity = {
        "dataset": data.dataset["name"],
        "generator": arm.generator,
        "percent": arm.percent,
        "seed": arm.seed,
        "split": params.metrics.split,
    }
    content["rows"] = [identity | row for row in content["rows"]]
    save_json(paths.metrics(arm), content)
    save_json(paths.timing("evaluate", arm), {"seconds": round(time.perf_counter() - started, 2)})

    for row in content["rows"]:
        numbers = {name: value for name, value in row.items() if isinstance(value, float)}
        tracker.log_metrics({f"{name}/{row['source']}": value for name, value in numbers.items()})
    if content["gan_test"]:
        tracker.log_metrics({"gan_test": content["gan_test"]["accuracy"]})
    tracker.log_file(paths.metrics(arm))


def load(paths: Paths, arm: Arm, split: str) -> ArmData:
    """Images of an arm. split: test, or validation. Raises: InputError where that split has no images."""
    test = load_set(paths.test_tensors if split == "test" else paths.validation_tensors)
    if not len(test[1]):
        raise InputError(
            f"metrics.split: {split}, but there are no such images; set dataset.validation_percent"
        )
    training = load_set(paths.tensors)
    return ArmData(
        dataset=load_json(paths.tensors / "dataset.json"),
        test=test,
        training=training,
        real_indices=subset(training[1], arm.percent, arm.seed),
        synthetic=load_set(paths.synthetic(arm)),
        synthetic_labels=load_json(paths.synthetic(arm) / "manifest.json")["labels"],
    )
