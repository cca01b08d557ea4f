"""Training curves."""

from __future__ import annotations

import pytest

from labelmint.reporting.curves import training_curves

_ZEROS = ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake", "diversity", "g_gradient")


def epoch(**changes) -> dict:
    scores = {"d_score_real": 0.0, "d_score_fake": -1.0986122886681098}
    return {
        "class": "a",
        "images_seen": 10.0,
        "health": "ok",
        **dict.fromkeys(_ZEROS, 0.5),
        **scores,
        **changes,
    }


@pytest.mark.parametrize(
    ("family", "title", "values"),
    [
        # The logistic function of 0 and of -ln 3.
        ("dcgan", "Probability given by the discriminator", ("0.5", "0.25")),
        ("wgan", "Output of the discriminator", ("0", "−1.1")),
    ],
)
def test_only_logits_are_shown_as_probabilities(family, title, values):
    drawn = dict(training_curves([epoch()], family, 10))[title].svg
    for value in values:
        assert f'data-tip="{value} at 10"' in drawn


def test_lines_are_means_over_classes_with_their_range():
    table = [epoch(g_loss=1.0), epoch(g_loss=4.0, **{"class": "b"})]
    assert 'data-tip="2.5 (1 to 4) at 10"' in dict(training_curves(table, "dcgan", 10))["Loss"].svg


def test_unhealthy_epochs_are_listed():
    table = [epoch(images_seen=1000.0 * n, health="collapsed") for n in range(1, 9)]
    note = dict(training_curves(table, "dcgan", 10))["Diversity"].legend
    assert "unhealthy at 1,000, 2,000, 3,000, 4,000, 5,000, 6,000 and 2 more images" in note
