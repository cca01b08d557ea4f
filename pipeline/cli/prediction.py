"""Implementation of `labelmint predict`: labels of new images by a trained classifier."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from labelmint.api.classifier import Classifier, Prediction, load_classifier
from labelmint.classifiers import archive
from labelmint.classifiers.saved import Description
from labelmint.reporting.tables import Row, read_results
from labelmint.runtime.atomic_files import load_json, parsing
from labelmint.runtime.devices import named_device
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import did_you_mean, shortened
from pipeline.project import PARAMS_FILE
from pipeline.settings import schema
from pipeline.tracking.models import rank
from stages.paths import Paths


def find(root: Path | None, name: str, device: str) -> tuple[str, Classifier]:
    """The classifier of that name, and what to call it.

    root: of the project; None outside of one. name: of a folder that `Classifier.save` has written, or of a
    classifier of the project, e.g. dcgan-100-0/mixed; empty for that with the highest lower end of the
    interval of its accuracy.
    Raises: InputError.
    """
    if name and (Path(name) / "classifier.json").is_file():
        return name, load_classifier(name, device=device)
    if root is None:
        raise InputError(
            f"{name or 'no classifier named'}: outside of a project, name the folder of a saved classifier"
        )
    known = _known(root)
    if not known:
        raise InputError("no classifiers yet; `make repro` trains some")
    chosen = name or _best(root, known)
    if chosen not in known:
        listed = shortened(sorted(known), 8)
        raise InputError(f"no classifier '{chosen}'{did_you_mean(chosen, known)}; there are {listed}")
    return chosen, _open(root, known[chosen], chosen.rpartition("/")[2], device)


def _known(root: Path) -> dict[str, Path]:
    """Folders of the project's classifiers, by <arm>/<source>."""
    found: dict[str, Path] = {}
    for file in sorted((root / "data" / "classifiers").glob("*/classifiers.json")):
        with parsing(file):
            sources = [name for name, facts in load_json(file).items() if not facts["simple_classifier"]]
        found |= {f"{file.parent.name}/{source}": file.parent for source in sources}
    return found


def _best(root: Path, known: dict[str, Path]) -> str:
    path = Paths(root).reports / "results.csv"
    if not path.exists():
        raise InputError(f"--classifier: name one of {shortened(sorted(known), 8)}; there is no report yet")
    rows = [row for row in read_results(path) if row["accuracy"] is not None and _name(row) in known]
    if not rows:
        raise InputError(f"--classifier: name one of {shortened(sorted(known), 8)}")
    return _name(max(rows, key=rank))


def _name(row: Row) -> str:
    generator = "real" if row["source"] == "real" else row["generator"]
    return f"{generator}-{row['percent']}-{row['seed']}/{row['source']}"


def _open(root: Path, folder: Path, source: str, device: str) -> Classifier:
    facts: dict[str, Any] = archive.load(folder)[source]
    dataset = schema.load(root / PARAMS_FILE).dataset
    described = Paths(root).tensors / "dataset.json"
    with parsing(described):
        content = load_json(described)
        classes = [str(name) for name in content["classes"]]
        dataset = replace(dataset, bit_depth=content.get("bit_depth"))
    channels, height, width = facts["shape"]
    if (channels, height) != (dataset.channels, dataset.image_size) or len(classes) != facts["classes"]:
        raise InputError(
            f"{folder.name}/{source} is of other images than params.yaml now describes; run `make repro`"
        )
    if facts["view"]:
        raise InputError(f"{folder.name}/{source} sees a part of each image only; name another classifier")
    description = Description(
        recipe=archive.params_of(facts),
        shape=(channels, height, width),
        classes=classes,
        multi_hot=facts["multi_hot"],
        preparation=dataset,
        steps=facts["steps"],
        best_step=facts["best_step"],
    )
    target = named_device(device)
    return Classifier(archive.network(folder, source).to(target), description, target)


def to_csv(predictions: Sequence[Prediction], classes: Sequence[str]) -> str:
    """A row per image: its name, label and probability, and the probability of each class."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", "label", "probability", *classes])
    for each in predictions:
        values = (f"{each.probabilities[name]:.6f}" for name in classes)
        writer.writerow([each.image, each.label, f"{each.probability:.6f}", *values])
    return buffer.getvalue()


def to_json(predictions: Sequence[Prediction]) -> str:
    """The same as a JSON array."""
    rows = [
        {
            "image": each.image,
            "label": each.label,
            "probability": round(each.probability, 6),
            "probabilities": {name: round(value, 6) for name, value in each.probabilities.items()},
        }
        for each in predictions
    ]
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
