"""Every kind of labels through the whole DAG, by the stages' own entry: attributes of drawn faces, and none on real digits."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labelmint.classifiers import archive, targets
from labelmint.data.storage.tensors import load_set
from labelmint.metrics import attributes
from labelmint.metrics.accuracy import wilson
from labelmint.reporting import sheets
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.tracker import NullTracker
from pipeline.settings import schema as settings
from pipeline.stage import entry, select
from stages.paths import Arm, Paths

NAMES = ["Male", "Smiling"]


def all_stages(params: settings.Params, root: Path) -> Paths:
    """Every stage once, for the one arm that params name."""
    layout, tracker = Paths(root), NullTracker()
    arm = Arm(params.generators[0], params.percents[0], params.seeds[0])
    plan = [("prepare", None), ("train_feature_network", None), ("train_generators", arm), ("synthesize", arm)]
    plan += [("train_baselines", Arm("real", arm.percent, arm.seed)), ("train_classifiers", arm), ("evaluate", arm)]
    for name, of in [*plan, ("report", None)]:
        module = entry(name)
        module.run(select(module.Params, params, of), layout, tracker)
    return layout


@pytest.fixture(scope="module")
def faces(params, tmp_path_factory) -> Paths:
    """attribute_cgan on drawn faces, which are read few, so that it takes seconds."""
    data = replace(params.dataset, name="faces", attributes=NAMES, image_size=16, channels=3, mirror="all", images_per_class=150)  # fmt: skip
    shrunk = replace(params, dataset=data, generators=["attribute_cgan"], percents=[100])
    shrunk = replace(shrunk, classifier=replace(params.classifier, steps=60))
    return all_stages(shrunk, tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def unlabelled(params, tmp_path_factory) -> Paths:
    """One dcgan for all digits."""
    families = params.families | {"dcgan": replace(params.families["dcgan"], labels="none")}
    shrunk = replace(params, families=families, percents=[100])
    return all_stages(shrunk, tmp_path_factory.mktemp("unlabelled"))


def table(layout: Paths) -> dict[str, dict[str, str]]:
    with (layout.reports / "results.csv").open() as file:
        return {row["source"]: row for row in csv.DictReader(file)}


class TestAttributes:
    def test_summary_by_hand(self):
        labels = np.array([[1, 0], [1, 0], [0, 0], [0, 1]])
        predicted = np.array([[1, 0], [0, 0], [0, 0], [0, 0]])
        found = attributes.summary(labels, predicted, NAMES)
        assert found["accuracy"] == 6 / 8 and found["exact_match"] == 2 / 4
        assert found["recalls"] == [0.75, 0.5] and found["macro_recall"] == 0.625
        assert found["worst_class_recall"] == 0.5 and found["majority"] == (0.5 + 0.75) / 2
        male, smiling = found["attributes"]
        assert male["confusion"] == [[2, 0], [1, 1]] and (male["recall_absent"], male["recall_present"]) == (1.0, 0.5)
        assert smiling["majority"] == smiling["accuracy"] == 0.75  # it only ever says "not smiling"

    def test_an_attribute_that_no_image_has_counts_by_its_other_value(self):
        found = attributes.summary(np.zeros((4, 1)), np.array([[0], [0], [0], [1]]), ["Hat"])
        assert found["attributes"][0]["recall_present"] is None and found["macro_recall"] == 0.75

    def test_answers_that_hang_together_count_once(self):
        right = np.random.default_rng(0).random((400, 1)) < 0.9
        once = attributes.clustered_wilson(np.repeat(right, 5, axis=1))
        assert once == pytest.approx(wilson(right.sum(), 400), abs=0.0005)

    def test_independent_answers_count_each(self):
        right = np.random.default_rng(0).random((4000, 4)) < 0.8
        low, high = attributes.clustered_wilson(right)
        expected = wilson(right.sum(), right.size)
        assert high - low == pytest.approx(expected[1] - expected[0], rel=0.05)

    def test_all_right_is_no_certainty(self):
        assert attributes.clustered_wilson(np.ones((50, 3), bool)) == pytest.approx(wilson(50, 50))

    def test_the_interval_holds_the_truth_nineteen_times_in_twenty(self):
        rng, held = np.random.default_rng(1), 0
        for _ in range(2000):
            skill = rng.choice([0.6, 0.99], 120)  # some images are hard, in all their attributes
            low, high = attributes.clustered_wilson(rng.random((120, 6)) < skill[:, None])
            held += low <= 0.795 <= high
        assert held / 2000 == pytest.approx(0.95, abs=0.015)


class TestTargets:
    def test_loss_is_binary_for_attributes(self):
        logits, labels = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
        expected = (np.log(2) + np.log1p(np.exp(2.0))) / 2
        assert targets.loss(logits, labels).item() == pytest.approx(expected, rel=1e-6)
        assert targets.loss(logits, torch.tensor([1])).item() == pytest.approx(np.log1p(np.exp(-2.0)), rel=1e-6)

    def test_decisions(self):
        logits = np.array([[0.5, 2.0], [-1.0, -2.0]])
        assert targets.decide(logits, False).tolist() == [1, 0]
        assert targets.decide(logits, True).tolist() == [[1, 1], [0, 0]]

    def test_an_image_with_attributes_may_be_flipped_only_if_all_allow_it(self):
        told = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
        assert targets.may_flip([True, True], told).tolist() == [True, True]
        assert targets.may_flip([True, False], told).tolist() == [False, False]
        assert targets.may_flip([True, False], torch.tensor([1, 0])).tolist() == [False, True]


class TestSheets:
    def test_a_row_for_each_common_pattern_under_its_name(self):
        labels = np.array([[1, 1], [0, 0], [1, 1], [0, 1]], np.float32)
        rows = [(title, places.tolist()) for title, places in sheets.kinds(labels, NAMES)]
        assert rows == [("none of them", [1]), ("Smiling", [3]), ("Male+Smiling", [0, 2])]

    def test_no_labels_make_a_plain_grid(self):
        rows = sheets.kinds(np.full(30, -1), NAMES)
        assert [len(places) for _, places in rows] == [12, 12, 6] and {title for title, _ in rows} == {""}


class TestFaces:
    def test_classifiers_tell_attributes(self, faces):
        """Better than always saying the commoner value: of so few steps, the real one must be."""
        metrics = load_json(faces.metrics(Arm("attribute_cgan", 100, 0)))
        real, synthetic, mixed = metrics["rows"]
        assert [row["source"] for row in (real, synthetic, mixed)] == ["real", "synthetic", "mixed"]
        assert real["accuracy"] > real["majority"] + 0.05 and real["macro_recall"] > 0.65
        for row in metrics["rows"]:
            assert [each["name"] for each in row["attributes"]] == NAMES and "confusion" not in row
            assert {sum(map(sum, each["confusion"])) for each in row["attributes"]} == {
                len(load_set(faces.test_tensors)[0])
            }
            assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
        facts = archive.load(faces.classifiers(Arm("attribute_cgan", 100, 0)))
        assert facts["synthetic"]["multi_hot"] and facts["synthetic"]["classes"] == 2

    def test_agreement_is_counted_by_attribute(self, faces):
        arm = Arm("attribute_cgan", 100, 0)
        found = load_json(faces.metrics(arm))["gan_test"]
        assert len(found["recalls"]) == 2 and np.mean(found["recalls"]) == pytest.approx(found["accuracy"])

    def test_the_page_shows_attributes(self, faces):
        page = (faces.reports / "index.html").read_text()
        for part in ("Majority: what always saying", "Balanced accuracy per attribute", "Male+Smiling", "none of them", "one pattern of attributes a row"):  # fmt: skip
            assert part in page
        assert "true and predicted class" not in page
        rows = table(faces)
        assert set(rows) == {"real", "synthetic", "mixed"} and all(0 < float(row["exact_match"]) < 1 for row in rows.values())  # fmt: skip


class TestUnlabelled:
    arm = Arm("dcgan", 100, 0)

    def test_no_classifier_is_trained_on_images_without_labels(self, unlabelled):
        assert archive.load(unlabelled.classifiers(self.arm)) == {}
        assert [path.name for path in unlabelled.classifiers(self.arm).iterdir() if path.suffix == ".safetensors"] == []

    def test_how_like_they_are_is_measured_all_the_same(self, unlabelled):
        metrics = load_json(unlabelled.metrics(self.arm))
        real, synthetic = metrics["rows"]
        assert (real["source"], synthetic["source"]) == ("real", "synthetic") and real["accuracy"] > 0.1
        assert synthetic["accuracy"] is None and synthetic["n_synthetic"] == 150
        assert synthetic["frechet_classifier"] > real["frechet_classifier"] and 0 <= synthetic["coverage"] <= 1
        assert metrics["gan_test"] is None

    def test_tables_and_page_say_so_in_words(self, unlabelled):
        rows = table(unlabelled)
        assert rows["synthetic"]["accuracy"] == "" and float(rows["synthetic"]["frechet_classifier"]) > 0
        assert "no labels" in (unlabelled.reports / "results.md").read_text()
        summary = load_json(unlabelled.reports / "summary.json")["dcgan-100-0"]
        assert set(summary) == {"accuracy_real", "frechet_synthetic"}
        page = (unlabelled.reports / "index.html").read_text()
        assert "No sums of concepts: they need several dataset.attributes" in page
        assert "bear no labels, so that no classifier could be trained on them" in page
        assert "These images bear no labels." in page and page.count("true and predicted class") == 1
