from __future__ import annotations

from pipeline.doctor import project
from tests.unit.pipeline.doctor.findings import only


class TestParams:
    def test_valid(self, root):
        assert only(project.params(root)).says == "digits, 4 arms of dcgan"

    def test_invalid(self, root):
        text = (root / "params.yaml").read_text()
        (root / "params.yaml").write_text(text.replace("\n  epochs: 10 ", "\n  epoch: 10 "))
        found = only(project.params(root))
        assert found.state == "problem"
        assert "did you mean 'epochs'" in found.says
        # Checks that need settings are silent about it.
        assert list(project.raw_data(root)) == []
        assert only(project.weights(root)).state == "ok"


class TestWeights:
    def test_imagenet_weights_are_searched_in_the_mirror(self, root, monkeypatch, change):
        change("classifier", weights="imagenet")
        found = only(project.weights(root))
        assert found.state == "note"
        assert "efficientnet-b0-355c32eb.pth is not in data/raw" in found.says
        (root / "mirror").mkdir()
        (root / "mirror" / "efficientnet-b0-355c32eb.pth").touch()
        monkeypatch.setenv("LABELMINT_MIRROR", str(root / "mirror"))
        assert only(project.weights(root)).state == "ok"

    def test_missing_file_is_a_problem(self, root, change):
        change("classifier", weights="mine.pth")
        assert only(project.weights(root)).state == "problem"


class TestRawData:
    def test_bundled_data_need_no_files(self, root):
        assert only(project.raw_data(root)).says == "digits"

    def test_missing_files_are_a_problem(self, root, change):
        change("dataset", name="mine", format="imagefolder", path="data/raw/mine.tar")
        found = only(project.raw_data(root))
        assert found.state == "problem"
        assert found.fix == "labelmint import DIR --name mine --force"

    def test_missing_mirror_is_a_problem(self, root, monkeypatch):
        monkeypatch.setenv("LABELMINT_MIRROR", str(root / "nowhere"))
        assert "is no folder" in only(project.raw_data(root)).says


def test_waiting_records_are_noted(root):
    assert only(project.records(root)).state == "ok"
    (root / ".tracking" / "1-prepare-7").mkdir(parents=True)
    (root / ".tracking" / "1-prepare-7" / "run.json").touch()
    found = only(project.records(root))
    assert "1 runs have not reached MLflow" in found.says
    assert found.fix.startswith("labelmint sync")


def test_folder_without_dvc_is_a_problem(root):
    assert "no DVC project" in only(project.dvc(root)).says
