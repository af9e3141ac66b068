"""Find the windows of heart rate that are copies of each other, cut at another time ones too.

Fingerprints propose pairs and the time between them, correlation decides on each. A fingerprint is
taken wherever the heart rate rises most steeply within a while, a place that moves with the signal
when the recording is cut elsewhere; it holds the directions in which the rate moves before or after
that place. Two windows that share fingerprints at one and the same lag are looked at. The idea is
that of audio fingerprints (Wang, ISMIR 2003).
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from fewcase.data.files import content_digest
from fewcase.data.parallel import map_in_order
from fewcase.signal.rows import row_blocks
from fewcase.signal.windows import CHUNK_ROWS, Windows
from fewcase.splits.duplicates import equal_pairs, pairs_table

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

STEP_S = 4
"""Seconds over which the rate is averaged before and after an instant; see `Movements`."""

LEAST_CORRELATION = 0.8
"""Windows whose movements correlate at least so well at some lag are near duplicates."""

LEAST_JOINT_S = 240
"""Seconds of movements, measured in both windows, that a correlation must rest on."""

LEAST_MOVEMENT = 0.2
"""Standard deviation of movements, bpm, below which a window is featureless."""

LEAST_RANGE_BPM = 2.0
"""Highest less lowest measured rate below which a window is a flat line, like many others."""

ANCHOR_S = 15
"""A fingerprint is taken where the rate rises more steeply than within so many seconds around."""

DIRECTIONS = 18
DIRECTION_S = 6
"""A fingerprint holds so many directions, so many seconds apart."""

SMOOTH_S = 8
"""Movements are averaged over so many seconds before fingerprints are taken, against noise."""

LAG_SLACK_S = 2
"""Fingerprints agree on a lag within so many seconds."""

MOST_PARTNERS = 128
"""A fingerprint is compared with so many equal ones of the next windows."""

METHOD = (
    "exact: same samples; near: equal fingerprints at one lag, then correlation of the movements "
    f"measured in both, over at least {LEAST_JOINT_S} s, of at least {LEAST_CORRELATION}"
)

_VERIFIED_AT_ONCE = 1024

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Movements:
    """How the rate moves: its mean over the next 4 s less that over the last 4 s, every second.

    Attributes
    ----------
    filled
        float16 (n, seconds), bpm, with gaps filled by the signal stage.
    measured
        bool (n, seconds): at least half of the samples on either side were measured.
    featureless
        bool (n,): too little is measured, or it hardly moves.
    digests
        Digest of FHR as measured and of UC (n,); empty for flat lines.
    """

    filled: npt.NDArray[np.float16]
    measured: npt.NDArray[np.bool_]
    featureless: npt.NDArray[np.bool_]
    digests: npt.NDArray[np.bytes_]


def find_signal_pairs(windows: Windows, *, threads: int = 1) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Find exact and near duplicates among windows.

    Exact are those of the same samples. Near are those of the same heart rate cut seconds or
    minutes earlier or later, at another rate, rounded, with noise, or without contractions, as
    long as `LEAST_JOINT_S` seconds are in both. Filled gaps do not count. Pairs do not chain.
    Windows with little signal or hardly any movement resemble each other without being copies;
    they are counted as featureless and are near none. The same samples are exact copies even of
    such a window, unless what was measured is a flat line.

    Parameters
    ----------
    windows
        The windows of a cohort.
    threads
        The result is the same for any number.

    Returns
    -------
    pairs
        See `fewcase.splits.duplicates.read_duplicates`; names are empty.
    facts
        compared, featureless, method.
    """
    movements = measure_movements(windows, threads=threads)
    exact = pairs_table(*equal_pairs(movements.digests), "exact")
    a, b, lag = _proposed_pairs(movements)
    near = _near_pairs(movements, a, b, lag, threads)
    pairs = pd.concat([exact, near]).sort_values(["row_a", "row_b"], ignore_index=True)
    facts = {
        "compared": len(windows.fhr),
        "featureless": int(movements.featureless.sum()),
        "method": METHOD,
    }
    logger.info(
        "%d windows: %d exact and %d near pairs of %d proposed, %d featureless",
        facts["compared"],
        len(exact),
        len(near),
        len(a),
        facts["featureless"],
    )
    return pairs, facts


