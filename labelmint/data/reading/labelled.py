"""Classes from a table of labels, splits from the names of folders."""

from __future__ import annotations

from pathlib import Path

from labelmint.data.reading import split_names
from labelmint.data.reading.folder import Folder
from labelmint.data.reading.folders import chosen_parts
from labelmint.data.reading.reading import Choice, Draft, Entry, Image, LeftOut, Proposal, UnclearError
from labelmint.data.reading.tables import LabelTable
from labelmint.data.source import TRAIN
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import counted


def read_labelled(table: LabelTable, images: list[Image], where: Path, choice: Choice) -> Draft:
    """Give each image its label in `table`, and the split of its folder. where: for messages.

    Raises: UnclearError where only some of the folders are splits, InputError where no image has a label.
    """
    labelled = [image for image in images if image.index in table.labels]
    if not labelled:
        raise InputError(f"{where}: {table.text} labels none of the images; check the columns")
    splits = _splits(labelled, images, table, where, choice)
    entries = [
        Entry(splits[image.index], table.labels[image.index], image.name, image.index)
        for image in labelled
        if image.index in splits
    ]
    left_out = [
        LeftOut("image", which, reason, [image.index for image in rest])
        for which, reason, rest in (
            ("with a label", "not in the folders of --split", [i for i in labelled if i.index not in splits]),
            ("without a label", f"not in {table.text}", [i for i in images if i.index not in table.labels]),
        )
        if rest
    ]
    unknown = f"; {counted(table.unknown, 'row')} without an image" if table.unknown else ""
    return Draft(f"{table.text}{unknown}", entries, left_out, tables=table.files)


def _splits(
    labelled: list[Image], images: list[Image], table: LabelTable, where: Path, choice: Choice
) -> dict[int, int | None]:
    """Split of each image, by its index. None where the folders are no splits."""
    if choice.split_folders:
        parts = chosen_parts(Folder(images), where, choice)
        return {image.index: split for split, folder in parts for image in folder.images}
    top = Folder(labelled).unwrapped(lambda folder: not split_names.says_split(folder.path[-1]), False)
    roles = {name: role for name, role in split_names.roles(top.folders).items() if role >= TRAIN}
    if not roles or choice.layout == "classes":
        return dict.fromkeys(image.index for image in labelled)
    if top.loose or len(roles) < len(top.folders) or TRAIN not in roles.values():
        problem = f"{where}: only some of the labelled images are in a folder named as a split"
        decided = Choice("classes", labels=table.text)
        raise UnclearError(problem, [Proposal(decided, "the folders are no splits")])
    return {image.index: role for name, role in roles.items() for image in top.folders[name].images}
