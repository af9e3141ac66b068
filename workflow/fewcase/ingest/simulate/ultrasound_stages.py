"""What stages of fibrosis do to a liver's picture, patient by patient, with much in common."""

from __future__ import annotations

import dataclasses

import numpy as np

STAGES = ("F0", "F1", "F2", "F3", "F4")
"""Of fibrosis. Their places are part of patients' numbers."""

OVERLAP = 0.1
"""Standard deviation of severity within a stage; from one stage to the next it rises by 0.25."""

APART = 0.07
"""Standard deviation of each sign about the patient's severity."""


@dataclasses.dataclass(frozen=True)
class Signs:
    """How one patient's liver looks; lengths in mm, levels in dB.

    Attributes
    ----------
    severity
        0 without fibrosis, 1 in cirrhosis.
    grain
        Mean distance between septa in the echotexture.
    contrast
        How much septa are brighter than what lies between.
    clusters
        Standard deviation of the number of scatterers from place to place, as a level.
    brightness
        Of the parenchyma against that of a usual liver.
    loss
        Attenuation in dB per cm and MHz.
    walls
        Of portal veins, against the parenchyma.
    roughness
        Height of nodules at the surface.
    nodules
        Their width.
    bluntness
        Radius over which edges are rounded.
    narrowing
        Share by which hepatic veins are narrower.
    """

    severity: float
    grain: float
    contrast: float
    clusters: float
    brightness: float
    loss: float
    walls: float
    roughness: float
    nodules: float
    bluntness: float
    narrowing: float


def draw_signs(rng: np.random.Generator, stage: str, severity: float, shift: float) -> Signs:
    """Draw the signs of a patient.

    Parameters
    ----------
    severity
        How marked signs are: 0 makes all stages look alike.
    shift
        How much patients differ in what is no sign of fibrosis: brightness, attenuation, fat.
    """
    draw = rng.standard_normal
    common = STAGES.index(stage) / 4 + OVERLAP * draw()
    grain, contrast, loss, walls, rough, blunt = (
        severity * np.clip(common + APART * draw(6), 0, 1.25)
    ).tolist()
    fat, bright, weak, clear = (shift * np.clip(draw(4), -2, 2)).tolist()
    # A fatty liver is bright and attenuates, as does fibrosis, and its vessels are pale.
    fat = max(fat, 0)
    return Signs(
        severity=float(common),
        grain=2.2 + 6.8 * grain,
        contrast=0.8 + 7.7 * contrast,
        clusters=0.3 + 2.2 * contrast,
        brightness=1.0 * loss + 1.6 * fat + 1.8 * bright,
        loss=0.5 + 0.09 * loss + 0.045 * fat + 0.025 * weak,
        walls=max(10 - 7 * walls - 1.5 * fat + 1.2 * clear, 0.5),
        roughness=0.1 + 2.1 * rough**1.6,
        nodules=13 - 3 * rough,
        bluntness=5 + 16 * blunt,
        narrowing=0.4 * min(walls, 1),
    )
