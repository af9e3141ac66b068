"""The augmentation of both networks' images, against closed forms and explicit numpy."""

import math

import numpy as np
import pytest
import torch

from fewcase.gan import colour
from fewcase.gan.augment import PRESETS, Augmentation
from fewcase.gan.geometry import SYM6, Geometry, multiply, rotation, scaling, translation
from fewcase.study.errors import InputError

SIZE = 32
#: Columns of what is drawn.
(X_FLIP, TURNS, X_SHIFT, Y_SHIFT, SCALE, BEFORE, STRETCH, AFTER, X_SUB, Y_SUB, BRIGHTNESS, CONTRAST,
 LUMA, HUE, SATURATION) = range(15)  # fmt: skip


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def some_images(batch=4, channels=3, size=SIZE, dtype=torch.float32):
    return torch.rand(batch, channels, size, size, generator=seeded(), dtype=dtype) * 2 - 1


def drawn_with(batch=1, **numbers):
    """Return drawn numbers of which only those named are done, at any probability above 0.5."""
    drawn = torch.stack([torch.full((batch, 15), torch.inf), torch.zeros(batch, 15)])
    for name, value in numbers.items():
        drawn[0, :, globals()[name]] = 0.5
        drawn[1, :, globals()[name]] = value
    return drawn


def smooth(x, y):
    """A picture of two slow waves, whose mirror image beyond the outermost pixels is itself."""
    wave = math.pi / (SIZE - 1)
    return 0.5 * np.cos(wave * x) * np.cos(2 * wave * y) + 0.4 * np.cos(3 * wave * x + 0 * y)


def smooth_image():
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
    return torch.from_numpy(smooth(columns, rows)).float()[None, None]


