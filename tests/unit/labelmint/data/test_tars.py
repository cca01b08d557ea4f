"""Tar archives as other programs write them."""

from __future__ import annotations

import io
import tarfile

import pytest

from labelmint.data.archives import images_of, list_members
from labelmint.runtime.errors import InputError
from tests.image_trees import in_tar, in_zip

TREE = {"cat/0.png": b"zero", "dog/1.png": b"one"}


def contents(path, encoding=None):
    """Contents of all members by name."""
    listing = list_members(path, path.parent / "scratch", encoding)
    names = [member.name for member in listing.members]
    with images_of(listing.path, listing.members, names).open() as image:
        return {name: image(number) for number, name in enumerate(names)}


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **changes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for field, value in changes.items():
        setattr(entry, field, value)
    archive.addfile(entry, io.BytesIO(content))


def test_an_archive_of_the_current_folder(tmp_path):
    with tarfile.open(tmp_path / "t.tgz", "w:gz") as archive:
        add(archive, ".", type=tarfile.DIRTYPE)
        add(archive, "./cat", type=tarfile.DIRTYPE)
        add(archive, "./cat/0.png", b"zero")
    assert contents(tmp_path / "t.tgz") == {"cat/0.png": b"zero"}
    assert list_members(tmp_path / "t.tgz", tmp_path).folders == ["cat"]


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_names_in_any_script(tmp_path, kind):
    tree = {f"{'x' * 90}/{'y' * 90}/{'z' * 200}.png": b"zero", "猫 と 犬/1.png": b"one"}
    with tarfile.open(tmp_path / "t.tar", "w", format=kind, pax_headers={"comment": "of all"}) as archive:
        for name, content in tree.items():
            add(archive, name, content)
    assert contents(tmp_path / "t.tar") == tree


def test_names_in_another_encoding(tmp_path, capsys):
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.GNU_FORMAT, encoding="gbk") as archive:
        add(archive, "水果/苹果/0.png", b"zero")
    assert contents(tmp_path / "t.tar") == {"水果/苹果/0.png": b"zero"}
    assert "read as GBK, e.g. '水果'" in capsys.readouterr().err
    assert contents(tmp_path / "t.tar", "gb18030") == {"水果/苹果/0.png": b"zero"}
    assert not capsys.readouterr().err


@pytest.mark.parametrize("name", ["cat/0.png", "./cat/0.png"])
def test_a_name_that_occurs_twice_is_refused(tmp_path, name):
    with tarfile.open(in_tar(tmp_path / "t.tar", TREE), "a") as archive:
        add(archive, name, b"newer")
    with pytest.raises(InputError, match="'cat/0.png' is in the archive more than once"):
        list_members(tmp_path / "t.tar", tmp_path)


def test_the_name_of_a_tape_is_no_member(tmp_path):
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        add(archive, "Backup of May", type=b"V")
        add(archive, "cat/0.png", b"zero")
    assert contents(tmp_path / "t.tar") == {"cat/0.png": b"zero"}


def test_a_sparse_file_is_refused(tmp_path):
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, "cat/0.png", b"zero", pax_headers={"GNU.sparse.size": "9", "GNU.sparse.map": "0,4"})
    with pytest.raises(InputError, match="'cat/0.png' is a sparse file; put plain files into the archive"):
        list_members(tmp_path / "t.tar", tmp_path)


def test_archives_that_were_joined_are_refused(tmp_path):
    first, second = (in_tar(tmp_path / name, {f"{name}/0.png": b"x"}) for name in ("cat", "dog"))
    (tmp_path / "t.tar").write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(InputError, match="several archives joined together; unpack it with `tar --ignore-"):
        list_members(tmp_path / "t.tar", tmp_path)


def test_an_archive_is_read_to_its_end_or_refused(tmp_path):
    content = in_tar(tmp_path / "t.tar", TREE).read_bytes()
    (tmp_path / "t.tar").write_bytes(content[:1024])  # the first member, complete
    with pytest.raises(InputError, match=r"damaged archive \(it ends without its end mark\)"):
        list_members(tmp_path / "t.tar", tmp_path)
    damaged = bytearray(content)
    damaged[1024 + 148] ^= 1  # the second member's checksum
    (tmp_path / "t.tar").write_bytes(damaged)
    with pytest.raises(InputError, match=r"damaged archive \(bad header at byte 1,024\)"):
        list_members(tmp_path / "t.tar", tmp_path)


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path):
    inner = in_zip(tmp_path / "inner.zip", {"dog/9.png": b"nine"}).read_bytes()
    path = in_tar(tmp_path / "t.tar", {"cat/0.png": b"zero", "more.zip": inner})
    path.write_bytes(path.read_bytes()[: 3 * 512 + 1024] + bytes(1024))
    assert contents(path) == {"cat/0.png": b"zero", "more.zip": inner}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Rar!\x1a\x07\x01\x00", "a RAR archive; unpack it and give the folder"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it"),
        (b"(\xb5/\xfd\x00", "compressed by Zstandard; unpack it"),
    ],
)
def test_archives_of_other_kinds_are_named(tmp_path, content, message):
    (tmp_path / "t").write_bytes(content + bytes(600))
    with pytest.raises(InputError, match=message):
        list_members(tmp_path / "t", tmp_path)
