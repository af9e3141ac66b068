"""Where a cohort of images comes from: the options of each source of images."""

from __future__ import annotations

import dataclasses
from typing import Any

from fewcase.study.fields import setting

PARTS = ("train", "validation", "test")
"""Parts of a partition that comes with the data."""

ID_SCOPES = ("site", "part", "folder", "class")
"""Within which of these a patient's id can be unique, in the order in which names give them."""


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """Image files in folders, one example each: PNG, JPEG, TIFF or BMP, grey or colour."""

    folder: str | None = setting(
        None,
        help="Folder of the images, relative to the study's data folder; null takes that folder.",
    )
    folders: tuple[str, ...] = setting(
        (), help="Instead of folder: several folders that make one cohort."
    )
    pattern: str | None = setting(
        None,
        help="Regular expression with named groups, as in (?P<patient>\\d+), that is searched in "
        "each path below the folder: class, patient, site, date, part, record. Images that it does "
        "not fit are refused. What no group gives comes from the folders: train, val or test is "
        "the part, the innermost other folder the class.",
    )
    leave_out: str | None = setting(
        None,
        help="Regular expression: files are no records where it is found in the path below the "
        "folder, as in _mask.",
    )
    table: str | None = setting(
        None,
        help="CSV or parquet, one row per image, relative to the study's data folder; images that "
        "it does not list are left out.",
    )
    columns: dict[str, str] = setting(
        {},
        help="Which column of the table is which: path (required with a table; below the folder), "
        "class, patient, site, date, part, record. They go before what path and folders say.",
    )
    outcomes: dict[str, str] = setting(
        {}, help="Further columns of the table to keep, by the name that they get."
    )
    classes: dict[str, str] = setting(
        {},
        help="Our name of each class, by its name in folders, table or annotations; images of a "
        "class that is left out are refused. Empty takes all names as they are.",
    )
    values: dict[str, dict[str, Any]] = setting(
        {},
        help="What words of table or path mean, by our column name, as in {part: {fold1: train}}.",
    )
    missing: tuple[str | float, ...] = setting(
        ("", "NA", "N/A", "NaN", "nan", "null", "-"),
        help="Words and numbers that stand for an unknown value.",
    )
    date_format: str | None = setting(
        None,
        help="How dates are written, as in %d.%m.%Y; null takes year, month, day in this order.",
    )
    encoding: str = setting("utf-8-sig", help="Encoding of the table, if it is CSV.")
    delimiter: str = setting(",", help="What divides the columns of the table, if it is CSV.")
    site: str = setting(
        "unknown", help="Name of the one site, where neither path nor table gives one."
    )
    ids_within: tuple[str, ...] = setting(
        ("site",),
        help="A patient's id means the same person only within these: site, part, folder, class. "
        "Those that path or table give are put before the id. Empty: everywhere.",
    )
    twins: str = setting(
        "none",
        choices=("none", "by_name"),
        help="by_name: files of one name in several folders show the same tissue and, where no "
        "patient is known, count as one patient, as in NCT-CRC-HE-100K and its -NONORM twin.",
    )


@dataclasses.dataclass(frozen=True)
class Grid:
    """How tiles are laid over an image."""

    size: int = setting(224, minimum=16, maximum=4096, help="Side of a tile in pixels.")
    overlap: int = setting(
        0, minimum=0, help="Pixels that neighbouring tiles have in common; less than size."
    )
    edge: str = setting(
        "drop",
        choices=("drop", "shift", "pad"),
        help="Where tiles do not come out even: drop the last one, shift it back so that it ends "
        "at the edge, or pad it with white.",
    )
    min_tissue: float = setting(
        0.0, minimum=0, maximum=1, help="Tiles with a smaller share of tissue are refused."
    )
    tissue_density: float = setting(
        0.15,
        minimum=0.01,
        maximum=2,
        help="A pixel is tissue from this optical density on (mean of red, green and blue, natural "
        "logarithm, white is 0); 0.15 as Macenko et al., ISBI 2009.",
    )
    max_tiles_per_record: int | None = setting(
        None, minimum=1, help="Of more tiles, so many are drawn, spread evenly over the record."
    )
    min_coverage: float = setting(
        0.5,
        minimum=0.01,
        maximum=1,
        help="A tile gets the class that covers at least this share of it; others are refused.",
    )
    seed: int = setting(0, minimum=0, help="Seed of what is drawn by chance.")


