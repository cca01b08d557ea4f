"""What stages and commands leave for those after them, spoiled at random: the report, `results`, `sample` and a resumed sample."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmint.runtime.atomic_files import load_json
from pipeline import stage
from stages.paths import Arm
from tests.conftest import ROOT
from tests.fuzz.conftest import bounded
from tests.fuzz.mutations import spoiled_bytes, spoiled_tree
from tests.fuzz.test_settings import called
from tests import random_arms

ARM = Arm("dcgan", 100, 0)
READ_BY_REPORT = [
    "data/tensors/dataset.json",
    "data/tensors/manifest.json",
    f"data/metrics/{ARM.name}.json",
    f"data/generators/{ARM.name}/architecture.json",
    f"data/generators/{ARM.name}/training.csv",
    f"data/timings/train_generators/{ARM.name}.json",
]


@pytest.fixture(scope="module")
def reported(params, tmp_path_factory) -> Path:
    """Of one arm and two classes."""
    root = tmp_path_factory.mktemp("reported")
    random_arms.report(root, replace(params, generators=["dcgan"], percents=[100]), ["a", "b"])
    text = (ROOT / "experiments" / "default.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("percents: [40, 60, 80, 100]", "percents: [100]", 1))
    shutil.copy(ROOT / "dvc.yaml", root)
    return root


@st.composite
def spoiled_file(draw, path: Path) -> bytes:
    """As bytes that may be nothing at all, or as JSON that says other things."""
    content = path.read_bytes()
    if path.suffix != ".json" or draw(st.booleans()):
        return draw(spoiled_bytes(content))
    return json.dumps(draw(spoiled_tree(json.loads(content)))).encode()


@bounded
@given(data=st.data())
def test_report(reported, data, monkeypatch, capfd):
    """A page, or one line that names the file at fault; a page that was there is not half another."""
    path = reported / data.draw(st.sampled_from(READ_BY_REPORT))
    assert path.exists(), path
    good, page = path.read_bytes(), reported / "reports" / "index.html"
    path.write_bytes(data.draw(spoiled_file(path)))
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
        assert path.name in lines[0] and str(reported) in lines[0], lines
    assert page.read_text().rstrip().endswith("</html>") and "<script>alert" not in page.read_text()


@bounded
@given(data=st.data(), name=st.sampled_from(["summary.json", "results.md", "results.csv"]))
def test_results(reported, data, name):
    path = reported / "reports" / name
    good = path.read_bytes()
    path.write_bytes(data.draw(spoiled_file(path)))
    try:
        for arguments in (["results"], ["results", "--json"], ["experiments"]):
            code, out, err = called(reported, arguments)
            assert code in (0, 2) and "Traceback" not in out + err, err
            assert code == 0 or err.startswith("error: "), err
    finally:
        path.write_bytes(good)


@bounded
@given(data=st.data(), state=st.booleans())
def test_a_sample_that_goes_on(tmp_path_factory, generator, data, state):
    """What a stopped one left, spoiled: refused with nothing touched, or finished to the images that it would have made."""
    root = tmp_path_factory.mktemp("samples")
    options = ["--count", "9", "--seed", "3", "--workers", "1", "--format", "tensors", "--out"]
    command = ["sample", str(generator), *options]
    assert called(root, [*command, "whole"])[0] == 0
    whole = (root / "whole" / "images.npy").read_bytes()
    shutil.copytree(root / "whole", root / "stopped")
    path = root / "stopped" / ".sample.json"
    facts = load_json(path)
    if state:
        path.write_text(json.dumps(data.draw(spoiled_tree(facts))))
    else:
        path.write_bytes(data.draw(spoiled_bytes(path.read_bytes())))
    before = {each.name: each.read_bytes() for each in (root / "stopped").iterdir()}
    code, _, err = called(root, [*command, "stopped"])
    after = {each.name: each.read_bytes() for each in (root / "stopped").iterdir()}
    assert code in (0, 2), err
    if code:
        assert len(err.splitlines()) == 1 and "stopped" in err and after == before, err
    else:
        assert after["images.npy"] == whole
