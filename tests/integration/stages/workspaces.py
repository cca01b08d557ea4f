"""Workspaces in which stages run in process."""

from __future__ import annotations

from pathlib import Path

from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.tracker import NullTracker
from pipeline.settings import schema as settings
from pipeline.stage import entry, select
from stages.paths import Arm, Paths


def run(name: str, params: settings.Params, arm: Arm | None, paths: Paths) -> None:
    """Run one stage."""
    module = entry(name)
    module.run(select(module.Params, params, arm), paths, NullTracker())


def all_stages(params: settings.Params, root: Path) -> Paths:
    """A workspace in which every stage has run once, for all arms of one fraction and one seed."""
    paths, (percent,), (seed,) = Paths(root), params.percents, params.seeds
    for name, arm in (
        ("prepare", None),
        ("train_feature_network", None),
        ("train_baselines", Arm("real", percent, seed)),
    ):
        run(name, params, arm, paths)
    for generator in params.generators:
        for name in ("train_generators", "synthesize", "train_classifiers", "evaluate"):
            run(name, params, Arm(generator, percent, seed), paths)
    run("report", params, None, paths)
    return paths


def linked(workspace: Paths, root: Path, *own: str) -> Paths:
    """A workspace with all data of another by links, except metrics and the folders of data/ in `own`."""
    (root / "data" / "timings").mkdir(parents=True)
    for path in (workspace.root / "data").iterdir():
        if path.name not in ("metrics", "latent_space", "timings", *own):
            (root / "data" / path.name).symlink_to(path)
    for path in (workspace.root / "data" / "timings").iterdir():
        if path.name != "evaluate":
            (root / "data" / "timings" / path.name).symlink_to(path)
    return Paths(root)


def rows(paths: Paths, arm: Arm) -> dict[str, dict]:
    """Rows of an arm's metrics, by source."""
    return {row["source"]: row for row in load_json(paths.metrics(arm))["rows"]}


def page(paths: Paths) -> str:
    return (paths.reports / "index.html").read_text()
