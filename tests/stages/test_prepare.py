"""Reading, splitting, sizing, and what is refused."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmint.data import download
from labelmint.data.preprocess import content_hash
from labelmint.data.settings import Dataset
from labelmint.data.sources import read
from labelmint.data.storage.splits import count, derive_seed, hold_out, subset
from labelmint.data.storage.tensors import load_set, save_checksums, save_set
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError
from stages import prepare as run
from tests.conftest import ROOT


class TestSplits:
    labels = np.repeat(np.arange(4), [10, 25, 7, 100])

    @given(seed=st.integers(0, 2**31), smaller=st.integers(1, 100), larger=st.integers(1, 100))
    @settings(max_examples=40, deadline=None)
    def test_subsets_of_one_seed_nest_and_are_stratified(self, seed, smaller, larger):
        smaller, larger = sorted((smaller, larger))
        few, many = subset(self.labels, smaller, seed), subset(self.labels, larger, seed)
        assert set(few) <= set(many)
        for label, total in enumerate(np.bincount(self.labels)):
            assert (self.labels[few] == label).sum() == count(total, smaller)

    def test_everything_at_100_percent(self):
        assert subset(self.labels, 100, 3).tolist() == list(range(len(self.labels)))

    def test_seeds_draw_different_subsets(self):
        assert subset(self.labels, 40, 0).tolist() != subset(self.labels, 40, 1).tolist()

    def test_a_class_keeps_its_draw_when_others_change(self):
        alone = subset(self.labels[:35], 40, 0)
        assert alone.tolist() == [index for index in subset(self.labels, 40, 0) if index < 35]

    def test_hold_out_is_a_partition(self):
        rest, held = hold_out(self.labels, 20, 0, "test")
        assert sorted([*rest, *held]) == list(range(len(self.labels)))
        assert np.bincount(self.labels[held]).tolist() == [2, 5, 1, 20]

    def test_seeds_of_different_purposes_differ(self):
        assert len({derive_seed(0, "a"), derive_seed(0, "b"), derive_seed(1, "a"), derive_seed(0, "a", 1)}) == 4

    def test_known_seed(self):
        # A changed derivation would silently change every published result.
        assert derive_seed(0, "subset", 3) == int.from_bytes(hashlib.sha256(b"0/subset/3").digest()[:8], "big") >> 1


class Files(http.server.SimpleHTTPRequestHandler):
    """A file server that understands `Range`, and cuts the first answer short when told to."""

    cut = 0
    asked: list = []

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        content, start = path.read_bytes(), 0
        type(self).asked.append(self.headers.get("Range"))
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if type(self).cut:
            body, type(self).cut = body[: type(self).cut], 0
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """(base URL, folder) of a file server on loopback."""
    folder = tmp_path / "served"
    folder.mkdir()
    Files.cut, Files.asked = 0, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=folder)) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}", folder
        served.shutdown()
        thread.join()


class TestDownload:
    def test_looks_in_raw_then_mirror_then_address(self, tmp_path, server, monkeypatch):
        url, served = server
        raw, mirror = tmp_path / "raw", tmp_path / "mirror"
        (served / "x.gz").write_text("published")
        assert download.locate(["MNIST/x.gz"], raw, [f"{url}/x.gz"]).read_text() == "published"
        (raw / "MNIST" / "x.gz").unlink()
        (mirror / "MNIST").mkdir(parents=True)
        (mirror / "MNIST" / "x.gz").write_text("mirrored")
        monkeypatch.setenv(download.MIRROR, str(mirror))
        assert download.locate(["MNIST/x.gz"], raw, [f"{url}/x.gz"]).read_text() == "mirrored"
        (raw / "MNIST" / "x.gz").write_text("own")
        assert download.locate(["MNIST/x.gz"], raw, [f"{url}/x.gz"]).read_text() == "own"

    def test_a_mirror_may_be_an_address(self, tmp_path, server, monkeypatch):
        url, served = server
        (served / "MNIST").mkdir()
        (served / "MNIST" / "x").write_text("mirrored")
        monkeypatch.setenv(download.MIRROR, url + "/")
        assert download.locate(["MNIST/x"], tmp_path / "raw", []).read_text() == "mirrored"

    def test_goes_on_after_a_cut(self, tmp_path, server):
        url, served = server
        content = bytes(range(256)) * 40
        (served / "x").write_bytes(content)
        Files.cut = 1000
        path = download.download(f"{url}/x", tmp_path / "x")
        assert path.read_bytes() == content
        assert Files.asked == [None, "bytes=1000-"]
        assert not path.with_name("x.part").exists()

    def test_starts_over_when_the_part_is_too_long(self, tmp_path, server):
        url, served = server
        (served / "x").write_text("short")
        (tmp_path / "x.part").write_text("longer than the file")
        assert download.download(f"{url}/x", tmp_path / "x").read_text() == "short"

    def test_says_every_place_it_tried(self, tmp_path, server, monkeypatch):
        monkeypatch.setenv(download.MIRROR, str(tmp_path / "mirror"))
        with pytest.raises(InputError) as error:
            download.locate(["a/x"], tmp_path / "raw", [f"{server[0]}/x", "http://127.0.0.1:9/x"])
        for part in ("raw/a/x", "mirror/a/x", "404", "refused", download.MIRROR):
            assert part in str(error.value)

    def test_only_http_is_fetched(self, tmp_path, monkeypatch):
        (tmp_path / "x").write_text("a file of this machine")
        monkeypatch.setenv(download.MIRROR, tmp_path.as_uri())
        with pytest.raises(InputError, match="only http:// and https://"):
            download.locate(["x"], tmp_path / "raw", [])
        assert not (tmp_path / "raw" / "x").exists()


class TestRun:
    def test_digits_are_all_there_and_apart(self, tmp_path):
        source = read(Dataset(), tmp_path, tmp_path)
        train, validation, test = run.split(source, Dataset())
        assert len(source.labels) == 1797
        assert sorted([*train, *test]) == list(range(1797)) and not len(validation)
        with source.images.open() as image:
            assert image(0).shape == (8, 8) and image(0).max() == 239  # 15 of 16

    def test_writes_what_it_promises(self, workspace, params):
        images, labels = load_set(workspace.tensors)
        test_images, test_labels = load_set(workspace.test_tensors)
        manifest = load_json(workspace.tensors / "manifest.json")
        assert images.shape == (120, 1, 16, 16) and test_images.shape == (120, 1, 16, 16)
        assert manifest["train"]["sha256_16"] == [f"{content_hash(image):016x}" for image in images]
        assert not set(manifest["train"]["sha256_16"]) & set(manifest["test"]["sha256_16"])
        assert not set(manifest["train"]["source_index"]) & set(manifest["test"]["source_index"])
        assert manifest["subsets"]["0"]["50"] == subset(labels, 50, 0).tolist()
        assert manifest["preprocessing"]["resize_filter"] == "bicubic"
        # Nothing but the manifest may know of percents and seeds, or a new one would make every stage stale.
        assert "subsets" not in load_json(workspace.tensors / "dataset.json")

    def test_validation_is_held_out_of_what_the_test_set_leaves(self, run_stage, project):
        assert run_stage("prepare", validation_percent=10)[0] == 0
        parts = [project / "data/tensors" / name for name in ("", "validation", "test")]
        sizes = [len(load_set(part)[1]) for part in parts]
        manifest = load_json(parts[0] / "manifest.json")
        places = [manifest[name]["source_index"] for name in ("train", "validation", "test")]
        assert sum(sizes) == 1797 and sorted(sum(places, [])) == list(range(1797))
        assert sizes[1] == pytest.approx(0.1 * (sizes[0] + sizes[1]), abs=5)
        for part, own in zip(parts, places):  # rows and places belong together
            assert len(load_set(part)[0]) == len(own)

    def test_one_process_or_two_write_the_same_bytes(self, project, run_stage):
        content = []
        for workers in ("1", "2"):
            text = (project / "params.yaml").read_text()
            (project / "params.yaml").write_text(re.sub(r"workers: \w+", f"workers: {workers}", text))
            assert run_stage("prepare", image_size=32)[0] == 0
            content.append([path.read_bytes() for path in sorted((project / "data/tensors").rglob("*.*"))])
        assert content[0] == content[1] and len(content[0]) == 11

    @pytest.mark.parametrize(
        ("train", "test", "says"),
        [
            ([0, 0, 1, 1], [0, 1], "class c: fewer than 2 training"),
            ([0, 0, 1, 1, 2, 2], [0, 2], "class b: fewer than 1 test"),
            ([0, 0, 7], [0], "run from 0 to 7"),
        ],
    )
    def test_refuses_a_class_without_images(self, train, test, says):
        with pytest.raises(InputError, match=says):
            run.check_classes(np.array(train), np.array(test), ["a", "b", "c"])

    def test_refuses_an_attribute_that_is_always_there(self):
        with pytest.raises(InputError, match="class Young: fewer than 2 training"):
            run.check_classes(np.array([[0, 1], [1, 1], [0, 1], [1, 1]]), np.array([[0, 1], [1, 0]]), ["Male", "Young"])

    def test_images_per_class_takes_few_of_each(self, tmp_path):
        params = replace(Dataset(), images_per_class=5)
        source = read(params, tmp_path, tmp_path)
        train, _, test = run.split(source, params)
        assert np.bincount(source.labels[train]).tolist() == [5] * 10 == np.bincount(source.labels[test]).tolist()

    def test_mirror_images_are_allowed_by_class(self, run_stage, project, refused):
        assert "no class 'ten'" in refused(mirror=["ten"])
        assert run_stage("prepare", mirror=["0", "8"])[0] == 0
        assert load_json(project / "data/tensors/dataset.json")["mirror"] == [True] + [False] * 7 + [True, False]

    def test_memory_stays_bounded(self, project):
        """More pixels than the process may hold: 300 MB of tensors within 100 MB of data over what the start takes."""
        rows = 25_000
        (project / "train.py").write_text(
            "import re\n"
            "import numpy as np\n"
            "from pathlib import Path\n"
            "from stages.prepare.convert import convert\n"
            "from stages.prepare.params import Compute, Dataset\n"
            "from stages.prepare.sources.source import Source\n"
            "from stages.prepare.sources.storage import Block, RecordImages\n"
            "from stages.prepare.tensors import keep_rows\n"
            "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024\n"
            f"rows = {rows}\n"
            "Path('x').write_bytes(b''); open('x', 'r+b').truncate(rows * 64 * 64)\n"
            "images = RecordImages([Block(Path('x'), 0, 64 * 64, rows)], (64, 64), 'HW')\n"
            "source = Source('zeros', '', ['a'], np.zeros(rows, np.int64), images)\n"
            "before = peak()\n"
            "convert(source, np.arange(rows), Dataset(image_size=64, channels=3), Path('images.npy'), Compute(workers=1))\n"
            "keep_rows(Path('images.npy'), np.arange(1, rows))\n"
            "print(peak() - before, Path('images.npy').stat().st_size)\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "train.py"], cwd=project, env=environment, capture_output=True, text=True, check=True
        )
        grown, size = map(float, done.stdout.split())
        assert size > 2.9e8 and grown < 100


def flip(path: Path, place: int = -1) -> None:
    """One bit, and no time: as a disk does it, unseen by DVC."""
    facts, content = path.stat(), bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


class TestTensors:
    @pytest.mark.parametrize(
        ("spoil", "says"),
        [
            (lambda folder: (folder / "labels.npy").unlink(), "labels.npy is missing"),
            (lambda folder: (folder / "checksums.json").unlink(), "checksums.json is missing"),
            (lambda folder: (folder / "checksums.json").write_text("[]"), "images.npy: damaged, its checksum"),
            (
                lambda folder: (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:-5]),
                "images.npy: damaged, its checksum is not the one in checksums.json; delete it",
            ),
            (lambda folder: flip(folder / "images.npy"), "images.npy: damaged, its checksum"),
            (lambda folder: flip(folder / "labels.npy"), "labels.npy: damaged, its checksum"),
        ],
    )
    def test_refuses_damaged_files(self, tmp_path, noise, spoil, says):
        save_set(tmp_path, noise, np.zeros(len(noise), np.int64))
        spoil(tmp_path)
        with pytest.raises(InputError, match=says):
            load_set(tmp_path)

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("images.npy", b"", "damaged array"),
            ("labels.npy", np.zeros(3, np.int64), "expected uint8 images"),
            ("labels.npy", np.array([{}], object), "damaged array"),
        ],
    )
    def test_refuses_what_somebody_else_vouches_for(self, tmp_path, noise, name, content, says):
        save_set(tmp_path, noise, np.zeros(len(noise), np.int64))
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            np.save(tmp_path / name, content)
        save_checksums(tmp_path)
        with pytest.raises(InputError, match=says):
            load_set(tmp_path)
