"""How one arm does: the numbers of its tables, and the data that its figure is drawn from."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from matplotlib.figure import Figure

from fewcase.evaluation.scores import Scored, join_scored, score_arm, write_scores
from fewcase.reporting.certificate_table import Standing
from fewcase.reporting.display import (
    COPIES_NOTE,
    LEAKY_NOTE,
    UNKNOWN_NOTE,
    DisplayTable,
    to_latex,
    to_markdown,
)
from fewcase.reporting.figures import LEAKY_COLOUR
from fewcase.reporting.performance import (
    LONG_COLUMNS,
    Subject,
    read_subject,
    read_summary,
    tabulate_performance,
)
from fewcase.reporting.performance_curves import (
    Picture,
    find_rival,
    pictures,
    precision_recall,
    read_curves,
    read_units,
)
from fewcase.reporting.performance_figures import draw_performance
from fewcase.reporting.performance_tables import lay_out_performance, shown_sets
from fewcase.statistics.calibration import Prevalence
from fewcase.study.errors import InputError
from scored_arms import write_certificate

SPLIT = "apgar-patient-none"
SUBJECT = Subject("The default arm", simulated=True, arm="vit", split=SPLIT, leaky=False)
CONTENT = {
    "title": "The default arm",
    "simulated": True,
    "arm": "vit",
    "split": SPLIT,
    "leaky": False,
}
WORKFLOW = Path(__file__).parents[2] / "workflow"


def predictions(study: Any, arm: str, separation: float) -> pd.DataFrame:
    """Return the predictions of all runs of an arm."""
    parts = []
    for seed in study.seeds:
        split = study.split(seed)
        for fold in range(study.folds):
            run = study.predictions(split, arm, seed, fold, separation)
            parts.append(run.assign(seed=seed, fold=fold, inner=0))
    return pd.concat(parts, ignore_index=True)


def scored(study: Any, arm: str, separation: float, **options: Any) -> Scored:
    # As if it was trained on as many negatives as positives.
    share = float((study.examples["label"] == 1).mean())
    runs = [(seed, fold) for seed in study.seeds for fold in range(study.folds)]
    prevalences = dict.fromkeys(runs, Prevalence((1 - share, share), (0.5, 0.5)))
    table = predictions(study, arm, separation)
    return score_arm(table, arm=arm, split=SPLIT, prevalences=prevalences, **options)


@dataclasses.dataclass(frozen=True)
class Files:
    """What the score stage leaves of an arm, read back."""

    folder: Path
    summary: pd.DataFrame
    curves: pd.DataFrame
    units: pd.DataFrame
    classes: int

    @classmethod
    def of(cls, found: Scored, folder: Path) -> Files:
        paths = [folder / name for name in ("arm.csv", "runs.csv", "units.parquet", "curves.csv")]
        write_scores(found, *paths)
        return cls(folder, read_summary(paths[0]), read_curves(paths[3]), *read_units(paths[2]))

    def pictures(self) -> dict[str, Picture]:
        shown = pictures(self.summary, self.curves, self.units, self.classes)
        return {picture.name: picture for picture in shown}

    def of_set(self, name: str) -> pd.DataFrame:
        return self.units[self.units["set"] == name]


@pytest.fixture(scope="module")
def files(shared_study: Any, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Return an arm of two classes with sites, a subgroup and another label."""
    examples = shared_study.examples
    number = np.arange(len(examples))
    # The third level has two records, both negative.
    level = np.where(number % 3 == 0, "girl", "boy").astype(object)
    level[np.flatnonzero(examples["label"] == 0)[:2]] = "unknown"
    groups = {"child": pd.Series(level, index=examples["parent"].to_numpy())}
    other = np.random.default_rng(1).random(len(examples)) < 0.1 + 0.4 * examples["label"]
    labels = {"ph": pd.Series(other.to_numpy(int), index=examples["example"].to_numpy())}
    found = scored(shared_study, "vit", 1.2, subgroups=groups, labels=labels)
    return Files.of(found, tmp_path_factory.mktemp("scores"))


@pytest.fixture(scope="module")
def rivals(shared_study: Any, files: Files) -> Path:
    """Write two shortcuts beside the arm, the better of which is `signal`."""
    of_each = {
        f"shortcut:{name}": scored(shared_study, f"shortcut:{name}", separation)
        for name, separation in [("file", 0.1), ("signal", 0.8)]
    }
    paths = [files.folder / name for name in ("shortcuts.csv", "runs-2.csv", "rivals.parquet")]
    write_scores(join_scored(of_each), *paths, None)
    return files.folder


