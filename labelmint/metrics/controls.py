"""Controls of a classifier's accuracy: the real classifier, held-out images, simple classifiers."""

from __future__ import annotations

from labelmint.metrics.inputs import ClassifierResult
from labelmint.metrics.registry import Metric, Values, evaluates_classifier
from labelmint.metrics.replicated import paired_difference

NEAREST_NEIGHBOUR_MAX_IMAGES = 60_000
"""Most training images that the 1-NN classifier searches."""


@evaluates_classifier(
    Metric(
        "difference",
        "higher",
        "accuracy less that of the classifier trained on the real images, on the same test images; "
        "interval: paired, 95 % (Agresti and Min 2005)",
        columns=("difference", "difference_low", "difference_high"),
    )
)
def difference(result: ClassifierResult) -> Values:
    if result.facts["source"] == "real":
        values = 0.0, 0.0, 0.0
    else:
        values = paired_difference(result.correct(), result.correct(result.reference))
    names = ("difference", "difference_low", "difference_high")
    return {**dict(zip(names, values)), "measured": {"difference": result.how()}}


@evaluates_classifier(
    Metric("holdout_accuracy", "higher"),
    Metric(
        "holdout_gap",
        "lower",
        "accuracy on held-out images of the classifier's own source, less accuracy on real test images: "
        "what it learned that does not hold for real images, such as a generator's fingerprint; its "
        "checkpoint was chosen by those held-out images",
    ),
)
def holdout(result: ClassifierResult) -> Values:
    accuracy = result.facts["holdout_accuracy"]
    how = result.how(split="held-out images of the source", n=result.facts["n_holdout"])
    return {
        "holdout_accuracy": accuracy,
        "holdout_gap": accuracy - result.accuracy,
        "measured": {
            "holdout_accuracy": how,
            "holdout_gap": how | {"reference": result.split, "n_reference": len(result.labels)},
        },
    }


@evaluates_classifier(
    Metric(
        "accuracy_linear",
        "higher",
        "logistic regression on pixels, trained on the same images for the same steps",
    ),
    Metric(
        "accuracy_nearest_neighbour",
        "higher",
        "label of the nearest training image in pixels, among at most "
        f"{NEAREST_NEIGHBOUR_MAX_IMAGES:,} images drawn from the same source, without augmentation",
    ),
)
def simple_classifiers(result: ClassifierResult) -> Values:
    values: Values = {"measured": {}}
    for kind, (predictions, network) in result.simple.items():
        values[f"accuracy_{kind}"] = float(result.correct(predictions).mean())
        values["measured"][f"accuracy_{kind}"] = result.how(network)
    return values
