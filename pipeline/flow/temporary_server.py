"""Prefect's server for one run. `python -m pipeline.flow.temporary_server HOST PORT` serves until it is stopped or what started it is gone."""

from __future__ import annotations

import sys

from labelmint.runtime.parent_death import end_with_parent


def main(host: str, port: str) -> None:
    import uvicorn
    from prefect.server.api.server import create_app

    uvicorn.run(create_app(ephemeral=True, final=True), host=host, port=int(port), log_level="error", lifespan="on")


if __name__ == "__main__":
    end_with_parent()
    main(*sys.argv[1:])
