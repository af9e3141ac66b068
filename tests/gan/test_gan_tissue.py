"""A generator of simulated tissue: a classifier of real tiles names the classes that it draws."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fewcase.gan.steps import GanData
from fewcase.gan.synthesis import draw_images, latent_seeds
from fewcase.gan.training import train_gan
from fewcase.images.resize import resize_batch
from fewcase.ingest.simulate.histology import simulate_histology
from fewcase.study.image_sources import SimulateHistology
from fewcase.study.settings import TrainingOptions
from made_images import read_folder
from small_gans import LOG, SMALL

CLASSES = ("LYM", "MUS", "ADI")


@pytest.fixture(scope="module")
def tissue(tmp_path_factory):
    """Ninety tiles of each class at 16 pixels, half of the patients apart: images and labels."""
    folder = tmp_path_factory.mktemp("tissue") / "files"
    options = SimulateHistology(
        classes=dict.fromkeys(CLASSES, 90), patients=20, width=64, height=64, size=64,
        validation=0.5, sites=("here",), seed=4,
    )  # fmt: skip
    simulate_histology(options, folder, threads=1)
    found = {}
    for part in ("train", "validation"):
        images, labels = [], []
        for number, name in enumerate(CLASSES):
            of_class = read_folder(folder / part / name)
            images.append(resize_batch(of_class, 16))
            labels.append(np.full(len(of_class), number))
        found[part] = np.concatenate(images), np.concatenate(labels).astype(np.int64)
    return found


def describe(images):
    """Colours, and how much they vary: what a glance sees of tissue."""
    values = images.astype(float) / 255
    return np.concatenate([values.mean((2, 3)), values.std((2, 3))], axis=1)


def test_a_classifier_of_real_tiles_names_the_classes_of_synthetic_ones(tissue, resume):
    images, labels = tissue["train"]
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(describe(images), labels)
    held_out = tissue["validation"]
    assert classifier.score(describe(held_out[0]), held_out[1]) > 0.9
    recipe = dataclasses.replace(SMALL, kimg=5.0, snapshot_kimg=2.5, batch_size=16, r1_gamma=0.1)
    data = GanData(torch.from_numpy(images), labels, CLASSES)
    options = TrainingOptions(checkpoint_minutes=100)
    outputs = train_gan(recipe, options, data, 2, "cpu", resume, LOG)
    wanted = np.repeat(range(3), 60)
    seeds = [seed for label in range(3) for seed in latent_seeds((9,), label, 60)]
    drawn = np.concatenate(list(draw_images(outputs.generator, wanted, seeds, 1.0, "cpu")))
    # Chance is a third.
    named = [classifier.score(describe(drawn[wanted == k]), wanted[wanted == k]) for k in range(3)]
    assert np.mean(named) > 0.8, named
    # And not by drawing one image of each class.
    assert drawn[wanted == 0].astype(float).std(axis=0).mean() > 5