@dataclasses.dataclass(frozen=True)
class Tiles(Grid, ImageFolder):
    """Slides and large images, cut into tiles: the keys of image_folder, and how to cut."""

    level: int | None = setting(
        None, minimum=0, help="Level of a slide's pyramid that tiles are cut at; 0 by default."
    )
    microns_per_pixel: float | None = setting(
        None, minimum=0.01, maximum=100, help="Instead of level: resolution of the tiles."
    )
    magnification: float | None = setting(
        None, minimum=0.1, maximum=200, help="Instead of level: magnification of the tiles."
    )
    native_microns_per_pixel: float | None = setting(
        None, minimum=0.01, maximum=100, help="Resolution of files that do not tell it."
    )
    native_magnification: float | None = setting(
        None, minimum=0.1, maximum=200, help="Magnification of files that do not tell it."
    )
    annotations: str | None = setting(
        None,
        help="Folder of outlines (GeoJSON, as QuPath exports it) or label masks (PNG, TIFF), "
        "called as their images; a class then belongs to a tile, not to its record.",
    )
    mask_classes: dict[str, str] = setting(
        {}, help="Class of each value of label masks, as in {1: AT, 2: BG}."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulateHistology(Grid):
    """Simulated slides stained with haematoxylin and eosin; nothing in them is of a person."""

    classes: dict[str, int] = setting(
        help="How many images of each class; or regions, if an image has several. Classes: ADI "
        "BACK DEB LYM MUC MUS NORM STR TUM, AT BG DYS LP MM, Normal Benign InSitu Invasive."
    )
    patients: int = setting(20, minimum=1, help="How many patients the images are of.")
    mixed: bool = setting(
        True,
        help="Whether a patient has images of several classes, as of kinds of tissue, or of one, "
        "as of a diagnosis.",
    )
    sites: tuple[str, ...] = setting(("north", "south"), help="Sites, each with its own stain.")
    site_shift: float = setting(
        1.0, minimum=0, maximum=3, help="How much the stains of sites differ."
    )
    patient_shift: float = setting(
        1.0, minimum=0, maximum=3, help="How much the stains and tissues of patients differ."
    )
    width: int = setting(512, minimum=32, maximum=8192, help="Width of an image in pixels.")
    height: int = setting(512, minimum=32, maximum=8192, help="Height of an image in pixels.")
    resolution: float = setting(
        0.5, minimum=0.2, maximum=2, help="Microns per pixel: 0.5 is 20-fold, 0.25 is 40-fold."
    )
    regions: int = setting(
        1, minimum=1, maximum=24, help="Regions of an image; above 1, masks tell their classes."
    )
    validation: float = setting(
        0.25, minimum=0, maximum=0.9, help="Share of patients in the part validation."
    )
    test: float = setting(0.0, minimum=0, maximum=0.9, help="Share of patients in the part test.")

    def as_tiles(self) -> Tiles:
        """Return the options by which the simulated files are read and cut."""
        grid = {field.name: getattr(self, field.name) for field in dataclasses.fields(Grid)}
        if self.regions == 1:
            return Tiles(**grid, pattern=SIMULATED_NAMES, ids_within=())
        return Tiles(
            **grid,
            folder="slides",
            pattern=SIMULATED_NAMES,
            ids_within=(),
            annotations="annotations",
            mask_classes={str(i): name for i, name in enumerate(self.classes, start=1)},
        )


SIMULATED_NAMES = r"(?P<record>(?P<patient>simulated-(?P<site>\w+)-p\d+)-i\d+)\.png$"
"""Names of simulated files tell record, patient and site; their folders part and class."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulateOct:
    """Simulated B-scans of the retina (optical coherence tomography); none is of a person."""

    classes: dict[str, int] = setting(
        help="How many scans of each class. Classes: NORMAL CNV DME DRUSEN, and AS BEST BRVO CRVO "
        "CSC DSM ERM FCE GA GLAUCOMA LMH MACTEL MH MYOPIA NEVUS PACHY PCV PED PSH PVD RAO RAP RD "
        "RP RS SCAR STARGARDT UVEITIS VMT."
    )
    scans: int = setting(
        4,
        minimum=1,
        maximum=1000,
        help="Scans of a patient, on average; half of the patients are scanned in both eyes.",
    )
    sites: tuple[str, ...] = setting(("north", "south"), help="Sites, each with its own device.")
    site_shift: float = setting(
        1.0, minimum=0, maximum=3, help="How much contrast, speckle and noise of devices differ."
    )
    patient_shift: float = setting(
        1.0, minimum=0, maximum=2, help="How much eyes differ in their layers and in brightness."
    )
    severity: float = setting(
        1.0,
        minimum=0.1,
        maximum=2,
        help="How marked the signs of disease are; less makes classes harder to tell apart.",
    )
    height: int = setting(
        496,
        minimum=64,
        maximum=1024,
        help="Height of a scan in pixels. Widths vary as 512, 768, 1024 and 1536 to a height of "
        "496.",
    )
    margins: float = setting(
        0.35,
        minimum=0,
        maximum=1,
        help="Share of scans that were turned and shifted, so that they have white margins.",
    )
    file_type: str = setting(
        "jpeg", choices=("jpeg", "png"), help="jpeg as in OCT2017, or png, without loss."
    )
    validation: float = setting(
        0.25, minimum=0, maximum=0.9, help="Share of patients in the part validation."
    )
    test: float = setting(0.0, minimum=0, maximum=0.9, help="Share of patients in the part test.")
    seed: int = setting(0, minimum=0, help="Seed of what is drawn by chance.")

    def as_image_folder(self) -> ImageFolder:
        """Return the options by which the simulated files are read."""
        return ImageFolder(pattern=SIMULATED_SCANS, ids_within=())


SIMULATED_SCANS = r"(?P<record>(?P<patient>simulated-(?P<site>\w+)-p\d+)-(od|os)-s\d+)\.(jpeg|png)$"
"""Names of simulated scans tell record, patient, site and eye (od right, os left)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulateUltrasound:
    """Simulated B-scans of the liver at stages of fibrosis, with masks; none is of a person."""

    classes: dict[str, int] = setting(
        help="How many images of each stage of fibrosis, F0 to F4, as in {F0: 20, F4: 23}."
    )
    images: float = setting(
        1.56, minimum=1, maximum=3, help="Images of a patient, on average; each has 1 to 3."
    )
    sites: tuple[str, ...] = setting(("north", "south"), help="Sites, each with its own scanner.")
    site_shift: float = setting(
        1.0,
        minimum=0,
        maximum=3,
        help="How much probes, speckle, contrast and noise of scanners differ.",
    )
    patient_shift: float = setting(
        1.0,
        minimum=0,
        maximum=2,
        help="How much patients differ in what is no sign of fibrosis: brightness, fat, depth.",
    )
    severity: float = setting(
        1.0,
        minimum=0,
        maximum=2,
        help="How marked the signs of fibrosis are; less makes stages harder to tell apart, and 0 "
        "makes them alike.",
    )
    size: int = setting(
        600,
        minimum=96,
        maximum=1200,
        help="Height of the scanner's screen in pixels; its width is 4/3 of that.",
    )
    screen: bool = setting(
        True,
        help="Whether scanner's text, scales and the data of a simulated patient are burnt in.",
    )
    validation: float = setting(
        0.0, minimum=0, maximum=0.9, help="Share of patients in the part validation."
    )
    test: float = setting(0.0, minimum=0, maximum=0.9, help="Share of patients in the part test.")
    seed: int = setting(0, minimum=0, help="Seed of what is drawn by chance.")

    def as_masked_images(self) -> MaskedImages:
        """Return the options by which the simulated files are read."""
        return MaskedImages(pattern=SIMULATED_NAMES, ids_within=())


@dataclasses.dataclass(frozen=True)
class MaskedImages(ImageFolder):
    """Images with masks of a region, such as ultrasound: the keys of image_folder, and DICOM."""

    mask_pattern: str | None = setting(
        r"^(?P<image>.+)_mask(_\d+)?$",
        help="Regular expression that is searched in paths below the folder, without their suffix: "
        "files that it fits are masks of the image whose path is the group image. Several masks of "
        "one image are united.",
    )
    mask_folder: str | None = setting(
        None,
        help="Instead: folder of masks that are called as their images (or as mask_pattern says), "
        "relative to the study's data folder.",
    )
    outlines: str | None = setting(
        None,
        help="Instead: polygons in JSON, relative to the study's data folder: a folder with one "
        "LabelMe file per image, called as it, or one file as COCO or VIA have it.",
    )
    region: tuple[str, ...] = setting(
        (), help="Labels of outlines that count; empty takes all of them."
    )
    mask_values: tuple[int | str, ...] = setting(
        (),
        help="What counts in mask files: grey levels or indices of a palette, or colours in "
        "quotation marks (#ff0000). Empty: what is white, or drawn in one colour on black.",
    )
    empty_mask: str = setting(
        "reject",
        choices=("reject", "allow"),
        help="Whether images whose mask is empty are refused; allow where some rightly have no "
        "region.",
    )
    missing_mask: str = setting(
        "reject",
        choices=("reject", "allow"),
        help="Whether images without a mask are refused; allow takes their masks to be empty.",
    )
    mask_overlap: str = setting(
        "allow",
        choices=("allow", "reject"),
        help="Whether images are refused of which two masks or outlines overlap; else all are "
        "united.",
    )
    crop_screen: str = setting(
        "auto",
        choices=("auto", "none", "box"),
        help="How the image area is cut out of a scanner's screen: auto looks for the largest "
        "textured region and blackens text around it, none leaves images whole, box takes the key "
        "box.",
    )
    box: tuple[int, ...] = setting(
        (),
        help="With crop_screen box: left, top, right and bottom of the image area in pixels, the "
        "last two exclusive.",
    )
    dicom_frame: int | None = setting(
        None,
        minimum=0,
        help="Which frame of DICOM files of several, from 0; null refuses such files.",
    )
    dicom_patient: str = setting(
        "hash",
        choices=("hash", "none"),
        help="Where neither table nor pattern names the patient of a DICOM file: hash names the "
        "patient by a salted hash of the header's PatientID, none leaves the patient unknown.",
    )
    dicom_salt: str | None = setting(
        None,
        help="File whose content salts the hash, relative to the study's data folder, so that "
        "patients keep their names in other cohorts; null takes a salt from all of the cohort's "
        "files. Keep it secret.",
    )


def read_as(options: Any) -> Any:
    """Return the options by which a cohort's files are read: its own, or those of a simulation."""
    if isinstance(options, SimulateHistology):
        return options.as_tiles()
    if isinstance(options, SimulateOct):
        return options.as_image_folder()
    return options.as_masked_images() if isinstance(options, SimulateUltrasound) else options