def measure_movements(windows: Windows, *, threads: int = 1) -> Movements:
    """Measure how the rate moves in every window."""

    def measure(rows: slice) -> Movements:
        fhr, uc = np.asarray(windows.fhr[rows]), np.asarray(windows.uc[rows])
        missing = windows.missing(rows)
        filled, measured = _movements(fhr, ~missing, windows.sampling_hz)
        held = np.where(measured, filled, np.nan)
        enough = measured.sum(axis=1) >= LEAST_JOINT_S
        spread = np.zeros(len(fhr), np.float32)
        spread[enough] = np.nanstd(held[enough], axis=1)
        featureless = spread < LEAST_MOVEMENT
        # What was filled in is left out: it may differ in its last digit.
        samples = (np.where(missing, 0, fhr), missing, uc)
        lowest = np.where(missing, np.inf, fhr).min(axis=1)
        highest = np.where(missing, -np.inf, fhr).max(axis=1)
        flat = featureless & ~(highest - lowest >= LEAST_RANGE_BPM)
        digests = [
            b"" if blank else content_digest(*window).encode()
            for blank, *window in zip(flat, *samples, strict=True)
        ]
        return Movements(filled.astype(np.float16), measured, featureless, np.array(digests, "S64"))

    parts = list(map_in_order(measure, row_blocks(len(windows.fhr), CHUNK_ROWS), threads))
    return Movements(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in dataclasses.fields(Movements)
        )
    )


def _movements(
    fhr: Float32, measured: npt.NDArray[np.bool_], sampling_hz: float
) -> tuple[Float32, npt.NDArray[np.bool_]]:
    seconds = int(fhr.shape[1] / sampling_hz)
    edges = np.rint(np.arange(seconds + 1) * sampling_hz).astype(np.int64)
    samples = edges[STEP_S:] - edges[:-STEP_S]
    mean = _sums(fhr, edges) / samples
    enough = _sums(measured, edges) >= samples / 2
    change = (mean[:, STEP_S:] - mean[:, :-STEP_S]).astype(np.float32)
    return change, enough[:, STEP_S:] & enough[:, :-STEP_S]


def _sums(values: npt.NDArray[Any], edges: Int64) -> npt.NDArray[np.float64]:
    """Return the sums over `STEP_S` seconds, from each second on."""
    total = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values, axis=1, out=total[:, 1:])
    return total[:, edges[STEP_S:]] - total[:, edges[:-STEP_S]]


def _proposed_pairs(movements: Movements) -> tuple[Int64, Int64, Int64]:
    """Return rows a < b that share two fingerprints at one lag, and the lag, in seconds."""
    code, row, place = _fingerprints(movements)
    order = np.argsort(code, kind="stable")
    code, row, place = code[order], row[order], place[order]
    # One number for both rows and the lag, so that sorting brings together those that agree.
    reach = movements.measured.shape[1] + LAG_SLACK_S
    lags = 2 * reach + 1
    found = [np.empty(0, np.int64)]
    for step in range(1, min(MOST_PARTNERS, len(code) - 1) + 1):
        same = np.flatnonzero((code[step:] == code[:-step]) & (row[step:] != row[:-step]))
        pair = row[same] * len(movements.measured) + row[same + step]
        found.append(pair * lags + place[same] - place[same + step] + reach)
    key = np.sort(np.concatenate(found))
    agreeing = key[1:] - key[:-1] <= LAG_SLACK_S
    pair, lag = np.divmod(np.unique(key[1:][agreeing]), lags)
    a, b = np.divmod(pair, len(movements.measured))
    return a, b, lag - reach