@pytest.fixture(scope="module")
def four_classes(make_study: Callable[..., Any], tmp_path_factory: Any) -> Files:
    """Return an arm of four classes, tested on another site."""
    study = make_study(sites={"A": 160}, held_out={"B": ("external", 60)}, folds=3, seeds=(0, 1))
    table = predictions(study, "vit", 1.0).drop(columns=["score_0", "score_1"])
    codes, names = pd.factorize(table["example"])
    random = np.random.default_rng(5)
    label = random.integers(0, 4, len(names))[codes]
    logits = random.normal(size=(len(table), 4))
    logits[np.arange(len(table)), label] += 1.5
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = table.assign(label=label, **{f"score_{k}": shares[:, k] for k in range(4)})
    return Files.of(score_arm(table, arm="vit", split=SPLIT), tmp_path_factory.mktemp("four"))


def tables_of(files: Files, subject: Subject = SUBJECT) -> dict[str, DisplayTable]:
    tables = lay_out_performance(subject, tabulate_performance(subject, files.summary))
    return {table.title.partition(": ")[2].partition(" (")[0]: table for table in tables}


def cells(table: DisplayTable) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


def row_of(table: DisplayTable, *words: str) -> list[str]:
    found = [row for row in cells(table) if row[: len(words)] == list(words)]
    assert len(found) == 1, f"{words} is there {len(found)} times"
    return found[0]


# What is drawn -----------------------------------------------------------------------------------


def test_the_roc_of_the_test_set_is_that_of_scikit_learn(files: Files) -> None:
    units = files.of_set("test")
    ranking = files.pictures()["test"].rankings[0]
    x, y, _ = sklearn.metrics.roc_curve(units["label"], units["score"], drop_intermediate=False)
    np.testing.assert_allclose(ranking.curve[["x", "y"]], np.stack([x, y], axis=1), atol=1e-12)
    area = sklearn.metrics.roc_auc_score(units["label"], units["score"])
    assert ranking.area.value == pytest.approx(area)
    assert ranking.area.low < area < ranking.area.high


def test_the_area_in_the_legend_is_that_below_the_line_of_all_seeds(files: Files) -> None:
    units = files.of_set("cv")
    ranking = files.pictures()["cv"].rankings[0]
    of_seeds = [
        sklearn.metrics.roc_auc_score(units["label"], units[f"score_seed_{seed}"])
        for seed in range(3)
    ]
    below = np.trapezoid(ranking.curve["y"], ranking.curve["x"])
    assert below == pytest.approx(np.mean(of_seeds), abs=1e-3)
    assert ranking.area.value == pytest.approx(np.mean(of_seeds))


def test_precision_and_recall_are_those_of_scikit_learn(files: Files) -> None:
    units = files.of_set("test")
    curve = files.pictures()["test"].precision_recall
    precision, recall, _ = sklearn.metrics.precision_recall_curve(units["label"], units["score"])
    best = [precision[np.isclose(recall, x)].max() for x in curve["x"]]
    np.testing.assert_allclose(curve["y"], best)
    assert curve["x"].iloc[-1] == 1


def test_average_precision_is_the_area_below_the_steps_drawn(files: Files) -> None:
    for name in ("cv", "test"):
        picture, units = files.pictures()[name], files.of_set(name)
        columns = [f"score_seed_{seed}" for seed in range(3)] if name == "cv" else ["score"]
        expected = np.mean(
            [sklearn.metrics.average_precision_score(units["label"], units[c]) for c in columns]
        )
        steps = np.diff(picture.precision_recall["x"], prepend=0)
        assert np.sum(steps * picture.precision_recall["y"]) == pytest.approx(expected)
        assert picture.average_precision == pytest.approx(expected)


def test_tied_scores_have_one_precision() -> None:
    labels, scores = [1, 0, 1, 0, 1, 0], [0.9, 0.9, 0.5, 0.5, 0.5, 0.1]
    curve = precision_recall(scores, labels)
    expected = sklearn.metrics.average_precision_score(labels, scores)
    assert curve["y"].tolist() == pytest.approx([1 / 2, 3 / 5, 3 / 5])
    assert curve["y"].mean() == pytest.approx(expected)


