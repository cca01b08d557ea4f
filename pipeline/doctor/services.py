"""Checks of servers, ports and the Dask cluster. Each yields its findings for a project's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from labelmint.data.download import anonymous, public
from pipeline.doctor.finding import Finding, note, ok, problem
from pipeline.doctor.project import loaded_settings
from pipeline.probes import answers, listens

_PORTS = {4200: ("Prefect", "/api/health"), 5000: ("MLflow", "/health")}


def servers(root: Path) -> Iterator[Finding]:
    """Whether the servers answer that environment variables name."""
    for variable in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        address = os.environ.get(variable)
        if not address:
            continue
        shown = public(address)
        if urlsplit(address).scheme not in ("http", "https"):
            yield ok(variable, shown)
        elif answers(anonymous(address).rstrip("/") + "/health"):
            yield ok(variable, f"{shown} answers")
        else:
            says = f"{shown} does not answer; runs continue and keep their records"
            yield note(variable, says, f"start it, or unset {variable}; later: labelmint sync")


def ports(root: Path) -> Iterator[Finding]:
    """Whether the ports of `make ui` are free or used by its servers."""
    for port, (name, path) in _PORTS.items():
        if not listens("127.0.0.1", port):
            yield ok(f"port {port}", f"free for {name} (make ui)")
        elif answers(f"http://127.0.0.1:{port}{path}"):
            yield ok(f"port {port}", f"{name} answers")
        else:
            fix = f"stop it before make ui, or serve {name} on another port"
            yield note(f"port {port}", f"a program that is not {name} listens", fix)


def cluster(root: Path) -> Iterator[Finding]:
    """Whether the Dask scheduler of compute.cluster answers."""
    params = loaded_settings(root)
    address = params.compute.cluster if params else None
    if address is None:
        return
    parts = urlsplit(address)
    if parts.hostname and parts.port and listens(parts.hostname, parts.port):
        yield ok("cluster", f"{address} answers")
    else:
        fix = "start dask scheduler there, or set compute.cluster: null"
        yield problem("cluster", f"compute.cluster: {address} does not answer", fix)
