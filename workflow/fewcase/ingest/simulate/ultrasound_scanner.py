"""How a simulated scanner turns echoes into brightness: beams, attenuation, envelope, compression.

Speckle is the envelope of a complex field: scatterers of circular Gaussian amplitude, each smeared
by the point spread of pulse and beam, so that it is distributed as J. W. Goodman described (Some
fundamental properties of speckle, JOSA 66, 1976) and R. F. Wagner et al. for ultrasound (IEEE
Trans. Sonics Ultrason. 30, 1983): mean over standard deviation is sqrt(pi / (4 - pi)) = 1.91.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import scipy.fft
from scipy import ndimage

from fewcase.ingest.simulate.fields import Field
from fewcase.ingest.simulate.ultrasound_sector import Beams

SOUND = 1.54
"""Speed of sound in soft tissue, in mm per microsecond."""

TO_DEVIATION = 1 / math.sqrt(8 * math.log(2))
"""Standard deviation of a Gaussian of full width 1 at half its height."""

FINEST = 0.7
"""Least standard deviation of the point spread, in pixels of the screen."""

DECIBEL = math.log(10) / 20
"""Natural logarithm of an amplitude that is larger by one decibel."""


@dataclasses.dataclass(frozen=True)
class Scanner:
    """The scanner of one site.

    Attributes
    ----------
    frequency
        In MHz.
    cycles
        Of a pulse.
    radius, half
        Of the convex probe: radius in mm, half of the opening angle in radians.
    focus
        Depth of the narrowest beam, in mm.
    aperture
        Width of the part of the probe that makes a beam, in mm.
    reach
        Distance from the focus at which beams are wider by sqrt(2), in mm.
    looks
        Of how many independent speckles a picture is the mean (compounding).
    compensation
        Attenuation that time gain makes up for, in dB per cm and MHz.
    noise
        Of the receiver at the probe's face, in dB against normal liver.
    range
        Dynamic range: decibels from black to white.
    level
        Grey of normal liver, as a share of white.
    curve
        Exponent of the grey map after compression; 1 is none.
    style
        Number from 0 to 1 that fixes how the screen is laid out.
    """

    frequency: float
    cycles: float
    radius: float
    half: float
    focus: float
    aperture: float
    reach: float
    looks: int
    compensation: float
    noise: float
    range: float
    level: float
    curve: float
    style: float

    @property
    def wavelength(self) -> float:
        """In mm."""
        return SOUND / self.frequency

    @property
    def axial_width(self) -> float:
        """Full width of the point spread along a beam at half its height, in mm.

        Half of the pulse's length, as sound goes there and back.
        """
        return 0.5 * self.cycles * self.wavelength

    def lateral_width(self, depth: Field) -> Field:
        """Return the full width of the point spread across beams at half its height, in mm.

        1.2 wavelengths times focal depth over aperture at the focus, and wider before and behind
        it as a Gaussian beam.
        """
        narrowest = 1.2 * self.wavelength * self.focus / self.aperture
        away = (depth - np.float32(self.focus)) / np.float32(self.reach)
        widths: Field = np.float32(narrowest) * np.sqrt(1 + away * away)
        return widths


def draw_scanner(rng: np.random.Generator, shift: float) -> Scanner:
    """Draw the scanner of a site; `shift` 0 makes all of one kind."""
    a = (shift * np.clip(rng.standard_normal(12), -2, 2)).tolist()
    return Scanner(
        frequency=3.3 * math.exp(0.08 * a[0]),
        cycles=2.6 * math.exp(0.08 * a[1]),
        radius=58 * math.exp(0.06 * a[2]),
        half=math.radians(32.5 + 1.8 * a[3]),
        focus=85 * math.exp(0.1 * a[4]),
        aperture=24 * math.exp(0.07 * a[5]),
        reach=65 * math.exp(0.1 * a[6]),
        looks=int(np.clip(round(2 + 0.7 * a[7]), 1, 3)),
        compensation=0.53,
        noise=-58 + 3 * a[8],
        range=62 + 4 * a[9],
        level=0.42 + 0.03 * a[10],
        curve=math.exp(0.1 * a[11]),
        style=float(rng.random()),
    )


@dataclasses.dataclass(frozen=True)
class Spread:
    """Standard deviations of the point spread on beams.

    Attributes
    ----------
    axial
        In samples.
    lateral
        In beams, for each sample, (samples, 1).
    """

    axial: float
    lateral: Field


def point_spread(scanner: Scanner, beams: Beams) -> Spread:
    """Return the point spread of a scanner; where pixels are coarser than it, they widen it."""
    finest = FINEST * beams.sector.scale
    axial = max(scanner.axial_width * TO_DEVIATION, finest) / beams.step
    lateral = np.maximum(scanner.lateral_width(beams.depth) * np.float32(TO_DEVIATION), finest)
    between = (beams.depth + np.float32(beams.sector.radius)) * np.float32(beams.turn)
    return Spread(axial, lateral / between)


def speckle(
    amplitude: Field, steady: Field | None, spread: Spread, looks: int, rng: np.random.Generator
) -> Field:
    """Return the mean intensity of echoes, float32 (samples, beams).

    The field is that of the analytic signal without its carrier; its modulus is the envelope that
    a scanner detects. Where the amplitude is 1 all over, the mean intensity is 1.

    Parameters
    ----------
    amplitude
        Root mean square of the scatterers' amplitudes, (samples, beams).
    steady
        Amplitudes that are the same in each look and of one phase: smooth surfaces; None for none.
    spread
        Point spread.
    looks
        How many independent fields of scatterers the intensity is the mean of.
    """
    # Each of the two filters keeps the power of white noise.
    gain = math.sqrt(2 * math.sqrt(math.pi) * spread.axial)
    across = _across(amplitude.shape[1], spread.lateral)
    total = np.zeros(amplitude.shape, np.float32)
    for _ in range(looks):
        # Real and imaginary parts, of half the power each, as the parts of one complex field.
        field = np.empty(amplitude.shape, np.complex64)
        parts = field.view(np.float32).reshape(*amplitude.shape, 2)
        rng.standard_normal(out=parts, dtype=np.float32)
        parts *= (amplitude * np.float32(math.sqrt(0.5)))[..., None]
        if steady is not None:
            parts[..., 0] += steady
        ndimage.gaussian_filter1d(parts, spread.axial, axis=0, output=parts, truncate=3)
        waves = scipy.fft.fft(field, axis=1, overwrite_x=True)
        waves *= across
        field = scipy.fft.ifft(waves, axis=1, overwrite_x=True)
        total += field.real**2
        total += field.imag**2
    return total * np.float32(gain * gain / looks)


def _across(number: int, lateral: Field) -> Field:
    """Return the transfer function (samples, beams) of Gaussians across beams, of unit power."""
    waves = (2 * math.pi * scipy.fft.fftfreq(number)).astype(np.float32)[None]
    transfer = np.exp(-0.5 * (waves * lateral) ** 2)
    transfer /= np.sqrt((transfer**2).mean(axis=1, keepdims=True))
    return np.asarray(transfer, np.float32)


def attenuation(loss: Field, scanner: Scanner, beams: Beams) -> Field:
    """Return by how many decibels echoes are weaker for the tissue before them, there and back.

    Parameters
    ----------
    loss
        In dB per cm and MHz, (samples, beams).
    """
    total = np.cumsum(loss, axis=0, dtype=np.float32)
    total -= 0.5 * loss
    total *= np.float32(2 * scanner.frequency * beams.step / 10)
    return total


def time_gain(scanner: Scanner, beams: Beams) -> Field:
    """Return how many decibels later echoes are made stronger by, (samples, 1)."""
    return beams.depth * np.float32(2 * scanner.frequency * scanner.compensation / 10)


def compress(intensity: Field, scanner: Scanner) -> Field:
    """Return grey levels, float32 from 0 to 255: logarithm, dynamic range and grey map."""
    grey = np.log(intensity + np.float32(1e-12))
    grey *= np.float32(0.5 / DECIBEL / scanner.range)
    grey += np.float32(scanner.level)
    np.clip(grey, 0, 1, out=grey)
    if scanner.curve != 1:
        np.power(grey, np.float32(scanner.curve), out=grey)
    grey *= 255
    return grey
