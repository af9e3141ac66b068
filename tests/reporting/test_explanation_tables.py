"""The table and the figure of maps: means by patient, verdicts, chance, what leaks, and files."""

import csv

import matplotlib.text
import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import write_csv
from fewcase.explain.grids import slit_grids, square_grids
from fewcase.explain.map_files import MapSet, write_maps
from fewcase.explain.stability import compare_runs
from fewcase.reporting.certificate_table import Standing
from fewcase.reporting.display import read_display, to_latex
from fewcase.reporting.explanation_figure import draw_explanations
from fewcase.reporting.explanation_measures import (
    follows_model,
    mean_curves,
    tabulate_explanations,
)
from fewcase.reporting.explanation_runs import read_map_runs
from fewcase.reporting.explanation_tables import MapSubject, lay_out_explanations
from fewcase.statistics.bootstrap import bca
from fewcase.study.errors import InputError
from report_pages import call
from scored_arms import write_certificate

SUBJECT = MapSubject(True, "image", {"arm-a": "ResNet18"})
GRIDS = square_grids(10, 10, 1, sizes=(5,))
ABOVE = {"auc": 0.8, "low": 0.7, "high": 0.9, "no_better_than_chance": False}
BELOW = {"auc": 0.5, "low": 0.3, "high": 0.7, "no_better_than_chance": True}
GOOD = {"deletion": -0.2, "insertion": 0.2, "negative_deletion": 0.1, "randomised": 0.05}


def make_maps(
    folder, arm="arm-a", fold=0, *, split="s-patient", n=12, drawn=None, chance=ABOVE,
    groups=("all",), grids=GRIDS, shared=0, seed=0, **values,
):  # fmt: skip
    """The files of a run; values are means of differences to orders that say nothing."""
    random, cells = np.random.default_rng([seed, fold]), sum(grid.cells for grid in grids)
    place = folder / "maps" / arm / split / "seed-0" / f"fold-{fold}"
    names = [f"e{i}" if i < shared else f"e{fold}-{i}" for i in range(n)]
    cases = pd.DataFrame({"case": range(n), "example": names})
    # Two examples of each patient.
    cases["patient"] = [f"p{i // 2}" if i < shared else f"p{fold}-{i // 2}" for i in range(n)]
    cases["drawn"] = np.ones(n, bool) if drawn is None else drawn
    scores = {"score_0": np.full(n, 0.1, np.float32), "score_1": np.full(n, 0.9, np.float32)}
    differences = random.normal(size=(n, cells, 2)).astype(np.float32)
    differences[:shared] += np.random.default_rng(9).normal(size=(cells, 2))
    about = {"fill": "black", "score": "log_odds", "arm": arm, "chance": chance}
    pictures = np.zeros((n, len(grids[0].channels), 10, 10), np.uint8)
    write_maps(
        place, MapSet(cases.assign(**scores), pictures, differences, grids, ("no", "yes"), about)
    )
    given, tables = GOOD | values, []
    for group in groups:
        table = cases.copy()
        table.insert(0, "group", group)
        table["score"] = 0.9
        for name in ("deletion", "insertion", "negative_deletion"):
            table[f"{name}_random"] = random.normal(0.5, 0.1, n)
            table[name] = table[f"{name}_random"] + given[name] + random.normal(0, 0.02, n)
        table["negative_cells"] = 4
        table["negative_rise"] = 0.03 + random.normal(0, 0.01, n)
        table["fill_white"], table["fill_blur"] = 0.9, random.normal(0.4, 0.05, n)
        table["randomised"] = given["randomised"] + random.normal(0, 0.02, n)
        table["randomised_magnitude"], table["randomised_control"] = 0.2, 0.0
        tables.append(table)
    write_csv(place / "faithfulness.csv", pd.concat(tables))
    lines = [
        (group, measure, order, share, 0.9 - share * (0.4 if order == "map" else 0.2), n)
        for group in groups
        for measure in ("deletion", "insertion", "negative_deletion")
        for order in ("map", "random")
        for share in (0, 0.5, 1)
    ]
    columns = ["group", "measure", "order", "share", "score", "cases"]
    write_csv(place / "curves.csv", pd.DataFrame(lines, columns=columns))
    return place / "faithfulness.csv"


def numbers_of(*paths):
    return tabulate_explanations(read_map_runs(paths))


