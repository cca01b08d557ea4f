"""A tree of images as folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from labelmint.data.reading.reading import Image


@dataclass(frozen=True)
class Folder:
    """A folder that has images. images: all below it. depth: number of parts of its path."""

    images: list[Image]
    depth: int = 0

    @property
    def path(self) -> tuple[str, ...]:
        return self.images[0].parts[: self.depth]

    @property
    def name(self) -> str:
        return "/".join(self.path)

    @cached_property
    def loose(self) -> list[Image]:
        """Images directly in it."""
        return [image for image in self.images if len(image.parts) == self.depth + 1]

    @cached_property
    def folders(self) -> dict[str, Folder]:
        """Folders directly in it."""
        found: dict[str, list[Image]] = defaultdict(list)
        for image in self.images:
            if len(image.parts) > self.depth + 1:
                found[image.parts[self.depth]].append(image)
        return {name: Folder(images, self.depth + 1) for name, images in found.items()}

    def inside(self, names: Iterable[str]) -> Folder | None:
        """The folder at a path below it. None if there is none with images."""
        folder: Folder | None = self
        for name in names:
            folder = folder.folders.get(name) if folder else None
        return folder

    def unwrapped(self, is_wrapper: Callable[[Folder], bool], loose: bool) -> Folder:
        """The folder itself, or the first below it that holds more than one folder which is a wrapper.

        loose: whether images beside a wrapper are passed over.
        """
        folder = self
        while len(folder.folders) == 1 and (loose or not folder.loose):
            (only,) = folder.folders.values()
            if not is_wrapper(only):
                break
            folder = only
        return folder

    def repeated(self) -> str | None:
        """Path of a folder in it whose files have the same names as all files outside of that folder."""
        if len(self.folders) < 2:
            return None
        for name, folder in self.folders.items():
            rest = len(self.images) - len(folder.images)
            if len(folder.images) == rest:
                own = {image.parts[folder.depth :] for image in folder.images}
                if own == {
                    image.parts[self.depth :] for image in self.images if image.parts[self.depth] != name
                }:
                    return f"{folder.name}/"
        return None