def _fingerprints(movements: Movements) -> tuple[Int64, Int64, Int64]:
    """Return the codes of all fingerprints, their rows, and where they are, ordered by row."""
    after = DIRECTION_S * np.arange(1, DIRECTIONS + 1)
    powers = np.int64(1) << np.arange(DIRECTIONS)
    codes, rows, places = [], [], []
    for block in row_blocks(len(movements.filled), CHUNK_ROWS):
        moves = uniform_filter1d(movements.filled[block].astype(np.float32), SMOOTH_S, axis=1)
        steepest = maximum_filter1d(moves, 2 * ANCHOR_S + 1, axis=1, mode="constant")
        anchors = (moves == steepest) & (moves >= 1)
        anchors[movements.featureless[block]] = False
        row, place = np.nonzero(anchors)
        for side, offsets in enumerate((after, -after)):
            inside = (place + offsets[-1] >= 0) & (place + offsets[-1] < moves.shape[1])
            at = place[inside, None] + offsets
            of = row[inside, None]
            measured = movements.measured[block][of, at].mean(axis=1) >= 0.5
            code = (moves[of, at] > 0) @ powers + (side << DIRECTIONS)
            codes.append(code[measured])
            rows.append(row[inside][measured] + block.start)
            places.append(place[inside][measured])
    code, row, place = (np.concatenate(part) for part in (codes, rows, places))
    order = np.argsort(row, kind="stable")
    return code[order], row[order], place[order]


def _near_pairs(movements: Movements, a: Int64, b: Int64, lag: Int64, threads: int) -> pd.DataFrame:
    def verify(some: slice) -> tuple[npt.NDArray[Any], ...]:
        first, second, around = a[some], b[some], lag[some]
        # Every fourth second says whether it is worth to look at all, and for the exact lag.
        rough = _correlation(movements, first, second, around, every=STEP_S)
        worth = np.flatnonzero(rough >= LEAST_CORRELATION / 2)
        first, second, around = first[worth], second[worth], around[worth]
        shifts = np.arange(-LAG_SLACK_S, LAG_SLACK_S + 1)
        values = np.stack(
            [_correlation(movements, first, second, around + shift) for shift in shifts]
        )
        best = values.max(axis=0)
        exact = around + shifts[values.argmax(axis=0)]
        kept = np.flatnonzero(best >= LEAST_CORRELATION)
        return first[kept], second[kept], exact[kept], best[kept]

    found = list(map_in_order(verify, row_blocks(len(a), _VERIFIED_AT_ONCE), threads))
    if not found:
        return pairs_table()
    first, second, exact, best = (np.concatenate(part) for part in zip(*found, strict=True))
    digests = movements.digests
    other = digests[first] != digests[second]
    table = pairs_table(first[other], second[other], "near", best[other], lag_s=exact[other])
    table = table.sort_values(["row_a", "row_b", "correlation"], ascending=[True, True, False])
    return table.drop_duplicates(["row_a", "row_b"], ignore_index=True)


def _correlation(movements: Movements, a: Int64, b: Int64, lag: Int64, every: int = 1) -> Float32:
    """Correlate what is measured in both windows; 0 where that is too little or does not move."""
    seconds = movements.measured.shape[1]
    at_b = np.arange(0, seconds, every)
    at_a = at_b + lag[:, None]
    inside = (at_a >= 0) & (at_a < seconds)
    at_a = at_a.clip(0, seconds - 1)
    joint = inside & movements.measured[a[:, None], at_a] & movements.measured[b[:, None], at_b]
    count = joint.sum(axis=1)
    x = np.where(joint, movements.filled[a[:, None], at_a], 0).astype(np.float32)
    y = np.where(joint, movements.filled[b[:, None], at_b], 0).astype(np.float32)
    weight = np.maximum(count, 1)
    covariance = (x * y).sum(axis=1) / weight - x.sum(axis=1) * y.sum(axis=1) / weight**2
    spread_x = (x * x).sum(axis=1) / weight - (x.sum(axis=1) / weight) ** 2
    spread_y = (y * y).sum(axis=1) / weight - (y.sum(axis=1) / weight) ** 2
    usable = (count * every >= LEAST_JOINT_S) & (
        np.minimum(spread_x, spread_y) >= LEAST_MOVEMENT**2
    )
    scale = np.sqrt(np.where(usable, spread_x * spread_y, 1))
    return np.where(usable, covariance / scale, 0).clip(-1, 1).astype(np.float32)
