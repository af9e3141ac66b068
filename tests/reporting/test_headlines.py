"""Experiments about accuracy: their tables, comparisons, figures and selection are all in it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests

from fewcase.reporting.evidence import Evidence
from fewcase.reporting.experiment_figures import draw
from fewcase.reporting.experiment_plan import Arm, Experiment, read_experiment
from fewcase.reporting.experiment_tables import caption_of, lay_out
from fewcase.reporting.experiments import tabulate
from fewcase.reporting.figures import save
from fewcase.reporting.measure_tables import lay_out_measures, tabulate_measures
from fewcase.reporting.performance import read_subject, read_summary, tabulate_performance
from fewcase.reporting.performance_curves import pictures, read_curves, read_units
from fewcase.reporting.performance_figures import draw_performance
from fewcase.reporting.performance_tables import lay_out_confusions, lay_out_performance
from fewcase.reporting.selection import lay_out_selection, tabulate_selection
from fewcase.reporting.shortcut_table import (
    caption_of as caption_of_shortcuts,
)
from fewcase.reporting.shortcut_table import (
    lay_out_shortcuts,
    read_shortcut_study,
    tabulate_shortcuts,
)
from fewcase.statistics.accuracy import compare_accuracies
from fewcase.study.errors import InputError
from fewcase.study.words import measures_of
from scored_arms import Arms, read_scored
from scored_classes import ClassStudy

SKILLS = {"a": 0.5, "b": 0.9, "c": 0.55}
ACCURACIES = ("accuracy", "balanced_accuracy")
NAMES = ("adenoma", "normal", "tumour")


@dataclasses.dataclass
class Made:
    """A study, its arms, and what the tabulate stage reads of them."""

    study: ClassStudy
    arms: list[Arm]

    def plan(self, measure: str, layout: str = "grid", **options: Any) -> Experiment:
        plan = Experiment(
            "x", "Models", layout, {"model": []}, tuple(self.arms), False, None, unit="tile"
        )
        names = {self.study.split: NAMES[: self.study.classes]}
        return dataclasses.replace(plan, measures=(measure,), class_names=names, **options)

    def tabulate(self, measure: str, **options: Any) -> pd.DataFrame:
        return tabulate(self.plan(measure, **options), *self.study.read())

    def units(self, arm: str) -> pd.DataFrame:
        return pd.read_parquet(self.study.files[arm]["units"])

    def runs(self, arm: str, measure: str) -> np.ndarray:
        runs = pd.read_csv(self.study.files[arm]["runs"])
        return runs.loc[runs["set"] == "validation", measure].to_numpy()


def made(folder: Path, **options: Any) -> Made:
    study = ClassStudy(folder, **options)
    arms = [study.score(name, skill) for name, skill in SKILLS.items()]
    study.score("shortcut:pixels", 0.45)
    return Made(study, arms)


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three folds, three seeds and a test set."""
    return made(tmp_path_factory.mktemp("crossed"), images=45, folds=3, tests=30)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One given validation set that three seeds judge."""
    return made(tmp_path_factory.mktemp("given"), images=45, folds=1)


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two classes on one given validation set."""
    return made(tmp_path_factory.mktemp("two"), classes=2, images=40, folds=1)


# AUC stays as it was -----------------------------------------------------------------------------

