"""The commands that read or write settings and results, and what all commands have in common."""

from __future__ import annotations

import json
import signal
from importlib import metadata

import pytest
from typer.main import get_command

from labelmint.runtime.errors import InputError, Unreachable
from pipeline.cli import options
from pipeline.cli.main import app
from pipeline.failures import Terminated
from pipeline.settings import experiments, schema
from tests.command import labelmint
from tests.conftest import ROOT

COMMANDS = (
    *("use", "experiments", "check", "params", "import", "sample", "predict", "expand", "run", "serve", "ui"),
    *("results", "report", "compare", "sync", "doctor"),
)
WITH_JSON = {
    "import",
    "experiments",
    "params",
    "results",
    "report",
    "compare",
    "sample",
    "predict",
    "expand",
    "doctor",
}
"""Commands that report something."""
WITH_DRY_RUN = {"use", "expand", "import", "run", "sync", "sample"}
"""Commands that write or send something."""


class TestHelp:
    def test_no_command_is_missing_here(self):
        assert sorted(get_command(app).commands) == sorted(COMMANDS)  # type: ignore[attr-defined]

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_an_example(self, checkout, command):
        done = labelmint(checkout, command, "--help")
        assert done.code == 0
        assert "Example:" in done.out
        assert f"labelmint {command}" in done.out
        assert ("--json" in done.out) == (command in WITH_JSON)
        assert ("--dry-run" in done.out) == (command in WITH_DRY_RUN)

    @pytest.mark.parametrize("arguments", [["-h"], ["params", "-h"]])
    def test_h_is_short_for_help(self, checkout, arguments):
        done = labelmint(checkout, *arguments)
        assert done.code == 0
        assert "Usage: labelmint" in done.out

    def test_version(self, checkout):
        assert labelmint(checkout, "--version")[:2] == (0, f"labelmint {metadata.version('labelmint')}\n")

    def test_completion_can_be_installed(self, checkout):
        assert "--install-completion" in labelmint(checkout, "--help").out


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["experimens"], "No such command 'experimens'. Did you mean 'experiments'"),
            (["mint"], "No such command 'mint'"),
            (["sample", "dcgan"], "`labelmint sample --help` shows its usage"),
            (["use", "--quik", "mnist"], "--quick"),
            (["sample", "x", "--count", "many", "--out", "y"], "Invalid value for '--count'"),
            (["sample", "x", "--count", "1", "--out", "y", "--format", "gif"], "'gif' is not one of"),
            (["use", "mnist_quik"], "no experiment 'mnist_quik'; did you mean 'mnist_quick' or 'mnist'?"),
            (["params", "classifier.moment"], "classifier.moment is now classifier.checkpoint"),
            (["results"], "results.md is missing; `make repro` creates it"),
        ],
    )
    def test_a_user_error_ends_with_2_and_one_line(self, checkout, arguments, message):
        done = labelmint(checkout, *arguments)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert done.err.startswith("error: ")
        assert message in done.err

    @pytest.mark.parametrize(
        ("raised", "code", "message"),
        [
            (InputError("wrong"), 2, "wrong"),
            (Unreachable("http://x: no answer"), 75, "http://x: no answer"),
            (ConnectionError("http://x: no answer"), 75, "http://x: no answer"),
            (KeyboardInterrupt(), 130, "interrupted; run again to continue"),
            (Terminated(), 143, "terminated; run again to continue"),
            (RuntimeError("cancelled: by the user"), 1, "cancelled: by the user"),
            (KeyError("gone"), 1, "KeyError: 'gone'; --debug shows where"),
            (
                MemoryError(),
                1,
                "out of memory; close other programs, or lower batch_size and compute.workers",
            ),
        ],
    )
    def test_every_error_has_an_exit_code_and_one_line(self, checkout, monkeypatch, raised, code, message):
        def fail(path):
            raise raised

        monkeypatch.setattr(schema, "load", fail)
        done = labelmint(checkout, "check")
        assert (done.code, done.out, done.err) == (code, "", f"error: {message}\n")

    def test_sigterm_ends_with_143(self, checkout, monkeypatch):
        monkeypatch.setattr(schema, "load", lambda path: signal.raise_signal(signal.SIGTERM))
        before = signal.getsignal(signal.SIGTERM)
        assert labelmint(checkout, "check").code == 143
        assert signal.getsignal(signal.SIGTERM) is before

    def test_a_traceback_is_shown_with_debug_only(self, checkout, monkeypatch):
        monkeypatch.setenv("LABELMINT_DEBUG", "")
        assert "Traceback" not in labelmint(checkout, "use", "nothing").err
        for arguments in (["--debug", "use", "nothing"], ["use", "nothing", "--debug"]):
            done = labelmint(checkout, *arguments)
            assert done.code == 2
            assert "Traceback" in done.err
            assert "error: no experiment" in done.err

    @pytest.mark.parametrize(
        "command", ["use mnist", "check", "run", "serve", "ui", "results", "compare", "sync"]
    )
    def test_outside_of_a_project_one_line_says_so(self, tmp_path, command):
        done = labelmint(tmp_path, *command.split())
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "is not within a labelmint project" in done.err

    @pytest.mark.parametrize("command", ["experiments", "params", "params --yaml", "params --markdown"])
    def test_outside_of_a_project_settings_are_explained(self, tmp_path, command):
        done = labelmint(tmp_path, *command.split())
        assert (done.code, done.err) == (0, "")
        assert len(done.out.splitlines()) > 50


