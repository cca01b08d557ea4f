"""Experiments: their files, and how they become params.yaml."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from labelmint.gans import registry
from labelmint.runtime.errors import InputError
from pipeline.settings import experiments, schema
from pipeline.settings.experiments import Choice
from tests.conftest import ROOT
from tests.experiment_settings import settings_of
from tests.report_experiments import OF_REPORTS

NAMES = experiments.names(ROOT)


def use(project, *names: str, quick: bool = False) -> schema.Params:
    experiments.use(project, Choice(names, quick))
    return schema.load(project / "params.yaml")


class TestFiles:
    @pytest.mark.parametrize("quick", [False, True])
    @pytest.mark.parametrize("name", NAMES)
    def test_each_passes_the_schema_and_the_checks_of_its_families(self, name, quick):
        params = settings_of(name, quick)
        for generator in params.generators:
            labels = params.dataset.attributes if params.dataset.multi_hot else ["0", "1"]
            family = params.families[generator]
            registry.check(generator, family, labels)
            if family.fairness != "none":  # otherwise the gap that was trained on would not be measured
                measured = (params.metrics.protected, params.metrics.outcome)
                assert measured == (family.protected, family.outcome)
                assert set(measured) <= set(labels)
            if (
                family.labels == "none" and params.dataset.name == "celeba"
            ):  # arithmetic of concepts needs several
                assert params.dataset.multi_hot

    @pytest.mark.parametrize("name", NAMES)
    def test_each_has_a_title_a_source_and_a_cost(self, name):
        experiment = experiments.load(ROOT, name)
        assert len(experiment.title) > 20
        assert experiment.title.endswith(".")
        assert experiment.source
        assert experiment.cost

    def test_every_row_of_the_reports_has_one(self):
        """The main system, DCGAN's networks and ways to 128 pixels, and the table of families."""
        rows = {
            *("mnist_report", "dcgan_faces_64", "dcgan_bedrooms", "dcgan_bedrooms_32", "dcgan_imagenet32"),
            *(f"dcgan_faces_128_{way}" for way in ("wide", "deep", "stride", "selu")),
            *("vanilla_mlp_mnist", "dcgan_mnist_report", "cgan_mnist", "acgan_cifar10"),
            *("fairness_gan_faces", "fairness_gan_faces_report"),
            *("dcgan_mnist_tutorial", "dcgan_cifar10_tutorial", "cgan_fashion", "attribute_cgan_faces"),
            *("vanilla_mlp_mnist_deep", "vanilla_mlp_cifar10", "vanilla_conv_mnist"),
            *("vanilla_conv_cifar10", "vanilla_conv_faces", "dcgan_mnist", "dcgan_cifar10", "dcgan_faces"),
            *(
                "cgan_mlp_mnist",
                "cgan_conv_cifar10",
                "wgan_mlp_mnist",
                "wgan_conv_cifar10",
                "wgan_conv_faces",
            ),
        }
        assert rows == set(OF_REPORTS)

    @pytest.mark.parametrize("name", OF_REPORTS)
    def test_an_experiment_of_a_report_adds_no_remedy(self, name):
        """No technique that the report did not use, and no restart that would hide a collapse."""
        params = settings_of(name)
        assert "PFLOP" in experiments.load(ROOT, name).cost
        training = params.training
        assert (training.ema_half_life, training.translation, training.restarts) == (0, 0.0, 0)
        assert training.cutout == training.brightness == training.contrast == 0
        for family in (params.families[generator] for generator in params.generators):
            assert family.r1 == family.r2 == family.lecam == 0

    def test_the_main_report_has_its_recipe(self):
        """Section 4.2: ImageNet's weights, SGD 0.001, momentum 0.3, 40 epochs, the last of which counts.

        Real images are rotated by 30 degrees, synthetic ones are not.
        """
        params = settings_of("mnist_report")
        recipe = params.classifier
        assert (recipe.network, recipe.weights, recipe.stem_stride) == ("efficientnet-b0", "imagenet", 2)
        assert (recipe.head_dropout, recipe.head_units) == (0.3, 512)
        assert (recipe.optimizer, recipe.learning_rate, recipe.learning_rate_schedule) == (
            "sgd",
            0.001,
            "constant",
        )
        assert (recipe.momentum, recipe.weight_decay, recipe.epochs, recipe.checkpoint) == (
            0.3,
            0.0,
            40,
            "last",
        )
        assert set(asdict(recipe.augmentation).values()) == {0.0}
        assert "real_rotated" in recipe.sources
        assert params.percents == [40, 60, 80, 100]

    def test_params_yaml_is_committed_as_the_default(self):
        assert (ROOT / "params.yaml").read_text() == (ROOT / "experiments" / "default.yaml").read_text()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("about: {sauce: x}\n", "unknown key about.sauce"),
            ("about: 3\n", "`about` and `quick` must be mappings"),
            ("quick: []\n", "`about` and `quick` must be mappings"),
        ],
    )
    def test_refuses_a_malformed_description(self, checkout, text, message):
        (checkout / "experiments" / "bad.yaml").write_text("# Bad.\n" + text)
        with pytest.raises(InputError, match=message):
            experiments.load(checkout, "bad")


