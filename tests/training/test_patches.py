"""Patches: cut where the mask is, whose they are, that none crosses a fold, and how they vote."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from fewcase.images.resize import resize_batch
from fewcase.splits.folds import make_split
from fewcase.splits.sampling import draw_samples
from fewcase.study.errors import InputError
from fewcase.study.splits import SplitOptions
from fewcase.training.patches import (
    cut_patches,
    expand,
    owners_of_scored,
    patches_of,
    vote,
)
from fewcase.training.run_data import gather_run

SIDE, STRIDE = 8, 4


def scanned(number=6, size=(42, 50), channels=2, seed=0):
    """Images of noise with round masks, the last of which is empty and the one before small."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (number, channels, *size), dtype=np.uint8)
    y, x = np.mgrid[: size[0], : size[1]]
    masks = np.zeros((number, 1, *size), np.uint8)
    for mask in masks:
        centre = random.uniform(15, 27), random.uniform(15, 35)
        mask[0] = 255 * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < random.uniform(8, 14) ** 2)
    masks[-2:] = 0
    masks[-2, 0, 9:15, 25:31] = 255
    return torch.from_numpy(images), torch.from_numpy(masks)


@pytest.mark.parametrize(("least", "size"), [(1.0, None), (0.6, 20)])
def test_patches_are_those_of_a_loop_over_all_places_that_lie_inside_the_mask(least, size):
    images, masks = scanned()
    found = cut_patches(images, masks, SIDE, STRIDE, least, size)
    expected, owner, corners = [], [], []
    for place, (image, mask) in enumerate(zip(images, masks, strict=True)):
        for top in range(0, image.shape[1] - SIDE + 1, STRIDE):
            for left in range(0, image.shape[2] - SIDE + 1, STRIDE):
                box = slice(top, top + SIDE), slice(left, left + SIDE)
                if (mask[0][box] > 127).float().mean() >= least:
                    expected.append(image[:, box[0], box[1]])
                    owner.append(place)
                    corners.append((top, left))
    assert len(owner) > 20
    chosen = np.isin(found.owner, owner)
    assert found.owner[chosen].tolist() == owner
    assert found.corners[chosen].tolist() == [list(corner) for corner in corners]
    cut = torch.stack(expected)
    cut = cut if size is None else resize_batch(cut, size)
    assert torch.equal(found.pixels[torch.from_numpy(chosen)], cut)
    assert found.without.tolist() == [4, 5]
    assert found.pixels.shape == (len(found.owner), 2, size or SIDE, size or SIDE)


def test_an_image_without_a_whole_patch_gives_the_best_covered_or_else_the_middle(
    caplog,
):
    images, masks = scanned()
    with caplog.at_level(logging.INFO):
        found = cut_patches(images, masks, SIDE, STRIDE)
    # The small mask spans rows 9 to 14 and columns 25 to 30: wholly in the patch at (8, 24).
    assert found.corners[found.owner == 4].tolist() == [[8, 24]]
    # The image is 42 × 50; patches start at 0, 4, …: 16 + 4 is next to 21, and 20 + 4 to 25.
    assert found.corners[found.owner == 5].tolist() == [[16, 20]]
    assert "2 of 6 images have no patch of 8 pixels" in caplog.text
    assert "covers 0 % to 56 %" in caplog.text


def test_what_cannot_be_cut_is_refused():
    images, masks = scanned()
    with pytest.raises(InputError, match="43 pixels are more than the 42 × 50"):
        cut_patches(images, masks, 43)
    with pytest.raises(InputError, match="do not go with images"):
        cut_patches(images, masks[:, :, :-1])


