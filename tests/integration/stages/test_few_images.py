"""Ten real images a class, the least of the experiments few_labels_*, through all stages."""

from __future__ import annotations

from dataclasses import replace

from labelmint.reporting.tables import read_results
from tests.experiment_settings import settings_of
from tests.integration.stages.workspaces import all_stages

COLUMNS = ("generator", "source", "n_real", "n_synthetic", "steps")


def test_every_source_of_both_generators_has_its_images(tmp_path):
    experiment = settings_of("few_labels_digits")
    shrunk = replace(
        experiment,
        percents=[10],
        seeds=[0],
        training=replace(experiment.training, epochs=1, images_per_epoch=128),
        synthesis=replace(experiment.synthesis, images_per_class=12),
        classifier=replace(
            experiment.classifier,
            learning_curve=[2],
            learning_curve_percent=10,
            network="small_cnn",
            steps=3,
            evaluations=1,
        ),
        feature_network=replace(experiment.feature_network, steps=10),
        compute=replace(experiment.compute, device="cpu", workers=1),
    )
    paths = all_stages(shrunk, tmp_path)
    rows = [row for row in read_results(paths.reports / "results.csv") if row["source"] != "real_unaugmented"]
    assert [tuple(row[name] for name in COLUMNS) for row in rows] == [
        (generator, source, n_real, n_synthetic, 3)
        for generator in ("dcgan", "projection_cgan")
        for source, n_real, n_synthetic in (
            ("real", 100, 0),
            ("synthetic", 0, 120),
            ("mixed", 100, 120),
            ("mixed_filtered", 100, 120),
            ("real_2_percent", 20, 0),
        )
    ]
    # The learning curve ends at this arm's images.
    assert all(0 <= row["worth_low"] <= row["worth_high"] <= 100 for row in rows if row["n_synthetic"])
