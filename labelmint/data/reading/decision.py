"""The one reading of a tree: from what was packed, from a table of labels, or from folders."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from labelmint.data.reading.folders import read_folders
from labelmint.data.reading.kinds import NO_IMAGES, Files, is_hidden, sort_files
from labelmint.data.reading.labelled import read_labelled
from labelmint.data.reading.packed import read_packed
from labelmint.data.reading.reading import Choice, Draft, Proposal, Reading, UnclearError
from labelmint.data.reading.tables import find_tables, read_table
from labelmint.data.reading.tree import Tree, parts_of
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import shortened


def read_tree(tree: Tree, where: Path, choice: Choice, imported: bool = False) -> Reading:
    """Read a tree. where: for messages. imported: whether `labelmint import` wrote it.

    Raises: UnclearError where several readings fit, InputError where none does.
    """
    chosen = choice != Choice()
    if packed := read_packed(tree, where, imported and not chosen):
        if chosen:
            raise InputError(f"{where}: `labelmint import` stored how it is read; leave out {choice}")
        return packed
    files = sort_files(tree)
    if not files.images:
        kinds = f"; it has {shortened([str(each) for each in files.others])}" if files.others else ""
        raise InputError(
            f"{where}: no images in it (PNG, JPEG, BMP, WebP, TIFF or PPM, in one folder per class){kinds}"
        )
    if choice.labels:
        draft = read_labelled(
            read_table(choice.labels, tree, files.images, where), files.images, where, choice
        )
    else:
        draft = _clear(tree, files, where, choice)
    _refuse_empty_classes(tree, files, draft, where)
    return Reading.of(draft.without(files.others), where)


def _clear(tree: Tree, files: Files, where: Path, choice: Choice) -> Draft:
    """The draft from folders or from a table, whichever alone fits."""
    if choice.layout or choice.split_folders:
        return read_folders(files.images, where, choice)
    by_table: dict[str, Draft] = {}
    proposals: list[Proposal] = []
    found = find_tables(tree, files.images, where)
    for table in found.tables:
        with suppress(InputError):
            draft = read_labelled(table, files.images, where, choice)
            proposals.append(Proposal(Choice(labels=table.text), Reading.of(draft, where).summary))
            by_table[table.text] = draft
    try:
        draft = read_folders(files.images, where, choice)
        by_folders = Reading.of(draft, where)
    except UnclearError as error:
        raise UnclearError(error.problem, error.proposals + proposals) from error
    except InputError as error:
        if not by_table and found.problems:
            raise InputError(found.problems[0]) from error
        if not by_table:
            raise
        if len(by_table) > 1:
            raise UnclearError(f"{where}: several tables name the images", proposals) from None
        if found.problems:
            raise UnclearError(found.problems[0], proposals) from None
        return next(iter(by_table.values()))
    if not all(_agree(draft, each) for each in by_table.values()):
        layout = Choice("splits" if by_folders.has_splits else "classes")
        problem = f"{where}: a table gives other classes than the folders"
        raise UnclearError(problem, [Proposal(layout, by_folders.summary), *proposals])
    return draft


def _agree(first: Draft, second: Draft) -> bool:
    """Whether two drafts distinguish the same classes, under whatever names, in the images that both have."""
    other = {entry.index: entry.label for entry in second.entries}
    pairs = {(entry.label, other[entry.index]) for entry in first.entries if entry.index in other}
    return len(pairs) == len({label for label, _ in pairs}) == len({label for _, label in pairs})


def _refuse_empty_classes(tree: Tree, files: Files, draft: Draft, where: Path) -> None:
    """Refuse a folder beside those of classes that has nothing, or only images of a kind that is not read."""
    filled = {entry.index for entry in draft.entries}
    other = [index for kind in files.others if kind.reason == NO_IMAGES for index in kind.indices]
    paths = [image.parts for image in files.images if image.index in filled]
    paths += [parts_of(tree.names[index]) for index in other]
    used = {parts[: len(top) + 1] for top in draft.class_folders for parts in paths}
    empty = [
        folder
        for folder in tree.folders
        if (parts := parts_of(folder))[:-1] in draft.class_folders
        and parts not in used
        and not is_hidden(folder)
    ]
    if empty:
        raise InputError(
            f"{where}: no images in class folder {shortened(empty)}; add images or remove the folder"
        )