SIDES = ("cv", "test", "external", "temporal")
OF_AUC = [
    *("model", "arm", "split", "leaky", "run_weights", "run_precision", "run_device"),
    *(f"cv_{name}" for name in ("mean", "sd", "low", "high", "method", "runs", "examples")),
    *("cv_patients", "cv_positives", "cv_negatives"),
    *(f"cv_pooled{end}" for end in ("", "_low", "_high", "_method")),
    *(
        f"{side}_{name}"
        for side in SIDES[1:]
        for name in (
            *("auc", "low", "high", "method", "mean", "sd", "mean_low", "mean_high", "runs"),
            *("examples", "patients", "positives", "negatives"),
        )
    ),
    "reference",
    *(
        f"{side}_difference{end}"
        for side in SIDES[:2]
        for end in ("", "_low", "_high", "_p", "_holm", "_method")
    ),
    *("test_comparisons", "test_detectable_auc"),
    *("test_detectable_by_counts", "test_detectable_by_counts_holm"),
    *("test_detectable", "test_detectable_holm", "test_detectable_method", "shortcut"),
    *(f"shortcut_{of}{name}" for of in ("", "test_") for name in ("auc", "low", "high")),
    *(
        f"{side}_over_shortcut{end}"
        for side in SIDES[:2]
        for end in ("", "_low", "_high", "_p", "_method")
    ),
    "beats_shortcut",
]


def test_an_experiment_about_auc_has_the_columns_that_it_had(tmp_path: Path) -> None:
    arms = Arms(tmp_path)
    rows = (arms.score("a", 1.0), arms.score("b", 1.5))
    arms.score("shortcut:signal", 0.4)
    plan = Experiment("x", "Models", "grid", {"model": []}, rows, False, None)
    scores, evidence = read_scored(arms)
    table = tabulate(plan, scores, evidence)
    assert list(table.columns) == OF_AUC
    shown = lay_out(plan, table)
    assert shown.columns == (
        *("Model", "CV AUC, mean ± SD", "95\u00a0% interval", "CV Δ [95\u00a0%], p"),
        *("Test AUC [95\u00a0%]", "Test AUC, mean of runs ± SD", "Test Δ [95\u00a0%], p"),
    )
    assert "accuracy" not in " ".join([*shown.notes, shown.reading, caption_of(plan, table)])
    measures = tabulate_measures(plan, scores)
    assert "accuracy_mean" not in measures


# Numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ACCURACIES)
def test_columns_are_those_of_the_measure(crossed: Made, measure: str) -> None:
    table = crossed.tabulate(measure)
    assert set(table["measure"]) == {measure}
    assert "test_auc" not in table
    scores, _ = crossed.study.read()
    for arm, row in zip(crossed.arms, table.to_dict("records"), strict=True):
        assert row["cv_mean"] == scores.get(arm, "cv", f"{measure}_mean")["value"]
        assert row["cv_pooled"] == scores.get(arm, "cv", measure)["value"]
        assert row["test_value"] == scores.get(arm, "test", measure)["value"]
        assert row["test_mean"] == scores.get(arm, "test", f"{measure}_mean")["value"]


@pytest.mark.parametrize("measure", ACCURACIES)
def test_over_folds_arms_are_compared_by_the_corrected_resampled_t(
    crossed: Made, measure: str
) -> None:
    table = crossed.tabulate(measure)
    apart = crossed.runs("b", measure) - crossed.runs("a", measure)
    assert table["cv_difference"].iloc[1] == pytest.approx(apart.mean())
    assert table["cv_difference_method"].iloc[1] == "corrected resampled t, paired"
    assert "cv_detectable" not in table


@pytest.mark.parametrize("measure", ACCURACIES)
def test_on_a_test_set_arms_are_compared_on_the_same_units_by_patient(
    crossed: Made, measure: str
) -> None:
    table = crossed.tabulate(measure)
    right = []
    for arm in "ab":
        units = crossed.units(arm)
        units = units[units["set"] == "test"].sort_values("unit")
        called = units[[f"score_{k}" for k in range(3)]].to_numpy().argmax(axis=1)
        right.append(called == units["label"])
    about = units["label"].to_numpy(), pd.factorize(units["patient"])[0]
    classes = 3 if measure == "balanced_accuracy" else None
    expected = compare_accuracies(np.array(right, float), *about, classes=classes)[1]
    row = table.iloc[1]
    for end, value in [("", expected.value), ("_low", expected.low), ("_p", expected.p)]:
        assert row[f"test_difference{end}"] == pytest.approx(value)
    assert row["test_difference_method"] == "clustered t, paired"
    p = table["test_difference_p"].dropna()
    np.testing.assert_allclose(
        table["test_difference_holm"].dropna(), multipletests(p, method="holm")[1]
    )


