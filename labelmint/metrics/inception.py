"""FID, KID and Inception Score as commonly reported, in Inception v3's features, by torch-fidelity.

Inception was trained on photographs. On other images, such as digits, these numbers compare runs with one
another, not with published results.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelmint.metrics.frechet import Gaussian, extrapolation_sizes, frechet, frechet_infinity
from labelmint.metrics.inputs import Comparison, Setup
from labelmint.metrics.registry import Metric, NotMeasuredError, Values, compares_images
from labelmint.runtime.errors import InputError

if TYPE_CHECKING:
    import torch

_WEIGHTS = (
    "weights-inception-2015-12-05-6726825d.pth"  # by convention the name ends with the start of its SHA-256
)
_ADDRESS = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{_WEIGHTS}"
_BATCH = 50  # fixed: in single precision the last digits depend on it
_KID_SUBSETS, _KID_SUBSET = 100, 1000
_SPLITS = 10


def _protocol(name: str) -> Callable[[Setup], str]:
    return lambda setup: _sentence(setup, name)


def _sentence(setup: Setup, name: str) -> str:
    return f"{name} in Inception v3's features, at most {setup.params.inception_images} images a side"


@compares_images(
    Metric(
        "fid",
        "lower",
        _protocol("Fréchet distance (Heusel et al. 2017)"),
        title="FID",
        protocol_columns={"n_inception": "n", "inception_network": "network"},
    ),
    Metric("fid_infinity", "lower", title="FID ∞"),
    Metric(
        "kid_inception", "lower", _protocol("kernel distance (Bińkowski et al. 2018)"), title="KID, Inception"
    ),
    Metric("inception_score", "higher", _protocol("Inception Score (Salimans et al. 2016)"), title="IS"),
)
def inception(comparison: Comparison) -> dict[str, Values]:
    """Metrics of each source against the test images. Raises: NotMeasuredError without weights."""
    limit = comparison.params.inception_images
    network = load(comparison.params.inception, comparison.downloads, comparison.device)
    n = min(limit, comparison.size)
    reference = network.features(comparison.test.first_images(limit))
    values: dict[str, Values] = {}
    for source, images in comparison.sources.items():
        features = network.features(images.first_images(n))
        how = protocol(
            network,
            images.split,
            features,
            comparison.test.split,
            reference,
            precision=comparison.precision,
        )
        values[source] = metrics(features, reference, comparison.device) | {"measured": how}
    return values


@dataclass(frozen=True)
class Features:
    """pool: float32 (N, 2048), before the logits. logits: float32 (N, 1008)."""

    pool: np.ndarray
    logits: np.ndarray


class Inception:
    """The network, with weights of a known hash. state: tensors by name."""

    def __init__(self, state: Mapping[str, torch.Tensor], sha256: str, device: torch.device | str):
        import torch
        from torch_fidelity import FeatureExtractorInceptionV3

        self.sha256, self.device = sha256, device
        # torch-fidelity takes a path, and would run code in that file. It gets a file written here, with
        # tensors that were read safely, and not the user's file, which may have changed since.
        with tempfile.NamedTemporaryFile(suffix=".pth") as file:
            torch.save(dict(state), file)
            file.flush()
            try:
                self.network = FeatureExtractorInceptionV3(
                    "inception-v3-compat",
                    ["2048", "logits_unbiased"],
                    feature_extractor_weights_path=file.name,
                ).to(device)
            except RuntimeError as error:
                message = " ".join(str(error).split())[:160]
                raise InputError(
                    f"metrics.inception: the weights do not fit Inception v3 ({message})"
                ) from error

    def features(self, images: np.ndarray) -> Features:
        """Features of images, uint8 (N, C, S, S).

        Grey images are tripled to three channels. The network resizes them itself, as TensorFlow 1 did.
        """
        import torch

        parts = []
        with torch.no_grad():
            for at in range(0, len(images), _BATCH):
                batch = torch.from_numpy(np.array(images[at : at + _BATCH])).to(self.device)
                parts.append([part.cpu().numpy() for part in self.network(batch.expand(-1, 3, -1, -1))])
        return Features(*(np.concatenate(part) for part in zip(*parts)))


def load(weights: str, downloads: Path, device: torch.device | str) -> Inception:
    """The network. weights: none, fetch, or a path. downloads: folder of the fetched file.

    Raises: NotMeasuredError with the reason why there are no weights; their absence is not a failure.
    """
    from labelmint.data.download import locate

    if weights == "none":
        raise NotMeasuredError("metrics.inception is none: no weights were requested")
    try:
        path = locate([_WEIGHTS], downloads, [_ADDRESS]) if weights == "fetch" else Path(weights)
        state, digest = _read(
            path, _WEIGHTS.rsplit("-", maxsplit=1)[-1].split(".", maxsplit=1)[0] if weights == "fetch" else ""
        )
        return Inception(state, digest, device)
    except InputError as error:
        # The file is not a dependency of the stage, so it makes no stage stale when it appears.
        raise NotMeasuredError(f"{error}; once they are there: dvc repro -f -s evaluate report") from error


def _read(path: Path, start: str) -> tuple[dict[str, torch.Tensor], str]:
    """(tensors by name, SHA-256 of the file).

    Raises: InputError when it cannot be read, its hash does not begin with `start`, or it is not a plain
    state dict.
    """
    from labelmint.data.storage.weights import state_dict

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


def metrics(features: Features, reference: Features, device: torch.device | str = "cpu") -> dict[str, Any]:
    """fid, fid_infinity, kid_inception and inception_score, the last two with standard deviations.

    Both sets should be in random order.
    """
    import torch
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    pool, reference_pool = features.pool, reference.pool
    fitted = Gaussian.of(reference_pool, device)
    kid = kid_features_to_metric(
        torch.from_numpy(pool),
        torch.from_numpy(reference_pool),
        kid_subsets=_KID_SUBSETS,
        kid_subset_size=min(_KID_SUBSET, len(pool), len(reference_pool)),
        verbose=False,
    )
    score = isc_features_to_metric(
        torch.from_numpy(features.logits), splits=min(_SPLITS, len(features.logits))
    )
    return {
        "fid": frechet(pool, fitted, device),
        "fid_infinity": frechet_infinity(pool, fitted, device),
        "kid_inception": kid["kernel_inception_distance_mean"],
        "kid_inception_deviation": kid["kernel_inception_distance_std"],
        "inception_score": score["inception_score_mean"],
        "inception_score_deviation": score["inception_score_std"],
    }


def protocol(
    network: Inception,
    split: str,
    features: Features,
    reference_split: str,
    reference: Features,
    *,
    precision: str = "fp32",
) -> dict[str, dict[str, Any]]:
    """How the metrics of one source are measured. split, reference_split: where the images are from."""
    n, n_reference = len(features.pool), len(reference.pool)
    how = {
        "split": split,
        "n": n,
        "reference": reference_split,
        "n_reference": n_reference,
        "resize": "to 299 x 299, bilinear as in TensorFlow 1; grey tripled",
        "network": f"Inception v3 of torch-fidelity, sha256 {network.sha256}",
        "precision": precision,
    }
    return {
        "fid": how,
        "fid_infinity": how | {"sizes": extrapolation_sizes(*features.pool.shape)},
        "kid_inception": how | {"subsets": _KID_SUBSETS, "subset": min(_KID_SUBSET, n, n_reference)},
        "inception_score": how | {"reference": "none", "n_reference": 0, "splits": min(_SPLITS, n)},
    }
