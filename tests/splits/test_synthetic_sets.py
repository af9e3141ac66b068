"""How many synthetic images of each class are taken, and which."""

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import content_digest, write_digest, write_table
from fewcase.splits.provenance import write_provenance
from fewcase.splits.synthetic import (
    choose_synthetic,
    drawn_counts,
    read_ratings,
    read_synthetic,
    wanted_counts,
)
from fewcase.study.errors import InputError
from fewcase.study.recipe import Recipe

REAL = np.array([30, 10, 6])
LABELS = [0, 1, 2, 0, 1, 2, 0, 1]


@pytest.fixture
def folder(tmp_path):
    """Eight synthetic images of fold 1, image i filled with grey i."""
    pixels = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 16, 16), np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    info = {"content": content_digest(pixels), "shape": list(pixels.shape), "packed": False}
    write_digest(tmp_path / "images.hash", info)
    images = pd.DataFrame(
        {
            "generator": "gan",
            "fold": 1,
            "example": [f"gan {i}" for i in range(8)],
            "label": LABELS,
            "latent_seed": range(8),
        }
    )
    learned = pd.DataFrame({"generator": ["gan"], "fold": [1], "example": ["tile"]})
    write_provenance(tmp_path / "provenance.parquet", images, learned)
    return tmp_path


@pytest.mark.parametrize(
    ("factors", "counts"),
    [
        ({}, [0, 20, 24]),
        ({"training_set": "synthetic"}, [30, 30, 30]),
        ({"synthetic_per_class": 5}, [5, 5, 5]),
        ({"synthetic_ratio": 0.5}, [15, 5, 3]),
        ({"synthetic_ratio": 2.0, "training_set": "synthetic"}, [60, 20, 12]),
    ],
)
def test_classes_are_filled_up_or_get_what_the_recipe_says(factors, counts):
    assert wanted_counts(Recipe(gan="g", **factors), REAL).tolist() == counts


def test_a_selection_needs_more_drawn_than_it_keeps():
    recipe = Recipe(gan="g", synthetic_per_class=5, synthetic_selection=0.4)
    assert drawn_counts(recipe, REAL).tolist() == [13, 13, 13]


def test_the_first_of_each_class_are_taken_so_that_more_drawn_change_nothing(folder):
    drawn = read_synthetic(folder, 1)
    assert choose_synthetic(drawn, np.array([2, 1, 1])).tolist() == [0, 1, 2, 3]
    assert drawn.images.read([3]).max() == 3


def test_a_selection_takes_the_surest_and_copies_and_oddities_last(folder):
    drawn = read_synthetic(folder, 1)
    ratings = pd.DataFrame(
        {
            "example": drawn.table["example"][::-1],
            "confidence": [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2],
            "ratio": 1.0,
            "copy": [False, True, *[False] * 6],
            "odd": [True, *[False] * 7],
        }
    )
    write_table(folder / "ratings.parquet", ratings)
    # Class 0 is images 0, 3 and 6, surest the last, which is a copy; class 1 has 7 as an oddity.
    rated = read_ratings(folder / "ratings.parquet", drawn)
    assert choose_synthetic(drawn, np.array([2, 1, 0]), rated).tolist() == [0, 3, 4]


def test_images_of_another_fold_are_refused(folder):
    with pytest.raises(InputError, match="is of a generator of fold 1"):
        read_synthetic(folder, 0)


def test_too_few_images_of_a_class_are_named(folder):
    with pytest.raises(InputError, match="3 of class 2 are asked for, but 2 were drawn"):
        choose_synthetic(read_synthetic(folder, 1), np.array([1, 1, 3]))


def test_images_without_their_provenance_are_refused(folder):
    write_provenance(
        folder / "provenance.parquet",
        pd.DataFrame(
            {"generator": ["g"], "fold": [1], "example": ["a"], "label": [0], "latent_seed": [0]}
        ),
        pd.DataFrame({"generator": ["g"], "fold": [1], "example": ["tile"]}),
    )
    with pytest.raises(InputError, match=r"tells of 1 images, but images.npy holds 8"):
        read_synthetic(folder, 1)
