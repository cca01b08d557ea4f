"""The registry of image sources: the named sets of images that classifiers are trained on.

Adding a source is one entry in SOURCES. Settings import this module, so it imports neither numpy nor torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from labelmint.classifiers.inputs import Inputs

if TYPE_CHECKING:
    from labelmint.classifiers.pools import Pool


@dataclass(frozen=True)
class Source:
    """A named set of training images.

    origin: which images it consists of. meaning: a phrase for the documentation. select: its pools.
    augmentation: settings in place of the recipe's, those not named being 0; None keeps the recipe's.
    view: the view of the images in training and in testing, one of views.VIEWS. per_class: images of each
    class. percent: of the real images, for a point of the learning curve. distilled: whether the
    probabilities of the baseline are learned in place of the labels. change: what it does to the real
    images, in the words of a conclusion; empty if the report draws none from it.
    """

    name: str
    origin: Literal["real", "synthetic", "mixed"]
    meaning: str
    select: Callable[[Inputs], list[Pool]] = field(repr=False)
    augmentation: Mapping[str, float] | None = None
    view: str | None = None
    per_class: int | None = None
    percent: int | None = None
    distilled: bool = False
    change: str = ""

    @property
    def of_baseline(self) -> bool:
        """Whether its classifier needs the real images only, and no other classifier."""
        return self.origin == "real" and not self.distilled

    def pools(self, inputs: Inputs) -> list[Pool]:
        pools = self.select(inputs)
        return pools if self.view is None else [pool.viewed(self.view) for pool in pools]


def _real(inputs: Inputs) -> list[Pool]:
    return [inputs.real]


def _synthetic(inputs: Inputs) -> list[Pool]:
    return [inputs.synthetic]


def _mixed(inputs: Inputs) -> list[Pool]:
    fraction = inputs.real_fraction
    return [inputs.real.weighted(fraction), inputs.synthetic.weighted(1 - fraction)]


def _untrained(inputs: Inputs) -> list[Pool]:
    untrained = inputs.sampler.untrained(inputs.seed)
    count = inputs.synthetic.images_per_label
    return [inputs.synthetic.replaced(*untrained.sample(count, inputs.seed))]


def _per_class(inputs: Inputs, count: int) -> list[Pool]:
    """Some of the stored images where they suffice, else newly sampled ones."""
    pool = inputs.synthetic
    if count <= pool.images_per_label:
        return [pool.first_per_label(count, inputs.seed, "sweep")]
    return [pool.replaced(*inputs.sampler.sample(count, inputs.seed))]


_UNAUGMENTED = "without augmentation"
_SHUFFLED = "a control with shuffled labels, which must give chance"
_FILTERED = (
    "as many synthetic images of each class, chosen for the confidence of the classifier of the real images"
)
_DISTILLED = (
    "the images of the source of that name, trained on what the classifier of the real images says of each, "
    "augmented alike, in place of its label (knowledge distillation)"
)
_VIEW = "one view of the images, in training and in testing"
_VIEWS = ("residual", "background", "blurred", "noised", "requantized")

# In the order of results.
SOURCES = {
    source.name: source
    for source in (
        Source("real", "real", "the real images that the generator had", _real),
        Source(
            "synthetic", "synthetic", "the synthetic images", _synthetic, change="Replacing the real images"
        ),
        Source("mixed", "mixed", "both", _mixed, change="Adding the synthetic images"),
        Source(
            "real_augmented",
            "real",
            "real images with rotations of 30 degrees and shifts of a tenth",
            _real,
            augmentation={"rotation": 30.0, "shift": 0.1},
        ),
        Source(
            "real_rotated",
            "real",
            "real images with rotations of 30 degrees",
            _real,
            augmentation={"rotation": 30.0},
        ),
        Source("real_unaugmented", "real", _UNAUGMENTED, _real, augmentation={}),
        Source("real_shuffled", "real", _SHUFFLED, lambda inputs: [inputs.real.shuffled(inputs.seed)]),
        Source(
            "real_bootstrap",
            "real",
            "as many real images drawn with replacement, like a generator of perfect copies",
            lambda inputs: [inputs.real.bootstrapped(inputs.seed)],
        ),
        *(Source(f"real_{view}", "real", _VIEW, _real, view=view) for view in _VIEWS),
        Source(
            "synthetic_equal",
            "synthetic",
            "as many synthetic images as real ones",
            lambda inputs: [inputs.synthetic.thinned(len(inputs.real), inputs.seed)],
        ),
        Source(
            "synthetic_fresh",
            "synthetic",
            "new synthetic images in every epoch",
            lambda inputs: [inputs.synthetic.renewed(inputs.sampler, inputs.seed)],
        ),
        Source(
            "synthetic_filtered",
            "synthetic",
            _FILTERED,
            lambda inputs: _synthetic(inputs.filtered),
            change="Replacing the real images with synthetic ones that their classifier recognizes",
        ),
        Source(
            "mixed_filtered",
            "mixed",
            "both, with the synthetic images of synthetic_filtered",
            lambda inputs: _mixed(inputs.filtered),
            change="Adding synthetic images that the real images' classifier recognizes",
        ),
        Source(
            "real_distilled",
            "real",
            _DISTILLED,
            _real,
            distilled=True,
        ),
        Source(
            "synthetic_distilled",
            "synthetic",
            _DISTILLED,
            _synthetic,
            distilled=True,
            change="Distilling the real images' classifier on synthetic images",
        ),
        Source(
            "mixed_distilled",
            "mixed",
            _DISTILLED,
            _mixed,
            distilled=True,
            change="Distilling the real images' classifier on real and synthetic images",
        ),
        Source("untrained_distilled", "synthetic", _DISTILLED, _untrained, distilled=True),
        Source("synthetic_unaugmented", "synthetic", _UNAUGMENTED, _synthetic, augmentation={}),
        Source(
            "synthetic_shuffled",
            "synthetic",
            _SHUFFLED,
            lambda inputs: [inputs.synthetic.shuffled(inputs.seed)],
        ),
        Source("untrained", "synthetic", "a control from generators with their initial weights", _untrained),
        *(Source(f"synthetic_{view}", "synthetic", _VIEW, _synthetic, view=view) for view in _VIEWS),
    )
}


def meanings() -> str:
    """All sources for the documentation of settings: "`real`: the real images. ..."."""
    groups: dict[str, list[str]] = {}
    for source in SOURCES.values():
        groups.setdefault(source.meaning, []).append(f"`{source.name}`")
    return " ".join(f"{', '.join(names)}: {meaning}." for meaning, names in groups.items())


def per_class(count: int) -> Source:
    """The source of `count` synthetic images of each class, one of `classifier.sweep`."""
    select = partial(_per_class, count=count)
    meaning = f"{count} synthetic images per class"
    return Source(f"synthetic_{count}", "synthetic", meaning, select, per_class=count)


def of_curve(percent: int) -> Source:
    """The source of `percent` % of the real images of each class, one of `classifier.learning_curve`."""
    meaning = f"{percent} % of the real images"
    return Source(
        f"real_{percent}_percent",
        "real",
        meaning,
        lambda inputs: [inputs.part_of_real(percent)],
        percent=percent,
    )


def parse(name: str) -> Source:
    """The source of that name. Raises: ValueError if there is none."""
    if name in SOURCES:
        return SOURCES[name]
    if found := re.fullmatch(r"synthetic_([1-9]\d*)", name):
        return per_class(int(found[1]))
    if found := re.fullmatch(r"real_([1-9]\d?)_percent", name):
        return of_curve(int(found[1]))
    raise ValueError(f"no image source '{name}'")


def position(name: str) -> tuple[int, int]:
    """Sort key of the order of results: that of SOURCES, the learning curve, then images per class."""
    source = parse(name)
    if source.percent:
        return len(SOURCES), source.percent
    return (len(SOURCES) + 1, source.per_class) if source.per_class else (list(SOURCES).index(name), 0)


def baseline_sources(names: Iterable[str], curve: Iterable[int] = ()) -> list[Source]:
    """The sources that need no arm among `names`, in the order of results: `real`, the reference, is first.

    curve: percentages of the real images; their sources follow.
    """
    wanted = set(names)
    named = [source for source in SOURCES.values() if source.of_baseline and source.name in wanted]
    return [*named, *map(of_curve, curve)]


def arm_sources(names: Iterable[str], sweep: Iterable[int]) -> list[Source]:
    """The other sources among `names`, in their order, then those of the sweep."""
    named = [SOURCES[name] for name in names if not SOURCES[name].of_baseline]
    return [*named, *(per_class(count) for count in sweep)]