def texts(table, heading):
    place = next(i for i, name in enumerate(table.columns) if name.startswith(heading))
    return [row.cells[place].text for row in table.rows]


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_an_arm_is_the_mean_over_the_drawn_maps_of_all_folds_with_intervals_by_patient(tmp_path):
    drawn = np.arange(12) < 8
    paths = [make_maps(tmp_path, fold=fold, drawn=drawn) for fold in range(2)]
    row = numbers_of(*paths).iloc[0]
    lines = [line for path in paths for line in read(path) if line["drawn"] == "True"]
    gaps = np.array([float(line["deletion"]) - float(line["deletion_random"]) for line in lines])
    assert (row["maps"], row["patients"], row["runs"]) == (16, 8, 2)
    assert row["deletion"] == pytest.approx(gaps.mean())
    assert row["deletion"] == pytest.approx(row["deletion_map"] - row["deletion_random"])
    found = bca(
        lambda columns, _, weights: weights @ columns[:, 0] / weights.sum(axis=1),
        gaps[:, None], np.zeros(16), [line["patient"] for line in lines],
    )  # fmt: skip
    assert (row["deletion_low"], row["deletion_high"]) == (found.low, found.high)
    assert not row["picked"]


def test_maps_that_were_picked_for_their_scores_count_only_where_there_are_no_others(tmp_path):
    numbers = numbers_of(make_maps(tmp_path, drawn=np.zeros(12, bool)))
    assert numbers["picked"].tolist() == [True]
    table = lay_out_explanations(SUBJECT, numbers)
    assert texts(table, "Maps / patients") == ["12 / 6\u00a0†"]
    assert any(note.startswith("† Picked") for note in table.notes)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "yes"),
        ({"deletion": 0.1}, "no: deletion"),
        ({"deletion": 0.1, "randomised": 0.9}, "no: deletion, weights drawn anew"),
        ({"negative_deletion": 0.0}, "not shown: negative deletion"),
        ({"insertion": -0.2, "negative_deletion": 0.0}, "no: insertion"),
    ],
)
def test_maps_follow_the_model_only_where_every_interval_is_on_its_side(tmp_path, changed, verdict):
    numbers = numbers_of(make_maps(tmp_path, **changed))
    table = lay_out_explanations(SUBJECT, numbers)
    assert texts(table, "Maps follow") == [verdict]
    assert table.rows[0].cells[-1].leaky == verdict.startswith("no:")


def test_maps_without_negative_cells_are_judged_by_the_rest():
    ends = {"deletion": (-2, -1), "insertion": (1, 2), "randomised": (0.0, 0.4)}
    row = {f"{name}{end}": value for name, pair in ends.items()
           for end, value in zip(("_low", "_high"), pair, strict=True)}  # fmt: skip
    nan = float("nan")
    row |= {"negative_maps": 0, "negative_deletion_low": nan, "negative_deletion_high": nan}
    assert follows_model(row) == ("yes", "")
    rises = {"negative_maps": 3, "negative_rise_low": 0.1, "negative_rise_high": 0.2}
    assert follows_model(row | rises) == ("not shown", "negative_deletion")
    # Deleting what speaks against a class must raise its score, and not only less than elsewhere.
    falls = {"negative_maps": 3, "negative_rise_low": -0.2, "negative_rise_high": -0.1}
    falls |= {"negative_deletion_low": 0.1, "negative_deletion_high": 0.2}
    assert follows_model(row | falls) == ("no", "negative_rise")


def test_networks_that_are_no_better_than_chance_are_said_so_in_red(tmp_path):
    paths = [make_maps(tmp_path, fold=fold, chance=ch) for fold, ch in enumerate((ABOVE, BELOW))]
    for given, expected in [
        (paths, "0.65, no better than chance in 1 of 2 folds"),
        (paths[1:], "0.50, no better than chance"),
        (paths[:1], "0.80"),
    ]:
        table = lay_out_explanations(SUBJECT, numbers_of(*given))
        assert texts(table, "ROC-AUC") == [expected]
        assert table.rows[0].cells[-2].leaky == ("chance" in expected)
        assert not table.rows[0].leaky


def test_folds_are_compared_on_the_examples_that_several_of_them_explain(tmp_path):
    paths = [make_maps(tmp_path, fold=fold, shared=5) for fold in range(3)]
    runs = read_map_runs(paths)
    row = tabulate_explanations(runs).iloc[0]
    known = compare_runs([run.maps for run in runs])
    assert row["stability_examples"] == len(known) == 5
    assert row["stability"] == pytest.approx(known["stability"].mean())
    assert 0.2 < row["stability"] < 0.8
    assert abs(row["stability_control"]) < 0.2
    table = lay_out_explanations(SUBJECT, numbers_of(*paths))
    assert texts(table, "Folds") == [f"{row['stability']:.2f} (5)"]
    alone = lay_out_explanations(SUBJECT, numbers_of(paths[0]))
    assert texts(alone, "Folds") == ["– (a)"]
    assert any("no example is explained by the networks of several" in n for n in alone.notes)


def test_of_other_fills_the_least_alike_is_shown(tmp_path):
    numbers = numbers_of(make_maps(tmp_path))
    assert texts(lay_out_explanations(SUBJECT, numbers), "Other fills") == [
        f"{numbers['fill_blur'][0]:.2f} (blur)"
    ]


