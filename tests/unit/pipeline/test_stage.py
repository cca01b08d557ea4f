"""The entry of all stages: what it passes to a stage, exit codes, and one line for every error."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import make_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labelmint.runtime.errors import InputError
from pipeline import stage
from pipeline.failures import Terminated, outcome
from pipeline.gpus.cards import cards_of
from pipeline.gpus.reservation import reserved
from pipeline.stage import arm_of, entry, select
from stages.paths import Arm, Paths
from tests.conftest import ROOT


class FakeStage:
    """A stage without parameters. work: is called in place of the stage."""

    Params = make_dataclass("Params", [])

    def __init__(self, work: Any):
        self.work = work

    def run(self, params: object, paths: Paths, tracker: object) -> None:
        self.work(paths)


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of a stage."""
    code = stage.main(list(arguments))
    return code, capsys.readouterr().err.strip()


class TestUserErrors:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["nonsense"], "error: nonsense: no stage 'nonsense'"),
            (["evaluate"], "this stage needs an arm"),
            (["evaluate", "dcgan"], "'dcgan' is not an arm"),
            (["train_generators", "stylegan-40-0"], "families: no 'stylegan' in params.yaml"),
            (["train_generators", "dcgan-40-0"], "data/tensors/images.npy is missing; `dvc repro`"),
            (["report"], "data/metrics/dcgan-40-0.json is missing; `dvc repro`"),
        ],
    )
    def test_end_with_2_and_one_line(self, project, capsys, arguments, message):
        code, text = ended(capsys, *arguments)
        assert (code, text.count("\n")) == (2, 0)
        assert message in text

    def test_a_wrong_setting_is_found_before_anything_is_written(self, project, capsys):
        text = (project / "params.yaml").read_text()
        (project / "params.yaml").write_text(text.replace("epochs:", "epoch:"))
        code, text = ended(capsys, "prepare")
        assert code == 2
        assert "did you mean 'epochs'" in text
        assert not (project / "data").exists()

    @pytest.mark.parametrize("arguments", [[], ["prepare", "a", "b"]])
    def test_wrong_arguments_show_the_usage(self, capsys, arguments):
        code, text = ended(capsys, *arguments)
        assert code == 2
        assert text.startswith("usage: python -m pipeline.stage STAGE [ARM]")


class TestErrors:
    @pytest.mark.parametrize(
        "raised",
        [KeyboardInterrupt(), Terminated(), MemoryError(), ValueError("a\nb"), OSError(28, "", "x.npy")],
    )
    def test_have_an_exit_code_and_one_line(self, project, capsys, monkeypatch, raised):
        def fail(paths):
            raise raised

        monkeypatch.setattr(stage, "entry", lambda name: FakeStage(fail))
        message, code = outcome(raised)  # tests/unit/pipeline/test_failures.py has the values
        assert ended(capsys, "prepare") == (code, f"error: prepare: {message}")

    def test_sigterm_lets_the_stage_clean_up(self, project, capsys, monkeypatch):
        cleaned = []

        def work(paths):
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                cleaned.append(True)

        monkeypatch.setattr(stage, "entry", lambda name: FakeStage(work))
        assert ended(capsys, "prepare") == (143, "error: prepare: terminated; run again to continue")
        assert cleaned

    def test_show_a_traceback_with_debug(self, project, capsys, monkeypatch):
        assert "Traceback" not in ended(capsys, "nonsense")[1]
        monkeypatch.setenv("LABELMINT_DEBUG", "1")
        assert "Traceback" in ended(capsys, "nonsense")[1]

    def test_after_the_stage_do_not_fail_it(self, project, capsys, monkeypatch):
        """Recording data for MLflow, and results for `labelmint experiments`."""

        def work(paths):
            files = (
                paths.tensors / "manifest.json",
                paths.tensors / "dataset.json",
                paths.reports / "summary.json",
            )
            for path in files:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("{")

        monkeypatch.setattr(stage, "entry", lambda name: FakeStage(work))
        (project / "experiments").mkdir()
        shutil.copy(project / "params.yaml", project / "experiments" / "default.yaml")
        code, text = ended(capsys, "report")
        tracked, recorded = text.splitlines()
        assert code == 0
        assert tracked.startswith(f"not tracked: {project}/data/tensors/dataset.json: ")
        assert (
            f"results not kept in the list of experiments: {project}/reports/summary.json: not JSON"
            in recorded
        )


