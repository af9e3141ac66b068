"""Strips of cardiotocogram: evidence stands at its minutes, in its channel, on its side."""

import dataclasses

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fewcase.explain.any_network import explain
from fewcase.explain.grids import slit_grids, square_grids
from fewcase.explain.strip import draw_case, draw_strip
from fewcase.reporting.figures import save
from fewcase.study.errors import InputError

CHANNELS = ("fhr-10", "uc-none", "baseline-block10")


def network(images):
    """Take ink in FHR of minutes 5 to 10 for class 1, ink in UC of minutes 20 to 25 against it."""
    ink = 1 - images
    score = ink[:, 0, :, 40:80].sum((1, 2)) / 20 - ink[:, 1, :, 160:200].sum((1, 2)) / 40
    return score[:, None] * images.new_tensor([0, 1])


@pytest.fixture(scope="module")
def maps():
    image = np.full((3, 61, 240), 255, np.uint8)
    # At 200 - 24 · 150 / 60 = 140 bpm, at UC 120 - 40 · 2 = 40, and a baseline of 100 bpm.
    image[0, 24], image[1, 40], image[2, 40] = 0, 0, 0
    grids = slit_grids(61, 240, 30, CHANNELS, minutes=(5, 2.5))
    made = explain(
        network, image, grids=grids, fill="white", score="log_odds", class_names=["well", "ill"]
    )
    about = {**made.about, "channels": list(CHANNELS), "window_minutes": 30.0}
    return dataclasses.replace(made, about=about, cases=made.cases.assign(label=1))


class Drawn:
    """A figure in pixels."""

    def __init__(self, figure):
        self.axes = figure.axes
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        self.pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)

    def at(self, number, minute, value):
        """Return the colour at a place of the axes of this number, counted from the top."""
        x, y = self.axes[number].transData.transform((minute, value))
        return self.pixels[len(self.pixels) - 1 - int(y), int(x)]


def is_red(colour):
    return colour[0] > colour[2] + 25


def is_blue(colour):
    return colour[2] > colour[0] + 25


def test_evidence_stands_at_its_minutes_in_its_channel_on_its_side(maps):
    drawn = Drawn(draw_case(maps, 0, 1))
    # From the top: papers of FHR and UC, then band and rows of all, FHR, UC and baseline.
    assert len(drawn.axes) == 2 + 2 * 4 + 1
    for paper, value in ((0, 187), (1, 66)):
        assert is_red(drawn.at(paper, 7.6, value))
        assert is_blue(drawn.at(paper, 22.6, value))
        assert drawn.at(paper, 14.6, value).min() > 220
    third = drawn.axes[2].get_yticks()[2] / 3
    for band, helps, hurts in (
        (2, True, True),
        (4, True, False),
        (6, False, True),
        (8, False, False),
    ):
        assert is_red(drawn.at(band, 7.6, third)) == helps
        assert drawn.at(band, 7.6, -third).min() > 220
        assert is_blue(drawn.at(band, 22.6, -third)) == hurts
        assert drawn.at(band, 22.6, third).min() > 220
        # A slit of 5 minutes hides twice as much as one of 2.5.
        for row in (0.5, 1.5):
            assert is_red(drawn.at(band + 1, 7.6, row)) == helps
            assert is_blue(drawn.at(band + 1, 22.6, row)) == hurts
        assert drawn.at(band + 1, 4.6, 0.5).min() > 220


def test_lines_stand_at_their_values_on_the_paper(maps):
    drawn = Drawn(draw_case(maps, 0, 1))
    assert drawn.at(0, 14.6, 140).max() < 60
    assert drawn.at(1, 14.6, 40).max() < 60
    green = drawn.at(0, 14.6, 100)
    assert green[1] > green[0] + 20
    assert drawn.at(1, 14.6, 100 - 6).min() > 220


def test_colours_and_bands_are_in_units_of_the_score(maps):
    # The largest difference is that of 5 minutes of FHR: 40 pixels of ink in 20.
    figure = draw_case(maps, 0, 1)
    assert figure.axes[-1].get_xlim() == pytest.approx((-2, 2))
    assert [text.get_text() for text in figure.axes[-1].get_xticklabels()] == [
        "−2", "−1", "0", "+1", "+2",
    ]  # fmt: skip
    # Of 2 and 1, weighted by the roots of 6 and 12 slits.
    weights = np.array([6, 12]) ** 0.5
    mean = (2 * weights[0] + weights[1]) / weights.sum()
    assert figure.axes[2].get_yticks() == pytest.approx([-mean, 0, mean])
    assert draw_case(maps, 0, 1, absolute=5).axes[-1].get_xlim() == pytest.approx((-5, 5))
    drawn = Drawn(figure)
    assert is_red(drawn.at(2, 7.6, 0.95 * mean))
    assert drawn.at(2, 7.6, 1.1 * mean).min() > 220
    assert is_blue(drawn.at(2, 22.6, -0.95 * mean / 2))
    assert drawn.at(2, 22.6, -1.1 * mean / 2).min() > 220
    said = " ".join(text.get_text() for text in figure.texts)
    assert "image, labelled ill" in said
    assert "for and against: ill, probability" in said


def test_the_likeliest_class_is_shown_by_default_with_its_own_signs(maps):
    assert maps.scores[0].argmax() == 1
    assert is_red(Drawn(draw_case(maps, 0)).at(0, 7.6, 187))
    assert is_blue(Drawn(draw_case(maps, 0, 0)).at(0, 7.6, 187))


def test_the_same_strip_gives_the_same_bytes(maps, tmp_path):
    for name in "ab":
        save(draw_case(maps, 0), tmp_path / f"{name}.svg", tmp_path / f"{name}.png")
    for suffix in ("svg", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_only_slits_of_a_cardiotocogram_make_a_strip():
    picture, numbers = np.zeros((1, 8, 8), np.uint8), np.zeros(4, np.float32)
    given = {"window_minutes": 30, "scale": 1, "class_name": "ill"}
    squares = square_grids(8, 8, 1, sizes=(2,))
    with pytest.raises(InputError, match="time slits"):
        draw_strip(picture, squares, numbers, channels=["fhr-10"], **given)
    slits = slit_grids(8, 8, 30, ["grey"], minutes=(7.5,))
    with pytest.raises(InputError, match="one of FHR or UC"):
        draw_strip(picture, slits, numbers, channels=["grey"], **given)
