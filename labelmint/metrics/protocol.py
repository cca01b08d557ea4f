"""How each number was measured: a metric without its n, its reference and its network is not a number."""

from __future__ import annotations

from typing import Any

from labelmint.metrics.classifiers import GAN_TEST_MOST, GAN_TEST_PER_CLASS, NEIGHBOUR_MOST
from labelmint.metrics.distances import LEAST_ROWS_PER_FEATURE
from labelmint.metrics.settings import Metrics
from labelmint.metrics.similarity import Space


def protocol(facts: dict[str, Any], space: Space, params: Metrics, absent: dict[str, str]) -> dict[str, str]:
    """facts: of the data set. absent: metrics that could not be had, and why. Returns: name of a metric -> a sentence on it."""
    several, n_test = facts["labels"] == "multi_hot", facts["n_test"]
    told = {
        "accuracy": f"mean over {len(facts['classes'])} attributes of the share of {n_test} real test images told right; interval: "
        "Wilson, 95 %, of the effective number of answers, since those about one image hang together (Korn and Graubard 1998)",
        "macro_recall": "mean over attributes of the balanced accuracy, the mean of the recalls of its images with and without it; "
        "worst_class_recall: the least of the attributes",
        "exact_match": "share of test images of which every attribute is told right",
        "majority": "what always saying the commoner value would reach",
    }
    shown = "a training image of this arm" + (
        ", or the mirror image of one that training may flip" if any(facts["mirror"]) else ""
    )
    return {
        **(told if several else {"accuracy": f"{n_test} real test images; interval: Wilson, 95 %"}),
        "difference": "from the classifier of the real images alone, on the same test images; interval: paired, 95 % (Agresti and Min 2005)",
        "holdout_gap": "accuracy on held-out images of the classifier's own source, less accuracy on real test images: what it "
        "learned that real images do not bear out, such as a generator's fingerprint; its best moment was chosen on those held-out images",
        "accuracy_linear": "logistic regression on pixels, trained on the same source for the same steps",
        "accuracy_nearest_neighbour": f"the label of the image nearest in pixels among the same source's, at most {NEIGHBOUR_MOST:,} drawn from them, without augmentation",
        "features": f"frozen small CNN trained on all {facts['n_train']} real training images, "
        f"in units of their root mean square, sha256 {space.network.sha256}",
        "frechet_classifier": f"each source against the {n_test} test images, as many real as minted ones (n, the fewer of both), since it falls with n: "
        "the real row of an arm is its ceiling, and arms of other n are not comparable; mixed has none of its own",
        "frechet_infinity": "the same, extrapolated to infinitely many images by a line in 1/N through 15 sizes (Chong and Forsyth 2020); empty below 4 images a feature",
        "frechet_intra_class": f"mean over classes of the distance within each, as many real as minted images of a class; classes of fewer than {LEAST_ROWS_PER_FEATURE} images a feature "
        f"({LEAST_ROWS_PER_FEATURE * space.dimensions}) on any side are left out, and where all are it is empty",
        "kid": f"unbiased, cubic kernel, all pairs of as many points of each side, at most {params.points}, drawn by a hash of their content",
        "precision_recall_density_coverage": f"k = {params.neighbours}, the same points; the real row is what as many real images reach: the ceiling",
        "memorised": f"share of (at most {params.points}) synthetic images nearer, in features, to {shown}, "
        "than 99 % of the test images are; 0.01 is what new real images would give; memorised_pixels: the same in pixels",
        "exact_copies": f"minted images that are {shown}, byte for byte; of all",
        "authentic": "AuthPct: share of minted images farther from the nearest training image than that one is from its own nearest "
        "(Alaa et al. 2022); authentic_test: the same of test images, the ceiling",
        "copying": "C_T: z of minted against test images' distances to the training images, within cells (Meehan et al. 2020); "
        "below -3 is copying, far above 0 underfitting",
        "diversity": "mean distance to the nearest other image of the class, over the same of as many real images; mean over classes",
        "gan_test": "accuracy of the real-only classifier of the same images on synthetic ones, drawn by a hash of their content, at most "
        + (f"{GAN_TEST_MOST}" if several else f"{GAN_TEST_PER_CLASS} a class"),
        **{name: f"not measured: {why}" for name, why in absent.items()},
    }
