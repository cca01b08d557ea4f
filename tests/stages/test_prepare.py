"""Reading, splitting, sizing, and what is refused."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import struct
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.prepare import download, run, sources
from stages.prepare.errors import InputError
from stages.prepare.files import load_json
from stages.prepare.idx import read_idx
from stages.prepare.params import Dataset
from stages.prepare.preprocess import content_hashes, to_size
from stages.prepare.splits import count, derive_seed, hold_out, subset
from stages.prepare.tensors import load_set, save_set


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


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


class TestIdx:
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)

    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_reads_plain_and_gzipped(self, tmp_path, pack):
        path = tmp_path / "images"
        path.write_bytes(pack(idx_bytes(self.images)))
        assert (read_idx(path, 3) == self.images).all()

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (idx_bytes(images)[:-1], "promises 24 bytes, the file holds 23"),
            (idx_bytes(images) + b"x", "promises 24 bytes, the file holds 25"),
            (b"\0\0", "too few for an idx header"),
            (b"\0\0\x0d\x03" + idx_bytes(images)[4:], "not an idx file of bytes in 3 dimensions"),
            (b"<html>" + b"x" * 40, "not an idx file"),
            (gzip.compress(idx_bytes(images))[:-9], "damaged gzip"),
            (gzip.compress(idx_bytes(images))[:12] + b"\xff" * 20, "damaged gzip"),
        ],
    )
    def test_refuses_what_is_cut_or_foreign(self, tmp_path, content, says):
        path = tmp_path / "images"
        path.write_bytes(content)
        with pytest.raises(InputError, match=says) as error:
            read_idx(path, 3)
        assert str(path) in str(error.value) and "\n" not in str(error.value)

    def test_checks_the_sum_before_parsing(self, tmp_path):
        path = tmp_path / "images"
        path.write_bytes(idx_bytes(self.images))
        assert read_idx(path, 3, hashlib.md5(path.read_bytes()).hexdigest()).shape == (2, 3, 4)
        with pytest.raises(InputError, match="checksum"):
            read_idx(path, 3, "0" * 32)


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
        (raw / "x.gz").unlink()
        (mirror / "MNIST").mkdir(parents=True)
        (mirror / "MNIST" / "x.gz").write_text("mirrored")
        monkeypatch.setenv(download.MIRROR, str(mirror))
        assert download.locate(["MNIST/x.gz"], raw, [f"{url}/x.gz"]).read_text() == "mirrored"
        (raw / "MNIST").mkdir()
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


class TestPreprocess:
    def test_pads_around_the_image(self):
        images = np.full((1, 2, 2), 9, np.uint8)
        padded = to_size(images, Dataset(image_size=4, fit="pad", channels=3))
        assert padded.shape == (1, 3, 4, 4)
        assert padded[0, 0].tolist() == [[0, 0, 0, 0], [0, 9, 9, 0], [0, 9, 9, 0], [0, 0, 0, 0]]

    def test_will_not_crop_to_pad(self):
        with pytest.raises(InputError, match="28x28 and image_size is 16"):
            to_size(np.zeros((1, 28, 28), np.uint8), Dataset(image_size=16, fit="pad"))

    def test_resizes_with_the_filter_that_was_named(self):
        images = np.zeros((1, 8, 8), np.uint8)
        images[0, :, 4:] = 200
        hard = to_size(images, Dataset(image_size=16, resize_filter="nearest"))
        soft = to_size(images, Dataset(image_size=16, resize_filter="bilinear"))
        assert set(np.unique(hard)) == {0, 200}
        assert len(np.unique(soft)) > 2

    def test_equal_images_have_equal_hashes(self, noise):
        hashes = content_hashes(np.concatenate([noise, noise[:1]]))
        assert hashes[-1] == hashes[0] and len(set(hashes)) == len(noise)


class TestRun:
    def test_digits_are_all_there_and_apart(self, tmp_path):
        source = sources.read_digits(tmp_path)
        train, test = run.split(source, Dataset())
        assert len(source.train.labels) == 1797
        assert sorted([*train.source_index, *test.source_index]) == list(range(1797))
        assert source.train.images.max() == 255

    def test_writes_what_it_promises(self, workspace, params):
        images, labels = load_set(workspace.tensors)
        test_images, test_labels = load_set(workspace.test_tensors)
        manifest = load_json(workspace.tensors / "manifest.json")
        assert images.shape == (120, 1, 16, 16) and test_images.shape == (120, 1, 16, 16)
        assert manifest["train"]["sha256_16"] == content_hashes(np.asarray(images))
        assert not set(manifest["train"]["sha256_16"]) & set(manifest["test"]["sha256_16"])
        assert not set(manifest["train"]["source_index"]) & set(manifest["test"]["source_index"])
        assert manifest["subsets"]["0"]["50"] == subset(labels, 50, 0).tolist()
        assert manifest["preprocessing"]["resize_filter"] == "bicubic"
        # Nothing but the manifest may know of percents and seeds, or a new one would make every stage stale.
        assert "subsets" not in load_json(workspace.tensors / "dataset.json")

    def test_real_mnist(self, mnist, monkeypatch, tmp_path):
        monkeypatch.setenv(download.MIRROR, str(mnist))
        source = sources.read_mnist(tmp_path)
        assert source.train.images.shape == (60000, 28, 28) and source.test.images.shape == (10000, 28, 28)
        assert np.bincount(source.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        assert round(float(source.train.images.mean()), 2) == 33.32

    def test_drops_or_refuses_training_images_that_stand_in_the_test_set(self):
        kept, dropped = run.without_test_images(["a", "b", "c", "b"], ["b"], "drop")
        assert (kept.tolist(), dropped.tolist()) == ([0, 2], [1, 3])
        with pytest.raises(InputError, match="2 training images also stand in the test set"):
            run.without_test_images(["a", "b", "c", "b"], ["b"], "refuse")

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

    def test_images_per_class_takes_few_of_each(self, tmp_path):
        train, test = run.split(sources.read_digits(tmp_path), replace(Dataset(), images_per_class=5))
        assert np.bincount(train.labels).tolist() == [5] * 10 == np.bincount(test.labels).tolist()


class TestTensors:
    @pytest.mark.parametrize(
        ("spoil", "says"),
        [
            (lambda folder: (folder / "labels.npy").unlink(), "labels.npy is missing"),
            (
                lambda folder: (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:-5]),
                "damaged array",
            ),
            (lambda folder: (folder / "images.npy").write_bytes(b""), "damaged array"),
            (lambda folder: np.save(folder / "labels.npy", np.zeros(3, np.int64)), "expected uint8 images"),
            (lambda folder: np.save(folder / "labels.npy", np.array([{}], object)), "damaged array"),
        ],
    )
    def test_refuses_damaged_arrays(self, tmp_path, noise, spoil, says):
        save_set(tmp_path, noise, np.zeros(len(noise), np.int64))
        spoil(tmp_path)
        with pytest.raises(InputError, match=says):
            load_set(tmp_path)
