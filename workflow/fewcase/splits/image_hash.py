"""Perceptual hashes of images, alike in all eight orientations.

The hash is that of Zauner (Implementation and benchmarking of perceptual image hash functions,
2010), signs of low frequencies, with more of them and without the lowest, which only tell bright
halves from dark ones. A quarter turn or a mirror image of a cosine transform is no more than a
transposition and a change of signs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

SIZE = 64
"""Height and width at which images are compared."""

FREQUENCIES = (3, 15)
"""Sums u + v of the lowest and the highest frequencies whose signs make the hash."""

RADIUS = 36
"""Most signs of 130 in which two hashes may differ for the pair to be looked at."""

TRANSFORMS = (
    "identity", "rotate 90", "rotate 180", "rotate 270",
    "flip", "flip, rotate 90", "flip, rotate 180", "flip, rotate 270",
)  # fmt: skip
"""What turns image a into image b: mirrored left to right, then turned counter-clockwise."""


def _orientations() -> tuple[npt.NDArray[np.int64], Float32]:
    """Return which coefficient goes where, and its sign, in each of `TRANSFORMS`, (8, 4096)."""
    alternating = np.where(np.arange(SIZE) % 2, -1.0, 1.0).astype(np.float32)
    places, signs = [], []
    for mirrored in (False, True):
        place = np.arange(SIZE * SIZE).reshape(SIZE, SIZE)
        sign = np.broadcast_to(alternating if mirrored else np.float32(1), (SIZE, SIZE))
        for _ in range(4):
            places.append(place.ravel())
            signs.append(sign.ravel())
            place, sign = place.T, sign.T * alternating[:, None]
    return np.stack(places), np.stack(signs).astype(np.float32)


PLACES, SIGNS = _orientations()


def _hash_places() -> npt.NDArray[np.int64]:
    order = np.add.outer(np.arange(SIZE), np.arange(SIZE)).ravel()
    return np.flatnonzero((order >= FREQUENCIES[0]) & (order <= FREQUENCIES[1]))


HASHED = _hash_places()

# A hash has all frequencies up to a sum, so turning an image permutes its hash.
TURNED_HASH = np.searchsorted(HASHED, PLACES[:, HASHED])


def _parities() -> list[npt.NDArray[np.int64]]:
    odd = np.stack(np.divmod(HASHED, SIZE)) % 2
    return [np.flatnonzero(2 * odd[0] + odd[1] == parity) for parity in range(4)]


PARITIES = _parities()
"""Places in a hash of frequencies even in height and width, odd in width, in height, in both."""


def alike(first: Float32, second: Float32) -> tuple[npt.NDArray[np.int64], ...]:
    """Return the places of hashes (n, 130), (m, 130) that are within the radius in any orientation.

    Mirroring changes the signs of odd frequencies. Among those that are even or odd in height and
    in width the agreement is therefore counted apart; sums and differences of the four counts are
    the agreements with the four mirror images, and of the transposed hash those with the rest.
    """
    least = len(HASHED) - 2 * RADIUS
    found = np.zeros((len(first), len(second)), bool)
    for turned in (first, first[:, TURNED_HASH[1]]):
        even, wide, high, both = (turned[:, kind] @ second[:, kind].T for kind in PARITIES)
        straight = np.abs(wide + high)
        straight += even
        straight += both
        mirrored = np.abs(np.subtract(wide, high, out=wide), out=wide)
        mirrored += even
        mirrored -= both
        found |= np.maximum(straight, mirrored, out=straight) >= least
    return np.nonzero(found)


def within_radius(first: Float32, second: Float32, turn: int) -> npt.NDArray[np.bool_]:
    turned = first[:, TURNED_HASH[turn]] * SIGNS[turn, HASHED]
    agreement = np.einsum("ij,ij->i", turned, second)
    return agreement >= len(HASHED) - 2 * RADIUS
