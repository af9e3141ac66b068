"""Copies among images are found however they were turned or saved; look-alikes are no copies."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates

from fewcase.splits.image_alignment import align
from fewcase.splits.image_hash import PLACES, SIGNS, SIZE, TRANSFORMS
from fewcase.splits.image_pairs import LEAST_CORRELATION, find_image_pairs, reduce_images
from fewcase.study.errors import InputError


def tissue(seed, height=160, width=160):
    """Blobs of several sizes on a bright ground, with shading that all images share."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.normal(size=(height, width)), scale) * scale for scale in (2, 5)]
    shade = np.hypot(*np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height)))
    return (150 + 90 * sum(layers) - 40 * shade).clip(0, 255).astype(np.uint8)


def drawn_line(values, size=128):
    image = Image.new("L", (size, size), 255)
    points = list(enumerate((size - 1) * (1 - np.asarray(values))))
    ImageDraw.Draw(image).line(points, fill=0)
    return np.asarray(image)


def heart_rate(seed, size=128):
    rng = np.random.default_rng(seed)
    return (0.5 + gaussian_filter(rng.normal(size=size), 2) * 0.25).clip(0, 1)


def as_jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(image, width, height):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def found(images, **options):
    pairs, facts = find_image_pairs(images, **options)
    rows = list(pairs[["row_a", "row_b", "kind"]].itertuples(index=False, name=None))
    return rows, pairs, facts


def test_different_images_give_no_pairs():
    rows, _, facts = found([tissue(seed) for seed in range(60)])
    assert rows == []
    assert (facts["compared"], facts["featureless"]) == (60, 0)


def test_the_same_pixels_are_exact_copies_wherever_they_stand():
    images = [tissue(0), tissue(1), tissue(0), tissue(2), tissue(0)]
    rows, pairs, _ = found(images)
    assert rows == [(0, 2, "exact"), (0, 4, "exact"), (2, 4, "exact")]
    assert (pairs["correlation"] == 1).all()
    assert (pairs["transform"] == "identity").all()


def test_grey_saved_as_rgb_is_the_same_image():
    grey = tissue(3)
    assert found([grey, np.repeat(grey[..., None], 3, axis=2)])[0] == [(0, 1, "exact")]


def test_every_turned_and_mirrored_copy_is_found_with_its_transform():
    original = tissue(4, height=120, width=200)
    for transform, name in enumerate(TRANSFORMS):
        start = original[:, ::-1] if transform >= 4 else original
        copy = np.rot90(start, transform % 4)
        rows, pairs, _ = found([tissue(5), original, copy])
        assert rows == [(1, 2, "exact" if name == "identity" else "near")]
        assert pairs["transform"].tolist() == [name]
        assert pairs["correlation"][0] > 0.999


def test_a_set_grown_from_few_originals_falls_into_its_originals():
    originals = [tissue(seed) for seed in range(3)]
    images, origin = [], []
    for copy in range(16):
        for number, original in enumerate(originals):
            turned = np.rot90(original[:, ::-1] if copy % 8 >= 4 else original, copy % 4)
            images.append(turned if copy < 8 else as_jpeg(np.ascontiguousarray(turned), 50))
            origin.append(number)
    rows, _, _ = found(images)
    linked = {(a, b) for a, b, _ in rows}
    for a in range(len(images)):
        for b in range(a + 1, len(images)):
            assert ((a, b) in linked) == (origin[a] == origin[b])