def test_many_positives_are_drawn_by_some_hundred_points() -> None:
    random = np.random.default_rng(0)
    labels = random.random(40_000) < 0.1
    curve = precision_recall(random.random(40_000) + 0.3 * labels, labels)
    assert len(curve) < 700
    assert curve["x"].is_monotonic_increasing
    assert curve["x"].iloc[-1] == 1


def test_without_a_positive_there_is_no_precision() -> None:
    assert precision_recall([0.2, 0.4], [0, 0]).empty


def test_the_operating_point_is_what_the_table_says(files: Files) -> None:
    measures = tables_of(files)["all measures"]
    sensitivity = row_of(measures, "Sensitivity at the fixed threshold")
    specificity = row_of(measures, "Specificity at the fixed threshold")
    for column, name in [(3, "cv"), (4, "test")]:
        x, y = files.pictures()[name].operating_point or (np.nan, np.nan)
        assert sensitivity[column].startswith(f"{y:.3f} [")
        assert specificity[column].startswith(f"{1 - x:.3f} [")


def test_every_example_is_once_in_the_confusion_matrix(files: Files) -> None:
    for name, picture in files.pictures().items():
        labels = files.of_set(name)["label"]
        assert picture.confusion.sum(axis=1).tolist() == [(labels == 0).sum(), (labels == 1).sum()]
        x, y = picture.operating_point or (np.nan, np.nan)
        right = picture.confusion.diagonal() / picture.confusion.sum(axis=1)
        # On several seeds decisions need not be whole numbers of examples.
        assert right == pytest.approx([1 - x, y], abs=0.5 / picture.confusion.sum(axis=1).min())


def test_net_benefit_is_that_of_the_definition(files: Files) -> None:
    picture, units = files.pictures()["test"], files.of_set("test")
    positive = (units["label"] == 1).to_numpy()
    assert len(picture.decision) > 50
    for threshold, benefit, of_all in zip(
        picture.decision["x"], picture.decision["y"], picture.treat_all["y"], strict=True
    ):
        odds = threshold / (1 - threshold)
        treated = (units["probability"] >= threshold).to_numpy()
        expected = (treated & positive).mean() - odds * (treated & ~positive).mean()
        assert benefit == pytest.approx(expected)
        assert of_all == pytest.approx(positive.mean() - odds * (~positive).mean())


def test_reliability_is_drawn_before_and_after_the_correction(files: Files) -> None:
    picture = files.pictures()["cv"]
    share = picture.prevalence
    assert picture.reliability["x"].max() < picture.reliability_raw["x"].max()
    for curve in (picture.reliability, picture.reliability_raw):
        assert np.average(curve["y"], weights=curve["n"]) == pytest.approx(share)
        assert (curve["low"] <= curve["y"]).all()
        assert (curve["y"] <= curve["high"]).all()


def test_scores_are_divided_by_their_label(files: Files) -> None:
    picture, units = files.pictures()["cv"], files.of_set("cv")
    for k in range(2):
        expected = units.loc[units["label"] == k, "score"]
        assert sorted(picture.scores_by_class[k]) == sorted(expected)


def test_the_best_shortcut_is_drawn_with_the_area_below_its_line(rivals: Path) -> None:
    units, _ = read_units(rivals / "rivals.parquet")
    rival = find_rival(SPLIT, read_summary(rivals / "shortcuts.csv"), units, [0.1, 0.2])
    assert rival is not None
    assert rival.ranking.name == "shortcut:signal"
    part = units[(units["arm"] == "shortcut:signal") & (units["set"] == "cv")]
    expected = np.mean(
        [sklearn.metrics.roc_auc_score(part["label"], part[f"score_seed_{s}"]) for s in range(3)]
    )
    assert rival.ranking.area.value == pytest.approx(expected)
    below = np.trapezoid(rival.ranking.curve["y"], rival.ranking.curve["x"])
    assert below == pytest.approx(expected, abs=1e-3)
    assert rival.decision["x"].tolist() == [0.1, 0.2]


def test_there_is_no_best_shortcut_of_another_split(rivals: Path) -> None:
    units, _ = read_units(rivals / "rivals.parquet")
    assert find_rival("ph-patient-none", read_summary(rivals / "shortcuts.csv"), units, []) is None


def test_each_of_four_classes_has_its_curve_and_the_matrix_all_of_them(
    four_classes: Files,
) -> None:
    picture, units = four_classes.pictures()["test"], four_classes.of_set("test")
    for k, ranking in enumerate(picture.rankings):
        expected = sklearn.metrics.roc_auc_score(units["label"] == k, units[f"score_{k}"])
        assert ranking.area.value == pytest.approx(expected)
        assert np.trapezoid(ranking.curve["y"], ranking.curve["x"]) == pytest.approx(expected)
    called = units[[f"score_{k}" for k in range(4)]].to_numpy().argmax(axis=1)
    expected = sklearn.metrics.confusion_matrix(units["label"], called, labels=range(4))
    np.testing.assert_array_equal(picture.confusion, expected)


