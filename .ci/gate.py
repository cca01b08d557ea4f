"""Record what runs produce, and compare two recordings: the gate of the restructuring, until its issue ends.

`python .ci/gate.py record FOLDER [CASE...]` runs the cases in this checkout and keeps their files in FOLDER.
`python .ci/gate.py compare BEFORE AFTER` exits with 0 when both are equal but for renamed names, else with 1.

Weights, arrays, GIF and PNG are compared by SHA-256; JSON and CSV by value, after renaming, without seconds.
Record ee0e0c7 with the same thread settings as the checkout that is compared with it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

DATA = os.environ.get("LABELMINT_MIRROR", "../shared/data")

TINY = """
dataset: {images_per_class: 120}
percents: [40, 100]
training: {epochs: 2, images_per_epoch: 256, batch_size: 32, preview_images: 4}
synthesis: {images_per_class: 120}
classifier: {network: small_cnn, steps: 24, CHECKS: 2, batch_size: 32}
feature_network: {steps: 30, features: 32, batch_size: 32}
"""

# name -> (experiments to lay over each other, the last of which is written here; quick or not)
CASES = {
    "default": (["default"], "", False),
    "mnist_tiny": (
        ["mnist_quick"],
        TINY.replace(
            "network: small_cnn",
            "network: small_cnn, sources: [real, synthetic, mixed, real_augmented, real_bootstrap,"
            " real_shuffled, untrained,"
            " synthetic_equal, synthetic_fresh, synthetic_unaugmented, synthetic_shuffled,"
            " synthetic_residual,"
            " real_background, synthetic_blurred, real_noised, synthetic_requantized], sweep: [10, 150]",
        )
        + "metrics: {points: 300}\n",
        False,
    ),
    "representation": (
        ["default"],
        TINY.replace("percents: [40, 100]", "percents: [40]")
        + "metrics: {representation: {measured: true, labels_per_class: [10], draws: 1, iterations: 40}}\n",
        False,
    ),
    "smiling_faces": (["smiling_faces"], "", True),
    "acgan_photos": (
        ["acgan_cifar10"],
        "dataset: {name: cifar_photos, format: imagefolder, path: CIFAR, image_size: 32, channels: 3}\n"
        "training: {epochs: 2, images_per_epoch: 2560}\n",
        True,
    ),
    "families": (
        ["default"],
        TINY.replace("percents: [40, 100]", "percents: [40]")
        + "generators: [vanilla, dcgan, cgan, acgan, projection_cgan, wgan, wgan_gp, r3gan]\n",
        False,
    ),
    "attributes": (
        ["smiling_faces"],
        TINY.replace(
            "images_per_class: 120}\npercents: [40, 100]",
            "images_per_class: 200, attributes: [Male, Attractive], image_size: 16}\npercents: [40]",
        )
        + "generators: [attribute_cgan, fairness_gan]\n"
        + "metrics: {protected: Male, outcome: Attractive, bootstrap: 100}\n",
        False,
    ),
}
BINARY = {".npy", ".safetensors", ".gif", ".png"}
KEPT = (
    "data/tensors",
    "data/feature_network",
    "data/generators",
    "data/synthetic",
    "data/classifiers",
    "data/metrics",
    "data/latent_space",
    "reports/results.csv",
    "reports/summary.json",
)


def record(folder: Path, cases: list[str]) -> None:
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LABELMINT_MIRROR": str(Path(DATA).resolve()),
        "LABELMINT_TRACKING": "off",
        "DVC_NO_ANALYTICS": "1",
    }
    for name in cases or CASES:
        bases, text, quick = CASES[name]
        names = list(bases)
        if text:
            new = NEW
            text = text.replace("CHECKS", "evaluations" if new else "checks")
            if "CIFAR" in text:
                text = text.replace("CIFAR", str(Path(DATA).resolve() / "cifar10-images.tar"))
            Path(f"experiments/gate_{name}.yaml").write_text(f"about: {{source: gate, cost: none}}\n{text}")
            names.append(f"gate_{name}")
        for folder_name in ("data", "reports"):
            if Path(folder_name).exists():
                for child in Path(folder_name).iterdir():
                    if child.name not in ("README.md", ".gitignore", "raw"):
                        shutil.rmtree(child) if child.is_dir() else child.unlink()
        run(["labelmint", "use", *(["--quick"] if quick else []), *names], env)
        if quick and text:  # --quick lays its sizes over everything; the case's own come last
            run([sys.executable, "-c", OVERLAY, f"experiments/gate_{name}.yaml"], env)
        run(["dvc", "repro"], env)
        target = folder / name
        shutil.rmtree(target, ignore_errors=True)
        hashes = {}
        for kept in map(Path, KEPT):
            for path in [kept] if kept.is_file() else sorted(kept.rglob("*")):
                if not path.is_file():
                    continue
                if path.suffix in BINARY:
                    hashes[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
                elif path.suffix in (".json", ".csv"):
                    (target / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, target / path)
        target.mkdir(parents=True, exist_ok=True)
        (target / "hashes.json").write_text(json.dumps(hashes, indent=1))
        print(name, len(hashes), "binary files", flush=True)
    run(["git", "checkout", "-q", "params.yaml"], env)


NEW = Path("labelmint").is_dir()
OVERLAY = """
import sys
from pathlib import Path
from ruamel.yaml import YAML
yaml = YAML()
base = yaml.load(Path("params.yaml").read_text())
more = yaml.load(Path(sys.argv[1]).read_text())
more.pop("about")
def lay(a, b):
    for k, v in b.items():
        if isinstance(v, dict) and isinstance(a.get(k), dict): lay(a[k], v)
        else: a[k] = v