@pytest.mark.parametrize("measure", ACCURACIES)
def test_on_one_validation_set_arms_are_compared_on_the_same_units_by_patient(
    given: Made, measure: str
) -> None:
    table = given.tabulate(measure)
    right = []
    for arm in "ab":
        units = given.units(arm).sort_values("unit")
        right.append(units[[f"right_seed_{s}" for s in range(3)]].to_numpy().T)
    about = units["label"].to_numpy(), pd.factorize(units["patient"])[0]
    classes = 3 if measure == "balanced_accuracy" else None
    expected = compare_accuracies(np.stack(right, axis=1), *about, classes=classes)[1]
    row = table.iloc[1]
    assert row["cv_difference"] == pytest.approx(expected.value)
    assert row["cv_difference"] == pytest.approx(
        np.mean(given.runs("b", measure) - given.runs("a", measure))
    )
    assert row["cv_difference_high"] == pytest.approx(expected.high)
    assert row["cv_difference_p"] == pytest.approx(expected.p)
    errors = (scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8)) * expected.standard_error
    assert row["cv_detectable"] == pytest.approx(errors)
    assert row["cv_detectable_holm"] > errors
    assert table["beats_shortcut"].tolist() == ["no", "yes", "no"] or (
        table["cv_over_shortcut_low"] > 0
    ).tolist() == [text == "yes" for text in table["beats_shortcut"]]


def test_of_two_classes_a_single_validation_set_serves_the_auc_too(of_two: Made) -> None:
    table = of_two.tabulate("auc")
    assert table["cv_method"].iloc[0] == "Obuchowski, logit"
    assert table["cv_difference_method"].iloc[1] == "Obuchowski, paired, out-of-fold"
    assert np.isfinite(table["cv_difference_low"].iloc[1])
    assert table["cv_difference"].iloc[1] == pytest.approx(
        np.mean(of_two.runs("b", "auc") - of_two.runs("a", "auc"))
    )
    notes = lay_out(of_two.plan("auc"), table).notes
    assert any(note.startswith("This validation set (100 positives, 100") for note in notes)


@pytest.mark.parametrize("folds", [1, 3])
def test_copies_of_tiles_do_not_make_differences_surer(tmp_path: Path, folds: int) -> None:
    sizes = {"images": 18, "folds": folds, "tests": 18, "tiles": 3, "seeds": 2}
    once, often = (made(tmp_path / str(copies), copies=copies, **sizes) for copies in (1, 3))
    for measure in ACCURACIES:
        one, other = once.tabulate(measure), often.tabulate(measure)
        for side in ("cv", "test"):
            for end in ("", "_low", "_high", "_p"):
                column = f"{side}_difference{end}"
                np.testing.assert_allclose(other[column], one[column], rtol=1e-6)
                assert one[column].notna().sum() == 2


def test_the_best_shortcut_is_the_one_by_the_measure(crossed: Made) -> None:
    table = crossed.tabulate("accuracy")
    assert set(table["shortcut"]) == {"pixels"}
    runs = pd.read_csv(crossed.study.files["shortcuts"]["runs"])
    of_shortcut = runs.loc[runs["set"] == "validation", "accuracy"]
    assert table["shortcut_value"].iloc[0] == pytest.approx(of_shortcut.mean())
    apart = crossed.runs("b", "accuracy") - of_shortcut.to_numpy()
    assert table["cv_over_shortcut"].iloc[1] == pytest.approx(apart.mean())


