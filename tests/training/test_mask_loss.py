"""Equations 4 to 7 against their direct evaluation in float64, and their gradients at the edges."""

import math

import numpy as np
import pytest
import torch

from fewcase.training.mask_loss import classification_loss, segmentation_loss, shrink_mask

SIZES = (16, 8, 4)


def batch(seed=0, count=3):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 3, generator=generator)
    masks = [3 * torch.randn(count, 1, side, side, generator=generator) for side in SIZES]
    truth = (torch.rand(count, 1, 16, 16, generator=generator) > 0.5).float()
    return logits, masks, torch.arange(count) % 3, truth, torch.ones(count, dtype=torch.bool)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cross_entropy(label, probability):
    return -(label * np.log(probability) + (1 - label) * np.log(1 - probability))


def by_hand(logits, masks, labels, truth, over, weights, class_weight):
    """The equations as they are written, image by image and pixel by pixel."""
    whole = truth.double().numpy()[:, 0]
    total = 0.0
    for i, label in enumerate(labels.tolist()):
        power = np.exp(logits[i].double().numpy())
        total += class_weight * cross_entropy(np.eye(3)[label], power / power.sum()).sum()
        for weight, mask in zip(weights, masks, strict=True):
            side = mask.shape[-1]
            step = 16 // side
            smaller = np.zeros((side, side))
            for row in range(side):
                for column in range(side):
                    inside = whole[i, row * step : (row + 1) * step, column * step :][:, :step]
                    smaller[row, column] = inside.mean() >= 0.5
            total += weight * over(cross_entropy(smaller, sigmoid(mask[i, 0].double().numpy())))
    return total / len(labels)


@pytest.mark.parametrize(("reduction", "over"), [("mean", np.mean), ("sum", np.sum)])
def test_the_loss_is_the_weighted_sum_of_the_paper_s_equations(reduction, over):
    parts = batch()
    loss = segmentation_loss(*parts, reduction=reduction)
    assert float(loss.total) == pytest.approx(
        by_hand(*parts[:4], over, (1, 0.5, 0.25), 1), rel=1e-6
    )
    loss = segmentation_loss(*parts, (0.3, 0, 2), 5, reduction=reduction)
    assert float(loss.total) == pytest.approx(by_hand(*parts[:4], over, (0.3, 0, 2), 5), rel=1e-6)
    assert float(loss.of_class) == pytest.approx(by_hand(*parts[:4], over, (0, 0, 0), 1), rel=1e-6)


def test_a_literal_sum_leaves_next_to_nothing_of_the_class():
    logits, _, labels, _, known = batch()
    masks = [torch.zeros(3, 1, side, side) for side in (512, 256, 128)]
    loss = segmentation_loss(
        logits, masks, labels, torch.zeros(3, 1, 512, 512), known, reduction="sum"
    )
    assert loss.of_masks[0] == pytest.approx(512 * 512 * math.log(2))
    assert loss.of_class / loss.total < 1e-4


def test_shares_of_classes_are_the_weighted_sum_over_labels():
    logits = batch()[0]
    share = torch.tensor([[0.7, 0.3, 0.0]]).expand(3, 3)
    for kind in ("bce", "ce"):
        first, second = (
            classification_loss(logits, torch.full((3,), label), kind) for label in (0, 1)
        )
        mixed = classification_loss(logits, share, kind)
        assert float(mixed) == pytest.approx(float(0.7 * first + 0.3 * second), rel=1e-6)
    cross = torch.nn.functional.cross_entropy(logits, torch.tensor([1, 1, 1]))
    assert classification_loss(logits, torch.tensor([1, 1, 1]), "ce") == cross


def test_images_without_a_known_mask_count_for_the_class_alone():
    logits, masks, labels, truth, _ = batch()
    masks = [mask.requires_grad_() for mask in masks]
    known = torch.tensor([True, False, True])
    loss = segmentation_loss(logits, masks, labels, truth, known)
    kept = segmentation_loss(
        logits, [mask[known] for mask in masks], labels, truth[known], known[known]
    )
    torch.testing.assert_close(loss.total, kept.total)
    loss.total.backward()
    assert not masks[0].grad[1].any()
    assert masks[0].grad[0].all()
    none = segmentation_loss(logits, masks, labels, truth, torch.zeros(3, dtype=torch.bool))
    assert float(none.total.detach()) == float(none.of_class)


