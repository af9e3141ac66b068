"""The report of a study: everything it found on one self-contained page."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fewcase.reporting.certificate_table import (
    LEAKY,
    UNKNOWN,
    lay_out_certificates,
    read_certificates,
    status_of,
    verdicts,
)
from fewcase.reporting.display import (
    RED_NOTES,
    Display,
    DisplayTable,
    read_display,
    simulated_note,
)
from fewcase.reporting.report_appendix import appendix_sections
from fewcase.reporting.report_data import (
    data_sections,
    describe_cohorts,
    describe_preset,
    has_classes,
    units_of,
)
from fewcase.reporting.report_sections import Part, Section, embed
from fewcase.reporting.text import plain, with_bound_options
from fewcase.study.errors import InputError
from fewcase.study.words import NOUNS, records_of

# Where displays stand that every study has, and their headings where titles of tables are none.
HEADINGS = {
    "performance": "How well it does",
    "shortcuts": "What shortcuts reach",
    "labels": "Label counts",
    "reproduction": "Reproduction of the paper",
    "tripod_ai": "TRIPOD+AI",
    "claim": "CLAIM",
}
DEFAULT_ARM, MAPS = ("performance", "shortcuts", "learning", "errors"), ("maps", "explanations")
MASKS = ("folds", "segmentation", "cases")
PAPER = ("reproduction", "tripod_ai", "claim")
KEPT_NOTES = (*RED_NOTES, "No value", "†", "‡")
FOLDED = {"tripod_ai": "Show the filled checklist", "claim": "Show the filled checklist"}
FLOW, EXAMPLES, GANS = "flow-", "examples-", "gans-"
"""How names begin of flows, of contact sheets, and of all that is about synthetic images."""


@dataclasses.dataclass(frozen=True)
class ReportFiles:
    """What a report is made from.

    Attributes
    ----------
    displays, figures
        Display files (see `display`) and SVG or PNG files; those of one name stand together. A
        display may have no table and be the caption of its figure, and a figure no display.
    flows, rejected
        flow.csv and rejected.parquet of each cohort and target.
    steps
        Figures of a recording at each step.
    certificates
        Certificates of every split and seed.
    arms, study
        arms.csv and study.json of the plan.
    """

    displays: Sequence[Path]
    figures: Sequence[Path]
    flows: Sequence[Path]
    rejected: Sequence[Path]
    steps: Sequence[Path]
    certificates: Sequence[Path]
    arms: Path
    study: Path


def make_report(content: Mapping[str, Any], files: ReportFiles, templates: Path) -> str:
    """Return the page of a study as HTML that needs no other file and no network.

    Parameters
    ----------
    content
        What files do not say: study, title, preset, simulated, experiments (names in their
        order), cohorts (source by name), split (of the default arm), runs; and where a cohort is
        not of signals unit_kinds (unit by its name, see `fewcase.study.words.NOUNS`); captions (by
        name) of figures without a display; views (paths beside the page, by what they show) of the
        pages on which maps are read.
    files
        What the page is made from.
    templates
        Folder of ``report.html.j2``.

    Raises
    ------
    InputError
        Where the display of an experiment is missing or a file is not what it should be.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    certificates = read_certificates(files.certificates)
    found = {status_of(of) for of in certificates.values()}
    units = list(units_of(content).values())
    return environment.get_template("report.html.j2").render(
        title=plain(content["title"]),
        study=plain(content["study"]),
        preset=plain(content["preset"]),
        split=plain(content["split"]),
        simulated=bool(content["simulated"]),
        leaky=LEAKY in found,
        unknown=UNKNOWN in found,
        records=records_of(units),
        readings=_readings(units, has_classes(files.flows, content)),
        cohort_notes=describe_cohorts(content, files.flows),
        preset_note=describe_preset(content),
        verdicts=verdicts(certificates),
        parts=_numbered(_parts_of(content, files, certificates)),
    )


def _readings(units: Sequence[str], classes: bool) -> dict[str, str]:
    """Return what the words of the page mean: of two classes, or of any number that have names."""
    if not classes:
        return {
            "AUC": "How often somebody with the condition gets a higher score than somebody "
            "without: 0.5 is tossing a coin, 1 is perfect.",
            "beaten": "guesses without looking at the condition",
        }
    of_images = [unit for unit in units if unit != "window"] or list(units)
    example = " or ".join(dict.fromkeys(NOUNS[unit].example for unit in of_images))
    return {
        "AUC": f"How often one {example} of a class gets a higher score for this class than one of "
        "another: 0.5 is tossing a coin, 1 is perfect. Of several classes it is the mean.",
        "Accuracy": "The share that is called rightly; balanced accuracy is the mean of this share "
        "over the classes, so that a rare class counts as much as a frequent one.",
        "beaten": "guesses without looking at what tells the classes apart",
    }


