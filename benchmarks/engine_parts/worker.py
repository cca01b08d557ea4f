"""Processor time per training step of one checkout's engine, for benchmarks/engine.py --against.

`PYTHONPATH=CHECKOUT python -P benchmarks/engine_parts/worker.py CHECKOUT` imports labelmint from CHECKOUT.
For each request, a line of JSON on stdin with family, training, shape and steps, it trains one replica in one
thread and answers with a line of JSON on stdout: the processor seconds of each step, which other programs on
the machine disturb less than elapsed time.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import labelmint

_IMAGES = 256


def step_seconds(request: dict[str, Any]) -> list[float]:
    """Processor seconds of each step but the last, which includes the evaluation at the end of the epoch."""
    import numpy as np
    from pydantic import TypeAdapter

    from labelmint.gans.settings import Family
    from labelmint.training.images import ArrayImages
    from labelmint.training.replica import Replica
    from labelmint.training.settings import Training
    from labelmint.training.trainer import train

    family = TypeAdapter(Family).validate_json(json.dumps(known(Family, request["family"])))
    steps, batch = request["steps"], request["training"]["batch_size"]
    epoch = {"epochs": 1, "images_per_epoch": steps * batch * family.n_critic}
    training = TypeAdapter(Training).validate_json(json.dumps(known(Training, request["training"] | epoch)))
    images = np.random.default_rng(0).integers(0, 256, (_IMAGES, *request["shape"]), dtype=np.uint8)
    replica = Replica("0", "dcgan", family, training, np.arange(_IMAGES), 0)
    times: list[float] = []
    for _ in train([replica], ArrayImages(images), callback=lambda *_: times.append(time.process_time())):
        pass
    return [later - earlier for earlier, later in zip(times, times[1:])][:-1]


def known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that the dataclass `kind` has: an earlier engine lacks settings that came later."""
    types = get_type_hints(kind)
    lacking = sorted(values.keys() - types.keys())
    if lacking:
        _say(f"not in this engine: {kind.__name__}: {', '.join(lacking)}")
    return {
        name: known(types[name], value) if is_dataclass(types[name]) else value
        for name, value in values.items()
        if name in types
    }


@cache
def _say(text: str) -> None:
    """Print once, however many requests there are."""
    print(text, file=sys.stderr)


def main() -> None:
    checkout, found = Path(sys.argv[1]).resolve(), Path(str(labelmint.__file__)).resolve()
    if checkout not in found.parents:
        sys.exit(f"labelmint was imported from {found}, not from {checkout}")
    import torch

    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(step_seconds(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
