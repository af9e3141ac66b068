"""Learning curves: means over runs, epochs kept, steps of the rate, and what is left out."""

import itertools
import json
import xml.etree.ElementTree as ET

import matplotlib.text
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from fewcase.reporting.display import read_display
from fewcase.reporting.experiment_plan import Arm, Experiment
from fewcase.reporting.learning_curves import CURVES, chosen_epoch, read_learning
from fewcase.reporting.learning_figure import CURVE_COLOURS, MOST_ARMS, LearningFigure
from fewcase.study.errors import InputError
from fewcase.training.optimisation import EarlyStopping
from report_pages import call

SPLIT = "oct-patient-none"


def history(epochs=12, seed=0, inner=True, accuracies=False, rate="step", bag=0):
    random = np.random.default_rng(seed)
    epoch = np.arange(1, epochs + 1)
    rates = {"step": 0.1 * 0.1 ** ((epoch - 1) // 5), "cosine": 0.1 * np.cos(epoch / epochs / 2)}
    table = pd.DataFrame(
        {
            "bag": bag,
            "epoch": epoch,
            "learning_rate": rates.get(rate, np.nan),
            "train_loss": 2 / epoch + random.random(epochs),
            "mean_target": 0.25,
            "inner_loss": 2 / epoch + random.random(epochs) if inner else np.nan,
            "inner_auc": random.random(epochs) if inner else np.nan,
            "seconds": 1.0,
            "images_per_second": 10.0,
        }
    )
    if accuracies:
        table["train_accuracy"], table["inner_accuracy"] = random.random((2, epochs))
    return table


def write(folder, arm, histories, patience=4, split=SPLIT):
    """Write the histories of runs, one fold each."""
    for fold, table in enumerate(histories):
        run = folder / "runs" / arm / split / "seed-3" / f"fold-{fold}"
        run.mkdir(parents=True)
        table.to_csv(run / "history.csv", index=False)
        (run / "options.json").write_text(json.dumps({"recipe": {"patience": patience}}))
    return folder / "runs" / arm / split


def plan(names, **factors):
    arms = tuple(Arm(name, SPLIT, factors or {"model": name}, False) for name in names)
    vary = {"model": list(names)}
    return Experiment("models", "Models", "grid", vary, arms, True, None, unit="image")


def lines_of(axes, colour):
    return [line for line in axes.lines if to_hex(line.get_color()) == colour.lower()]


def words(figure):
    return [item.get_text() for item in figure.findobj(matplotlib.text.Text)]


def test_bold_lines_are_means_over_the_runs_while_half_of_them_are_left(tmp_path):
    histories = [history(length, seed=length, accuracies=True) for length in (6, 9, 12, 12)]
    learning = read_learning(write(tmp_path, "vit", histories))
    expected = pd.concat(histories).groupby("epoch").mean()
    pd.testing.assert_frame_equal(
        learning.mean()[list(CURVES)], expected[list(CURVES)], check_exact=False
    )
    # Of four runs two reach the last epoch; without one of them a single run would be left.
    fewer = read_learning(write(tmp_path / "b", "vit", histories[:3]))
    assert fewer.mean().index.tolist() == list(range(1, 10))
    figure = LearningFigure.of(plan(["vit"]), [learning]).draw()
    thin_and_bold = lines_of(figure.axes[0], CURVE_COLOURS["train_loss"])
    assert len(thin_and_bold) == 5
    bold = max(thin_and_bold, key=lambda line: line.get_linewidth())
    np.testing.assert_allclose(bold.get_ydata(), expected["train_loss"])
    below = lines_of(figure.axes[1], CURVE_COLOURS["inner_auc"])
    np.testing.assert_allclose(below[-1].get_ydata(), expected["inner_auc"])


def test_the_epoch_kept_is_the_one_that_early_stopping_keeps():
    random = np.random.default_rng(1)
    for patience in (None, 2, 30):
        for share_undefined in (0.0, 0.4):
            table = history(15, seed=int(random.integers(1000)))
            # Coarse values come twice: the first of them counts.
            table["inner_auc"] = table["inner_auc"].round(1)
            table.loc[random.random(15) < share_undefined, "inner_auc"] = np.nan
            stopping = EarlyStopping(patience)
            for row in table.itertuples():
                stopping.look(row.epoch, row.inner_auc, row.inner_loss, torch.nn.Linear(1, 1))
            assert chosen_epoch(table, patience) == (stopping.best_epoch or 15)
    assert chosen_epoch(history(7, inner=False), 3) == 7


def test_dots_and_table_are_at_the_epochs_kept(tmp_path):
    histories = [history(8, seed, accuracies=True) for seed in range(3)]
    learning = read_learning(write(tmp_path, "vit", histories))
    figure = LearningFigure.of(plan(["vit"]), [learning])
    best = pd.DataFrame([table.loc[table["inner_auc"].idxmax()] for table in histories])
    dots = [line for line in figure.draw().axes[0].lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[0].get_xdata(), best["epoch"])
    np.testing.assert_allclose(dots[0].get_ydata(), best["inner_loss"])
    row = figure.table().iloc[0]
    assert (row["kept"], row["kept_first"]) == (best["epoch"].mean(), best["epoch"].min())
    for name in CURVES:
        assert row[name] == pytest.approx(best[name].mean())


def test_steps_of_the_rate_are_ruled_and_a_cosine_has_none(tmp_path):
    stepping = read_learning(write(tmp_path, "steps", [history(12)]))
    cosine = read_learning(write(tmp_path, "cosine", [history(12, rate="cosine")]))
    assert {epoch: round(rate, 9) for epoch, rate in stepping.steps().items()} == {
        6: 0.01,
        11: 0.001,
    }
    assert cosine.steps() == {}
    figure = LearningFigure.of(plan(["steps", "cosine"]), [stepping, cosine])
    assert {"0.01", "0.001"} <= set(words(figure.draw()))
    assert "falls in a step" in figure.caption()
    assert "falls in a step" not in LearningFigure.of(plan(["cosine"]), [cosine]).caption()


def test_arms_are_in_the_order_of_the_experiment_and_those_beyond_are_told(tmp_path):
    names = [f"m{i:02d}" for i in range(MOST_ARMS + 3)]
    folders = [write(tmp_path, name, [history(3)]) for name in names]
    fitted = write(tmp_path, "logistic", [history(1, rate="none")])
    experiment = plan([*names, "logistic"])
    learnings = [read_learning(folder) for folder in (fitted, *reversed(folders[:-1]))]
    figure = LearningFigure.of(experiment, learnings)
    assert [learning.key[0] for learning in figure.shown] == names[:MOST_ARMS]
    titles = [axes.get_title(loc="left") for axes in figure.draw().axes]
    assert list(filter(None, titles)) == names[:MOST_ARMS]
    # Two that were given and are too many, and one whose folder was not given.
    assert "3 more arms" in figure.caption()
    assert "without epochs: logistic" in figure.caption()
    with pytest.raises(InputError, match="arm 'logistic' under split"):
        LearningFigure.of(plan(["other"]), learnings)


def test_long_names_of_arms_do_not_touch_each_other(tmp_path):
    names = [f"{letter}_model+with=an+option={letter * 60}" for letter in "WMi"]
    learnings = [read_learning(write(tmp_path, name, [history(3)])) for name in names]
    figure = LearningFigure.of(plan(names), learnings).draw()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    titles = [axes._left_title.get_window_extent() for axes in figure.axes[:3]]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(titles))
    assert titles[-1].x1 <= figure.bbox.x1


def test_arms_without_an_inner_part_show_their_losses_alone(tmp_path):
    learning = read_learning(write(tmp_path, "vit", [history(5, inner=False)], patience=None))
    figure = LearningFigure.of(plan(["vit"]), [learning])
    assert len(figure.draw().axes) == 1
    assert "no inner validation part" in figure.caption()
    assert figure.lay_out().rows[0].cells[5].text == "–"


def test_runs_that_are_missing_or_no_histories_are_named(tmp_path):
    folder = write(tmp_path, "vit", [history(3), history(4)])
    assert read_learning(folder, ["3/1"]).table["epoch"].max() == 4
    assert read_learning(folder, ["3/1"]).runs == 1
    with pytest.raises(InputError, match=r"no history of run 3/7. Train"):
        read_learning(folder, ["3/1", "3/7"])
    with pytest.raises(InputError, match=r"Train this arm first"):
        read_learning(folder.parent / "nothing")
    (folder / "seed-3" / "fold-1" / "history.csv").write_text("epoch,loss\n1,2\n")
    with pytest.raises(InputError, match=r"fold-1/history.csv: no history of a training"):
        read_learning(folder)


def test_the_stage_writes_text_that_stays_text(tmp_path):
    hostile = "</text><script>alert(1)</script> $x_1$ & \"'"
    folder = write(tmp_path, "vit", [history(3)])
    arms = [{"arm": "vit", "split": SPLIT, "factors": {"model": hostile}}]
    told = {"name": "m", "title": hostile, "layout": "grid", "arms": arms, "simulated": True}
    outputs = [tmp_path / f"learning.{kind}" for kind in ("svg", "png", "json")]
    call(
        "draw_learning.py",
        *("--experiment", json.dumps(told), "--arms", folder),
        *("--svg", outputs[0], "--png", outputs[1], "--display", outputs[2]),
    )
    tags = {element.tag.rpartition("}")[2] for element in ET.parse(outputs[0]).iter()}
    assert not tags & {"script", "a", "foreignObject"}
    display = read_display(outputs[2])
    assert display.tables[0].title == f"Learning curves: {hostile} (simulated)"
    assert display.tables[0].rows[0].cells[0].text == hostile
    assert "thin line is a run" in display.caption
