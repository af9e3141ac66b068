"""What shortcuts reach beside a study's default arm."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from fewcase.evaluation.scores import SUMMARY_COLUMNS
from fewcase.reporting.certificate_table import Standing
from fewcase.reporting.display import (
    COPIES_NOTE,
    LEAKY_NOTE,
    UNKNOWN_NOTE,
    to_latex,
    to_markdown,
)
from fewcase.reporting.figures import LEAKY_COLOUR
from fewcase.reporting.performance import read_summary
from fewcase.reporting.performance_figures import draw_shortcuts, shown_splits
from fewcase.reporting.shortcut_table import (
    ARM_TITLE,
    LOOKS_AT,
    ShortcutStudy,
    SplitTitle,
    lay_out_shortcuts,
    read_shortcut_study,
    tabulate_shortcuts,
)
from fewcase.statistics.intervals import Estimate, undefined
from fewcase.study.errors import InputError
from fewcase.study.words import SHORTCUTS
from scored_arms import write_certificate

WORKFLOW = Path(__file__).parents[2] / "workflow"
NORTH, BY_IMAGE = "apgar-patient-north", "apgar-image-none"
STUDY = ShortcutStudy(
    "Shortcuts",
    simulated=True,
    arm="vit",
    splits=(
        SplitTitle(NORTH, "north held out", leaky=False, default=True),
        SplitTitle(BY_IMAGE, "by image", leaky=True, default=False),
    ),
)
# AUC in cross-validation and on test, by split.
VALUES = {
    NORTH: {"prior": (0.5, 0.5), "file": (0.61, 0.7), "signal": (0.69, 0.58), "vit": (0.8, 0.75)},
    BY_IMAGE: {"prior": (0.5, None), "file": (0.72, None), "vit": (0.95, None)},
}


def row(arm: str, split: str, name: str, statistic: str, found: Estimate) -> dict[str, Any]:
    counts = {"runs": 30, "examples": 500, "patients": 480, "positives": 60, "negatives": 440}
    place = {"arm": arm, "split": split, "set": name, "statistic": statistic, "class": ""}
    return {**place, **vars(found), **counts}


def estimate(value: float) -> Estimate:
    return Estimate(value, 0.03, value - 0.06, value + 0.05, "corrected resampled t")


def summaries(values: dict[str, dict[str, tuple[Any, Any]]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return summaries of the shortcuts and of the arm."""
    rows = []
    for split, of_split in values.items():
        for name, (cv, test) in of_split.items():
            arm = name if name == "vit" else f"shortcut:{name}"
            rows.append(row(arm, split, "cv", "auc_mean", estimate(cv)))
            rows.append(row(arm, split, "cv", "auc_pooled", estimate(cv - 0.02)))
            rows.append(row(arm, split, "cv-site:A", "auc_pooled", estimate(0.99)))
            if test is not None:
                rows.append(row(arm, split, "test", "auc_ensemble", estimate(test)))
                rows.append(row(arm, split, "test", "auc_mean", estimate(test - 0.01)))
    table = pd.DataFrame(rows)[list(SUMMARY_COLUMNS)]
    of_arm = table["arm"] == "vit"
    return table[~of_arm], table[of_arm]


def numbers(study: ShortcutStudy = STUDY, values: Any = VALUES) -> pd.DataFrame:
    return tabulate_shortcuts(study, *summaries(values))


def test_every_shortcut_of_a_study_is_explained() -> None:
    assert set(LOOKS_AT) == set(SHORTCUTS)


def test_the_arm_stands_last_under_each_split() -> None:
    table = numbers()
    assert table["shortcut"].tolist() == ["prior", "file", "signal", "", "prior", "file", ""]
    assert table["cv_auc"].tolist() == [0.5, 0.61, 0.69, 0.8, 0.5, 0.72, 0.95]
    assert table["test_auc"].tolist()[:4] == [0.5, 0.7, 0.58, 0.75]
    assert table["test_auc"][4:].isna().all()
    assert table["cv_low"][1] == pytest.approx(0.55)


def test_the_best_shortcut_is_that_of_cross_validation_not_of_test() -> None:
    table = numbers()
    best = table[table["best"] == "yes"]
    assert list(zip(best["split"], best["shortcut"], strict=True)) == [
        (NORTH, "signal"),
        (BY_IMAGE, "file"),
    ]