class TestSettings:
    def test_use_works_from_any_folder_of_the_project(self, checkout):
        (checkout / "deeper").mkdir()
        done = labelmint(checkout / "deeper", "use", "mnist_quick")
        assert (done.code, done.err) == (0, "params.yaml now holds mnist_quick\n")
        assert schema.load(checkout / "params.yaml").dataset.name == "mnist"

    def test_use_applies_one_experiment_after_the_other(self, checkout):
        (checkout / "experiments" / "small.yaml").write_text("# Small.\ndataset: {images_per_class: 20}\n")
        assert labelmint(checkout, "use", "mnist_quick", "small").code == 0
        found = schema.load(checkout / "params.yaml")
        assert (found.dataset.name, found.dataset.images_per_class, found.training.epochs) == ("mnist", 20, 9)
        assert experiments.in_use(checkout).label == "mnist_quick + small"

    def test_use_says_where_the_users_own_settings_are_kept(self, checkout):
        path = checkout / "params.yaml"
        path.write_text(path.read_text().replace("epochs: 10", "epochs: 8"))
        done = labelmint(checkout, "use", "default")
        assert done.err == "params.yaml now holds default; your own settings are kept in params.yaml.kept\n"

    def test_a_dry_run_of_use_shows_changes_and_writes_nothing(self, checkout):
        before = (checkout / "params.yaml").read_bytes()
        done = labelmint(checkout, "use", "mnist_quick", "--dry-run")
        assert done.code == 0
        assert (checkout / "params.yaml").read_bytes() == before
        assert 'dataset.name: "digits" -> "mnist"' in done.out.splitlines()
        same = labelmint(checkout, "use", "default", "--dry-run")
        assert same.out == "params.yaml already holds the settings of default\n"

    def test_check_is_silent_or_names_a_setting_that_no_stage_reads(self, checkout):
        assert labelmint(checkout, "check") == (0, "", "")
        path = checkout / "params.yaml"
        path.write_text(path.read_text() + "clasifier: {}\n")
        done = labelmint(checkout, "check")
        assert done.code == 2
        assert "unknown setting 'clasifier'; did you mean 'classifier'?" in done.err

    def test_experiments_are_listed_by_report_the_default_first(self, checkout):
        lines = labelmint(checkout, "experiments").out.splitlines()
        listed = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
        assert sorted(listed) == experiments.names(ROOT)
        assert listed[0] == "default"
        headings = [line for line in lines if line and line[0] != " "]
        assert {"This project's", "GAN comparison", "fairness internship"} < set(headings)
        position = next(index for index, line in enumerate(lines) if line.startswith("  cgan_mnist "))
        assert "fairness internship, table 3; 12,000 steps" in lines[position + 1]
        assert lines.index("fairness internship") < position

    def test_experiments_with_a_word(self, checkout):
        kept = ("default", "cgan_mnist", "dcgan_bedrooms", "dcgan_bedrooms_32")
        for path in (checkout / "experiments").glob("*.yaml"):
            if path.stem not in kept:  # the list reads every file
                path.unlink()
        rows = json.loads(labelmint(checkout, "experiments", "Bedrooms", "--json").out)
        assert [row["name"] for row in rows] == ["dcgan_bedrooms", "dcgan_bedrooms_32"]
        assert "dcgan_bedrooms_32" in labelmint(checkout, "experiments", "bedrooms").out
        done = labelmint(checkout, "experiments", "zzz")
        assert done.code == 2
        assert "no experiment contains 'zzz'" in done.err

    def test_experiments_as_json(self, checkout):
        rows = json.loads(labelmint(checkout, "experiments", "--json").out)
        assert [row["name"] for row in rows] == experiments.names(ROOT)

    def test_params_explains_a_setting_or_a_group(self, checkout):
        assert labelmint(checkout, "params", "families.dcgan.r1").out.startswith(
            "families.<generator>.r1: 0.0  (number, 0 to 10000)\n    "
        )
        rows = json.loads(labelmint(checkout, "params", "compute", "--json").out)
        assert [row["name"] for row in rows][:2] == ["compute.device", "compute.workers"]


