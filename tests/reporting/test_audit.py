"""The leakage audit: image-level against patient-level folds, whatever the difference shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from fewcase.data.files import write_table
from fewcase.reporting.audit import partners
from fewcase.reporting.certificate_table import Standing
from fewcase.reporting.display import COPIES_NOTE, LEAKY_NOTE, to_latex, to_markdown
from fewcase.reporting.experiment_figures import draw
from fewcase.reporting.experiment_plan import Arm, Experiment
from fewcase.reporting.experiment_tables import caption_of, lay_out
from fewcase.reporting.experiments import tabulate
from fewcase.reporting.figures import LEAKY_COLOUR, save
from fewcase.runtime.ranking import roc_auc
from scored_arms import FOLDS, Arms, read_scored

PATIENT, IMAGE = "apgar-patient-none", "apgar-image-none"


def audited(folder: Path, *gains: tuple[float, float], **options: Any) -> tuple[Any, ...]:
    """Return an audit of arms that gain so much under patient-level and image-level folds."""
    studies = [Arms(folder, split=split, repeats=2, **options) for split in (PATIENT, IMAGE)]
    arms = []
    for i, pair in enumerate(gains):
        for study, scheme, gain in zip(studies, ("patient", "image"), pair, strict=True):
            factors = {"scheme": scheme} | ({"model": f"m{i}"} if len(gains) > 1 else {})
            arm = study.score(f"m{i}", gain)
            arms.append(Arm(arm.arm, arm.split, factors, arm.leaky))
    vary: dict[str, list[Any]] = {"scheme": ["patient", "image"]}
    vary |= {"model": []} if len(gains) > 1 else {}
    plan = Experiment("x", "Audit", "audit", vary, tuple(arms), False, None)
    scores, evidence = read_scored(*studies)
    return plan, tabulate(plan, scores, evidence), studies


def test_the_difference_is_found_over_runs_and_on_the_same_recordings(tmp_path: Path) -> None:
    _, table, (patient, image) = audited(tmp_path, (0.8, 1.4))
    values = []
    for study in (image, patient):
        runs = pd.read_csv(study.files["m0"]["runs"])
        values.append(runs.loc[runs["set"] == "validation", "auc"].to_numpy())
    row = table.iloc[1]
    assert row["audit_partner"] == PATIENT
    assert table["audit_partner"].iloc[0] == ""
    assert row["audit_difference"] == pytest.approx(values[0].mean() - values[1].mean())
    errors = [v.var(ddof=1) * (1 / v.size + 1 / (FOLDS - 1)) for v in values]
    freedom = sum(errors) ** 2 / sum(e**2 / (v.size - 1) for e, v in zip(errors, values))  # noqa: B905
    half = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(sum(errors))
    assert row["audit_difference_low"] == pytest.approx(row["audit_difference"] - half)
    units = [pd.read_parquet(study.files["m0"]["units"]) for study in (image, patient)]
    pooled = [
        np.mean([roc_auc(part[f"score_seed_{s}"], part["label"]) for s in range(3)])
        for part in (of_side[of_side["set"] == "cv"] for of_side in units)
    ]
    assert row["audit_pooled"] == pytest.approx(pooled[0] - pooled[1])
    assert row["audit_pooled_low"] < row["audit_pooled"] < row["audit_pooled_high"]
    tests = table["test_auc"].tolist()
    assert row["audit_test"] == pytest.approx(tests[1] - tests[0])


@pytest.mark.parametrize(
    ("gains", "sentence"),
    [
        ((0.3, 3.0), "Found: higher under image-level folds, by either interval"),
        ((1.0, 1.0), "Found: no difference shown, as no interval leaves out 0"),
        ((3.0, 0.3), "Found: lower under image-level folds, by either interval: a leak would"),
        ((0.8, 1.1), "Found: one of the two intervals leaves out 0 and the other does not"),
    ],
)
def test_the_sentence_says_what_the_difference_shows(
    tmp_path: Path, gains: tuple[float, float], sentence: str
) -> None:
    plan, table, _ = audited(tmp_path, gains)
    shown = lay_out(plan, table)
    assert shown.notes[0].startswith(sentence)
    assert shown.reading.startswith("How to read: ")


@pytest.mark.parametrize(
    ("over_runs", "pooled", "sentence"),
    [
        ((0.1, 0.3), (-0.3, -0.1), "the two intervals contradict each other"),
        ((-0.3, -0.1), (0.1, 0.3), "the two intervals contradict each other"),
        ((0.1, 0.3), None, "higher under image-level folds, by the only interval there is"),
        (None, (-0.3, -0.1), "lower under image-level folds, by the only interval there is"),
        (None, (-0.1, 0.1), "no difference shown, as the only interval there is has 0 within"),
        (None, None, "no interval of the difference"),
    ],
)
def test_the_sentence_counts_the_intervals_that_there_are(
    tmp_path: Path,
    over_runs: tuple[float, float] | None,
    pooled: tuple[float, float] | None,
    sentence: str,
) -> None:
    plan, table, _ = audited(tmp_path, (0.8, 1.4))
    for name, ends in [("difference", over_runs), ("pooled", pooled)]:
        for end, value in zip(("low", "high"), ends or (np.nan, np.nan), strict=True):
            table.loc[1, f"audit_{name}_{end}"] = value
    assert lay_out(plan, table).notes[0].startswith(f"Found: {sentence}")


def test_patient_level_folds_that_ignore_copies_are_red_too(tmp_path: Path) -> None:
    plan, _, studies = audited(tmp_path, (0.8, 1.4), (0.7, 1.5))
    standings = {PATIENT: Standing(True, (COPIES_NOTE,)), IMAGE: Standing(True, (LEAKY_NOTE,))}
    plan = plan.certified(standings)
    table = tabulate(plan, *read_scored(*studies))
    assert table["leaky"].tolist() == ["yes"] * 4
    assert table["audit_partner"].tolist() == ["", PATIENT] * 2
    shown = lay_out(plan, table)
    assert shown.leaky
    assert shown.title == "Audit (leaky)"
    assert {LEAKY_NOTE, COPIES_NOTE} <= set(shown.notes)
    for row, mean in zip(shown.rows, table["cv_mean"][::2], strict=True):
        assert row.cells[1].leaky
        assert row.cells[1].text.startswith(f"{mean:.3f}")
        assert row.cells[1].text.endswith("(leaky)")
    figure = draw(plan, table)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines["patient-level folds (leaky)"].get_color() == LEAKY_COLOUR


def test_recipes_of_one_verdict_share_a_sentence(tmp_path: Path) -> None:
    plan, table, _ = audited(tmp_path, (0.3, 3.0), (0.4, 3.1), (1.0, 1.0))
    shown = lay_out(plan, table)
    assert [row.cells[0].text for row in shown.rows] == ["m0", "m1", "m2"]
    assert any(note.startswith("m0, m1: higher under") for note in shown.notes)
    assert any(note.startswith("m2: no difference shown") for note in shown.notes)


def test_image_level_values_are_red_and_named_leaky(tmp_path: Path) -> None:
    plan, table, _ = audited(tmp_path, (0.8, 1.4))
    shown = lay_out(plan, table)
    leaky = [i for i, cell in enumerate(shown.rows[0].cells) if cell.leaky]
    assert [shown.columns[i].partition(" AUC")[0] for i in leaky] == [
        "Image-level CV",
        "Image-level test",
    ]
    assert all("(leaky)" in shown.columns[i] for i in leaky)
    assert to_latex(shown, "x").count(r"\textcolor{red}{") == 2
    assert shown.notes[-1].startswith("Leaky")
    assert "partly leaky" in to_markdown(shown).splitlines()[0]


def test_without_a_test_set_there_are_no_test_columns(tmp_path: Path) -> None:
    plan, table, _ = audited(tmp_path, (0.8, 1.4), tests=0)
    shown = lay_out(plan, table)
    assert not [name for name in shown.columns if "test" in name]
    assert np.isnan(table["audit_test"].iloc[1])
    save(draw(plan, table), tmp_path / "x.png")


def test_an_arm_without_a_partner_has_dashes(tmp_path: Path) -> None:
    plan, table, _ = audited(tmp_path, (0.8, 1.4), (1.0, 1.2))
    keep = [0, 1, 3]
    plan = Experiment(
        "x", "Audit", "audit", plan.vary, tuple(plan.arms[i] for i in keep), False, None
    )
    table = table.iloc[keep].reset_index(drop=True)
    table.loc[2, "audit_partner"] = ""
    table.loc[2, [c for c in table if c.startswith("audit_") and table[c].dtype == float]] = np.nan
    shown = lay_out(plan, table)
    assert [cell.text for cell in shown.rows[1].cells[1:5]][0::2] == ["–", "–"]
    assert shown.rows[1].cells[2].text != "–"
    assert any(note.startswith("m1: no interval of the difference") for note in shown.notes)
    save(draw(plan, table), tmp_path / "x.png")


def without(path: Path, chosen: Callable[[pd.DataFrame], pd.Series]) -> pd.DataFrame:
    """Take units out of a file of scores, and return what is left."""
    units = pd.read_parquet(path)
    left = units[~chosen(units)]
    write_table(path, left)
    return left


def difference_on_common(image: pd.DataFrame, patient: pd.DataFrame, name: str) -> float:
    """Return image-level less patient-level AUC of the units that both have, by their names."""
    both = image[image["set"] == name].merge(patient[patient["set"] == name], on="unit")
    scores = [f"score_seed_{s}" for s in range(3)] if name == "cv" else ["score"]
    aucs = [
        np.mean([roc_auc(both[f"{score}_{side}"], both["label_x"]) for score in scores])
        for side in "xy"
    ]
    return float(aucs[0] - aucs[1])


def test_a_temporal_hold_out_is_compared_on_the_recordings_that_both_sides_scored(
    tmp_path: Path,
) -> None:
    plan, _, studies = audited(tmp_path, (0.8, 1.4))
    paths = [study.files["m0"]["units"] for study in (studies[1], studies[0])]
    # Patients with recordings on both sides of a date are no part of patient-level folds.
    straddling = {"p3", "p4", "q7"}
    image, patient = (
        pd.read_parquet(paths[0]),
        without(paths[1], lambda units: units["patient"].isin(straddling)),
    )
    # The order of the files says nothing.
    write_table(paths[0], image.sample(frac=1, random_state=0))
    row = tabulate(plan, *read_scored(*studies)).iloc[1]
    for kind, name, all_units, left in [("pooled", "cv", 300, 4), ("test", "test", 200, 2)]:
        expected = difference_on_common(image, patient, name)
        assert row[f"audit_{kind}"] == pytest.approx(expected)
        assert row[f"audit_{kind}_common"] == row[f"audit_{kind}_patient"] == all_units - left
        assert row[f"audit_{kind}_image"] == all_units
    notes = lay_out(plan, tabulate(plan, *read_scored(*studies))).notes
    assert any("compared are the 296 that are among both the 300 of image" in n for n in notes)
    assert any("compared are the 198 that are among both the 200 of image" in n for n in notes)
    assert not any(note.startswith("No difference") for note in notes)


def test_copies_dropped_from_one_side_are_left_out_of_both(tmp_path: Path) -> None:
    plan, table, studies = audited(tmp_path, (0.8, 1.4))
    assert not any("not scored on the same units" in note for note in lay_out(plan, table).notes)
    paths = [study.files["m0"]["units"] for study in (studies[1], studies[0])]
    image = without(paths[0], lambda units: units["unit"].isin(["u9", "u10"]))
    patient = without(paths[1], lambda units: units["unit"].isin([f"u{i}" for i in range(9)]))
    table = tabulate(plan, *read_scored(*studies))
    row = table.iloc[1]
    assert row["audit_pooled"] == pytest.approx(difference_on_common(image, patient, "cv"))
    assert row["audit_pooled_low"] < row["audit_pooled"] < row["audit_pooled_high"]
    sizes = [row[f"audit_pooled_{side}"] for side in ("common", "image", "patient")]
    assert sizes == [289, 298, 291]
    told = "the 289 that are among both the 298 of image-level and the 291 of patient-level folds"
    assert any(told in note for note in lay_out(plan, table).notes)


def relabelled(units: pd.DataFrame) -> pd.DataFrame:
    return units.assign(label=1 - units["label"])


def renamed(units: pd.DataFrame) -> pd.DataFrame:
    return units.assign(unit="other " + units["unit"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (relabelled, "units have other labels on the other side"),
        (renamed, "no unit was scored on both sides"),
    ],
)
def test_what_cannot_be_compared_has_a_dash_and_the_reason_below(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], reason: str
) -> None:
    plan, _, studies = audited(tmp_path, (0.3, 3.0))
    path = studies[1].files["m0"]["units"]
    write_table(path, change(pd.read_parquet(path)))
    table = tabulate(plan, *read_scored(*studies))
    assert np.isfinite(table["audit_difference"].iloc[1])
    shown = lay_out(plan, table)
    assert [cell.text for cell in shown.rows[0].cells][3] == "–"
    assert f"No difference on the same examples: {reason}." in shown.notes
    assert f"No difference on the test set: {reason}." in shown.notes
    assert shown.notes[0].startswith("Found: higher under image-level folds, by the only interval")


def test_partners_differ_in_scheme_alone() -> None:
    keys = [
        ("a", PATIENT),
        ("a", IMAGE),
        ("b", IMAGE),
        ("a", "ph-image-none"),
        ("a", "apgar-image-x"),
    ]
    assert partners(keys) == {("a", IMAGE): ("a", PATIENT)}


def test_patients_with_one_recording_are_told(tmp_path: Path) -> None:
    plan, table, _ = audited(tmp_path, (0.8, 0.8))
    told = "Every patient has one example: image-level folds leak no patient here."
    assert told not in lay_out(plan, table).notes
    table["cv_patients"] = table["cv_examples"]
    assert told in lay_out(plan, table).notes


def test_the_caption_speaks_of_the_test_set_only_where_there_is_one(tmp_path: Path) -> None:
    plan, table, _ = audited(tmp_path, (0.8, 1.4))
    said = caption_of(plan, table)
    assert "A square to the right of its dot shows what folds that share patients add." in said
    assert said.endswith("Right: the held-out test set.")
    assert "test set" not in caption_of(plan, table.assign(test_auc=float("nan")))


def test_the_figure_joins_the_two_values_of_a_recipe(tmp_path: Path) -> None:
    plan, table, _ = audited(tmp_path, (0.8, 1.4), (1.0, 1.2))
    figure = draw(plan, table)
    axes = figure.axes[0]
    points = {line.get_label(): line for line in axes.lines if "folds" in str(line.get_label())}
    assert points["patient-level folds"].get_xdata().tolist() == table["cv_mean"][::2].tolist()
    leaky = points["image-level folds (leaky)"]
    assert leaky.get_xdata().tolist() == table["cv_mean"][1::2].tolist()
    assert leaky.get_color() == LEAKY_COLOUR
    assert [label.get_text() for label in axes.get_yticklabels()] == ["m0", "m1"]
    bars = [segment for lines in axes.collections for segment in lines.get_segments()]
    pairs = table["cv_mean"].to_numpy().reshape(2, 2)
    assert [sorted(segment[:, 0]) for segment in bars[:2]] == [sorted(pair) for pair in pairs]


def test_a_recipe_without_a_level_of_its_own_is_called_by_its_model(tmp_path: Path) -> None:
    plan, table, _ = audited(tmp_path, (0.8, 1.4), (1.0, 1.2))
    long = "resnet+weights=none+batch_size=32"
    named = table.assign(
        arm=table["arm"].replace("m0", long), model=table["model"].replace("m0", "")
    )
    shown = lay_out(plan, named)
    assert [row.cells[0].text for row in shown.rows] == ["resnet", "m1"]
    rivals = named.assign(arm=named["arm"].replace("m1", "resnet"))
    assert lay_out(plan, rivals).rows[0].cells[0].text == long
