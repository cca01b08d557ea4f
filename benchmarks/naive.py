"""The ordinary PyTorch DCGAN script, to measure against: one class after another, NCHW, float images from a DataLoader,
`torch.optim.Adam`, five `.item()` a step. Networks, batch and order of the steps are those of a family; augmentation and the
moving average, which such scripts lack, are left out.
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
    layers += [nn.ConvTranspose2d(widths[-1], shape[0], kernel, stride, padding, (kernel - stride) % 2), nn.Tanh()]
    return nn.Sequential(*layers)


def discriminator(family: Family, shape: tuple[int, int, int]) -> nn.Module:
    params = family.discriminator
    layers: list[nn.Module] = []
    channels, size = shape[:2]
    for position, (filters, kernel, stride) in enumerate(zip(params.filters, params.kernels, params.strides)):
        layers.append(nn.Conv2d(channels, filters, kernel, stride, (kernel - stride + 1) // 2, bias=position == 0))
        layers += [nn.BatchNorm2d(filters)] if position else []
        layers.append(nn.LeakyReLU(params.negative_slope))
        channels, size = filters, -(-size // stride)
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(params.head_dropout), nn.Linear(channels * size * size, 1))


def train_class(family: Family, images: np.ndarray, steps: int, batch: int, device: torch.device) -> float:
    """images: uint8 (N, C, S, S). Returns: seconds."""
    torch.manual_seed(0)
    shape = images.shape[1:]
    networks = [make(family, shape).to(device) for make in (generator, discriminator)]
    g, d = networks
    optimizers = [
        torch.optim.Adam(network.parameters(), params.learning_rate, (params.beta1, params.beta2))
        for network, params in zip(networks, (family.generator_optimizer, family.discriminator_optimizer))
    ]
    g_optimizer, d_optimizer = optimizers
    criterion = nn.BCEWithLogitsLoss()
    data = TensorDataset(torch.from_numpy(images).float() / 127.5 - 1)
    began, step = time.perf_counter(), 0
    while step < steps:
        for (real,) in DataLoader(data, batch, shuffle=True, drop_last=True):
            real = real.to(device)
            ones, zeros = torch.ones(len(real), 1, device=device), torch.zeros(len(real), 1, device=device)
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
    return time.perf_counter() - began
