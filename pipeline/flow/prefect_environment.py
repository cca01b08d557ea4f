"""Environment variables that Prefect reads when it is imported, and addresses of the servers of `make ui`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from labelmint.runtime.atomic_files import save_json
from pipeline.flow import new_database
from pipeline.gpus.cards import ORDER, VISIBLE
from pipeline.probes import answers
from pipeline.tracking.owner import Owner

STATE = ".servers"
"""Folder of the servers' databases and logs, relative to the project's. Git ignores it."""
RUNNER, DASK_ADDRESS = "LABELMINT_RUNNER", "LABELMINT_DASK_ADDRESS"
_ADDRESSES_FILE = "addresses.json"


@dataclass(frozen=True)
class Addresses:
    """URLs of running servers, e.g. http://127.0.0.1:4200."""

    prefect: str
    mlflow: str


def prepare(root: Path, server: bool = True) -> None:
    """Set Prefect's variables: its state is kept in the project, and telemetry is off.

    Variables that the user has set are kept.

    Args:
        root: The project's folder.
        server: Whether to use the server of `make ui` if it runs and $PREFECT_API_URL is not set.
    """
    if "PREFECT_HOME" not in os.environ:
        home = root / STATE / "prefect"
        home.mkdir(parents=True, exist_ok=True)
        new_database.copy_to(home)
        os.environ["PREFECT_HOME"] = str(home)
    for name, value in (
        ("DO_NOT_TRACK", "true"),
        ("PREFECT_SERVER_ANALYTICS_ENABLED", "false"),
        ("PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT", "false"),
        ("PREFECT_LOGGING_TO_API_MAX_LOG_SIZE", "20000"),
    ):
        os.environ.setdefault(name, value)
    if server and "PREFECT_API_URL" not in os.environ and (found := running_servers(root)):
        os.environ["PREFECT_API_URL"] = f"{found.prefect}/api"


def choose_runner(kind: str, dask_address: str) -> None:
    """Set the task runner of flows in this process and in those that it starts.

    This is no parameter of the flow, since everybody who reaches Prefect's API can set parameters: a Dask
    scheduler receives the environment of the stages and can run any code.
    """
    os.environ[RUNNER], os.environ[DASK_ADDRESS] = kind, dask_address


def runner() -> str:
    """The kind of task runner that `choose_runner` has set: threads or dask."""
    return os.environ.get(RUNNER, "threads")


def dask_address() -> str:
    """Address of the Dask scheduler whose workers run the stages, or "" if this machine runs them."""
    return os.environ.get(DASK_ADDRESS, "") if runner() == "dask" else ""


def has_server() -> bool:
    """Whether $PREFECT_API_URL names a server."""
    return bool(os.environ.get("PREFECT_API_URL"))


def running_servers(root: Path) -> Addresses | None:
    """Addresses of the servers of `make ui` in this project, or None if they do not answer.

    The file of a killed `make ui`, or that of another project in a copy of its folder, is not believed:
    another project's servers may answer there.
    """
    try:
        record = json.loads((root / STATE / _ADDRESSES_FILE).read_text(encoding="utf-8"))
        found, owner = Addresses(**record["addresses"]), Owner(**record["owner"])
        if record["root"] != str(root.resolve()) or not owner.is_alive():
            return None
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if answers(f"{found.prefect}/api/health") else None


def record_addresses(root: Path, addresses: Addresses | None) -> None:
    """Write the addresses of this process's servers for `running_servers`; None removes them."""
    path = root / STATE / _ADDRESSES_FILE
    if addresses is None:
        path.unlink(missing_ok=True)
    else:
        owner = asdict(Owner.of_this_process())
        save_json(path, {"root": str(root.resolve()), "owner": owner, "addresses": asdict(addresses)})


def for_stages(root: Path, **more: str) -> dict[str, str]:
    """Environment of a stage's process, in which `python` is this interpreter, with `more` added."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # Stages import the project's own code, whose hashes are in dvc.lock.
    python_path = os.pathsep.join([str(root), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(
        os.pathsep
    )
    own = {"PATH": path, "PYTHONPATH": python_path, "DVC_NO_ANALYTICS": "1", "TQDM_DISABLE": "1"}
    excluded = {"MLFLOW_RUN_ID", *((VISIBLE, ORDER) if dask_address() else ())}  # cards of this machine
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_") and name not in excluded
    }
    return {**inherited, **own, **more}
