"""Experiments: their files, how they are laid over each other, and what is kept of their results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from labelmint.classifiers.settings import NO_AUGMENTATION
from labelmint.gans import registry
from labelmint.runtime.errors import InputError
from pipeline.settings import experiments
from pipeline.settings import schema as settings
from pipeline.settings.experiments import Choice
from tests.conftest import ROOT

NAMES = experiments.names(ROOT)
OF_REPORTS = [name for name in NAMES if experiments.load(ROOT, name).source.startswith("report ")]


@pytest.fixture
def project(tmp_path) -> Path:
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    shutil.copy(ROOT / "experiments" / "default.yaml", tmp_path / "params.yaml")
    return tmp_path


def used(project: Path, *names: str, quick: bool = False) -> settings.Params:
    experiments.use(project, Choice(names, quick))
    return settings.load(project / "params.yaml")


class TestFiles:
    @pytest.mark.parametrize("quick", [False, True])
    @pytest.mark.parametrize("name", NAMES)
    def test_each_passes_the_schema_and_its_families_own_checks(self, project, name, quick):
        params = used(project, name, quick=quick)
        experiment = experiments.load(project, name)
        assert len(experiment.title) > 20 and experiment.source and experiment.cost
        for generator in params.generators:
            labels = params.dataset.attributes if params.dataset.multi_hot else ["0", "1"]
            family = params.families[generator]
            registry.check(generator, family, labels)
            if family.fairness != "none":  # else no gap would be measured of what was trained for fairness
                told = (params.metrics.protected, params.metrics.outcome)
                assert told == (family.protected, family.outcome) and set(told) <= set(labels)
            if family.labels == "none" and params.dataset.name == "celeba":  # else no sum of concepts could be judged
                assert params.dataset.multi_hot

    def test_every_row_of_the_reports_has_one(self):
        """SEEDS: the main system, DCGAN's named networks and ways to 128 pixels, and the table of families."""
        rows = {"mnist_report", "dcgan_faces_64", "dcgan_bedrooms", "dcgan_bedrooms_32", "dcgan_imagenet32"}
        rows |= {f"dcgan_faces_128_{way}" for way in ("wide", "deep", "stride", "selu")}
        rows |= {"vanilla_mlp_mnist", "dcgan_mnist_report", "cgan_mnist", "acgan_cifar10", "fairness_gan_faces", "fairness_gan_faces_report"}  # fmt: skip
        rows |= {"dcgan_mnist_tutorial", "dcgan_cifar10_tutorial", "cgan_fashion", "attribute_cgan_faces"}
        rows |= {"vanilla_mlp_mnist_deep", "vanilla_mlp_cifar10", "vanilla_conv_mnist", "vanilla_conv_cifar10", "vanilla_conv_faces"}  # fmt: skip
        rows |= {"dcgan_mnist", "dcgan_cifar10", "dcgan_faces", "cgan_mlp_mnist", "cgan_conv_cifar10"}
        rows |= {"wgan_mlp_mnist", "wgan_conv_cifar10", "wgan_conv_faces"}
        assert rows == set(OF_REPORTS)

    @pytest.mark.parametrize("name", OF_REPORTS)
    def test_a_reports_experiment_is_the_reports_own_and_says_what_it_costs(self, project, name):
        """No remedy that the report did not have, and no second try that would hide a collapse."""
        experiment, params = experiments.load(project, name), used(project, name)
        assert "PFLOP" in experiment.cost
        training = params.training
        assert (training.ema_half_life, training.translation, training.restarts) == (0, 0.0, 0)
        assert training.cutout == training.brightness == training.contrast == 0
        for family in (params.families[generator] for generator in params.generators):
            assert family.r1 == family.r2 == family.lecam == 0

    def test_the_main_reports_classifier_has_its_recipe(self, project):
        """Section 4.2: ImageNet's weights, SGD 0.001, momentum 0.3, 40 epochs, the last of which counts; real images turned by 30 degrees, minted ones not."""
        recipe = used(project, "mnist_report").classifier
        assert (recipe.network, recipe.weights, recipe.stem_stride, recipe.head_dropout, recipe.head_units) == ("efficientnet-b0", "imagenet", 2, 0.3, 512)  # fmt: skip
        assert (recipe.optimizer, recipe.learning_rate, recipe.momentum, recipe.weight_decay) == ("sgd", 0.001, 0.3, 0.0)  # fmt: skip
        assert (recipe.learning_rate_schedule, recipe.epochs, recipe.checkpoint) == ("constant", 40, "last")
        assert recipe.augmentation == NO_AUGMENTATION and "real_rotated" in recipe.sources
        assert used(project, "mnist_report").percents == [40, 60, 80, 100]

    def test_the_committed_params_are_the_default(self):
        assert (ROOT / "params.yaml").read_text() == (ROOT / "experiments" / "default.yaml").read_text()

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("about: {sauce: x}\n", "about.sauce is not known"),
            ("about: 3\n", "`about` and `quick` must be mappings"),
            ("quick: []\n", "`about` and `quick` must be mappings"),
        ],
    )
    def test_what_is_said_about_one_is_checked(self, project, text, says):
        (project / "experiments" / "bad.yaml").write_text("# Bad.\n" + text)
        with pytest.raises(InputError, match=says):
            experiments.load(project, "bad")