# Tables ------------------------------------------------------------------------------------------


def test_all_measures_of_every_set_are_in_one_table(files: Files) -> None:
    table = tables_of(files)["all measures"]
    assert table.columns[3:] == tuple(
        f"{name} [95\u00a0%]" for name in ("CV", "Test", "External test", "Temporal test")
    )
    rows = cells(table)
    assert len(rows) == 14
    value = files.summary.set_index(["set", "statistic"])["value"]
    brier = row_of(table, "Brier score")
    assert brier[3].startswith(f"{value['cv', 'brier']:.3f} [")
    slope = row_of(table, "Calibration slope")
    assert " to " in slope[3]


def test_brier_score_and_chance_level_are_those_of_scikit_learn(files: Files) -> None:
    table, units = tables_of(files)["all measures"], files.of_set("test")
    brier = sklearn.metrics.brier_score_loss(units["label"], units["probability"])
    assert row_of(table, "Brier score")[4].startswith(f"{brier:.3f} [")
    chance = units["label"].mean()
    assert row_of(table, "Average precision")[4].endswith(f"(chance {chance:.3f})")


def test_a_negative_end_of_an_interval_is_not_joined_by_a_dash(files: Files) -> None:
    summary = files.summary.copy()
    chosen = (summary["set"] == "cv") & (summary["statistic"] == "calibration_intercept")
    summary.loc[chosen, ["value", "low", "high"]] = [-0.2, -0.5, 0.1]
    table = tables_of(dataclasses.replace(files, summary=summary))["all measures"]
    minus = "\u2212"
    expected = f"{minus}0.200 [{minus}0.500 to 0.100]"
    assert row_of(table, "Calibration intercept")[3] == expected


def test_one_kind_of_held_out_people_is_shown_once() -> None:
    assert shown_sets(["cv", "test", "external"]) == ["cv", "external"]
    assert shown_sets(["cv", "test", "external", "temporal"]) == [
        "cv",
        "test",
        "external",
        "temporal",
    ]
    assert shown_sets(["cv"]) == ["cv"]
    assert shown_sets(["cv", "test"]) == ["cv", "test"]


def test_every_site_and_subgroup_has_its_counts(files: Files) -> None:
    tables = tables_of(files)
    examples = files.of_set("cv")
    fukuda = examples[examples["site"] == "Fukuda"]
    row = row_of(tables["by site"], "Fukuda", "CV")
    assert row[2] == f"{len(fukuda)} / {fukuda['label'].sum()}"
    auc = np.mean(
        [
            sklearn.metrics.roc_auc_score(fukuda["label"], fukuda[f"score_seed_{s}"])
            for s in (0, 1, 2)
        ]
    )
    assert row[3].startswith(f"{auc:.3f} [")
    assert [row[:3] for row in cells(tables["by subgroup"])][:2] == [
        ["child", "boy", "CV"],
        ["child", "boy", "Test"],
    ]


def test_a_group_without_positives_has_a_dash_and_the_reason_below(files: Files) -> None:
    table = tables_of(files)["by subgroup"]
    found = next(row for row in cells(table) if row[1] == "unknown")
    assert found[3] == "2 / 0"
    assert found[4] == "–\u00a0(a)"
    assert any(note.startswith("No value: (a) no positives") for note in table.notes)


def test_other_labels_stand_beside_the_one_trained_on(files: Files) -> None:
    table = tables_of(files)["by label definition"]
    assert [row[:2] for row in cells(table)] == [
        ["apgar (trained on)", "CV"],
        ["apgar (trained on)", "Test"],
        ["ph", "CV"],
        ["ph", "Test"],
    ]
    assert "Sensitivity [95\u00a0%]" not in table.columns


def test_a_column_without_intervals_says_so_once(files: Files) -> None:
    table = tables_of(files)["by site"]
    said = [note for note in table.notes if note.startswith("A value without an interval: ")]
    assert len(said) == 1


