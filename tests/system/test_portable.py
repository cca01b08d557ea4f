"""compute.portable: the same bits as on other types of CPU.

Recorded on AMD EPYC (AVX2 only) and on Intel Xeon (AVX-512, AMX) with the torch of requirements.lock. DCGANs,
EfficientNets and the feature network of commit ee0e0c7 were equal on both after training, too. The product by
OpenBLAS was recorded on the EPYC.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from labelmint.runtime.portable import LIMITS

ROOT = Path(__file__).parent.parent.parent
KNOWN = {
    "matrix product": "947506547999b290",
    "matrix product by OpenBLAS": "3587ab7fcc8228aa",
    "convolution": "47817973b89e5da4",
    "exp": "4b47042f0d36b678",
}
PROGRAM = """
import hashlib
import torch

def digest(tensor):
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()[:16]

torch.set_num_threads(1)
rng = torch.Generator().manual_seed(0)
a, b = torch.randn(300, 200, generator=rng), torch.randn(200, 100, generator=rng)
images, kernels = torch.randn(8, 16, 16, 16, generator=rng), torch.randn(32, 16, 4, 4, generator=rng)
print("matrix product", digest(a @ b), sep=": ")
print("matrix product by OpenBLAS", digest(torch.from_numpy(a.numpy() @ b.numpy())), sep=": ")
print("convolution", digest(torch.nn.functional.conv2d(images, kernels, stride=2)), sep=": ")
print("exp", digest(torch.exp(a)), sep=": ")
"""


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or torch.backends.cpu.get_cpu_capability() == "DEFAULT",
    reason="needs an x86-64 CPU with AVX2",
)
def test_operations_have_the_bits_of_other_cpus():
    code = f"from labelmint.runtime.portable import set_limits; set_limits()\n{PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert dict(line.split(": ") for line in done.stdout.splitlines()) == KNOWN


def test_a_stage_imports_numpy_and_torch_only_after_its_settings():
    """Both read the limits when they are imported."""
    code = "import sys, pipeline.stage; print([name for name in ('numpy', 'torch') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_a_stage_computes_within_the_limits(tmp_path):
    """The environment of a stage's own process, after it has started a worker."""
    code = (
        "import os, sys; from pipeline import stage; from labelmint.runtime.portable import LIMITS\n"
        "stage._run = lambda *_: print({name: os.environ.get(name) for name in LIMITS} == LIMITS)\n"
        "sys.exit(stage.main(['prepare']))"
    )
    text = (ROOT / "experiments" / "default.yaml").read_text(encoding="utf-8")
    assert "portable: true" in text
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in LIMITS}
    environment |= {"LABELMINT_TRACKING": "off", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr
