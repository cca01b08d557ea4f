"""What Prefect reads from the environment, set before it is imported, and where the servers of `make ui` are."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

STATE = ".servers"  # git ignores it
RUNNER, DASK_ADDRESS = "LABELMINT_RUNNER", "LABELMINT_DASK_ADDRESS"
_ADDRESSES = "addresses.json"


@dataclass(frozen=True)
class Addresses:
    """Of running servers, such as http://127.0.0.1:4200."""

    prefect: str
    mlflow: str


def prepare(root: Path, server: bool = True) -> None:
    """Prefect keeps its state in the project and phones nobody. With `server`, that of `make ui` is used where it runs.

    A person's own settings come first, $PREFECT_API_URL above all.
    """
    if "PREFECT_HOME" not in os.environ:
        home = root / STATE / "prefect"
        home.mkdir(parents=True, exist_ok=True)
        os.environ["PREFECT_HOME"] = str(home)
    for name, value in (
        ("DO_NOT_TRACK", "true"),
        ("PREFECT_SERVER_ANALYTICS_ENABLED", "false"),
        ("PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT", "false"),
        ("PREFECT_LOGGING_TO_API_MAX_LOG_SIZE", "20000"),
    ):
        os.environ.setdefault(name, value)
    if server and "PREFECT_API_URL" not in os.environ and (found := running(root)):
        os.environ["PREFECT_API_URL"] = f"{found.prefect}/api"


def choose_runner(kind: str, dask_address: str) -> None:
    """For flows of this process and of those it starts. No parameter of the flow, which whoever reaches Prefect's API may set: a
    Dask scheduler gets the stages' environment, and may send any code."""
    os.environ[RUNNER], os.environ[DASK_ADDRESS] = kind, dask_address


def has_server() -> bool:
    """Whether there is a Prefect server to tell runs to."""
    return bool(os.environ.get("PREFECT_API_URL"))


def running(root: Path) -> Addresses | None:
    """The servers of `make ui`, where they answer."""
    try:
        found = Addresses(**json.loads((root / STATE / _ADDRESSES).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if answers(f"{found.prefect}/api/health") else None


def remember(root: Path, addresses: Addresses | None) -> None:
    path = root / STATE / _ADDRESSES
    path.parent.mkdir(exist_ok=True)
    if addresses is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(json.dumps(asdict(addresses)))


def answers(url: str, seconds: float = 2.0) -> bool:
    if not url.startswith(("http://", "https://")):
        return False  # urlopen would read files, too
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:  # nosec B310
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def for_stages(root: Path, **more: str) -> dict[str, str]:
    """The environment of stages: `python` is this one, wherever the flow was started from."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # Stages import what DVC hashes: the project's own code.
    python_path = os.pathsep.join([str(root), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
    own = {"PATH": path, "PYTHONPATH": python_path, "DVC_NO_ANALYTICS": "1", "TQDM_DISABLE": "1"}
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_") and name != "MLFLOW_RUN_ID"
    }
    return {**kept, **own, **more}
