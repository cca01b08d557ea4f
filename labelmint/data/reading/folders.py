"""Classes and splits from the names of folders."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from labelmint.data.reading import doubts, split_names
from labelmint.data.reading.folder import Folder
from labelmint.data.reading.reading import (
    Choice,
    Draft,
    Entry,
    Image,
    LeftOut,
    Proposal,
    Reading,
    UnclearError,
)
from labelmint.data.source import TRAIN
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import did_you_mean, shortened


@dataclass(frozen=True)
class _Plan:
    """tops: folders that contain class folders, and their splits. unlabelled: reasons by folder."""

    tops: list[tuple[int | None, Folder]]
    unlabelled: dict[str, str] = field(default_factory=dict)


def read_folders(images: list[Image], where: Path, choice: Choice) -> Draft:
    """Derive class and split of each image from its folders. where: for messages.

    Raises: UnclearError where several readings fit, InputError where none does.
    """
    root, decided = Folder(images), choice.layout is not None
    if choice.split_folders:
        parts = chosen_parts(root, where, choice)
        plan = _plan_of_splits(parts, where, decided)
        if plan.unlabelled:
            raise InputError(f"{where}: no class folders in {shortened(list(plan.unlabelled))} of --split")
    else:
        top = root.unwrapped(lambda folder: _is_wrapper(folder, choice), decided)
        roles = {} if choice.layout == "classes" else split_names.roles(top.folders)
        if choice.layout == "innermost" and len(roles) < len(top.folders):
            roles = {}
        if doubt := None if decided else doubts.of_splits(top, roles):
            raise _unclear(images, where, choice, doubt)
        parts = [(role, top.folders[name]) for name, role in roles.items()]
        plan = _plan_of_splits(parts, where, decided) if parts else _plan_of_classes(top, where, choice)
    if doubt := None if decided else doubts.of_classes([folder for _, folder in plan.tops]):
        raise _unclear(images, where, choice, doubt)
    entries = [entry for split, folder in plan.tops for entry in _entries(folder, split, choice)]
    named = ", ".join(f"{folder.name}/" for _, folder in plan.tops if folder.path)
    return Draft(
        labels=f"one folder per class{f' in {named}' if named else ''}",
        entries=entries,
        left_out=_outside(images, entries, plan.unlabelled),
        class_folders=frozenset(folder.path for _, folder in plan.tops),
    )


def _is_wrapper(folder: Folder, choice: Choice) -> bool:
    """Whether a folder that is alone names neither a class nor a split."""
    return bool(folder.folders) and (
        choice.layout == "classes" or not split_names.says_split(folder.path[-1])
    )


def _plan_of_classes(top: Folder, where: Path, choice: Choice) -> _Plan:
    if choice.layout == "splits":
        raise InputError(
            f"{where}: no folder is named as a split; name them with --split train=FOLDER,test=FOLDER"
        )
    if not top.folders:
        named = shortened([image.name for image in top.loose])
        raise InputError(f"{where}: {named} outside of a class folder; {doubts.ADVICE}")
    return _Plan([(None, top)])


def _plan_of_splits(parts: list[tuple[int, Folder]], where: Path, loose: bool) -> _Plan:
    """parts: splits and their folders. loose: whether images beside wrapper folders are passed over."""
    training = [
        folder.unwrapped(lambda each: bool(each.folders), loose) for split, folder in parts if split == TRAIN
    ]
    if not training:
        named = shortened([f"{folder.name}/" for _, folder in parts])
        raise InputError(f"{where}: {named}, but no training set; name it with --split train=FOLDER")
    classes = {name for folder in training for name in folder.folders}
    if not classes:
        named = shortened([f"{folder.name}/" for folder in training])
        raise InputError(
            f"{where}: no class folders in {named} (a data set for detection?); {doubts.ADVICE}, "
            "or give a table of labels with --labels FILE"
        )
    tops: list[tuple[int | None, Folder]] = [(TRAIN, folder) for folder in training]
    unlabelled = {}
    for split, folder in parts:
        opened = folder.unwrapped(lambda each: each.path[-1] not in classes, loose)
        if split == split_names.UNLABELLED:
            unlabelled[folder.name] = "its name says that it has no labels"
        elif split != TRAIN and not opened.folders:
            unlabelled[folder.name] = "no class folders in it, so no labels"
        elif split != TRAIN:
            tops.append((split, opened))
    return _Plan(tops, unlabelled)


def chosen_parts(root: Folder, where: Path, choice: Choice) -> list[tuple[int, Folder]]:
    """Splits and folders that the user names."""
    found = []
    for split, name in choice.parts:
        folder = root.inside(part for part in name.split("/") if part not in ("", "."))
        if folder is None:
            known = {
                "/".join(image.parts[:depth]) for image in root.images for depth in range(1, len(image.parts))
            }
            raise InputError(
                f"{where}: no images in the folder '{name}' of --split{did_you_mean(name, known)}; "
                f"folders with images are {shortened(sorted(known))}"
            )
        found.append((split, folder))
    paths = sorted(folder.path for _, folder in found)
    for outer, inner in zip(paths, paths[1:]):
        if inner[: len(outer)] == outer:
            raise InputError(
                f"{where}: '{'/'.join(inner)}' of --split is within '{'/'.join(outer)}'; "
                "name separate folders"
            )
    return found


def _entries(top: Folder, split: int | None, choice: Choice) -> list[Entry]:
    """Images in class folders: the outermost folder below `top` names the class, or the innermost."""
    depth = top.depth
    labelled = [image for image in top.images if len(image.parts) > depth + 1]
    if choice.layout == "innermost":
        return [
            Entry(split, image.parts[-2], "/".join(image.parts[depth:]), image.index) for image in labelled
        ]
    return [
        Entry(split, image.parts[depth], "/".join(image.parts[depth + 1 :]), image.index)
        for image in labelled
    ]


def _outside(images: list[Image], entries: list[Entry], reasons: dict[str, str]) -> list[LeftOut]:
    """Images that are no entries, by folder. reasons: why, by the folder that they are below."""
    taken = {entry.index for entry in entries}
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for image in images:
        if image.index not in taken:
            folder = next((name for name in reasons if image.name.startswith(f"{name}/")), None)
            reason = reasons[folder] if folder else "outside of a class folder"
            found[folder or "/".join(image.parts[:-1]), reason].append(image.index)
    return [
        LeftOut("image", f"in {name}/" if name else "beside the folders", reason, rows)
        for (name, reason), rows in sorted(found.items())
    ]


def _unclear(images: list[Image], where: Path, choice: Choice, doubt: str) -> InputError:
    """An UnclearError with the choices that give different readings; an InputError if none gives one."""
    fitting: dict[frozenset[tuple[int | None, str, int]], Proposal] = {}
    for layout in ("splits", "classes", "innermost"):
        decided = replace(choice, layout=layout)
        try:
            reading = Reading.of(read_folders(images, where, decided), where)
        except InputError:
            continue
        key = frozenset((entry.split, entry.label, entry.index) for entry in reading.entries)
        fitting.setdefault(key, Proposal(decided, reading.summary))
    message = f"{where}: {doubt}"
    return UnclearError(message, list(fitting.values())) if fitting else InputError(message)