def test_counts_alone_tell_no_smallest_difference_of_accuracies(crossed: Made) -> None:
    scores, evidence = crossed.study.read()
    files = {key: path for key, path in evidence.unit_files.items() if key[0] == "a"}
    lacking = dataclasses.replace(evidence, unit_files=files)
    plan = crossed.plan("accuracy")
    table = tabulate(plan, scores, lacking)
    assert table["test_detectable"].isna().all()
    assert table["test_detectable_auc"].isna().all()
    notes = lay_out(plan, table).notes
    assert any("its size alone does not tell it" in note for note in notes)
    assert not any("could tell an AUC" in note for note in notes)


def test_evidence_of_one_measure_becomes_that_of_another(crossed: Made) -> None:
    _, evidence = crossed.study.read(("accuracy", "auc"))
    key = crossed.arms[0].key
    assert evidence.measure == "accuracy"
    values = list(evidence.runs[key].validation.values())
    np.testing.assert_allclose(values, crossed.runs("a", "accuracy"))
    values = list(evidence.of("auc").runs[key].validation.values())
    np.testing.assert_allclose(values, crossed.runs("a", "auc"))
    assert evidence.units(key, "cv").classes == 3
    # Three scores have no ranking of two.
    assert evidence.of("auc").units(key, "cv") is None


def test_files_of_an_older_score_stage_are_named(tmp_path: Path) -> None:
    arms = Arms(tmp_path)
    arms.score("a")
    files = arms.files["a"]
    key = ("a", arms.split)
    with pytest.raises(InputError, match=r"a-runs\.csv: no column 'accuracy'"):
        Evidence.read([key], runs=[files["runs"]], measures=["accuracy"])
    evidence = Evidence.read([key], units=[files["units"]], measures=["accuracy"])
    with pytest.raises(InputError, match=r"a-units\.parquet: no column 'right_seed_"):
        evidence.units(key, "cv")
    assert read_scored(arms)[1].measure == "auc"


# Tables ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ACCURACIES)
def test_a_grid_is_about_its_measure_in_every_word(crossed: Made, measure: str) -> None:
    plan, words = crossed.plan(measure), measure.replace("_", " ")
    table = crossed.tabulate(measure)
    shown = lay_out(plan, table)
    assert f"CV {words}, mean ± SD" in shown.columns
    assert f"External {words} [95\u00a0%]" in shown.columns
    said = " ".join([*shown.columns, shown.reading, *shown.notes, caption_of(plan, table)])
    assert "AUC" not in said
    assert "positive" not in said
    assert shown.reading.startswith(f"How to read: {words} is the share")
    assert "; 225 examples of 45 patients." in said
    assert f"Δ: {words} less that of the reference, a;" in said
    assert "This test set (150 examples of 30 patients) could show a difference of" in said
    best = [i for i, row in enumerate(shown.rows) if row.cells[1].best]
    assert best == [int(table["cv_mean"].argmax())]


def test_a_single_validation_set_is_not_called_cross_validation(given: Made) -> None:
    plan, table = given.plan("accuracy"), given.tabulate("accuracy")
    shown = lay_out(plan, table)
    assert "Validation accuracy, mean ± SD" in shown.columns
    said = " ".join([*shown.columns, *shown.notes, caption_of(plan, table)])
    assert "CV" not in said
    assert "cross-validation" not in said
    assert "over 3 runs, which all judged the same examples" in said
    assert "by the paired clustered t test, runs averaged" in said
    assert "This validation set (225 examples of 45 patients) could show" in said


def test_levels_are_called_what_the_study_calls_them(crossed: Made) -> None:
    plan = crossed.plan("accuracy", names={"a": "only real images", "b": ""})
    table = tabulate(plan, *crossed.study.read())
    assert table["model"].tolist() == ["a", "b", "c"]
    shown = lay_out(plan, table)
    assert [row.cells[0].text for row in shown.rows] == ["only real images", "–", "c"]
    figure = draw(plan, table)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["only real images", "–", "c"]