class TestResults:
    @pytest.fixture
    def finished(self, checkout):
        reports = checkout / "reports"
        reports.mkdir()
        (reports / "results.md").write_text("| a |\n")
        (reports / "summary.json").write_text("{}")
        (reports / "results.csv").write_text("generator,percent,accuracy,kid\ndcgan,40,0.5,\n")
        return checkout

    def test_as_json(self, finished):
        rows = json.loads(labelmint(finished, "results", "--json").out)
        assert rows == [{"generator": "dcgan", "percent": 40, "accuracy": 0.5, "kid": None}]

    def test_are_shown_even_if_they_cannot_be_kept(self, finished):
        (finished / ".results").touch()  # a file where the folder should be
        done = labelmint(finished, "results")
        assert done.code == 0
        assert done.out == f"| a |\n\nreport: {finished}/reports/index.html\n"
        assert done.err.startswith("warning: not kept for `labelmint experiments`: ")
        assert done.err.count("\n") == 1

    def test_runs_that_wait_for_mlflow_are_counted_and_not_sent(self, checkout):
        waiting = checkout / ".tracking" / "1-stage"
        waiting.mkdir(parents=True)
        (waiting / "run.json").write_text("{}")
        done = labelmint(checkout, "sync", "--dry-run", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
        assert done.code == 0
        assert "http://127.0.0.1:9" in done.out
        assert waiting.exists()


class TestCompletion:
    def test_knows_experiments_settings_and_generators(self, checkout, monkeypatch):
        monkeypatch.chdir(checkout)
        assert options.complete_experiment("mnist_") == ["mnist_quick", "mnist_report", "mnist_report_small"]
        assert options.complete_setting("training.ep") == ["training.epochs"]
        assert options.complete_setting("training.e")[0] == "training.epochs"
        assert options.complete_generator("dc") == []
        (checkout / "data" / "generators" / "dcgan-40-0").mkdir(parents=True)
        (checkout / "data" / "generators" / "dcgan-40-0" / "architecture.json").write_text("{}")
        assert options.complete_generator("dc") == ["dcgan-40-0"]

    def test_offers_no_generator_outside_of_a_project(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert options.complete_generator("") == []
