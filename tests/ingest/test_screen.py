"""Claims about the image area of scanners' screens: it is found, and no text around it is left."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from fewcase.images.prepare import prepare_images
from fewcase.ingest.screen import find_area
from fewcase.study.preparation import PrepareOptions
from made_images import records_of, save

HEIGHT, WIDTH = 480, 640


def sector(kind):
    """Where the image of a curved, phased or linear array is, bool (HEIGHT, WIDTH)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    if kind == "linear":
        return (x > 130) & (x < 500) & (y > 58) & (y < 410)
    near, depth, top, half = {"curved": (105, 445, -20, 0.6), "phased": (0, 390, 40, 0.72)}[kind]
    radius, angle = np.hypot(x - 310, y - top), np.arctan2(x - 310, y - top)
    return (radius >= near) & (radius <= depth) & (np.abs(angle) <= half)


def tissue(inside, seed=0):
    """Speckle that fades with depth, on a black screen."""
    rng = np.random.default_rng(seed)
    real, imaginary = (
        ndimage.gaussian_filter(rng.normal(size=inside.shape), (0.8, 1.4)) for _ in range(2)
    )
    decibels = 20 * np.log10(np.hypot(real, imaginary) + 1e-6)
    shown = np.clip((decibels - decibels.max() + 50) * 4, 0, 255)
    fading = np.linspace(1, 0.5, inside.shape[0])[:, None]
    return np.where(inside, shown * fading, 0).astype(np.uint8)


def write_texts(pixels, ground):
    """Draw patient data, settings, a scale and a grey wedge; return screen and where these are."""
    screen = np.stack([np.where(pixels > 0, pixels, ground)] * 3, axis=-1).astype(np.uint8)
    image = Image.fromarray(screen)
    draw = ImageDraw.Draw(image)

    def write(x, y, text, size, colour=(255, 255, 255)):
        draw.text((x, y), text, font=ImageFont.load_default(size), fill=colour)

    write(6, 4, "YAMADA TARO   ID 00123456   1961/02/03", 15)
    write(430, 4, "KYOTO UNIV HOSP 10:22:31", 14, (230, 230, 90))
    write(4, 150, "C5-1\nFR 32Hz\n16 cm\n2D 60%", 13)
    write(8, 424, "TARO 77y", 15, (255, 160, 0))
    write(505, 440, "LIVER Rt lobe", 17, (80, 255, 80))
    for tick in range(12):
        draw.line([(610, 60 + 30 * tick), (618, 60 + 30 * tick)], fill=(255, 255, 255))
    for level in range(160):
        draw.line([(566, 60 + level), (576, 60 + level)], fill=(level + 60,) * 3)
    drawn = (np.asarray(image) != screen).any(axis=-1)
    return np.asarray(image), drawn