def test_tiles_stand_beside_images_and_classes_have_their_names(given: Made) -> None:
    plan, (scores, _) = given.plan("accuracy"), given.study.read()
    measures = tabulate_measures(plan, scores)
    assert set(measures["set"]) == {"cv", "cv-by-parent"}
    tables = {t.title: t for t in lay_out_measures(plan, measures, "validation set")}
    assert list(tables) == [
        "Models: further measures, validation set",
        "Models: tiles and images, validation set",
        "Models: single classes, validation set",
    ]
    votes = tables["Models: tiles and images, validation set"]
    assert votes.columns[1:3] == (
        "Accuracy of tiles, mean ± SD [95\u00a0%]",
        "Accuracy of images, mean ± SD [95\u00a0%]",
    )
    row = scores.get(given.arms[1], "cv-by-parent", "accuracy_mean")
    expected = f"{row['value']:.3f} ± {row['sd']:.3f} [{row['low']:.3f}–{row['high']:.3f}]"
    assert votes.rows[1].cells[2].text == expected
    assert "Here are 225 tiles of 45 images" in votes.notes[0]
    of_classes = tables["Models: single classes, validation set"]
    assert of_classes.columns[1:] == tuple(f"AUC of class {name}" for name in NAMES)
    assert set(measures["class"]) == {"", *NAMES}


def test_an_experiment_about_auc_shows_no_accuracies_of_two_classes(of_two: Made) -> None:
    scores, _ = of_two.study.read()
    measures = tabulate_measures(of_two.plan("auc"), scores)
    assert measures.loc[measures["set"] == "cv", "accuracy"].isna().all()
    told = tabulate_measures(of_two.plan("accuracy"), scores)
    assert told["accuracy"].notna().all()
    assert told["accuracy_mean_sd"].notna().all()
    assert "Accuracy" in lay_out_measures(of_two.plan("accuracy"), told)[0].columns


# Selection ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ACCURACIES)
def test_over_folds_the_nested_value_is_of_the_measure(crossed: Made, measure: str) -> None:
    plan = crossed.plan(measure, selection=True)
    evidence = crossed.study.read()[1]
    found = tabulate_selection(plan, crossed.tabulate(measure), evidence)
    runs = {}
    for arm in "abc":
        table = pd.read_csv(crossed.study.files[arm]["runs"])
        pivot = table[table["inner"] == 0].pivot(index=["seed", "fold"], columns="set")
        runs[arm] = pivot[measure]
    inner = pd.DataFrame({arm: table["inner"] for arm, table in runs.items()})
    judged = pd.DataFrame({arm: table["validation"] for arm, table in runs.items()})
    picked = inner.idxmax(axis=1)
    values = [judged.loc[run, arm] for run, arm in picked.items()]
    row = found.iloc[0]
    assert row["nested"] == pytest.approx(np.mean(values))
    assert row["flat"] == pytest.approx(judged.mean().max())
    assert row["nested_method"] == "corrected resampled t"
    shown = lay_out_selection(plan, found)[0]
    assert f"Flat {measure.replace('_', ' ')}" in shown.columns
    assert "largest AUC" not in " ".join(shown.notes)
    assert found["picked_on"].tolist() == ["validation", "test"]


@pytest.mark.parametrize("classes", [2, 3])
def test_on_one_validation_set_the_nested_value_has_the_interval_of_its_patients(
    of_two: Made, given: Made, classes: int
) -> None:
    of_study = of_two if classes == 2 else given
    evidence = of_study.study.read()[1]
    for measure in measures_of(2) if classes == 2 else ACCURACIES:
        plan = of_study.plan(measure, selection=True)
        found = tabulate_selection(plan, of_study.tabulate(measure), evidence)
        row = found.iloc[0]
        assert row["nested_low"] < row["nested"] < row["nested_high"]
        assert row["gap"] == pytest.approx(row["flat"] - row["nested"])
        assert row["gap_low"] <= row["gap"] <= row["gap_high"]
        assert sum(json.loads(row["chosen"]).values()) == 3
        note = lay_out_selection(plan, found)[0].notes[0]
        assert "the interval of the mean of runs on the same patients" in note