class TestUse:
    def test_keeps_comments_and_restores_the_default(self, checkout):
        before = (checkout / "params.yaml").read_text()
        assert use(checkout, "mnist_quick").dataset.name == "mnist"
        assert "# Width and height of converted images, pixels" in (checkout / "params.yaml").read_text()
        assert experiments.use(checkout, Choice(())) is None
        assert (checkout / "params.yaml").read_text() == before

    def test_keeps_the_users_own_settings_in_a_file(self, checkout):
        own = (checkout / "params.yaml").read_text().replace("epochs: 10", "epochs: 9")
        (checkout / "params.yaml").write_text(own)
        kept = experiments.use(checkout, Choice(("mnist_quick",)))
        assert kept is not None
        assert kept.read_text() == own
        # The settings of mnist_quick can be restored at any time.
        assert experiments.use(checkout, Choice(("mnist_quick",), True)) is None

    def test_label_names_the_experiment_in_use(self, checkout):
        assert experiments.label_in_use(checkout) == "default"
        use(checkout, "mnist_quick")
        assert experiments.label_in_use(checkout) == "mnist_quick"

    def test_label_says_whether_settings_were_edited(self, checkout):
        path = checkout / "params.yaml"
        path.write_text(path.read_text() + "# A comment changes no setting.\n")
        assert experiments.label_in_use(checkout) == "default"
        path.write_text(path.read_text().replace("epochs: 10", "epochs: 11"))
        assert experiments.label_in_use(checkout) == "default (edited)"
        path.write_text("# Experiment: gone\n" + path.read_text())
        assert experiments.label_in_use(checkout) == "gone (edited)"

    def test_an_unknown_name_changes_nothing(self, checkout):
        before = (checkout / "params.yaml").read_text()
        with pytest.raises(InputError, match="no experiment 'mnist_quik'; did you mean 'mnist_quick'"):
            use(checkout, "mnist_quik")
        assert (checkout / "params.yaml").read_text() == before

    def test_a_bad_overlay_changes_nothing(self, checkout):
        (checkout / "experiments" / "bad.yaml").write_text("# x\ntraining: {epochs: 0}\n")
        before = (checkout / "params.yaml").read_text()
        with pytest.raises(InputError, match=r"bad.yaml: training.epochs must be 1 to 100000, got 0"):
            use(checkout, "bad")
        assert (checkout / "params.yaml").read_text() == before

    def test_quick_is_the_common_size_then_the_experiments_own_then_the_data_set(self, checkout):
        text = "# Mine.\ndataset: {name: faces, attributes: [Male, Smiling]}\n"
        (checkout / "experiments" / "mine.yaml").write_text(text)
        full = use(checkout, "attribute_cgan_faces")
        assert full.classifier.network == "efficientnet-b0"
        assert full.families["attribute_cgan"].generator.dense_filters == 256
        assert full == settings_of("attribute_cgan_faces")
        quick = use(checkout, "attribute_cgan_faces", "mine", quick=True)
        assert quick.classifier.network == "small_cnn"
        assert quick.families["attribute_cgan"].generator.dense_filters == 64
        assert (quick.dataset.attributes, quick.dataset.images_per_class) == (["Male", "Smiling"], 2000)
        text = (checkout / "params.yaml").read_text()
        assert text.startswith("# Experiment: attribute_cgan_faces + mine, quick\n")
        assert (
            Choice.of(text) == experiments.in_use(checkout) == Choice(("attribute_cgan_faces", "mine"), True)
        )

    def test_changes_lists_what_differs_and_nothing_else(self, checkout):
        changes = experiments.changes(checkout, Choice(("mnist_quick",)))
        assert {'dataset.name: "digits" -> "mnist"', "training.epochs: 10 -> 9"} <= set(changes)
        assert not [line for line in changes if line.startswith("generators")]
        assert experiments.changes(checkout, Choice(())) == []