class TestUse:
    def test_comments_are_kept_and_default_brings_everything_back(self, project):
        before = (project / "params.yaml").read_text()
        assert used(project, "mnist_quick").dataset.name == "mnist"
        assert "# pixels; the digits are 8x8 and enlarged" in (project / "params.yaml").read_text()
        assert experiments.use(project, Choice(())) is None
        assert (project / "params.yaml").read_text() == before

    def test_a_persons_own_settings_are_kept(self, project):
        own = (project / "params.yaml").read_text().replace("epochs: 7", "epochs: 9")
        (project / "params.yaml").write_text(own)
        kept = experiments.use(project, Choice(("mnist_quick",)))
        assert kept.read_text() == own
        assert (
            experiments.use(project, Choice(("mnist_quick",), True)) is None
        )  # mnist_quick's own come back at any time

    def test_an_unknown_name_changes_nothing(self, project):
        with pytest.raises(InputError, match="no experiment 'mnist_quik'; did you mean 'mnist_quick'"):
            used(project, "mnist_quik")

    def test_a_bad_overlay_changes_nothing(self, project):
        (project / "experiments" / "bad.yaml").write_text("# x\ntraining: {epochs: 0}\n")
        before = (project / "params.yaml").read_text()
        with pytest.raises(InputError, match="bad.yaml: training: epochs must be"):
            used(project, "bad")
        assert (project / "params.yaml").read_text() == before

    def test_quick_is_the_common_size_then_the_experiments_own_then_the_data_set(self, project):
        (project / "experiments" / "mine.yaml").write_text(
            "# Mine.\ndataset: {name: faces, attributes: [Male, Smiling]}\n"
        )
        full = used(project, "attribute_cgan_faces")
        assert full.classifier.network == "efficientnet-b0" and full.families["attribute_cgan"].generator.dense_filters == 256  # fmt: skip
        quick = used(project, "attribute_cgan_faces", "mine", quick=True)
        assert quick.classifier.network == "small_cnn" and quick.families["attribute_cgan"].generator.dense_filters == 64  # fmt: skip
        assert quick.dataset.attributes == ["Male", "Smiling"] and quick.dataset.images_per_class == 2000
        text = (project / "params.yaml").read_text()
        assert text.startswith("# Experiment: attribute_cgan_faces + mine, quick\n")
        assert Choice.of(text) == Choice(("attribute_cgan_faces", "mine"), True)


class TestResults:
    summary = {"cgan-100-0": {"accuracy_real": 0.98, "accuracy_synthetic": 0.912, "frechet_synthetic": 1.5}}

    def finish(self, project: Path) -> None:
        (project / "reports").mkdir(exist_ok=True)
        (project / "reports" / "summary.json").write_text(json.dumps(self.summary))
        experiments.record(project)

    def test_the_last_of_an_experiment_are_kept_by_size(self, project):
        used(project, "cgan_mnist", quick=True)
        self.finish(project)
        told = experiments.last_result(project, Choice(("cgan_mnist",), True))
        assert told.endswith(": cgan-100-0: synthetic 91.2 %, real 98.0 %, Fréchet 1.50")
        assert experiments.last_result(project, Choice(("cgan_mnist",))) == ""
        (row,) = [row for row in json.loads(experiments.as_json(project)) if row["name"] == "cgan_mnist"]
        assert row["last_result"] == {"full run": None, "quick run": told} and row["source"] == "report A, table 3"
        assert any("last quick run: " in line and "91.2 %" in line for line in experiments.lines(project))

    def test_those_of_other_settings_are_nobodys(self, project):
        used(project, "cgan_mnist")
        path = project / "params.yaml"
        path.write_text(path.read_text().replace("epochs: 12", "epochs: 13"))
        self.finish(project)
        assert not (project / ".results").exists()

    def test_a_generator_without_labels_has_a_distance_only(self, project):
        self.summary = {"dcgan-100-0": {"accuracy_real": 0.98, "frechet_synthetic": 2.0}}
        self.finish(project)
        assert experiments.last_result(project, Choice(())).endswith(": dcgan-100-0: real 98.0 %, Fréchet 2.00")
