from __future__ import annotations

import pytest

from labelmint.data.reading.split_names import UNLABELLED, roles
from labelmint.data.source import TEST, TRAIN, VALIDATION


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["train", "Test", "val"], [TRAIN, TEST, VALIDATION]),
        (["training_set", "test_set"], [TRAIN, TEST]),
        (["seg_train", "seg_test", "seg_pred"], [TRAIN, TEST, UNLABELLED]),
        (["TrainImages", "Hold-Out Set", "dev"], [TRAIN, TEST, VALIDATION]),
        (["train2017", "val2017"], [TRAIN, VALIDATION]),
        (["trainset", "testset"], [TRAIN, TEST]),
        (["flowers_train", "flowers_test"], [TRAIN, TEST]),
        (["train", "eval"], [TRAIN, TEST]),
        (["train", "eval", "test"], [TRAIN, VALIDATION, TEST]),
        (["train", "eval", "valid"], [TRAIN, TEST, VALIDATION]),
        (["bullet_train", "plane"], [None, None]),
        (["bullet_train", "model_train"], [None, None]),
        (["contest", "trainer", "devil", "retrain"], [None] * 4),
        (["test_tube", "train test"], [None, None]),
        (["Zug", "поезд", "训练"], [None] * 3),
    ],
)
def test_roles_of_sibling_folders(names, found):
    assert [roles(names).get(name) for name in names] == found