@pytest.mark.parametrize(
    "change",
    [
        lambda image: as_jpeg(image, 30),
        lambda image: resized(image, 80, 80),
        lambda image: resized(image, 224, 224),
        lambda image: resized(image, 150, 300),
        lambda image: (image * 0.5 + 60).astype(np.uint8),
        lambda image: (255 * (image / 255.0) ** 1.5).astype(np.uint8),
        lambda image: 255 - resized(255 - image, 200, 200),
        lambda image: np.stack([image, image // 2, image], axis=2),
        lambda image: image[4:-4, 4:-4],
        lambda image: image[8:, 2:],
    ],
    ids=[
        "jpeg",
        "smaller",
        "larger",
        "stretched",
        "contrast",
        "gamma",
        "resaved",
        "stained",
        "margins",
        "edge",
    ],
)
def test_an_altered_copy_is_a_near_duplicate(change):
    originals = [tissue(seed) for seed in range(8)]
    copies = [np.rot90(change(image), seed % 4) for seed, image in enumerate(originals)]
    rows, pairs, _ = found([*originals, *copies])
    assert rows == [(seed, seed + 8, "near") for seed in range(8)]
    assert [TRANSFORMS.index(name) for name in pairs["transform"]] == [0, 1, 2, 3] * 2


def test_an_image_laid_over_its_shifted_and_stretched_copy_is_the_same():
    """Against scipy's interpolation; an image laid over another one is not."""
    rows, columns = np.mgrid[:64, :64]
    images = np.stack([tissue(seed, 64, 64) for seed in range(6)]).astype(np.float32)
    source = np.array([rows * 0.94 + 3, columns * 0.97 + 0.5])
    copies = np.stack([map_coordinates(image, source, order=1) for image in images])

    def blurred(stack):
        details = stack - gaussian_filter(stack, (0, 3, 3))
        return [gaussian_filter(details, (0, pixels, pixels)) for pixels in (2, 1, 0)]

    above, below = blurred(images), blurred(copies)
    before = [
        np.corrcoef(*pair)[0, 1] for pair in np.stack([above[2], below[2]], 1).reshape(6, 2, -1)
    ]
    assert max(before) < 0.85
    assert align(above, below).min() > 0.95
    assert align(blurred(images), blurred(np.roll(copies, 1, axis=0))).max() < 0.6


def test_the_negative_of_an_image_is_no_copy():
    assert found([tissue(1), 255 - tissue(1)])[0] == []


def test_blank_tiles_are_counted_and_paired_with_none():
    rng = np.random.default_rng(0)
    shade = np.hypot(*np.meshgrid(np.linspace(-1, 1, 96), np.linspace(-1, 1, 96)))
    blank = [np.full((96, 96), 243, np.uint8)] * 5
    dark_corners = [
        (240 - 12 * shade + rng.normal(0, 1, shade.shape)).astype(np.uint8) for _ in range(5)
    ]
    rows, _, facts = found([*blank, *dark_corners, tissue(0)])
    assert rows == []
    assert facts["featureless"] == 10


def test_a_few_pixels_on_black_prove_nothing():
    images = np.zeros((6, 64, 64), np.uint8)
    images[:, 20, 30] = 255
    images[3:, 40:43, 11] = 200
    rows, _, facts = found(images)
    assert rows == []
    assert facts["featureless"] == 6


def test_a_blank_tile_with_the_same_sensor_noise_in_each_pixel_is_a_copy():
    noise = np.random.default_rng(0).normal(240, 2, (96, 96)).astype(np.uint8)
    other = np.random.default_rng(1).normal(240, 2, (96, 96)).astype(np.uint8)
    assert found([noise, other, noise.copy()])[0] == [(0, 2, "exact")]


def test_flat_and_stepped_lines_are_featureless():
    lines = [drawn_line(np.full(128, level)) for level in (0.5, 0.5, 0.52, 0.7)]
    steps = [drawn_line(np.repeat([0.5, 0.6, level], [43, 43, 42])) for level in (0.5, 0.5, 0.7)]
    rows, _, facts = found([*lines, *steps])
    assert rows == []
    assert facts["featureless"] == 7


def test_line_drawings_of_different_births_are_no_copies_and_a_smaller_one_is():
    drawings = [drawn_line(heart_rate(seed)) for seed in range(80)]
    assert found(drawings)[0] == []
    smaller = resized(drawings[7], 112, 112)
    assert found([*drawings, smaller])[0] == [(7, 80, "near")]


def test_pairs_do_not_chain():
    """Between two images, steps that are each a near copy of the next."""
    steps = [
        ((1 - share) * tissue(1).astype(float) + share * tissue(2)).astype(np.uint8)
        for share in np.linspace(0, 1, 7)
    ]
    linked = {(a, b) for a, b, _ in found(steps)[0]}
    assert {(0, 1), (5, 6)} <= linked
    assert (0, 6) not in linked


def test_an_array_gives_what_its_images_give_one_by_one(tmp_path):
    images = np.stack([tissue(seed % 20, 64, 64) for seed in range(45)])
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    rows, pairs, _ = found(mapped)
    assert len(rows) == 5 * 3 + 15
    for other in (found(list(images))[1], found(iter(images), threads=3)[1]):
        assert pairs.equals(other)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_images_are_compared_like_many(count):
    rows, _, facts = found([tissue(seed) for seed in range(count)])
    assert (rows, facts["compared"]) == ([], count)


def test_images_too_small_to_tell_anything_are_featureless():
    rows, _, facts = found([np.array([[value]], np.uint8) for value in (0, 0, 255)])
    assert (rows, facts["featureless"]) == ([], 3)


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8), np.float32), np.zeros((8, 8, 4), np.uint8), np.zeros(5, np.uint8)]
)
def test_what_is_no_image_is_named_by_its_row(image):
    with pytest.raises(InputError, match=r"image 1: .*expected uint8 \(height, width\)"):
        find_image_pairs([tissue(0), image])


