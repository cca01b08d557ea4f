"""PNG files of pictures that name what they show."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DIGEST = "Description"
"""Text of the PNG with the digest of what it shows: its bytes depend on matplotlib's version."""


def shows(path: Path, content: Any) -> bool:
    """Whether the picture was made from this content, which JSON can hold."""
    from PIL import Image

    if not path.exists():
        return False
    with Image.open(path) as image:
        return bool(image.info.get(_DIGEST) == _digest(content))


def of(figure: Figure, content: Any) -> bytes:
    """A PNG of the figure, which shows this content."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={_DIGEST: _digest(content)})
    return file.getvalue()


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
