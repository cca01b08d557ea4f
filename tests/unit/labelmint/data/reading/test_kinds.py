from __future__ import annotations

from labelmint.data.reading.kinds import sort_files
from tests.image_trees import encoded, in_memory


def test_files_are_told_by_ending_or_else_by_content():
    tree = {
        "cat/1.png": b"",
        "cat/2.PPM": b"",
        "cat/photo": encoded(kind="JPEG"),
        "cat/photo.jpg_large": encoded(kind="WEBP"),
        "cat/n02.1234": encoded(),
        "LICENSE": b"MIT\n",
        "cat/n02_1": b"<annotation/>",
        "cat/1.txt": b"a cat",
        "cat/2.TXT": b"",
        "cat/j.tga": b"",
        "cat/j.svg": b"",
        "__MACOSX/cat/._1.png": b"",
        "cat/Thumbs.db": b"",
        ".git/x.png": b"",
    }
    files = sort_files(in_memory(tree))
    assert [image.name for image in files.images] == sorted(list(tree)[:5])
    assert list(map(str, files.others)) == [
        "1 file .svg: images of a kind that is not read; convert them, e.g. to PNG",
        "1 file .tga: images of a kind that is not read; convert them, e.g. to PNG",
        "2 files without a known ending: not images",
        "2 files .txt: not images",
        "3 files of the system or hidden: not looked at",
    ]
