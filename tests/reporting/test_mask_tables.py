"""Tables and figures of masks and folds: their numbers, what leaks, what is shown, and files."""

import csv
import json
import xml.etree.ElementTree as ET

import matplotlib.text
import numpy as np
import pandas as pd
import pytest

from fake_masks import CLASSES, FakeLivers, content
from fewcase.data.files import read_table, write_csv
from fewcase.data.image_store import ImageStore
from fewcase.evaluation.masks import relate_masks
from fewcase.evaluation.scores import RUN_COLUMNS
from fewcase.explain.inside import share_inside
from fewcase.explain.map_files import read_maps
from fewcase.explain.pictures import map_of_class
from fewcase.reporting.certificate_table import Standing
from fewcase.reporting.display import leaky_note, read_display
from fewcase.reporting.explanation_runs import read_map_runs
from fewcase.reporting.explanation_tables import MapSubject
from fewcase.reporting.fold_table import lay_out_folds, read_arm_folds, tabulate_folds
from fewcase.reporting.mask_cases import MaskCases
from fewcase.reporting.mask_figure import draw_masks
from fewcase.reporting.mask_measures import tabulate_evidence, tabulate_masks
from fewcase.reporting.mask_runs import read_mask_runs
from fewcase.reporting.mask_table import join_tables, lay_out_masks
from fewcase.reporting.performance import read_subject
from fewcase.statistics.bootstrap import bca
from fewcase.statistics.intervals import mean_over_folds
from fewcase.study.errors import InputError
from report_pages import call
from scored_arms import write_certificate

LEAKS = {"stage-image": Standing(True, (leaky_note("image"),)), "stage-patient": Standing()}
SUBJECT = MapSubject(True, "image", {"unet": "U-Net"}, LEAKS)


@pytest.fixture(scope="module")
def livers(tmp_path_factory):
    """Two arms and two splits of one, and maps of the first arm."""
    made = FakeLivers(tmp_path_factory.mktemp("livers"))
    made.write_runs("unet", bond=2.0)
    made.write_runs("resnet", bond=0.0)
    made.write_runs("unet", "stage-image")
    for fold in range(made.folds):
        made.write_maps("unet", fold)
    return made


def tables_of(livers, *pairs):
    return [
        livers.place("runs", arm, fold, split) / "masks.parquet"
        for arm, split in pairs
        for fold in range(livers.folds)
    ]


def maps_of(livers):
    return [livers.place("maps", "unet", fold, "stage-patient") for fold in range(livers.folds)]


ALL = (("unet", "stage-patient"), ("resnet", "stage-patient"), ("unet", "stage-image"))


def words(figure):
    return [item.get_text() for item in figure.findobj(matplotlib.text.Text)]


def cells(table, heading):
    place = next(i for i, name in enumerate(table.columns) if name.startswith(heading))
    return [row.cells[place].text for row in table.rows]


# Masks -------------------------------------------------------------------------------------------


def test_a_line_is_the_mean_over_all_folds_of_an_arm_with_intervals_by_patient(livers):
    paths = tables_of(livers, *ALL)
    numbers = tabulate_masks(read_mask_runs(paths))
    assert list(zip(numbers["arm"], numbers["split"], strict=True)) == list(ALL)
    lines = pd.concat([read_table(path) for path in paths[: livers.folds]], ignore_index=True)
    row = numbers.iloc[0]
    assert (row["images"], row["patients"], row["runs"], row["size"]) == (36, 18, 3, 64)
    for name in ("dice", "iou", "boundary_distance"):
        assert row[name] == pytest.approx(lines[name].mean())
    found = bca(
        lambda columns, _, weights: weights @ columns[:, 0] / weights.sum(axis=1),
        lines[["dice"]].to_numpy(), np.zeros(36), lines["patient"],
    )  # fmt: skip
    assert (row["dice_low"], row["dice_high"]) == pytest.approx((found.low, found.high))
    right = lines.filter(regex="score_").to_numpy().argmax(axis=1) == lines["label"]
    assert row["accuracy"] == pytest.approx(right.mean())
    relation = relate_masks(lines)
    assert row["auc"] == pytest.approx(relation.auc.value)
    assert row["goes_together"] == ("yes" if relation.auc.low > 0.5 else "not shown")


def test_a_relation_is_told_by_whether_its_interval_leaves_what_guessing_gives(livers):
    numbers = tabulate_masks(read_mask_runs(tables_of(livers, *ALL[:2])))
    assert numbers["goes_together"].tolist() == ["yes", "not shown"]
    table = lay_out_masks(SUBJECT, numbers)
    assert cells(table, "Good mask") == ["yes", "not shown"]
    assert cells(table, "Arm") == ["U-Net", "resnet"]
    assert cells(table, "Dice [")[0].startswith(f"{numbers['dice'][0]:.3f} [")