@pytest.mark.parametrize("kind", ["bce", "ce"])
def test_loss_and_gradient_stay_numbers_however_sure_the_network_is(kind):
    """Where 1 - p is 0 to the last bit, its logarithm is still the difference of logits."""
    logits = torch.tensor([[500.0, 0.0, -500.0], [0.0, 90.0, 0.0]], requires_grad=True)
    loss = classification_loss(logits, torch.tensor([2, 1]), kind)
    # Image 1: log p of class 2 is -1000, log(1 - p) of class 0 is -500; image 2 is right.
    expected = (1500 if kind == "bce" else 1000) / 2
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 2] < 0 < logits.grad[0, 0]
    mask = torch.tensor([1e4, -1e4]).view(2, 1, 1, 1).requires_grad_()
    wrong = segmentation_loss(
        torch.zeros(2, 3), [mask], torch.tensor([0, 1]),
        torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.ones(2, dtype=torch.bool), (1,),
    )  # fmt: skip
    assert float(wrong.of_masks[0].detach()) == 1e4
    wrong.total.backward()
    assert mask.grad.flatten().tolist() == [0.5, -0.5]


def test_gradients_are_those_of_finite_differences():
    logits, masks, labels, truth, known = batch(1, 2)
    inputs = [torch.cat([logits.flatten(), *(mask.flatten() for mask in masks)])]

    def total(flat):
        values = flat.split([logits.numel(), *(mask.numel() for mask in masks)])
        shaped = [value.view_as(like) for value, like in zip(values, (logits, *masks), strict=True)]
        return segmentation_loss(shaped[0], shaped[1:], labels, truth, known).total

    flat = inputs[0].requires_grad_()
    (gradient,) = torch.autograd.grad(total(flat), flat)
    assert (gradient != 0).all()
    generator = torch.Generator().manual_seed(2)
    for _ in range(5):
        way = torch.randn(flat.shape, generator=generator)
        with torch.no_grad():
            slope = (total(flat + 1e-2 * way) - total(flat - 1e-2 * way)) / 2e-2
        assert float(slope) == pytest.approx(float(gradient @ way), rel=2e-3, abs=2e-3)


def test_logits_of_bfloat16_are_brought_to_float32_first():
    logits, masks, labels, truth, known = batch()
    halves = logits.bfloat16(), [mask.bfloat16() for mask in masks]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = segmentation_loss(*halves, labels, truth, known)
    expected = segmentation_loss(
        halves[0].float(), [mask.float() for mask in halves[1]], labels, truth, known
    )
    assert found.total.dtype == torch.float32
    assert torch.equal(found.total, expected.total)


def test_a_smaller_mask_is_inside_where_half_is_or_where_its_corner_is():
    truth = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1]]).float()[
        None, None
    ]
    assert shrink_mask(truth, (2, 2)).flatten().tolist() == [1, 0, 0, 1]
    assert shrink_mask(truth, (2, 2), "nearest").flatten().tolist() == [0, 1, 1, 0]
    assert torch.equal(shrink_mask(truth, (4, 4)), truth)
    with pytest.raises(ValueError, match="do not shrink"):
        shrink_mask(truth, (3, 3))
    parts = batch()
    nearest = segmentation_loss(*parts, mask_labels="nearest")
    assert nearest.of_masks[0] == segmentation_loss(*parts).of_masks[0]
    assert nearest.of_masks[1] != segmentation_loss(*parts).of_masks[1]


def test_names_and_weights_that_do_not_fit_are_refused():
    parts = batch()
    for wrong in ({"reduction": "median"}, {"class_loss": "hinge"}, {"mask_labels": "soft"}):
        with pytest.raises(ValueError, match="is not one of"):
            segmentation_loss(*parts, **wrong)
    with pytest.raises(ValueError, match="2 weights for 3 masks"):
        segmentation_loss(*parts, (1.0, 0.5))