def smooth_under(matrix):
    """Return the smooth picture where each pixel shows what the inverse of `matrix` leads to."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    points = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    x, y, _ = (np.linalg.inv(matrix) @ points).reshape(3, SIZE, SIZE) + (SIZE - 1) / 2
    return smooth(x, y)


def moved(x, y):
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def stretched(x, y):
    return np.diag([x, y, 1.0])


def turned(angle):
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def test_the_wavelet_is_sym6():
    taps = np.array(SYM6)
    assert taps.sum() == pytest.approx(math.sqrt(2))
    for shift in range(6):
        product = taps[2 * shift :] @ taps[: len(taps) - 2 * shift]
        assert product == pytest.approx(float(shift == 0), abs=1e-10)
    # Six vanishing moments of its high-pass filter, which with these products leave four filters
    # and their mirror images; of these it is the nearest to a symmetric one.
    places = np.arange(12)
    for moment in range(6):
        assert ((-1.0) ** places * places**moment) @ taps == pytest.approx(0, abs=1e-7)
    assert taps[5] == pytest.approx(0.787641141)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("channels", [1, 3])
def test_at_probability_0_images_stay_as_they_are_to_the_last_bit(preset, channels):
    augmentation, images = Augmentation(SIZE, preset), some_images(8, channels)
    drawn = augmentation.draw(8, seeded())
    assert torch.equal(augmentation(images, drawn, torch.tensor(0.0)), images)
    assert augmentation(images, drawn, 0.0) is images


def test_images_to_which_nothing_happens_stay_as_they_are_beside_others():
    augmentation, images = Augmentation(SIZE, "bgc"), some_images(64)
    drawn = augmentation.draw(64, seeded())
    result = augmentation(images, drawn, 0.1)
    untouched = (drawn[0] >= 0.1).all(1)
    assert 0 < untouched.sum() < 64
    same = (result == images).flatten(1).all(1)
    assert same[untouched].all()
    assert not same[~untouched].all()


def test_flips_and_quarter_turns_move_pixels_and_change_none():
    augmentation, images = Augmentation(SIZE, "bg"), some_images(4)

    def result(**numbers):
        return augmentation(images, drawn_with(4, **numbers), 1.0)

    assert torch.equal(result(X_FLIP=1.0), images.flip(3))
    for turns in range(4):
        # From x towards y, which points down: clockwise.
        assert torch.equal(result(TURNS=float(turns)), torch.rot90(images, -turns, (2, 3)))
    assert torch.equal(result(X_FLIP=1.0, TURNS=2.0), images.flip(2))


@pytest.mark.parametrize(("x", "y"), [(3, 0), (-4, 2), (1, -1)])
def test_integer_shifts_mirror_the_image_at_its_outermost_pixels(x, y):
    augmentation, images = Augmentation(SIZE, "bg"), some_images(2)
    found = augmentation(images, drawn_with(2, X_SHIFT=float(x), Y_SHIFT=float(y)), 1.0)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)), mode="reflect")
    expected = padded[:, :, 4 - y : 4 - y + SIZE, 4 - x : 4 - x + SIZE]
    np.testing.assert_array_equal(found, expected)


def test_resampling_without_a_change_gives_the_image_back():
    geometry, images = Geometry(SIZE), some_images()
    identity = torch.eye(3).expand(4, 3, 3)
    torch.testing.assert_close(geometry.warp(images, identity), images, rtol=0, atol=1e-4)


def test_a_resampled_image_is_neither_moved_nor_turned_beside_what_was_asked_for():
    geometry, images = Geometry(SIZE), some_images(1)
    half = rotation(torch.tensor([-1.0]), torch.tensor([0.0]))
    # A step that is no smooth picture: the mean place of its mass is where it should be.
    images = torch.zeros(1, 1, SIZE, SIZE)
    images[:, :, 9, 12] = 1
    result = geometry.warp(images, half)[0, 0].double().numpy()
    rows, columns = np.mgrid[:SIZE, :SIZE]
    assert result.sum() == pytest.approx(1, abs=0.01)
    assert (rows * result).sum() == pytest.approx(SIZE - 1 - 9, abs=0.05)
    assert (columns * result).sum() == pytest.approx(SIZE - 1 - 12, abs=0.05)


@pytest.mark.parametrize(
    ("numbers", "matrix"),
    [
        ({"SCALE": 0.3}, stretched(2**0.3, 2**0.3)),
        ({"SCALE": -0.5}, stretched(2**-0.5, 2**-0.5)),
        ({"BEFORE": 0.7}, turned(0.7)),
        ({"AFTER": -2.0}, turned(-2.0)),
        ({"STRETCH": 0.25}, stretched(2**0.25, 2**-0.25)),
        ({"X_SUB": 4.3, "Y_SUB": -7.6}, moved(4.3, -7.6)),
        ({"X_SUB": 20.0, "Y_SUB": 0.0}, moved(20.0, 0.0)),
        (
            {"X_FLIP": 1.0, "TURNS": 1.0, "X_SHIFT": 3.0, "Y_SHIFT": -2.0, "SCALE": 0.2,
             "BEFORE": 0.7, "STRETCH": 0.3, "AFTER": -1.9, "X_SUB": 1.5, "Y_SUB": -2.25},
            moved(1.5, -2.25) @ turned(-1.9) @ stretched(2**0.3, 2**-0.3) @ turned(0.7)
            @ stretched(2**0.2, 2**0.2) @ moved(3, -2) @ turned(math.pi / 2) @ stretched(-1, 1),
        ),
    ],
)  # fmt: skip
def test_transformations_are_their_matrices_in_the_published_order(numbers, matrix):
    augmentation = Augmentation(SIZE, "bg")
    found = augmentation(smooth_image(), drawn_with(**numbers), 1.0)[0, 0]
    # Bilinear interpolation at half pixels of waves as short as these, of height 0.9.
    np.testing.assert_allclose(found, smooth_under(matrix), atol=0.01)


def test_products_of_small_matrices_are_products():
    left, right = torch.randn(5, 3, 3, generator=seeded()), torch.randn(5, 3, 3)
    torch.testing.assert_close(multiply(left, right), left @ right)
    angle, x, y = torch.tensor([0.3]), torch.tensor([2.0]), torch.tensor([3.0])
    np.testing.assert_allclose(rotation(angle.cos(), angle.sin())[0], turned(0.3), rtol=1e-6)
    np.testing.assert_array_equal(scaling(x, y)[0], stretched(2, 3))
    np.testing.assert_array_equal(translation(x, y)[0], moved(2, 3))


def householder(vector):
    return np.eye(3) - 2 * np.outer(vector, vector)


def about(vector, angle):
    """Return the rotation about a unit vector by Rodrigues' formula."""
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


GREY = np.ones(3) / math.sqrt(3)
TO_GREY = np.outer(GREY, GREY)


