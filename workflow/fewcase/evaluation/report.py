"""The report of a study: everything it found on one self-contained page."""

from __future__ import annotations

import base64
import csv
import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.data.files import read_json, read_table
from fewcase.evaluation.experiments import read_tabulated
from fewcase.evaluation.labels import lay_out_labels, read_labels
from fewcase.evaluation.tables import LEAKY_NOTE, Cell, DisplayTable, Row, lay_out
from fewcase.evaluation.text import (
    count,
    factor_title,
    factor_value,
    plain,
    shorten,
    with_bound_options,
)
from fewcase.splits.folds import read_facts
from fewcase.study.errors import InputError
from fewcase.study.recipe import CLASSICAL_FACTORS, CLASSICAL_MODELS, FACTORS

MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "torch", "timm", "matplotlib", "wfdb")
# What a figure shows, and what its second panel shows where anything was held out.
CAPTIONS = {
    "grid": (
        "Each dot is an arm: the mean ROC-AUC over seeds and folds of cross-validation with its "
        "corrected resampled t interval. Where intervals overlap widely, the order of arms may be "
        "chance.",
        "Right: the held-out test set, scores averaged over all runs.",
    ),
    "sweep": (
        "One factor is varied, all else is kept: mean ± standard deviation over the runs of "
        "cross-validation. 'none' leaves the signal as it was recorded.",
        "Lower panel: the held-out test set with 95 % intervals.",
    ),
    "sites": (
        "How well a hospital's recordings are told apart when the hospital takes part in training "
        "(dots) and when it does not (squares), with 95 % intervals.",
        "",
    ),
}


@dataclasses.dataclass(frozen=True)
class ReportFiles:
    """What a report is made from.

    Attributes
    ----------
    tables, figures
        Files of the experiments, named by them, CSV and SVG or PNG.
    labels
        CSV of label counts, and its figures if any.
    flows, rejected
        flow.csv and rejected.parquet of each cohort and target, side by side.
    steps
        Figures of a recording at each step.
    splits
        Split files of the default arm.
    arms, study
        arms.csv and study.json of the plan.
    """

    tables: Sequence[Path]
    figures: Sequence[Path]
    labels: Path | None
    label_figures: Sequence[Path]
    flows: Sequence[Path]
    rejected: Sequence[Path]
    steps: Sequence[Path]
    splits: Sequence[Path]
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
    """A part of the page: figures first, then tables."""

    anchor: str
    title: str
    pictures: tuple[Picture, ...] = ()
    tables: tuple[DisplayTable, ...] = ()
    text: str = ""
    leaky: bool = False
    verbatim: str = ""


