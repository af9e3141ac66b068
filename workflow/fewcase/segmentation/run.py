"""Segment the held-out examples of one run: predicted masks, and how well they cover true ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from fewcase.data.files import atomic_path, write_table
from fewcase.data.image_store import ImageStore
from fewcase.evaluation.masks import measure_masks, true_masks
from fewcase.images.load import load_images
from fewcase.models.trained import TrainedRun
from fewcase.runtime.normalisation import DeviceImages
from fewcase.study.errors import InputError

AT_ONCE = 16
"""Images that a network segments at once."""

HELD_OUT = ("validation", "test")
_ABOUT = ("row", "example", "parent", "patient", "site", "role", "label")


def segment_run(
    trained: TrainedRun,
    images: ImageStore,
    masks: ImageStore,
    predictions: pd.DataFrame,
    device: str,
) -> tuple[pd.DataFrame, npt.NDArray[np.uint8]]:
    """Segment the examples that a run neither trained nor stopped by.

    Parameters
    ----------
    trained
        The networks of the run, which must segment.
    images, masks
        The store that they were trained from, and the true masks of its rows.
    predictions
        Of the run: row, example, parent, patient, site, role, label, score_0, ….
    device
        As torch names it.

    Returns
    -------
    table
        One line per held-out example, in the order of the predictions: row, example, parent,
        patient, site, role, label, score_0, … and `fewcase.evaluation.masks.MASK_MEASURES`,
        distances in pixels of the image as the network sees it.
    masks
        uint8 (n, S, S): 255 times the probability that a pixel is inside, mean over bags.

    Raises
    ------
    InputError
        Where the networks do not segment, or the masks are not those of the images.
    """
    if not all(hasattr(network, "segment") for network in trained.networks):
        raise InputError(
            f"segment: {trained.model} has no masks. Segment runs of arms whose model does, such "
            "as fibrosis_unet or unet_resnet34."
        )
    if masks.shape[0] != images.shape[0] or masks.shape[1] != 1:
        raise InputError(
            f"segment: masks of shape {masks.shape} do not go with images of {images.shape}. "
            "Prepare both again."
        )
    names = [str(name) for name in predictions if str(name).startswith("score_")]
    held_out = predictions[predictions["role"].isin(HELD_OUT)].reset_index(drop=True)
    rows = held_out["row"].to_numpy(np.int64)
    predicted = predict_masks(trained, images, rows, device)
    measured = measure_masks(predicted, true_masks(masks, rows, trained.sizes[-1]))
    return pd.concat([held_out[[*_ABOUT, *names]], measured], axis=1), predicted


@torch.inference_mode()
def predict_masks(
    trained: TrainedRun, images: ImageStore, rows: npt.NDArray[np.int64], device: str
) -> npt.NDArray[np.uint8]:
    """Return 255 times the probability that a pixel is inside, mean over bags, uint8 (n, S, S)."""
    size = trained.sizes[-1]
    stored = load_images(images, rows, trained.sizes, device)
    store = DeviceImages(stored, False, trained.mean, trained.std)
    predicted = np.zeros((len(rows), size, size), np.uint8)
    for first in range(0, len(rows), AT_ONCE):
        places = torch.arange(first, min(first + AT_ONCE, len(rows)), device=stored.device)
        batch = store.batch(places)
        each = [_segment(network, batch) for network in trained.networks]
        inside = torch.stack(each).mean(dim=0)
        predicted[first : first + len(batch)] = (255 * inside[:, 0]).round().byte().cpu().numpy()
    return predicted


def _segment(network: Any, batch: torch.Tensor) -> torch.Tensor:
    """Return the probability that a pixel is inside, (B, 1, S, S): the largest mask comes first."""
    _, masks = network.segment(batch)
    probability: torch.Tensor = masks[0].float().sigmoid()
    return probability


def write_masks(
    masks: Path, table: Path, predicted: npt.NDArray[np.uint8], measured: pd.DataFrame
) -> None:
    """Write the masks of a run and what was measured of them, each file whole or not at all.

    Parameters
    ----------
    masks
        Where the array goes, ``masks.npy``.
    table
        Where the lines go, ``masks.parquet``; its metadata ``fewcase`` is JSON with `size`, the
        height and width of the masks.
    predicted, measured
        See `segment_run`.
    """
    with atomic_path(masks) as temporary, open(temporary, "wb") as file:
        np.save(file, predicted, allow_pickle=False)
    write_table(table, measured, {"fewcase": json.dumps({"size": int(predicted.shape[-1])})})