def _parts_of(
    content: Mapping[str, Any], files: ReportFiles, certificates: Mapping[str, Any]
) -> list[Part]:
    """Return the parts of the page; a display of an unknown name has a place of its own."""
    shown = _Displays(files, content.get("captions", {}))
    simulated = bool(content["simulated"])
    names = list(map(str, content["experiments"]))
    for name in names:
        if name not in shown.displays:
            raise InputError(f"report: no display of experiment {name!r} among --displays.")
    flows = shown.beginning(FLOW)
    sheets = [EXAMPLES + name.removeprefix(FLOW) for name in flows]
    of_data = [name for pair in zip(flows, sheets, strict=True) for name in pair]
    of_data += [name for name in shown.beginning(EXAMPLES) if name not in sheets]
    tables = lay_out_certificates(certificates, simulated=simulated)
    leaky = bool(tables) and all(status_of(of) == LEAKY for of in certificates.values())
    proof = [Section("certificates", "Certificates", tables=tuple(tables), leaky=leaky)]
    parts = [
        ("The default arm", shown.sections(DEFAULT_ARM)),
        ("Experiments", shown.sections(names)),
        ("Evidence for and against", _with_views(shown.sections(MAPS), content)),
        ("Masks", shown.sections(MASKS)),
        ("Synthetic images", shown.sections(shown.beginning(GANS))),
        ("Data", shown.sections(of_data) + data_sections(content, files.rejected, files.steps)),
        ("Splits", (proof if tables else []) + shown.sections(["labels"])),
        ("Paper and guidelines", shown.sections(PAPER)),
        ("More results", shown.sections(shown.left)),
        ("Appendix", appendix_sections(files.arms, files.study, list(units_of(content).values()))),
    ]
    return [(name, sections) for name, sections in parts if sections]


def _with_views(sections: list[Section], content: Mapping[str, Any]) -> list[Section]:
    """Return the sections of maps, the first with links to the pages on which they are read."""
    views = {str(name): str(path) for name, path in content.get("views", {}).items()}
    if not sections or not views:
        return sections
    links = tuple((f"Read the maps case by case: {plain(n)}", path) for n, path in views.items())
    return [dataclasses.replace(sections[0], links=links), *sections[1:]]


class _Displays:
    """Displays and figures by name, each shown once."""

    def __init__(self, files: ReportFiles, captions: Mapping[str, str]) -> None:
        self._captions = captions
        self.displays = {path.stem: path for path in files.displays}
        self._figures = {path.stem: path for path in files.figures}
        self.names = list(dict.fromkeys([*self.displays, *self._figures]))
        self._shown: set[str] = set()

    @property
    def left(self) -> list[str]:
        """Names that have not been shown."""
        return [name for name in self.names if name not in self._shown]

    def beginning(self, prefix: str) -> list[str]:
        """Return the names that begin with a prefix."""
        return [name for name in self.names if name.startswith(prefix)]

    def sections(self, names: Sequence[str]) -> list[Section]:
        """Return the sections of those names that there are."""
        return [self._section(name) for name in names if name in self.names]

    def _section(self, name: str) -> Section:
        self._shown.add(name)
        if name in self.displays:
            display = read_display(self.displays[name])
        else:
            display = Display((), str(self._captions.get(name, "")))
        first = display.tables[0].title if display.tables else display.title or plain(name)
        title = HEADINGS.get(name, plain(first))
        pictures = []
        if name in self._figures:
            pictures.append(embed(self._figures[name], f"Figure of {first}", display.caption))
        tables, folded = _without_repeated_notes(display.tables), FOLDED.get(name, "")
        return Section(
            f"result-{self.names.index(name) + 1}",
            title,
            tuple(pictures),
            tables,
            # Of what is folded away, the first note is shown: how much of it is filled.
            text=" ".join(tables[0].notes[:1]) if folded and tables else "",
            leaky=bool(tables) and all(table.leaky for table in tables),
            folded=folded,
        )


def _without_repeated_notes(tables: Sequence[DisplayTable]) -> tuple[DisplayTable, ...]:
    """Return tables without the notes that the page's head, or a table before them, has already.

    What warns of a number, or explains a mark beside it, stays below every table.
    """
    said, kept = {simulated_note(unit) for unit in NOUNS}, []
    for table in tables:
        notes = [n for n in table.notes if n not in said or n.startswith(KEPT_NOTES)]
        said.update(notes)
        kept.append(dataclasses.replace(table, notes=tuple(notes)))
    return tuple(kept)


def _numbered(parts: Sequence[Part]) -> list[Part]:
    """Return the parts with their figures and tables numbered through the page."""
    figures, tables = itertools.count(1), itertools.count(1)

    def number(section: Section) -> Section:
        return dataclasses.replace(
            section,
            pictures=tuple(
                dataclasses.replace(p, caption=f"Figure {next(figures)}. {p.caption}".strip())
                for p in section.pictures
            ),
            tables=tuple(
                dataclasses.replace(t, title=f"Table {next(tables)}. {t.title}")
                for t in section.tables
            ),
        )

    return [(name, [number(section) for section in sections]) for name, sections in parts]


def breakable(text: str) -> str:
    """Return text as HTML: its lines break behind the factors of an arm, and not within one."""
    from markupsafe import Markup, escape

    escaped = str(escape(with_bound_options(text)))
    # The plus of an arm stands behind a word; that of a difference does not.
    return Markup(re.sub(r"(?<=\w)\+", "+<wbr>", escaped))
