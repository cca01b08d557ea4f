"""The control of the fingerprint benchmark, two classes of a data set, and its table."""

from __future__ import annotations

import numpy as np

from benchmarks import fingerprint
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json
from stages.paths import Paths


def test_restrict_keeps_two_classes_numbered_from_zero(prepared, tmp_path):
    pair = Paths(tmp_path)
    fingerprint.restrict(prepared, pair, (3, 5))
    images, labels = load_set(pair.tensors)
    all_images, all_labels = load_set(prepared.tensors)
    assert np.bincount(labels).tolist() == [12, 12]
    assert np.array_equal(images[labels == 1], all_images[all_labels == 5])
    facts = load_json(pair.tensors / "dataset.json")
    assert facts["classes"] == ["3", "5"] and facts["mirror"] == [False, False]
    assert (facts["n_train"], facts["n_test"]) == (24, len(load_set(pair.test_tensors)[1]))


def test_table_has_a_gap_for_every_source():
    row = {"holdout_accuracy": 0.99, "accuracy": 0.6, "holdout_gap": 0.39}
    synthetic = {"source": "synthetic", **row, "diversity_per_class": [0.9, None, 0.4]}
    rows = [{"source": "real", **row}, synthetic]
    lines = fingerprint.table({"all classes: one": {"rows": rows}}).splitlines()
    assert lines[2] == "| all classes | one | real | 99.00 | 60.00 | +39.00 |  |"
    assert lines[3] == "| all classes | one | synthetic | 99.00 | 60.00 | +39.00 | 0.40 |"
