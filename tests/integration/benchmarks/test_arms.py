"""Arms that benchmarks run in their own process, after it has imported torch."""

from __future__ import annotations

from benchmarks import arms
from stages.paths import Paths


def test_stage_runs_with_the_default_settings(prepared, tmp_path):
    """The limits of the default's compute.portable come too late here."""
    paths = Paths(tmp_path)
    paths.tensors.parent.mkdir()
    paths.tensors.symlink_to(prepared.tensors)
    arms.run_stage(paths, "train_feature_network", None, ({"feature_network": {"steps": 2, "features": 8}},))
    assert (paths.feature_network / "network.safetensors").is_file()