def test_correlation_is_that_of_the_pixels_at_64():
    """Against numpy and scipy on the pixels, in all orientations."""
    images = [tissue(0), np.rot90(as_jpeg(tissue(0), 20)), tissue(1)]
    reduced = reduce_images(images)

    def pixels(image):
        small = np.asarray(
            Image.fromarray(image).convert("F").resize((64, 64), Image.Resampling.BILINEAR)
        )
        return small - gaussian_filter(small, 3, mode="reflect", truncate=8)

    details = reduced.details.astype(np.float64)
    for transform in range(8):
        first = pixels(images[0][:, ::-1] if transform >= 4 else images[0])
        for other in (1, 2):
            second = pixels(np.ascontiguousarray(images[other]))
            expected = np.corrcoef(np.rot90(first, transform % 4).ravel(), second.ravel())[0, 1]
            turned = details[0][PLACES[transform]] * SIGNS[transform]
            assert turned @ details[other] / SIZE**2 == pytest.approx(expected, abs=2e-3)


def test_copies_among_public_images_are_frames_of_one_patient(real_data):
    """Pairs looked at by eye: repeated scans of one eye, and frames of one breast."""
    oct_files = sorted((real_data / "oct2017-subset").rglob("*.jpeg"))
    if not oct_files:
        pytest.skip("no OCT images at hand")
    pairs, _ = find_image_pairs(np.asarray(Image.open(path).convert("L")) for path in oct_files)
    eyes = [path.stem.rsplit("-", 1)[0] for path in oct_files]
    assert len(pairs) >= 10
    assert all(eyes[a] == eyes[b] for a, b in pairs[["row_a", "row_b"]].to_numpy())
    assert (pairs["correlation"] >= LEAST_CORRELATION).all()


@pytest.mark.parametrize("folder", ["kather-texture-2016-subset", "nct-crc-he-samples"])
def test_tiles_of_public_slides_give_no_pairs(real_data, folder):
    paths = [path for path in (real_data / folder).rglob("*") if path.suffix in (".tif", ".png")]
    if not paths:
        pytest.skip("no tiles at hand")
    images = (np.asarray(Image.open(path).convert("RGB")) for path in sorted(paths))
    rows, _, facts = found(images)
    assert rows == []
    assert facts["featureless"] == 1