def test_maps_of_channels_have_lines_of_their_own_where_there_are_any(tmp_path):
    one = lay_out_explanations(SUBJECT, numbers_of(make_maps(tmp_path, "arm-a")))
    assert "Maps of" not in one.columns
    assert texts(one, "Arm") == ["ResNet18"]
    slits = slit_grids(10, 10, 5.0, ["FHR", "UC"], minutes=(0.5,))
    path = make_maps(tmp_path, "arm-b", groups=("all", "channels"), grids=slits)
    both = lay_out_explanations(SUBJECT, numbers_of(path))
    assert texts(both, "Maps of") == ["all channels together", "each channel by itself"]
    assert both.words == 3
    runs = read_map_runs([path])
    figure = draw_explanations(SUBJECT, tabulate_explanations(runs), runs)
    # The figure shows maps of all channels.
    assert [label.get_text() for label in figure.axes[3].get_yticklabels()] == ["arm-b"]


def test_arms_under_a_leaky_split_are_red_and_the_note_says_why(tmp_path):
    paths = [make_maps(tmp_path), make_maps(tmp_path, split="s-image")]
    standings = {"s-patient": Standing(), "s-image": Standing(True, ("Leaky: by image.",))}
    subject = MapSubject(False, "image", {}, standings)
    table = lay_out_explanations(subject, numbers_of(*paths))
    assert [row.leaky for row in table.rows] == [False, True]
    assert texts(table, "Arm") == ["arm-a", "arm-a (leaky)"]
    assert [row.starts_group for row in table.rows] == [False, True]
    assert table.notes[-1] == "Leaky: by image."
    assert not table.leaky


def test_curves_of_folds_are_weighted_by_their_cases(tmp_path):
    paths = [make_maps(tmp_path, fold=0, n=12), make_maps(tmp_path, fold=1, n=4)]
    table = pd.read_csv(paths[1].with_name("curves.csv"))
    write_csv(paths[1].with_name("curves.csv"), table.assign(score=table["score"] - 0.4))
    runs = read_map_runs(paths)
    found = mean_curves(runs, "all").query("measure == 'insertion' and order == 'map'")
    np.testing.assert_allclose(found["score"], np.array([0.9, 0.7, 0.5]) - 0.4 * 4 / 16)
    figure = draw_explanations(SUBJECT, tabulate_explanations(runs), runs)
    panel = figure.axes[1]
    assert panel.get_title(loc="left").startswith("Insertion")
    drawn = [line.get_ydata() for line in panel.get_lines()]
    assert any(np.allclose(line, found["score"]) for line in drawn if len(line) == 3)


def test_the_stage_writes_table_and_figure_alike_each_time(tmp_path):
    paths = [
        make_maps(tmp_path, arm, fold, shared=3) for arm in ("arm-a", "arm-b") for fold in (0, 1)
    ]
    certificate = write_certificate(tmp_path, "s-patient", "leaky")
    endings = {
        "csv": "csv",
        "md": "md",
        "tex": "tex",
        "display": "json",
        "svg": "svg",
        "png": "png",
    }
    written = []
    for folder in ("one", "two"):
        out = {name: tmp_path / folder / f"explanations.{end}" for name, end in endings.items()}
        options = [part for name, path in out.items() for part in (f"--{name}", path)]
        code = call(
            "tabulate_maps.py", "--maps", *paths, "--names", '{"arm-b": "Swin-T $x$"}',
            "--certificates", certificate, "--simulated", "--unit-kind", "image", *options,
        )  # fmt: skip
        assert code == 0
        written.append({name: path.read_bytes() for name, path in out.items()})
    assert written[0] == written[1]
    display = read_display(out["display"])
    (table,) = display.tables
    assert table.leaky
    assert table.title == "How faithful explanation maps are (simulated)"
    assert texts(table, "Arm") == ["arm-a (leaky)", "Swin-T $x$ (leaky)"]
    assert "simulated cases" in display.caption
    assert any("All images are simulated" in note for note in table.notes)
    assert len(pd.read_csv(out["csv"])) == 2
    assert r"Swin-T \$x\$" in to_latex(table, "x")
    runs = read_map_runs(paths)
    numbers = tabulate_explanations(runs)
    figure = draw_explanations(MapSubject(True, "image", {"arm-b": "Swin-T"}), numbers, runs)
    words = {item.get_text() for item in figure.findobj(matplotlib.text.Text)}
    assert {"Deletion: sooner down", "Insertion: sooner up", "Negative deletion: up"} <= words
    assert {"arm-a", "Swin-T", "order laid elsewhere"} <= words


def test_files_that_are_no_maps_or_are_cut_short_are_named(tmp_path):
    path = make_maps(tmp_path)
    stray = tmp_path / "faithfulness.csv"
    stray.write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="not in a folder of maps"):
        read_map_runs([stray])
    write_csv(path, pd.read_csv(path).drop(columns="insertion"))
    with pytest.raises(InputError, match=r"faithfulness.csv: no column 'insertion'"):
        numbers_of(path)
