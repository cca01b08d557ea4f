"""Every command in README.md and docs/ is run, in a copy of the real small run; what cannot be is run in a cheaper form, or elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.system.clone import Clone
from tests.e2e.documents import DOCUMENTS, blocks, commands, experiments_of
from tests.image_trees import encoded

pytestmark = pytest.mark.slow

COVERED = {
    # command: the test that runs it, or what it stands for
    "make repro EXPERIMENT=lsgan": "tests/e2e/test_extending.py::test_a_family_is_one_file_and_its_settings",
    "make repro EXPERIMENT=optdigits": "tests/e2e/test_extending.py::test_the_data_set_is_read_with_its_own_split",
    "make repro DATASET=photos QUICK=1": "tests/e2e/test_own_images.py::test_the_readme_leads_to_a_report_and_to_minted_images",
    "make ui": "tests/pipeline/test_serve.py::test_addresses_are_printed_and_a_taken_port_is_named",
    "make ui &": "tests/pipeline/test_serve.py::test_addresses_are_printed_and_a_taken_port_is_named",
    'labelmint serve --cron "0 2 * * *" --timezone Europe/Vienna --experiment mnist': "tests/pipeline/test_serve.py::test_a_schedule_its_runs_and_a_stop_from_the_pages",
    '.venv/bin/labelmint serve --cron "0 2 * * *" --timezone Europe/Vienna': "tests/pipeline/test_serve.py::test_a_schedule_its_runs_and_a_stop_from_the_pages",
    ".venv/bin/labelmint run --workers 2": "tests/e2e/test_flow.py::test_prefect_has_a_task_for_each_stage_and_the_results",
    ".venv/bin/labelmint run --dry-run": "tests/pipeline/test_flow.py::test_a_dry_run_changes_nothing",
    "labelmint run --dry-run": "tests/pipeline/test_flow.py::test_a_dry_run_changes_nothing",
    ".venv/bin/labelmint doctor": "tests/pipeline/test_doctor.py::test_the_command",
    ".venv/bin/labelmint run --runner dask --dask-address tcp://127.0.0.1:8786 --workers 8": "tests/pipeline/test_dask.py::test_by_address_a_lost_flow_stops_its_stages",
    ".venv/bin/dask scheduler --host 127.0.0.1 --port 8786": "tests/stages/test_cluster.py::test_a_worker_killed_midway_costs_nothing",
    ".venv/bin/dask worker tcp://127.0.0.1:8786 --nthreads 1": "tests/stages/test_cluster.py::test_a_worker_killed_midway_costs_nothing",
    ".venv/bin/torchrun --nproc-per-node 4 -m pipeline.stage train_generators dcgan-100-0": "tests/stages/test_distributed.py::test_torchrun_runs_the_stage_and_one_process_writes",
    "dvc push": "tests/e2e/test_teams.py::test_a_second_clone_gets_every_result_without_training",
    "git clone … && cd … && dvc pull": "tests/e2e/test_teams.py::test_a_second_clone_gets_every_result_without_training",
    "dvc exp run -n fewer -S feature_network.steps=20 train_feature_network": "tests/e2e/test_teams.py::test_experiments_of_dvc",
    "dvc exp run --queue -n queued -S feature_network.steps=25 train_feature_network": "tests/e2e/test_teams.py::test_experiments_of_dvc",
    "dvc queue start": "tests/e2e/test_teams.py::test_experiments_of_dvc",
    "dvc plots diff HEAD": "tests/e2e/test_repro.py::test_metrics_and_plots_are_understood_by_dvc",
    "createdb prefect && createdb mlflow": "tests/pipeline/test_postgresql.py::test_two_pipelines_at_once",
    "export PREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://user:password@host/prefect": "tests/pipeline/test_postgresql.py::test_two_pipelines_at_once",
    "export MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2://user:password@host/mlflow": "tests/pipeline/test_postgresql.py::test_two_pipelines_at_once",
}

_TRAINS = "it would train for minutes or hours"
INSTEAD = {
    # command: why not as it stands, and what is run in its place
    "make test": ("it would run itself", "make test TESTS='--collect-only -q tests/pipeline/test_dag.py'"),
    "pip install 'labelmint[postgresql]'": ("nothing is fetched in a test", "python -c 'import psycopg2'"),
    **{
        f"make repro {chosen}": (_TRAINS, f"make --dry-run repro {chosen} && labelmint use {names} --dry-run")
        for chosen, names in {
            "EXPERIMENT=mnist_quick LABELMINT_MIRROR=folder-or-url": "mnist_quick",
            "EXPERIMENT=mnist LABELMINT_MIRROR=folder-or-url": "mnist",
            "EXPERIMENT=mnist": "mnist",
            "EXPERIMENT=acgan_cifar10 QUICK=1": "acgan_cifar10 --quick",
            "DATASET=photos": "default photos",
            "EXPERIMENT=dcgan_cifar10 DATASET=photos": "dcgan_cifar10 photos",
            "EXPERIMENT=photos_long DATASET=photos": "photos_long photos",
            "EXPERIMENT=families_digits": "families_digits",
        }.items()
    },
    "make repro EXPERIMENT=default": (_TRAINS, "make repro EXPERIMENT=default TARGET='--dry prepare'"),
    ".venv/bin/labelmint sample dcgan-100-0 --class frog --count 100 --out frogs": (
        "the copy's generators know digits",
        ".venv/bin/labelmint sample dcgan-100-0 --class 7 --count 100 --out frogs",
    ),
}


def _told() -> list[tuple[Path, str]]:
    """(document, command), in order, each once a document."""
    found = [
        (document, each) for document in DOCUMENTS for block in blocks(document, "console") for each in commands(block)
    ]
    return list(dict.fromkeys(found))


TOLD = _told()


class Copy(Clone):
    """Of the real run, committed, with an origin; a person's home beside it. Each document finds it anew."""

    def __init__(self, real, folder: Path):
        self.folder, self.home, self.document = folder / "project", folder / "home", None
        left_out = shutil.ignore_patterns(".servers", ".tracking", "mlartifacts", "mlflow.db*", "tmp")
        shutil.copytree(real.folder, self.folder, ignore=left_out, symlinks=True)
        self.install()
        (self.folder / "data" / "raw").mkdir(exist_ok=True)
        self.git("init", "-q", "--bare", str(folder / "origin"))
        self.git("add", "-A")
        self.git("commit", "-qm", "Results")
        self.git("remote", "add", "origin", str(folder / "origin"))
        self.git("push", "-qu", "origin", "HEAD")
        self.home.mkdir()
        with zipfile.ZipFile(self.home / "photos.zip", "w") as photos:
            for place, label in enumerate(("bird", "frog", "ship")):
                for number in range(12):
                    photos.writestr(f"{label}/{number}.png", encoded(number + 20 * place))
        self.surroundings = {"HOME": str(self.home), "MLFLOW_TRACKING_URI": real.pages.mlflow, "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"}  # fmt: skip

    def git(self, *arguments: str) -> None:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    def open(self, document: Path) -> None:
        if document == self.document:
            return
        self.document = document
        self.git("checkout", "-q", ".")
        self.git("clean", "-fdq", "experiments")
        (self.folder / ".dvc" / "config.local").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "data" / "raw")
        (self.folder / "data" / "raw").mkdir()
        for name, content in experiments_of(document).items():
            (self.folder / name).write_text(content)


