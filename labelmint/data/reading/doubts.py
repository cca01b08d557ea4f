"""Reasons to ask the user how the folders of a tree are meant, as the start of a message."""

from __future__ import annotations

from labelmint.data.reading import split_names
from labelmint.data.reading.folder import Folder
from labelmint.data.source import SPLITS
from labelmint.runtime.words import shortened

ADVICE = "put each image into the folder of its class"


def of_splits(top: Folder, roles: dict[str, int]) -> str | None:
    """Doubt about which folders of `top` are splits. roles: of those whose names say one."""
    named = shortened(sorted(f"{name}/" for name in roles))
    others = sorted(f"{name}/" for name in top.folders if name not in roles)
    if roles and others:
        if repeated := top.repeated():
            return _repeats(repeated)
        return f"{named} named as a split, beside {shortened(others)}"
    if roles and top.loose:
        return f"{shortened([image.name for image in top.loose])} beside the splits {named}"
    for split in sorted(set(roles.values()) - {split_names.UNLABELLED}):
        same = sorted(f"{name}/" for name, role in roles.items() if role == split)
        if len(same) > 1:
            return f"{' and '.join(same[:2])} are both named as the {SPLITS[split]} set"
    return None


def of_classes(tops: list[Folder]) -> str | None:
    """Doubt about what the classes are. tops: folders that contain class folders."""
    if repeated := next(filter(None, (top.repeated() for top in tops)), None):
        return _repeats(repeated)
    if loose := [image.name for top in tops for image in top.loose]:
        return f"{shortened(loose)} outside of a class folder; {ADVICE}"
    if odd := sorted({name for top in tops for name in split_names.roles(top.folders)}):
        return f"class {shortened(odd)} is named as a split"
    below = {image.parts[top.depth + 1 : -1] for top in tops for image in top.images}
    if odd := sorted(split_names.roles({path[0] for path in below if path})):
        return (
            f"folders named as a split ({shortened(odd)}) are below class folders; put them above the classes"
        )
    if len(below) > 1:  # a folder of the same name in every class, such as images/, is no class
        top, deep = next(
            (top, image) for top in tops for image in top.images if len(image.parts) > top.depth + 2
        )
        outer, inner = deep.parts[top.depth], deep.parts[-2]
        return f"folders below class folders: is {deep.name} of class {outer} or {inner}?"
    return None


def _repeats(folder: str) -> str:
    return f"{folder} has the same files as what is beside it (if these are copies, remove one of them)"
