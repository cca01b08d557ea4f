"""The networks of the reports, typed from their tables, in the notation of `network_rows`.

Where a table contradicts itself, or says nothing, the experiment's comment says what is built, and so do the
comments here. No table states biases: a layer has one unless batch normalisation follows it directly, which
would remove it. A transposed convolution from 1 x 1 is a linear layer, and so is a convolution to 1 x 1.
"""

from __future__ import annotations

from tests.unit.labelmint.gans.report_tables import (
    attribute_cgan_project,
    dcgan_course_report,
    deep_gans_practice,
    fairness_internship,
    gan_comparison,
)

_REPORTS = (
    fairness_internship,
    dcgan_course_report,
    deep_gans_practice,
    attribute_cgan_project,
    gan_comparison,
)

TABLES = {name: table for report in _REPORTS for name, table in report.TABLES.items()}
