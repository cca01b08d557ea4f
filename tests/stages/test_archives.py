"""Archives of images: everything that strangers' archives hold, and a stage that is cut off while it reads one."""

from __future__ import annotations

import gzip
import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zipfile

import pytest

from pipeline import stage
from tests.conftest import ROOT
from tests.image_trees import MINE, PACKERS, encoded, good_tree, in_tar, in_zip


def member(name: str, **changes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for field, value in changes.items():
        setattr(entry, field, value)
    return entry


class TestBadArchives:
    @pytest.mark.parametrize(
        ("entry", "says"),
        [
            (member("../outside.png"), "'../outside.png' would lead out of the archive"),
            (member("cat/../../outside.png"), "would lead out of the archive"),
            (member("/etc/outside.png"), "'/etc/outside.png' would lead out of the archive"),
            (member("C:\\outside.png"), "would lead out of the archive"),
            (member("cat/link.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "'cat/link.png' is a link"),
            (member("cat/link.png", type=tarfile.LNKTYPE, linkname="cat/0.png"), "'cat/link.png' is a link"),
            (member("cat/null.png", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "is a device or special file"),
            (member("cat/disk.png", type=tarfile.BLKTYPE), "is a device or special file"),
            (member("cat/pipe.png", type=tarfile.FIFOTYPE), "is a device or special file"),
        ],
    )
    @pytest.mark.parametrize("mode", ["w", "w:gz"])
    def test_tar_members_that_lead_elsewhere(self, refused, project, entry, says, mode):
        path = in_tar(project / "t.tar", good_tree())
        with tarfile.open(path, "a") as archive:
            archive.addfile(entry)
        if mode == "w:gz":
            path.write_bytes(gzip.compress(path.read_bytes()))
        assert says in refused(**MINE, path=str(path))

    @pytest.mark.parametrize("name", ["../outside.png", "/outside.png", "cat\\..\\..\\outside.png"])
    def test_zip_members_that_lead_elsewhere(self, refused, project, name):
        path = in_zip(project / "t.zip", good_tree() | {name: encoded()})
        assert "would lead out of the archive" in refused(**MINE, path=str(path))
        assert not (project.parent / "outside.png").exists()

    def test_a_link_in_a_zip(self, refused, project):
        path = in_zip(project / "t.zip", good_tree())
        with zipfile.ZipFile(path, "a") as archive:
            entry = zipfile.ZipInfo("cat/link.png")
            entry.external_attr = 0o120777 << 16
            archive.writestr(entry, "/etc/passwd")
        assert "'cat/link.png' is a link" in refused(**MINE, path=str(path))

    def test_an_encrypted_zip(self, refused, project):
        path = in_zip(project / "t.zip", good_tree())
        content = bytearray(path.read_bytes())
        place = content.find(b"PK\x01\x02")
        content[place + 8] |= 1
        path.write_bytes(content)
        assert "is encrypted; make the archive without a password" in refused(**MINE, path=str(path))

    def test_zip_bombs(self, refused, project):
        path = project / "t.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in good_tree().items():
                archive.writestr(name, content)
            archive.writestr("cat/bomb.png", bytes(64 << 20))
        assert "'cat/bomb.png' swells from" in refused(**MINE, path=str(path))

    def test_a_zip_whose_members_overlap(self, refused, project):
        path = in_zip(project / "t.zip", {"cat/0.png": encoded(size=(200, 200))})
        content = path.read_bytes()
        start = content.find(b"PK\x01\x02")
        end = content.find(b"PK\x05\x06")
        entry = content[start:end]
        entries = b"".join(entry.replace(b"cat/0.png", b"cat/%d.png" % number) for number in range(10))
        tail = bytearray(content[end:])
        struct.pack_into("<HHI", tail, 8, 10, 10, len(entries))
        path.write_bytes(content[:start] + entries + tail)
        assert "its members overlap, as those of a zip bomb do" in refused(**MINE, path=str(path))

    def test_a_gzip_bomb(self, refused, project, monkeypatch):
        monkeypatch.setattr("labelmint.data.archives._FREE_BYTES", 1 << 20)
        path = project / "t.tar.gz"
        path.write_bytes(gzip.compress(in_tar(project / "t.tar", {"cat/0.png": bytes(64 << 20)}).read_bytes()))
        assert "'t.tar.gz' swells from" in refused(**MINE, path=str(path))

    @pytest.mark.parametrize("packer", ["zip", "tar", "tar.gz", "tar.xz"])
    def test_a_cut_archive(self, refused, project, packer):
        path = PACKERS[packer](project, good_tree(count=30))
        path.write_bytes(path.read_bytes()[:5000])
        said = refused(**MINE, path=str(path))
        assert "damaged archive" in said or "neither a folder nor a zip or tar archive" in said

    def test_a_member_that_is_damaged(self, refused, project):
        path = in_zip(project / "t.zip", good_tree())
        content = bytearray(path.read_bytes())
        content[60:70] = b"0123456789"
        path.write_bytes(content)
        said = refused(**MINE, path=str(path))
        assert "1 of 12 images cannot be used (cat/0.png: damaged" in said

    def test_an_import_that_changed(self, refused, project):
        path = in_tar(project / "t.tar", good_tree())
        said = refused(**MINE, path=str(path), sha256="0" * 64)
        assert "dataset.sha256 is 0000000000000000…; the file changed, run `labelmint import` again" in said


class TestInterruption:
    @pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
    def test_leaves_nothing_behind_and_running_again_works(self, project, name, code):
        in_tar(
            project / "t.tar",
            {f"{label}/{n}.png": encoded(n + label * 999, size=(400, 400)) for label in (1, 2) for n in range(60)},
        )
        text = (project / "params.yaml").read_text()
        for old, new in (
            ("name: digits", "name: mine"),
            ("format: null", "format: imagefolder"),
            ("path: null", "path: t.tar"),
        ):
            text = text.replace(old, new, 1)
        (project / "params.yaml").write_text(text)
        command = [sys.executable, "-m", "pipeline.stage", "prepare"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        work, deadline = project / "data" / ".prepare" / "train" / "images.npy", time.monotonic() + 60
        while not work.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, getattr(signal, name))
        said = process.communicate(timeout=30)[1]
        assert process.returncode == code and said.strip().splitlines()[-1].startswith("error: prepare: ")
        assert not list((project / "data").iterdir())
        with pytest.raises(ProcessLookupError):  # no worker outlives it
            for _ in range(50):
                os.killpg(process.pid, 0)
                time.sleep(0.1)
        assert stage.main(["prepare"]) == 0

    def test_a_full_disk(self, project, run_stage):
        import resource

        in_tar(project / "t.tar", good_tree(count=300))
        text = (project / "params.yaml").read_text()
        for old, new in (
            ("name: digits", "name: mine"),
            ("format: null", "format: imagefolder"),
            ("path: null", "path: t.tar"),
        ):
            text = text.replace(old, new, 1)
        (project / "params.yaml").write_text(text)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.stage", "prepare"], env=environment, capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, 90_000)),
        )  # fmt: skip
        assert done.returncode == 1 and "data/.prepare/train/images.npy: no space left to write" in done.stderr
        assert not list((project / "data").iterdir())
