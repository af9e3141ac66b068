"""All measures of a set of maps together, a line for each case, and their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from fewcase.data.files import write_csv
from fewcase.explain.areas import areas_of, evidence_of, groups_to_measure
from fewcase.explain.faithfulness import DRAWS, STEPS, Faithfulness, measure_faithfulness
from fewcase.explain.map_files import MapSet
from fewcase.explain.occlusion import Network
from fewcase.explain.randomisation import compare_randomised
from fewcase.explain.stability import compare_fills, of_classes

FILES = ("faithfulness.csv", "curves.csv")

Differences = npt.NDArray[np.float32]


def measure_maps(
    maps: MapSet,
    network: Network,
    images: torch.Tensor,
    fills: torch.Tensor,
    starts: torch.Tensor,
    *,
    other_fills: Mapping[str, Differences],
    randomised: Sequence[Differences],
    steps: int = STEPS,
    draws: int = DRAWS,
    seed: int = 0,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
) -> Faithfulness:
    """Measure the maps of the class with the highest score, of all channels and of each.

    Parameters
    ----------
    maps
        n cases; ``about`` names their fill.
    network, images, fills, starts, steps, draws, seed, batch_size, device
        See `fewcase.explain.faithfulness.measure_faithfulness`.
    other_fills
        By the name of the fill, the differences of the same cases, (n, cells of all grids, K).
    randomised
        The same of each randomised network, with the fill of `maps` (see
        `fewcase.explain.randomisation.randomise`); three or more say more than one.

    Returns
    -------
    Faithfulness
        The table has, for each group of areas (``all``; of time slits also ``channels``: those of
        each channel by itself) and each case: group, case, example, patient, drawn (whether chance
        chose it), the columns of `Faithfulness`, of `fewcase.explain.stability.compare_fills` and
        of `fewcase.explain.randomisation.compare_randomised`. The curves have a column
        group, and are means over the cases that chance chose, where it chose any.
    """
    tables, curves = [], []
    cases = maps.cases[["case", "example", "patient", "drawn"]].reset_index(drop=True)
    base = str(maps.about["fill"])
    for group in groups_to_measure(maps.grids):
        areas = areas_of(maps.grids, group)
        evidence = evidence_of(maps.differences, maps.grids, areas)
        found = measure_faithfulness(
            network, images, fills, starts, evidence, areas,
            steps=steps, draws=draws, seed=seed, batch_size=batch_size, device=device,
            counted=cases["drawn"] if cases["drawn"].any() else None,
        )  # fmt: skip
        own, *others = (
            of_classes(evidence_of(one, maps.grids, areas), found.table["explained"])
            for one in (maps.differences, *other_fills.values(), *randomised)
        )
        by_fill = {base: own, **dict(zip(other_fills, others, strict=False))}
        parts = [
            found.table,
            compare_fills(by_fill, base),
            compare_randomised(own, others[len(other_fills) :], areas, seed=seed),
        ]
        table = pd.concat([cases, *parts], axis=1)
        table.insert(0, "group", group)
        found.curves.insert(0, "group", group)
        tables.append(table)
        curves.append(found.curves)
    return Faithfulness(pd.concat(tables, ignore_index=True), pd.concat(curves, ignore_index=True))


def write_faithfulness(folder: Path, found: Faithfulness) -> None:
    """Write faithfulness.csv and curves.csv into the folder of a set of maps."""
    for name, table in zip(FILES, (found.table, found.curves), strict=True):
        write_csv(folder / name, table)
