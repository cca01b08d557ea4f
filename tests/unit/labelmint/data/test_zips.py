"""Zip archives as other programs write them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest

from labelmint.data.archives import images_of, is_archive, list_members
from labelmint.runtime.errors import InputError
from tests.image_trees import good_tree, in_raw_zip, in_zip

TREE = {b"cat/0.png": b"zero", b"dog/1.png": b"one"}


def contents(path, encoding=None):
    """Contents of all members by name."""
    members = list_members(path, path.parent, encoding).members
    names = [member.name for member in members]
    with images_of(path, members, names).open() as image:
        return {name: image(number) for number, name in enumerate(names)}


def test_names_without_an_encoding_are_read_by_the_right_one(tmp_path):
    tree = {"水果/苹果/0.png".encode("gbk"): b"zero", "水果/香蕉/1.png".encode("gbk"): b"one"}
    path = in_raw_zip(tmp_path / "t.zip", tree)
    assert contents(path) == {"水果/苹果/0.png": b"zero", "水果/香蕉/1.png": b"one"}
    assert contents(path, "gb18030") == contents(path)


@pytest.mark.parametrize("is_current", [True, False])
def test_the_unicode_path_of_info_zip_counts_unless_the_file_was_renamed(tmp_path, is_current):
    stored = b"caf?/0.png"
    field = struct.pack("<BI", 1, zlib.crc32(stored) if is_current else 0) + "café/0.png".encode()
    extra = struct.pack("<HH", 0x5455, 1) + b"x" + struct.pack("<HH", 0x7075, len(field)) + field
    path = in_raw_zip(tmp_path / "t.zip", {stored: b"zero"}, extra=extra)
    assert contents(path) == {"café/0.png" if is_current else "caf?/0.png": b"zero"}


def test_backslashes_are_folders(tmp_path):
    tree = {b"pics\\": b"", b"pics\\cat\\": b"", b"pics\\cat\\0.png": b"zero", b".\\pics\\dog\\1.png": b"one"}
    path = in_raw_zip(tmp_path / "t.zip", tree)
    assert contents(path) == {"pics/cat/0.png": b"zero", "pics/dog/1.png": b"one"}
    assert list_members(path, tmp_path).folders == ["pics", "pics/cat"]


@pytest.mark.parametrize("attributes", [0x10, 0o040755 << 16])
def test_folders_are_known_by_their_attributes(tmp_path, attributes):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        folder = zipfile.ZipInfo("cat")
        folder.external_attr = attributes
        archive.writestr(folder, b"")
        archive.writestr("cat/0.png", b"zero")
    assert contents(tmp_path / "t.zip") == {"cat/0.png": b"zero"}


@pytest.mark.parametrize(
    ("method", "name"), [(9, "Deflate64"), (93, "Zstandard"), (98, "PPMd"), (50, "unknown")]
)
def test_compression_methods_that_are_not_read_are_named(tmp_path, method, name):
    path = in_raw_zip(tmp_path / "t.zip", TREE, method)
    message = rf"'cat/0.png' has compression method {method} \({name}\), which is not read; unpack"
    with pytest.raises(InputError, match=message):
        list_members(path, tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_methods_are_read(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "t.zip", "w", method) as archive:
        archive.writestr("cat/0.png", b"zero" * 100)
    assert contents(tmp_path / "t.zip") == {"cat/0.png": b"zero" * 100}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        for content in (b"zero", b"other"):
            archive.writestr("cat/0.png", content)
    with pytest.raises(InputError, match="'cat/0.png' is in the archive more than once"):
        list_members(tmp_path / "t.zip", tmp_path)


class Pipe(io.RawIOBase):
    """A file that cannot be sought, so that sizes are written after the contents."""

    def __init__(self):
        self.content = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.content += bytes(data)
        return len(data)


def test_sizes_after_the_contents_and_of_64_bits_are_read(tmp_path):
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for name, content in TREE.items():
            with archive.open(name.decode(), "w", force_zip64=True) as file:
                file.write(content)
    (tmp_path / "t.zip").write_bytes(pipe.content)
    assert pipe.content[6] & 8  # a data descriptor follows
    assert contents(tmp_path / "t.zip") == {name.decode(): content for name, content in TREE.items()}


def test_the_last_of_several_parts_is_named(tmp_path):
    path = in_zip(tmp_path / "t.zip", good_tree(count=1))
    content = bytearray(path.read_bytes())
    struct.pack_into("<HH", content, content.rfind(b"PK\x05\x06") + 4, 2, 0)
    path.write_bytes(content)
    with pytest.raises(InputError, match="the last of 3 parts; join them with `zip -s 0 t.zip --out"):
        list_members(path, tmp_path)


@pytest.mark.parametrize("first_part", [b"PK\x07\x08PK\x03\x04", b"PK\x03\x04"])
def test_a_zip_without_its_end_is_known(tmp_path, first_part):
    (tmp_path / "t.zip").write_bytes(first_part + bytes(100))
    assert is_archive(tmp_path / "t.zip")
    with pytest.raises(InputError, match="a zip without its end; fetch it again, or join its parts"):
        list_members(tmp_path / "t.zip", tmp_path)


def test_a_file_before_the_zip_does_no_harm(tmp_path):
    path = in_zip(tmp_path / "t.exe", {"cat/0.png": b"zero"})
    path.write_bytes(b"MZ self-extracting" + path.read_bytes())
    assert contents(path) == {"cat/0.png": b"zero"}
