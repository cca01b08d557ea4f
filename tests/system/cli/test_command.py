"""The console script, run as a person runs it."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.settings import flat
from pipeline.settings import experiments
from pipeline.settings import schema as settings
from tests.conftest import ROOT, SHARED
from tests.image_trees import encoded, good_tree, in_folder, in_zip


@pytest.fixture
def project(tmp_path):
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "deeper").mkdir()
    return tmp_path


def labelmint(cwd, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_use_works_from_any_folder_of_the_project(project):
    done = labelmint(project / "deeper", "use", "mnist_quick")
    assert done.returncode == 0 and "params.yaml now holds mnist_quick" in done.stderr
    assert settings.load(project / "params.yaml").dataset.name == "mnist"


@pytest.mark.parametrize(
    ("arguments", "where", "says"),
    [
        (["use", "mnist_quik"], ".", "error: no experiment 'mnist_quik'; did you mean 'mnist_quick'?"),
        (["results"], ".", "results.md is missing; `make repro` makes it"),
        (["check"], "..", "is not within a labelmint project"),
    ],
)
def test_mistakes_end_with_2_and_one_line(project, arguments, where, says):
    done = labelmint(project / where, *arguments)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1


def test_check_finds_a_typo_that_no_stage_reads(project):
    (project / "params.yaml").write_text((project / "params.yaml").read_text() + "clasifier: {}\n")
    done = labelmint(project, "check")
    assert done.returncode == 2 and "unknown setting 'clasifier'; did you mean 'classifier'?" in done.stderr


def test_experiments_are_listed_with_what_they_are(project):
    lines = labelmint(project, "experiments").stdout.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == experiments.names(ROOT)
    about = lines[[line.split()[0] for line in lines].index("cgan_mnist") + 1]
    assert "report A, table 3; 12,000 steps" in about
    rows = json.loads(labelmint(project, "experiments", "--json").stdout)
    assert [row["name"] for row in rows] == experiments.names(ROOT)


_COMMANDS = "use import experiments params check results run serve ui compare sync sample doctor"
_WITH_JSON = {
    "import",
    "experiments",
    "params",
    "results",
    "compare",
    "sample",
    "doctor",
}  # those that tell of something
_WITH_DRY_RUN = {"use", "import", "run", "sync", "sample"}  # those that write something


@pytest.mark.parametrize("command", _COMMANDS.split())
def test_help_has_an_example(project, command):
    done = labelmint(project, command, "--help")
    assert done.returncode == 0 and "Example:" in done.stdout and f"labelmint {command}" in done.stdout
    assert ("--json" in done.stdout, "--dry-run" in done.stdout) == (
        command in _WITH_JSON,
        command in _WITH_DRY_RUN,
    )


def test_no_command_is_forgotten(project):
    from typer.main import get_command

    from pipeline.cli.main import app

    assert sorted(get_command(app).commands) == sorted(_COMMANDS.split())


def test_what_use_would_change_is_said_and_not_done(project):
    before = (project / "params.yaml").read_bytes()
    done = labelmint(project, "use", "mnist_quick", "--dry-run")
    assert done.returncode == 0 and (project / "params.yaml").read_bytes() == before
    assert {'dataset.name: "digits" -> "mnist"', "training.epochs: 7 -> 9"} <= set(done.stdout.splitlines())
    assert "generators" not in done.stdout, "what stays is not listed"
    assert (
        labelmint(project, "use", "default", "--dry-run").stdout
        == "params.yaml holds the settings of default already\n"
    )


class TestParams:
    """What settings mean."""

    def test_the_reference_in_the_docs_is_current(self, project):
        said = labelmint(project, "params", "--markdown").stdout
        assert (ROOT / "docs" / "params.md").read_text() == said, (
            "labelmint params --markdown > docs/params.md"
        )

    def test_every_setting_has_a_meaning_and_is_one_of_the_schema(self, project):
        told = {row["name"]: row for row in json.loads(labelmint(project, "params", "--json").stdout)}
        assert not [name for name, row in told.items() if not row["meaning"]]
        given = settings.read(ROOT / "experiments" / "default.yaml")
        own = given["families"].pop("dcgan")
        given["families"] = {"<generator>": own}
        assert {name: name for name in flat(given)} == {name: name for name in told}
        plain = {name: value for name, value in flat(given).items() if not name.startswith("families")}
        assert {name: told[name]["default"] for name in plain} == plain

    def test_one_setting_or_a_group(self, project):
        assert labelmint(project, "params", "families.dcgan.r1").stdout.startswith(
            "families.<generator>.r1: 0.0  (number)"
        )
        said = labelmint(project, "params", "compute").stdout
        assert "compute.device: auto  (`auto` | `cpu` | `cuda`)" in said and "training" not in said.replace(
            "training ", ""
        )
        done = labelmint(project, "params", "training.epoch")
        assert (
            done.returncode == 2
            and "no setting 'training.epoch'; did you mean 'training.epochs'?" in done.stderr
        )


def test_results_for_a_program(project):
    (project / "reports").mkdir()
    (project / "reports" / "results.md").write_text("| a |\n")
    (project / "reports" / "summary.json").write_text("{}")
    (project / "reports" / "results.csv").write_text("generator,percent,accuracy,kid\ndcgan,40,0.5,\n")
    rows = json.loads(labelmint(project, "results", "--json").stdout)
    assert rows == [{"generator": "dcgan", "percent": 40, "accuracy": 0.5, "kid": None}]
    shutil.rmtree(project / ".results")
    (project / ".results").touch()  # in the way of what is kept
    done = labelmint(project, "results")
    assert done.returncode == 0 and done.stdout.startswith("| a |\n")
    assert (
        done.stderr.startswith("warning: not kept for `labelmint experiments`: ")
        and done.stderr.count("\n") == 1
    )


def test_what_waits_for_mlflow_is_counted_and_not_sent(project):
    waiting = project / ".tracking" / "1-stage"
    waiting.mkdir(parents=True)
    (waiting / "run.json").write_text("{}")
    done = labelmint(project, "sync", "--dry-run", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.stdout == "1 runs wait to be shipped to http://127.0.0.1:9; none was\n" and waiting.exists()


def test_experiments_are_laid_one_over_the_other(project):
    (project / "experiments" / "small.yaml").write_text("# Small.\ndataset: {images_per_class: 20}\n")
    assert labelmint(project, "use", "mnist_quick", "small").returncode == 0
    found = settings.load(project / "params.yaml")
    assert (
        found.dataset.name == "mnist" and found.dataset.images_per_class == 20 and found.training.epochs == 9
    )
    assert (project / "params.yaml").read_text().startswith("# Experiment: mnist_quick + small\n")
    assert "kept" not in labelmint(project, "use", "default").stderr


class TestImport:
    @pytest.fixture
    def photos(self, tmp_path):
        return in_folder(tmp_path / "photos", good_tree(("cat", "dog", "eel"), count=10))

    def test_images_become_a_data_set_that_runs(self, project, photos):
        done = labelmint(project / "deeper", "import", str(photos), "--name", "mine", "--size", "8")
        assert done.returncode == 0, done.stderr
        assert "mine: 30 images in 3 classes (cat 10, dog 10, eel 10), colour" in done.stdout
        assert "next: make repro DATASET=mine" in done.stdout
        assert labelmint(project, "use", "default", "mine").returncode == 0
        dataset = settings.load(project / "params.yaml").dataset
        assert (dataset.name, dataset.path, dataset.channels, dataset.image_size) == (
            "mine",
            "data/raw/mine.tar",
            3,
            8,
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "LABELMINT_TRACKING": "off"}
        command = [sys.executable, "-m", "pipeline.stage", "prepare"]
        subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
        facts = load_json(project / "data" / "tensors" / "dataset.json")
        assert facts["name"] == "mine" and facts["classes"] == ["cat", "dog", "eel"] and facts["n_test"] == 6
        assert "Images of one's own: 30 in 3 classes" in labelmint(project, "experiments").stdout

    def test_the_same_images_give_the_same_file_wherever_they_come_from(self, project, photos):
        tree = {
            path.relative_to(photos).as_posix(): path.read_bytes() for path in sorted(photos.rglob("*.png"))
        }
        in_zip(project / "photos.zip", dict(reversed(tree.items())))
        for name, origin in (("one", photos), ("two", project / "photos.zip")):
            assert labelmint(project, "import", str(origin), "--name", name).returncode == 0
        assert (project / "data/raw/one.tar").read_bytes() == (project / "data/raw/two.tar").read_bytes()

    def test_an_earlier_import_is_not_replaced_unasked(self, project, photos):
        assert labelmint(project, "import", str(photos), "--name", "mine").returncode == 0
        before = (project / "data/raw/mine.tar").read_bytes()
        (photos / "cat" / "new.png").write_bytes(encoded(4321))
        done = labelmint(project, "import", str(photos), "--name", "mine")
        assert (
            done.returncode == 2
            and "mine.tar exists; choose another --name, or replace it with --force" in done.stderr
        )
        assert (project / "data/raw/mine.tar").read_bytes() == before
        assert labelmint(project, "import", str(photos), "--name", "mine", "--force").returncode == 0
        assert (project / "data/raw/mine.tar").read_bytes() != before

    def test_grey_images_need_one_channel_and_their_own_split_is_kept(self, project):
        tree = {
            f"{part}/{label}/{n}.png": encoded(n + 50 * place, mode="L")
            for place, (part, label) in enumerate(
                (part, label) for part in ("train", "test") for label in "ab"
            )
            for n in range(4)
        }
        in_folder(project / "grey", tree)
        done = labelmint(project, "import", str(project / "grey"), "--name", "grey")
        assert "grey\ntrain and test as they were given" in done.stdout
        assert "channels: 1" in (project / "experiments" / "grey.yaml").read_text()

    def test_a_dry_run_checks_every_image_and_leaves_nothing(self, project, photos):
        done = labelmint(project, "import", str(photos), "--name", "mine", "--dry-run", "--json")
        told = json.loads(done.stdout)
        assert (told["classes"], told["counts"], told["grey"]) == (["cat", "dog", "eel"], [10, 10, 10], False)
        assert not (project / "experiments" / "mine.yaml").exists() and not (project / "data").exists()
        assert labelmint(project, "import", str(photos), "--name", "mine").returncode == 0
        with (project / "data" / "raw" / "mine.tar").open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == told["sha256"]
        (photos / "cat" / "bad.png").write_bytes(b"")
        done = labelmint(project, "import", str(photos), "--name", "other", "--dry-run")
        assert done.returncode == 2 and "cat/bad.png: empty file" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["nowhere", "--name", "mine"], "nowhere does not exist"),
            (["photos", "--name", "My Photos"], "must be small letters, digits and _"),
            (["photos", "--name", "mnist"], "is a published set"),
            (["photos", "--name", "default"], "exists; choose another --name"),
            (["photos", "--name", "mine", "--size", "2"], "dataset.image_size must be 4 to 1024"),
            (["photos", "--name", "mine"], "1 of 31 images cannot be used (cat/bad.png: empty file)"),
            (["photos", "--name", "mine", "--on-bad-image", "skip"], "skipping is for at most 1 %"),
        ],
    )
    def test_mistakes_leave_nothing(self, project, photos, arguments, says):
        (photos / "cat" / "bad.png").write_bytes(b"")
        before = sorted((project / "experiments").iterdir())
        done = labelmint(project, "import", *arguments)
        assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert sorted((project / "experiments").iterdir()) == before
        assert not list((project / "data").rglob("*")) or not list((project / "data" / "raw").iterdir())

    def test_real_photographs(self, project):
        """Three classes of CIFAR-10, as a person would keep them."""
        archive = SHARED / "cifar10-images.tar"
        if not archive.exists():
            pytest.skip(f"{archive} is not there; set LABELMINT_TEST_DATA")
        with tarfile.open(archive) as tar:
            for entry in tar:
                part, label, name = (entry.name.split("/") + ["", ""])[:3]
                if (
                    entry.isfile()
                    and part == "train"
                    and label in ("bird", "frog", "ship")
                    and int(name[:-4]) < 500
                ):
                    (project / "photos" / label).mkdir(parents=True, exist_ok=True)
                    (project / "photos" / label / name).write_bytes(tar.extractfile(entry).read())
        done = labelmint(project, "import", "photos", "--name", "animals")
        assert "animals: 1,500 images in 3 classes (bird 500, frog 500, ship 500), colour" in done.stdout, (
            done.stderr
        )


def test_an_unknown_command_is_a_mistake(project):
    assert labelmint(project, "mint").returncode == 2


class TestManners:
    """What every command has in common."""

    def test_a_mistyped_command_is_told_the_right_one(self, project):
        done = labelmint(project, "experimens")
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "No such command 'experimens'" in done.stderr and "Did you mean 'experiments'" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["sample", "dcgan"], "`labelmint sample --help` shows what it takes"),
            (["use", "--quik", "mnist"], "--quick"),
            (["sample", "x", "--count", "many", "--out", "y"], "Invalid value for '--count'"),
            (["sample", "x", "--count", "1", "--out", "y", "--format", "gif"], "'gif' is not one of"),
        ],
    )
    def test_a_misused_command_says_so_in_one_line(self, project, arguments, says):
        done = labelmint(project, *arguments)
        assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, (
            done.stderr
        )
        assert says in done.stderr

    def test_traceback_only_when_asked(self, project):
        assert "Traceback" not in labelmint(project, "use", "nothing").stderr
        for arguments in (["--debug", "use", "nothing"], ["use", "nothing", "--debug"]):
            done = labelmint(project, *arguments)
            assert (
                done.returncode == 2 and "Traceback" in done.stderr and "error: no experiment" in done.stderr
            )

    def test_what_nobody_foresaw_is_one_line_too(self, project):
        code = "import sys; sys.argv = ['labelmint', 'check']\nfrom pipeline import cli, params\nparams.load = lambda _: {}['gone']\ncli.main()"
        done = subprocess.run([sys.executable, "-c", code], cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 1 and done.stderr == "error: KeyError: 'gone'; --debug shows where\n"

    @pytest.mark.parametrize(
        ("typed", "offered"),
        [
            ("labelmint ex", ["experiments"]),
            ("labelmint use mnist_", ["mnist_quick", "mnist_report", "mnist_report_small"]),
            ("labelmint run --experiment best_m", ["best_mnist"]),
            ("labelmint params training.e", ["training.ema_half_life", "training.epochs"]),
            ("labelmint sample dc", ["dcgan-40-0"]),
        ],
    )
    def test_completion_knows_commands_and_names(self, project, typed, offered):
        (project / "data" / "generators" / "dcgan-40-0").mkdir(parents=True)
        (project / "data" / "generators" / "dcgan-40-0" / "architecture.json").write_text("{}")
        script, words = Path(sys.executable).parent / "labelmint", len(typed.split()) - 1
        asked = {"_LABELMINT_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(words)}
        environment = {**os.environ, **asked, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([script], cwd=project, env=environment, capture_output=True, text=True)
        assert sorted(done.stdout.split()) == offered

    def test_completion_can_be_installed(self, project):
        assert "--install-completion" in labelmint(project, "--help").stdout

    @pytest.mark.parametrize("arguments", [["doctor"], ["--help"], ["experimens"]])
    def test_no_colour_when_asked(self, project, arguments):
        """On a terminal, where there would be."""
        assert b"\x1b[" in _on_a_terminal(project, ["--help"])
        assert not re.search(rb"\x1b\[[\d;]*3\d", _on_a_terminal(project, arguments, NO_COLOR="1"))


def _on_a_terminal(cwd: Path, arguments: list[str], **environment: str) -> bytes:
    leader, follower = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    surroundings = {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environment}
    command = [sys.executable, "-m", "pipeline.cli.main", *arguments]
    process = subprocess.Popen(command, cwd=cwd, env=surroundings, stdout=follower, stderr=follower)
    os.close(follower)
    said = b""
    try:
        while piece := os.read(leader, 4096):
            said += piece
    except OSError:  # how Linux ends a terminal
        pass
    os.close(leader)
    process.wait(60)
    return said
