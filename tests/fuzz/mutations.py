"""Good input, spoiled at random."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "..", "/etc/passwd", "$(touch sprung)", "<script>", "\x00", "1e999", "dcgan", "none", "auto"]),
    st.lists(st.integers(-5, 500), max_size=4),
    st.dictionaries(st.text(max_size=8), st.integers(), max_size=3),
)


@st.composite
def spoiled_bytes(draw: Any, content: bytes) -> bytes:
    """Cut, flipped, repeated, swollen: one to four changes."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        if not made:
            break
        at = draw(st.integers(0, len(made) - 1))
        change = draw(st.sampled_from(["cut", "flip", "drop", "insert", "copy", "large"]))
        if change == "cut":
            del made[at:]
        elif change == "flip":
            made[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "drop":
            del made[at : at + draw(st.integers(1, 64))]
        elif change == "insert":
            made[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif change == "copy":
            made[at:at] = made[: draw(st.integers(1, 512))]
        else:
            made[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(made)


@st.composite
def spoiled_tree(draw: Any, content: Any) -> Any:
    """Nested dicts and lists with one to three values replaced, removed, or added."""
    made = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        place = made
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], (dict, list)) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            change = draw(st.sampled_from(["replace", "remove", "add"]))
            if change == "remove":
                del place[key]
            elif change == "add" and isinstance(place, dict):
                place[draw(st.text(max_size=12))] = draw(JUNK)
            else:
                place[key] = draw(JUNK)
            break
    return made
