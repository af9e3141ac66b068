"""The report of a study: everything it found on one self-contained page."""

from __future__ import annotations

import base64
import csv
import dataclasses
import importlib.metadata
import itertools
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.data.files import read_json, read_table
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
    SIMULATED_NOTE,
    Cell,
    Display,
    DisplayTable,
    Row,
    read_display,
)
from fewcase.reporting.text import (
    count,
    factor_title,
    factor_value,
    plain,
    shorten,
    with_bound_options,
)
from fewcase.study.errors import InputError
from fewcase.study.recipe import CLASSICAL_FACTORS, CLASSICAL_MODELS, FACTORS

MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "torch", "timm", "matplotlib", "wfdb")
# Where displays stand that every study has, and their headings where titles of tables are none.
HEADINGS = {
    "performance": "How well it does",
    "shortcuts": "What shortcuts reach",
    "labels": "Label counts",
    "reproduction": "Reproduction of the paper",
    "tripod_ai": "TRIPOD+AI",
    "claim": "CLAIM",
}
DEFAULT_ARM, PAPER = ("performance", "shortcuts"), ("reproduction", "tripod_ai", "claim")
KEPT_NOTES = (*RED_NOTES, "No value", "†")
FOLDED = {"tripod_ai": "Show the filled checklist", "claim": "Show the filled checklist"}


@dataclasses.dataclass(frozen=True)
class ReportFiles:
    """What a report is made from.

    Attributes
    ----------
    displays, figures
        Display files (see `display`) and SVG or PNG files; those of one name stand together.
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


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure as the page carries it: the file itself in its address."""

    source: str
    alt: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page: figures first, then tables.

    `folded` is the line that tables are folded behind, empty where they are open to view.
    """

    anchor: str
    title: str
    pictures: tuple[Picture, ...] = ()
    tables: tuple[DisplayTable, ...] = ()
    text: str = ""
    leaky: bool = False
    folded: str = ""
    verbatim: str = ""


Part = tuple[str, list[Section]]


def make_report(content: Mapping[str, Any], files: ReportFiles, templates: Path) -> str:
    """Return the page of a study as HTML that needs no other file and no network.

    Parameters
    ----------
    content
        What files do not say: study, title, preset, simulated, experiments (names in their
        order), cohorts (source by name), split (of the default arm), runs.
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
    return environment.get_template("report.html.j2").render(
        title=plain(content["title"]),
        study=plain(content["study"]),
        preset=plain(content["preset"]),
        split=plain(content["split"]),
        simulated=bool(content["simulated"]),
        leaky=LEAKY in found,
        unknown=UNKNOWN in found,
        cohort_notes=_describe_cohorts(content, files.flows),
        preset_note=_describe_preset(content),
        verdicts=verdicts(certificates),
        parts=_numbered(_parts_of(content, files, certificates)),
    )


def _parts_of(
    content: Mapping[str, Any], files: ReportFiles, certificates: Mapping[str, Any]
) -> list[Part]:
    """Return the parts of the page; a display of an unknown name has a place of its own."""
    shown = _Displays(files)
    simulated = bool(content["simulated"])
    names = list(map(str, content["experiments"]))
    for name in names:
        if name not in shown.displays:
            raise InputError(f"report: no display of experiment {name!r} among --displays.")
    flows = [name for name in shown.names if name.startswith("flow-")]
    tables = lay_out_certificates(certificates, simulated=simulated)
    leaky = bool(tables) and all(status_of(of) == LEAKY for of in certificates.values())
    proof = [Section("certificates", "Certificates", tables=tuple(tables), leaky=leaky)]
    parts = [
        ("The default arm", shown.sections(DEFAULT_ARM)),
        ("Experiments", shown.sections(names)),
        ("Data", shown.sections(flows) + _data_sections(files, simulated)),
        ("Splits", (proof if tables else []) + shown.sections(["labels"])),
        ("Paper and guidelines", shown.sections(PAPER)),
        ("More results", shown.sections(shown.left)),
        ("Appendix", _appendix_sections(files)),
    ]
    return [(name, sections) for name, sections in parts if sections]


