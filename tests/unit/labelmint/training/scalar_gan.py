"""Gan of one weight each, whose steps can be worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import torch

from labelmint.gans.objectives import Objective
from labelmint.gans.settings import Family
from labelmint.training.updates import D, G, Gan

RATE = 0.5


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class ScalarGan(Gan):
    """One weight each: G(z) = g z and D(x) = d x, with plain gradient descent on the given latents."""

    def __init__(self, g: float, d: float, latents: list[float], objective: Objective, **family: Any):
        self.weights = {G: torch.tensor(g, requires_grad=True), D: torch.tensor(d, requires_grad=True)}
        self.objective, self.family = objective, Family(**family)
        self.anchors, self.latents = torch.zeros(3), iter(latents)

    def generate(self, labels):
        return (self.weights[G] * torch.full((len(labels),), next(self.latents))).view(-1, 1, 1, 1), labels

    def augment(self, images):
        return images

    def discriminator(self, images, labels):
        return self.weights[D] * images.flatten(1)

    def uniform(self, count):
        return torch.zeros(count)

    def gradients(self, player, loss, retain=False):
        return list(torch.autograd.grad(loss, [self.weights[player]], retain_graph=retain))

    def norm(self, gradients):
        return gradients[0].abs()

    def update_weights(self, player, gradients):
        with torch.no_grad():
            self.weights[player] -= RATE * gradients[0]
