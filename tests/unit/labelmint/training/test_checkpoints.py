"""Checkpoints: what is kept, what is refused, and which messages a user gets."""

from __future__ import annotations

import hashlib
import io
import time
from typing import Any

import pytest
import torch

from labelmint.training import checkpoints
from labelmint.training.checkpoints import Checkpoints, IdentityChangedError, SaveInterval


def load(kept: Checkpoints) -> dict[str, Any]:
    state = kept.load()
    assert state is not None
    return state


def save(folder, steps=(10, 20, 30)) -> Checkpoints:
    kept = Checkpoints(folder, {"training.epochs": 7, "data": "a" * 64})
    for step in steps:
        kept.save(0, step, {"weights": torch.full((3,), float(step))})
    return kept


def test_the_last_two_are_kept_and_a_damaged_one_costs_no_more(tmp_path, capsys):
    kept = save(tmp_path / "c")
    older, newer = sorted((tmp_path / "c").iterdir())
    assert load(kept)["step"] == 30
    content = bytearray(newer.read_bytes())
    content[len(content) // 2] ^= 1
    newer.write_bytes(content)
    assert load(kept)["weights"].tolist() == [20, 20, 20]
    assert f"{newer}: damaged checkpoint" in capsys.readouterr().err
    older.write_bytes(older.read_bytes()[:100])
    assert kept.load() is None


def test_a_checkpoint_without_an_identity_counts_as_damaged(tmp_path, capsys):
    kept = save(tmp_path / "c", steps=(10,))
    buffer = io.BytesIO()
    torch.save({"step": 20}, buffer)
    content = buffer.getvalue()
    (tmp_path / "c" / "000-000000000020.pt").write_bytes(hashlib.sha256(content).digest() + content)
    assert load(kept)["step"] == 10
    assert "000-000000000020.pt: damaged checkpoint (KeyError)" in capsys.readouterr().err


def test_a_later_attempt_is_loaded_first(tmp_path):
    kept = save(tmp_path / "c")
    kept.save(1, 5, {})
    assert load(kept)["attempt"] == 1


def test_other_settings_are_refused_by_name(tmp_path):
    save(tmp_path / "c")
    other = Checkpoints(tmp_path / "c", {"training.epochs": 8, "data": "a" * 64})
    with pytest.raises(IdentityChangedError, match=r"training\.epochs 7, now 8$"):
        other.load()


def test_a_run_with_other_settings_is_not_resumed_and_what_differs_is_reported(tmp_path, capsys):
    first = checkpoints.open_folder(tmp_path, "dcgan-40-0", {"training.epochs": 7, "data": "a"})
    assert checkpoints.open_folder(tmp_path, "dcgan-40-0", {"training.epochs": 7, "data": "a"}) == first
    assert checkpoints.open_folder(tmp_path, "dcgan-60-0", {"training.epochs": 9, "data": "a"}) != first
    assert capsys.readouterr().err == ""
    other = checkpoints.open_folder(tmp_path, "dcgan-40-0", {"training.epochs": 8, "data": "a"})
    assert "it is not resumed: training.epochs 7, now 8;" in capsys.readouterr().err
    assert other != first


def test_clearing_spares_folders_of_others_and_names_unreadable_ones(tmp_path, capsys):
    checkpoints.open_folder(tmp_path, "dcgan-40-0", {"training.epochs": 7})
    checkpoints.open_folder(tmp_path, "dcgan-60-0", {"training.epochs": 7, "data": "a"})
    unreadable = {"a": "{", "b": '{"owner": "dcgan-80-0"}', "c": "[]", "d": '{"owner": 1, "identity": 2}'}
    for name, content in unreadable.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "identity.json").write_text(content)
    checkpoints.clear_owner(tmp_path, "dcgan-40-0")
    message = capsys.readouterr().err
    assert all(f"{tmp_path}/{name}/identity.json: damaged (" in message for name in unreadable)
    assert len(list(tmp_path.iterdir())) == 1 + len(unreadable)


def test_saving_takes_a_small_fraction_of_the_time():
    interval = SaveInterval(max_fraction=0.02)
    before = time.monotonic()
    interval.record(0.5)
    assert before + 25 <= interval.next <= time.monotonic() + 25