class _Displays:
    """Displays and figures by name, each shown once."""

    def __init__(self, files: ReportFiles) -> None:
        self.displays = {path.stem: path for path in files.displays}
        self._figures = {path.stem: path for path in files.figures}
        self.names = list(dict.fromkeys([*self.displays, *self._figures]))
        self._shown: set[str] = set()

    @property
    def left(self) -> list[str]:
        """Names that have not been shown."""
        return [name for name in self.names if name not in self._shown]

    def sections(self, names: Sequence[str]) -> list[Section]:
        """Return the sections of those names that there are."""
        return [self._section(name) for name in names if name in self.names]

    def _section(self, name: str) -> Section:
        self._shown.add(name)
        display = read_display(self.displays[name]) if name in self.displays else Display(())
        first = display.tables[0].title if display.tables else plain(name)
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
    said, kept = {SIMULATED_NOTE}, []
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


def embed(path: Path, alt: str, caption: str = "") -> Picture:
    """Return a figure with its bytes in a data address."""
    if path.suffix not in MEDIA_TYPES:
        raise InputError(f"{path}: the report shows {sorted(MEDIA_TYPES)} alone.")
    try:
        content = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise InputError(f"{path}: figure cannot be read ({error.strerror}).") from None
    return Picture(f"data:{MEDIA_TYPES[path.suffix]};base64,{content}", plain(alt), plain(caption))


def _table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    reading: str,
    words: int,
    widths: Sequence[float] = (),
) -> DisplayTable:
    cells = tuple(Row(tuple(Cell(plain(text)) for text in row)) for row in rows)
    columns, widths = tuple(columns), tuple(widths)
    return DisplayTable(plain(title), columns, cells, reading, (), words, widths=widths)


# The head ----------------------------------------------------------------------------------------


def _cohort_and_target(path: Path) -> tuple[str, str]:
    return path.parent.parent.name, path.parent.name


def _read_flow(path: Path) -> pd.DataFrame:
    try:
        flow = pd.read_csv(path, keep_default_na=False, dtype=str)
        flow[["recordings", "patients"]] = flow[["recordings", "patients"]].apply(pd.to_numeric)
        return flow[["step", "site", "label", "recordings", "patients"]]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a table of the cohort's flow ({error}).") from None


def _everywhere(flow: pd.DataFrame) -> pd.DataFrame:
    """Return the rows over all sites: those of the site ``all``, which come after real ones."""
    rows = flow[flow["site"] == "all"]
    # A hospital may be called "all" as well: the total is the later of the two.
    return rows.drop_duplicates(["step", "label"], keep="last")


def _describe_cohorts(content: Mapping[str, Any], flows: Sequence[Path]) -> list[str]:
    notes = []
    for path in flows:
        (cohort, target), flow = _cohort_and_target(path), _read_flow(path)
        source = str(content["cohorts"].get(cohort, "unknown source"))
        total = _everywhere(flow).set_index(["step", "label"])
        first, last = flow["step"].iloc[0], flow["step"].iloc[-1]
        kept = total.loc[(last, "all")]
        positive = total.loc[(last, "positive"), "recordings"]
        kind = "Simulated" if source.startswith("simulate") else "Real"
        notes.append(
            f"{kind} recordings: cohort {plain(cohort)} (source {plain(source)}), target "
            f"{plain(target)}: {count(kept['recordings'])} of "
            f"{count(total.loc[(first, 'all'), 'recordings'])} recordings are used, of "
            f"{count(kept['patients'])} patients; {count(positive)} are positive."
        )
    return notes


def _describe_preset(content: Mapping[str, Any]) -> str:
    runs = f"{count(content['runs'])} models were trained"
    if content["preset"] == "full":
        return f"Preset full: the study at its own size; {runs}."
    if content["preset"] == "smoke":
        return (
            f"Preset smoke: {runs}, on few recordings, for few epochs or at reduced size, to show "
            "that every stage works. Its numbers are no evidence of how good a method is."
        )
    return (
        f"Preset {plain(content['preset'])}: {runs}; the study is cut short, and its numbers are "
        "not those of its full size."
    )


# Data --------------------------------------------------------------------------------------------


