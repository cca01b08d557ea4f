"""Summaries of predictions by hand, of classes and of attributes."""

from __future__ import annotations

import numpy as np

from labelmint.metrics.accuracy import attribute_summary, class_summary, confusion_matrix


class TestClasses:
    def test_confusion_has_true_classes_in_rows(self):
        confusion = confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 1]), 3)
        assert confusion.tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]

    def test_summary(self):
        found = class_summary(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), 2)
        assert (found["accuracy"], found["macro_recall"], found["worst_class_recall"]) == (0.75, 0.5, 0.0)
        assert found["recalls"] == [1.0, 0.0]


class TestAttributes:
    def test_summary(self):
        labels = np.array([[1, 0], [1, 0], [0, 0], [0, 1]])
        predictions = np.array([[1, 0], [0, 0], [0, 0], [0, 0]])
        found = attribute_summary(labels, predictions, ["Male", "Smiling"])
        assert (found["accuracy"], found["exact_match"]) == (6 / 8, 2 / 4)
        assert (found["recalls"], found["macro_recall"]) == ([0.75, 0.5], 0.625)
        assert (found["worst_class_recall"], found["majority"]) == (0.5, (0.5 + 0.75) / 2)
        male, smiling = found["attributes"]
        assert male["confusion"] == [[2, 0], [1, 1]]
        assert (male["recall_absent"], male["recall_present"]) == (1.0, 0.5)
        assert smiling["majority"] == smiling["accuracy"] == 0.75  # it only ever predicts "not smiling"

    def test_a_value_that_no_image_has_counts_in_no_recall(self):
        found = attribute_summary(np.zeros((4, 1)), np.array([[0], [0], [0], [1]]), ["Hat"])
        assert found["attributes"][0]["recall_present"] is None
        assert found["macro_recall"] == 0.75