# Figures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["grid", "sweep"])
def test_figures_are_drawn_in_the_measure(crossed: Made, layout: str, tmp_path: Path) -> None:
    plan = crossed.plan("balanced_accuracy", layout)
    table = crossed.tabulate("balanced_accuracy")
    figure = draw(plan, table)
    axes = figure.axes[0]
    label = axes.get_xlabel() if layout == "grid" else axes.get_ylabel()
    assert label.startswith("Balanced accuracy")
    places = [line for line in axes.lines if len(line.get_xdata()) == 2]
    at = [(line.get_xdata() if layout == "grid" else line.get_ydata())[0] for line in places]
    assert table["shortcut_value"].iloc[0] in at
    save(figure, tmp_path / "x.png")


def test_guessing_among_classes_reaches_their_share_alone(crossed: Made) -> None:
    assert crossed.plan("balanced_accuracy").guessing == pytest.approx(1 / 3)
    assert crossed.plan("accuracy").guessing is None
    assert crossed.plan("auc").guessing == 0.5
    unnamed = dataclasses.replace(crossed.plan("balanced_accuracy"), class_names={})
    assert unnamed.guessing is None


@pytest.fixture(scope="module")
def doses(tmp_path_factory: pytest.TempPathFactory) -> ClassStudy:
    """Networks of three numbers of synthetic images, and one of real images alone."""
    study = ClassStudy(tmp_path_factory.mktemp("doses"), images=30, folds=1)
    for name, skill in [("real", 0.6), ("n500", 0.55), ("n1000", 0.7), ("n2000", 0.75)]:
        study.score(name, skill)
    return study


def response(study: ClassStudy, reference: dict[str, Any]) -> tuple[Experiment, pd.DataFrame]:
    """Return a sweep over numbers of synthetic images, with real ones alone beside it."""
    arms = [Arm("real", study.split, reference, False)]
    for number in (500, 1000, 2000):
        arms.append(Arm(f"n{number}", study.split, {"synthetic_per_class": number}, False))
    vary = {"synthetic_per_class": [500, 1000, 2000]}
    plan = Experiment("x", "Doses", "sweep", vary, tuple(arms), False, None)
    plan = dataclasses.replace(plan, measures=("accuracy",), unit="tile")
    return plan, tabulate(plan, *study.read())


@pytest.mark.parametrize(
    "reference",
    [
        {"training_set": "real", "synthetic_per_class": None},
        {"synthetic_per_class": None},
        {"training_set": "real", "synthetic_per_class": 1000},
    ],
)
def test_the_reference_of_a_dose_response_is_a_line_across_with_its_spread(
    doses: ClassStudy, reference: dict[str, Any]
) -> None:
    plan, table = response(doses, reference)
    axes = draw(plan, table).axes[0]
    ticks = {t.get_text(): x for t, x in zip(axes.get_xticklabels(), axes.get_xticks())}  # noqa: B905
    assert ticks == {"500": 500, "1000": 1000, "2000": 2000}
    (line,) = [a for a in axes.lines if str(a.get_label()).startswith("reference")]
    assert list(line.get_ydata()) == [table["cv_mean"].iloc[0]] * 2
    (band,) = axes.patches
    box = band.get_bbox()
    mean, sd = table[["cv_mean", "cv_sd"]].iloc[0]
    assert (box.y0, box.y1) == pytest.approx((mean - sd, mean + sd))
    curve = max(axes.lines, key=lambda a: len(a.get_xdata()))
    np.testing.assert_allclose(curve.get_ydata(), table["cv_mean"][1:])
    np.testing.assert_allclose(curve.get_xdata(), [500, 1000, 2000])


