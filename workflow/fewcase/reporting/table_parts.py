"""What the tables of all experiments share: titles, names of arms, notes and warnings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from fewcase.reporting.contrasts import SEEN
from fewcase.reporting.display import warnings_below
from fewcase.reporting.evidence import Key
from fewcase.reporting.experiment_plan import Experiment
from fewcase.reporting.headline import HEADLINES, judged_by_all
from fewcase.reporting.text import VALUE_TITLES, count, counted, number, plain, shortcut_title

DAGGER = "†"


def titled(experiment: Experiment, part: str = "") -> str:
    """Return the title of an experiment, or of a part of it.

    It says where recordings are simulated or splits leak.
    """
    title = plain(experiment.title) + (f": {part}" if part else "")
    if experiment.simulated and "simulated" not in title.lower():
        title += " (simulated)"
    return title + {"all": " (leaky)", "some": " (partly leaky)", "none": ""}[experiment.leaky]


def names_of_arms(experiment: Experiment, factors: Sequence[str] | None = None) -> dict[Key, str]:
    """Return what readers know arms by: the levels of their factors, or of some of them."""
    if factors is None:
        # The columns of a matrix come last, behind what its rows are called by.
        last = experiment.column_factor if experiment.layout == "matrix" else ""
        factors = sorted(experiment.factors, key=lambda name: name == last)
    names = {}
    for arm in experiment.arms:
        levels = [experiment.word(text) for name in factors if (text := arm.level(name))]
        names[arm.key] = " · ".join(filter(None, levels)) or plain(arm.arm)
    return names


def with_names(experiment: Experiment, table: pd.DataFrame, but: str = "") -> pd.DataFrame:
    """Return a table whose factors, but one, have levels by the names that the study gives."""
    if not experiment.names:
        return table
    named = {
        factor: [experiment.names.get(level, level) for level in table[factor]]
        for factor in experiment.factors
        if factor in table and factor != but
    }
    return table.assign(**named)


def side_title(table: pd.DataFrame) -> str:
    """Return what the first columns of numbers are of: cross-validation, or one validation set."""
    return "Validation" if judged_by_all(table.get("cv_method", ())) else "CV"


def validation_title(table: pd.DataFrame) -> str:
    """Return in words what the first columns of numbers are of, see `side_title`."""
    return "cross-validation" if side_title(table) == "CV" else "validation set"


def level_title(text: str) -> str:
    """Return a level of a factor in words, a dash where there is none."""
    return VALUE_TITLES.get(text, text) or "–"


def is_constant(table: pd.DataFrame, columns: Sequence[str]) -> bool:
    return len(table[list(columns)].drop_duplicates()) == 1


def machines(table: pd.DataFrame, key: str) -> list[str]:
    """Return the weights, precision or device of all rows, each once."""
    return [plain(text) for text in dict.fromkeys(table[f"run_{key}"]) if text]


def machine_note(table: pd.DataFrame) -> list[str]:
    """Return weights, precision and device in one sentence, as far as all rows have the same."""
    said = []
    for key, title in [("weights", "initial weights"), ("precision", "precision")]:
        values = machines(table, key)
        if len(values) == 1:
            said.append(f"{title}: {values[0]}")
    if devices := machines(table, "device"):
        said.append(f"device: {', '.join(devices)}")
    if not said:
        return []
    text = "; ".join(said)
    return [text[0].upper() + text[1:] + "."]


def counts_text(experiment: Experiment, name: str, table: pd.DataFrame) -> str:
    """Return how many examples, patients and positives all rows have of a set."""
    row = table.iloc[0]
    units = row[f"{name}_positives"] + row[f"{name}_negatives"]
    text = f"{count(row[f'{name}_examples'])} examples of {count(row[f'{name}_patients'])} patients"
    # The score's unit may be the patient; the positives are then counted in patients.
    of_units = "" if units == row[f"{name}_examples"] else f" of {count(units)} units"
    if experiment.has_several_classes:
        return f"{text}{of_units.replace(' of ', ', ', 1)}"
    return f"{text}, {count(row[f'{name}_positives'])}{of_units} positive"


def groups_of(experiment: Experiment, table: pd.DataFrame) -> list[str] | None:
    """Return the level of the first factor in each row where rows share levels, or None."""
    if len(experiment.factors) < 2:
        return None
    levels = table[experiment.factors[0]]
    shared = levels[levels != ""].duplicated().any() and levels.nunique() > 1
    return levels.tolist() if shared else None


def notes_of_sets(
    experiment: Experiment, table: pd.DataFrame, tests: Sequence[str], what: str
) -> list[str]:
    """Return how values of each set were found, and of how many examples.

    Parameters
    ----------
    what
        What is measured, in a sentence.
    """
    notes = []
    if table["cv_mean"].notna().any():
        runs, title = counted(table["cv_runs"].iloc[0], "run"), side_title(table)
        if title == "CV":
            text = (
                f"CV: {what} over {runs} (seeds × folds), its standard deviation, and the "
                "95 % interval of the mean by the corrected resampled t"
            )
        else:
            text = (
                f"{title}: {what} over {runs}, which all judged the same examples, with "
                "standard deviation, and the 95 % interval of the mean for other patients "
                f"({_intervals(table, 'cv')})"
            )
        if is_constant(table, ("cv_examples", "cv_positives")):
            text += f"; {counts_text(experiment, 'cv', table)}"
        notes.append(text + ".")
    for name in tests:
        text = (
            f"{name.capitalize()}: {what} of the score averaged over all runs, with its 95 % "
            f"interval ({_intervals(table, name)})"
        )
        if is_constant(table, (f"{name}_examples", f"{name}_positives")):
            text += f"; {counts_text(experiment, name, table)}"
        notes.append(text + ".")
    if "temporal" in tests:
        notes.append(
            "Temporal: a later or earlier period of a hospital that is trained on; "
            "external: hospitals never seen in training."
        )
    return notes


def _intervals(table: pd.DataFrame, side: str) -> str:
    methods = sorted({m.partition(",")[0] for m in table[f"{side}_method"] if m})
    return " or ".join(plain(m) for m in methods)


def notes_of_differences(
    experiment: Experiment, table: pd.DataFrame, of: Sequence[str] = ("cv", "test")
) -> list[str]:
    """Return what differences are from, how they were found, and why some are missing.

    Parameters
    ----------
    of
        Which sets are told of.
    """
    sides = [side for side in of if table[f"{side}_difference"].notna().any()]
    title = side_title(table)
    notes = []
    if sides:
        tests = {
            "cv": "over runs of the same seed and fold by the corrected resampled t",
            "test": f"on the same examples by {methods(table, 'test_difference')}",
        }
        if title != "CV":
            tests["cv"] = (
                f"on the same validation examples by {methods(table, 'cv_difference')}, runs "
                "averaged"
            )
        measures = " or ".join(HEADLINES[name].words for name in experiment.measures)
        family = "measure" if experiment.layout == "matrix" else "column"
        notes.append(
            f"Δ: {measures} less that of the reference, {_reference_in_words(experiment, table)}; "
            f"{', and '.join(tests[s] for s in sides)}; p is adjusted for all comparisons of its "
            f"{family} (Holm)."
        )
    missing: dict[str, None] = {}
    for side in sides:
        for row in table[table[f"{side}_difference"].isna()].to_dict("records"):
            reason = plain(row[f"{side}_difference_method"]).removeprefix("undefined: ")
            if reason:
                missing[f"{title if side == 'cv' else 'test'} Δ: {reason}"] = None
    return [*notes, *(f"No {reason}." for reason in missing)]


def _reference_in_words(experiment: Experiment, table: pd.DataFrame) -> str:
    if experiment.layout == "matrix":
        return "the arm of the same column in the row marked so"
    compared = set(table.loc[table["reference"] == "no", "split"])
    names = names_of_arms(experiment)
    of_splits = experiment.references.items()
    named = {names[arm, split] for split, arm in of_splits if split in compared}
    return named.pop() if len(named) == 1 else "the arm marked so under the same split"


def methods(table: pd.DataFrame, column: str) -> str:
    """Return by which paired tests differences were found."""
    said = table.loc[table[column].notna(), f"{column}_method"]
    names = {plain(method.partition(",")[0]) for method in said} - {
        *("same ranking", "same decisions", "")
    }
    return f"the paired {' or '.join(sorted(names))} test" if names else "a paired test"


def notes_of_shortcuts(experiment: Experiment, table: pd.DataFrame) -> list[str]:
    """Return the note of the dagger: the best shortcut of every split with an arm marked."""
    marked = table[table["beats_shortcut"] == "no"].drop_duplicates("split")
    several = table["split"].nunique() > 1
    words, value = experiment.headline.words, f"shortcut_{experiment.value_column}"
    told = [
        f"{shortcut_title(row['shortcut'])} ({words} {number(row[value])}"
        + (f", split {plain(row['split'])})" if several else ")")
        for row in marked.to_dict("records")
    ]
    if not told:
        return []
    over = "difference over runs" if side_title(table) == "CV" else "difference"
    return [
        f"{DAGGER} not shown to beat the best shortcut, {'; '.join(told)}: the interval of the "
        f"{over} does not lie above 0. A shortcut sees far less than a model does, so "
        "such an arm may have learnt no more than that."
    ]


def notes_of_power(
    experiment: Experiment, table: pd.DataFrame, side: str | None = None
) -> list[str]:
    """Return, for each test set, the smallest difference that it could show.

    Parameters
    ----------
    side
        ``test``, or ``cv`` where all arms were judged on a single validation set; None takes the
        test set, or without one the other.
    """
    several = table["split"].nunique() > 1
    if side is None:
        without = table["test_examples"].isna().all() and "cv_detectable" in table
        side = "cv" if without else "test"
    if f"{side}_detectable" not in table:
        return []
    what = "test" if side == "test" else "validation"
    notes = []
    for split, part in table.groupby("split", sort=False):
        where = f"The {what} set of {plain(split)}" if several else f"This {what} set"
        notes += _note_of_power(experiment, part, side, where)
    return notes


def _note_of_power(experiment: Experiment, part: pd.DataFrame, side: str, where: str) -> list[str]:
    row, headline = part.iloc[0], experiment.headline
    kinds = ("positives", "negatives") if headline.is_auc else ("examples", "patients")
    one, other = (f"{count(row[f'{side}_{kind}'])} {kind}" for kind in kinds)
    sizes = f"{one}, {other}" if headline.is_auc else f"{one} of {other}"
    power = "(80\u00a0% power, two-sided 5\u00a0%"
    seen = part[f"{side}_detectable_method"] == SEEN
    shown = part[seen] if seen.any() else part
    smallest, adjusted = (shown[f"{side}_detectable{end}"].median() for end in ("", "_holm"))
    if math.isfinite(smallest):
        basis = f"median over arms, from the {SEEN}" if seen.any() else "from its size alone"
        told = f"a difference of {smallest:.2g} or more in {headline.words} from the reference arm"
        if (comparisons := int(row[f"{side}_comparisons"])) > 1:
            adjusted_to = f"of {adjusted:.2g} or more" if math.isfinite(adjusted) else "none"
            told += (
                f" in a single comparison, and {adjusted_to} where p is adjusted for all "
                f"{comparisons}, as here, and has to reach the first step of Holm's procedure"
            )
        return [f"{where} ({sizes}) could show {told} {power}; {basis}): smaller ones stay unseen."]
    if side == "test" and math.isfinite(row["test_detectable_auc"]):
        return [
            f"{where} ({sizes}) could tell an AUC of {row['test_detectable_auc']:.2f} or more "
            f"from guessing {power})."
        ]
    if not headline.is_auc and len(part) > 1 and math.isfinite(row[f"{side}_examples"]):
        return [
            f"{where} ({sizes}): the smallest {headline.words} difference that it could show is "
            "not told, since no difference was seen and its size alone does not tell it."
        ]
    return []


def warnings_of(experiment: Experiment) -> list[str]:
    """Return what every table must say: simulated recordings, splits leaky or not known to be."""
    splits = [(arm.split, arm.leaky, arm.notes) for arm in experiment.arms]
    return warnings_below(experiment.simulated, splits, experiment.unit)
