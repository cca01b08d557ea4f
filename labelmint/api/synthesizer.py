"""Generators of labelled images behind one object: fit, sample, save, load."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.api.dataset import LabelledDataset
from labelmint.gans import archive, registry
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.published import open_generator
from labelmint.gans.sampling import sample_dataset
from labelmint.gans.settings import Family
from labelmint.runtime.devices import arithmetic, pick_device
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from labelmint.runtime.words import did_you_mean
from labelmint.training.fit import fit
from labelmint.training.settings import Training


class Synthesizer:
    """A family of GANs with its settings; after `fit`, a source of labelled images.

    Args:
        family: Name of a GAN family, e.g. "dcgan" (one generator per class) or "acgan" (one for all classes).
        seed: All randomness of training derives from it.
        device: As `compute.device`: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:N" or "mps".
        workers: Processes that train side by side on a CPU, or "auto" for one per core. Results do not
            depend on it.
        **settings: Fields of `training` and `families.<family>` in params.yaml, e.g. `epochs=40`,
            `batch_size=128`, `latent_size=100`, `generator={"filters": [128, 64]}`. Fields that are left
            out keep the family's defaults.

    Raises:
        InputError: An unknown family or setting, or a value out of range.
    """

    def __init__(
        self,
        family: str = "dcgan",
        *,
        seed: int = 0,
        device: str = "auto",
        workers: int | str = "auto",
        **settings: Any,
    ):
        if family not in registry.NAMES:
            names = list(registry.NAMES)
            raise InputError(
                f"no family '{family}'{did_you_mean(family, names)}; there are {', '.join(names)}"
            )
        self.family, self.seed = family, seed
        try:
            options: dict[str, Any] = {"device": device, "workers": workers}  # checked on construction
            self.compute = Compute(**options)
            self.family_settings, self.training = _split(registry.load(family).settings, settings)
        except ValueError as error:
            raise InputError(f"Synthesizer: {error}") from error
        self._archive: GeneratorArchive | None = None

    def fit(
        self,
        dataset: LabelledDataset | None = None,
        *,
        images: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        classes: list[str] | None = None,
    ) -> Synthesizer:
        """Train on a data set's training images, or on arrays.

        Args:
            dataset: From `load_dataset`.
            images: uint8 (N, C, S, S), instead of a data set.
            labels: int64 (N,) counted from 0, or multi-hot (N, A).
            classes: Names of the classes (or attributes); by default "0", "1", …

        Returns:
            This object.

        Raises:
            InputError: The family cannot take these labels, or the arrays do not fit together.
        """
        if dataset is not None:
            images, labels, classes = dataset.images, dataset.labels, dataset.classes
        if images is None or labels is None:
            raise InputError("fit: give a data set, or images and labels")
        images, labels = check_images(images, labels)
        if classes is None:
            count = labels.shape[1] if labels.ndim > 1 else int(labels.max()) + 1
            classes = [str(number) for number in range(count)]
        self._archive = fit(
            images,
            labels,
            classes,
            self.family,
            self.family_settings,
            training=self.training,
            seed=self.seed,
            compute=self.compute,
        )
        return self

    def sample(self, per_class: int = 100, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Generate labelled images. The same seed gives the same images on the same device.

        Args:
            per_class: Images per class; with attributes, per attribute, in the real images' proportions.
            seed: Seed of the latents.

        Returns:
            Images, uint8 (N, C, S, S), and labels, int64 (N,), or float32 multi-hot (N, A).
        """
        device = pick_device(self.compute)
        with arithmetic(self.compute, device):
            made = sample_dataset(self.archive, per_class, seed, device)
        return made.images, made.labels

    def save(self, folder: str | Path) -> Path:
        """Write `generator.safetensors` and `architecture.json`, which `labelmint sample` reads too."""
        archive.save(Path(folder), self.archive)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Synthesizer:
        """Open a trained generator; nothing in its files is executed.

        Raises:
            InputError: The folder holds no generator that this version can read.
        """
        found = open_generator(Path(folder))
        own = cls(found.family_name)
        own.family_settings, own._archive = found.family, found
        own.seed = int(found.trained_on.get("seed", 0))
        return own

    @property
    def classes(self) -> list[str]:
        """Names of the classes, or of the attributes."""
        return list(self.archive.label_spec.names)

    @property
    def archive(self) -> GeneratorArchive:
        """The trained generators. Raises: InputError before `fit`."""
        if self._archive is None:
            raise InputError("this Synthesizer is not trained yet; call fit first")
        return self._archive

    def __repr__(self) -> str:
        state = "trained" if self._archive is not None else "untrained"
        return f"Synthesizer({self.family!r}, {state}, epochs={self.training.epochs})"


def load(folder: str | Path) -> Synthesizer:
    """Open a trained generator: a folder of `Synthesizer.save`, or `data/generators/<arm>` of a run."""
    return Synthesizer.load(folder)


def check_images(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The arrays as the library uses them. Raises: InputError naming what was expected and what came."""
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise InputError(f"images: expected uint8 (N, C, S, S), got {images.dtype} {images.shape}")
    if len(images) != len(labels) or labels.ndim not in (1, 2) or not len(labels):
        raise InputError(
            f"labels: expected one per image, ({len(images)},) or ({len(images)}, A), got {labels.shape}"
        )
    if labels.ndim == 1:
        if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
            raise InputError(f"labels: expected integers from 0, got {labels.dtype} from {labels.min()}")
        return images, labels.astype(np.int64)
    return images, labels.astype(np.float32)


def _split(family: Family, settings: dict[str, Any]) -> tuple[Family, Training]:
    """The given settings over the family's and Training's defaults. Raises: InputError, ValueError."""
    of_training = {field.name for field in fields(Training)}
    of_family = {field.name for field in fields(Family)}
    for name in settings:
        if name not in of_training | of_family:
            raise InputError(
                f"Synthesizer: unknown setting '{name}'{did_you_mean(name, sorted(of_training | of_family))}"
            )
    nested = {}
    for name in of_family & settings.keys():
        value, own = settings[name], getattr(family, name)
        if isinstance(value, dict):
            known = list(asdict(own))
            for key in value:
                if key not in known:
                    raise InputError(f"Synthesizer: unknown setting '{name}.{key}'{did_you_mean(key, known)}")
            value = replace(own, **value)
        nested[name] = value
    return replace(family, **nested), Training(
        **{name: settings[name] for name in of_training & settings.keys()}
    )