def test_folds_together_stand_in_where_there_is_no_mean_over_runs() -> None:
    shortcuts, arms = summaries(VALUES)
    chosen = (shortcuts["arm"] == "shortcut:file") & (shortcuts["statistic"] == "auc_mean")
    nothing = undefined("a seed has one fold only")
    shortcuts.loc[chosen, ["value", "low", "high"]] = math.nan
    shortcuts.loc[chosen, "method"] = nothing.method
    table = tabulate_shortcuts(STUDY, shortcuts, arms)
    assert table["cv_auc"][1] == pytest.approx(0.59)


def test_a_shortcut_without_any_value_has_a_dash_and_the_reason_below() -> None:
    shortcuts, arms = summaries(VALUES)
    chosen = shortcuts["arm"] == "shortcut:file"
    shortcuts.loc[chosen, ["value", "low", "high"]] = math.nan
    shortcuts.loc[chosen, "method"] = "undefined: no positives"
    table = tabulate_shortcuts(STUDY, shortcuts, arms)
    shown = lay_out_shortcuts(STUDY, table)
    assert shown.rows[1].cells[2].text == "–\u00a0(a)"
    assert "No value: (a) no positives." in shown.notes
    assert set(table.loc[table["best"] == "yes", "shortcut"]) == {"signal", "prior"}


def test_an_arm_that_was_not_run_under_a_split_has_no_row_there() -> None:
    values = {NORTH: VALUES[NORTH], BY_IMAGE: {"prior": (0.5, None)}}
    assert numbers(values=values)["shortcut"].tolist() == ["prior", "file", "signal", "", "prior"]


def test_a_split_without_shortcuts_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=BY_IMAGE):
        numbers(values={NORTH: VALUES[NORTH]})


def test_the_table_says_what_each_shortcut_looks_at_and_which_is_best() -> None:
    shown = lay_out_shortcuts(STUDY, numbers())
    texts = [[cell.text for cell in line.cells] for line in shown.rows]
    assert texts[2][:2] == ["north held out", "signal length and missing share"]
    assert any(f"signal length and missing share: {LOOKS_AT['signal']}" in n for n in shown.notes)
    assert texts[2][2:] == ["0.690 [0.630–0.740]", "0.580 [0.520–0.630]"]
    assert [line.cells[2].best for line in shown.rows] == [
        False,
        False,
        True,
        False,
        False,
        True,
        False,
    ]
    assert texts[3][1] == ARM_TITLE
    assert shown.reading.startswith("How to read: ")
    assert any("Best shortcut under north held out: signal length" in note for note in shown.notes)
    assert any("above chance" in note for note in shown.notes)


def test_a_best_shortcut_no_better_than_chance_is_called_so() -> None:
    values = {NORTH: {"prior": (0.5, None), "file": (0.53, None)}, BY_IMAGE: VALUES[BY_IMAGE]}
    shown = lay_out_shortcuts(STUDY, numbers(values=values))
    assert any("not shown to be above chance" in note for note in shown.notes)


def test_leaky_splits_are_red_and_simulated_recordings_named() -> None:
    table = numbers()
    shown = lay_out_shortcuts(STUDY, table)
    assert [line.leaky for line in shown.rows] == [False] * 4 + [True] * 3
    assert shown.rows[4].cells[0].text == "by image (leaky)"
    assert shown.title == "Shortcuts (simulated)"
    assert r"\textcolor{red}{by image (leaky)}" in to_latex(shown, "shortcuts")
    assert "| by image (leaky) |" in to_markdown(shown)
    figure = draw_shortcuts(STUDY, table)
    titles = {
        text.get_text(): text.get_color()
        for axes in figure.axes
        for text in axes.findobj(Text)
        if text.get_text() == axes.get_title(loc="left")
    }
    assert titles == {"north held out": "black", "by image (leaky)": LEAKY_COLOUR}


def test_certificates_redden_splits_that_ignore_copies_and_name_unknown_patients() -> None:
    by_image = Standing(True, (LEAKY_NOTE,))
    study = STUDY.certified({NORTH: Standing(True, (COPIES_NOTE,)), BY_IMAGE: by_image})
    shown = lay_out_shortcuts(study, numbers(study))
    assert all(line.leaky for line in shown.rows)
    assert shown.title == "Shortcuts (simulated) (leaky)"
    assert {COPIES_NOTE, LEAKY_NOTE} <= set(shown.notes)
    study = STUDY.certified({NORTH: Standing(False, (UNKNOWN_NOTE,)), BY_IMAGE: by_image})
    shown = lay_out_shortcuts(study, numbers(study))
    assert [line.leaky for line in shown.rows] == [False] * 4 + [True] * 3
    told = UNKNOWN_NOTE.replace("Unknown", "Unknown under north held out", 1)
    assert told in shown.notes


