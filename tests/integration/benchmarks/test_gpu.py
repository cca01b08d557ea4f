"""The benchmark of a machine with a GPU in its tiny form: its file of results, and its resuming."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_slices import correctness, mnist, science, speed
from benchmarks.gpu_slices.bench import Bench, NotNowError
from labelmint.runtime.devices import threads
from tests.conftest import CPU, ROOT

_ABSENT = (
    *("dvc", "prefect", "mlflow", "distributed", "lmdb", "matplotlib", "pandas", "pynvml", "pytest", "rich"),
    *("torch_fidelity", "torchvision", "typer"),
)
"""Packages that a bare machine with a GPU lacks."""


@pytest.fixture(autouse=True)
def one_thread():
    with threads(1):
        yield


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A function: runs the command with a slice of these items. Returns (records, output)."""
    path = tmp_path / "gpu.json"

    def call(slice_name, items, *options):
        module = SimpleNamespace(items=lambda bench: items, summarize=lambda results: {"line": "a line"})
        monkeypatch.setitem(gpu.SLICES, slice_name, module)
        words = ["benchmarks/gpu.py", "--tiny", "--out", str(path), "--only", slice_name, *options]
        monkeypatch.setattr(sys, "argv", words)
        gpu.main()
        return json.loads(path.read_text())["slices"] if path.exists() else {}, capsys.readouterr().out

    return call


def some(module, device, names):
    """These items of a slice in its tiny form."""
    all_items = module.items(Bench(device, tiny=True))
    return {name: all_items[name] for name in names}


@pytest.mark.parametrize(
    "device",
    [
        CPU,
        pytest.param(
            torch.device("cuda"),
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
        ),
    ],
    ids=str,
)
def test_results_equal_the_cpu_and_a_finished_slice_is_skipped(run, device):
    names = [
        *("dcgan, fp32", "projection_cgan, bf16", "linear, fp32"),
        *("feature network, fp32", "sampling, fp32", "twice, deterministic"),
    ]
    chosen = some(correctness, device, names)
    options = ("--device", device.type)
    records, output = run("correctness", chosen, *options)
    record = records["correctness"]
    assert record.keys() >= {
        *("date", "card", "torch", "cuda", "cudnn", "commit", "seeds", "command", "tiny", "seconds"),
        *("results", "not_measured", "summary"),
    }
    assert list(record["results"]) == names and record["not_measured"] == []
    assert all(found["equal"] for found in record["results"].values())
    error = record["results"]["dcgan, fp32"]["captured"]["relative_error_of_tracked"]
    assert error == 0 or device.type == "cuda"
    assert "correctness: a line" in output
    summary = correctness.summarize(record["results"])
    assert summary["correct"] and summary["line"].startswith("6 of 6 equal the CPU")

    again, output = run("correctness", dict.fromkeys(chosen, lambda: 1 / 0), *options)
    assert again == records and "already in" in output


def test_a_difference_is_reported():
    found = {
        "a, fp32": {"eager": {"relative_error_of_tracked": 0.5}, "equal": False},
        "b, fp32": {"error": "RuntimeError: no"},
    }
    summary = correctness.summarize(found)
    assert summary["different"] == ["a, fp32"] and summary["failed"] == ["b, fp32"]
    assert not summary["correct"]


def test_speed_is_put_beside_the_script(run):
    names = [
        *(speed.CEILING, "GFLOP per step of one replica"),
        *(f"{speed.MNIST}: together, tf32, 2", f"{speed.MNIST}: script"),
    ]
    records, _ = run("speed", some(speed, CPU, names), "--device", "cpu")
    found = records["speed"]["results"]
    ours, script = found[names[2]], found[names[3]]
    assert ours["images_per_second"] == pytest.approx(2 * 8 / ours["ms_per_step"] * 1e3)
    summary = speed.summarize(found)
    assert summary["over_script"][names[2]] == pytest.approx(script["ms_per_step"] / ours["ms_per_step"])
    assert 0 < summary["fraction_of_matrix_products"][names[2]] < 2


def test_an_interrupted_slice_resumes_with_what_is_missing(run):
    def too_long():
        raise NotNowError("too long")

    records, output = run("speed", {"one": lambda: {"a": float("nan")}, "two": too_long, "three": dict})
    record = records["speed"]
    assert record["results"] == {"one": {"a": None}, "three": {}} and record["not_measured"] == ["two"]
    assert "1 not measured" in output
    records, _ = run("speed", {"one": too_long, "two": lambda: {"b": 2}, "three": too_long})
    assert records["speed"]["results"] == {"one": {"a": None}, "three": {}, "two": {"b": 2}}
    assert records["speed"]["not_measured"] == []


def test_what_fails_is_a_result_and_time_stops_between_items(run):
    records, _ = run("speed", {"one": lambda: 1 / 0})
    assert records["speed"]["results"]["one"] == {"error": "ZeroDivisionError: division by zero"}
    records, output = run("mnist", {"one": dict}, "--seconds", "0")
    assert "mnist" not in records and "nothing measured" in output


def test_results_of_another_machine_are_not_mixed(run, monkeypatch):
    run("speed", {"one": dict})
    monkeypatch.setattr(gpu, "card", lambda bench: "another card")
    with pytest.raises(SystemExit, match="name another file"):
        run("speed", {"one": dict, "two": dict})


def test_science_gives_a_row_of_each_source_per_classifier(run):
    (item,) = science.SLICES["cifar10-100"].items(Bench(CPU, tiny=True)).values()
    records, _ = run("cifar10-100", {"rows": item})
    found = records["cifar10-100"]["results"]["rows"]
    assert [(row["network"], row["source"]) for row in found["rows"]] == [
        (network, source)
        for network in ("efficientnet-b0", "torchvision/resnet18")
        for source in ("real", "synthetic", "synthetic_distilled")
    ]
    for row in found["rows"]:
        assert 0 <= row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"] <= 1
    assert found["steps_of_generators"] == 2 and found["seed"] == 0
    assert found["settings"]["dataset"] == "digits"  # the tiny form downloads nothing
    assert found["seconds"].keys() >= {"prepare", "train_generators", "synthesize"}
    line = science.SLICES["cifar10-100"].summarize(records["cifar10-100"]["results"])["line"]
    assert line.startswith("efficientnet-b0 of real ")


def test_science_waits_for_the_files_of_its_data_set(run, tmp_path):
    items = science.SLICES["mnist-40"].items(Bench(CPU, data=tmp_path))
    records, output = run("mnist-40", items)
    assert not records
    assert f"{tmp_path} has no files of mnist, and none are downloaded here" in output


def test_a_larger_size_needs_enough_time():
    bench = Bench(CPU, seconds=100.0)
    bench.results = {"1/64": {"total_seconds": 30.0}}
    with pytest.raises(NotNowError, match="expected to take 120 s"):
        mnist.items(bench)["1/16"]()


def test_seconds_of_the_full_experiment_are_extrapolated():
    results = {
        name: {
            "size": size,
            "seconds": {"a": 10 + 100 * size},
            "total_seconds": 10 + 100 * size,
            "changed": {},
        }
        for name, size in (("1/16", 1 / 16), ("1/4", 1 / 4))
    }
    summary = mnist.summarize(results)
    assert summary["extrapolated_seconds"]["a"] == pytest.approx(110)
    assert summary["line"].endswith("110 s")


def test_the_command_needs_no_package_of_the_pipeline():
    code = f"import sys; sys.modules.update(dict.fromkeys({_ABSENT!r})); import benchmarks.gpu"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
