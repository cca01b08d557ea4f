"""How fast are classifiers, the feature network and sampling, at the settings of experiments/mnist.yaml?

Three classifiers, of real, synthetic and mixed images, step together; a plain PyTorch loop trains one of the
same network on images that are on the device, without augmentation.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.cases import experiment
from benchmarks.gpu_slices.bench import SEED, Bench, Items, NotNowError, Precision, one_by_one, together
from labelmint.classifiers import feature_learner
from labelmint.classifiers.fit import ClassifierLearner
from labelmint.classifiers.job import Job, build
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.settings import Classifier
from labelmint.data.storage.pixels import normalize
from labelmint.gans.sampling import sample_dataset
from labelmint.runtime.settings import Compute
from labelmint.training.fit import fit

Network = Literal["efficientnet-b0", "small_cnn"]
NETWORKS: tuple[Network, ...] = ("efficientnet-b0", "small_cnn")
CLASSES = 10
FEATURE_NETWORK, SAMPLING = "feature network", "sampling"
_SHAPE = (1, 28, 28)


def recipe(bench: Bench, network: Network) -> Classifier:
    """Settings of the experiment's classifiers, with this network."""
    params = replace(experiment("mnist").classifier, network=network)
    return replace(params, batch_size=8, stem_stride=2) if bench.tiny else params


def _pool_sizes(bench: Bench) -> dict[Literal["real", "synthetic"], int]:
    return dict.fromkeys(("real", "synthetic"), 400 if bench.tiny else 60_000)


def jobs(bench: Bench, network: Network) -> list[Job]:
    """A classifier each of real, synthetic and mixed images, random ones."""
    real, synthetic = (
        Pool(origin, bench.random_images(count, _SHAPE), np.arange(count) % CLASSES)
        for origin, count in _pool_sizes(bench).items()
    )
    sources = {
        "real": [real],
        "synthetic": [synthetic],
        "mixed": [real.weighted(0.5), synthetic.weighted(0.5)],
    }
    params = recipe(bench, network)
    return [Job(name, pools, CLASSES, params, SEED, Path()) for name, pools in sources.items()]


def items(bench: Bench) -> Items:
    """Ways of training by name."""
    measured: Items = {}
    for network in NETWORKS:
        for kind in ("tf32", "bf16", "fp32"):
            measured[f"{network}: three together, {kind}"] = partial(train_together, bench, network, kind, 3)
            if kind == "tf32":
                measured[f"{network}: plain loop, tf32"] = partial(train_plainly, bench, network)
        measured[f"{network}: one alone, tf32"] = partial(train_together, bench, network, "tf32", 1)
        measured[f"{network}: three one by one, eager, tf32"] = partial(train_eagerly, bench, network)
    measured[FEATURE_NETWORK] = partial(train_feature_network, bench)
    measured[SAMPLING] = partial(sample, bench)
    return measured


def _learners(bench: Bench, network: Network, kind: Precision, count: int) -> list[ClassifierLearner]:
    bf16 = kind == "bf16"
    learners = [
        ClassifierLearner(position, job, bench.device, bf16)
        for position, job in enumerate(jobs(bench, network)[:count])
    ]
    for learner in learners:
        learner.build(resident=True)
    return learners


def train_together(bench: Bench, network: Network, kind: Precision, count: int) -> dict[str, Any]:
    """Time of a step of `count` classifiers in one captured graph, and of the host's part of it."""
    with bench.precision(kind):
        learners = _learners(bench, network, kind, count)
        images = count * learners[0].job.params.batch_size
        found = bench.time_steps(together(bench.device, learners), images)
        return {"classifiers": count, **found, "host_ms_per_step": bench.time_preparation(learners)}


def train_eagerly(bench: Bench, network: Network) -> dict[str, Any]:
    """Time of a step of three classifiers, one after another, eager."""
    with bench.precision("tf32"):
        learners = _learners(bench, network, "tf32", 3)
        images = 3 * learners[0].job.params.batch_size
        return {"classifiers": 3, **bench.time_steps(one_by_one(learners), images)}


