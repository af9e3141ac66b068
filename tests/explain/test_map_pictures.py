"""Colours of maps, what lies over the original, and tiles of the likeliest classes."""

import dataclasses

import numpy as np
import pytest

from fewcase.explain.any_network import explain
from fewcase.explain.dida import SignedMap
from fewcase.explain.grids import square_grids
from fewcase.explain.pictures import (
    PALETTES,
    Look,
    as_rgb,
    case_row,
    colour_map,
    contact_sheet,
    map_of_class,
    overlay,
    top_classes,
)
from fewcase.study.errors import InputError

# Machado, Oliveira, Fernandes (2009), severity 1, on linear RGB.
DICHROMATS = {
    "no red cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue cones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def one_pixel(positive, negative):
    return SignedMap(np.full((1, 1), positive, np.float32), np.full((1, 1), negative, np.float32))


def network(images):
    """Give four classes; white at the upper left is for class 2, at the lower right against it."""
    evidence = images[:, 0, :10, :10].mean((1, 2)) - images[:, 0, -10:, -10:].mean((1, 2))
    return images.new_tensor([0.5, -1.0, 1.0, 0.0]) + evidence[:, None] * images.new_tensor(
        [0, 0, 1, 0]
    )


@pytest.fixture(scope="module")
def maps():
    image = np.random.default_rng(0).integers(100, 256, (40, 40), np.uint8)
    grids = square_grids(40, 40, 1, sizes=(4, 5))
    made = explain(network, image, grids=grids, class_names=["a", "b", "c", "d"])
    return dataclasses.replace(made, cases=made.cases.assign(label=2))


@pytest.mark.parametrize(
    ("positive", "negative", "mix", "colour"),
    [
        (1.0, 0.0, "rgb", (255, 0, 0)),
        (0.0, 0.4, "rgb", (0, 0, 102)),
        (0.0, 0.0, "rgb", (0, 0, 0)),
        (0.6, 0.2, "rgb", (153, 0, 51)),
        (0.6, 0.2, "signed", (102, 0, 0)),
        (0.2, 0.6, "signed", (0, 0, 102)),
        (0.4, 0.2, "conflict", (102, 102, 102)),
        (0.4, 0.0, "conflict", (0, 0, 0)),
    ],
)
def test_for_is_red_against_is_blue_and_both_are_purple_or_cancel(positive, negative, mix, colour):
    assert tuple(colour_map(one_pixel(positive, negative), mix)[0, 0]) == colour


def seen_by(colour, matrix):
    """Return a colour's place in CIE Lab as a dichromat sees it."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(matrix) @ linear, 0, 1)
    xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    x, y, z = (xyz @ linear) / (xyz @ np.ones(3))
    f = [t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def least_distance(palette, matrix):
    """Return how near what grids disagree on comes to pure evidence of any strength, in Lab."""

    def place(positive, negative):
        shown = colour_map(one_pixel(positive, negative), "rgb", palette)
        return seen_by(shown[0, 0] / 255, matrix)

    pure = [place(*one) for level in np.linspace(0, 1, 41) for one in ((level, 0), (0, level))]
    return min(np.linalg.norm(place(0.5, 0.5) - one) for one in pure)


def test_conflict_is_told_from_evidence_with_any_colour_vision_in_orange_and_blue():
    assert set(PALETTES) == {"red_blue", "orange_blue"}
    for matrix in (np.eye(3), *DICHROMATS.values()):
        assert least_distance("orange_blue", matrix) > 25
    assert least_distance("red_blue", DICHROMATS["no red cones"]) < 20


def test_overlays_are_transparent_as_they_are_told():
    picture = np.array([[[200, 100]]], np.uint8)
    coloured = np.array([[[250, 0, 50], [0, 0, 0]]], np.uint8)
    np.testing.assert_array_equal(overlay(picture, coloured, 0), as_rgb(picture))
    np.testing.assert_array_equal(overlay(picture, coloured, 1), coloured)
    half = overlay(picture, coloured, 0.5)
    assert half.tolist() == [[[225, 100, 125], [50, 50, 50]]]
    clear = overlay(picture, coloured, 0.5, clear=True)
    share = 0.5 * 250 / 255
    assert clear[0, 0].tolist() == [
        round(200 * (1 - share) + 0.5 * c) for c in coloured[0, 0].tolist()
    ]
    assert clear[0, 1].tolist() == [100, 100, 100]


def test_pictures_of_any_channels_are_shown():
    rgb = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    np.testing.assert_array_equal(as_rgb(rgb), np.moveaxis(rgb, 0, -1))
    two = np.array([[[10]], [[30]]], np.uint8)
    assert as_rgb(two).tolist() == [[[20, 20, 20]]]


def test_the_likeliest_classes_come_first():
    assert top_classes(np.array([0.1, 0.4, 0.1, 0.4])) == [1, 3, 0]
    assert top_classes(np.array([0.3, 0.7]), 3) == [1, 0]


def test_a_case_is_shown_with_its_three_likeliest_classes(maps):
    row = case_row(maps, 0, side=80)
    # Twice the size; a head of 20 pixels, gaps of 4.
    assert row.shape == (80 + 24, 4 * 80 + 3 * 4, 3)
    picture = np.asarray(maps.pictures[0])
    shown = [as_rgb(picture)]
    for number in (2, 0, 3):
        shown.append(overlay(picture, colour_map(map_of_class(maps, 0, number))))
    for place, expected in enumerate(shown):
        left = place * 84
        tile = row[20:100, left : left + 80]
        np.testing.assert_array_equal(tile[:50:2, ::2], expected[:25])
        assert (row[:20, left : left + 80] < 128).any() or place == 0
        # The scores stand at the lower right, in white with a dark border.
        written = tile[60:, 30:] != expected.repeat(2, 0).repeat(2, 1)[60:, 30:]
        assert written.any() == (place > 0)


def test_maps_of_a_case_have_the_right_sign_in_the_right_place(maps):
    found = map_of_class(maps, 0, 2)
    assert found.signed[:8, :8].min() > 0
    assert found.signed[-8:, -8:].max() < 0
    assert not found.signed[20, 20]
    other = map_of_class(maps, 0, 0)
    assert other.signed[:8, :8].max() < 0
    # One scale for all classes: the other class gets less of what class 2 loses.
    assert other.negative[0, 0] < found.positive[0, 0] <= 1
    twice = map_of_class(maps, 0, 2, Look(absolute=2 * np.abs(maps.differences[0]).max()))
    np.testing.assert_allclose(twice.positive, found.positive / 2, rtol=1e-6)


def test_a_contact_sheet_has_a_row_for_each_case(maps):
    sheet = contact_sheet(maps, [0, 0], top=2, look=Look(palette="orange_blue", clear=True))
    one = case_row(maps, 0, top=2, look=Look(palette="orange_blue", clear=True))
    np.testing.assert_array_equal(sheet, np.concatenate([one, one]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mix": "rbg"}, "explain.mix: 'rbg'.*Did you mean 'rgb'"),
        ({"palette": "red"}, "explain.palette"),
        ({"opacity": 1.5}, "explain.opacity"),
    ],
)
def test_a_look_that_there_is_not_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Look(**wrong)