def fold_of_images():
    """A run of 60 images of 30 patients in 5 folds; from one to five patches an image."""
    number = np.arange(60)
    examples = pd.DataFrame(
        {
            "row": number,
            "example": [f"e{i}" for i in number],
            "parent": [f"e{i}" for i in number],
            "patient": [f"p{i // 2}" for i in number],
            "site": np.where(number % 4 < 2, "A", "B"),
            "date": pd.NaT,
            "label": ((number // 2) % 3).astype(np.int8),
        }
    )
    options = SplitOptions(target="stage", folds=5, inner_folds=4)
    split = make_split(examples, options, 0)
    data = gather_run(split, draw_samples(split, None, 1, 0), fold=2, bags=1)
    owner = np.repeat(np.arange(len(data.rows)), 1 + np.arange(len(data.rows)) % 5)
    return split, data, owner


def test_bags_have_all_patches_of_their_images_and_none_of_a_patient_who_is_validated():
    split, data, owner = fold_of_images()
    shown = expand(data, owner)
    patient = split.set_index("row")["patient"]
    of_patch = patient.loc[data.rows[owner]].to_numpy()
    for role in ("validation", "inner"):
        scored = set(of_patch[shown.scored_positions(role)])
        assert scored == set(data.scored.loc[data.scored["role"] == role, "patient"])
        assert not scored & set(of_patch[shown.bags[0]])
    assert sorted(shown.bags[0]) == np.flatnonzero(np.isin(owner, data.bags[0])).tolist()
    assert shown.labels.tolist() == data.labels[owner].tolist()
    assert shown.sites.tolist() == data.sites[owner].tolist()
    assert (shown.classes, shown.prevalence) == (data.classes, data.prevalence)
    # Every scored line is a patch of the image that it names.
    lines = shown.scored
    names = split.set_index("row")["example"].loc[data.rows[owner[lines["row"]]]].tolist()
    assert lines["example"].tolist() == names
    assert lines["label"].tolist() == shown.labels[lines["row"]].tolist()


def test_votes_of_scored_patches_come_back_in_the_order_of_the_scored_images():
    _, data, owner = fold_of_images()
    shown = expand(data, owner)
    for role in (None, "validation", "inner"):
        positions = shown.scored_positions(role)
        told = np.eye(100)[data.rows[owner[positions]]] * 20
        found = vote(told, owners_of_scored(data, owner, role), len(data.scored_positions(role)))
        images = data.scored if role is None else data.scored[data.scored["role"] == role]
        assert found.argmax(axis=1).tolist() == images["row"].tolist()


def test_an_image_that_is_drawn_twice_gives_its_patches_twice_and_none_may_be_without():
    positions, group = patches_of(np.array([0, 0, 1, 2, 2, 2]), np.array([2, 0, 2]))
    assert positions.tolist() == [3, 4, 5, 0, 1, 3, 4, 5]
    assert group.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    _, data, owner = fold_of_images()
    with pytest.raises(InputError, match="some image of the run has no patch"):
        expand(data, owner[owner != 3])


def test_votes_are_the_mean_probability_or_the_majority_of_patches():
    random = np.random.default_rng(0)
    logits = random.normal(scale=3, size=(40, 3)).astype(np.float32)
    owner = np.concatenate([np.arange(7), random.integers(0, 7, 33)])
    found = vote(logits, owner, 7)
    probabilities = softmax(logits.astype(float), axis=1)
    means = np.stack([probabilities[owner == i].mean(axis=0) for i in range(7)])
    assert found.dtype == np.float32
    np.testing.assert_allclose(softmax(found, axis=1), means, rtol=1e-5)
    called = logits.argmax(axis=1)
    counts = np.stack([np.bincount(called[owner == i], minlength=3) for i in range(7)])
    shares = softmax(vote(logits, owner, 7, "majority"), axis=1)
    expected = (counts + means) / (counts.sum(axis=1, keepdims=True) + 1)
    np.testing.assert_allclose(shares, expected, rtol=1e-5)
    # One sure patch outvotes two unsure ones by its probability, but not by its vote.
    split = np.log([[0.98, 0.01, 0.01], [0.4, 0.5, 0.1], [0.4, 0.5, 0.1]])
    assert vote(split, np.zeros(3, int), 1).argmax() == 0
    assert vote(split, np.zeros(3, int), 1, "majority").argmax() == 1


def test_votes_of_very_sure_patches_are_numbers_still_and_no_image_may_lack_a_vote():
    sure = np.array([[2000.0, 0.0], [1500.0, 0.0]], np.float32)
    for how in ("mean", "majority"):
        assert np.isfinite(vote(sure, np.zeros(2, int), 1, how)).all()
    assert vote(sure, np.zeros(2, int), 1)[0, 1] == pytest.approx(-1500 - np.log(2), abs=1e-3)
    with pytest.raises(ValueError, match="for 2 images"):
        vote(sure, np.zeros(2, int), 2)
    with pytest.raises(ValueError, match="'median'"):
        vote(sure, np.zeros(2, int), 1, "median")