def test_leaky_splits_are_red_and_say_why_and_simulated_images_are_called_so(livers):
    table = lay_out_masks(SUBJECT, tabulate_masks(read_mask_runs(tables_of(livers, *ALL))))
    assert [row.leaky for row in table.rows] == [False, False, True]
    assert cells(table, "Arm")[2] == "U-Net (leaky)"
    assert not table.leaky
    assert table.title.endswith("(simulated)")
    assert any(note.startswith("Leaky") for note in table.notes)
    assert any("simulated" in note for note in table.notes)


def test_images_without_a_true_mask_are_counted_and_told_of(tmp_path):
    livers = FakeLivers(tmp_path, empty=8)
    numbers = tabulate_masks(read_mask_runs(livers.write_runs("unet")))
    lines = pd.concat([read_table(path) for path in tables_of(livers, ALL[0])])
    assert numbers["without_mask"][0] == 8
    # Shifted empty masks are empty: every Dice of these is 1, and no distance is known.
    assert numbers["dice"][0] == pytest.approx(lines["dice"].mean())
    assert (lines["dice"][lines["true_area"] == 0] == 1).all()
    notes = " ".join(lay_out_masks(SUBJECT, numbers).notes)
    assert "U-Net, stage-patient: 8 of 36 images (100\u00a0% of their masks are rightly" in notes


def test_evidence_inside_masks_is_that_of_the_class_called_beside_the_masks_own_share(livers):
    truth = ImageStore.open([livers.store("512-mask")])
    runs = read_map_runs([folder / "grids.json" for folder in maps_of(livers)])
    row = tabulate_evidence(runs, truth).iloc[0]
    inside, area = [], []
    for folder in maps_of(livers):
        maps = read_maps(folder)
        for case, line in maps.cases.iterrows():
            mask = livers.masks[line["row"], 0] > 0
            called = int(np.argmax([line[f"score_{k}"] for k in range(3)]))
            inside.append(share_inside(map_of_class(maps, case, called), mask))
            area.append(mask.mean())
    assert (row["maps"], row["map_patients"], row["picked"]) == (36, 18, False)
    assert row["inside"] == pytest.approx(np.mean(inside))
    assert row["excess"] == pytest.approx(np.mean(inside) - np.mean(area))
    assert row["excess_low"] > 0
    masks = tabulate_masks(read_mask_runs(tables_of(livers, *ALL)))
    other = pd.DataFrame([{**row, "arm": "vgg"}, row.to_dict()])
    joined = join_tables(masks, other)
    assert joined["arm"].tolist() == ["unet", "resnet", "unet", "vgg"]
    assert joined["inside"].notna().tolist() == [True, False, False, True]


def test_the_figure_shows_every_image_with_a_mask_once_in_the_colour_of_its_call(livers):
    runs = read_mask_runs(tables_of(livers, *ALL))
    figure = draw_masks(SUBJECT, tabulate_masks(runs), runs)
    shown = [axes for axes in figure.axes if len(axes.collections) == 2]
    assert len(shown) == 3
    for axes, first in zip(shown, (0, 3, 6), strict=True):
        lines = pd.concat([run.table for run in runs[first : first + 3]])
        for points, right in zip(axes.collections, (True, False), strict=True):
            part = lines[lines["right"] == right]
            assert np.allclose(points.get_offsets(), part[["dice", "true_score"]].to_numpy())
    below = [axes for axes in figure.axes if axes.get_xlabel() == "Dice"]
    tops = [patch.get_data().values for patch in below[0].patches]
    assert max(top.sum() for top in tops) == 36
    assert any("AUC" in text and "ρ" in text for text in words(figure))


def test_masks_that_are_not_those_of_a_run_are_refused_by_name(livers, tmp_path):
    path = tables_of(livers, ALL[0])[0]
    with pytest.raises(InputError, match="not in a folder of a run"):
        read_mask_runs([livers.store()])
    with pytest.raises(InputError, match="no masks are given"):
        read_mask_runs([])
    run = read_mask_runs([path])[0]
    (tmp_path / "masks.npy").write_bytes(b"torn")
    with pytest.raises(InputError, match="Run the segment stage again"):
        type(run)(tmp_path, "a", "s", 0, 0, run.table, run.size).masks()


# Cases -------------------------------------------------------------------------------------------


def cases_of(livers, maps=True, **more):
    return MaskCases.of(
        read_subject(content("unet", **more)),
        read_mask_runs(tables_of(livers, ALL[0])),
        *(ImageStore.open([livers.store(name)]) for name in ("512", "512-mask")),
        [read_maps(folder) for folder in maps_of(livers)] if maps else [],
    )


