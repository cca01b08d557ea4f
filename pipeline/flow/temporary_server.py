"""Prefect's server for one run that finds no other.

`python -m pipeline.flow.temporary_server HOST PORT` serves until it is stopped or its parent process ends.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
from pathlib import Path

from labelmint.runtime.parent_death import end_with_parent
from pipeline.flow.server_process import LOOPBACK, Server, ServerProcess
from pipeline.flow.servers import cross_site_protection


class TemporaryServer:
    """A Prefect server without UI, from its creation until this process ends, also if it is killed.

    Prefect could start one itself, but only after it has imported the server's code in this process too. This
    server starts while this process imports what it needs. Create it before Prefect is imported: it sets
    $PREFECT_API_URL.
    """

    def __init__(self, root: Path):
        with socket.socket() as listener:
            listener.bind((LOOPBACK, 0))
            port = listener.getsockname()[1]
        command = [sys.executable, "-m", "pipeline.flow.temporary_server", LOOPBACK, str(port)]
        environment = cross_site_protection(LOOPBACK, port)
        self._process = ServerProcess(
            root, Server("Prefect", LOOPBACK, port, "", "/api/health", command, environment)
        )
        # Registered first and so called last: Prefect sends its last records when the interpreter ends.
        atexit.register(self._process.stop)
        os.environ["PREFECT_API_URL"] = f"{self._process.server.address}/api"
        os.environ["PREFECT_UI_URL"] = ""  # there is no UI, whose address Prefect would print

    def wait(self) -> None:
        """Wait until it serves. Raises: RuntimeError if it does not."""
        self._process.wait_until_it_serves()


def main(host: str, port: str) -> None:
    """Serve Prefect's API."""
    import uvicorn
    from prefect.server.api.server import create_app

    uvicorn.run(
        create_app(ephemeral=True, final=True), host=host, port=int(port), log_level="error", lifespan="on"
    )


if __name__ == "__main__":
    end_with_parent()
    main(*sys.argv[1:])
