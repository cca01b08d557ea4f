"""One holder per card, whatever happens to it."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace

import pytest

from labelmint.runtime.errors import InputError
from pipeline.gpus import cards, reservation
from pipeline.gpus.cards import Card
from pipeline.gpus.reservation import reserved, reserved_for_stage

TWO = [Card(f"GPU {index}", f"GPU-{index}/x", {"CUDA_VISIBLE_DEVICES": str(index)}) for index in range(2)]


@pytest.fixture(autouse=True)
def locks(tmp_path, monkeypatch):
    """The folder of the locks, which does not exist yet."""
    monkeypatch.setenv("LABELMINT_GPU_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(reservation, "_POLL_SECONDS", 0.01)
    return tmp_path / "locks"


def never() -> bool:
    return False


def test_each_card_has_one_holder():
    with reserved(TWO) as first, reserved(TWO) as second, reserved(TWO, never) as third:
        assert first.name == "GPU 0"
        assert first.environment == {"CUDA_VISIBLE_DEVICES": "0", "LABELMINT_GPU": "GPU 0"}
        assert second.environment["CUDA_VISIBLE_DEVICES"] == "1"
        assert (third.name, third.environment, third.descriptors) == ("", {}, ())
    with reserved(TWO) as again:
        assert again.name == "GPU 0"


def test_the_first_free_card_is_taken():
    with reserved(TWO[:1]), reserved(TWO) as second:
        assert second.name == "GPU 1"


def test_an_error_returns_the_card():
    with pytest.raises(ZeroDivisionError), reserved(TWO[:1]):
        1 / 0  # noqa: B018
    with reserved(TWO[:1], never) as again:
        assert again.name == "GPU 0"


def test_a_second_holder_waits_and_says_so_once():
    lines: list[str] = []
    taken = threading.Event()

    def take() -> None:
        with reserved(TWO, report=lines.append) as second:
            assert second.name == "GPU 1"
            taken.set()

    with reserved(TWO):
        with reserved(TWO):
            thread = threading.Thread(target=take)
            thread.start()
            assert not taken.wait(0.1)
        assert taken.wait(10)
        thread.join()
    assert lines == ["waiting for GPU 0 or GPU 1, in use by other stages"]


def test_a_process_that_inherits_the_lock_holds_the_card():
    with reserved(TWO[:1]) as first:
        (descriptor,) = first.descriptors
        assert not os.get_inheritable(descriptor), "a stage's own processes do not hold it"
        copy = os.dup(descriptor)
    with reserved(TWO[:1], never) as second:
        assert second.name == ""
    os.close(copy)
    with reserved(TWO[:1], never) as third:
        assert third.name == "GPU 0"


def test_other_users_may_lock_the_same_cards(locks):
    before = os.umask(0o077)
    try:
        with reserved(TWO[:1]):
            assert locks.stat().st_mode & 0o7777 == 0o1777
            (file,) = locks.iterdir()
            assert file.name == "GPU-0_x.lock"
            assert file.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_no_other_file_is_opened(locks, tmp_path):
    """Another user may have left something else in the folder of all users."""
    locks.mkdir()
    (locks / "GPU-0_x.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="GPU-0_x.lock: the lock of a GPU cannot be opened"), reserved(TWO):
        pass
    assert not (tmp_path / "victim").exists()


class TestStage:
    """A stage that no flow has started."""

    @pytest.fixture
    def root(self, tmp_path, monkeypatch):
        """A project with one GPU stage, on a machine with two cards."""
        (tmp_path / "dvc.yaml").write_text("stages: {train: {cmd: x, meta: {gpu: true}}, prepare: {cmd: x}}")
        gpus = [SimpleNamespace(uuid="GPU-0"), SimpleNamespace(uuid="GPU-1")]
        monkeypatch.setattr(cards, "nvidia_gpus", lambda: gpus)
        for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LABELMINT_GPU", "RANK"):
            monkeypatch.delenv(name, raising=False)
        return tmp_path

    @staticmethod
    def seen(root, stage: str, device: str = "auto") -> str | None:
        with reserved_for_stage(root, stage, device):
            return os.environ.get("CUDA_VISIBLE_DEVICES")

    def test_takes_the_first_free_card(self, root):
        assert self.seen(root, "train") == "0"
        with reserved(cards.cards_of("auto", {})):
            assert self.seen(root, "train") == "1"
        assert not {"CUDA_VISIBLE_DEVICES", "LABELMINT_GPU"} & set(os.environ)

    def test_keeps_to_the_cards_of_the_user(self, root, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
        assert self.seen(root, "train") == "1"
        assert self.seen(root, "train", "cuda:1") == "1,0"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,0"

    @pytest.mark.parametrize(
        ("stage", "device", "variable"),
        [
            ("prepare", "auto", ""),
            ("train", "cpu", ""),
            ("train", "auto", "LABELMINT_GPU"),  # reserved by a flow
            ("train", "auto", "RANK"),  # of torchrun: several cards for one stage
        ],
    )
    def test_takes_none(self, root, monkeypatch, stage, device, variable):
        if variable:
            monkeypatch.setenv(variable, "0")
        assert self.seen(root, stage, device) is None

    def test_a_folder_without_dvc_yaml_has_no_gpu_stage(self, root):
        (root / "dvc.yaml").unlink()
        assert self.seen(root, "train") is None
