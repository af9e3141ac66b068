"""Masks of a run: mean over bags, in the order of what is held out, at the network's size."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from fake_masks import FakeLivers
from fewcase.data.files import read_table, table_metadata
from fewcase.data.image_store import ImageStore
from fewcase.evaluation.masks import MASK_MEASURES, measure_masks
from fewcase.models.trained import TrainedRun
from fewcase.segmentation.run import segment_run, write_masks
from fewcase.study.errors import InputError

SIZE = 32


class Threshold(nn.Module):
    """Takes bright pixels for the organ, the surer the larger its slope."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def segment(self, images):
        masks = self.slope * (images - 0.2)
        return torch.zeros(len(images), 3), (masks, nn.functional.avg_pool2d(masks, 2))


def trained(*networks, sizes=(SIZE,)):
    return TrainedRun("fake", networks, (0.1,), (2.0,), sizes, {})


def stores(livers):
    return ImageStore.open([livers.store()]), ImageStore.open([livers.store("512-mask")])


def predictions(livers):
    table = livers.scored("vit", 1, 1.0).drop(columns="off")
    inner = livers.scored("vit", 2, 1.0).drop(columns="off").assign(role="inner")
    tested = livers.scored("vit", 0, 1.0).drop(columns="off").assign(role="test")
    return pd.concat([inner, tested, table.iloc[::-1]], ignore_index=True).assign(test_set="")


@pytest.fixture(scope="module")
def livers(tmp_path_factory):
    return FakeLivers(tmp_path_factory.mktemp("livers"), size=SIZE)


def test_masks_are_mean_probabilities_over_bags_of_the_held_out_examples_in_their_order(livers):
    given = predictions(livers)
    run = trained(Threshold(8.0).eval(), Threshold(2.0).eval())
    table, masks = segment_run(run, *stores(livers), given, "cpu")
    held_out = given[given["role"] != "inner"].reset_index(drop=True)
    about = ["row", "example", "parent", "patient", "site", "role", "label"]
    scores = ["score_0", "score_1", "score_2"]
    assert table.columns.tolist() == [*about, *scores, *MASK_MEASURES]
    pd.testing.assert_frame_equal(table[about + scores], held_out[about + scores])
    seen = (livers.images[held_out["row"], 0] / 255 - 0.1) / 2.0
    each = [1 / (1 + np.exp(-slope * (seen - 0.2))) for slope in (8.0, 2.0)]
    assert masks.dtype == np.uint8
    assert np.abs(masks - 255 * np.mean(each, axis=0)).max() <= 0.51
    measured = measure_masks(np.mean(each, axis=0), livers.masks[held_out["row"], 0])
    pd.testing.assert_frame_equal(table[list(MASK_MEASURES)], measured)
    assert table["dice"].mean() > 0.2


def test_masks_are_measured_at_the_size_that_the_network_sees(livers, tmp_path):
    small = trained(Threshold(8.0).eval(), sizes=(48, 16))
    table, masks = segment_run(small, *stores(livers), predictions(livers), "cpu")
    halves = livers.masks[table["row"], 0].reshape(-1, 16, 2, 16, 2).mean(axis=(2, 4)) > 127
    assert masks.shape == (len(table), 16, 16)
    assert table["true_area"].tolist() == halves.mean(axis=(1, 2)).tolist()
    write_masks(tmp_path / "masks.npy", tmp_path / "masks.parquet", masks, table)
    assert (np.load(tmp_path / "masks.npy") == masks).all()
    pd.testing.assert_frame_equal(read_table(tmp_path / "masks.parquet"), table)
    facts = json.loads(table_metadata(tmp_path / "masks.parquet")["fewcase"])
    assert facts == {"size": 16}


def test_networks_without_masks_and_masks_of_other_images_are_refused(livers):
    images, masks = stores(livers)
    with pytest.raises(InputError, match="fake has no masks"):
        segment_run(trained(nn.Identity()), images, masks, predictions(livers), "cpu")
    other = FakeLivers(livers.folder / "other", number=6, size=SIZE)
    with pytest.raises(InputError, match=r"masks of shape \(6, 1, 32, 32\) do not go"):
        segment_run(trained(Threshold(1.0)), images, stores(other)[1], predictions(livers), "cpu")
