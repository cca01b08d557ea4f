"""Refusals of archives that are damaged or try to harm."""

from __future__ import annotations

import gzip
import struct
import tarfile
import zipfile

import pytest

from labelmint.data import archive_members, archives
from labelmint.data.source import BadImageError
from labelmint.runtime.errors import InputError
from tests.image_trees import PACKERS, encoded, good_tree, in_tar, in_zip

SMALL = {"cat/0.png": b"0" * 100, "dog/1.png": b"1" * 100}


def entry(name: str, **changes) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in changes.items():
        setattr(made, field, value)
    return made


@pytest.mark.parametrize("packer", ["zip", "tar", "tar.gz", "tar.xz"])
def test_lists_the_files_and_reads_them(tmp_path, packer):
    path = PACKERS[packer](tmp_path, SMALL)
    listing = archives.list_members(path, tmp_path / "scratch")
    assert [(member.name, member.size) for member in listing.members] == [
        ("cat/0.png", 100),
        ("dog/1.png", 100),
    ]
    assert (listing.path == path) == (packer in ("zip", "tar"))
    with archives.images_of(listing.path, listing.members[::-1], ["one", "zero"]).open() as image:
        assert [image(0), image(1)] == [b"1" * 100, b"0" * 100]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (entry("../outside.png"), "'../outside.png' would lead out of the archive"),
        (entry("cat/../../outside.png"), "would lead out of the archive"),
        (entry("/etc/outside.png"), "'/etc/outside.png' would lead out of the archive"),
        (entry("C:\\outside.png"), "would lead out of the archive"),
        (entry("cat/link.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "'cat/link.png' is a link"),
        (entry("cat/link.png", type=tarfile.LNKTYPE, linkname="cat/0.png"), "'cat/link.png' is a link"),
        (entry("cat/null.png", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "is a device or special file"),
        (entry("cat/disk.png", type=tarfile.BLKTYPE), "is a device or special file"),
        (entry("cat/pipe.png", type=tarfile.FIFOTYPE), "is a device or special file"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_refuses_tar_members_that_are_no_plain_files_inside(tmp_path, member, message, compressed):
    path = in_tar(tmp_path / "t.tar", SMALL)
    with tarfile.open(path, "a") as archive:
        archive.addfile(member)
    if compressed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        archives.list_members(path, tmp_path / "scratch")


@pytest.mark.parametrize("name", ["../outside.png", "/outside.png", "cat\\..\\..\\outside.png"])
def test_refuses_zip_members_outside(tmp_path, name):
    path = in_zip(tmp_path / "t.zip", SMALL | {name: b"x"})
    with pytest.raises(InputError, match="would lead out of the archive"):
        archives.list_members(path, tmp_path / "scratch")
    assert not (tmp_path.parent / "outside.png").exists()


def test_refuses_a_link_in_a_zip(tmp_path):
    path = in_zip(tmp_path / "t.zip", SMALL)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("cat/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="'cat/link.png' is a link"):
        archives.list_members(path, tmp_path / "scratch")


def test_refuses_an_encrypted_zip(tmp_path):
    path = in_zip(tmp_path / "t.zip", SMALL)
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="is encrypted; create the archive without a password"):
        archives.list_members(path, tmp_path / "scratch")


def test_refuses_a_zip_bomb(tmp_path):
    path = in_zip(tmp_path / "t.zip", SMALL | {"cat/bomb.png": bytes(17 << 20)})
    with pytest.raises(InputError, match="'cat/bomb.png' .* bomb"):
        archives.list_members(path, tmp_path / "scratch")


def test_refuses_a_zip_whose_members_overlap(tmp_path):
    path = in_zip(tmp_path / "t.zip", {"cat/0.png": encoded(size=(200, 200))})
    content = path.read_bytes()
    start, end = content.find(b"PK\x01\x02"), content.find(b"PK\x05\x06")
    entries = b"".join(
        content[start:end].replace(b"cat/0.png", b"cat/%d.png" % number) for number in range(10)
    )
    tail = bytearray(content[end:])
    struct.pack_into("<HHI", tail, 8, 10, 10, len(entries))
    path.write_bytes(content[:start] + entries + tail)
    with pytest.raises(InputError, match="its members overlap, as those of a zip bomb do"):
        archives.list_members(path, tmp_path / "scratch")


def test_refuses_a_gzip_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_members, "_FREE_BYTES", 1 << 20)
    path = tmp_path / "t.tar.gz"
    path.write_bytes(gzip.compress(in_tar(tmp_path / "t.tar", {"cat/0.png": bytes(16 << 20)}).read_bytes()))
    with pytest.raises(InputError, match=r"'t\.tar\.gz' .* bomb"):
        archives.list_members(path, tmp_path / "scratch")
    assert (tmp_path / "scratch" / "unpacked.tar").stat().st_size <= 4 << 20


@pytest.mark.parametrize("packer", ["zip", "tar", "tar.gz", "tar.xz"])
def test_refuses_a_truncated_archive(tmp_path, packer):
    path = PACKERS[packer](tmp_path, good_tree(count=10))
    path.write_bytes(path.read_bytes()[:3000])
    assert archives.is_archive(path)
    with pytest.raises(InputError, match="damaged archive|a zip without its end"):
        archives.list_members(path, tmp_path / "scratch")


def test_a_damaged_member_of_a_zip_is_a_bad_image(tmp_path):
    path = in_zip(tmp_path / "t.zip", good_tree(count=1))
    content = bytearray(path.read_bytes())
    content[60:70] = b"0123456789"
    path.write_bytes(content)
    listing = archives.list_members(path, tmp_path)
    with archives.images_of(path, listing.members, ["cat", "dog"]).open() as image:
        with pytest.raises(BadImageError, match="damaged in the archive"):
            image(0)
        assert image(1) == good_tree(count=1)["dog/0.png"]
