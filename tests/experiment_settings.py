"""Settings of the project's experiments."""

from __future__ import annotations

from functools import lru_cache

from pipeline.settings import experiments, schema
from pipeline.settings.experiments import Choice
from tests.conftest import ROOT


@lru_cache
def settings_of(name: str, quick: bool = False) -> schema.Params:
    """Settings of an experiment. Faster than parsing what `rendered` returns, which has the same content."""
    content = schema.read(ROOT / "experiments" / "default.yaml")
    for layer in experiments.overlays(ROOT, Choice.named([name], quick)):
        schema.overlay(content, layer)
    return schema.check(content, name)
