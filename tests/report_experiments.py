"""Names of the experiments that reproduce one of the five reports of docs/reports.md."""

from __future__ import annotations

from pipeline.settings import experiments
from tests.conftest import ROOT

TITLES = (
    "fairness internship",
    "DCGAN course report",
    "deep GANs practice",
    "attribute cGAN project",
    "GAN comparison",
)
"""Short titles of the reports, with which an experiment's `about.source` starts."""

OF_REPORTS = [
    name for name in experiments.names(ROOT) if experiments.load(ROOT, name).source.startswith(TITLES)
]
