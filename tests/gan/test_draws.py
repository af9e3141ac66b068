"""What a training step draws: balanced classes, no row twice in vain, the same after a kill."""

import numpy as np
import torch

from fewcase.gan.draws import ClassDraws, StepDraws

LABELS = np.repeat([0, 1, 2], [90, 8, 2]).astype(np.int64)


def test_classes_come_equally_often_to_within_one_and_over_steps_exactly_so():
    draws = ClassDraws(LABELS, 3, balanced=True)
    counts = np.zeros(3)
    for step in range(300):
        random = np.random.default_rng(step)
        rows, made = draws.rows(16, random), draws.classes(16, random)
        for drawn in (LABELS[rows], made):
            of_step = np.bincount(drawn, minlength=3)
            assert of_step.max() - of_step.min() <= 1
        counts += np.bincount(made, minlength=3)
    np.testing.assert_allclose(counts / counts.sum(), 1 / 3, atol=0.01)


def test_a_class_of_two_images_is_repeated_and_a_large_one_is_not():
    draws = ClassDraws(LABELS, 3, balanced=True)
    rows = draws.rows(30, np.random.default_rng(0))
    times = np.bincount(rows, minlength=100)
    assert times[:90].max() == 1
    assert times[98:].tolist() == [5, 5]


def test_unbalanced_draws_follow_the_data():
    draws = ClassDraws(LABELS, 3, balanced=False)
    random = np.random.default_rng(0)
    made = np.concatenate([draws.classes(20, random) for _ in range(500)])
    np.testing.assert_allclose(np.bincount(made) / len(made), [0.9, 0.08, 0.02], atol=0.01)
    assert np.bincount(draws.rows(100, random)).max() == 1


def test_a_step_draws_the_same_numbers_whenever_it_is_taken():
    one, again, next_step = StepDraws(5, 3, "cpu"), StepDraws(5, 3, "cpu"), StepDraws(5, 4, "cpu")
    latents = [draws.latents(4, 8) for draws in (one, again, next_step)]
    assert torch.equal(latents[0], latents[1])
    assert not torch.equal(latents[0], latents[2])
    images = torch.zeros(2, 3, 4, 4)
    assert torch.equal(one.noise_like(images), again.noise_like(images))