def test_of_each_class_the_best_the_median_and_the_worst_mask_are_shown_of_three_patients(livers):
    cases = cases_of(livers).cases
    lines = pd.concat([read_table(path) for path in tables_of(livers, ALL[0])])
    assert cases["kind"].tolist() == ["good", "median", "bad"] * 3
    for label, part in cases.groupby("label"):
        dice = lines.loc[lines["label"] == label, "dice"]
        assert part["dice"].is_monotonic_decreasing
        assert (part["dice"].iloc[0], part["dice"].iloc[2]) == (dice.max(), dice.min())
        assert abs(part["dice"].iloc[1] - dice.median()) <= dice.std()
        assert part["patient"].is_unique


def test_a_case_shows_image_masks_outlines_and_the_evidence_inside(livers):
    sheet = cases_of(livers)
    figure = sheet.draw()
    pictures = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(pictures) == 9 * 5
    case = sheet.cases.iloc[2]
    truth = livers.masks[case["row"], 0]
    shown = pictures[10:15]
    times = len(shown[0]) // livers.size
    small = [picture[::times, ::times] for picture in shown]
    assert (small[0][..., 0] == livers.images[case["row"], 0]).all()
    assert (small[1][..., 0] == truth).all()
    predicted = sheet.runs[case["run"]].masks()[case["line"]]
    assert (small[2][..., 0] == predicted).all()
    changed = (small[3] != small[0]).any(axis=2)
    assert 0 < changed.mean() < 0.3
    assert not changed[(truth == 0) & (predicted < 128)].any()
    texts = words(figure)
    assert f"Dice {case['dice']:.3f}" in texts
    assert any(text.endswith("inside") for text in texts)
    called = CLASSES[int(case["called"])]
    assert f"evidence for {called}" in texts
    assert any(
        text.startswith(f"{called} {case['score_' + str(case['called'])]:.3f}") for text in texts
    )
    table = sheet.lay_out()
    assert len(table.rows) == 9
    assert "Evidence inside" in table.columns


def test_without_maps_there_is_no_evidence_and_what_does_not_belong_together_is_refused(livers):
    sheet = cases_of(livers, maps=False)
    assert len([axes for axes in sheet.draw().axes if axes.images]) == 9 * 4
    assert "evidence" not in sheet.caption().lower()
    with pytest.raises(InputError, match="label 2 has no name"):
        cases_of(livers, classes=["a", "b"])
    stores = [ImageStore.open([livers.store(name)]) for name in ("512", "512-mask")]
    one = read_mask_runs(tables_of(livers, ALL[0])[:1])
    maps = [read_maps(maps_of(livers)[1])]
    with pytest.raises(InputError, match="seed 0, fold 1 is none of the runs"):
        MaskCases.of(sheet.subject, one, *stores, maps)
    two = read_mask_runs(tables_of(livers, *ALL[:2]))
    with pytest.raises(InputError, match="runs of one arm"):
        MaskCases.of(sheet.subject, two, *stores)


# Folds -------------------------------------------------------------------------------------------

PAPER = {
    "vgg16": [65, 65, 68, 55, 65, 61, 46, 52, 75, 86],
    "vgg19": [65, 60, 68, 55, 64, 59, 45, 60, 64, 85],
    "unet": [83, 83, 67, 75, 75, 92, 75, 92, 75, 92],
}


def write_runs(folder, arm, accuracies, split="stage-patient", seeds=1):
    rows = []
    for seed in range(seeds):
        for fold, value in enumerate(accuracies):
            about = {"seed": seed, "fold": fold, "inner": 0, "positives": 8}
            about |= {"auc": 0.8, "average_precision": 0.7, "balanced_accuracy": 0.5}
            sets = [("inner", 20, 0.99), ("validation", 12 - fold % 2, value / 100)]
            rows += [about | {"set": name, "n": n, "accuracy": a} for name, n, a in sets]
    rows.append(rows[0] | {"inner": 1, "set": "inner", "accuracy": 0.1})
    path = folder / "scores" / split / f"{arm}-runs.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, pd.DataFrame(rows, columns=list(RUN_COLUMNS)))
    return path


