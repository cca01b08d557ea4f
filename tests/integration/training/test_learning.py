"""What generators learn within some hundred steps: health and mirrored images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labelmint.runtime.devices import threads
from labelmint.training import health
from labelmint.training.images import ArrayImages
from labelmint.training.trainer import train


def train_one(replica, images):
    with threads(1):
        ((_, result),) = train([replica], images)
    return result


def test_a_collapsing_gan_is_distinguished_from_a_healthy_one(replica, digits):
    """With one latent number a generator can only draw a curve of images, so they repeat."""
    training = replace(replica.training, epochs=6, images_per_epoch=320, batch_size=16, restarts=0)
    healthy = replace(replica, training=training)
    collapsing = replace(healthy, family=replace(replica.family, latent_size=1))
    statuses = {}
    for name, each in (("healthy", healthy), ("collapsing", collapsing)):
        statuses[name] = [row["health"] for row in train_one(each, digits).epochs[2:]]
    assert statuses == {"healthy": [health.OK] * 4, "collapsing": [health.COLLAPSED] * 4}


def test_a_collapsed_replica_restarts_with_another_seed(replica, digits, capsys):
    training = replace(replica.training, epochs=5, images_per_epoch=24, restarts=1)
    starved = replace(replica, training=training, family=replace(replica.family, latent_size=1))
    trained = train_one(starved, digits)
    assert [row["attempt"] for row in trained.epochs] == [0] * 4 + [1] * 5
    message = "class 3: collapsed after 96 images; restarting with another seed"
    assert capsys.readouterr().err.count(message) == 1


def test_mirrored_images_are_learned_only_where_allowed(replica):
    """All images are bright on the left; a mirrored replica generates some that are bright on the right."""
    left = np.zeros((64, 1, 16, 16), np.uint8)
    left[..., :8] = 220
    training = replace(
        replica.training,
        epochs=1,
        images_per_epoch=960,
        batch_size=16,
        translation=0.0,
        preview_images=64,
    )
    bright_right = {}
    for allowed in (False, True):
        one = replace(replica, rows=np.arange(64), training=training, mirrored=allowed)
        images = train_one(one, ArrayImages(left)).previews[-1, 0, :, 0].astype(float)
        bright_right[allowed] = (images[..., 8:].mean((1, 2)) > images[..., :8].mean((1, 2))).mean()
    assert bright_right[False] == 0
    assert bright_right[True] > 0.1
