"""A small network learns the attributes of procedural faces: they are visible in the images."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import nn

from labelmint.data.sources import faces

LEARNED = ("Black_Hair", "Male", "Oval_Face", "Smiling", "Young")
CENTER_CROP = (27, 33, 151, 185)  # 70 % of each side
SIZE, COUNT, N_TRAIN, EPOCHS = 32, 1000, 700, 16


def accuracies(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Test accuracy of each attribute, after training on the first N_TRAIN images.

    images: uint8 (N, SIZE, SIZE, 3). labels: bool (N, A). Returns: float32 (A,).
    """
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    targets = torch.from_numpy(labels).float()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more would wait for each other beside other programs
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            layers: list[nn.Module] = []
            for before, after in ((3, 8), (8, 16), (16, 32), (32, 48)):
                layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
            head = nn.Linear(48 * (SIZE // 16) ** 2, labels.shape[1])
            network = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), head)
            optimizer = torch.optim.Adam(network.parameters(), 2e-3)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, EPOCHS * -(-N_TRAIN // 50))
            for _ in range(EPOCHS):
                for batch in torch.randperm(N_TRAIN).split(50):
                    optimizer.zero_grad()
                    logits = network(inputs[batch])
                    nn.functional.binary_cross_entropy_with_logits(logits, targets[batch]).backward()
                    optimizer.step()
                    schedule.step()
        network.eval()
        with torch.no_grad():
            correct = (network(inputs[N_TRAIN:]) > 0) == (targets[N_TRAIN:] > 0)
    finally:
        torch.set_num_threads(threads)
    return np.asarray(correct.float().mean(0))


def test_attributes_can_be_learned_from_the_center_crop():
    with faces.FaceImages(COUNT).open() as face:
        drawn = [
            Image.fromarray(face(index)).crop(CENTER_CROP).resize((SIZE, SIZE)) for index in range(COUNT)
        ]
    images = np.stack([np.asarray(picture) for picture in drawn])
    labels = faces.attributes(COUNT, 0)[:, [faces.ATTRIBUTES.index(name) for name in LEARNED]] > 0
    frequencies = labels[N_TRAIN:].mean(0)
    majorities = np.maximum(frequencies, 1 - frequencies)
    for name, accuracy, majority in zip(LEARNED, accuracies(images, labels), majorities):
        assert accuracy >= 0.93, f"{name}: {accuracy:.3f}"
        assert 1 - accuracy < (1 - majority) / 2, f"{name}: {accuracy:.3f}, majority class {majority:.3f}"
