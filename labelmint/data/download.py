"""Published files: found in data/raw or in a mirror, or downloaded, resuming an interrupted download."""

from __future__ import annotations

import base64
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from labelmint.runtime.errors import InputError, Unreachable
from labelmint.runtime.progress import say

MIRROR = "LABELMINT_MIRROR"
_TIMEOUT_SECONDS = 30
_CHUNK = 1 << 20
_ATTEMPTS = 3


def locate(names: Sequence[str], raw: Path, addresses: Sequence[str]) -> Path:
    """Find or download a file.

    names: relative paths of the file, the preferred one first ("MNIST/raw/x.gz", "x.gz", "x").
    raw: folder of raw data, searched first; a download is stored there under the preferred name.
    addresses: URLs tried last, after $LABELMINT_MIRROR (a folder or a base URL).
    Returns: path of the first file found.
    Raises: InputError that names everything tried; Unreachable if an address or a server did not answer.
    """
    mirror = os.environ.get(MIRROR, "")
    is_address = "://" in mirror
    folders = [raw] + ([Path(mirror)] if mirror and not is_address else [])
    for folder in folders:
        for name in names:
            if (path := folder / name).is_file():
                return path
    urls = ([f"{mirror.rstrip('/')}/{name}" for name in names] if is_address else []) + list(addresses)
    failures, error_type = [], InputError
    for url in urls:
        try:
            return download(url, raw / names[0])
        except OSError as error:
            if not isinstance(error, urllib.error.HTTPError) or error.code >= 500:
                error_type = Unreachable
            reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
            failures.append(f"{public(url)} ({reason})")
    tried = "; ".join([str(folder / names[0]) for folder in folders] + failures)
    raise error_type(
        f"{Path(names[0]).name} not found: tried {tried}. "
        f"Put the file into {raw}, or set {MIRROR} to a folder or URL that has it"
    )


def public(url: str) -> str:
    """URL for messages and records, without user, password and query, which may contain a signature.

    A URL without a host, such as sqlite:////path, names a file and is returned unchanged.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an invalid address"
    if not parts.netloc:
        return url
    host = parts.netloc.rpartition("@")[2]
    shown = f"***@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, shown, parts.path, "***" if parts.query else "", ""))


def anonymous(url: str) -> str:
    """URL without user and password. urllib would resolve them as a part of the host's name."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], *parts[2:]))


def _credentials(url: str) -> dict[str, str]:
    """Header with the user and password of a URL; empty where it has none."""
    user, found, _ = urlsplit(url).netloc.rpartition("@")
    return {"Authorization": f"Basic {base64.b64encode(unquote(user).encode()).decode()}"} if found else {}


def download(url: str, target: Path) -> Path:
    """Download `url` to `target`, resuming an interrupted download.

    The bytes are written to `target`.part, which is renamed when the length is right.
    Raises: OSError; InputError for a URL that is not HTTP, such as a file of this machine.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(
            f"{url}: only http:// and https:// addresses are downloaded; give a folder by its path"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for _ in range(_ATTEMPTS):
        present = part.stat().st_size if part.exists() else 0
        headers = _credentials(url) | ({"Range": f"bytes={present}-"} if present else {})
        request = urllib.request.Request(anonymous(url), headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # nosec B310
                resumed = present > 0 and response.status == 206
                length = response.headers.get("Content-Length")
                total = int(length) + (present if resumed else 0) if length else None
                say(f"downloading {public(url)}" + (f" from byte {present}" if resumed else ""))
                with part.open("ab" if resumed else "wb") as file:
                    shutil.copyfileobj(response, file, _CHUNK)
        except urllib.error.HTTPError as error:
            if error.code == 416 and present:  # the part is as long as the file or longer: restart
                part.unlink()
                continue
            raise
        if total is None or part.stat().st_size == total:
            part.replace(target)
            return target
    raise OSError(
        f"the connection broke {_ATTEMPTS} times; run again to resume from byte {part.stat().st_size}"
    )
