"""Names of files as other systems wrote them: in any encoding, with backslashes, or harmful.

A zip states the encoding of its names or leaves it open; a tar leaves it open.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from unicodedata import name as character_name
from unicodedata import normalize

from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say
from labelmint.runtime.words import shortened

_WORD = re.compile(r"(?:[A-Za-z]|[^\x00-\x7f])+")
_ENOUGH = 0.5  # of the words with other than ASCII letters must be plausible


def safe_name(name: str, archive: Path) -> str:
    """Relative name of a member, with /; "" for the archive's own folder.

    Raises: InputError for a name that leads out of that folder.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    drive = bool(parts) and len(parts[0]) == 2 and parts[0][1] == ":"
    if not name or parts[:1] == ("/",) or ".." in parts or drive or "\0" in name:
        raise InputError(
            f"{archive}: member {name!r} would lead out of the archive; refused, create the archive again"
        )
    return "/".join(parts)


def check_distinct(names: Iterable[str], archive: Path) -> None:
    """Raise InputError for a name that two members have: one of them would be lost."""
    counts = Counter(normalize("NFC", name) for name in names)
    if repeated := [f"'{name}'" for name, count in counts.items() if count > 1]:
        raise InputError(
            f"{archive}: {shortened(repeated)} is in the archive more than once, and one would be "
            "lost; create the archive again"
        )


def check_text(names: Iterable[str], where: Path) -> None:
    """Raise InputError for a name with bytes that are not UTF-8, or with half a character."""
    bad = [name for name in names if not is_text(name)]
    if bad:
        raise InputError(
            f"{where}: {shortened([ascii(name) for name in bad])} is not valid UTF-8; rename it, "
            "for example with `convmv -f latin1 -t utf8 -r --notest FOLDER`"
        )


def is_text(name: str) -> bool:
    """Whether a name can be encoded: Python keeps bytes that are not UTF-8 as half characters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def decode_names(names: list[str | bytes], archive: Path, encoding: str | None = None) -> list[str]:
    """Relative names of members. Those whose encoding the archive does not state are bytes.

    encoding: the right one; None guesses it from all names together, and says so.
    Raises: InputError when a name is not valid in `encoding`, or when no encoding makes sense.
    """
    unstated = [name for name in names if isinstance(name, bytes)]
    foreign = [name for name in unstated if not name.isascii()]
    found = encoding or _guess(foreign) if foreign else "ascii"
    if found is None:
        raise InputError(
            f"{archive}: does not state the encoding of its names, such as {foreign[0]!r}; "
            "say which it is with --encoding or dataset.encoding, e.g. cp866"
        )
    decoded = _decoded(unstated, found)
    if decoded is None:
        raise InputError(f"{archive}: its names are not valid {found}; choose another --encoding")
    if foreign and not encoding:
        example = next(word for name in decoded for word in _foreign_words(name))
        say(
            f"note: {archive.name} does not state the encoding of its names; read as {found}, "
            f"e.g. '{example}'; --encoding or dataset.encoding decides otherwise"
        )
    remaining = iter(decoded)
    texts = [next(remaining) if isinstance(name, bytes) else name for name in names]
    check_text(texts, archive)
    return [safe_name(name, archive) for name in texts]


def _decoded(raw: list[bytes], encoding: str) -> list[str] | None:
    """Names in an encoding, or None if one of them is not valid."""
    try:
        return [name.decode(encoding) for name in raw]
    except UnicodeDecodeError:
        return None


def _guess(raw: list[bytes]) -> str | None:
    """UTF-8 where all names are valid, else the encoding in which most words are plausible, or None."""
    if _decoded(raw, "utf-8"):
        return "UTF-8"
    scores = {}
    for encoding, plausible in _PLAUSIBLE.items():
        words = {word for name in _decoded(raw, encoding) or [] for word in _foreign_words(name)}
        scores[encoding] = sum(map(plausible, words)) / len(words) if words else 0.0
    best = max(scores, key=scores.__getitem__)  # the first of equals
    return best if scores[best] >= _ENOUGH else None


def _foreign_words(name: str) -> list[str]:
    """Runs of letters with other than ASCII ones."""
    return [word for word in _WORD.findall(name) if not word.isascii()]


def _is_latin(word: str) -> bool:
    """Whether all letters are Latin, and capitals are where they are expected next to an accent."""
    pairs = zip(word, word[1:])
    capital_inside = any(a.islower() and b.isupper() and not (a + b).isascii() for a, b in pairs)
    return not capital_inside and all(character_name(each, "").startswith("LATIN") for each in word)


def _is_chinese(word: str) -> bool:
    """Whether all characters are among the 3,755 most common ones: level 1 of GB 2312."""
    return all(b"\xb0\xa1" <= each.encode("gb2312", "ignore") <= b"\xd7\xf9" for each in word)


def _is_japanese(word: str) -> bool:
    """Whether all characters are kana, or kanji of level 1 of JIS X 0208.

    A lone kanji has the bytes of two letters, and is refused where these are Latin: 馬 is "ön" in CP437.
    """
    common = all(
        "\u3041" <= each <= "\u30ff" or b"\x88\x9f" <= each.encode("cp932", "ignore") <= b"\x98\x72"
        for each in word
    )
    return common and (len(word) > 1 or not _is_latin(word.encode("cp932").decode("cp437")))


# In the order of preference. A word of Latin letters is often valid as Chinese too, but mixes scripts there.
_PLAUSIBLE: dict[str, Callable[[str], bool]] = {
    "CP932": _is_japanese,  # Shift-JIS as Windows writes it
    "GBK": _is_chinese,
    "CP437": _is_latin,  # of the zip format
    "CP1252": _is_latin,
}
