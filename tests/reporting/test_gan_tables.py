"""Tables of generators: means of what was measured, the best and marked ones, and verdicts."""

import csv
import json
import re
import statistics

import numpy as np
import pandas as pd
import pytest

import fake_gans
from fake_gans import (
    CLASSES,
    FLOOR,
    GOOD,
    MEASURES,
    NAN,
    TIMM,
    history,
    make_gan,
    quality,
    quality_row,
)
from fewcase.data.files import write_csv, write_table
from fewcase.quality.closeness import ImageSet
from fewcase.quality.comparison import LabelledFeatures, measure_quality
from fewcase.quality.memorisation import measure_memorisation
from fewcase.reporting.display import read_display, to_latex, to_markdown
from fewcase.reporting.gan_memorisation import lay_out_memorisation, tabulate_memorisation
from fewcase.reporting.gan_quality import tabulate_quality
from fewcase.reporting.gan_quality_tables import lay_out_quality
from fewcase.reporting.gan_runs import read_gan_runs
from fewcase.reporting.gan_table_parts import GanSubject, Scale
from fewcase.study.errors import InputError
from report_pages import call

SUBJECT = GanSubject("Quality", True, "tile", {"nct": "crc"})


def tables_of(paths, subject=SUBJECT):
    numbers = tabulate_quality(read_gan_runs(paths), subject.cohorts)
    return numbers, lay_out_quality(subject, numbers)


def column(table, heading):
    """The cells of the column whose heading begins so."""
    place = next(i for i, name in enumerate(table.columns) if name.startswith(heading))
    return [row.cells[place] for row in table.rows]


def texts(table, heading):
    return [cell.text for cell in column(table, heading)]


def values(number):
    return tuple(number * (i + 1) for i in range(6))


@pytest.fixture
def four_runs(tmp_path):
    """Two seeds of two folds whose values are 1, 2, 3 and 5 times something."""
    return [
        make_gan(tmp_path, "tuned", "tissue-patient", seed, fold, rows=quality(values(factor)))
        for (seed, fold), factor in zip([(0, 0), (0, 1), (3, 0), (3, 1)], (1, 2, 3, 5), strict=True)
    ]


