import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from fewcase.models.registry import build_model
from fewcase.runtime.state import optimizer_tensors, restore_optimizer
from fewcase.study.recipe import Recipe
from fewcase.training.optimisation import (
    EarlyStopping,
    learning_rate,
    make_optimizer,
    mix_targets,
)


def rates(recipe, steps=10):
    return [learning_rate(recipe, step, steps) for step in range(recipe.epochs * steps)]


def test_the_rate_rises_in_a_line_over_the_warm_up():
    found = rates(Recipe(learning_rate=1.0, warmup_epochs=1.5, epochs=4, schedule="constant"))
    assert found[:15] == pytest.approx([(i + 1) / 15 for i in range(15)])
    assert found[15:] == [1.0] * 25


def test_cosine_agrees_with_torch_s_own_schedule():
    found = rates(Recipe(learning_rate=0.3, warmup_epochs=0, epochs=5))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for rate in found:
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        schedule.step()


def test_cosine_falls_from_the_warm_up_s_end_to_nearly_nothing():
    found = rates(Recipe(learning_rate=1.0, warmup_epochs=1, epochs=4))
    assert found[10] == 1.0
    assert found[9] == 1.0
    assert found[-1] < 0.005
    assert all(a > b for a, b in itertools.pairwise(found[10:]))


def test_steps_fall_by_their_factor():
    recipe = Recipe(
        learning_rate=1.0,
        warmup_epochs=0,
        epochs=7,
        schedule="step",
        step_epochs=3,
        step_factor=0.1,
    )
    assert rates(recipe, 2) == pytest.approx([1.0] * 6 + [0.1] * 6 + [0.01] * 2)


def test_a_warm_up_as_long_as_the_training_is_a_line_to_the_peak():
    assert rates(Recipe(learning_rate=1.0, warmup_epochs=1, epochs=1), 4) == [0.25, 0.5, 0.75, 1.0]
    assert max(rates(Recipe(learning_rate=1.0, warmup_epochs=9, epochs=3))) < 0.34


def test_mixed_targets_give_the_weighted_sum_of_both_cross_entropies():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, generator=generator)
    a, b = torch.randint(3, (2, 6), generator=generator)
    share = torch.rand(6, generator=generator)
    mixed = F.cross_entropy(logits, mix_targets(a, b, share, 3), label_smoothing=0.1)
    parts = [
        F.cross_entropy(logits, label, label_smoothing=0.1, reduction="none") for label in (a, b)
    ]
    assert mixed == pytest.approx(float((share * parts[0] + (1 - share) * parts[1]).mean()))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("adam", torch.optim.Adam),
        ("sgd", torch.optim.SGD),
        ("adadelta", torch.optim.Adadelta),
    ],
)
def test_only_matrices_decay(name, kind):
    network = build_model("test_vit", {}, 2, 3, 32, "none").network
    recipe = Recipe(optimizer=name, weight_decay=0.3, momentum=0.7)
    optimizer = make_optimizer(recipe, network)
    assert type(optimizer) is kind
    decay = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for key, parameter in network.named_parameters():
        spared = parameter.ndim <= 1 or key in ("pos_embed", "cls_token")
        assert decay[id(parameter)] == (0.0 if spared else 0.3), key
    if name == "sgd":
        assert optimizer.param_groups[0]["momentum"] == 0.7


def test_adadelta_steps_as_its_paper_has_it_with_the_constants_of_keras_and_goes_on_after_a_rest():
    """Zeiler (2012), algorithm 1; lr 1, rho .95 and epsilon 1e-7 as Keras 2.1 had them."""
    network = torch.nn.Linear(4, 3, bias=False)
    recipe = Recipe(optimizer="adadelta", learning_rate=1.0, weight_decay=0.0)
    optimizer = make_optimizer(recipe, network)
    generator = torch.Generator().manual_seed(3)
    expected = network.weight.detach().double()
    squares, changes = torch.zeros(2, 3, 4, dtype=torch.float64)
    for step in range(6):
        if step == 3:
            rested = make_optimizer(recipe, network)
            restore_optimizer(rested, optimizer_tensors(optimizer))
            optimizer = rested
        gradient = torch.randn(3, 4, generator=generator)
        network.weight.grad = gradient.clone()
        optimizer.step()
        squares = 0.95 * squares + 0.05 * gradient.double() ** 2
        change = (changes + 1e-7).sqrt() / (squares + 1e-7).sqrt() * gradient.double()
        changes = 0.95 * changes + 0.05 * change**2
        expected -= change
        torch.testing.assert_close(network.weight.detach().double(), expected, atol=1e-6, rtol=0)


def look(stopping, values):
    """Show AUCs, or losses given as negative numbers; return the epochs seen before the stop."""
    network = torch.nn.Linear(1, 1)
    for epoch, value in enumerate(values, 1):
        if stopping.should_stop(epoch - 1):
            return epoch - 1
        torch.nn.init.constant_(network.weight, epoch)
        auc, loss = (math.nan, -value) if value < 0 else (value, 1.0)
        stopping.look(epoch, auc, loss, network)
    return len(values)


def test_training_stops_after_the_patience_without_a_better_epoch():
    stopping = EarlyStopping(2)
    assert look(stopping, [0.5, 0.7, 0.7, 0.6, 0.9, 0.9]) == 4
    assert stopping.best_epoch == 2
    assert stopping.best["weight"].item() == 2


def test_an_inner_part_of_one_class_is_judged_by_its_loss():
    stopping = EarlyStopping(2)
    assert look(stopping, [-0.9, -0.5, -0.6, -0.4, -0.5, -0.5, -0.5]) == 6
    assert stopping.best_epoch == 4


def test_without_patience_nothing_stops_and_nothing_is_kept():
    stopping = EarlyStopping(None)
    assert look(stopping, [0.9, 0.1, 0.1, 0.1]) == 4
    assert not stopping.best
