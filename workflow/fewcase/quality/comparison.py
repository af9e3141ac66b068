"""The quality of synthetic images as a table: per class, against training and validation images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.quality.arithmetic import Features
from fewcase.quality.frechet import FEWEST_IMAGES, fit_gaussian, frechet_distance
from fewcase.quality.kernel_distance import default_subset_size, kernel_distance
from fewcase.quality.manifolds import (
    DENSITY_NEIGHBOURS,
    PRECISION_NEIGHBOURS,
    compare_manifolds,
)
from fewcase.runtime.determinism import seed_of

ALL = "all"
MEASURES = ("frechet", "kid", "kid_sd", "precision", "recall", "density", "coverage")
COLUMNS = (
    *("class", "sample", "reference", *MEASURES, "n_real", "n_synthetic", "d"),
    *("subset_size", "few_images", "same_mix", "reason", "extractor", "resizer"),
    *("frechet_name", "kid_name"),
)

Integers = npt.NDArray[np.int64]


class Named(Protocol):
    """What a table says of features; see `fewcase.quality.features.Extractor`."""

    name: str
    resizer: str

    def metric_name(self, metric: str) -> str:
        """Return what the table calls a metric."""


@dataclasses.dataclass(frozen=True)
class LabelledFeatures:
    """Features of a set of images and their classes.

    Attributes
    ----------
    features
        (n, d).
    labels
        (n,) int64, 0 to K - 1.
    """

    features: Features
    labels: Integers

    def __post_init__(self) -> None:
        if len(self.features) != len(self.labels):
            raise ValueError(f"{len(self.features)} features, but {len(self.labels)} labels")

    def of_class(self, label: int) -> LabelledFeatures:
        """Return the images of a class."""
        chosen = self.labels == label
        return LabelledFeatures(self.features[chosen], self.labels[chosen])


def measure_quality(
    train: LabelledFeatures,
    synthetic: LabelledFeatures,
    validation: LabelledFeatures | None,
    classes: Sequence[str],
    extractor: Named,
    seed: int,
    device: str = "cpu",
) -> pd.DataFrame:
    """Compare synthetic with real images, in all and class by class.

    As many synthetic images are compared as there are real ones, class by class, so that both
    have the same mix of classes; all of a class where there are fewer. Which ones is drawn.

    Parameters
    ----------
    train, synthetic, validation
        Features of one extractor. Without validation images its rows are left out.
    classes
        Their names, in the order of the labels.
    extractor
        Where the features come from.
    seed
        Of all draws.
    device
        As torch names it.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`. A row has a ``class`` (a name, or ``all``), a ``sample`` and a ``reference``.
        The sample ``synthetic`` is compared with both references, ``train`` and ``validation``;
        the sample ``train`` with ``validation``, as many images of it as there are synthetic ones
        in the row above: what a generator would come to that drew real images, the floor of that
        row. ``n_synthetic`` counts the sample, ``n_real`` the reference. ``precision`` and
        ``recall`` are of k = 3, ``density`` and ``coverage`` of k = 5. ``few_images`` marks
        Fréchet distances of fewer than 2,048 images or no more than features: they depend on the
        number of images, and the covariances may be singular. ``same_mix`` is false where a class
        has too few synthetic images; ``reason`` says why values are missing.
    """
    references = {"train": train} | ({} if validation is None else {"validation": validation})
    rows = []
    for number, name in enumerate((ALL, *classes)):
        of = {
            reference: real if name == ALL else real.of_class(number - 1)
            for reference, real in references.items()
        }
        fakes = synthetic if name == ALL else synthetic.of_class(number - 1)
        for place, (reference, real) in enumerate(of.items()):
            key = seed_of(seed, number, place)
            wanted = np.bincount(real.labels, minlength=len(classes))
            sample = _draw(fakes, wanted, key)
            about = {"class": name, "sample": "synthetic", "reference": reference}
            rows.append(about | compare_sets(real, sample, wanted, key, device))
            if reference == "validation":
                got = np.bincount(sample.labels, minlength=len(classes))
                floor = _draw(of["train"], got, key)
                about = {"class": name, "sample": "train", "reference": reference}
                rows.append(about | compare_sets(real, floor, wanted, key, device))
    table = pd.DataFrame(rows).assign(
        extractor=extractor.name,
        resizer=extractor.resizer,
        frechet_name=extractor.metric_name("frechet"),
        kid_name=extractor.metric_name("kid"),
    )
    return table[list(COLUMNS)]


def _draw(images: LabelledFeatures, counts: Integers, seed: int) -> LabelledFeatures:
    """Draw so many images of each class, or take all where there are fewer."""
    random = np.random.default_rng(seed)
    chosen = []
    for label, count in enumerate(counts.tolist()):
        places = np.flatnonzero(images.labels == label)
        if len(places) > count:
            places = random.choice(places, count, replace=False)
        chosen.append(places)
    places = np.sort(np.concatenate(chosen))
    return LabelledFeatures(images.features[places], images.labels[places])


def compare_sets(
    real: LabelledFeatures, sample: LabelledFeatures, wanted: Integers, seed: int, device: str
) -> dict[str, Any]:
    """Return every measure of a sample against real images, NaN where there are too few.

    Parameters
    ----------
    real, sample
        Both whole.
    wanted
        (K,) how many images of each class the sample should have.
    seed
        Of the draws of the kernel distance.
    device
        As torch names it.

    Returns
    -------
    dict
        `MEASURES` and what `measure_quality` says of a row besides, but for its names.
    """
    counts = len(real.features), len(sample.features)
    found: dict[str, Any] = dict.fromkeys(MEASURES, float("nan"))
    found |= {"n_real": counts[0], "n_synthetic": counts[1], "d": real.features.shape[1]}
    got = np.bincount(sample.labels, minlength=len(wanted))
    found["few_images"] = min(counts) < max(FEWEST_IMAGES, real.features.shape[1] + 1)
    found |= {"same_mix": bool((got == wanted).all()), "subset_size": 0}
    reasons = []
    if min(counts) >= 2:
        gaussians = [fit_gaussian(side.features, device) for side in (real, sample)]
        found["frechet"] = frechet_distance(*gaussians)
    else:
        reasons.append("frechet needs 2 images of each")
    if default_subset_size(*counts) >= 2:
        kernel = kernel_distance(real.features, sample.features, seed=seed % 2**32, device=device)
        found |= {"kid": kernel.value, "kid_sd": kernel.sd, "subset_size": kernel.subset_size}
    else:
        reasons.append("kid needs 4 images of each")
    fewest = max(PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS) + 1
    if min(counts) >= fewest:
        manifolds = compare_manifolds(real.features, sample.features, device=device)
        found |= dataclasses.asdict(manifolds)
    else:
        reasons.append(f"precision, recall, density and coverage need {fewest} images of each")
    if reasons:
        reasons.insert(0, f"{counts[0]} real and {counts[1]} synthetic images")
    found["reason"] = "; ".join(reasons)
    return found
