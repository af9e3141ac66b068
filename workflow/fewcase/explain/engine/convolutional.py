"""Blank cells in convolutional networks, recomputing of each feature map only what a cell changes.

After the exact incremental inference of Nakandala, Kumar and Papakonstantinou, "Incremental and
Approximate Inference for Faster Occlusion-based Deep CNN Explanations", SIGMOD 2019. Cells of all
grids are computed in groups of similar size, in patches cut out of the maps of the bare image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import fx

from fewcase.explain.engine.boxes import Boxes, Ints, after, groups_of, union
from fewcase.explain.engine.changes import Cells, cells_of
from fewcase.explain.engine.patches import BaseMap, Patches, Place
from fewcase.explain.engine.steps import POINT, Step, program_of
from fewcase.explain.grids import Grid

CPU_GROUPS = (7.6e6, 4, 16)
GPU_GROUPS = (250e6, 16, 1024)
"""Numbers that the largest value of a group should have; fewest and most cells of a group."""
WHOLE_SHARE = 0.8
"""Patches of a larger share of their map become the whole map, which costs no cutting."""


@dataclasses.dataclass(frozen=True)
class Work:
    """What the cells of an image cost, in multiplications with additions.

    Attributes
    ----------
    cells, passes
        Number of cells, and of those that change anything at all.
    plain
        Every cell through the whole network.
    exact
        What lies in the boxes that cells change in each map, and nothing else.
    done
        What is computed: patches as large as the largest of their group.
    """

    cells: int
    passes: int
    plain: int
    exact: int
    done: int


class ConvolutionalOccluder:
    """An `fewcase.explain.occlusion.Occluder` for networks that begin with local steps.

    Parameters
    ----------
    traced
        Of `fewcase.explain.engine.fusion.trace`.
    shape
        (C, H, W) of the images.
    group
        Cells computed at once; by default so many that what one step makes of them stays in a
        CPU's cache, or fills a GPU.
    """

    def __init__(
        self, traced: fx.GraphModule, shape: tuple[int, int, int], group: int | None = None
    ) -> None:
        self.program = program_of(traced)
        self.shape, self.group = shape, group
        self._last_use = {
            name: number for number, step in enumerate(self.program.steps) for name in step.inputs
        }

    @torch.inference_mode()
    def __call__(
        self, image: torch.Tensor, fill: torch.Tensor, grids: Sequence[Grid]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the logits of the image, and with each cell blanked; see `Occluder`."""
        cells = cells_of(image, fill, grids, self.shape)
        maps = self._base_maps(image)
        logits = self.program.rest(*(maps[name].values for name in self.program.handed))
        result = logits.expand(cells.count, -1).clone()
        boxes = self._boxes(cells.boxes)
        for group in self._groups(boxes, image.device):
            part = {name: each.take(group) for name, each in boxes.items()}
            changed = self._run_group(cells, group, part, maps)
            result[torch.from_numpy(cells.numbers[group]).to(image.device)] = changed
        return logits[0], list(result.split([grid.cells for grid in grids]))

    def work(self, image: torch.Tensor, fill: torch.Tensor, grids: Sequence[Grid]) -> Work:
        """Return what the cells of an image cost."""
        cells = cells_of(image, fill, grids, self.shape)
        boxes = self._boxes(cells.boxes)
        rest = self.program.rest_weights
        plain = rest + sum(
            step.weights * step.size[0] * step.size[1] for step in self.program.steps
        )
        exact = done = rest * len(cells.numbers)
        for step in self.program.steps:
            exact += step.weights * int(boxes[step.name].areas.sum())
        for group in self._groups(boxes, image.device):
            places = self._places({name: each.take(group) for name, each in boxes.items()})
            for step in self.program.steps:
                height, width = places[step.name].sides
                done += step.weights * height * width * len(group)
        return Work(cells.count, len(cells.numbers), plain * cells.count, exact, done)

    def _base_maps(self, image: torch.Tensor) -> dict[str, BaseMap]:
        maps = {self.program.image: BaseMap(image[None])}
        for step in self.program.steps:
            maps[step.name] = BaseMap(step.run([maps[name].values for name in step.inputs], True))
        return maps

    def _boxes(self, changed: Boxes) -> dict[str, Boxes]:
        """Return what each cell changes of each map."""
        boxes = {self.program.image: changed}
        for step in self.program.steps:
            boxes[step.name] = union(
                [
                    after(boxes[name], sliding, step.size)
                    for name, sliding in zip(step.inputs, step.slidings, strict=True)
                ]
            )
        return boxes

    def _groups(self, boxes: dict[str, Boxes], device: torch.device) -> list[Ints]:
        """Return the cells in groups to be computed at once."""
        if not len(boxes[self.program.image].first):
            return []
        if self.group is not None:
            return groups_of(list(boxes.values()), self.group)
        numbers = [float(self.program.largest)]
        for step in self.program.steps:
            numbers.append(step.channels * float(boxes[step.name].areas.mean()))
        budget, least, most = CPU_GROUPS if device.type == "cpu" else GPU_GROUPS
        return groups_of(list(boxes.values()), int(np.clip(budget / max(numbers), least, most)))

    def _places(self, boxes: dict[str, Boxes]) -> dict[str, Place]:
        """Return where the patches of a group lie in each map."""
        places: dict[str, Place] = {}
        for step in self.program.steps:
            seen = [places[name] for name in step.inputs if name in places]
            if seen and all(place.whole for place in seen):
                places[step.name] = Place.all_of(len(seen[0].first), step.size)
            else:
                places[step.name] = Place.around(boxes[step.name], step.size, WHOLE_SHARE)
        return places

    def _run_group(
        self, cells: Cells, group: Ints, boxes: dict[str, Boxes], maps: dict[str, BaseMap]
    ) -> torch.Tensor:
        """Return the logits with each cell of a group blanked."""
        places = self._places(boxes)
        image = self.program.image
        whole = Place.all_of(len(group), maps[image].size)
        around = Place.around(boxes[image], maps[image].size, WHOLE_SHARE)
        values = {image: cells.blanked(group, whole if image in self.program.handed else around)}
        for number, step in enumerate(self.program.steps):
            values[step.name] = self._run_step(step, values, places[step.name], maps)
            for name in step.inputs:
                if self._last_use[name] == number and name not in self.program.handed:
                    values.pop(name, None)
        handed = []
        for name in self.program.handed:
            everything = Place.all_of(len(group), maps[name].size)
            handed.append(maps[name].cut(values[name], everything, POINT))
        logits: torch.Tensor = self.program.rest(*handed)
        return logits

    def _run_step(
        self, step: Step, values: dict[str, Patches], place: Place, maps: dict[str, BaseMap]
    ) -> Patches:
        seen = [values[name] for name in step.inputs]
        if place.whole and all(patches.place.whole for patches in seen):
            return Patches(step.run([patches.values for patches in seen], True), place)
        cut = [
            maps[name].cut(patches, place, sliding, step.outside)
            for name, patches, sliding in zip(step.inputs, seen, step.slidings, strict=True)
        ]
        return Patches(step.run(cut, False), place)