def test_the_caption_of_a_dose_response_speaks_of_no_signal(doses: ClassStudy) -> None:
    plan, table = response(doses, {"training_set": "real", "synthetic_per_class": None})
    assert "A line across is an arm that is no part of the sweep" in caption_of(plan, table)
    assert "signal" not in caption_of(plan, table)
    assert "the signal as it was recorded" in caption_of(
        dataclasses.replace(plan, unit="window"), table
    )


def test_a_reference_within_the_sweep_is_one_of_its_dots(doses: ClassStudy) -> None:
    plan, table = response(doses, {"synthetic_per_class": 0})
    plan = dataclasses.replace(plan, vary={"synthetic_per_class": [0, 500, 1000, 2000]})
    axes = draw(plan, table).axes[0]
    assert not [a for a in axes.lines if str(a.get_label()).startswith("reference")]
    assert not axes.patches
    assert max(len(a.get_xdata()) for a in axes.lines) == 4


# Audits ------------------------------------------------------------------------------------------


def test_an_audit_is_about_its_measure(tmp_path: Path) -> None:
    studies = [
        ClassStudy(tmp_path, images=45, folds=3, split=f"tissue-{scheme}-none")
        for scheme in ("patient", "image")
    ]
    arms = []
    for study, scheme, skill in zip(studies, ("patient", "image"), (0.5, 2.5), strict=True):
        arms.append(dataclasses.replace(study.score("vit", skill), factors={"scheme": scheme}))
    plan = Experiment(
        "x", "Audit", "audit", {"scheme": []}, tuple(arms), False, None, measures=("accuracy",)
    )
    read = [study.read() for study in studies]
    scores = type(read[0][0])(pd.concat([one[0].table for one in read]))
    evidence = Evidence(
        read[0][1].of("accuracy").runs | read[1][1].of("accuracy").runs,
        dict(read[0][1].unit_files) | dict(read[1][1].unit_files),
        measure="accuracy",
    )
    table = tabulate(plan, scores, evidence)
    row = table.iloc[1]
    values = []
    for study in studies:
        units = pd.read_parquet(study.files["vit"]["units"])
        values.append(units[[f"right_seed_{s}" for s in range(3)]].to_numpy().mean())
    assert row["audit_pooled"] == pytest.approx(values[1] - values[0])
    assert row["audit_pooled_method"] == "clustered t, paired, out-of-fold"
    assert row["audit_difference_low"] > 0
    shown = lay_out(plan, table)
    assert shown.columns[0] == "Patient-level CV accuracy [95\u00a0%]"
    said = " ".join([shown.reading, *shown.columns, *shown.notes])
    assert "AUC" not in said
    assert "that much of the accuracy rests on patients seen in training" in said
    assert draw(plan, table).axes[0].get_xlabel() == "Accuracy, 95 % interval"


# The pages on one arm and on shortcuts -----------------------------------------------------------


@pytest.fixture(scope="module")
def performance(given: Made) -> dict[str, Any]:
    files = given.study.files["b"]
    subject = read_subject(
        json.dumps(
            {
                "title": "Performance",
                "simulated": False,
                "arm": "b",
                "split": given.study.split,
                "leaky": False,
                "classes": list(NAMES),
                "measure": "accuracy",
                "unit": "tile",
            }
        )
    )
    summary = read_summary(files["scores"])
    units, classes = read_units(files["units"])
    shown = pictures(summary, read_curves(files["curves"]), units, classes)
    return {"subject": subject, "summary": summary, "shown": shown, "units": units}


