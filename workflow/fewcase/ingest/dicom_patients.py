"""Who the patients of DICOM files are, without their names and numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fewcase.data.dicom_files import DicomError, DicomFacts, is_dicom, read_facts
from fewcase.data.image_records import ListedImage
from fewcase.data.recordings import Refusal
from fewcase.study.errors import InputError
from fewcase.study.image_sources import MaskedImages

LEAST_LETTERS = 3
"""Shorter parts of a name, or shorter numbers, are no proof that a path names the patient."""

logger = logging.getLogger(__name__)


def name_patients(
    listed: Iterable[ListedImage | Refusal], options: MaskedImages, data: Path
) -> Iterator[ListedImage | Refusal]:
    """Name the patients of DICOM files that neither table nor path names.

    A file whose path holds the name or the number of its own patient is refused, as the path would
    be the record's name; the refusal does not repeat it. A patient whom the table calls so is
    called by a hash. Headers that are said to be anonymous are left in peace, and files that cannot
    be read are passed on.

    Raises
    ------
    InputError
        Where the file of the salt is missing or empty.
    """
    items = list(listed)
    facts = {
        item.path: found
        for item in items
        if isinstance(item, ListedImage) and (found := _facts(data / item.path)) is not None
    }
    salt = _salt(options, data, facts.values()) if facts else b""
    unknown = 0
    for item in items:
        found = facts.get(item.path) if isinstance(item, ListedImage) else None
        if isinstance(item, Refusal) or found is None:
            yield item
        elif _tells(found, item.path, item.record):
            yield _refused(item, salt)
        elif item.patient_known and _tells(found, item.patient):
            yield dataclasses.replace(item, patient=_pseudonym(salt, item.patient))
        elif item.patient_known or options.dicom_patient == "none":
            yield item
        elif not found.patient_id:
            unknown += 1
            yield item
        else:
            within = "site" in options.ids_within and item.site != options.site
            name = _pseudonym(salt, f"{found.issuer}\0{found.patient_id}")
            patient = f"{item.site}/{name}" if within else name
            yield dataclasses.replace(item, patient=patient, patient_known=True)
    if unknown:
        logger.warning("%d DICOM files do not tell their patient", unknown)


def _facts(path: Path) -> DicomFacts | None:
    if not is_dicom(path):
        return None
    try:
        return read_facts(path)
    except DicomError:
        return None


def _salt(options: MaskedImages, data: Path, facts: Iterable[DicomFacts]) -> bytes:
    """Return what a patient's number is hashed with, so that no list of numbers gives it away."""
    if options.dicom_salt is not None:
        path = data / options.dicom_salt
        if not path.is_file() or not path.stat().st_size:
            raise InputError(
                f"dicom_salt: {path} is missing or empty. Write some random letters into it, keep "
                "it secret, or leave the key out."
            )
        return path.read_bytes()
    digest = hashlib.sha256()
    for identity in sorted(f"{item.instance}\0{item.patient_id}" for item in facts):
        digest.update(f"{identity}\n".encode())
    return digest.digest()


def _pseudonym(salt: bytes, text: str) -> str:
    return (
        "dicom-"
        + hashlib.blake2b(text.encode(), key=hashlib.sha256(salt).digest()).hexdigest()[:16]
    )


def _tells(facts: DicomFacts, *texts: str) -> bool:
    """Return whether texts hold a name or the number of a patient."""
    if facts.anonymous:
        return False
    told = re.split(r"[\W_]+", " ".join(texts).casefold())
    number = facts.patient_id.casefold()
    words = {word.casefold() for word in facts.names} | {number, *re.split(r"[\W_]+", number)}
    return any(len(word) >= LEAST_LETTERS and word in told for word in words)


def _refused(item: ListedImage, salt: bytes) -> Refusal:
    return Refusal(
        _pseudonym(salt, item.path),
        "",
        item.site,
        "ingest",
        "patient named by path",
        "A DICOM file's path, or the record's name in the table, holds the name or the number of "
        "its patient, as in the file's header. Rename the file and its folders; or, if these are "
        "made-up names, let the header's PatientIdentityRemoved be YES. The file is not named "
        "here, and its record is called by a hash.",
    )
