"""Explain the chosen examples of one run, and check the maps: what the stage does."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from fewcase.data.image_store import ImageStore
from fewcase.explain.engine.making import make_occluder
from fewcase.explain.faithfulness import Faithfulness
from fewcase.explain.fills import fill_image
from fewcase.explain.grids import Grid, slit_grids, square_grids
from fewcase.explain.map_files import MapSet
from fewcase.explain.measures import measure_maps
from fewcase.explain.occlusion import Occluder, differences_of
from fewcase.explain.randomisation import randomise
from fewcase.images.load import load_images
from fewcase.models.trained import TrainedRun
from fewcase.study.errors import InputError
from fewcase.study.explanations import FILLS, ExplainOptions

CHANNELS = ("FHR", "UC", "baseline")
"""Channels of the pictures of signals."""

USUAL = 64
"""Cases whose images give randomised networks their statistics, at most."""

logger = logging.getLogger(__name__)


class MeanOccluder:
    """The mean logits of several networks, each asked by an occluder of its own."""

    def __init__(self, occluders: Sequence[Occluder]) -> None:
        self._occluders = tuple(occluders)

    def __call__(
        self, image: torch.Tensor, fill: torch.Tensor, grids: Sequence[Grid]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """See `fewcase.explain.occlusion.Occluder`."""
        asked = [occlude(image, fill, grids) for occlude in self._occluders]
        base = torch.stack([logits for logits, _ in asked]).mean(dim=0)
        of_grids = zip(*(masked for _, masked in asked), strict=True)
        return base, [torch.stack(one).mean(dim=0) for one in of_grids]


@dataclasses.dataclass(frozen=True)
class Explainer:
    """A run's networks and the grids that they are asked about.

    Attributes
    ----------
    trained
        The networks.
    grids
        Of one image size.
    options
        Fill and score count.
    device
        As torch names it.
    """

    trained: TrainedRun
    grids: tuple[Grid, ...]
    options: ExplainOptions
    device: str

    def normalised(self, pictures: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Return uint8 pictures (n, C, H, W) as the network takes them, on the device."""
        mean = torch.tensor(self.trained.mean, device=self.device)[:, None, None]
        std = torch.tensor(self.trained.std, device=self.device)[:, None, None]
        return (torch.from_numpy(np.array(pictures)).to(self.device) / 255 - mean) / std

    def filled(self, pictures: npt.NDArray[np.uint8], fill: str) -> torch.Tensor:
        """Return what cells of the pictures are blanked with, normalised."""
        return self.normalised(np.stack([fill_image(picture, fill) for picture in pictures]))

    def explain(
        self, pictures: npt.NDArray[np.uint8], fill: str, networks: Sequence[torch.nn.Module]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the logits of the pictures (n, K) and the maps of their cells (n, cells, K)."""
        shape = (int(pictures.shape[1]), int(pictures.shape[2]), int(pictures.shape[3]))
        made = [make_occluder(network, shape, self.device, logger) for network in networks]
        occluder = MeanOccluder(made)
        found = [
            differences_of(
                *(occluder, picture, self.grids),
                fill=fill,
                score=self.options.score,
                mean=self.trained.mean,
                std=self.trained.std,
                device=self.device,
            )
            for picture in pictures
        ]
        return np.stack([logits for logits, _ in found]), np.stack([maps for _, maps in found])


def grids_for(
    options: ExplainOptions,
    height: int,
    width: int,
    channels: int,
    window_minutes: float | None,
) -> tuple[Grid, ...]:
    """Return time slits where the images are windows of signals, and squares elsewhere.

    Grids that are finer than the pixels, or slits longer than half a window, are left out.

    Raises
    ------
    InputError
        Where none is left.
    """
    power = options.weight_power
    if window_minutes is not None:
        finest = window_minutes / width
        fitting = [each for each in options.slit_minutes if each >= finest]
        names = CHANNELS[:channels]
        return slit_grids(height, width, window_minutes, names, minutes=fitting, power=power)
    sizes = [size for size in options.grids if size <= min(height, width)]
    if not sizes:
        raise InputError(
            f"explain.grids: {list(options.grids)} cells along a side, but images have "
            f"{min(height, width)} pixels; give smaller numbers."
        )
    return square_grids(height, width, channels, sizes=sizes, power=power)


def explain_run(
    trained: TrainedRun,
    images: ImageStore,
    cases: pd.DataFrame,
    class_names: Sequence[str],
    options: ExplainOptions,
    device: str,
    about: dict[str, Any],
    *,
    window_minutes: float | None = None,
    seed: int = 0,
) -> tuple[MapSet, Faithfulness]:
    """Explain examples of a run, and check the maps of the first that were drawn.

    Parameters
    ----------
    trained
        The networks of the run.
    images
        The store that they were trained from.
    cases
        As `fewcase.explain.choose.choose_cases` returns them.
    class_names
        K names.
    options
        Grids, fill, score, and what is checked.
    device
        As torch names it.
    about
        What is kept beside the maps: arm, split, seed, fold, whether data are simulated.
    window_minutes
        What the width of an image spans, where it is the window of a signal.
    seed
        Of the orders and networks that maps are compared with.

    Returns
    -------
    The maps, and what was measured of them.
    """
    rows = cases["row"].to_numpy(np.int64)
    pictures = load_images(images, rows, trained.sizes, device).cpu().numpy()
    _, channels, height, width = pictures.shape
    grids = grids_for(options, height, width, channels, window_minutes)
    explainer = Explainer(trained, grids, options, device)
    logits, found = explainer.explain(pictures, options.fill, trained.networks)
    logger.info("%d cases, %d cells each", len(cases), found.shape[1])
    wide = logits.astype(np.float64)
    scores = np.exp(wide - np.logaddexp.reduce(wide, axis=1, keepdims=True)).astype(np.float32)
    table = cases.assign(
        case=np.arange(len(cases)),
        fold=int(about["fold"]),
        **{f"score_{number}": scores[:, number] for number in range(scores.shape[1])},
    )
    facts = {
        **about,
        "score": options.score,
        "fill": options.fill,
        "mix": options.mix,
        "channels": list(CHANNELS[:channels]) if window_minutes is not None else None,
        "window_minutes": window_minutes,
    }
    maps = MapSet(table, pictures, found, grids, tuple(class_names), facts)
    return maps, _check_maps(explainer, maps, options, seed)


def _check_maps(
    explainer: Explainer, maps: MapSet, options: ExplainOptions, seed: int
) -> Faithfulness:
    """Measure the maps of the first cases that were drawn."""
    places = np.flatnonzero(maps.cases["drawn"].to_numpy(bool))[: options.checks]
    pictures = maps.pictures[places]
    checked = dataclasses.replace(
        maps,
        cases=maps.cases.iloc[places].reset_index(drop=True),
        pictures=pictures,
        differences=maps.differences[places],
    )
    networks = explainer.trained.networks
    other_fills = {
        fill: explainer.explain(pictures, fill, networks)[1]
        for fill in FILLS
        if fill != options.fill
    }
    images = explainer.normalised(pictures)
    # What the randomised networks take for usual comes from as many images as there are.
    usual = explainer.normalised(maps.pictures[:USUAL])
    drawn_anew = [
        [
            randomise(network, usual, seed=seed + number * len(networks) + place)
            for place, network in enumerate(networks)
        ]
        for number in range(options.randomised)
    ]
    return measure_maps(
        checked,
        explainer.trained.logits,
        images,
        explainer.filled(pictures, options.fill),
        explainer.filled(pictures, "blur"),
        other_fills=other_fills,
        randomised=[explainer.explain(pictures, options.fill, each)[1] for each in drawn_anew],
        steps=options.steps,
        draws=options.orders,
        seed=seed,
        device=explainer.device,
    )