@pytest.fixture(scope="module")
def copy(real, tmp_path_factory) -> Copy:
    return Copy(real, tmp_path_factory.mktemp("documents"))


RUN = [(document, command) for document, command in TOLD if command not in COVERED]


@pytest.mark.parametrize(
    ("document", "command"), RUN, ids=[f"{document.relative_to(ROOT)}: {command}" for document, command in RUN]
)
def test_a_command_does_what_the_document_says(copy, document, command):
    copy.open(document)
    typed = INSTEAD[command][1] if command in INSTEAD else command
    done = copy.run("bash", "-ec", typed, **copy.surroundings)
    assert done.returncode == 0, f"$ {typed}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr


def test_no_command_is_listed_that_no_document_tells():
    told = {command for _, command in TOLD}
    assert len(told) > 40 and not (set(COVERED) | set(INSTEAD)) - told and not set(COVERED) & set(INSTEAD)


@pytest.mark.parametrize("test", sorted(set(COVERED.values())))
def test_what_covers_a_command_exists(test):
    path, name = test.split("::")
    assert f"def {name}(" in (ROOT / path).read_text()


def test_every_result_stands_in_the_index():
    folder = ROOT / "docs" / "results"
    index = (folder / "README.md").read_text()
    assert not [page.name for page in folder.glob("*.md") if page.name != "README.md" and f"({page.name})" not in index]


def test_links_between_documents_lead_somewhere():
    broken = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
            file, _, anchor = target.partition("#")
            path = (document.parent / file) if file else document
            if "://" in target:
                continue
            if not path.exists():
                broken.append(f"{document.name}: {target}")
            elif anchor and path.suffix == ".md":
                titles = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
                if anchor not in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}:
                    broken.append(f"{document.name}: {target}")
    assert not broken