def test_the_confusion_matrix_is_a_table_with_names_counts_and_shares(
    performance: dict[str, Any],
) -> None:
    (table,) = lay_out_confusions(performance["subject"], performance["shown"])
    assert table.title == "Performance: confusion matrix, validation"
    assert table.columns == ("True class", *NAMES, "n")
    units = performance["units"]
    called = units[[f"score_{k}" for k in range(3)]].to_numpy().argmax(axis=1)
    for k, row in enumerate(table.rows):
        of_class = called[units["label"] == k]
        assert row.cells[0].text == NAMES[k]
        for j, cell in enumerate(row.cells[1:4]):
            number, share = int((of_class == j).sum()), (of_class == j).mean()
            assert cell.text.partition(" (")[0] == str(number)
            assert float(cell.text.partition(" (")[2].rstrip("\u00a0%)")) == pytest.approx(
                100 * share, abs=0.51
            )
        assert row.cells[4].text == str(len(of_class))
    figure = draw_performance(performance["subject"], performance["shown"])
    drawn = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert drawn == list(NAMES)
    assert figure.axes[1].get_title(loc="left") == "Confusion: validation"


def test_the_page_on_an_arm_tells_tiles_from_images(performance: dict[str, Any]) -> None:
    subject = performance["subject"]
    numbers = tabulate_performance(subject, performance["summary"])
    tables = {t.title.partition(": ")[2]: t for t in lay_out_performance(subject, numbers)}
    by_parent = tables["by parent"]
    assert [row.cells[0].text for row in by_parent.rows] == ["tile", "image"]
    assert [row.cells[1].text for row in by_parent.rows] == ["Validation"] * 2
    assert [row.cells[2].text for row in by_parent.rows] == ["225", "45"]
    assert "Balanced accuracy [95\u00a0%]" in by_parent.columns
    assert "a network sees tiles; whoever decides about images" in by_parent.reading
    assert tables["all measures"].columns[-1] == "Validation [95\u00a0%]"
    assert "Accuracy, mean of runs" in [row.cells[0].text for row in tables["all measures"].rows]
    unnamed = dataclasses.replace(subject, classes=("negative", "positive")).of_classes(3)
    assert unnamed.classes == ("0", "1", "2")


def test_shortcuts_are_held_against_the_arm_in_the_measure(given: Made) -> None:
    content = {"title": "Shortcuts", "simulated": False, "arm": "b", "measure": "accuracy"}
    content |= {"splits": [{"name": given.study.split}], "unit": "tile"}
    study = read_shortcut_study(json.dumps(content))
    files = given.study.files
    summary = read_summary(files["shortcuts"]["scores"])
    table = tabulate_shortcuts(study, summary, read_summary(files["b"]["scores"]))
    shown = lay_out_shortcuts(study, table)
    assert shown.columns == ("Shortcut", "Validation accuracy [95\u00a0%]")
    scores, _ = given.study.read()
    mean = scores.get(given.arms[1], "cv", "accuracy_mean")["value"]
    assert table["cv_value"].iloc[1] == mean
    said = " ".join([shown.reading, *shown.notes, caption_of_shortcuts(study)])
    assert "not 0.5" not in said
    assert "at 0.5" not in said
    assert "when an image was made" in said


# Input -------------------------------------------------------------------------------------------


def test_an_experiment_says_its_measure_names_and_classes_in_json() -> None:
    values = {
        "name": "n",
        "layout": "grid",
        "simulated": False,
        "arms": [{"arm": "a", "split": "s", "factors": {"model": "a"}}],
    }
    assert read_experiment(json.dumps(values)).measures == ("auc",)
    told = {"measure": "accuracy", "measures": [], "columns": None, "names": {"a": "A"}}
    told |= {"class_names": {"s": ["x", "y", "z"]}, "unit": "tile"}
    read = read_experiment(json.dumps(values | told))
    assert read.measures == ("accuracy",)
    assert read.word("a") == "A"
    assert read.class_name("s", "2") == "z"
    assert read.class_name("another", "2") == "2"
    assert read.has_several_classes
    with pytest.raises(InputError, match=r"no measure 'acuracy'.*Did you mean 'accuracy'"):
        read_experiment(json.dumps(values | {"measure": "acuracy"}))
    with pytest.raises(InputError, match="layout sites knows auc alone"):
        read_experiment(json.dumps(values | {"measure": "accuracy", "layout": "sites"}))
