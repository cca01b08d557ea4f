"""Two training steps of one replica, in one process or in one of several; run by torchrun."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import torch

from labelmint.training.distributed import Distributed, group
from labelmint.training.gan_learner import Batch, GanLearner
from labelmint.training.updates import D, G


def two_steps(learner: GanLearner, real: np.ndarray) -> dict[str, list[list[torch.Tensor]]]:
    """Take two steps on this process's part of `real`. Returns: the gradients of every update, by player."""
    gathered: dict[str, list[list[torch.Tensor]]] = {D: [], G: []}
    step = learner.update_weights

    def keep(player: str, gradients: list[torch.Tensor]) -> None:
        gathered[player].append([gradient.clone() for gradient in gradients])
        step(player, gradients)

    learner.update_weights = keep  # type: ignore[method-assign]
    for number in range(2):
        own = learner.shard(np.arange(len(real)))
        learner.prepare(number, 1.0, 0.5)
        learner.step(Batch.unlabelled(torch.from_numpy(real[own]), True))
    return gathered


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = pickle.loads(Path(sys.argv[1]).read_bytes())
    with group(torch.device("cpu")) as device:
        learner = Distributed(*given["arguments"], **given["named"], device=device)
        gradients = two_steps(learner, given["real"])
        result = {"gradients": gradients, "weights": learner.state(), "means": learner.means(2)}
        torch.save(result, f"{sys.argv[1]}.{learner.rank}")
