"""How the tests run each documented command: as written, in a cheaper form, or by another test."""

from __future__ import annotations

from pathlib import Path

from tests.documents import DOCUMENTS, blocks, commands

_SCHEDULE = "tests/system/flow/test_serve.py::test_due_run_starts_and_completes_its_stages"
_FLOW = "tests/system/flow/test_real_run.py::test_prefect_has_a_task_for_each_stage_and_the_results"
_DASK = "tests/system/flow/test_dask.py::test_stopped_flow_stops_its_stages_on_a_worker_that_continues"
_CLUSTER = "tests/system/training/test_cluster.py::test_a_killed_worker_does_not_change_the_weights"
_TORCHRUN = (
    "tests/system/training/test_distributed.py::test_the_stage_runs_under_torchrun_and_one_process_writes"
)
_EXPAND = "tests/integration/api/test_expand.py::test_the_command_writes_all_and_its_classifier_labels_images"
_PREDICT = "tests/integration/pipeline/cli/test_predict.py::test_classifiers_of_the_project"
_TEAM = "tests/system/test_teams.py::test_second_clone_gets_every_result_without_training"
_EXPERIMENTS = "tests/system/test_teams.py::test_experiments_of_dvc"
_POOL = "tests/system/flow/test_work_pool.py::test_a_worker_runs_the_documented_deployment"
_POSTGRESQL = "tests/system/flow/test_postgresql.py::test_two_pipelines_at_once"

_OWN_IMAGES = "tests/system/docs/test_own_images.py::test_readme_leads_to_a_report_and_images"
_TENSORBOARD = (
    "tests/integration/pipeline/tracking/test_tensorboard.py"
    "::test_a_stage_is_a_run_with_its_numbers_figures_and_settings"
)
_EXTENDING = "tests/system/docs/test_extending.py"
_DATABASE = "postgresql+asyncpg://user:password@host/prefect"

COVERED = {
    # command: the test that runs it, or its equivalent
    "make repro EXPERIMENT=lsgan": f"{_EXTENDING}::test_family_is_one_file_and_its_settings",
    "make repro EXPERIMENT=optdigits": f"{_EXTENDING}::test_data_set_is_read_with_its_own_split",
    "make repro DATASET=photos QUICK=1": _OWN_IMAGES,
    "make ui": "tests/system/flow/test_ui.py::test_addresses_are_printed",
    "make ui &": "tests/system/flow/test_ui.py::test_addresses_are_printed",
    'labelmint serve --cron "0 2 * * *" --timezone Europe/Vienna --experiment mnist': _SCHEDULE,
    '.venv/bin/labelmint serve --cron "0 2 * * *" --timezone Europe/Vienna': _SCHEDULE,
    ".venv/bin/labelmint run --workers 2": _FLOW,
    ".venv/bin/labelmint run --dry-run": "tests/system/flow/test_flow.py::test_dry_run_changes_nothing",
    "labelmint run --dry-run": "tests/system/flow/test_flow.py::test_dry_run_changes_nothing",
    ".venv/bin/labelmint doctor": "tests/system/test_doctor.py::test_problem_decides_the_exit_code",
    ".venv/bin/labelmint run --runner dask --dask-address tcp://127.0.0.1:8786 --workers 8": _DASK,
    ".venv/bin/dask scheduler --host 127.0.0.1 --port 8786": _CLUSTER,
    ".venv/bin/dask worker tcp://127.0.0.1:8786 --nthreads 1": _CLUSTER,
    ".venv/bin/torchrun --nproc-per-node 4 -m pipeline.stage train_generators dcgan-100-0": _TORCHRUN,
    ".venv/bin/labelmint expand ~/photos.zip --per-class 500 --out expanded --minutes 10": _EXPAND,
    ".venv/bin/labelmint predict ~/photos.zip --out labels.csv": _PREDICT,
    ".venv/bin/tensorboard --logdir tensorboard": _TENSORBOARD,
    ".venv/bin/prefect work-pool create --type process labelmint": _POOL,
    ".venv/bin/prefect --no-prompt deploy --prefect-file docs/cluster/prefect.yaml --name on-pool": _POOL,
    "LABELMINT_FOLDER=$PWD .venv/bin/prefect worker start --pool labelmint": _POOL,
    ".venv/bin/prefect deployment run labelmint/on-pool --param workers=2": _POOL,
    "dvc push": _TEAM,
    "git clone … && cd … && dvc pull": _TEAM,
    "dvc exp run -n fewer -S feature_network.steps=20 train_feature_network": _EXPERIMENTS,
    "dvc exp run --queue -n queued -S feature_network.steps=25 train_feature_network": _EXPERIMENTS,
    "dvc queue start": _EXPERIMENTS,
    "dvc plots diff HEAD": "tests/system/test_repro.py::test_dvc_understands_metrics_and_plots",
    "createdb prefect && createdb mlflow": _POSTGRESQL,
    f"export PREFECT_SERVER_DATABASE_CONNECTION_URL={_DATABASE}": _POSTGRESQL,
    "export MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2://user:password@host/mlflow": _POSTGRESQL,
}

_TRAINS = "it would train for minutes or hours"
_ITSELF = "it would run itself"
INSTEAD = {
    # command: why not as written, and what runs instead
    "make test-all": (_ITSELF, "make --dry-run test-all"),
    "make coverage": (_ITSELF, "make --dry-run coverage"),
    "make lint": ("it takes minutes", "make --dry-run lint"),
    "make sbom": ("it changes the environment of the tests", "make --dry-run sbom"),
    "make docs": ("it changes the environment of the tests", "make --dry-run docs"),
    ".venv/bin/pre-commit install": (
        "its hooks would check commits of other commands",
        ".venv/bin/pre-commit install && .venv/bin/pre-commit uninstall",
    ),
    "make test": (
        _ITSELF,
        "make -o .venv/.test test TESTS='--collect-only -q tests/unit/test_dvc_yaml.py'",
    ),
    ".venv/bin/uv pip install psycopg2-binary": (
        "nothing is downloaded in a test",
        "python -c 'import psycopg2'",
    ),
    ".venv/bin/uv pip install tensorboard": (
        "nothing is downloaded in a test",
        "python -c 'import tensorboard'",
    ),
    'make repro SET="tracking.tensorboard=true"': (
        _TRAINS,
        """make repro SET="tracking.tensorboard=true" TARGET='--dry prepare'""",
    ),
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
    'make repro SET="training.epochs=9 percents=[20, 100]"': (
        _TRAINS,
        """make repro SET="training.epochs=9 percents=[20, 100]" TARGET='--dry prepare'""",
    ),
    "make repro EXPERIMENT=default": (_TRAINS, "make repro EXPERIMENT=default TARGET='--dry prepare'"),
    ".venv/bin/labelmint sample dcgan-100-0 --class frog --count 100 --out frogs": (
        "the copy's generators know digits",
        ".venv/bin/labelmint sample dcgan-100-0 --class 7 --count 100 --out frogs",
    ),
}


def _documented() -> list[tuple[Path, str]]:
    """(document, command) in order, each once per document."""
    found = [
        (document, each)
        for document in DOCUMENTS
        for block in blocks(document, "console")
        for each in commands(block)
    ]
    return list(dict.fromkeys(found))


DOCUMENTED = _documented()