def test_without_a_test_set_there_is_no_column_of_it() -> None:
    study = ShortcutStudy("Shortcuts", False, "vit", STUDY.splits[1:])
    shown = lay_out_shortcuts(study, numbers(study))
    assert shown.columns == ("Shortcut", "CV AUC [95\u00a0%]")
    assert shown.title == "Shortcuts (leaky)"
    assert shown.leaky


def test_dots_stand_at_the_numbers_of_the_table() -> None:
    table = numbers()
    figure = draw_shortcuts(STUDY, table)
    for axes, split in zip(figure.axes, STUDY.splits, strict=True):
        part = table[table["split"] == split.name]
        drawn = [np.asarray(line.get_xdata(), float) for line in axes.get_lines()]
        assert any(np.array_equal(x, part["cv_auc"]) for x in drawn)
        has_test = part["test_auc"].notna().any()
        assert any(np.array_equal(x, part["test_auc"]) for x in drawn) == has_test
        labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert labels[-1].replace("\n", " ") == ARM_TITLE
    figure.draw_without_rendering()


def test_of_many_splits_the_studys_own_is_drawn() -> None:
    splits = [SplitTitle(f"apgar-patient-{k}", str(k), False, k == 4) for k in range(8)]
    study = ShortcutStudy("Shortcuts", False, "vit", tuple(splits))
    assert [split.title for split in shown_splits(study)] == ["4"]
    assert len(shown_splits(STUDY)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"splits": []}, "splits is empty"),
        ({"splits": ["north"]}, r"splits\[0\] is 'north'"),
        ({"colour": "red"}, "'colour' is unknown"),
    ],
)
def test_a_wrong_description_is_refused(content: dict[str, Any], message: str) -> None:
    whole = {"title": "S", "simulated": True, "arm": "vit", "splits": [{"name": NORTH}]}
    with pytest.raises(InputError, match=message):
        read_shortcut_study(json.dumps(whole | content))


def test_the_stage_writes_table_and_figure(tmp_path: Path) -> None:
    shortcuts, arms = summaries(VALUES)
    for split in VALUES:
        shortcuts[shortcuts["split"] == split].to_csv(tmp_path / f"{split}-s.csv", index=False)
        arms[arms["split"] == split].to_csv(tmp_path / f"{split}-a.csv", index=False)
    splits = [{"name": NORTH, "default": True}, {"name": BY_IMAGE, "leaky": True}]
    content = {"title": "Shortcuts", "simulated": True, "arm": "vit", "splits": splits}
    command = [sys.executable, str(WORKFLOW / "tabulate_shortcuts.py")]
    command += ["--content", json.dumps(content)]
    command += ["--scores", *(str(tmp_path / f"{split}-a.csv") for split in VALUES)]
    command += ["--shortcuts", *(str(tmp_path / f"{split}-s.csv") for split in VALUES)]
    folder = tmp_path / "out"
    for name in ("csv", "md", "tex", "display", "svg", "png"):
        command += [f"--{name}", str(folder / f"shortcuts.{name}")]
    command += ["--certificates"]
    command += [str(write_certificate(tmp_path, split, "unknown")) for split in VALUES]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert len(list(folder.iterdir())) == 6
    written = pd.read_csv(folder / "shortcuts.csv", keep_default_na=False)
    assert written["best"].tolist() == ["no", "no", "yes", "", "no", "yes", ""]
    markdown = (folder / "shortcuts.md").read_text(encoding="utf-8")
    assert markdown.splitlines()[2].startswith("How to read: ")
    assert f"- {UNKNOWN_NOTE}" in markdown


def test_a_summary_is_read_back_with_its_numbers(tmp_path: Path) -> None:
    shortcuts, _ = summaries(VALUES)
    shortcuts.to_csv(tmp_path / "s.csv", index=False)
    pd.testing.assert_frame_equal(
        read_summary(tmp_path / "s.csv"),
        shortcuts.reset_index(drop=True),
        check_dtype=False,
    )