@pytest.mark.parametrize(
    ("numbers", "linear", "shift"),
    [
        ({"BRIGHTNESS": 0.3}, np.eye(3), 0.3),
        ({"CONTRAST": 0.7}, 2**0.7 * np.eye(3), 0.0),
        ({"LUMA": 1.0}, householder(GREY), 0.0),
        ({"HUE": 1.2}, about(GREY, 1.2), 0.0),
        ({"SATURATION": -0.6}, TO_GREY + 2**-0.6 * (np.eye(3) - TO_GREY), 0.0),
        (
            {"BRIGHTNESS": 0.3, "CONTRAST": 0.7, "LUMA": 1.0, "HUE": 1.2, "SATURATION": -0.6},
            (TO_GREY + 2**-0.6 * (np.eye(3) - TO_GREY)) @ about(GREY, 1.2) @ householder(GREY)
            * 2**0.7,
            0.3,
        ),
    ],
)  # fmt: skip
def test_colours_are_their_matrices_in_the_published_order(numbers, linear, shift):
    augmentation, images = Augmentation(SIZE, "bgc"), some_images(2)
    found = augmentation(images, drawn_with(2, **numbers), 1.0)
    expected = np.einsum("ij,njhw->nihw", linear, images.numpy() + shift)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # One channel: what grey becomes, on the mean of the channels.
    grey = images[:, :1]
    found = augmentation(grey, drawn_with(2, **numbers), 1.0)
    in_colour = np.einsum("ij,njhw->nihw", linear, np.repeat(grey.numpy(), 3, axis=1) + shift)
    np.testing.assert_allclose(found, in_colour.mean(1, keepdims=True), atol=1e-5)


def test_of_a_grey_image_hue_and_saturation_change_nothing_and_the_luma_flip_its_sign():
    grey = some_images(2, channels=1)
    number = torch.tensor([0.9, 2.0])
    for matrices in (colour.hue(number), colour.saturation(number)):
        torch.testing.assert_close(colour.transform(grey, matrices), grey)
    flipped = colour.transform(grey, colour.luma_flip(torch.tensor([1.0, 0.0])))
    torch.testing.assert_close(flipped[0], -grey[0])
    assert torch.equal(flipped[1], grey[1])


def test_what_is_drawn_has_the_published_distributions():
    size, batch = 64, 20_000
    values = Augmentation(size, "bgc").draw(batch, seeded())[1].double().numpy()
    assert set(values[:, X_FLIP]) == set(values[:, LUMA]) == {0, 1}
    assert set(values[:, TURNS]) == {0, 1, 2, 3}
    for column in (X_FLIP, LUMA):
        assert values[:, column].mean() == pytest.approx(0.5, abs=0.02)
    assert np.bincount(values[:, TURNS].astype(int)) / batch == pytest.approx(0.25, abs=0.02)
    for column in (X_SHIFT, Y_SHIFT):
        assert set(values[:, column]) == set(range(-8, 9))
        assert values[:, column].std() == pytest.approx(16 / math.sqrt(12), abs=0.1)
    deviations = {SCALE: 0.2, STRETCH: 0.2, X_SUB: 8, Y_SUB: 8, BRIGHTNESS: 0.2, CONTRAST: 0.5,
                  SATURATION: 1}  # fmt: skip
    for column, deviation in deviations.items():
        assert values[:, column].mean() == pytest.approx(0, abs=0.03 * deviation)
        assert values[:, column].std() == pytest.approx(deviation, rel=0.03)
        kurtosis = (values[:, column] ** 4).mean() / deviation**4
        assert kurtosis == pytest.approx(3, abs=0.3)
    for column in (BEFORE, AFTER, HUE):
        assert np.abs(values[:, column]).max() <= math.pi
        assert values[:, column].std() == pytest.approx(2 * math.pi / math.sqrt(12), rel=0.02)
    correlations = np.corrcoef(values.T) - np.eye(15)
    assert np.abs(correlations).max() < 0.03


