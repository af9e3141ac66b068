"""Copies among stored tiles, and between a cohort and the one that a generator began with."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

import find_duplicates as find_stage
from fewcase.data.files import write_digest, write_table
from fewcase.data.image_store import ImageStore
from fewcase.data.stage import run
from fewcase.splits import image_pairs
from fewcase.splits.certificate import certify
from fewcase.splits.duplicates import read_duplicates
from fewcase.splits.image_copies import find_copies, find_shared
from fewcase.study.errors import InputError
from image_cohorts import GIVEN, given_split, tile_cohort


def tissue(seed, side=96):
    """Blobs in two colours, (3, side, side)."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.normal(size=(side, side)), scale) * scale for scale in (2, 5)]
    grey = 150 + 90 * sum(layers)
    return np.stack([grey, 0.7 * grey, 0.4 * grey + 80]).clip(0, 255).astype(np.uint8)


def noisy(image, seed=0):
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


def store(images):
    images = np.stack(images)
    return ImageStore(images.shape, False, (images,))


def examples_of(parents, name="tile"):
    rows = range(len(parents))
    names = [f"{name} {row}" for row in rows]
    return pd.DataFrame({"row": rows, "example": names, "parent": parents})


def listed(pairs):
    return list(pairs[["example_a", "example_b", "kind"]].itertuples(index=False, name=None))


def test_copies_of_two_slides_are_listed_and_those_within_one_are_counted():
    one, two, three = tissue(1), tissue(2), tissue(3)
    images = [one, noisy(one), two, noisy(two), three, three]
    pairs, facts = find_copies(store(images), examples_of(["a", "a", "a", "b", "b", "b"]))
    assert listed(pairs) == [("tile 2", "tile 3", "near")]
    assert facts["within_parents"] == 2
    assert facts["compared"] == 6
    whole, facts = find_copies(store(images), examples_of(list("abcdef")))
    assert len(whole) == 3
    assert facts["within_parents"] == 0


def test_a_tile_turned_over_is_found_in_another_slide():
    turned = np.rot90(tissue(4), axes=(1, 2))
    pairs, _ = find_copies(store([tissue(4), tissue(5), turned]), examples_of(["a", "b", "c"]))
    assert listed(pairs) == [("tile 0", "tile 2", "near")]
    assert pairs["transform"].tolist() == ["rotate 90"]


def test_equal_tiles_of_one_slide_stay_linked_where_another_slide_has_them_too():
    """So that whoever drops copies knows of all of them."""
    images = [tissue(1), tissue(1), tissue(1), tissue(2), tissue(2)]
    pairs, facts = find_copies(store(images), examples_of(["a", "a", "b", "c", "c"]))
    assert listed(pairs) == [
        ("tile 0", "tile 1", "exact"),
        ("tile 0", "tile 2", "exact"),
        ("tile 1", "tile 2", "exact"),
    ]
    assert facts["within_parents"] == 1


def test_neighbours_within_slides_do_not_use_up_the_room_for_what_is_aligned(monkeypatch):
    """Only so many of the pairs that are alike when blurred can be looked at closely."""
    base = tissue(7, 128)
    shifted = [base[:, dy : dy + 120, dx : dx + 120] for dy in (0, 2, 4) for dx in (0, 2, 4)]
    other = base[:, 3:123, 5:125]
    parents = ["a"] * len(shifted) + ["b"]
    pairs, _ = find_copies(store([*shifted, other]), examples_of(parents))
    assert len(pairs) >= 1
    monkeypatch.setattr(image_pairs, "MOST_ALIGNED", len(shifted))
    again, _ = find_copies(store([*shifted, other]), examples_of(parents))
    pd.testing.assert_frame_equal(again, pairs)


def test_grey_images_are_compared_as_well():
    images = [tissue(seed)[:1] for seed in (1, 2, 1)]
    pairs, _ = find_copies(store(images), examples_of(["a", "b", "c"]))
    assert listed(pairs) == [("tile 0", "tile 2", "exact")]


