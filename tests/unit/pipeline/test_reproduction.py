"""Which stages `make repro` runs beside which."""

from __future__ import annotations

from pipeline.dvc.graph import Stage
from pipeline.reproduction import Arrangement, arranged

STAGES = [
    Stage("prepare", ()),
    Stage("features", ("prepare",)),
    Stage("train@40", ("prepare",)),
    Stage("train@60", ("prepare",)),
    Stage("sample@40", ("train@40",)),
    Stage("baseline@40", ("prepare",), beside=True),
    Stage("baseline@60", ("prepare",), beside=True),
    Stage("classify@40", ("baseline@40", "sample@40")),
    Stage("report", ("classify@40",)),
]
ALL = {stage.name for stage in STAGES}


def test_stages_go_on_beside_those_that_neither_need_them_nor_are_needed():
    assert arranged(STAGES, ALL) == Arrangement(
        ["prepare"], ["baseline@40", "baseline@60"], ["features", "train@40", "train@60", "sample@40"]
    )


def test_only_stages_that_are_not_up_to_date_are_reproduced():
    assert arranged(STAGES, {"baseline@60", "train@60", "report"}) == Arrangement(
        [], ["baseline@60"], ["train@60"]
    )


def test_nothing_runs_beside_nothing():
    assert arranged(STAGES, {"baseline@40", "classify@40", "report"}) is None
    assert arranged(STAGES, {"train@40", "sample@40", "report"}) is None
    assert arranged(STAGES, set()) is None


def test_stage_that_another_one_beside_needs_is_not_reproduced_twice():
    chained = [
        Stage("a", ()),
        Stage("b", ("a",), beside=True),
        Stage("c", ("b",), beside=True),
        Stage("d", ()),
    ]
    assert arranged(chained, {"a", "b", "c", "d"}) == Arrangement(["a"], ["b", "c"], ["d"])