def _data_sections(files: ReportFiles, simulated: bool) -> list[Section]:
    word = " (simulated)" if simulated else ""
    refusals = tuple(
        _rejected_table(path, "Cohort {}, target {}".format(*_cohort_and_target(path)) + word)
        for path in files.rejected
    )
    steps = tuple(
        embed(
            path,
            f"A recording at each step, {path.stem}",
            f"One recording{word} at each step: as recorded, cleaned, filtered, and drawn for the "
            f"network ({path.stem.removeprefix('steps-')}).",
        )
        for path in files.steps
    )
    sections = [
        Section("rejected", "Refused recordings", tables=refusals),
        Section("steps", "From recording to image", pictures=steps),
    ]
    return [section for section in sections if section.tables or section.pictures]


def _rejected_table(path: Path, title: str) -> DisplayTable:
    table = read_table(path, columns=("record", "stage", "reason", "detail"))
    rows = []
    for (stage, reason), group in table.groupby(["stage", "reason"], sort=False):
        record, detail = str(group["record"].iloc[0]), str(group["detail"].iloc[0])
        # Most details name their recording themselves.
        example = detail if record in detail else f"{record}: {detail}"
        rows.append((len(group), str(stage), str(reason), shorten(plain(example), 160)))
    rows.sort(key=lambda row: -row[0])
    rows = rows or [(0, "–", "no recording was refused", "–")]
    return _table(
        title,
        ("Stage", "Reason", "For example", "Recordings"),
        [[stage, reason, example, count(number)] for number, stage, reason, example in rows],
        "How to read: each row is a reason why recordings were refused, the most frequent first; "
        "rejected.parquet lists every one.",
        3,
        (0.12, 0.22, 0.5, 0.1),
    )


# Appendix ----------------------------------------------------------------------------------------


def _appendix_sections(files: ReportFiles) -> list[Section]:
    effective = json.dumps(read_json(files.study), indent=2, ensure_ascii=False)
    return [
        Section(
            "arms",
            "Arms",
            tables=tuple(arm_tables(files.arms)),
            text="An arm is a recipe: everything that fixes a training apart from split, seed and "
            "fold.",
        ),
        Section("versions", "Versions", tables=(_version_table(),)),
        Section("study", "The study in effect", verbatim=effective),
    ]


def arm_tables(path: Path) -> list[DisplayTable]:
    """Return the factors in which arms differ, arm by arm, and those that they share, once."""
    with path.open(encoding="utf-8", newline="") as file:
        arms = [_readable(arm) for arm in csv.DictReader(file)]
    if not arms:
        raise InputError(f"{path}: no arms; run the plan stage again.")
    factors = [name for name in arms[0] if name != "arm"]
    varied = [name for name in factors if len({arm[name] for arm in arms} - {"–"}) > 1]
    shared = {name: _shared_level(arms, name) for name in factors if name not in varied}
    dashed = any(arm[name] == "–" for arm in arms for name in varied)
    reading = "How to read: each row is an arm, each column a factor that not all arms share"
    applies = "; a dash: it says nothing about an arm that is fitted to features" if dashed else ""
    return [
        _table(
            "What differs",
            ["Arm", *map(factor_title, varied)],
            [[arm["arm"], *(arm[name] for name in varied)] for arm in arms],
            f"{reading}{applies}.",
            1 + len(varied),
        ),
        _table(
            "What all arms share",
            ["Factor", "Value"],
            [[factor_title(name), level] for name, level in shared.items()],
            "How to read: each row is a factor with the one level that all arms have.",
            2,
        ),
    ]


def _readable(arm: Mapping[str, str]) -> dict[str, str]:
    """Return the factors of an arm in words: options beside their model, a dash for what is not."""
    model = arm["model"]
    kept = CLASSICAL_FACTORS if model in CLASSICAL_MODELS else FACTORS
    levels = {name: text or ("none" if name in kept else "–") for name, text in arm.items()}
    levels.pop("model_options", None)
    options = json.loads(arm.get("model_options") or "{}")
    return levels | {"arm": arm["arm"], "model": factor_value({"name": model, **options})}


def _shared_level(arms: Sequence[Mapping[str, str]], name: str) -> str:
    return next((arm[name] for arm in arms if arm[name] != "–"), "–")


def _version_table() -> DisplayTable:
    rows = [["Python", platform.python_version()]]
    for name in PACKAGES:
        try:
            rows.append([name, importlib.metadata.version(name)])
        except importlib.metadata.PackageNotFoundError:
            rows.append([name, "not installed"])
    reading = "How to read: each row is a package and the version that made this page."
    return _table("Where this page was made", ("Package", "Version"), rows, reading, 2)
