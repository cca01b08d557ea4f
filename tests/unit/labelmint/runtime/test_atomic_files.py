"""Files that are written completely or not at all."""

from __future__ import annotations

import errno

import pytest

from labelmint.runtime.atomic_files import (
    atomic_write,
    load_json,
    named_os_errors,
    parsing,
    save_bytes,
    save_json,
    save_table,
)
from labelmint.runtime.errors import InputError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "folder" / "x"
    save_bytes(path, b"old")

    def write_half() -> None:
        with atomic_write(path) as partial:
            partial.write_bytes(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_of_the_system_names_the_file(tmp_path):
    with pytest.raises(OSError, match="x") as raised, named_os_errors(tmp_path / "x"):
        raise OSError("2 requested and 0 written")  # as numpy reports a short write
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(tmp_path / "x")


def test_table_has_six_significant_digits(tmp_path):
    save_table(tmp_path / "t.csv", ["a", "b"], [{"a": 1 / 3, "b": 7}, {"a": 1e-9, "b": None}])
    assert (tmp_path / "t.csv").read_text() == "a,b\n0.333333,7\n1e-09,\n"


def test_json(tmp_path):
    save_json(tmp_path / "x.json", {"b": 1, "a": [2]})
    assert list(load_json(tmp_path / "x.json")) == ["b", "a"]
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_json(tmp_path / "x.json", float("nan"))
    with pytest.raises(ValueError, match=r"x.json: rows\[1\].kid is not a finite number"):
        save_json(tmp_path / "x.json", {"rows": [{"kid": 1.0}, {"kid": float("-inf")}]})
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InputError, match="not JSON .*; delete it and run again"):
        load_json(tmp_path / "x.json")
    with pytest.raises(InputError, match="y.json is missing; `dvc repro` makes it"):
        load_json(tmp_path / "y.json")


@pytest.mark.parametrize(
    "error", [KeyError("a"), IndexError("a"), TypeError("a"), ValueError("a"), AttributeError("a")]
)
def test_parsing_names_the_file(tmp_path, error):
    path = tmp_path / "x.json"
    message = rf"x.json: not what a stage of this version writes \({type(error).__name__}: "
    with pytest.raises(InputError, match=message), parsing(path):
        raise error