def box_of(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.mark.parametrize("ground", [0, 24])
@pytest.mark.parametrize("kind", ["curved", "phased", "linear"])
def test_the_area_found_is_the_true_one_and_no_letter_is_left_in_the_prepared_image(
    tmp_path, kind, ground
):
    inside = sector(kind)
    screen, drawn = write_texts(tissue(inside), ground)
    assert not (drawn & inside).any()
    area = find_area(screen)
    assert np.abs(np.array(area.box) - box_of(inside)).max() <= 4

    path = save(tmp_path / "a.png", screen)
    columns = dict(zip(("left", "top", "right", "bottom"), area.box, strict=True))
    outline = str([list(point) for point in area.outline])
    records = records_of([path], tmp_path, **columns, area=outline)
    examples = records.rename(columns={"record": "example"}).assign(row=[0], parent="a")
    size = max(area.box[2] - area.box[0], area.box[3] - area.box[1])
    options = PrepareOptions(size=size, grey=True, fit="pad")
    prepare_images(records, examples, tmp_path, options, tmp_path / "p.npy")
    prepared = np.load(tmp_path / "p.npy")[0, 0]
    left, top, right, bottom = area.box
    x, y = (size - (right - left)) // 2, (size - (bottom - top)) // 2
    shown = np.zeros((HEIGHT, WIDTH), np.uint8)
    shown[top:bottom, left:right] = prepared[y : y + bottom - top, x : x + right - left]
    assert not shown[drawn].any()
    # What is shown of the screen is a rim of a few pixels; of the image next to nothing is lost.
    around = ndimage.binary_dilation(inside, np.ones((11, 11), bool))
    assert not shown[~around].any()
    grey = np.asarray(Image.fromarray(screen).convert("L"))
    lost = inside & (shown != grey)
    assert lost.sum() < 0.002 * inside.sum()


def test_text_that_touches_the_sector_is_cut_off_at_its_side():
    inside = sector("curved")
    screen, _ = write_texts(tissue(inside), 0)
    image = Image.fromarray(screen)
    draw = ImageDraw.Draw(image)
    # Beside the right side of the sector, letters 2 pixels from it.
    for y in (150, 230, 300):
        x = np.flatnonzero(inside[y + 10])[-1] + 3
        draw.text((x, y), "ID 00123456", font=ImageFont.load_default(14), fill=(255, 255, 255))
    touched = np.asarray(image)
    drawn = (touched != screen).any(axis=-1) & ~ndimage.binary_dilation(inside, iterations=3)
    area = find_area(touched)
    assert np.abs(np.array(area.box) - box_of(inside)).max() <= 4
    polygon = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(polygon).polygon(list(area.outline), fill=1)
    assert drawn.sum() > 300
    assert (drawn & np.asarray(polygon)).sum() < 0.01 * drawn.sum()


def test_letters_over_the_corner_of_a_sector_do_not_bend_its_side():
    inside = sector("curved")
    pixels = tissue(inside)
    # A picture that was cut off within the sector, as those of public sets are.
    inside, pixels = inside[110:], pixels[110:]
    x = np.flatnonzero(inside[10])[0]
    image = Image.fromarray(np.stack([pixels] * 3, axis=-1))
    draw = ImageDraw.Draw(image)
    draw.text((x - 40, -4), "LOGIQ\n   E9", font=ImageFont.load_default(15), fill=(255, 255, 255))
    screen = np.asarray(image)
    drawn = (screen[..., 0] != pixels) & ~inside
    area = find_area(screen)
    kept = Image.new("1", (WIDTH, HEIGHT - 110))
    ImageDraw.Draw(kept).polygon(list(area.outline), fill=1)
    far = ~ndimage.binary_dilation(inside, iterations=9)
    assert (drawn & far).sum() > 100
    assert not (drawn & far & np.asarray(kept)).any()
    assert (inside & ~np.asarray(kept)).sum() < 0.002 * inside.sum()


def test_a_frame_around_the_image_and_jpeg_do_not_mislead(tmp_path):
    inside = sector("linear")
    screen, _ = write_texts(tissue(inside), 0)
    screen = screen.copy()
    screen[30:460, [100, 530]] = screen[[30, 459], 100:531] = 255
    path = save(tmp_path / "a.jpg", screen, quality=85)
    area = find_area(np.asarray(Image.open(path)), jpeg=True)
    assert np.abs(np.array(area.box) - box_of(inside)).max() <= 8


def test_an_image_without_a_screen_around_it_stays_whole():
    rng = np.random.default_rng(3)
    pixels = rng.integers(10, 200, (200, 300, 1), np.uint8)
    area = find_area(pixels)
    assert area.box == (0, 0, 300, 200)
    assert area.outline == ()
    # A cyst is flat and black, and inside.
    pixels[60:140, 80:180] = 0
    assert find_area(pixels) == area


def test_what_an_expert_marked_is_image_however_dark_it_is():
    inside = sector("linear")
    pixels = tissue(inside)
    pixels[300:] = 0
    marked = np.zeros(inside.shape, bool)
    marked[320:380, 200:300] = True
    bottom = [find_area(pixels[..., None], mask).box[3] for mask in (None, marked)]
    assert bottom[0] < 310
    assert bottom[1] >= 380


def test_a_screen_with_text_alone_has_no_image_area():
    blank, _ = write_texts(np.zeros((HEIGHT, WIDTH), np.uint8), 0)
    assert find_area(blank) is None
