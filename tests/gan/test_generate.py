"""A generator can be used alone: one command writes images of a class and a contact sheet."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fewcase.gan.architecture import Architecture
from fewcase.gan.files import GanFacts, read_generator, write_generator
from fewcase.gan.generator import Generator
from fewcase.gan.sheet import contact_sheet, label_of
from fewcase.gan.synthesis import draw_images
from fewcase.study.errors import InputError

SCRIPT = Path(__file__).parents[2] / "workflow" / "generate.py"


@pytest.fixture
def weights(tmp_path):
    shape = Architecture(
        size=16, channels=1, classes=2, z_dim=16, w_dim=16, mapping_layers=2, channel_base=128,
        channel_max=16, embedding=16,
    )  # fmt: skip
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    write_generator(path, Generator(shape), GanFacts("tuned", shape, ("low/risk", "high"), 0.8, {}))
    return path


def test_the_command_writes_as_many_images_as_asked_for_and_their_seeds_draw_them_again(
    weights, tmp_path
):
    arguments = [
        "--weights",
        weights,
        "--class",
        "low/risk",
        "--count",
        "10",
        "--out",
        tmp_path / "o",
    ]
    subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], check=True, capture_output=True)
    table = pd.read_csv(tmp_path / "o" / "images.csv")
    assert len(table) == 10
    assert set(table["class"]) == {"low/risk"}
    assert set(table["truncation"]) == {0.8}
    written = np.stack([np.asarray(Image.open(tmp_path / "o" / name)) for name in table["file"]])
    generator, _ = read_generator(weights)
    seeds = [int(seed) for seed in table["latent_seed"]]
    drawn = np.concatenate(list(draw_images(generator, np.zeros(10, np.int64), seeds, 0.8, "cpu")))
    assert np.abs(drawn[:, 0].astype(int) - written).max() <= 1
    sheet = np.asarray(Image.open(tmp_path / "o" / "sheet.png"))
    assert sheet.shape == (2 * 16 + 4, 8 * 16 + 7 * 4)
    assert (sheet[:16, :16] == written[0]).all()


def test_a_class_is_known_by_name_or_number_and_others_by_their_neighbours(weights):
    facts = read_generator(weights)[1]
    assert (label_of(facts, "high"), label_of(facts, "1"), label_of(facts, "0")) == (1, 1, 0)
    with pytest.raises(InputError, match=r"draws no class 'hihg'\. Did you mean 'high'"):
        label_of(facts, "hihg")
    with pytest.raises(InputError, match="draws no class '2'"):
        label_of(facts, "2")


def test_a_contact_sheet_of_few_images_is_as_wide_as_they_are():
    assert contact_sheet([np.zeros((3, 8, 8), np.uint8)] * 3).shape == (3, 8, 32)