@pytest.mark.parametrize("probability", [0.2, 0.7])
def test_each_transformation_is_done_with_the_probability_asked_for(probability):
    limits = Augmentation(SIZE, "bgc").draw(20_000, seeded())[0]
    done = (limits < probability).numpy()
    once = 1 - math.sqrt(1 - probability)
    expected = [once if column in (BEFORE, AFTER) else probability for column in range(15)]
    assert done.mean(0) == pytest.approx(expected, abs=0.015)
    # Of the two rotations at least one; both axes of a shift together; all others independently.
    assert (done[:, BEFORE] | done[:, AFTER]).mean() == pytest.approx(probability, abs=0.015)
    for x, y in ((X_SHIFT, Y_SHIFT), (X_SUB, Y_SUB)):
        assert (done[:, x] == done[:, y]).all()
    apart = np.delete(done, [Y_SHIFT, Y_SUB], axis=1)
    assert np.abs(np.corrcoef(apart.T) - np.eye(13)).max() < 0.03


def test_probabilities_of_1_and_above_do_everything():
    drawn = Augmentation(SIZE, "bgc").draw(1000, seeded())
    assert (drawn[0] < 1).all()
    augmentation, images = Augmentation(SIZE, "bgc"), some_images(4)
    drawn = drawn[:, :4]
    assert torch.equal(augmentation(images, drawn, 1.0), augmentation(images, drawn, 3.0))


def test_presets_do_what_they_are_named_for():
    def columns(preset):
        limits = Augmentation(SIZE, preset).draw(3, seeded())[0]
        return set(torch.isfinite(limits).all(0).nonzero().flatten().tolist())

    geometric = set(range(X_FLIP, Y_SUB + 1))
    assert columns("bg") == geometric
    assert columns("paper") == geometric | {BRIGHTNESS, CONTRAST}
    assert columns("bgc") == geometric | {BRIGHTNESS, CONTRAST, LUMA, HUE, SATURATION}
    with pytest.raises(InputError, match="'bgcfnc'"):
        Augmentation(SIZE, "bgcfnc")


def test_all_presets_draw_the_same_numbers_and_a_generator_goes_on_from_its_state():
    generators = [seeded(3) for _ in PRESETS]
    values = [
        Augmentation(SIZE, preset).draw(5, generator)[1]
        for preset, generator in zip(PRESETS, generators, strict=True)
    ]
    assert all(torch.equal(value, values[0]) for value in values)
    state = generators[0].get_state()
    following = Augmentation(SIZE, "bg").draw(5, generators[0])
    resumed = torch.Generator()
    resumed.set_state(state)
    assert torch.equal(Augmentation(SIZE, "bg").draw(5, resumed), following)
    assert not torch.equal(following[1], values[0])


def test_derivatives_of_first_and_second_order_by_the_image_are_right():
    augmentation = Augmentation(8, "bgc").double()
    drawn = augmentation.draw(1, seeded(2)).double()
    resampled = (drawn[0, :, SCALE:BRIGHTNESS] < 0.8).any()
    assert resampled
    assert (drawn[0, :, BRIGHTNESS:] < 0.8).sum() > 2
    for channels in (1, 3):
        images = some_images(1, channels, 8, torch.float64).requires_grad_()

        def cubed(inputs):
            return augmentation(inputs, drawn, 0.8)[:, :, ::3, ::3] ** 3

        assert torch.autograd.gradcheck(cubed, images)
        assert torch.autograd.gradgradcheck(cubed, images)


def test_the_augmentation_is_linear_in_the_image_but_for_brightness():
    augmentation = Augmentation(16, "bg").double()
    drawn = augmentation.draw(3, seeded()).double()
    first, second = torch.randn(2, 3, 3, 16, 16, generator=seeded(), dtype=torch.float64)

    def result(images):
        return augmentation(images, drawn, 0.9)

    torch.testing.assert_close(result(2 * first - second), 2 * result(first) - result(second))


def test_the_probability_may_stay_on_the_device():
    augmentation, images = Augmentation(SIZE, "paper"), some_images()
    drawn = augmentation.draw(4, seeded())
    for probability in (0.3, 0.9):
        found = augmentation(images, drawn, torch.tensor(probability))
        torch.testing.assert_close(found, augmentation(images, drawn, probability))


def test_the_augmentation_compiles_without_a_break():
    augmentation, images = Augmentation(16, "bgc"), some_images(2, size=16)
    drawn, probability = augmentation.draw(2, seeded()), torch.tensor(0.8)
    compiled = torch.compile(augmentation, fullgraph=True, backend="eager")
    expected = augmentation(images, drawn, probability)
    torch.testing.assert_close(compiled(images, drawn, probability), expected)
