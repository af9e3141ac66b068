"""The CTU-UHB intrapartum cardiotocography database as it is distributed: WFDB records.

Chudáček et al., BMC Pregnancy and Childbirth 2014;14:16, PhysioNet doi 10.13026/C22013.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fewcase.data.recordings import Recording, Refusal
from fewcase.ingest.signal_files import SignalError, read_wfdb
from fewcase.study.errors import InputError
from fewcase.study.sources import CtuUhb

SITE = "CTU-UHB"

CHANNELS = {"fhr": "FHR", "uc": "UC"}

# Header comments that become columns; the codes are those of the database's own description.
_NUMBERS = {
    "pH": "ph",
    "BDecf": "base_deficit",
    "BE": "base_excess",
    "pCO2": "pco2",
    "Apgar1": "apgar1",
    "Apgar5": "apgar5",
    "Gest. weeks": "gestational_weeks",
    "Weight(g)": "birth_weight",
    "Age": "maternal_age",
    "Gravidity": "gravidity",
    "Parity": "parity",
    "I.stage": "first_stage_minutes",
    "II.stage": "second_stage_minutes",
}
_CODES = {
    "Sex": ("sex", {"1": "female", "2": "male"}),
    "Deliv. type": ("delivery", {"1": "vaginal", "2": "caesarean"}),
    "Rec. type": ("sensor", {"1": "ultrasound", "2": "electrode", "12": "both"}),
}

logger = logging.getLogger(__name__)


def read_ctu_uhb(options: CtuUhb, data: Path) -> Iterator[Recording | Refusal]:
    """Read the recordings of the CTU-UHB database one by one.

    The database names no patients: each record is one delivery, so the record stands for its
    patient, and ``patient_known`` is False: whether a woman gave birth twice cannot be known. It
    gives no dates.

    Parameters
    ----------
    options
        The source's section of the study file.
    data
        The study's data folder, which ``options.folder`` is relative to.

    Raises
    ------
    InputError
        Where the folder is missing or holds no WFDB header.
    """
    folder = data if options.folder is None else data / options.folder
    for record in _list_records(folder):
        name = record.name
        try:
            signals = read_wfdb(record, CHANNELS)
        except SignalError as error:
            yield Refusal(name, name, SITE, "ingest", error.reason, error.detail)
            continue
        comments = parse_comments(signals.comments)
        yield Recording(
            record=name,
            patient=name,
            site=SITE,
            date=None,
            fhr=signals.fhr,
            uc=signals.uc,
            sampling_hz=signals.sampling_hz,
            outcomes=outcomes_of(comments),
            minutes_to_delivery=minutes_to_delivery(
                comments, len(signals.fhr), signals.sampling_hz
            ),
            origin=f"{record}.hea",
            patient_known=False,
            file_type=signals.file_type,
            file_bytes=signals.file_bytes,
        )


def _list_records(folder: Path) -> list[Path]:
    """Return the records' paths without suffix: those that RECORDS lists, or all headers."""
    if not folder.is_dir():
        found = "a file, expected a folder" if folder.exists() else "no such folder"
        raise InputError(
            f"{folder}: {found}. Set data= to the folder with the database's .hea and .dat "
            "files, or fetch them: python workflow/download.py --out FOLDER"
        )
    listing = folder / "RECORDS"
    if listing.is_file():
        names = listing.read_text(encoding="ascii", errors="replace").split()
        records = [folder / name for name in names]
    else:
        records = sorted(path.with_suffix("") for path in folder.rglob("*.hea"))
    if not records:
        raise InputError(
            f"{folder}: holds no WFDB record (no .hea file). Set data= to the folder with the "
            "database's .hea and .dat files, or fetch them: python workflow/download.py --out "
            "FOLDER"
        )
    logger.info("%s: %d records listed", folder, len(records))
    return records


def parse_comments(lines: Iterable[str]) -> dict[str, str]:
    """Return the fields of a header's comments, such as ``pH 7.14``, by their names."""
    fields = {}
    for line in lines:
        match = re.fullmatch(r"([^\s-].*?)\s+(\S+)", line.strip())
        if match:
            fields[match[1]] = match[2]
    return fields


def outcomes_of(comments: Mapping[str, str]) -> dict[str, float | str | None]:
    """Return the outcomes that header comments give; None for what they don't.

    A number that cannot be read stays text, for the checks of all recordings to refuse.
    """
    outcomes: dict[str, float | str | None] = {}
    for field, column in _NUMBERS.items():
        outcomes[column] = _number(comments.get(field))
    for field, (column, meanings) in _CODES.items():
        outcomes[column] = meanings.get(comments.get(field, ""))
    for column in ("first_stage_minutes", "second_stage_minutes"):
        # -1 stands for a stage that was not reached.
        length = outcomes[column]
        if isinstance(length, float) and length < 0:
            outcomes[column] = None
    return outcomes


def minutes_to_delivery(comments: Mapping[str, str], samples: int, sampling_hz: float) -> float:
    """Return the time from the end of the recording to delivery, in minutes.

    Delivery is where the second stage of labour ends: its begin as a sample of the recording
    (``Pos. II.st.``) plus its length. Without a second stage, as before a caesarean section, this
    is not known. (``Sig2Birth``, meant for it, is 0 in every record, caesarean or not.)
    """
    begin = _number(comments.get("Pos. II.st."))
    length = _number(comments.get("II.stage"))
    if not isinstance(begin, float) or not isinstance(length, float) or not sampling_hz > 0:
        return math.nan
    if begin < 0 or length < 0:
        return math.nan
    # Whole minutes of the second stage against samples: an end some seconds early is rounding.
    return max(0.0, (begin - samples) / sampling_hz / 60 + length)


def _number(text: str | None) -> float | str | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return text
    return None if math.isnan(number) else number
