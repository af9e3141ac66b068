"""The layout matrix: rows by columns, differences from a row, published values, and its figure."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from statsmodels.stats.multitest import multipletests

from fewcase.reporting.display import to_latex, to_markdown
from fewcase.reporting.experiment_figures import draw
from fewcase.reporting.experiment_plan import Arm, Experiment, read_experiment
from fewcase.reporting.experiment_tables import caption_of, tables_of
from fewcase.reporting.experiments import tabulate
from fewcase.reporting.figures import LEAKY_COLOUR, save
from fewcase.reporting.matrix_tables import Matrix
from fewcase.reporting.selection import lay_out_selection, tabulate_selection
from fewcase.reporting.text import difference, p_value
from fewcase.study.errors import InputError
from fewcase.study.fields import read_section
from fewcase.study.keys import ExperimentKeys
from scored_classes import ClassStudy
from workspace import REPOSITORY

MEASURES = ("accuracy", "balanced_accuracy")
MODELS = {"resnet34": 0.0, "densenet169": 0.1}
GANS = {"scratch": 0.5, "tuned": 0.8}
NAMES = {
    "none": "",
    "real": "real 66,073",
    "scratch": "30,000 from scratch",
    "resnet34": "ResNet34",
}


def plan_of(arms: list[Arm], **options: Any) -> Experiment:
    vary = {"gan": list(GANS), "model": list(MODELS)}
    plan = Experiment("tissue", "Tissue", "matrix", vary, tuple(arms), False, None)
    return dataclasses.replace(plan, measures=MEASURES, names=NAMES, **options)


def scored(study: ClassStudy) -> list[Arm]:
    """Return arms as a study lists them: what is varied, then real images alone as further ones."""
    arms = [
        study.score(f"{model}+{gan}", skill + gain, gan=gan, model=model)
        for gan, skill in GANS.items()
        for model, gain in MODELS.items()
    ]
    return arms + [
        study.score(model, 0.6 + gain, training_set="real", gan=None, model=model)
        for model, gain in MODELS.items()
    ]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClassStudy, Experiment, pd.DataFrame]:
    """Six arms on one validation set, those of real images the reference."""
    study = ClassStudy(tmp_path_factory.mktemp("given"), images=36, tiles=5)
    arms = scored(study)
    study.score("shortcut:pixels", 0.2)
    plan = plan_of(arms, reference={study.split: "resnet34"})
    return study, plan, tabulate(plan, *study.read())


def test_rows_are_what_columns_are_not_and_the_reference_comes_first(
    given: tuple[ClassStudy, Experiment, pd.DataFrame],
) -> None:
    _, plan, table = given
    matrix = Matrix.of(plan, table)
    assert list(matrix.rows.values()) == ["real 66,073", "30,000 from scratch", "tuned"]
    assert matrix.columns == {"resnet34": "ResNet34", "densenet169": "densenet169"}
    values, differences = tables_of(plan, table)
    assert values.columns == (
        "Generator · Training set",
        "ResNet34: accuracy",
        "ResNet34: balanced accuracy",
        "densenet169: accuracy",
        "densenet169: balanced accuracy",
    )
    assert [row.cells[0].text for row in values.rows] == list(matrix.rows.values())
    assert [row.cells[0].text for row in differences.rows] == list(matrix.rows.values())


def test_cells_are_means_of_runs_with_spread_and_interval_and_the_best_of_a_column_is_bold(
    given: tuple[ClassStudy, Experiment, pd.DataFrame],
) -> None:
    study, plan, table = given
    scores, _ = study.read()
    values = tables_of(plan, table)[0]
    cells = {}
    for column, (model, measure) in enumerate(
        ((model, measure) for model in MODELS for measure in MEASURES), start=1
    ):
        for row, name in enumerate([model, f"{model}+scratch", f"{model}+tuned"]):
            arm = next(arm for arm in plan.arms if arm.arm == name)
            found = scores.get(arm, "cv", f"{measure}_mean")
            text = f"{found['value']:.3f} ± {found['sd']:.3f}"
            text += f" [{found['low']:.2f}–{found['high']:.2f}]"
            assert values.rows[row].cells[column].text.removesuffix("\u00a0†") == text
            cells[row, column] = found["value"]
    for column in range(1, 5):
        best = [values.rows[row].cells[column].best for row in range(3)]
        assert best.index(True) == int(np.argmax([cells[row, column] for row in range(3)]))
        assert sum(best) == 1


def test_every_cell_is_compared_with_the_reference_row_of_its_column(
    given: tuple[ClassStudy, Experiment, pd.DataFrame],
) -> None:
    study, plan, table = given
    reference = dict(zip(table["arm"], table["reference_arm"], strict=True))
    assert reference == {arm.arm: arm.factors["model"] for arm in plan.arms}
    for measure in MEASURES:
        part = table[table["measure"] == measure].set_index("arm")
        for arm in plan.arms:
            means = []
            for name in (arm.arm, arm.factors["model"]):
                runs = pd.read_csv(study.files[name]["runs"])
                means.append(runs.loc[runs["set"] == "validation", measure].mean())
            found = part.loc[arm.arm, "cv_difference"]
            if arm.arm in MODELS:
                assert np.isnan(found)
                assert part.loc[arm.arm, "reference"] == "yes"
            else:
                assert found == pytest.approx(means[0] - means[1])
        # One family for each measure.
        p = part["cv_difference_p"].dropna()
        assert len(p) == 4
        expected = multipletests(p, method="holm")[1]
        np.testing.assert_allclose(part["cv_difference_holm"].dropna(), expected)


def test_the_second_table_has_differences_with_adjusted_p(
    given: tuple[ClassStudy, Experiment, pd.DataFrame],
) -> None:
    _, plan, table = given
    shown = tables_of(plan, table)[1]
    assert shown.title == "Tissue: differences from the reference, validation set"
    assert [cell.text for cell in shown.rows[0].cells[1:]] == ["reference"] * 4
    row = table[(table["arm"] == "densenet169+tuned") & (table["measure"] == "balanced_accuracy")]
    value, low, high, p = (
        row[f"cv_difference{end}"].iloc[0] for end in ("", "_low", "_high", "_holm")
    )
    assert shown.rows[2].cells[4].text == f"{difference(value, low, high)}, {p_value(p)}"
    said = " ".join(shown.notes)
    assert (
        "Δ: accuracy or balanced accuracy less that of the reference, the arm of the same" in said
    )
    assert "p is adjusted for all comparisons of its measure (Holm)" in said
    assert said.count("This validation set (180 examples of 36 patients) could show") == 2


def test_rows_may_come_from_one_varied_factor_alone(
    given: tuple[ClassStudy, Experiment, pd.DataFrame],
) -> None:
    study, plan, _ = given
    arms = [
        dataclasses.replace(arm, factors={key: arm.factors[key] for key in ("model", "gan")})
        for model in MODELS
        for arm in plan.arms
        if arm.factors["model"] == model
    ]
    vary = {"model": list(MODELS), "gan": [None, *GANS]}
    plan = Experiment("x", "X", "matrix", vary, tuple(arms), False, None, measures=("accuracy",))
    # The last factor that is varied, unless another one is named.
    assert plan.column_factor == "gan"
    by_model = dataclasses.replace(plan, columns="model", reference={study.split: "resnet34"})
    table = tabulate(by_model, *study.read())
    shown = tables_of(by_model, table)[0]
    assert shown.columns == ("Generator", "resnet34", "densenet169")
    assert [row.cells[0].text for row in shown.rows] == ["none", "scratch", "tuned"]


def test_a_column_without_the_reference_has_values_and_no_differences(
    given: tuple[ClassStudy, Experiment, pd.DataFrame],
) -> None:
    study, plan, _ = given
    plan = dataclasses.replace(plan, arms=plan.arms[:-1])
    table = tabulate(plan, *study.read())
    values, differences = tables_of(plan, table)
    assert values.rows[0].cells[3].text == "–"
    assert values.rows[1].cells[3].text != "–"
    assert [row.cells[3].text for row in differences.rows] == ["–"] * 3
    assert differences.rows[1].cells[1].text != "–"
    assert "No Validation Δ: no reference." in differences.notes


def test_a_test_set_has_tables_of_its_own(tmp_path: Path) -> None:
    study = ClassStudy(tmp_path, images=27, tiles=3, folds=3, tests=18, seeds=1)
    plan = plan_of(scored(study), reference={study.split: "resnet34"})
    table = tabulate(plan, *study.read())
    tables = tables_of(plan, table)
    assert [t.title.partition(": ")[2] for t in tables] == [
        "cross-validation",
        "differences from the reference, cross-validation",
        "external test",
        "differences from the reference, external test",
    ]
    scores, _ = study.read()
    arm = plan.arms[0]
    found = scores.get(arm, "test", "accuracy")
    text = f"{found['value']:.3f} [{found['low']:.2f}–{found['high']:.2f}]"
    assert tables[2].rows[1].cells[1].text == text
    assert "by the corrected resampled t" in " ".join(tables[1].notes)
    assert "on the same examples by the paired clustered t test" in " ".join(tables[3].notes)
    figure = draw(plan, table)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        *("ResNet34\nCV", "densenet169\nCV"),
        *("ResNet34\ntest", "densenet169\ntest"),
    ]
    save(figure, tmp_path / "x.png")


PAPER: dict[str, Any] = {"title": "A", "authors": "B"}


def paper(path: Path, factors: list[str], rows: list[list[Any]]) -> Path:
    entry = {"id": "t", "where": "Table 1", "experiment": "tissue", "measure": "balanced_accuracy"}
    entry |= {"factors": factors, "columns": ["cv_mean"], "rows": rows}
    path.write_text(yaml.safe_dump({**PAPER, "arms": [entry]}))
    return path


def test_the_papers_value_stands_beside_ours_of_the_same_measure(
    given: tuple[ClassStudy, Experiment, pd.DataFrame], tmp_path: Path
) -> None:
    study, plan, _ = given
    rows = [
        ["real", "none", "resnet34", 0.7623],
        ["synthetic", "scratch", "resnet34", 0.7955],
        ["synthetic", "g3", "resnet34", 0.9],
    ]
    published = paper(tmp_path / "p.yaml", ["training_set", "gan", "model"], rows)
    plan = dataclasses.replace(plan, published=published)
    table = tabulate(plan, *study.read())
    values = tables_of(plan, table)[0]
    assert [name for name in values.columns if "paper" in name] == [
        "ResNet34: balanced accuracy, paper"
    ]
    column = values.columns.index("ResNet34: balanced accuracy, paper")
    assert [row.cells[column].text for row in values.rows] == ["0.7623", "0.7955", "–"]
    assert not any(row.cells[column].best for row in values.rows)
    marks = [
        scatter.get_offsets()[:, 0]
        for scatter in draw(plan, table).axes[0].collections
        if hasattr(scatter, "get_offsets") and len(scatter.get_offsets()) == 3
    ]
    assert any({0.7623, 0.7955} <= set(np.asarray(x).tolist()) for x in marks)


def test_a_row_that_fits_two_published_ones_has_neither(
    given: tuple[ClassStudy, Experiment, pd.DataFrame], tmp_path: Path
) -> None:
    study, plan, _ = given
    rows = [[t, "scratch", "resnet34", v] for t, v in (("synthetic", 0.7), ("both", 0.8))]
    rows.append(["real", "none", "resnet34", 0.6])
    published = paper(tmp_path / "p.yaml", ["training_set", "gan", "model"], rows)
    plan = dataclasses.replace(plan, published=published)
    table = tabulate(plan, *study.read())
    values = table[table["measure"] == "balanced_accuracy"].set_index("arm")["published_cv_mean"]
    assert np.isnan(values["resnet34+scratch"])
    assert values["resnet34"] == 0.6


def test_the_figure_has_a_panel_for_each_column_and_dots_by_row(
    given: tuple[ClassStudy, Experiment, pd.DataFrame], tmp_path: Path
) -> None:
    _, plan, table = given
    figure = draw(plan, table)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["ResNet34", "densenet169"]
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["real 66,073", "30,000 from scratch", "tuned"]
    for axes, model in zip(figure.axes, MODELS, strict=True):
        of_model = [model, f"{model}+scratch", f"{model}+tuned"]
        for container, measure in zip(axes.containers, MEASURES, strict=True):
            part = table[table["measure"] == measure].set_index("arm").loc[of_model]
            x, y = container.lines[0].get_data()
            np.testing.assert_allclose(x, part["cv_mean"])
            assert [round(float(place)) for place in y] == [0, 1, 2]
            (bars,) = container.lines[2]
            ends = np.array([segment[:, 0] for segment in bars.get_segments()])
            np.testing.assert_allclose(ends, part[["cv_low", "cv_high"]])
        dashed = [line for line in axes.lines if str(line.get_label()).startswith("best shortcut")]
        assert [line.get_xdata()[0] for line in dashed] == [table["shortcut_value"].iloc[0]]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:2] == ["accuracy", "balanced accuracy"]
    for name in ("one", "two"):
        save(draw(plan, table), tmp_path / f"{name}.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    caption = caption_of(plan, table)
    assert "the mean accuracy and balanced accuracy over the runs" in caption
    assert "test set" not in caption


def test_leaky_rows_are_red_and_never_best(
    given: tuple[ClassStudy, Experiment, pd.DataFrame],
) -> None:
    study, plan, _ = given
    arms = [dataclasses.replace(a, leaky=a.factors["gan"] == "tuned") for a in plan.arms]
    plan = dataclasses.replace(plan, arms=tuple(arms))
    table = tabulate(plan, *study.read())
    for shown in tables_of(plan, table):
        assert [row.leaky for row in shown.rows] == [False, False, True]
        assert shown.rows[2].cells[0].text == "tuned (leaky)"
        assert not any(cell.best for cell in shown.rows[2].cells)
        assert r"\textcolor{red}{tuned (leaky)}" in to_latex(shown, "x")
        assert "(partly leaky)" in to_markdown(shown).splitlines()[0]
    rings = [c for c in draw(plan, table).axes[0].collections if len(c.get_edgecolors())]
    assert any(
        np.allclose(c.get_edgecolors()[0][:3], np.array([0xC0, 0, 0]) / 255) for c in rings
    ), LEAKY_COLOUR


def test_a_winner_is_picked_in_each_column_by_the_first_measure(
    given: tuple[ClassStudy, Experiment, pd.DataFrame],
) -> None:
    study, plan, table = given
    plan = dataclasses.replace(plan, selection=True)
    found = tabulate_selection(plan, table, study.read()[1])
    assert found["group"].tolist() == ["resnet34", "densenet169", ""]
    part = table[table["measure"] == "accuracy"].set_index("arm")["cv_mean"]
    of_column = part[["resnet34", "resnet34+scratch", "resnet34+tuned"]]
    assert found["winner"].iloc[0] == of_column.idxmax()
    assert found["flat"].iloc[0] == pytest.approx(of_column.max())
    assert np.isfinite(found["nested_low"]).all()
    shown = lay_out_selection(plan, found)[0]
    assert [row.cells[0].text for row in shown.rows] == ["ResNet34", "densenet169", "all arms"]
    assert shown.rows[0].cells[2].text == "tuned"
    assert shown.rows[2].cells[2].text == "tuned · densenet169"


def test_a_matrix_of_auc_has_its_values_in_the_same_columns(
    given: tuple[ClassStudy, Experiment, pd.DataFrame],
) -> None:
    study, plan, _ = given
    plan = dataclasses.replace(plan, measures=("auc", "accuracy"))
    table = tabulate(plan, *study.read())
    assert {"measure", "test_value", "shortcut_value"} <= set(table)
    assert "test_auc" not in table
    assert "ResNet34: AUC" in tables_of(plan, table)[0].columns


# Keys and input ----------------------------------------------------------------------------------


def described(arms: list[dict[str, Any]], **options: Any) -> str:
    values = {"name": "n", "layout": "matrix", "simulated": False, "arms": arms}
    vary = {"gan": ["scratch"], "model": ["a", "b"]}
    return json.dumps({**values, "vary": vary, "measures": list(MEASURES), **options})


def arm_of(name: str, **factors: str) -> dict[str, Any]:
    return {"arm": name, "split": "s", "factors": factors}


def test_two_arms_in_one_cell_are_named() -> None:
    one, two = arm_of("one", gan="scratch", model="a"), arm_of("two", gan="scratch", model="a")
    with pytest.raises(InputError, match="arms 'one' and 'two' have the same levels of gan, model"):
        read_experiment(described([one, two]))
    other = arm_of("two", gan="scratch", model="a", weights="none")
    assert len(read_experiment(described([one, other])).arms) == 2


def test_a_column_factor_that_no_arm_has_is_refused() -> None:
    with pytest.raises(InputError, match=r"no factor 'modle' for the columns.*'model'"):
        read_experiment(described([arm_of("one", gan="scratch", model="a")], columns="modle"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"measures": ["acuracy"]}, r"measures\[0\]: no measure 'acuracy'.*'accuracy'"),
        ({"measures": ["auc", "auc"]}, r"measures\[1\]: 'auc' stands twice"),
        ({"columns": "gan"}, r"columns: 'gan' is not varied"),
        ({"vary": {}}, "vary: a matrix needs a factor"),
        ({"layout": "grid", "columns": "model"}, "columns: 'model', but layout grid has no"),
        ({"layout": "grid", "measures": ["auc"]}, r"measures: \['auc'\], but layout grid has no"),
        ({"layout": "sites", "measure": "accuracy"}, "measure: 'accuracy', but layout sites knows"),
    ],
)
def test_keys_that_do_not_go_together_are_named(changes: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {"layout": "matrix", "vary": {"model": ["a"]}}
    keys = read_section(ExperimentKeys, {**values, **changes}, "study.experiments.x")
    with pytest.raises(InputError, match=rf"study\.experiments\.x\.{message}"):
        keys.check("study.experiments.x")
    read_section(ExperimentKeys, values, "x").check("x")


def test_a_measure_that_there_is_not_is_refused_as_the_file_is_read() -> None:
    with pytest.raises(InputError, match=r"measure: 'f1' is not one of"):
        read_section(ExperimentKeys, {"measure": "f1"}, "x")


def test_the_stage_writes_a_matrix(
    given: tuple[ClassStudy, Experiment, pd.DataFrame], tmp_path: Path
) -> None:
    study, plan, _ = given
    arms = [dataclasses.asdict(arm) for arm in plan.arms]
    values = {
        "name": "tissue",
        "title": "Tissue",
        "layout": "matrix",
        "vary": plan.vary,
        "arms": arms,
        "simulated": True,
        "reference": plan.reference,
        "selection": True,
        "measures": list(MEASURES),
        "names": NAMES,
        "unit": "tile",
        "class_names": {study.split: ["gland", "muscle", "tumour"]},
    }
    outputs = {key: tmp_path / f"t.{key}" for key in ("csv", "md", "tex", "svg", "png")}
    outputs |= {key: tmp_path / f"t-{key}.csv" for key in ("measures", "selection")}
    outputs["display"] = tmp_path / "t.json"
    command = [sys.executable, "workflow/tabulate_experiment.py"]
    command += ["--experiment", json.dumps(values, sort_keys=True)]
    for kind in ("scores", "runs", "units"):
        command += [f"--{kind}", *(str(study.files[arm.arm][kind]) for arm in plan.arms)]
        option = "shortcuts" if kind == "scores" else f"shortcut-{kind}"
        command += [f"--{option}", str(study.files["shortcuts"][kind])]
    for key, path in outputs.items():
        command += [f"--{key}", str(path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    titles = [line for line in outputs["md"].read_text().splitlines() if line.startswith("###")]
    assert titles == [
        "### Tissue (simulated)",
        "### Tissue: differences from the reference, validation set (simulated)",
        "### Tissue: further measures, validation set (simulated)",
        "### Tissue: tiles and images, validation set (simulated)",
        "### Tissue: single classes, validation set (simulated)",
        "### Tissue: what picking the winner adds (simulated)",
    ]
    assert "All images are simulated" in outputs["md"].read_text()
    assert "AUC of class tumour" in outputs["md"].read_text()
    table = pd.read_csv(outputs["csv"])
    assert table["measure"].tolist() == ["accuracy"] * 6 + ["balanced_accuracy"] * 6
    assert all(path.stat().st_size > 0 for path in outputs.values())