def test_several_classes_are_named_and_told_apart(four_classes: Files) -> None:
    names = ("tumour", "stroma", "mucosa", "debris")
    subject = dataclasses.replace(SUBJECT, classes=names)
    tables = tables_of(four_classes, subject)
    assert cells(tables["all measures"])[0][0] == "n"
    units = four_classes.of_set("test")
    called = units[[f"score_{k}" for k in range(4)]].to_numpy().argmax(axis=1)
    accuracy = sklearn.metrics.accuracy_score(units["label"], called)
    balanced = sklearn.metrics.balanced_accuracy_score(units["label"], called)
    measures = tables["all measures"]
    assert row_of(measures, "Accuracy")[4].startswith(f"{accuracy:.3f} [")
    assert row_of(measures, "Balanced accuracy")[4].startswith(f"{balanced:.3f} [")
    by_class = cells(tables["by class"])
    assert list(dict.fromkeys(row[0] for row in by_class)) == list(names)
    stroma = row_of(tables["by class"], "stroma", "External test")
    assert stroma[2] == f"{len(units)} / {(units['label'] == 1).sum()}"


def test_every_table_says_first_how_to_read_it(files: Files, four_classes: Files) -> None:
    tables = [*tables_of(files).values(), *tables_of(four_classes).values()]
    for table in tables:
        assert table.reading.startswith("How to read: ")
        lines = to_markdown(table).splitlines()
        assert lines[2].startswith("How to read: ")
        assert lines[4].startswith("| ")
        assert r"(simulated). How to read: " in to_latex(table, "performance")


def test_markdown_and_latex_are_safe_with_any_name_of_a_site(files: Files) -> None:
    summary = files.summary.copy()
    summary["set"] = summary["set"].str.replace("Fukuda", "St. M|ry_1 & $100 <b>")
    table = tables_of(dataclasses.replace(files, summary=summary))["by site"]
    markdown = to_markdown(table)
    assert r"St. M\|ry_1 &amp; \$100 &lt;b&gt;" in markdown
    assert r"St. M\textbar{}ry\_1 \& \$100 \textless{}b\textgreater{}" in to_latex(table, "site")


def test_a_leaky_split_is_red_wherever_its_numbers_are(files: Files) -> None:
    subject = dataclasses.replace(SUBJECT, leaky=True)
    for table in tables_of(files, subject).values():
        assert table.leaky
        assert all(row.leaky for row in table.rows)
        assert "(simulated) (leaky)" in table.title
        assert table.notes[-1].startswith("Leaky: ")
    figure = draw_performance(subject, list(files.pictures().values()))
    assert [text.get_color() for text in figure.texts] == [LEAKY_COLOUR]


def test_copies_that_were_ignored_are_told_as_such(files: Files) -> None:
    subject = SUBJECT.certified({SPLIT: Standing(True, (COPIES_NOTE, UNKNOWN_NOTE))})
    for table in tables_of(files, subject).values():
        assert table.leaky
        assert "(simulated) (leaky)" in table.title
        assert {COPIES_NOTE, UNKNOWN_NOTE} <= set(table.notes)
        assert LEAKY_NOTE not in table.notes
    assert set(tabulate_performance(subject, files.summary)["leaky"]) == {"yes"}


def test_the_long_table_loses_no_row(files: Files) -> None:
    table = tabulate_performance(SUBJECT, files.summary)
    assert tuple(table.columns) == LONG_COLUMNS
    assert len(table) == len(files.summary)
    site = table[(table["table"] == "By site") & (table["level"] == "Fukuda")]
    assert set(site["group"]) == {"site"}


# Figures -----------------------------------------------------------------------------------------


