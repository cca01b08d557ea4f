"""FID, KID and IS as commonly reported: in Inception's features (Szegedy et al. 2016), by torch-fidelity.

On digits they compare runs with one another, not images with the world: Inception knows photographs. Inception Score means
little away from its own classes.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.classifiers.state_dict import state_dict
from labelmint.data.download import locate
from labelmint.metrics.distances import extrapolation_sizes, frechet, frechet_infinity
from labelmint.runtime.errors import InputError

_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"  # by convention the name carries the start of its SHA-256
_ADDRESS = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{_WEIGHTS}"
_BATCH = 50  # fixed: in single precision the last digits depend on it
_KID_SUBSETS, _KID_SUBSET = 100, 1000
_SPLITS = 10


@dataclass(frozen=True)
class Features:
    """pool: float32 (N, 2048), before the logits. logits: float32 (N, 1008)."""

    pool: np.ndarray
    logits: np.ndarray


class Inception:
    """The network with weights of known hash. state: tensors by name."""

    def __init__(self, state: Mapping[str, torch.Tensor], sha256: str, device: torch.device):
        from torch_fidelity import FeatureExtractorInceptionV3

        self.sha256, self.device = sha256, device
        # torch-fidelity takes a path, and would run any code in that file. So it gets a file of our own, of what was read safely,
        # and not the person's, which may have changed since.
        with tempfile.NamedTemporaryFile(suffix=".pth") as file:
            torch.save(dict(state), file)
            file.flush()
            try:
                self.network = FeatureExtractorInceptionV3(
                    "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=file.name
                ).to(device)
            except RuntimeError as error:
                said = " ".join(str(error).split())[:160]
                raise InputError(f"metrics.inception: the weights do not fit Inception v3 ({said})") from error

    @torch.no_grad()
    def features(self, images: np.ndarray) -> Features:
        """images: uint8 (N, C, S, S); grey ones are tripled. The network enlarges them itself, as TensorFlow 1 did."""
        parts = []
        for at in range(0, len(images), _BATCH):
            batch = torch.from_numpy(np.array(images[at : at + _BATCH])).to(self.device)
            parts.append([part.cpu().numpy() for part in self.network(batch.expand(-1, 3, -1, -1))])
        return Features(*(np.concatenate(part) for part in zip(*parts)))


def load(weights: str, raw: Path, device: torch.device) -> tuple[Inception | None, str]:
    """(network, "") or (None, why there is none): its absence fails nothing. weights: none, fetch, or a path."""
    if weights == "none":
        return None, "metrics.inception is none: no weights were asked for"
    try:
        path = locate([_WEIGHTS], raw, [_ADDRESS]) if weights == "fetch" else Path(weights)
        state, digest = _read(path, _WEIGHTS.split("-")[-1].split(".")[0] if weights == "fetch" else "")
        return Inception(state, digest, device), ""
    except InputError as error:
        # The file is no dependency of the stage, so that its coming makes nothing stale.
        return None, f"{error}; once they are there: dvc repro -f -s evaluate report"


def _read(path: Path, start: str) -> tuple[dict[str, torch.Tensor], str]:
    """(tensors by name, SHA-256 of the file). Raises: InputError when it cannot be read, has another hash, or is no plain state dict."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"metrics.inception: {path} cannot be read ({error.strerror}); give none, fetch or a path"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if not digest.startswith(start):
        raise InputError(f"{path}: its SHA-256 does not start with {start}; delete the file and run again")
    return state_dict(content, f"metrics.inception: {path}"), digest


def metrics(own: Features, test: Features) -> dict[str, Any]:
    """fid, fid_infinity, kid_inception and its standard deviation over subsets, inception_score and its standard deviation over splits.

    Both sets should be in random order.
    """
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    size = min(_KID_SUBSET, len(own.pool), len(test.pool))
    kid = kid_features_to_metric(
        torch.from_numpy(own.pool), torch.from_numpy(test.pool), kid_subsets=_KID_SUBSETS, kid_subset_size=size, verbose=False
    )  # fmt: skip
    score = isc_features_to_metric(torch.from_numpy(own.logits), splits=min(_SPLITS, len(own.logits)))
    return {
        "fid": frechet(own.pool, test.pool),
        "fid_infinity": frechet_infinity(own.pool, test.pool),
        "kid_inception": kid["kernel_inception_distance_mean"],
        "kid_inception_deviation": kid["kernel_inception_distance_std"],
        "inception_score": score["inception_score_mean"],
        "inception_score_deviation": score["inception_score_std"],
    }


def protocol(network: Inception, split: str, own: Features, reference: str, test: Features) -> dict[str, Any]:
    """split, reference: where the images of either are from."""
    n, n_reference = len(own.pool), len(test.pool)
    whole = {
        "split": split,
        "n": n,
        "reference": reference,
        "n_reference": n_reference,
        "resize": "to 299 x 299, bilinear as in TensorFlow 1; grey tripled",
        "network": f"Inception v3 of torch-fidelity, sha256 {network.sha256}",
    }
    return {
        "fid": whole,
        "fid_infinity": whole | {"sizes": extrapolation_sizes(*own.pool.shape)},
        "kid_inception": whole | {"subsets": _KID_SUBSETS, "subset": min(_KID_SUBSET, n, n_reference)},
        "inception_score": whole | {"reference": "none", "n_reference": 0, "splits": min(_SPLITS, n)},
    }
