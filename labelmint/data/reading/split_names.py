"""Folder names that say which split they hold: train, Test Set, seg_train, val2017."""

from __future__ import annotations

import re
from collections.abc import Iterable

from labelmint.data.source import SPLIT_NAMES, TEST, TRAIN, VALIDATION

UNLABELLED = -1
"""Role of a folder whose name says that its images are to be labelled, such as seg_pred."""
_ROLES = {
    **SPLIT_NAMES,
    **dict.fromkeys(("trn", "trainval"), TRAIN),
    **dict.fromkeys(("tst", "eval", "evaluation", "holdout"), TEST),
    **dict.fromkeys(("pred", "prediction", "unlabeled", "unlabelled"), UNLABELLED),
}
_EVALUATION = {"eval", "evaluation", "holdout"}  # the validation set where there is a test set besides
_FILLERS = {
    *("set", "sets", "data", "dataset", "split", "part", "folder", "files", "seg", "labeled", "labelled"),
    *("image", "images", "img", "imgs", "pics", "pictures", "photos", "jpg", "jpeg", "png"),
}


def roles(names: Iterable[str]) -> dict[str, int]:
    """Split, or UNLABELLED, of those of sibling folders whose names say one.

    A name says a split by one of its words. Its other words are numbers, fillers such as `set`, or shared
    with a sibling of another split, as in flowers_train and flowers_test; bullet_train says none.
    """
    parsed = {name: found for name in names if (found := _parse(name))}
    by_rest: dict[frozenset[str], set[int]] = {}
    for word, rest in parsed.values():
        by_rest.setdefault(rest, set()).add(_ROLES[word])
    words = {
        name: word for name, (word, rest) in parsed.items() if rest <= _FILLERS or len(by_rest[rest]) > 1
    }
    splits = {name: _ROLES[word] for name, word in words.items()}
    evaluation = [name for name, word in words.items() if word in _EVALUATION]
    if VALIDATION not in splits.values() and any(splits[name] == TEST for name in words.keys() - evaluation):
        splits |= dict.fromkeys(evaluation, VALIDATION)
    return splits


def says_split(name: str) -> bool:
    """Whether a name says a split by itself."""
    return bool(roles([name]))


def _parse(name: str) -> tuple[str, frozenset[str]] | None:
    """The word that says a split, and the other words but for numbers. None without one such word."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W\d_]+", re.sub(r"hold[ _-]?out", "holdout", spaced.lower()))
    words = [part for word in words for part in _unglued(word)]
    found = [word for word in words if word in _ROLES]
    return (found[0], frozenset(words) - {found[0]}) if len(found) == 1 else None


def _unglued(word: str) -> list[str]:
    """`["train", "set"]` of `"trainset"`; other words are left alone."""
    for filler in _FILLERS:
        if word.endswith(filler) and word.removesuffix(filler) in _ROLES:
            return [word.removesuffix(filler), filler]
    return [word]
