"""All stages of an experiment without DVC."""

from __future__ import annotations

import time
from dataclasses import replace

from benchmarks import full_run


def test_stages_have_the_names_of_dvc(params):
    params = replace(params, percents=[40, 100])
    assert [address for address, _ in full_run._stages(params)] == [
        *("prepare", "train_feature_network"),
        *("train_generators@dcgan-40-0", "train_generators@dcgan-100-0"),
        *("synthesize@dcgan-40-0", "synthesize@dcgan-100-0"),
        *("train_baselines@40-0", "train_baselines@100-0"),
        *("train_classifiers@dcgan-40-0", "train_classifiers@dcgan-100-0"),
        *("evaluate@dcgan-40-0", "evaluate@dcgan-100-0"),
        "report",
    ]


def test_no_stage_starts_when_time_is_up(tmp_path):
    assert full_run.run(tmp_path, full_run.settings("mnist"), time.monotonic()) is None
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