lay(base, more)
yaml.dump(base, Path("params.yaml").open("w"))
"""


def run(command: list[str], env: dict[str, str]) -> None:
    print("+", *command[:4], flush=True)
    subprocess.run(command, check=True, env=env)


# Old names of keys, columns and values -> new ones.
RENAMED = {
    "minted_labels": "synthetic_labels",
    "label_shares": "label_frequencies",
    "weak_check": "simple_classifier",
    "weak_checks": "simple_classifiers",
    "checks": "evaluations",
    "holdout_most": "holdout_max_images",
    "moment": "checkpoint",
    "real_share": "real_fraction",
    "critic_steps": "n_critic",
}
SKIPPED = re.compile(r"seconds|images_per_second|protocol|note|described")
ADDED = {"pools_sha256"}
"""Keys that are new."""


def clean(value, words: bool):
    """Renamed keys, no seconds; prose only where `words`."""
    if isinstance(value, dict):
        return {
            RENAMED.get(k, k): clean(v, words)
            for k, v in value.items()
            if not SKIPPED.search(str(k)) and k not in ADDED
        }
    if isinstance(value, list):
        return [clean(v, words) for v in value]
    if isinstance(value, str):
        return RENAMED.get(value, value) if words or " " not in value else "…"
    return value


def rows(path: Path):
    """Rows of a CSV file, renamed, without seconds."""
    return [
        {RENAMED.get(k, k): RENAMED.get(v, v) for k, v in row.items() if not SKIPPED.search(k)}
        for row in csv.DictReader(path.open())
    ]


def compare(before: Path, after: Path) -> int:
    bad = 0
    for case in sorted(p.name for p in before.iterdir() if p.is_dir()):
        a, b = (json.loads((f / case / "hashes.json").read_text()) for f in (before, after))
        a = {"/".join(RENAMED.get(x, x) for x in k.split("/")): v for k, v in a.items()}
        for path in sorted(a.keys() | b.keys()):
            if a.get(path) != b.get(path):
                bad += 1
                print(
                    f"{case}: {path}: {'missing' if path not in b else 'new' if path not in a else 'differs'}"
                )
        counted = 0
        tables = [p for p in (before / case).rglob("*") if p.suffix in (".json", ".csv")]
        for path in sorted(p for p in tables if p.name != "hashes.json"):
            other = after / case / path.relative_to(before / case)
            if not other.exists():
                bad += 1
                print(f"{case}: {other}: missing")
                continue
            read = rows if path.suffix == ".csv" else lambda p: clean(json.loads(p.read_text()), False)
            counted += 1
            if (x := read(path)) != (y := read(other)):
                bad += 1
                print(f"{case}: {path.relative_to(before / case)}: {first(x, y)}")
        print(f"{case}: {len(a)} binary files, {counted} tables and records compared")
    return bool(bad)


def first(x, y, at="") -> str:
    if isinstance(x, dict) and isinstance(y, dict):
        if x.keys() != y.keys():
            return (
                f"{at}: only before {sorted(x.keys() - y.keys())}, only after {sorted(y.keys() - x.keys())}"
            )
        return "; ".join(filter(None, (first(x[k], y[k], f"{at}.{k}") for k in x)))[:600]
    if isinstance(x, list) and isinstance(y, list):
        if len(x) != len(y):
            return f"{at}: {len(x)} items before, {len(y)} after"
        return "; ".join(filter(None, (first(u, v, f"{at}[{i}]") for i, (u, v) in enumerate(zip(x, y)))))[
            :600
        ]
    return "" if x == y else f"{at}: {x!r} != {y!r}"


if __name__ == "__main__":
    if sys.argv[1] == "record":
        record(Path(sys.argv[2]).resolve(), sys.argv[3:])
    else:
        sys.exit(compare(Path(sys.argv[2]), Path(sys.argv[3])))