def test_between_two_cohorts_only_what_crosses_is_listed():
    own = [tissue(1), tissue(2), tissue(2), tissue(3)]
    base = [noisy(tissue(3)), tissue(9), tissue(9), tissue(1), tissue(8)]
    pairs, facts = find_shared(
        store(own),
        examples_of(list("abcd")),
        store(base),
        examples_of(list("vwxyz"), "base"),
    )
    assert sorted(listed(pairs)) == [
        ("tile 0", "base 3", "exact"),
        ("tile 3", "base 0", "near"),
    ]
    assert (facts["compared"], "within_parents" in facts) == (9, False)


@pytest.mark.parametrize("threads", [1, 3])
def test_crossing_pairs_are_those_of_a_search_among_all(monkeypatch, threads):
    monkeypatch.setattr(image_pairs, "_FIRST_ROWS", 3)
    monkeypatch.setattr(image_pairs, "_SECOND_ROWS", 4)
    rng = np.random.default_rng(0)
    images = [noisy(tissue(seed, 64), row) for row, seed in enumerate(rng.integers(0, 9, 25))]
    images += [np.zeros((3, 64, 64), np.uint8)]
    whole, _ = find_copies(store(images), examples_of([f"p{i}" for i in range(26)]))
    pairs, _ = find_shared(
        store(images[:11]),
        examples_of(range(11)),
        store(images[11:]),
        examples_of(range(15), "base"),
        threads=threads,
    )
    crossing = whole[(whole["row_a"] < 11) & (whole["row_b"] >= 11)]
    columns = ["row_a", "row_b", "kind", "correlation"]
    assert len(crossing) > 5
    pd.testing.assert_frame_equal(
        pairs[columns].reset_index(drop=True), crossing[columns].reset_index(drop=True)
    )


def test_examples_of_other_images_are_refused():
    images = store([tissue(1), tissue(2)])
    with pytest.raises(InputError, match="--examples: 3 examples for 2 images"):
        find_copies(images, examples_of(list("abc")))
    with pytest.raises(InputError, match="--other-examples: 1 examples for 2 images"):
        find_shared(images, examples_of(["a", "b"]), images, examples_of(["c"]))


def write_store(path, images):
    images = np.stack(images)
    np.save(path, images)
    write_digest(path.with_suffix(".hash"), {"shape": list(images.shape), "packed": False})


def call(*words):
    return run(find_stage.main, find_stage.options(), list(map(str, words)))


def test_the_stage_writes_lists_that_a_certificate_takes_one_after_the_other(tmp_path, capsys):
    split = given_split(tile_cohort().cohort)
    examples = tile_cohort().examples
    own = [tissue(100 + row, 64) for row in range(len(examples))]
    validated = int(split["row"][split["fold"] == 0].iloc[0])
    base = pd.DataFrame({"row": [0, 1], "example": ["b0", "b1"], "parent": ["x", "y"]})
    write_table(tmp_path / "examples", examples)
    write_table(tmp_path / "base", base)
    write_store(tmp_path / "own.npy", own)
    write_store(tmp_path / "base.npy", [tissue(1, 64), own[validated]])
    source = ("--images", tmp_path / "own.npy", "--examples", tmp_path / "examples")
    other = ("--other-images", tmp_path / "base.npy", "--other-examples", tmp_path / "base")
    assert call(*source, "--out", tmp_path / "own.parquet") == 0
    assert call(*source, *other, "--out", tmp_path / "shared.parquet") == 0
    lists = [read_duplicates(tmp_path / f"{name}.parquet") for name in ("own", "shared")]
    assert [len(pairs) for pairs, _ in lists] == [0, 1]
    pairs = pd.concat([pairs for pairs, _ in lists])
    records = pd.DataFrame({"record": split["parent"].unique(), "patient_known": True})
    cohorts = {"base": base.assign(patient=["u", "v"])}
    facts = lists[0][1]
    with pytest.raises(InputError, match=r"example 'b1' .* are duplicates"):
        certify(split, GIVEN, 0, pairs, facts, {}, records, (), cohorts, unit="tile")
    fewer = {"base": cohorts["base"][:1]}
    found = certify(split, GIVEN, 0, pairs, facts, {}, records, (), fewer, unit="tile")
    assert found["status"] == "clean"

    assert call("--images", tmp_path / "own.npy", "--out", tmp_path / "x") == 1
    assert "--examples: give the examples of the images too" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
