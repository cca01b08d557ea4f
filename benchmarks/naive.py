"""The ordinary PyTorch DCGAN script, as a baseline for speed.

It trains one class after another, in NCHW, on float images from a DataLoader, with `torch.optim.Adam` and
five `.item()` a step. Networks, batch size and order of the updates are those of a family. Augmentation and
the moving average are left out, since such scripts lack them.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from labelmint.gans.settings import Family


def generator(family: Family, shape: tuple[int, int, int]) -> nn.Module:
    params = family.generator
    start, widths = params.start_size(shape[1]), [params.dense_filters, *params.filters]
    layers: list[nn.Module] = [
        nn.Linear(family.latent_size, start * start * widths[0], bias=False),
        nn.Unflatten(1, (widths[0], start, start)),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
    ]
    for inputs, outputs, kernel, stride in zip(widths, widths[1:], params.kernels, params.strides):
        padding = (kernel - stride + (kernel - stride) % 2) // 2
        layers += [
            nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, (kernel - stride) % 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    kernel, stride = params.kernels[-1], params.strides[-1]
    padding = (kernel - stride + (kernel - stride) % 2) // 2
    layers += [
        nn.ConvTranspose2d(widths[-1], shape[0], kernel, stride, padding, (kernel - stride) % 2),
        nn.Tanh(),
    ]
    return nn.Sequential(*layers)


def discriminator(family: Family, shape: tuple[int, int, int]) -> nn.Module:
    params = family.discriminator
    layers: list[nn.Module] = []
    channels, size = shape[:2]
    for filters, kernel, stride in zip(params.filters, params.kernels, params.strides):
        first, padding = not layers, (kernel - stride + 1) // 2
        layers.append(nn.Conv2d(channels, filters, kernel, stride, padding, bias=first))
        layers += [] if first else [nn.BatchNorm2d(filters)]
        layers.append(nn.LeakyReLU(params.negative_slope))
        channels, size = filters, -(-size // stride)
    head = nn.Linear(channels * size * size, 1)
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(params.head_dropout), head)


def train_class(family: Family, images: np.ndarray, steps: int, batch: int, device: torch.device) -> float:
    """Train the networks of one class for `steps` steps. images: uint8 (N, C, S, S). Returns: seconds."""
    torch.manual_seed(0)
    channels, height, width = images.shape[1:]
    g, d = (make(family, (channels, height, width)).to(device) for make in (generator, discriminator))
    g_optimizer, d_optimizer = (
        torch.optim.Adam(network.parameters(), params.learning_rate, (params.beta1, params.beta2))
        for network, params in ((g, family.generator_optimizer), (d, family.discriminator_optimizer))
    )
    criterion = nn.BCEWithLogitsLoss()
    data = TensorDataset(torch.from_numpy(images).float() / 127.5 - 1)
    started, step = time.perf_counter(), 0
    while step < steps:
        for (loaded,) in DataLoader(data, batch, shuffle=True, drop_last=True):
            real = loaded.to(device)
            ones, zeros = (make(len(real), 1, device=device) for make in (torch.ones, torch.zeros))
            d_optimizer.zero_grad()
            logits_real = d(real)
            loss_real = criterion(logits_real, ones * (1 - family.label_smoothing))
            loss_real.backward()
            d_optimizer.step()
            d_optimizer.zero_grad()
            fake = g(torch.randn(len(real), family.latent_size, device=device))
            logits_fake = d(fake.detach())
            loss_fake = criterion(logits_fake, zeros)
            loss_fake.backward()
            d_optimizer.step()
            g_optimizer.zero_grad()
            g_loss = criterion(d(g(torch.randn(len(real), family.latent_size, device=device))), ones)
            g_loss.backward()
            g_optimizer.step()
            tracked = [loss_real.item(), loss_fake.item(), g_loss.item()]
            tracked += [(logits_real > 0).float().mean().item(), (logits_fake <= 0).float().mean().item()]
            step += 1
            if step == steps:
                break
    if device.type == "cuda":
        torch.cuda.synchronize()
    if not np.isfinite(tracked).all():
        raise RuntimeError("training diverged: its time would mean nothing")
    return time.perf_counter() - started