def lines_of(figure: Figure) -> list[tuple[list[float], list[float]]]:
    lines = [line for axes in figure.axes for line in axes.get_lines()]
    return [
        (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in lines
    ]


def test_the_figure_draws_the_curves_that_were_gathered(files: Files, rivals: Path) -> None:
    shown = list(files.pictures().values())
    units, _ = read_units(rivals / "rivals.parquet")
    thresholds = shown[0].decision["x"]
    rival = find_rival(SPLIT, read_summary(rivals / "shortcuts.csv"), units, thresholds)
    assert rival is not None
    lines = lines_of(draw_performance(SUBJECT, shown, rival))
    curves = [rival.ranking.curve, rival.decision]
    for picture in shown:
        curves += [picture.rankings[0].curve, picture.decision, picture.treat_all]
        assert picture.operating_point is not None
        x, y = picture.operating_point
        assert ([x], [y]) in lines
    for curve in curves:
        assert (curve["x"].tolist(), curve["y"].tolist()) in lines


def equal_scores(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(score_0=0.5, score_1=0.5)


def perfect_scores(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(score_0=1.0 - table["label"], score_1=table["label"] * 1.0)


def no_positive_in_test(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["role"] != "test") | (table["label"] == 0)].reset_index(drop=True)


def twelve_examples(table: pd.DataFrame) -> pd.DataFrame:
    order = pd.factorize(table["example"])[0]
    labels = (order % 4 == 0).astype(int)
    return table.assign(label=labels)[order < 12].reset_index(drop=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (equal_scores, "CV 0.500 ["),
        (perfect_scores, "CV 1.000 ["),
        (no_positive_in_test, "test –"),
        (twelve_examples, "CV "),
    ],
)
def test_hard_cases_are_drawn_and_laid_out(
    change: Callable[[pd.DataFrame], pd.DataFrame],
    said: str,
    tmp_path: Path,
    make_study: Callable[..., Any],
) -> None:
    study = make_study(
        sites={"A": 60},
        held_out=None if change is twelve_examples else {"B": ("external", 30)},
        folds=3,
        seeds=(0,),
    )
    table = change(predictions(study, "vit", 1.0))
    found = Files.of(score_arm(table, arm="vit", split=SPLIT), tmp_path)
    assert "all measures" in tables_of(found)
    figure = draw_performance(SUBJECT, list(found.pictures().values()))
    figure.draw_without_rendering()
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert any(text.get_text().startswith(said) for text in legend.get_texts())


def test_four_classes_are_drawn(four_classes: Files) -> None:
    subject = dataclasses.replace(SUBJECT, classes=("a", "b", "c", "d"))
    shown = four_classes.pictures()
    figure = draw_performance(subject, list(shown.values()))
    lines = lines_of(figure)
    for ranking in shown["cv"].rankings:
        assert (ranking.curve["x"].tolist(), ranking.curve["y"].tolist()) in lines
    texts = {text.get_text().partition("\n")[0] for axes in figure.axes for text in axes.texts}
    assert {str(n) for n in shown["test"].confusion.ravel()} <= texts


# Input -------------------------------------------------------------------------------------------


def test_scores_of_another_arm_are_refused(files: Files) -> None:
    with pytest.raises(InputError, match="no scores of arm 'cnn'"):
        tabulate_performance(dataclasses.replace(SUBJECT, arm="cnn"), files.summary)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "'colour' is unknown"),
        ({"arm": None}, "'arm' is missing"),
        ({"classes": ["only"]}, "expected two names or more"),
    ],
)
def test_a_wrong_description_is_refused_by_its_key(change: dict[str, Any], message: str) -> None:
    content = {k: v for k, v in (CONTENT | change).items() if v is not None}
    with pytest.raises(InputError, match=message):
        read_subject(json.dumps(content))


def test_a_description_that_is_no_json_is_refused() -> None:
    with pytest.raises(InputError, match="--content: not JSON"):
        read_subject("{")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "arm.csv"
    path.write_text("arm,split\nvit,none\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column 'set'"):
        read_summary(path)


def test_the_stage_writes_tables_and_figures(rivals: Path, tmp_path: Path) -> None:
    names = ("csv", "md", "tex", "display", "svg", "png")
    outputs = {name: tmp_path / f"performance.{name}" for name in names}
    command = [sys.executable, str(WORKFLOW / "tabulate_performance.py")]
    command += ["--content", json.dumps(CONTENT), "--scores", str(rivals / "arm.csv")]
    command += ["--curves", str(rivals / "curves.csv"), "--units", str(rivals / "units.parquet")]
    command += ["--shortcuts", str(rivals / "shortcuts.csv")]
    command += ["--shortcut-units", str(rivals / "rivals.parquet")]
    for name, path in outputs.items():
        command += [f"--{name}", str(path)]
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    seeds = [("disjoint", 0), ("unknown", 1)]
    command += ["--certificates"]
    command += [str(write_certificate(certificates, SPLIT, *seed)) for seed in seeds]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert all(path.stat().st_size > 1000 for path in outputs.values())
    assert outputs["md"].read_text(encoding="utf-8").count("### ") == 4
    assert outputs["tex"].read_text(encoding="utf-8").count(r"\label{tab:performance") == 4
    assert outputs["md"].read_text(encoding="utf-8").count(f"- {UNKNOWN_NOTE}") == 4
    assert "(leaky)" not in outputs["md"].read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(
        path.name for path in outputs.values()
    )
