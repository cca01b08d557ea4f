from __future__ import annotations

import pytest
from dvc.lock import make_lock

from labelmint.runtime.errors import InputError
from pipeline.dvc.workspace_lock import locked_workspace


def test_second_run_is_refused(tmp_path):
    with (
        locked_workspace(tmp_path),
        pytest.raises(InputError, match="another run is in progress in .*; wait for it, or stop it"),
        locked_workspace(tmp_path),
    ):
        pass
    with locked_workspace(tmp_path):
        pass  # unlocked at the end of a block


class TestTableOfLocks:
    """DVC's table, which a killed DVC leaves half-written."""

    @pytest.fixture
    def table(self, tmp_path):
        path = tmp_path / ".dvc" / "tmp" / "rwlock"
        path.parent.mkdir(parents=True)
        return path

    @pytest.mark.parametrize(("content", "is_kept"), [("", False), ('{"lock', False), ("{}", True)])
    def test_damaged_table_is_removed(self, tmp_path, table, content, is_kept):
        table.write_text(content)
        with locked_workspace(tmp_path):
            assert table.exists() is is_kept

    def test_table_that_another_dvc_is_writing_is_kept(self, tmp_path, table):
        table.touch()
        with make_lock(f"{table}.lock"), locked_workspace(tmp_path):
            assert table.exists()