class TestGpu:
    """A machine with two cards, of which another stage uses the first."""

    @pytest.fixture(autouse=True)
    def cards(self, project, monkeypatch):
        shutil.copy(ROOT / "dvc.yaml", project)
        gpus = [SimpleNamespace(uuid="GPU-0"), SimpleNamespace(uuid="GPU-1")]
        monkeypatch.setattr("pipeline.gpus.cards.nvidia_gpus", lambda: gpus)
        monkeypatch.setenv("LABELMINT_GPU_LOCKS", str(project / "locks"))
        for name in ("CUDA_VISIBLE_DEVICES", "LABELMINT_GPU", "RANK"):
            monkeypatch.delenv(name, raising=False)
        with reserved(cards_of("auto", {})):
            yield

    @pytest.mark.parametrize(("name", "visible"), [("evaluate", "1"), ("report", None)])
    def test_a_stage_that_computes_on_it_sees_a_free_card(self, project, capsys, monkeypatch, name, visible):
        seen = []
        work = FakeStage(lambda paths: seen.append(os.environ.get("CUDA_VISIBLE_DEVICES")))
        monkeypatch.setattr(stage, "entry", lambda name: work)
        assert ended(capsys, name)[0] == 0
        assert seen == [visible]

    def test_an_unusable_lock_is_a_user_error(self, project, capsys, monkeypatch):
        (project / "file").touch()
        monkeypatch.setenv("LABELMINT_GPU_LOCKS", str(project / "file"))
        code, text = ended(capsys, "evaluate", "dcgan-40-0")
        assert (code, text.count("\n")) == (2, 0)
        assert "the lock of a GPU cannot be opened (Not a directory); set LABELMINT_GPU_LOCKS" in text


class TestArms:
    @pytest.mark.parametrize(
        ("address", "name", "arm"),
        [
            ("train_generators@dcgan-40-0", "train_generators", "dcgan-40-0"),
            ("train_baselines@40-0", "train_baselines", "real-40-0"),
            ("prepare", "prepare", None),
            ("evaluate@dcgan-40-0", "report", None),
            ("", "prepare", None),
        ],
    )
    def test_the_arm_comes_from_dvcs_name_of_the_stage(self, address, name, arm):
        assert arm_of(address, name) == arm

    def test_it_is_read_from_the_environment(self, project, capsys, monkeypatch):
        monkeypatch.setenv("DVC_STAGE", "train_generators@stylegan-40-0")
        code, text = ended(capsys, "train_generators")
        assert (code, text) == (
            2,
            "error: train_generators stylegan-40-0: families: no 'stylegan' in params.yaml",
        )


class TestSelect:
    def test_passes_what_the_stage_declares_and_no_more(self, params):
        chosen = select(entry("train_generators").Params, params, Arm("dcgan", 40, 0))
        assert chosen.family is params.families["dcgan"]
        assert chosen.arm == Arm("dcgan", 40, 0)
        assert not hasattr(chosen, "classifier")

    def test_refuses_a_missing_arm(self, params):
        with pytest.raises(InputError, match="needs an arm"):
            select(entry("train_generators").Params, params, None)

    @pytest.mark.parametrize(
        "name", sorted(path.stem for path in Path("stages").glob("[a-z]*.py") if path.stem != "paths")
    )
    def test_every_stage_has_an_entry(self, params, name):
        module = entry(name)
        assert select(module.Params, params, Arm("dcgan", 40, 0))
        assert callable(module.run)
