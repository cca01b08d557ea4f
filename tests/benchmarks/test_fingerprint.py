"""The control of the fingerprint benchmark: two classes of a data set, numbered anew; and its table."""

from __future__ import annotations

import numpy as np

from benchmarks import fingerprint
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json
from stages.paths import Paths


def test_two_classes_are_left_and_numbered_anew(workspace, tmp_path):
    pair = Paths(tmp_path)
    fingerprint.restrict(workspace, pair, (3, 5))
    images, labels = load_set(pair.tensors)
    whole, known = load_set(workspace.tensors)
    assert np.bincount(labels).tolist() == [12, 12]
    assert np.array_equal(images[labels == 1], whole[known == 5])
    facts = load_json(pair.tensors / "dataset.json")
    assert facts["classes"] == ["3", "5"] and facts["mirror"] == [False, False]
    assert (facts["n_train"], facts["n_test"]) == (24, len(load_set(pair.test_tensors)[1]))


def test_the_table_has_a_gap_for_every_source():
    row = {"holdout_accuracy": 0.99, "accuracy": 0.6, "holdout_gap": 0.39}
    minted = {"source": "synthetic", **row, "diversity_per_class": [0.9, None, 0.4]}
    shown = fingerprint.table({"all classes: one": {"rows": [{"source": "real", **row}, minted]}}).splitlines()
    assert shown[2] == "| all classes | one | real | 99.00 | 60.00 | +39.00 |  |"
    assert shown[3] == "| all classes | one | synthetic | 99.00 | 60.00 | +39.00 | 0.40 |"
