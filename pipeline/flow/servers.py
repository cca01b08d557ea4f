"""The command `labelmint ui`: Prefect's and MLflow's servers, with their state in the project."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from labelmint.runtime.errors import InputError
from pipeline.flow import prefect_environment
from pipeline.flow.prefect_environment import STATE, Addresses
from pipeline.flow.server_process import ALL_INTERFACES, LOOPBACK, Server, ServerProcess
from pipeline.probes import is_loopback
from pipeline.tracking.address import experiment_id, own_store, page


def serve(
    root: Path, prefect_port: int, mlflow_port: int, say: Callable[[str], None], host: str = LOOPBACK
) -> None:
    """Serve until Ctrl-C or SIGTERM. If one server ends, it is started again while the other continues.

    Raises: InputError if a port is taken; RuntimeError if a server does not start or if both were given up.
    """
    servers = [_prefect(root, host, prefect_port), _mlflow(root, host, mlflow_port)]
    if found := prefect_environment.running_servers(root):
        raise InputError(f"already running: Prefect at {found.prefect}, MLflow at {found.mlflow}")
    for server in servers:
        _require_free_port(server)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        processes = [stack.enter_context(ServerProcess(root, server)) for server in servers]
        for process in processes:
            process.wait_until_it_serves()
        stack.callback(prefect_environment.record_addresses, root, None)
        prefect_environment.record_addresses(root, Addresses(*(server.address for server in servers)))
        prefect, mlflow = servers
        say(f"{prefect.name:8} {prefect.address}")
        say(f"{mlflow.name:8} {page(mlflow.address, experiment_id(root, mlflow.address))}")
        if not is_loopback(host):
            say(exposure_warning(host, prefect_port, mlflow_port))
        say(f"state and logs: {root / STATE} and {root / 'mlflow.db'}; Ctrl-C stops both")
        while True:
            time.sleep(0.5)
            for process in processes:
                process.restart_if_ended(say)
            if all(process.given_up for process in processes):
                raise RuntimeError("both servers have failed repeatedly; nothing is served")
    say("stopped")


def exposure_warning(host: str, prefect_port: int, mlflow_port: int) -> str:
    """Warning for servers that other machines can reach, and what to do about it."""
    ports = " ".join(f"-L {port}:{LOOPBACK}:{port}" for port in (prefect_port, mlflow_port))
    return (
        f"warning: listening on {host}: everybody who can reach this machine can start runs, and read and "
        "delete results. Neither server authenticates its users. Better: omit --host and connect by "
        f"`ssh {ports} THIS_MACHINE`, or use a proxy with TLS and passwords (docs/operations.md, "
        "SECURITY.md). For Prefect alone: set PREFECT_SERVER_API_AUTH_STRING=user:password here and "
        "PREFECT_API_AUTH_STRING=user:password where runs start"
    )


def _prefect(root: Path, host: str, port: int) -> Server:
    prefect_environment.prepare(root, server=False)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    server = Server("Prefect", host, port, "--prefect-port", "/api/health", command, {})
    # The user's PREFECT_API_URL is meant for runs; the server's own pages must use this server.
    urls = {
        "PREFECT_API_URL": f"{server.address}/api",
        "PREFECT_SERVER_UI_API_URL": f"{server.address}/api" if is_loopback(host) else "/api",
    }
    return replace(server, environment=urls | cross_site_protection(host, port))


def cross_site_protection(host: str, port: int) -> dict[str, str]:
    """Variables that make Prefect's server refuse scripts and forms of other web pages.

    By default it answers the scripts of any page that is open in a browser on this machine.
    """
    origins = ",".join(f"http://{name}:{port}" for name in _host_names(host))
    return _unless_set(
        PREFECT_SERVER_CORS_ALLOWED_ORIGINS=origins, PREFECT_SERVER_CSRF_PROTECTION_ENABLED="true"
    )


def _mlflow(root: Path, host: str, port: int) -> Server:
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--artifacts-destination", str((root / "mlartifacts").resolve())]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    environment = _unless_set(
        # Not an option, since other users can read command lines and a database's address may hold a
        # password.
        MLFLOW_BACKEND_STORE_URI=f"sqlite:///{own_store(root)}",
        MLFLOW_DISABLE_TELEMETRY="true",
        DO_NOT_TRACK="true",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        # The default allows 10.* and 192.168.*, which also match host names such as 10.example.org.
        MLFLOW_SERVER_ALLOWED_HOSTS=",".join(
            pattern for name in _host_names(host) for pattern in (name, f"{name}:*")
        ),
    )
    return Server("MLflow", host, port, "--mlflow-port", "/health", command, environment)


def _host_names(host: str) -> list[str]:
    """Names by which browsers may call a server that listens on `host`."""
    names = ["127.0.0.1", "localhost"]
    if host in ALL_INTERFACES:
        import psutil

        addresses = [address.address for card in psutil.net_if_addrs().values() for address in card]
        names += [
            socket.gethostname(),
            socket.getfqdn(),
            *(each for each in addresses if each.count(".") == 3),
        ]
    elif not is_loopback(host):
        names += [host]
    return list(dict.fromkeys(names))


def _unless_set(**values: str) -> dict[str, str]:
    """The variables, with the user's own values where they are set."""
    return {name: os.environ.get(name) or value for name, value in values.items()}


def _require_free_port(server: Server) -> None:
    """Raises: InputError if the server cannot listen on its host and port."""
    option = server.port_option
    with socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((server.host, server.port))
        except socket.gaierror as error:
            raise InputError(
                f"--host {server.host}: no address of this machine ({error.strerror})"
            ) from error
        except (OverflowError, UnicodeError) as error:
            raise InputError(
                f"{option} {server.port} or --host {server.host!r} is invalid ({error})"
            ) from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise InputError(f"--host {server.host}: no address of this machine") from error
            raise InputError(
                f"port {server.port} for {server.name} is taken ({error.strerror}); "
                f"stop the program that uses it, or choose another port with {option}"
            ) from error


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