def train_plainly(bench: Bench, network: Network) -> dict[str, Any]:
    """Time of a step of a plain PyTorch loop, one classifier, no augmentation."""
    params, device = recipe(bench, network), bench.device
    count = _pool_sizes(bench)["real"]
    images = torch.from_numpy(bench.random_images(count, _SHAPE)).to(device)
    labels = torch.arange(count, device=device) % CLASSES
    model = build(params, _SHAPE, CLASSES, None).to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), params.learning_rate)

    def step() -> None:
        chosen = torch.randint(count, (params.batch_size,), device=device)
        batch = normalize(images[chosen]).contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        loss: torch.Tensor = F.cross_entropy(model(batch), labels[chosen])
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        optimizer.step()

    with bench.precision("tf32"):
        return {"classifiers": 1, **bench.time_steps(step, params.batch_size)}


def train_feature_network(bench: Bench) -> dict[str, Any]:
    """Seconds of training the feature network, its features and predictions of all images included."""
    params, count = experiment("mnist").feature_network, _pool_sizes(bench)["real"]
    if bench.tiny:
        params = replace(params, steps=4, batch_size=8)
    images, labels = bench.random_images(count, _SHAPE), np.arange(count) % CLASSES
    mirrored = [False] * CLASSES
    with bench.precision("tf32"):
        learner = feature_learner.FeatureNetworkLearner(
            params,
            images,
            labels,
            mirrored,
            rows=np.arange(count),
            device=bench.device,
            resident=bench.is_cuda,
        )

        def step() -> None:
            learner.prepare()
            learner.step()

        found = bench.time_steps(step, params.batch_size)
        expected = params.steps * found["ms_per_step"] / 1e3
        if expected > bench.seconds_left():
            raise NotNowError(f"expected to take {expected:.0f} s, and {bench.seconds_left():.0f} s are left")
        started = time.perf_counter()
        feature_learner.train(
            params, images, labels, mirrored, device=bench.device, resident_bytes=images.nbytes
        )
    spent = time.perf_counter() - started
    return {
        "steps": params.steps,
        "batch_size": params.batch_size,
        "images": count,
        "seconds": spent,
        **found,
    }


def sample(bench: Bench) -> dict[str, Any]:
    """Seconds of sampling 300,000 images: measured on as many as the time allows, and scaled."""
    params = experiment("mnist", quick=bench.tiny)
    total, count = 30_000, 4 if bench.tiny else 100
    images, labels = bench.random_images(64 * CLASSES, _SHAPE), np.arange(64 * CLASSES) % CLASSES
    training = replace(params.training, epochs=1, images_per_epoch=1)
    compute = Compute("cuda" if bench.is_cuda else "cpu", workers=1)
    names = [str(label) for label in range(CLASSES)]
    generators = fit(
        images, labels, names, "dcgan", params.families["dcgan"], training=training, compute=compute
    )
    with bench.precision("tf32"):
        sample_dataset(generators, 1, SEED, bench.device)
        while True:
            started = time.perf_counter()
            sample_dataset(generators, count, SEED, bench.device)
            spent = time.perf_counter() - started
            if bench.tiny or count == total or 10 * spent > bench.seconds_left():
                break
            count = min(10 * count, total)
    return {
        "measured_images": count * CLASSES,
        "measured_seconds": spent,
        "images_per_second": count * CLASSES / spent,
        "seconds_of_300000": spent * total / count,
    }


def summarize(results: dict[str, Any]) -> dict[str, Any]:
    """How much faster three together are than three runs of the plain loop, and seconds of the rest."""
    over_plain, words = {}, []
    for network in NETWORKS:
        plain = results.get(f"{network}: plain loop, tf32", {}).get("ms_per_step")
        for kind in ("tf32", "bf16", "fp32"):
            found = results.get(f"{network}: three together, {kind}", {}).get("ms_per_step")
            if plain and found:
                over_plain[f"{network}, {kind}"] = 3 * plain / found
                if kind == "tf32":
                    words.append(
                        f"{network} {found:.3g} ms a step of three, {3 * plain:.3g} by the plain loop"
                    )
    if "seconds" in results.get(FEATURE_NETWORK, {}):
        words.append(f"feature network {results[FEATURE_NETWORK]['seconds']:.0f} s")
    if "seconds_of_300000" in results.get(SAMPLING, {}):
        words.append(f"300,000 images {results[SAMPLING]['seconds_of_300000']:.0f} s")
    return {"over_plain_loop": over_plain, "line": "; ".join(words) or "nothing measured"}
