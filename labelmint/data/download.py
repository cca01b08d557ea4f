"""Find a published file: in data/raw, in a mirror, or at its published address with resume."""

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
    """Path of the first file found among `names`.

    names: relative paths under which the file may lie, the preferred first ("MNIST/raw/x.gz", "x.gz", "x").
    raw: the folder for raw data, looked in first; a download is put there under the preferred name.
    addresses: full URLs tried last, after $LABELMINT_MIRROR (a folder or a base URL).
    Raises: InputError, naming every place that was tried; Unreachable where an address gave no answer or a server failed.
    """
    mirror = os.environ.get(MIRROR, "")
    is_address = "://" in mirror
    folders = [raw] + ([Path(mirror)] if mirror and not is_address else [])
    for folder in folders:
        for name in names:
            if (path := folder / name).is_file():
                return path
    urls = ([f"{mirror.rstrip('/')}/{name}" for name in names] if is_address else []) + list(addresses)
    failures, error_kind = [], InputError
    for url in urls:
        try:
            return download(url, raw / names[0])
        except OSError as error:
            if not isinstance(error, urllib.error.HTTPError) or error.code >= 500:
                error_kind = Unreachable
            reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
            failures.append(f"{public(url)} ({reason})")
    tried = "; ".join([str(folder / names[0]) for folder in folders] + failures)
    raise error_kind(
        f"{Path(names[0]).name} not found: tried {tried}. Put the file into {raw}, or set {MIRROR} to a folder or URL that has it"
    )


def public(url: str) -> str:
    """The address without a name and password, and without what follows a `?`, which may sign a request: for messages and records.

    One that names no host, such as sqlite:////path, is a file's, and stays whole.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    if not parts.netloc:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(
        (parts.scheme, f"***@{host}" if "@" in parts.netloc else host, parts.path, "***" if parts.query else "", "")
    )


def anonymous(url: str) -> str:
    """The address without a name and password. urllib would take them for a part of the host, and ask the network for its name."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], *parts[2:]))


def _credentials(url: str) -> dict[str, str]:
    """The header that brings the name and password in an address to its server."""
    user, found, _ = urlsplit(url).netloc.rpartition("@")
    return {"Authorization": f"Basic {base64.b64encode(unquote(user).encode()).decode()}"} if found else {}


def download(url: str, target: Path) -> Path:
    """Fetch `url` into `target`, going on where an earlier attempt was cut.

    The bytes gather in `target`.part, and the name appears only when the length is right. Raises: OSError;
    InputError for what is not HTTP, such as a file of this machine.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url}: only http:// and https:// addresses are fetched; for a folder give its path")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for _ in range(_ATTEMPTS):
        have = part.stat().st_size if part.exists() else 0
        headers = _credentials(url) | ({"Range": f"bytes={have}-"} if have else {})
        request = urllib.request.Request(anonymous(url), headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # nosec B310
                resumed = have > 0 and response.status == 206
                length = response.headers.get("Content-Length")
                total = int(length) + (have if resumed else 0) if length else None
                say(f"fetching {public(url)}" + (f" from byte {have}" if resumed else ""))
                with part.open("ab" if resumed else "wb") as file:
                    shutil.copyfileobj(response, file, _CHUNK)
        except urllib.error.HTTPError as error:
            if error.code == 416 and have:  # the part is as long as the file, or longer: start over
                part.unlink()
                continue
            raise
        if total is None or part.stat().st_size == total:
            part.replace(target)
            return target
    raise OSError(f"the connection broke {_ATTEMPTS} times; run again to go on from byte {part.stat().st_size}")
