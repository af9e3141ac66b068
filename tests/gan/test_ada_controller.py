"""The controller of the augmentation's probability, against its rule step by step."""

import numpy as np
import pytest
import torch

from fewcase.gan.controller import AugmentationController
from fewcase.study.errors import InputError


def controller_of(**values):
    defaults = {"target": 0.6, "speed": 0.5, "batch": 10, "device": "cpu"}
    return AugmentationController(**{**defaults, **values})


def logits_with(mean_sign, images=10):
    positive = round((mean_sign + 1) / 2 * images)
    return torch.where(torch.arange(images) < positive, 2.5, -0.1)


def run(controller, mean_signs):
    for mean_sign in mean_signs:
        controller.observe(logits_with(mean_sign))
        controller.step()


def test_the_probability_follows_the_rule_over_a_random_course():
    controller, step = controller_of(), 10 * 4 / 500
    random = np.random.default_rng(0)
    probability, expected, signs = 0.0, [], []
    for step_number in range(1, 201):
        known = 1.5 + 2 * np.sin(step_number / 20)
        logits = torch.from_numpy(random.normal(known, 1.5, 10)).float()
        signs.append(np.sign(logits.numpy()).mean())
        controller.observe(logits)
        controller.step()
        if step_number % 4 == 0:
            overfitting = np.mean(signs)
            probability = max(probability + np.sign(overfitting - 0.6) * step, 0)
            expected.append((overfitting, probability))
            signs = []
        assert controller.probability.item() == pytest.approx(probability, abs=1e-5)
    np.testing.assert_allclose(controller.take_trace(), expected, atol=1e-5)
    assert len({p for _, p in expected}) > 6
    assert len(controller.take_trace()) == 0


def test_the_published_speed_takes_the_probability_from_0_to_1_in_500_thousand_images():
    controller = AugmentationController(0.6, 500, batch=64, device="cpu")
    run(controller, [1.0] * 4)
    assert controller.probability.item() == pytest.approx(64 * 4 / 500_000)
    transferred = AugmentationController(0.6, 100, batch=64, device="cpu")
    run(transferred, [1.0] * 4)
    assert transferred.probability.item() == pytest.approx(5 * 64 * 4 / 500_000)


def test_the_probability_never_falls_below_0_but_may_rise_above_1():
    controller = controller_of()
    run(controller, [0.0] * 8)
    assert controller.probability.item() == 0
    run(controller, [1.0] * 4 * 14)
    assert controller.probability.item() == pytest.approx(14 * 0.08)


def test_a_maximum_bounds_the_probability():
    controller = controller_of(maximum=0.8)
    run(controller, [1.0] * 4 * 30)
    assert controller.probability.item() == pytest.approx(0.8)


def test_on_target_nothing_changes():
    controller = controller_of(target=0.5, batch=4, initial=0.3)
    for _ in range(4):
        controller.observe(torch.tensor([1.0, 1.0, 1.0, -1.0]))
        controller.step()
    assert controller.overfitting.item() == 0.5
    assert controller.probability.item() == pytest.approx(0.3)


def test_parts_of_a_step_count_as_one():
    whole, parts = controller_of(), controller_of()
    for mean_sign in (1.0, 0.2, 0.8, 0.6):
        logits = logits_with(mean_sign)
        whole.observe(logits)
        parts.observe(logits[:3])
        parts.observe(logits[3:])
        whole.step()
        parts.step()
    assert torch.equal(whole.take_trace(), parts.take_trace())


def test_observed_logits_keep_no_graph():
    controller = controller_of()
    logits = torch.ones(4, requires_grad=True) * 2
    controller.observe(logits)
    controller.step()
    assert not controller.probability.requires_grad
    assert not controller.overfitting.requires_grad


def test_an_interrupted_course_goes_on_as_if_it_had_not_been():
    random = np.random.default_rng(1)
    course = random.choice([0.0, 0.4, 0.8, 1.0], 50)
    whole = controller_of()
    run(whole, course)
    first = controller_of()
    run(first, course[:22])
    state = {name: value.clone() for name, value in first.state().items()}
    run(first, course[22:26])
    second = controller_of()
    handed_out = second.probability
    second.restore(state)
    run(second, course[22:])
    assert torch.equal(second.probability, whole.probability)
    assert torch.equal(second.overfitting, whole.overfitting)
    # Whoever holds the probability sees it change.
    assert handed_out is second.probability


@pytest.mark.parametrize(
    ("values", "message"),
    [({"speed": 0}, "speed: 0"), ({"initial": -0.1}, "initial: -0.1"),
     ({"initial": 0.9, "maximum": 0.8}, "initial: 0.9")],
)  # fmt: skip
def test_an_impossible_controller_is_refused_by_name(values, message):
    with pytest.raises(InputError, match=message):
        controller_of(**values)
