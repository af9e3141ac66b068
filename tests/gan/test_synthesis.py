"""Synthetic images are drawn one by one from seeds of their own, and say where they come from."""

import numpy as np
import pandas as pd
import pytest
import torch

from fewcase.data.image_store import ImageStore
from fewcase.gan.architecture import Architecture
from fewcase.gan.generator import Generator
from fewcase.gan.sources import RealImages, check_classes, of_fold
from fewcase.gan.synthesis import draw_images, latent_seeds, write_synthetic
from fewcase.splits.folds import make_split, training_rows, validation_rows
from fewcase.splits.provenance import read_provenance
from fewcase.splits.synthetic import read_synthetic
from fewcase.study.errors import InputError
from fewcase.study.splits import SplitOptions

SHAPE = Architecture(
    size=16, channels=3, classes=3, z_dim=16, w_dim=16, mapping_layers=2, channel_base=128,
    channel_max=16, embedding=16,
)  # fmt: skip


@pytest.fixture
def generator():
    torch.manual_seed(0)
    made = Generator(SHAPE).eval()
    for name, parameter in made.named_parameters():
        if "noise_strength" in name:
            torch.nn.init.constant_(parameter, 0.3)
    return made


def draw(generator, labels, seeds, truncation=1.0):
    labels = np.asarray(labels, np.int64)
    return np.concatenate(list(draw_images(generator, labels, seeds, truncation, "cpu")))


def test_an_image_depends_on_its_own_class_and_seed_alone(generator):
    """Among others, in another order and in another batch: within one grey level."""
    labels = np.arange(70) % 3
    seeds = [seed for label in range(3) for seed in latent_seeds((1,), label, 24)][:70]
    together = draw(generator, labels, seeds)
    for place in (0, 13, 69):
        alone = draw(generator, labels[place : place + 1], seeds[place : place + 1])
        assert np.abs(alone[0].astype(int) - together[place]).max() <= 1
    other_class = draw(generator, (labels[:1] + 1) % 3, seeds[:1])
    other_seed = draw(generator, labels[:1], seeds[1:2])
    for other in (other_class, other_seed):
        assert np.abs(other[0].astype(int) - together[0]).max() > 5


def test_more_images_drawn_begin_with_the_same_ones():
    assert latent_seeds((1, 2), 0, 8)[:3] == latent_seeds((1, 2), 0, 3)
    assert len({*latent_seeds((1, 2), 0, 50), *latent_seeds((1, 2), 1, 50)}) == 100
    assert not {*latent_seeds((1, 2), 0, 50)} & {*latent_seeds((1, 3), 0, 50)}


def test_full_truncation_draws_the_mean_image_of_no_class(generator):
    for name, parameter in generator.named_parameters():
        if "noise_strength" in name:
            torch.nn.init.zeros_(parameter)
    images = draw(generator, [0, 1, 2], [1, 2, 3], truncation=0.0)
    assert np.abs(images[0].astype(int) - images[1]).max() <= 1


def test_a_written_set_has_its_classes_its_seeds_and_what_its_generator_learned_from(
    generator, tmp_path
):
    counts = np.array([2, 0, 3])
    learned = pd.DataFrame({"example": ["tile 1", "tile 2"]})
    write_synthetic(tmp_path, generator, "scratch", 4, counts, (0, 1, 4, 2), 1.0, learned, "cpu")
    found = read_synthetic(tmp_path, 4)
    assert found.labels.tolist() == [0, 0, 2, 2, 2]
    assert found.images.shape == (5, 3, 16, 16)
    provenance = read_provenance(tmp_path / "provenance.parquet")
    assert provenance.learned["example"].tolist() == ["tile 1", "tile 2"]
    assert set(provenance.images["generator"]) == {"scratch"}
    assert provenance.images["example"].is_unique
    # The seed that is kept draws the image again.
    row = provenance.images.iloc[3]
    again = draw(generator, [row["label"]], [int(row["latent_seed"])])
    stored = ImageStore.open([tmp_path / "images.npy"]).read([3])
    assert np.abs(again.astype(int) - stored).max() <= 1


def split_of(patients: int) -> pd.DataFrame:
    examples = pd.DataFrame(
        {
            "row": np.arange(3 * patients)[::-1],
            "example": [f"e{i}" for i in range(3 * patients)],
            "parent": [f"r{i}" for i in range(3 * patients)],
            "patient": [f"p{i % patients}" for i in range(3 * patients)],
            "site": "here",
            "date": pd.NaT,
            "label": np.arange(3 * patients) % 2,
        }
    )
    return make_split(examples, SplitOptions(target="t", folds=3, inner_folds=3), seed=0)


def test_a_generator_learns_from_the_training_rows_of_its_fold_alone():
    split = split_of(18)
    for fold in range(3):
        learned, held_out = of_fold(split, fold)
        assert set(learned.table["example"]) == set(training_rows(split, fold)["example"])
        assert set(held_out.table["example"]) == set(validation_rows(split, fold)["example"])
        assert not set(learned.table["patient"]) & set(held_out.table["patient"])
        assert (np.diff(learned.rows) > 0).all()


@pytest.mark.parametrize(("count", "stops"), [(0, True), (1, True), (3, False)])
def test_a_class_with_too_few_images_stops_and_one_with_few_is_warned_of(count, stops):
    labels = np.repeat([0, 1], [60, count])
    table = pd.DataFrame(
        {"row": np.arange(len(labels)), "example": "e", "patient": "p", "label": labels}
    )
    images = RealImages.of(table)
    if stops:
        with pytest.raises(InputError, match=f"class 'rare' has {count} training images"):
            check_classes(images, ("common", "rare"))
    else:
        assert check_classes(images, ("common", "rare")) == [
            "class 'rare' has only 3 training images: expect copies of them"
        ]


def test_a_label_beyond_the_classes_is_named():
    table = pd.DataFrame({"row": [0], "example": ["e"], "patient": ["p"], "label": [4]})
    with pytest.raises(InputError, match="label 4, but the target names 2 classes"):
        check_classes(RealImages.of(table), ("a", "b"))
