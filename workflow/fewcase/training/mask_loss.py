"""The loss of a network that gives a class and masks: equations 4 to 7 of the liver study.

Kang, You, Lee and Ahn (2020). All is computed in float32 from logits, whatever type they come in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

REDUCTIONS = ("mean", "sum")
CLASS_LOSSES = ("bce", "ce")
MASK_LABELS = ("area", "nearest")
WEIGHTS = (1.0, 0.5, 0.25)


class SegmentationLoss(NamedTuple):
    """A loss and its parts.

    total
        What is trained on, a scalar: `of_class` and `of_masks`, weighted and summed.
    of_class
        Loss of the class, a scalar.
    of_masks
        Loss of the mask of each size, full size first, (M,).
    """

    total: torch.Tensor
    of_class: torch.Tensor
    of_masks: torch.Tensor


def segmentation_loss(
    logits: torch.Tensor,
    masks: Sequence[torch.Tensor],
    targets: torch.Tensor,
    truth: torch.Tensor,
    has_mask: torch.Tensor,
    weights: Sequence[float] = WEIGHTS,
    class_weight: float = 1.0,
    reduction: str = "mean",
    class_loss: str = "bce",
    mask_labels: str = "area",
) -> SegmentationLoss:
    """Return the loss of a batch.

    Parameters
    ----------
    logits
        (B, K), of the classes, K at least 2.
    masks
        Logits of the masks, (B, 1, h, w) each, whose sides divide those of `truth`.
    targets
        (B, K) shares of each class, or (B,) int64 labels.
    truth
        (B, 1, H, W), 1 inside and 0 outside; numbers where there is no mask, too.
    has_mask
        (B,) bool, whether the mask of an image is known. An image without one counts for the class
        alone; one whose mask is known to be empty has one.
    weights, class_weight
        Of the loss of each mask and of the class; the paper weights them but doesn't say how.
    reduction
        ``mean`` over the pixels of an image, or ``sum`` as equations 4 to 6 have it, which at
        512 × 512 pixels leaves next to nothing of the class. Images are averaged in either case,
        those with a mask for the masks.
    class_loss
        ``bce``: binary cross-entropy of each class's softmax probability, summed over classes
        (equation 7); ``ce``: cross-entropy.
    mask_labels
        How `truth` is made smaller: ``area``, inside where at least half of the pixel is;
        ``nearest``, as the pixel's upper left corner is.

    Raises
    ------
    ValueError
        For numbers of weights or sizes that do not fit, and names that are none of the above.
    """
    for value, allowed in ((reduction, REDUCTIONS), (class_loss, CLASS_LOSSES)):
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
    if len(weights) != len(masks):
        raise ValueError(f"{len(weights)} weights for {len(masks)} masks")
    of_class = classification_loss(logits, targets, class_loss)
    present = has_mask.float()
    count = present.sum().clamp(min=1)
    parts = []
    for mask in masks:
        label = shrink_mask(truth, mask.shape[-2:], mask_labels)
        pixels = F.binary_cross_entropy_with_logits(mask.float(), label, reduction="none")
        of_image = pixels.mean(dim=(1, 2, 3)) if reduction == "mean" else pixels.sum(dim=(1, 2, 3))
        parts.append((of_image * present).sum() / count)
    of_masks = torch.stack(parts)
    weighted = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    return SegmentationLoss(class_weight * of_class + weighted, of_class, of_masks)


def classification_loss(
    logits: torch.Tensor, targets: torch.Tensor, kind: str = "bce"
) -> torch.Tensor:
    """Return the loss of the classes, averaged over images; parameters as of `segmentation_loss`.

    The probability of all classes but one is the sum of theirs, so that log(1 - p) is computed from
    logits too and stays a number where p is 1 to the last bit.
    """
    logits = logits.float()
    classes = logits.shape[1]
    if targets.ndim == 1:
        targets = F.one_hot(targets, classes)
    targets = targets.float()
    if kind == "ce":
        return F.cross_entropy(logits, targets)
    whole = logits.logsumexp(dim=1, keepdim=True)
    itself = torch.eye(classes, dtype=torch.bool, device=logits.device)
    # (B, K, K): row c holds the logits of every class but c.
    others = logits[:, None, :].masked_fill(itself, float("-inf")).logsumexp(dim=2)
    right, wrong = logits - whole, others - whole
    return -(targets * right + (1 - targets) * wrong).sum(dim=1).mean()


def shrink_mask(truth: torch.Tensor, size: Sequence[int], labels: str = "area") -> torch.Tensor:
    """Return masks (B, 1, H, W) at a size (h, w) that divides theirs, float32, 0 or 1."""
    if labels not in MASK_LABELS:
        raise ValueError(f"{labels!r} is not one of {', '.join(MASK_LABELS)}")
    height, width = truth.shape[-2] // size[0], truth.shape[-1] // size[1]
    if (size[0] * height, size[1] * width) != tuple(truth.shape[-2:]):
        raise ValueError(f"masks of {tuple(truth.shape[-2:])} do not shrink to {tuple(size)}")
    truth = truth.float()
    if (height, width) == (1, 1):
        return truth
    if labels == "nearest":
        return truth[..., ::height, ::width]
    return (F.avg_pool2d(truth, (height, width)) >= 0.5).float()
