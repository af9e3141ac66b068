"""Masks: overlap and boundaries against brute force, empty ones, and masks beside classes."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import f1_score, jaccard_score, roc_auc_score

from fewcase.data.files import write_json
from fewcase.data.image_store import ImageStore
from fewcase.evaluation.masks import (
    MASK_MEASURES,
    as_masks,
    measure_masks,
    relate_masks,
    true_masks,
    weighted_spearman,
)

SIDE = 24


def blobs(number, seed, side=SIDE):
    """Masks of irregular outline, some cut by the border of the image."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    found = np.zeros((number, side, side), bool)
    for mask in found:
        for _ in range(3):
            centre, radius = random.uniform(0, side, 2), random.uniform(2, side / 3)
            mask |= (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    return found


def edge_points(mask):
    """Boundary pixels one by one, by their four neighbours."""
    found = []
    for y, x in np.argwhere(mask):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [
            0 <= a < mask.shape[0] and 0 <= b < mask.shape[1] and mask[a, b] for a, b in around
        ]
        if not all(inside):
            found.append((y, x))
    return np.array(found, float)


def test_overlap_is_that_of_scikit_learn_and_distances_are_those_of_all_pairs_of_boundary_pixels():
    truth, predicted = blobs(12, 0), blobs(12, 1)
    found = measure_masks(predicted, truth)
    assert found.columns.tolist() == list(MASK_MEASURES)
    for row, one, other in zip(found.itertuples(), predicted, truth, strict=True):
        assert row.dice == pytest.approx(f1_score(other.ravel(), one.ravel()))
        assert row.iou == pytest.approx(jaccard_score(other.ravel(), one.ravel()))
        points = edge_points(one), edge_points(other)
        apart = np.hypot(*(points[0][:, None] - points[1]).transpose(2, 0, 1))
        sides = apart.min(axis=1), apart.min(axis=0)
        assert row.boundary_distance == pytest.approx(np.concatenate(sides).mean())
        assert row.hausdorff95 == pytest.approx(max(np.percentile(side, 95) for side in sides))
        assert (row.true_area, row.predicted_area) == (other.mean(), one.mean())
    turned = measure_masks(truth, predicted)
    symmetric = list(MASK_MEASURES[:4])
    pd.testing.assert_frame_equal(found[symmetric], turned[symmetric])


def test_a_square_shifted_by_three_pixels_is_as_far_away_as_can_be_counted():
    truth = np.zeros((1, 20, 20), bool)
    truth[0, 5:9, 2:6] = True
    row = measure_masks(np.roll(truth, 10, axis=2), truth).iloc[0]
    # Nothing overlaps; each of 12 boundary pixels is 10, 9, 8 or 7 columns from the other square.
    columns = np.repeat([10, 9, 8, 7], [4, 2, 2, 4])
    assert (row["dice"], row["iou"]) == (0, 0)
    assert row["boundary_distance"] == pytest.approx(columns.mean())
    assert row["hausdorff95"] == pytest.approx(np.percentile(columns, 95))
    same = measure_masks(truth, truth).iloc[0]
    assert same.tolist() == [1, 1, 0, 0, 16 / 400, 16 / 400]


def test_empty_masks_have_a_dice_of_one_if_both_are_and_of_zero_if_one_is_and_no_distance():
    none, some = np.zeros((1, 8, 8), bool), np.zeros((1, 8, 8), bool)
    some[0, 2:4, 2:4] = True
    found = measure_masks(np.concatenate([none, some, none]), np.concatenate([none, none, some]))
    assert found["dice"].tolist() == found["iou"].tolist() == [1, 0, 0]
    assert found[["boundary_distance", "hausdorff95"]].isna().all(axis=None)
    assert found["predicted_area"].tolist() == [0, 4 / 64, 0]
    whole = measure_masks(np.ones((1, 8, 8), bool), np.ones((1, 8, 8), bool)).iloc[0]
    assert whole.tolist() == [1, 1, 0, 0, 1, 1]
    with pytest.raises(ValueError, match=r"shapes \(1, 8, 8\) and \(1, 8, 9\)"):
        measure_masks(none, np.zeros((1, 8, 9), bool))


def test_a_pixel_is_on_the_same_side_as_probability_and_as_byte():
    probability = np.append(np.linspace(0, 1, 4001), [0.5, np.nextafter(0.5, 0)])
    as_bytes = np.rint(255 * probability).astype(np.uint8)
    assert as_masks(probability).tolist() == (probability >= 0.5).tolist()
    # Between 127 and 128 lies no other probability than a half.
    assert as_masks(as_bytes)[probability != np.nextafter(0.5, 0)].tolist() == (
        (probability >= 0.5)[probability != np.nextafter(0.5, 0)].tolist()
    )


def judged(number=160, bond=1.0, seed=0, classes=3):
    """Two images a patient; the better the mask, by `bond`, the surer the true class."""
    random = np.random.default_rng(seed)
    label = random.integers(0, classes, number)
    dice = random.beta(6, 2, number)
    logits = random.normal(size=(number, classes))
    logits[np.arange(number), label] += 1 + bond * 6 * (dice - dice.mean())
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = pd.DataFrame(
        {"patient": [f"p{i // 2}" for i in range(number)], "label": label, "dice": dice}
    )
    return table.assign(true_area=0.3, **{f"score_{k}": scores[:, k] for k in range(classes)})


def test_good_masks_that_go_with_right_classes_are_told_from_those_that_do_not():
    table = judged()
    scores = table.filter(regex="score").to_numpy()
    right = scores.argmax(axis=1) == table["label"]
    found = relate_masks(table)
    assert (found.right, found.wrong) == (right.sum(), (~right).sum())
    assert found.difference.value == pytest.approx(
        table["dice"][right].mean() - table["dice"][~right].mean()
    )
    assert found.auc.value == pytest.approx(roc_auc_score(right, table["dice"]))
    own = scores[np.arange(len(table)), table["label"]]
    reference = scipy.stats.spearmanr(table["dice"], own).statistic
    assert found.spearman.value == pytest.approx(reference)
    assert min(found.difference.low, found.auc.low - 0.5, found.spearman.low) > 0
    unrelated = relate_masks(judged(bond=0.0, seed=3))
    assert unrelated.difference.low < 0 < unrelated.difference.high
    assert unrelated.auc.low < 0.5 < unrelated.auc.high
    assert unrelated.spearman.low < 0 < unrelated.spearman.high


def test_copies_of_a_patients_images_make_no_interval_narrower():
    table = judged(80)
    once = relate_masks(table)
    copied = relate_masks(pd.concat([table] * 3, ignore_index=True))
    for name in ("difference", "auc", "spearman"):
        one, three = (getattr(found, name) for found in (once, copied))
        assert three.value == pytest.approx(one.value)
        assert three.high - three.low == pytest.approx(one.high - one.low, rel=0.05)


def test_images_without_a_true_mask_say_nothing_of_masks_and_classes_and_one_sided_calls_neither():
    table = judged(60)
    without = judged(30, seed=5).assign(true_area=0.0, dice=1.0, patient="other")
    found = relate_masks(pd.concat([table, without], ignore_index=True))
    assert repr(found) == repr(relate_masks(table))
    none = relate_masks(without)
    assert np.isnan(none.auc.value)
    assert none.auc.method == "undefined: no image has a true mask"
    label = table.filter(regex="score").to_numpy().argmax(axis=1)
    all_right = relate_masks(table.assign(label=label))
    assert all_right.difference.method == all_right.auc.method == "undefined: every call is right"
    assert np.isfinite(all_right.spearman.low)
    wrong = np.where(table["patient"] == "p0", (label + 1) % 3, label)
    of_one = relate_masks(table.assign(label=wrong)).difference
    assert np.isfinite(of_one.value)
    assert np.isnan(of_one.low)
    assert of_one.method == "one patient is called wrongly, no interval"


def test_rank_correlation_under_weights_is_that_of_the_repeated_examples():
    random = np.random.default_rng(0)
    x, y = random.integers(0, 6, 30), random.normal(size=30).round(1)
    weights = random.integers(0, 4, (5, 30))
    weights = np.concatenate([weights, np.eye(1, 30, dtype=int)])
    found = weighted_spearman(x, y, weights)
    for value, often in zip(found[:-1], weights, strict=False):
        reference = scipy.stats.spearmanr(np.repeat(x, often), np.repeat(y, often)).statistic
        assert value == pytest.approx(reference)
    assert np.isnan(found[-1])


def test_true_masks_are_brought_to_a_size_by_area_half_a_pixel_counting_as_inside(tmp_path):
    masks = 255 * blobs(3, 4)[:, None].astype(np.uint8)
    np.save(tmp_path / "a.npy", masks)
    write_json(tmp_path / "a.hash", {"shape": list(masks.shape), "packed": False})
    store = ImageStore.open([tmp_path / "a.npy"])
    assert (true_masks(store, [2, 0], SIDE) == (masks[[2, 0], 0] > 0)).all()
    halves = masks[:, 0].reshape(3, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4)) / 255 >= 0.5
    assert (true_masks(store, range(3), SIDE // 2) == halves).all()
    # To 16 of 24 pixels: by way of thirds of pixels, which are halves of the new ones.
    thirds = masks[:, 0].repeat(2, axis=1).repeat(2, axis=2)
    shares = thirds.reshape(3, 16, 3, 16, 3).mean(axis=(2, 4)) / 255
    assert (true_masks(store, range(3), 16) == (shares >= 0.5 - 1e-9)).all()
