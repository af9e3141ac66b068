"""Claims about reading one image file: what is refused, and which colours come out."""

import numpy as np
import pytest
from PIL import Image

from fewcase.data import image_files
from fewcase.data.image_files import ImageFileError, inspect_image, read_image
from made_images import encoded, save, scene


def reason_of(path):
    with pytest.raises(ImageFileError) as caught:
        inspect_image(path)
    assert str(path) in caught.value.detail
    assert caught.value.detail.endswith(".")
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_a_file_tells_type_size_and_channels_by_its_content(tmp_path, kind):
    path = tmp_path / "picture.png"  # whatever its name says
    path.write_bytes(encoded(scene(30, 41), kind))
    info = inspect_image(path)
    assert (info.file_type, info.width, info.height, info.channels) == (kind.lower(), 41, 30, 3)
    assert info.file_bytes == path.stat().st_size
    path.write_bytes(encoded(scene(30, 41, 1)[..., 0], kind))
    assert inspect_image(path).channels == 1
    assert inspect_image(path).digest != info.digest


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_file_that_ends_too_soon_is_damaged(tmp_path, kind, kept):
    content = encoded(scene(120, 120), kind)
    path = tmp_path / "cut"
    path.write_bytes(content[: int(kept * len(content))])
    assert reason_of(path) == "damaged file"


def test_flipped_bytes_of_a_png_are_noticed(tmp_path):
    content = bytearray(encoded(scene(60, 60), "PNG"))
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert reason_of(path) == "damaged file"


def test_each_kind_of_unusable_file_has_a_reason_of_its_own(tmp_path):
    missing, empty, text = tmp_path / "no.png", tmp_path / "empty.png", tmp_path / "text.png"
    empty.write_bytes(b"")
    text.write_text("no image")
    gif, icon, float_ = tmp_path / "a.gif", tmp_path / "icon.png", tmp_path / "float.tif"
    gif.write_bytes(encoded(scene(20, 20), "GIF"))
    icon.write_bytes(encoded(scene(7, 40), "PNG"))
    Image.fromarray(np.ones((20, 20), np.float32)).save(float_)
    pages = tmp_path / "pages.tif"
    page = Image.fromarray(scene(20, 20))
    page.save(pages, save_all=True, append_images=[page])
    found = [reason_of(p) for p in (missing, empty, text, gif, icon, float_, pages, tmp_path)]
    assert found == [
        *("missing file", "empty file", "damaged file", "damaged file", "too small"),
        *("unsupported pixels", "several pages", "unreadable file"),
    ]


def test_a_small_file_that_would_fill_the_memory_is_not_decoded(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    path.write_bytes(encoded(np.zeros((300, 300), np.uint8), "PNG"))
    assert path.stat().st_size < 500
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert reason_of(path) == "too large"


def test_the_limit_is_that_of_pillow():
    assert image_files.MOST_PIXELS == 2 * Image.MAX_IMAGE_PIXELS


def test_what_is_transparent_lies_on_white(tmp_path):
    colour = np.zeros((10, 10, 4), np.uint8)
    colour[..., 0], colour[:5, :, 3] = 200, 255
    half = np.dstack([np.full((10, 10), 100, np.uint8), np.full((10, 10), 128, np.uint8)])
    red = read_image(save(tmp_path / "a.png", colour))
    grey = read_image(save(tmp_path / "b.png", half))
    assert red.shape == (10, 10, 3)
    assert red[0, 0].tolist() == [200, 0, 0]
    assert red[9, 9].tolist() == [255, 255, 255]
    assert grey.shape == (10, 10, 1)
    assert abs(int(grey[0, 0, 0]) - (100 * 128 + 255 * 127) / 255) <= 1


def test_palettes_and_print_colours_become_red_green_and_blue(tmp_path):
    picture = Image.fromarray(scene(16, 16)).quantize(16)
    picture.save(tmp_path / "p.png")
    expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), expected)
    Image.new("CMYK", (9, 9), (0, 255, 255, 0)).save(tmp_path / "c.tif")
    assert read_image(tmp_path / "c.tif")[4, 4].tolist() == [255, 0, 0]
    Image.new("1", (9, 9), 1).save(tmp_path / "m.png")
    assert read_image(tmp_path / "m.png").tolist() == np.full((9, 9, 1), 255).tolist()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled_by_their_largest_number_and_rounded(tmp_path, suffix):
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    path = save(tmp_path / f"deep.{suffix}", values)
    assert inspect_image(path).channels == 1
    exact = values / 65535 * 255
    assert np.abs(read_image(path)[..., 0] - exact).max() <= 0.5
    of_12_bits = read_image(path, bits=12)[..., 0]
    exact = np.minimum(values / 4095 * 255, 255)
    assert np.abs(of_12_bits - exact).max() <= 0.5


@pytest.mark.parametrize("kind", ["jpg", "tif"])
def test_a_picture_taken_sideways_comes_upright(tmp_path, kind):
    picture = Image.fromarray(scene(16, 40, 1)[..., 0])
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise to stand upright
    turned.save(tmp_path / f"a.{kind}", exif=exif)
    info = inspect_image(tmp_path / f"a.{kind}")
    assert (info.width, info.height) == (40, 16)
    found = read_image(tmp_path / f"a.{kind}")[..., 0].astype(int)
    assert np.abs(found - np.asarray(picture)).mean() < 12


def test_exif_that_cannot_be_read_is_passed_over(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(scene(20, 30), "JPEG", exif=b"Exif\0\0no directory"))
    assert (inspect_image(path).width, inspect_image(path).height) == (30, 20)


@pytest.mark.filterwarnings("ignore")
def test_whatever_the_bytes_a_file_is_read_or_refused(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "fuzzed"
    refused = 0
    for kind in ("PNG", "JPEG", "TIFF", "BMP"):
        whole = encoded(scene(24, 30), kind)
        for _ in range(60):
            content = bytearray(whole)
            for place in rng.integers(0, min(len(whole), 300), 3):
                content[place] = rng.integers(0, 256)
            path.write_bytes(content)
            try:
                info = inspect_image(path)
            except ImageFileError:
                refused += 1
            else:
                assert read_image(path).shape == (info.height, info.width, info.channels)
    assert 40 < refused < 220