def make_report(content: Mapping[str, Any], files: ReportFiles, templates: Path) -> str:
    """Return the page of a study as HTML that needs no other file and no network.

    Parameters
    ----------
    content
        What files do not say: study, title, preset, simulated, leaky, experiments (name, title,
        layout), cohorts (source by name), split (of the default arm), runs.
    files
        What the page is made from.
    templates
        Folder of ``report.html.j2``.

    Raises
    ------
    InputError
        Where a table of an experiment is missing or a file is not what it should be.
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
    flows = [(_cohort_and_target(path), _read_flow(path)) for path in files.flows]
    return environment.get_template("report.html.j2").render(
        title=plain(content["title"]),
        study=plain(content["study"]),
        preset=plain(content["preset"]),
        simulated=bool(content["simulated"]),
        leaky=bool(content["leaky"]),
        cohort_notes=_describe_cohorts(content, flows),
        preset_note=_describe_preset(content),
        experiments=_experiment_sections(content, files),
        data=_data_sections(content, files, flows),
        splits=_split_sections(content, files),
        appendix=_appendix_sections(files),
    )


def breakable(text: str) -> str:
    """Return text as HTML: its lines break behind the factors of an arm, and not within one."""
    from markupsafe import Markup, escape

    return escape(with_bound_options(text)).replace("+", Markup("+<wbr>"))


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
    words: int,
    notes: Sequence[str] = (),
) -> DisplayTable:
    cells = tuple(Row(tuple(Cell(plain(text)) for text in row)) for row in rows)
    return DisplayTable(plain(title), tuple(columns), cells, tuple(notes), words)


# The head ----------------------------------------------------------------------------------------


def _cohort_and_target(flow: Path) -> tuple[str, str]:
    return flow.parent.parent.name, flow.parent.name


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


def _describe_cohorts(
    content: Mapping[str, Any], flows: Sequence[tuple[tuple[str, str], pd.DataFrame]]
) -> list[str]:
    notes = []
    for (cohort, target), flow in flows:
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


# Experiments -------------------------------------------------------------------------------------


def _experiment_sections(content: Mapping[str, Any], files: ReportFiles) -> list[Section]:
    tables = {path.stem: path for path in files.tables}
    figures = {path.stem: path for path in files.figures}
    sections = []
    for number, facts in enumerate(content["experiments"], start=1):
        name = facts["name"]
        if name not in tables:
            raise InputError(f"report: no table of experiment {name!r} among --tables.")
        experiment, numbers = read_tabulated(
            tables[name],
            name=name,
            title=facts["title"],
            layout=facts["layout"],
            simulated=bool(content["simulated"]),
        )
        table = lay_out(experiment, numbers)
        pictures = []
        if name in figures:
            caption = f"Figure {number}. {table.title}. {caption_of(experiment.layout, numbers)}"
            pictures.append(embed(figures[name], f"Figure of {table.title}", caption))
        sections.append(
            Section(
                f"experiment-{number}",
                table.title,
                tuple(pictures),
                (dataclasses.replace(table, title=f"Table {number}. {table.title}"),),
                leaky=table.leaky,
            )
        )
    return sections


def caption_of(layout: str, numbers: pd.DataFrame) -> str:
    """Return how to read the figure of an experiment with these numbers."""
    always, of_test = CAPTIONS[layout]
    has_test = "test_auc" in numbers and numbers["test_auc"].notna().any()
    return f"{always} {of_test}" if has_test else always


# Data --------------------------------------------------------------------------------------------


def _data_sections(
    content: Mapping[str, Any],
    files: ReportFiles,
    flows: Sequence[tuple[tuple[str, str], pd.DataFrame]],
) -> list[Section]:
    word = " (simulated)" if content["simulated"] else ""
    flow_tables = [
        _flow_table(f"Cohort {cohort}, target {target}{word}", flow)
        for (cohort, target), flow in flows
    ]
    refusals = [
        _rejected_table(path, "Cohort {}, target {}".format(*_cohort_and_target(path)) + word)
        for path in files.rejected
    ]
    steps = [
        embed(
            path,
            f"A recording at each step, {path.stem}",
            f"One recording{word} at each step: as recorded, cleaned, filtered, and drawn for the "
            f"network ({path.stem.removeprefix('steps-')}).",
        )
        for path in files.steps
    ]
    return [
        Section(
            "flow",
            "Cohort flow",
            tables=tuple(flow_tables),
            text="How many recordings are left after each step; no recording leaves unseen.",
        ),
        Section(
            "rejected",
            "Refused recordings",
            tables=tuple(refusals),
            text="Every refused recording is listed with its reason in rejected.parquet.",
        ),
        Section("steps", "From recording to image", pictures=tuple(steps)),
    ]


def _flow_table(title: str, flow: pd.DataFrame) -> DisplayTable:
    total = _everywhere(flow)
    wide = total.pivot(index="step", columns="label", values="recordings")
    wide = wide.reindex(list(dict.fromkeys(flow["step"])))
    patients = total[total["label"] == "all"].set_index("step")["patients"]
    sites = flow[(flow["label"] == "all")].drop(total.index, errors="ignore")
    by_site = sites.pivot_table(
        index="step", columns="site", values="recordings", aggfunc="sum", sort=False
    )
    labels = [name for name in ("positive", "negative", "unlabelled") if name in wide]
    rows = [
        [
            step,
            count(wide.loc[step, "all"]),
            count(patients[step]),
            *(count(wide.loc[step, name]) for name in labels),
            *(count(by_site.loc[step, site]) for site in by_site.columns),
        ]
        for step in wide.index
    ]
    columns = ["After step", "Recordings", "Patients", *(name.capitalize() for name in labels)]
    columns += [shorten(plain(site) or "no site", 40) for site in by_site.columns]
    return _table(title, columns, rows, 1, ["The last columns are recordings by hospital."])


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
        3,
    )


# Splits ------------------------------------------------------------------------------------------


def _split_sections(content: Mapping[str, Any], files: ReportFiles) -> list[Section]:
    rows = []
    for path in files.splits:
        facts = read_facts(path)
        options = facts.options
        rows.append(
            [
                str(facts.seed),
                f"{options.scheme} (leaky)" if options.is_leaky else options.scheme,
                str(options.folds),
                str(options.inner_folds),
                ", ".join(map(str, options.hold_out)) or "nothing",
                facts.digest[:16],
            ]
        )
    columns = ("Seed", "Scheme", "Folds", "Inner folds", "Held out", "Digest")
    leaky = any(read_facts(path).options.is_leaky for path in files.splits)
    notes = [
        LEAKY_NOTE if leaky else "Each patient is in one fold of a seed.",
        "One inner part of a training fold is kept for early stopping. The digest is over every "
        "assignment: the same digest, the same split.",
    ]
    tables = [_table(f"Split {content['split']}", columns, rows, 6, notes)] if rows else []
    pictures = [
        embed(path, "Label counts", "Label counts by set and site, and per fold.")
        for path in files.label_figures
    ]
    if files.labels is not None:
        word = " (simulated)" if content["simulated"] else ""
        title = f"Label counts before and after under-sampling{word}"
        tables.append(lay_out_labels(title, read_labels(files.labels)))
    return [Section("splits", "Splits and labels", tuple(pictures), tuple(tables), leaky=leaky)]


# Appendix ----------------------------------------------------------------------------------------


def _appendix_sections(files: ReportFiles) -> list[Section]:
    effective = json.dumps(read_json(files.study), indent=2, ensure_ascii=False)
    return [
        Section(
            "arms",
            "Arms",
            tables=tuple(arm_tables(files.arms)),
            text="An arm is a recipe: everything that fixes a training apart from split, seed and "
            "fold. Factors that all arms share are listed once.",
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
    applies = "A dash: the factor says nothing about an arm that is fitted to features."
    dashed = any(arm[name] == "–" for arm in arms for name in varied)
    return [
        _table(
            "What differs",
            ["Arm", *map(factor_title, varied)],
            [[arm["arm"], *(arm[name] for name in varied)] for arm in arms],
            1 + len(varied),
            [applies] if dashed else [],
        ),
        _table(
            "What all arms share",
            ["Factor", "Value"],
            [[factor_title(name), level] for name, level in shared.items()],
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
    return _table("Where this page was made", ("Package", "Version"), rows, 2)