def test_a_generator_is_the_mean_over_its_seeds_and_folds_with_their_spread(four_runs):
    numbers, tables = tables_of(four_runs)
    read = []
    for path in four_runs:
        with open(path.parent / "quality.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        read.append(next(r for r in rows if (r["class"], r["reference"]) == ("AT", "train")))
    row = numbers[
        (numbers["seed"] == "") & (numbers["class"] == "AT") & (numbers["reference"] == "train")
    ].iloc[0]
    for name in MEASURES:
        found = [float(one[name]) for one in read]
        assert row[name] == pytest.approx(statistics.mean(found))
        assert row[f"{name}_sd"] == pytest.approx(statistics.stdev(found))
        assert row[f"{name}_runs"] == row["runs"] == 4
    assert texts(tables[0], "FID (clean)")[0] == "2.75 ± 1.71"
    assert texts(tables[0], "Runs")[0] == "4"


def test_single_runs_stand_in_the_csv_with_seed_and_fold(four_runs):
    numbers, _ = tables_of(four_runs)
    single = numbers[(numbers["class"] == "all") & (numbers["reference"] == "validation")]
    single = single[single["seed"] != ""]
    assert [tuple(pair) for pair in single[["seed", "fold"]].to_numpy()] == [
        *((0, 0), (0, 1)),
        *((3, 0), (3, 1)),
    ]
    assert single["frechet"].tolist() == [1, 2, 3, 5]
    assert single["frechet_sd"].isna().all()


def test_the_floor_stands_beside_validation_alone_and_once_below_each_split(tmp_path):
    paths = [make_gan(tmp_path, g, s) for s in ("tissue", "bach") for g in ("scratch", "tuned")]
    numbers, tables = tables_of(paths)
    by_reference = numbers.groupby("reference")["floor_frechet"]
    assert by_reference.get_group("train").isna().all()
    assert (by_reference.get_group("validation") == FLOOR[0]).all()
    names = texts(tables[0], "Generator")
    floor = "real training images (floor)"
    assert names == ["scratch", "tuned", floor, "scratch", "tuned", floor]
    assert texts(tables[0], "Split") == ["tissue"] * 3 + ["bach"] * 3
    assert texts(tables[0], "FID")[2] == "2.0"
    assert [row.starts_group for row in tables[0].rows] == [False] * 3 + [True] + [False] * 2
    assert not any("floor" in name for name in texts(tables[1], "Generator"))


def test_floors_that_differ_are_named_by_their_generators(tmp_path):
    other = (3.0, *FLOOR[1:])
    paths = [make_gan(tmp_path, "a", "s"), make_gan(tmp_path, "b", "s", rows=quality(floor=other))]
    names = texts(tables_of(paths)[1][0], "Generator")
    assert names[2:] == ["real training images (floor of a)", "real training images (floor of b)"]


def test_the_best_of_a_column_is_bold_within_its_split_whichever_way_is_better(tmp_path):
    low, high = (5.0, 0.01, 0.4, 0.3, 0.2, 0.1), (9.0, 0.03, 0.8, 0.7, 0.6, 0.5)
    paths = [
        make_gan(tmp_path, "nct", rows=quality((1.0, 0.0, 1, 1, 1, 1), base=True)),
        make_gan(tmp_path, "other", rows=quality((2.0, 0.1, 1, 1, 1, 1), base=True)),
        make_gan(tmp_path, "low", "s", rows=quality(low)),
        make_gan(tmp_path, "high", "s", rows=quality(high)),
        make_gan(tmp_path, "alone", "t", rows=quality(high)),
    ]
    _, tables = tables_of(paths)
    for table in tables[:2]:
        bold = {
            heading: [c.best for c in column(table, heading)]
            for heading in ("FID", "KID", "Precision", "Recall", "Density", "Coverage")
        }
        names = texts(table, "Generator")
        for heading, flags in bold.items():
            best = [name for name, flag in zip(names, flags, strict=True) if flag]
            assert best == (["low"] if heading in ("FID", "KID") else ["high"])


def test_a_generator_that_copies_is_red_and_wins_nothing(tmp_path):
    best = (0.5, 0.001, 0.99, 0.99, 1.2, 0.99)
    copies = {"copies": True, "why": "9 of 60 images are copies in pixel space"}
    paths = [
        make_gan(tmp_path, "parrot", "s", 0, 0, rows=quality(best), verdict=copies),
        make_gan(tmp_path, "parrot", "s", 0, 1, rows=quality(best)),
        *(make_gan(tmp_path, "a", "s", 0, fold) for fold in (0, 1)),
        *(
            make_gan(tmp_path, "b", "s", 0, fold, rows=quality((11.0, *GOOD[1:])))
            for fold in (0, 1)
        ),
    ]
    numbers, tables = tables_of(paths)
    assert numbers[numbers["seed"] == ""].groupby("gan")["runs_that_copy"].first().to_dict() == {
        "a": 0,
        "b": 0,
        "parrot": 1,
    }
    for table in tables:
        rows = {row.cells[0].text: row for row in table.rows}
        assert rows["parrot (copies)"].leaky
        assert not rows["a"].leaky
        assert not any(cell.best for cell in rows["parrot (copies)"].cells)
        assert any(note.startswith("Copies, in red") for note in table.notes)
    assert column(tables[0], "FID")[1].best
    assert not any("Copies, in red" in note for t in tables_of(paths[2:])[1] for note in t.notes)


def test_distances_are_called_fid_only_where_the_extractor_is_the_standard_one(tmp_path):
    standard = tables_of([make_gan(tmp_path / "a", "g", "s")])[1]
    other = tables_of([make_gan(tmp_path / "b", "g", "s", rows=quality(**TIMM))])[1]
    assert standard[0].columns[2:4] == ("FID (clean)", "KID (clean) × 1,000")
    assert other[0].columns[2] == "Fréchet distance"
    assert other[0].columns[3].startswith("Kernel distance")
    said = "no FID and no KID"
    assert not any(said in note for table in standard for note in table.notes)
    for table in other[:-1]:
        assert "FID" not in " ".join([table.title, *table.columns, table.reading])
        assert any(said in note for note in table.notes)
        assert any("test_resnet, none (random)" in note for note in table.notes)


def test_features_of_a_folds_own_classifier_are_warned_of(tmp_path):
    own = {"extractor": "resnet18, classifier of the study", "frechet_name": "Fréchet distance (x)"}
    table = tables_of([make_gan(tmp_path, "g", "s", rows=quality(**own))])[1][0]
    assert any(note.startswith("The classifier is that of each fold") for note in table.notes)


def test_a_missing_value_says_why_and_one_of_some_runs_of_how_many(tmp_path):
    nothing = (NAN,) * 6
    reason = "1 real and 1 synthetic images; frechet needs 2 images of each"
    rows = [
        row | (dict.fromkeys(MEASURES, NAN) | {"reason": reason} if row["class"] == "BG" else {})
        for row in quality()
    ]
    paths = [make_gan(tmp_path, "g", "s", 0, fold, rows=rows) for fold in (0, 1)]
    some = [quality_row("all", "synthetic", "train", nothing, reason=reason), *quality()[1:]]
    paths += [make_gan(tmp_path, "h", "s", 0, 0, rows=some), make_gan(tmp_path, "h", "s", 0, 1)]
    numbers, tables = tables_of(paths)
    by_class = next(table for table in tables if "by class" in table.title)
    assert texts(by_class, "BG")[0] == "– (a)"
    assert f"No value: (a) {reason}." in by_class.notes
    assert texts(by_class, "AT")[0] == "10.0 ± 0.0"
    assert texts(tables[1], "FID")[1] == "10.0 (1 of 2 runs)"
    row = numbers[(numbers["gan"] == "h") & (numbers["class"] == "all") & (numbers["seed"] == "")]
    assert row["frechet_runs"].tolist() == [1, 2]
    assert row["reason"].tolist() == [reason, ""]


def test_few_images_mark_the_frechet_distance_and_another_mix_the_counts(tmp_path):
    paths = [
        make_gan(tmp_path, "few", "s", rows=quality(few_images=True, same_mix=False, n_real=90)),
        make_gan(tmp_path, "many", "s"),
    ]
    table = tables_of(paths)[1][0]
    assert [text.endswith("\u00a0†") for text in texts(table, "FID")[:2]] == [True, False]
    assert not any("†" in text for text in texts(table, "KID"))
    counts = texts(table, "Images")
    assert counts[:2] == ["90 / 3,000\u00a0‡", "3,000 / 3,000"]
    assert any(note.startswith("† Fewer than 2,048 images") for note in table.notes)
    assert any(note.startswith("‡ Fewer synthetic than real") for note in table.notes)
    alone = tables_of(paths[1:])[1][0]
    assert not any(note.startswith(("†", "‡")) for note in alone.notes)


def test_classes_may_be_called_anything(tmp_path):
    classes = ("NA", '<script>"x"</script>', "a|b_c & 50 % $x$", "x" * 300)
    paths = [make_gan(tmp_path, "g", "s", rows=quality(classes=classes))]
    numbers, tables = tables_of(paths)
    assert set(numbers["class"]) == {"all", *classes}
    by_class = next(table for table in tables if "by class" in table.title)
    assert by_class.columns[2:] == classes
    markdown, latex = to_markdown(by_class), to_latex(by_class, "x")
    assert "<script>" not in markdown
    assert r"a\|b_c &amp; 50 % \$x\$" in markdown
    assert r"a\textbar{}b\_c \& 50 \% \$x\$" in latex
    assert r"\textless{}script\textgreater{}" in latex
    written = tmp_path / "numbers.csv"
    write_csv(written, numbers)
    assert set(pd.read_csv(written, keep_default_na=False)["class"]) == {"all", *classes}


def test_a_base_generator_has_no_validation_and_is_known_by_its_cohort(tmp_path):
    paths = [make_gan(tmp_path, "tuned", "s"), make_gan(tmp_path, "nct")]
    numbers, tables = tables_of(paths)
    assert numbers["gan"].tolist()[0] == "nct"
    assert set(numbers.loc[numbers["gan"] == "nct", "cohort"]) == {"crc"}
    assert len(numbers[numbers["gan"] == "nct"]) == 1 + len(CLASSES)
    assert texts(tables[0], "Generator")[0] == "tuned"
    assert (texts(tables[1], "Generator")[0], texts(tables[1], "Split")[0]) == (
        "nct",
        "base: cohort crc",
    )
    # Its classes are held against training images, in tables of their own.
    titles = [table.title for table in tables if "by class" in table.title]
    assert [title.partition("against ")[2] for title in titles] == [
        *["validation images (simulated)"] * 2,
        *["training images (simulated)"] * 2,
    ]


def test_generators_of_other_classes_have_tables_of_their_own(tmp_path):
    paths = [make_gan(tmp_path, "a", "s"), make_gan(tmp_path, "b", "t", rows=quality(classes="XY"))]
    tables = [table for table in tables_of(paths)[1] if table.title.startswith("Quality: FID")]
    assert [table.columns[2:] for table in tables] == [CLASSES, ("X", "Y")]
    assert [texts(table, "Generator")[0] for table in tables] == ["a", "b"]


def test_how_generators_were_trained_is_told(tmp_path):
    recipe = {"base": "nct", "freeze": {"d": 1, "g": 2}}
    paths = [
        make_gan(tmp_path, "nct", kimg=4000.0, chosen_kimg=3800.0, device="NVIDIA H100"),
        make_gan(tmp_path, "d1g2", "s", 0, 0, recipe=recipe, kimg=100.0, chosen_kimg=60.0),
        make_gan(tmp_path, "d1g2", "s", 0, 1, recipe=recipe, kimg=200.0, chosen_kimg=100.0),
    ]
    numbers, tables = tables_of(paths)
    table = tables[-1]
    assert [cell.text for cell in table.rows[0].cells] == [
        *("nct", "base: cohort crc", "nothing", "–", "–"),
        *("4000", "3800", "25.0", "1", "NVIDIA H100"),
    ]
    assert [cell.text for cell in table.rows[1].cells] == [
        *("d1g2", "s", "nct", "1", "2"),
        *("150 ± 71", "80 ± 28", "25.0 ± 0.0", "2", "CPU"),
    ]
    # 25 seconds for a thousand images, though a line after each snapshot took a minute more.
    assert history()["seconds"].sum() / 8 > 40
    assert numbers["seconds_per_kimg"].unique() == pytest.approx([25.0])


@pytest.mark.parametrize(
    ("numbers", "heading", "shown"),
    [
        ([123.456, 7.0], "", "123.5"),
        ([12.34, 0.5], "", "12.3"),
        ([3.21], "", "3.21"),
        ([0.2345], "", "0.234"),
        ([0.0234, 0.0004], " × 1,000", "23.4"),
        ([0.0000321], " × 1,000,000", "32.1"),
        ([-0.0021, NAN], " × 1,000", "−2.10"),
        ([0.0, NAN], "", "0.00"),
    ],
)
def test_numbers_of_any_size_have_three_digits(numbers, heading, shown):
    scale = Scale.of(numbers)
    assert scale.heading == heading
    assert scale.show(numbers[0]) == shown


# Memorisation ------------------------------------------------------------------------------------


def memorised(paths, simulated=True):
    subject = GanSubject("Copies", simulated, "window", {"nct": "crc"})
    numbers = tabulate_memorisation(read_gan_runs(paths), subject.cohorts)
    return numbers, lay_out_memorisation(subject, numbers)


@pytest.fixture
def verdicts(tmp_path):
    copies = {
        "copies": True,
        "why": "9 of 60 images are copies in pixel space",
        "pixel_copy_share": 0.15,
        "pixel_auc": 0.8,
        "pixel_auc_low": 0.7,
        "pixel_auc_high": 0.9,
    }
    return [
        make_gan(tmp_path, "nct"),
        make_gan(tmp_path, "good", "s", 0, 0, verdict={"feature_auc": 0.4}),
        make_gan(tmp_path, "good", "s", 0, 1, verdict={"feature_auc": 0.5}),
        make_gan(tmp_path, "parrot", "s", 0, 0),
        make_gan(tmp_path, "parrot", "s", 0, 1, verdict=copies),
    ]


def test_one_run_that_copies_is_enough_for_the_verdict_and_says_why(verdicts):
    numbers, table = memorised(verdicts)
    assert texts(table, "Verdict") == [
        *("no copies found", "no copies found in 2 runs", "copies in 1 of 2 runs"),
    ]
    assert [row.leaky for row in table.rows] == [False, False, True]
    assert texts(table, "Generator")[2] == "parrot (copies)"
    why = "parrot under s, seed 0, fold 1: 9 of 60 images are copies in pixel space"
    assert f"Copies, in red: {why}." in table.notes
    assert any(note == "Copies: if it does." for note in table.notes)
    rows = numbers[numbers["gan"] == "parrot"]
    assert rows["copies"].tolist() == [True, False, True]
    assert rows["runs_that_copy"].tolist() == [1, 0, 1]


def test_shares_and_aucs_are_means_over_runs_and_the_largest_auc_has_its_interval(verdicts):
    numbers, table = memorised(verdicts)
    assert texts(table, "Copies, pixels")[2] == "7.5\u00a0% (1.0\u00a0%)"
    assert texts(table, "AUC, features")[1] == "0.450 ± 0.071"
    assert texts(table, "AUC, pixels")[2] == f"0.660 ± {statistics.stdev([0.52, 0.8]):.3f}"
    assert texts(table, "Largest AUC [95\u00a0%], pixels")[2] == "0.80 [0.70–0.90]"
    whole = numbers[(numbers["gan"] == "parrot") & (numbers["seed"] == "")].iloc[0]
    assert whole["pixel_copy_share"] == pytest.approx(0.075)
    assert whole["pixel_largest_high"] == 0.9


def test_without_validation_images_there_is_no_auc_and_the_table_says_so(verdicts):
    _, table = memorised(verdicts)
    row = [cell.text for cell in table.rows[0].cells]
    assert row[3] == "0.0\u00a0% (–)"
    assert row[5:9] == ["–"] * 4
    assert row[-1] == "60 / 60 / 0"
    said = "only (a) can be asked"
    assert any(said in note for note in table.notes)
    assert not any(said in note for note in memorised(verdicts[1:])[1].notes)


def test_single_runs_need_no_column_for_the_largest(verdicts):
    _, table = memorised([verdicts[1], verdicts[3]])
    assert not any(name.startswith("Largest") for name in table.columns)
    assert texts(table, "AUC [95\u00a0%], features") == [
        "0.400 [0.400–0.640]",
        "0.520 [0.400–0.640]",
    ]


def test_reasons_of_many_copying_runs_are_cut_short(tmp_path):
    copies = {"copies": True, "why": "copies"}
    paths = [make_gan(tmp_path, "g", "s", seed, 0, verdict=copies) for seed in range(9)]
    numbers, table = memorised(paths)
    note = next(note for note in table.notes if note.startswith("Copies, in red"))
    assert note.count("copies") == 6
    assert note.endswith("and 3 more runs.")
    assert numbers.iloc[0]["why"].count("seed") == 9


# Files and stages --------------------------------------------------------------------------------


def test_what_is_measured_is_what_tables_read(tmp_path):
    """Columns and values as the measuring library gives them, not as this file makes them up."""

    class Standard:
        name, resizer = "Inception 2015-12-05", "clean"

        def metric_name(self, metric):
            return {"frechet": "FID (clean)", "kid": "KID (clean)"}[metric]

    random = np.random.default_rng(0)
    parts = [
        LabelledFeatures(random.normal(0, 1, (90, 4)).astype(np.float32), np.arange(90) % 3)
        for _ in range(3)
    ]
    measured = measure_quality(*parts, CLASSES, Standard(), 0)
    sets = [
        ImageSet(part.features, random.normal(0, 1, (90, 32, 32)).astype(np.float32))
        for part in parts
    ]
    found = measure_memorisation(*sets, 0)
    path = make_gan(tmp_path, "g", "s")
    write_csv(path.parent / "quality.csv", measured)
    write_csv(path.parent / "memorisation.csv", found.summary)
    write_table(path.parent / "closeness.parquet", found.images)

    numbers, _ = tables_of([path])
    assert len(numbers) == 2 * 2 * (1 + len(CLASSES))
    expected = measured.set_index(["class", "sample", "reference"])
    for row in numbers.to_dict("records"):
        own = expected.loc[row["class"], "synthetic", row["reference"]]
        for name in MEASURES:
            assert row[name] == pytest.approx(own[name], nan_ok=True)
    read = read_gan_runs([path])[0]
    assert read.memorisation()["feature_auc"] == pytest.approx(found.summary["feature_auc"][0])
    assert len(read.closeness()) == 90
    copies, _ = memorised([path])
    assert copies.iloc[0]["pixel_median_ratio"] == pytest.approx(
        float(found.images["pixel_ratio"].median())
    )


@pytest.mark.parametrize("about", ["quality", "memorisation"])
def test_the_stage_writes_the_same_bytes_twice_and_calls_simulated_tiles_simulated(tmp_path, about):
    paths = [
        make_gan(tmp_path, "nct"),
        *(make_gan(tmp_path, "a", "s", 0, fold) for fold in (0, 1)),
        make_gan(tmp_path, "b", "s"),
    ]
    written = []
    for name in ("one", "two"):
        kinds = ("csv", "md", "tex", "display", "svg", "png")
        outputs = [word for kind in kinds for word in (f"--{kind}", tmp_path / f"{name}.{kind}")]
        words = ["--about", about, "--gans", *paths, "--cohorts", json.dumps({"nct": "crc"})]
        words += ["--simulated", "--unit-kind", "tile"]
        assert call("tabulate_gans.py", *words, *outputs) == 0
        written.append([(tmp_path / f"{name}.{kind}").read_bytes() for kind in kinds])
        written[-1][2] = re.sub(rb"tab:\w+", b"", written[-1][2])
    assert written[0] == written[1]
    display = read_display(tmp_path / "one.display")
    assert len(display.tables) == {"quality": 7, "memorisation": 1}[about]
    for table in display.tables:
        assert table.title.endswith("(simulated)")
        assert table.reading.startswith("How to read: ")
        assert (
            "All images are simulated: the numbers are no evidence about patients." in table.notes
        )
    assert "simulated images" in display.caption


def test_folders_that_are_none_of_generators_and_torn_files_are_refused(tmp_path, caplog):
    path = make_gan(tmp_path, "g", "s")
    stray = tmp_path / "options.json"
    stray.write_text("{}")
    with pytest.raises(InputError, match=r"not the options\.json of a generator"):
        read_gan_runs([stray])
    with pytest.raises(InputError, match="no generator is given"):
        read_gan_runs([])
    write_csv(path.parent / "quality.csv", pd.DataFrame(quality()).drop(columns="coverage"))
    with pytest.raises(InputError, match=r"quality\.csv: no column 'coverage'"):
        tables_of([path])
    (path.parent / "memorisation.csv").unlink()
    with pytest.raises(InputError, match=r"memorisation\.csv: no such file"):
        memorised([path])


def test_made_up_folders_have_the_columns_that_measuring_leaves():
    from fewcase.quality.comparison import COLUMNS

    assert set(fake_gans.quality()[0]) == set(COLUMNS)
