"""Hypothesis strategies that corrupt good input."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", "..", "/etc/passwd", "$(touch sprung)", "<script>", "\x00", "1e999", "dcgan", "none", "auto"]
    ),
    st.lists(st.integers(-5, 500), max_size=4),
    st.dictionaries(st.text(max_size=8), st.integers(), max_size=3),
)


@st.composite
def corrupt_bytes(draw: Any, content: bytes) -> bytes:
    """Bytes with one to four changes: truncated, flipped, removed, inserted, repeated, or large numbers."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        if not made:
            break
        at = draw(st.integers(0, len(made) - 1))
        change = draw(st.sampled_from(["truncate", "flip", "remove", "insert", "repeat", "large"]))
        if change == "truncate":
            del made[at:]
        elif change == "flip":
            made[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "remove":
            del made[at : at + draw(st.integers(1, 64))]
        elif change == "insert":
            made[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif change == "repeat":
            made[at:at] = made[: draw(st.integers(1, 512))]
        else:
            made[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(made)


@st.composite
def corrupt_tree(draw: Any, content: Any) -> Any:
    """Nested dicts and lists with one to three values replaced, removed, or added."""
    made = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        node = made
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(node[key], (dict, list)) and node[key] and draw(st.booleans()):
                node = node[key]
                continue
            change = draw(st.sampled_from(["replace", "remove", "add"]))
            if change == "remove":
                del node[key]
            elif change == "add" and isinstance(node, dict):
                node[draw(st.text(max_size=12))] = draw(JUNK)
            else:
                node[key] = draw(JUNK)
            break
    return made


@st.composite
def corrupt_file(draw: Any, path: Path) -> bytes:
    """Content of a file with changed bytes, or of a JSON file with changed values."""
    content = path.read_bytes()
    if path.suffix != ".json" or draw(st.booleans()):
        return bytes(draw(corrupt_bytes(content)))
    return json.dumps(draw(corrupt_tree(json.loads(content)))).encode()
