"""One GPU stage per card: of one flow, of several flows on a machine, and after a failure or a kill."""

from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace

import pytest

from pipeline.gpus import cards
from pipeline.gpus.cards import cards_of
from pipeline.gpus.reservation import reserved
from tests.system.servers import until
from tests.system.tiny_project import TinyProject, is_alive


@pytest.fixture
def driver(monkeypatch):
    """A function: let the driver list so many cards."""

    def lists(count: int) -> None:
        gpus = [SimpleNamespace(uuid=f"GPU-{index}") for index in range(count)]
        monkeypatch.setattr(cards, "nvidia_gpus", lambda: gpus)

    return lists


def intervals(tiny: TinyProject) -> dict[str, tuple[float, float, str]]:
    """{stage: (start, end, CUDA_VISIBLE_DEVICES)} of the stages that have ended."""
    ends = {line[1]: float(line[2]) for line in tiny.log() if line[0] == "end"}
    starts = {line[1]: (float(line[2]), line[6]) for line in tiny.log() if line[0] == "start"}
    return {name: (starts[name][0], end, starts[name][1]) for name, end in ends.items()}


def started(tiny: TinyProject, *stages: str) -> bool:
    return set(stages) <= set(tiny.ran())


def is_free(card: str) -> bool:
    with reserved(cards_of("cuda", {"CUDA_VISIBLE_DEVICES": card}), lambda: False) as reservation:
        return bool(reservation.name)


def test_two_cards_run_two_stages_at_once_and_never_two_on_one(tiny, run, driver):
    driver(2)
    with tiny.waiting_until("train-40", lambda: started(tiny, "train-60")):
        result = run(percents=[40, 60, 80, 100], targets=["train"])
    assert set(result.names.values()) == {"Ran"}
    ran = intervals(tiny)
    on_gpu = {name: ran[name] for name in ("train-40", "train-60", "train-80", "train-100")}
    assert {card for _, _, card in on_gpu.values()} == {"0", "1"}
    for (start, end, card), (other_start, other_end, other_card) in combinations(on_gpu.values(), 2):
        apart = end <= other_start or other_end <= start
        assert apart or card != other_card, "two stages were on one card at once"
    assert ran["prepare"][2] == "", "it needs no GPU"


def test_only_the_cards_of_the_user_are_taken(tiny, run, driver, monkeypatch):
    driver(4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1/2/0,3")
    with tiny.waiting_until("train-40", lambda: started(tiny, "train-60")):
        run(targets=["train"])
    assert {intervals(tiny)[name][2] for name in ("train-40", "train-60")} == {"MIG-1/2/0", "3"}


def test_a_stage_that_needs_no_gpu_runs_beside_one_that_does(tiny, run, driver):
    driver(1)
    tiny.set_behaviour("train-40", "sleep 1")
    with tiny.waiting_until("train-60", lambda: "evaluate-40" in intervals(tiny)):
        run(workers=2)
    ran = intervals(tiny)
    assert ran["train-60"][0] >= ran["train-40"][1], "two stages were on the GPU at once"


def test_a_failed_stage_returns_its_card(tiny, run, driver):
    driver(1)
    tiny.set_behaviour("train-40", "fail")
    result = run(targets=["train"])
    assert (result.names["train@40"], result.names["train@60"]) == ("Failed", "Ran")
    assert intervals(tiny)["train-60"][2] == "0"
    assert is_free("GPU-0")


def test_a_card_of_another_flow_is_waited_for(tiny, ui):
    """The other flow is this test, which holds the lock."""
    tiny.set_device("cuda")
    with reserved(cards_of("cuda", {"CUDA_VISIBLE_DEVICES": "GPU-x"})):
        process = tiny.start(
            "run", "train@40", PREFECT_API_URL=f"{ui.prefect}/api", CUDA_VISIBLE_DEVICES="GPU-x"
        )
        assert process.stderr is not None
        line = next(line for line in process.stderr if "waiting" in line)
        assert "waiting for GPU-x, in use by other stages" in line
        assert tiny.ran() == ["prepare"]
    _, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert intervals(tiny)["train-40"][2] == "GPU-x"


def test_a_killed_flow_keeps_its_card_until_its_stage_has_ended(tiny, ui):
    tiny.set_device("cuda")
    tiny.set_behaviour("train-40", "deaf")
    variables = {"CUDA_VISIBLE_DEVICES": "GPU-x", "LABELMINT_GRACE": "1"}
    process = tiny.start("run", "train@40", PREFECT_API_URL=f"{ui.prefect}/api", **variables)
    until(lambda: tiny.pids("train-40"))
    (pid,) = tiny.pids("train-40")
    process.kill()
    process.communicate()
    assert is_alive(pid) and not is_free("GPU-x")
    until(lambda: is_free("GPU-x"), 120)
    assert not is_alive(pid)
