"""Corrupt outputs of stages and commands, read by the report, `results`, and a resumed `sample`."""

from __future__ import annotations

import json
import shutil

from hypothesis import given
from hypothesis import strategies as st

from labelmint.runtime.atomic_files import load_json
from pipeline import stage
from stages.paths import Arm
from tests.command import labelmint
from tests.integration.fuzz.bounds import bounded
from tests.integration.fuzz.mutations import corrupt_bytes, corrupt_file, corrupt_tree

ARM = Arm("dcgan", 100, 0)
READ_BY_REPORT = [
    "data/tensors/dataset.json",
    "data/tensors/manifest.json",
    f"data/metrics/{ARM.name}.json",
    f"data/generators/{ARM.name}/architecture.json",
    f"data/generators/{ARM.name}/training.csv",
    f"data/timings/train_generators/{ARM.name}.json",
]


@bounded(10)
@given(data=st.data())
def test_report(reported, data, monkeypatch, capfd):
    """The stage writes a page, or one line that names the file; an older page stays complete."""
    path = reported / data.draw(st.sampled_from(READ_BY_REPORT))
    good, page = path.read_bytes(), reported / "reports" / "index.html"
    path.write_bytes(data.draw(corrupt_file(path)))
    monkeypatch.chdir(reported)
    monkeypatch.setenv("LABELMINT_TRACKING", "off")
    capfd.readouterr()
    try:
        code = stage.main(["report"])
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    finally:
        path.write_bytes(good)
    assert code in (0, 2), lines
    assert len(lines) == (code != 0)
    if code:
        assert path.name in lines[0], lines
        assert str(reported) in lines[0], lines
    assert page.read_text().rstrip().endswith("</html>")
    assert "<script>alert" not in page.read_text()


@bounded(10)
@given(data=st.data(), name=st.sampled_from(["summary.json", "results.md", "results.csv"]))
def test_results(reported, data, name):
    path = reported / "reports" / name
    good = path.read_bytes()
    path.write_bytes(data.draw(corrupt_file(path)))
    try:
        for arguments in (["results"], ["results", "--json"], ["experiments"]):
            code, out, err = labelmint(reported, *arguments)
            assert code in (0, 2), err
            assert "Traceback" not in out + err
            assert code == 0 or err.startswith("error: "), err
    finally:
        path.write_bytes(good)


@bounded(8)
@given(data=st.data(), state=st.booleans())
def test_a_resumed_sample(tmp_path_factory, generator, data, state):
    """A corrupt state is refused and nothing changes, or the images are those of an uninterrupted sample."""
    root = tmp_path_factory.mktemp("samples")
    options = ("--count", 9, "--seed", 3, "--workers", 1, "--format", "tensors", "--out")
    assert labelmint(root, "sample", generator, *options, "complete").code == 0
    shutil.copytree(root / "complete", root / "stopped")
    path = root / "stopped" / ".sample.json"
    if state:
        path.write_text(json.dumps(data.draw(corrupt_tree(load_json(path)))))
    else:
        path.write_bytes(data.draw(corrupt_bytes(path.read_bytes())))
    before = {each.name: each.read_bytes() for each in (root / "stopped").iterdir()}
    code, _, err = labelmint(root, "sample", generator, *options, "stopped")
    after = {each.name: each.read_bytes() for each in (root / "stopped").iterdir()}
    assert code in (0, 2), err
    if code:
        assert len(err.splitlines()) == 1
        assert "stopped" in err
        assert after == before
    else:
        assert after["images.npy"] == (root / "complete" / "images.npy").read_bytes()
