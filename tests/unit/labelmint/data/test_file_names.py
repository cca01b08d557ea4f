from __future__ import annotations

from pathlib import Path

import pytest

from labelmint.data.file_names import check_distinct, check_text, decode_names, safe_name
from labelmint.runtime.errors import InputError

ZIP = Path("t.zip")


@pytest.mark.parametrize(
    ("encoding", "found", "names"),
    [
        ("utf-8", "UTF-8", ["水果/苹果/0.png", "Vögel/0.png"]),
        ("gbk", "GBK", ["水果/苹果/0.png", "水果/香蕉/1.png"]),
        ("gbk", "GBK", ["花卉数据集/玫瑰/IMG_001.jpg"]),
        ("cp932", "CP932", ["果物/りんご/0.png", "果物/バナナ/1.png"]),
        ("cp932", "CP932", ["写真/花/1.jpg", "写真/猫/1.jpg"]),
        *(("cp437", "CP437", [name]) for name in ("Vögel/0.png", "Käfer/0.png", "été/1.png", "öl/1.png")),
        *(("cp437", "CP437", [name]) for name in ("Größe/1.png", "mañana/1.png", "Ångström/1.png")),
        *(("cp1252", "CP1252", [name]) for name in ("Vögel/0.png", "Größe/1.png", "été/1.png")),
        *(("cp1252", "CP1252", [name]) for name in ("Ångström/1.png", "garçon/1.png")),
    ],
)
def test_the_encoding_is_guessed_and_said(encoding, found, names, capsys):
    assert decode_names([name.encode(encoding) for name in names], ZIP) == names
    said = capsys.readouterr().err
    assert f"note: t.zip does not state the encoding of its names; read as {found}, e.g. '" in said


def test_ascii_and_stated_names_are_taken_silently(capsys):
    assert decode_names([b"cat/0.png", "Vögel/0.png", b".\\dog\\1.png", "./"], ZIP) == [
        "cat/0.png",
        "Vögel/0.png",
        "dog/1.png",
        "",
    ]
    assert not capsys.readouterr().err


def test_the_given_encoding_decides(capsys):
    name = "猫/0.png"
    assert decode_names([name.encode("gbk")], ZIP) == ["è/0.png"]  # valid UTF-8 by chance
    assert decode_names([name.encode("gbk")], ZIP, "gbk") == [name]
    assert capsys.readouterr().err.count("note:") == 1
    with pytest.raises(InputError, match="t.zip: its names are not valid ascii; choose another --encoding"):
        decode_names([name.encode("gbk")], ZIP, "ascii")


def test_an_encoding_that_cannot_be_guessed_is_asked_for():
    with pytest.raises(
        InputError, match="such as b'.*'; say which it is with --encoding or dataset.encoding, e.g. cp866"
    ):
        decode_names(["кошка/0.png".encode("cp866")], ZIP)


@pytest.mark.parametrize("name", ["caf\udce9/0.png", "cat/\ud83d.png"])
def test_names_that_cannot_be_encoded_are_refused(name):
    with pytest.raises(InputError, match=r"photos: 'ca.*\\ud.*' is not valid UTF-8; rename it") as error:
        check_text(["dog/0.png", name], Path("photos"))
    assert str(error.value).isascii()


def test_names_that_occur_twice_are_refused():
    with pytest.raises(InputError, match="'é/0.png' is in the archive more than once, and one would be lost"):
        check_distinct(["cat/0.png", "\u00e9/0.png", "e\u0301/0.png"], ZIP)


@pytest.mark.parametrize("name", ["", "/x", "a/../x", "..\\x", "C:\\x", "a\0b"])
def test_names_that_lead_out_are_refused(name):
    with pytest.raises(InputError, match="would lead out of the archive"):
        safe_name(name, ZIP)
