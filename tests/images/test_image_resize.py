"""Claims about resizing batches: what Pillow does, on NumPy arrays and torch tensors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fewcase.images.resize import resize_batch
from made_images import scene

WORKFLOW = Path(__file__).parents[2] / "workflow"


def by_pillow(images, size):
    return np.stack(
        [
            [
                np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.LANCZOS))
                for plane in image
            ]
            for image in images
        ]
    )


def largest_difference(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(224, 224, 256), (256, 256, 224), (150, 150, 32), (31, 57, 64), (64, 64, 64), (57, 57, 1)],
)
def test_images_are_those_of_pillow_to_a_grey_level(height, width, size):
    rng = np.random.default_rng(height)
    noise = rng.integers(0, 256, (2, 3, height, width), dtype=np.uint8)
    stripes = np.moveaxis(scene(height, width), -1, 0)[None]
    for images in (noise, stripes):
        expected = by_pillow(images, size)
        found = resize_batch(images, size)
        assert found.dtype == np.uint8
        assert largest_difference(found, expected) <= 1
        assert np.mean(found != expected) < 0.01


def test_there_and_back_again_is_what_pillow_gives(real_data):
    files = sorted(real_data.glob("nct-crc-he-samples/*/*/*.tif"))[::3]
    tiles = np.stack([np.moveaxis(np.asarray(Image.open(f).convert("RGB")), -1, 0) for f in files])
    found = resize_batch(resize_batch(tiles, 256), 224)
    assert largest_difference(found, by_pillow(by_pillow(tiles, 256), 224)) <= 2
    # The path blurs a little; it shifts nothing.
    assert np.abs(found.astype(int) - tiles).mean() < 2


def test_tensors_and_arrays_become_the_same():
    images = np.random.default_rng(0).integers(0, 256, (70, 1, 40, 30), dtype=np.uint8)
    found = resize_batch(torch.from_numpy(images), 23)
    assert found.dtype == torch.uint8
    assert largest_difference(found.numpy(), resize_batch(images, 23)) <= 1


def test_half_precision_around_it_changes_nothing():
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 3, 48, 48), np.uint8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = resize_batch(images, 32)
    assert torch.equal(inside, resize_batch(images, 32))


def test_arrays_are_resized_without_torch():
    program = (
        "import sys, numpy as np; sys.modules['torch'] = None\n"
        "from fewcase.images.resize import resize_batch\n"
        "print(resize_batch(np.zeros((1, 1, 8, 8), np.uint8), 4).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=WORKFLOW, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "(1, 1, 4, 4)", done.stderr


def test_no_images_are_no_images():
    assert resize_batch(np.zeros((0, 3, 8, 8), np.uint8), 4).shape == (0, 3, 4, 4)
