"""Vega's script as a file, with which the pages of `dvc plots` draw their charts offline.

`python -m pipeline.dvc.vega FILE`, called by the Makefile. `.dvc/plots.html` loads the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from labelmint.runtime.atomic_files import save_bytes

_VEGA_LITE = "5.20"
"""The version for which the templates in `.dvc/plots` are written."""


def write(path: Path) -> None:
    """Write the script, which defines `vegaEmbed`. It also draws DVC's own templates."""
    import vl_convert

    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_VEGA_LITE)
    save_bytes(path, script.encode())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