def test_folds_are_rows_and_arms_columns_as_in_the_paper_and_so_are_their_means(tmp_path):
    paths = [write_runs(tmp_path, arm, values) for arm, values in PAPER.items()]
    numbers = tabulate_folds(read_arm_folds(paths))
    (table,) = lay_out_folds(SUBJECT, numbers)
    assert table.columns == ("Fold", "n", "vgg16", "vgg19", "U-Net")
    for number, arm in enumerate(PAPER, 2):
        shown = [float(row.cells[number].text) for row in table.rows[:10]]
        assert shown == PAPER[arm]
    means = table.rows[10].cells
    assert [cell.text for cell in means] == ["Mean", "115", "63.8", "62.5", "80.9"]
    assert [cell.best for cell in means] == [False, False, False, False, True]
    sizes = np.array([12 - fold % 2 for fold in range(10)])
    ratio = (sizes / (sizes.sum() - sizes - 20)).mean()
    found = mean_over_folds(np.array(PAPER["unet"]) / 100, ratio)
    assert table.rows[11].cells[4].text == f"{100 * found.sd:.1f}"
    ends = f"{100 * found.low:.1f}–{100 * found.high:.1f}"
    assert table.rows[12].cells[4].text == ends


def test_folds_of_two_splits_and_seeds_stand_apart_and_leaky_ones_are_red(tmp_path):
    paths = [write_runs(tmp_path, "unet", PAPER["unet"], seeds=2)]
    paths.append(write_runs(tmp_path, "unet", PAPER["unet"], "stage-image"))
    one, other = lay_out_folds(SUBJECT, tabulate_folds(read_arm_folds(paths), "balanced_accuracy"))
    assert [one.leaky, other.leaky] == [False, True]
    assert other.title == "Balanced accuracy (%) by fold: stage-image (simulated) (leaky)"
    assert [row.cells[0].text for row in one.rows[9:11]] == ["9 (seed 0)", "0 (seed 1)"]
    assert [len(one.rows), len(other.rows)] == [23, 13]
    assert "every run has the same value, no interval" in " ".join(one.notes)


def test_a_single_fold_has_no_mean_over_folds_and_other_files_are_refused(tmp_path):
    path = write_runs(tmp_path, "unet", [83])
    (table,) = lay_out_folds(SUBJECT, tabulate_folds(read_arm_folds([path])))
    assert table.rows[1].cells[2].text == "– (a)"
    assert "(a) a seed has one fold only" in " ".join(table.notes)
    with pytest.raises(InputError, match="not scores by run"):
        read_arm_folds([tmp_path / "scores" / "unet.csv"])
    with pytest.raises(InputError, match="--measure: 'dice'"):
        tabulate_folds(read_arm_folds([path]), "dice")


# Stages ------------------------------------------------------------------------------------------


def outputs(folder, *kinds):
    suffix = {"display": "json"}
    return [
        part for kind in kinds for part in (f"--{kind}", folder / f"made.{suffix.get(kind, kind)}")
    ]


def test_the_stages_write_tables_figures_and_displays(livers, tmp_path):
    certificates = [write_certificate(tmp_path, "stage-patient", "clean")]
    named = ["--certificates", *certificates, "--simulated", "--unit-kind", "image"]
    maps = [folder / "grids.json" for folder in maps_of(livers)]
    code = call(
        *("tabulate_masks.py", "--masks", *tables_of(livers, *ALL[:2]), "--maps", *maps),
        *("--true-masks", livers.store("512-mask"), "--names", json.dumps({"unet": "U-Net"})),
        *(*named, *outputs(tmp_path, "csv", "md", "tex", "display", "svg", "png")),
    )
    assert code == 0
    display = read_display(tmp_path / "made.json")
    assert [len(table.rows) for table in display.tables] == [2, 1]
    assert display.caption.startswith("Above: each simulated image")
    with open(tmp_path / "made.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["dice"]) == pytest.approx(0.8, abs=0.2)
    assert [bool(row["inside"]) for row in rows] == [True, False]
    ET.parse(tmp_path / "made.svg")

    other = tmp_path / "cases"
    code = call(
        *("draw_cases.py", "--content", content("unet"), "--images", livers.store()),
        *("--masks", *tables_of(livers, ALL[0]), "--true-masks", livers.store("512-mask")),
        *("--maps", *maps_of(livers), "--certificates", *certificates),
        *outputs(other, "svg", "png", "display"),
    )
    assert code == 0
    assert len(read_display(other / "made.json").tables[0].rows) == 9
    assert (other / "made.svg").stat().st_size < 1_300_000

    third = tmp_path / "folds"
    runs = [write_runs(tmp_path, arm, values) for arm, values in PAPER.items()]
    code = call(
        *("tabulate_folds.py", "--runs", *runs, *named),
        *outputs(third, "csv", "md", "tex", "display"),
    )
    assert code == 0
    assert "63.8" in (third / "made.md").read_text()


def test_evidence_is_not_measured_without_true_masks(livers, tmp_path):
    code = call(
        *("tabulate_masks.py", "--masks", *tables_of(livers, ALL[0])),
        *("--maps", maps_of(livers)[0] / "grids.json"),
        *outputs(tmp_path, "csv", "md", "tex", "display", "svg", "png"),
    )
    assert code == 1
    assert not (tmp_path / "made.csv").exists()
