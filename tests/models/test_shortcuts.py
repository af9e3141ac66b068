"""A label that is planted where no clinician would look is found by its shortcut alone."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fewcase
from fewcase.data.files import content_digest, table_metadata, write_digest, write_table
from fewcase.evaluation.scores import SUMMARY_COLUMNS
from fewcase.evaluation.shortcuts import score_shortcuts
from fewcase.models.pixels import measure_pixels, write_pixels
from fewcase.models.shortcuts import Sources, encode_columns, gather_columns
from fewcase.runtime.ranking import roc_auc
from fewcase.splits.folds import make_split, write_split
from fewcase.splits.sampling import draw_samples, write_samples
from fewcase.study.errors import InputError
from fewcase.study.plan import read_study
from fewcase.study.splits import SplitOptions
from fewcase.study.words import METADATA_COLUMNS, SHORTCUTS, shortcuts_of
from fewcase.training.fit import fit_shortcut
from fewcase.training.run_data import RunData, gather_run

LIBRARY = Path(fewcase.__file__).parents[1]
OPTIONS = SplitOptions(target="apgar", folds=3, inner_folds=4)
EXAMPLES = 300
PLANTS = ("file size", "border pixel", "site", "share missing", "baseline", "nothing")


def _tables(plant: str, classes: int = 2) -> tuple[pd.DataFrame, Sources]:
    """A cohort in which the label hides in one place and everything else is noise."""
    random = np.random.default_rng(5)
    labels = random.integers(0, classes, EXAMPLES)

    def noise(name: str, size: float = 1.0) -> np.ndarray:
        hidden = 20.0 * labels if plant == name else 0.0
        return size * (random.normal(size=EXAMPLES) + hidden)

    names = [f"recording {i}" for i in range(EXAMPLES)]
    sites = labels if plant == "site" else random.integers(0, classes, EXAMPLES)
    examples = pd.DataFrame(
        {
            "row": np.arange(EXAMPLES),
            "example": names,
            "parent": names,
            "patient": names,
            "site": np.array(["north", "south", "east"])[sites],
            "date": pd.Timestamp("2015-01-01"),
            "label": labels,
        }
    )
    images = random.integers(100, 140, (EXAMPLES, 3, 16, 16)).astype(np.uint8)
    if plant == "border pixel":
        images[:, 1, 0, 15] = 120 * labels
    records = pd.DataFrame(
        {
            "record": names,
            "site": examples["site"],
            "date": pd.Timestamp("2015-01-01") + pd.to_timedelta(np.arange(EXAMPLES) * 9, "D"),
            "maternal_age": random.integers(20, 40, EXAMPLES).astype(float),
            "gestational_weeks": np.nan,
            "file_type": "dat",
            "file_bytes": noise("file size", 100.0),
            "sampling_hz": 4.0,
            "samples": random.integers(7200, 20000, EXAMPLES),
        }
    )
    quality = pd.DataFrame(
        {
            "example": names,
            "missing": noise("share missing", 0.1),
            "longest_gap_s": random.exponential(60, EXAMPLES),
            "uc_missing": 0.0,
        }
    )
    features = pd.DataFrame(random.normal(size=(EXAMPLES, 4)), columns=["a", "b", "c", "d"])
    features.columns = ["baseline_min", "baseline_max", "acceleration_area", "deceleration_area"]
    features["baseline_min"] = noise("baseline", 10.0)
    features["missing"] = noise("share missing", 0.1)
    pixels = pd.DataFrame(measure_pixels(images))
    for table in (features, pixels):
        table.insert(0, "row", np.arange(EXAMPLES))
    # No stage writes its tables in the order of another.
    parts = [table.sample(frac=1, random_state=1) for table in (records, quality, features, pixels)]
    return examples, Sources(*parts)


def _runs(examples: pd.DataFrame, bags: int = 1) -> list[RunData]:
    split = make_split(examples, OPTIONS, seed=0)
    ratio = 1.0 if examples["label"].max() == 1 else None
    samples = draw_samples(split, ratio, bags, seed=0)
    return [gather_run(split, samples, fold, bags) for fold in range(OPTIONS.folds)]


def _predictions(columns: pd.DataFrame, runs: list[RunData]) -> pd.DataFrame:
    table = pd.concat([fit_shortcut(columns, data) for data in runs])
    return table[table["role"] == "validation"]


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_label_is_found_by_its_shortcut_and_by_no_other(plant):
    finders = {
        "file size": "file",
        "border pixel": "pixels",
        "site": "metadata",
        "share missing": "signal",
        "baseline": "four_features",
    }
    examples, sources = _tables(plant)
    runs = _runs(examples)
    for name, columns in gather_columns(SHORTCUTS, examples, sources, METADATA_COLUMNS).items():
        table = _predictions(columns, runs)
        auc = roc_auc(table["score_1"], table["label"])
        if name == "prior":
            assert auc == 0.5
        elif name == finders.get(plant):
            assert auc > 0.99
        else:
            assert 0.35 < auc < 0.65, name


def test_three_classes_are_told_apart_by_a_planted_number():
    examples, sources = _tables("file size", classes=3)
    columns = gather_columns(["file", "prior"], examples, sources, ())
    runs = _runs(examples, bags=2)
    table = _predictions(columns["file"], runs)
    scores = table[["score_0", "score_1", "score_2"]].to_numpy()
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)
    assert (scores.argmax(axis=1) == table["label"]).mean() > 0.97
    prior = _predictions(columns["prior"], runs)
    assert (prior[["score_0", "score_1", "score_2"]] == np.float32(1 / 3)).all(axis=None)


def test_the_fit_agrees_with_a_pipeline_of_scikit_learn():
    examples, sources = _tables("nothing")
    sources.records.loc[::7, "maternal_age"] = np.nan
    columns = gather_columns(["metadata"], examples, sources, METADATA_COLUMNS)["metadata"]
    assert list(columns) == ["site", "year", "maternal_age"]
    split = make_split(examples, OPTIONS, seed=0)
    data = gather_run(split, draw_samples(split, None, 1, seed=0), 0, 1)
    found = fit_shortcut(columns, data)

    numbers = ["year", "maternal_age"]
    reference = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["site"]),
            (SimpleImputer(strategy="median", add_indicator=True), numbers),
        ),
        StandardScaler(),
        LogisticRegression(class_weight="balanced", max_iter=1000),
    )
    training = data.bags[0]
    reference.fit(columns.loc[data.rows[training]], data.labels[training])
    expected = reference.predict_proba(columns.loc[found["row"]])
    # The solver stops where it is near enough, and columns come in another order.
    np.testing.assert_allclose(found[["score_0", "score_1"]], expected, atol=2e-4)


def test_nothing_is_learnt_from_rows_outside_training():
    columns = pd.DataFrame(
        {
            "weeks": [40.0, 39.0, np.nan, 38.0, 30.0, np.nan],
            "alike": [4.0, 4.0, 4.0, 4.0, 1.0, 2.0],
            "known": [1.0, 2.0, 3.0, 4.0, np.nan, 5.0],
            "site": ["north", "south", "south", "north", "east", ""],
        }
    )
    training = np.arange(4)
    encoded = encode_columns(columns, training)
    # Weeks and whether they are missing; no column for what is alike, or missing elsewhere alone;
    # a column for north and one for south, none for the east.
    expected = np.array(
        [
            [40, 0, 1, 1, 0],
            [39, 0, 2, 0, 1],
            [np.nan, 1, 3, 0, 1],
            [38, 0, 4, 1, 0],
            [30, 0, np.nan, 0, 0],
            [np.nan, 1, 5, 0, 0],
        ]
    )
    np.testing.assert_array_equal(encoded, expected)


def test_only_the_most_frequent_words_count():
    words = [f"ward {i}" for i in range(60) for _ in range(1 + (i < 10))]
    encoded = encode_columns(pd.DataFrame({"ward": words}), np.arange(len(words)))
    assert encoded.shape == (70, 50)
    assert encoded[:20].sum() == 20


def test_files_that_are_all_alike_score_one_half():
    examples, sources = _tables("nothing")
    alike = sources.records.assign(file_bytes=7.0, samples=7200)
    columns = gather_columns(["file"], examples, Sources(alike), ())["file"]
    table = _predictions(columns, _runs(examples))
    assert table["score_1"].nunique() == 1
    assert roc_auc(table["score_1"], table["label"]) == 0.5


def test_a_shortcut_without_any_column_is_left_out_and_told(caplog):
    examples, sources = _tables("nothing")
    unknown = sources.records.drop(columns=["samples", "sampling_hz"])
    unknown = unknown.assign(file_type="", file_bytes=np.nan)
    with caplog.at_level(logging.INFO, "fewcase"):
        found = gather_columns(SHORTCUTS, examples, Sources(unknown), METADATA_COLUMNS)
    assert list(found) == ["prior", "metadata"]
    assert "file is left out" in caplog.text
    assert "pixels is left out" in caplog.text


def test_metadata_are_the_columns_that_were_named():
    examples, sources = _tables("nothing")
    found = gather_columns(["metadata"], examples, sources, ["date", "sampling_hz"])["metadata"]
    assert list(found) == ["date", "sampling_hz"]
    assert (np.diff(found["date"]) == 9).all()
    with pytest.raises(InputError, match="no record has a column 'maternal_agge'"):
        gather_columns(["metadata"], examples, sources, ["maternal_agge"])


def test_the_column_that_a_label_is_made_from_is_no_metadata_unless_named():
    """A study of preterm birth, whose weeks are among the columns of other studies."""
    examples, sources = _tables("nothing")
    weeks = dict(zip(examples["parent"], np.where(examples["label"] == 1, 33.0, 39.0), strict=True))
    sources.records["gestational_weeks"] = sources.records["record"].map(weeks)
    study = {
        "study": "preterm",
        "presets": {"smoke": {}},
        "cohorts": {"ctg": {"source": "simulate_ctg", "hospitals": {"a": {"recordings": 10}}}},
        "targets": {"preterm": {"rule": "below", "column": "gestational_weeks", "threshold": 37}},
        "recipe": {"model": "resnet18", "weights": "none"},
        "experiments": {"e": {"vary": {"augment": ["none"]}}},
    }
    runs = _runs(examples)
    aucs = []
    for named in (METADATA_COLUMNS, read_study(study).metadata):
        columns = gather_columns(["metadata"], examples, sources, named)["metadata"]
        table = _predictions(columns, runs)
        aucs.append(roc_auc(table["score_1"], table["label"]))
    assert aucs[0] > 0.99
    assert 0.35 < aucs[1] < 0.65


def test_an_example_that_a_table_lacks_or_repeats_is_refused():
    examples, sources = _tables("nothing")
    records = sources.records
    one = records["record"] == "recording 3"
    for table, problem in (
        (records[~one], "is in no line"),
        (pd.concat([records, records[one]]), "is in two lines"),
    ):
        with pytest.raises(InputError, match=f"'recording 3' {problem}"):
            gather_columns(["file"], examples, Sources(table), ())


def test_pixels_are_measured_as_numpy_does_on_plain_images():
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 60, 90)).astype(np.uint8)
    found = measure_pixels(images)
    for channel in range(3):
        part = images[:, channel].astype(np.float64)
        np.testing.assert_allclose(found[f"mean_{channel}"], part.mean(axis=(1, 2)), rtol=1e-6)
        expected = [np.histogram(image, 16, (0, 256))[0] / image.size for image in part]
        bins = np.stack([found[f"bin_{channel}_{number}"] for number in range(16)], axis=1)
        np.testing.assert_allclose(bins**2, expected, rtol=1e-6)
        for side, strip in (
            ("top", part[:, :2]),
            ("bottom", part[:, 58:]),
            ("left", part[:, :, :3]),
            ("right", part[:, :, 87:]),
        ):
            np.testing.assert_allclose(found[f"{side}_{channel}"], strip.mean(axis=(1, 2)), 1e-6)


@pytest.mark.parametrize("packed", [True, False])
def test_pixels_of_a_store_are_those_of_its_images(tmp_path, packed, monkeypatch):
    monkeypatch.setattr("fewcase.models.pixels.CHUNK_IMAGES", 4)
    random = np.random.default_rng(0)
    paths, channels = [], []
    for name in ("fhr", "uc"):
        bits = random.integers(0, 2, (10, 16, 16)).astype(np.uint8)
        stored = np.packbits(bits, axis=-1) if packed else bits * 255
        path = tmp_path / f"{name}.npy"
        np.save(path, stored)
        info = {"content": content_digest(stored), "shape": list(bits.shape), "packed": packed}
        write_digest(path.with_suffix(".hash"), info)
        paths.append(path)
        channels.append(bits * 255)
    write_pixels(paths, tmp_path / "pixels.parquet")
    table = pd.read_parquet(tmp_path / "pixels.parquet")
    expected = measure_pixels(np.stack(channels, axis=1), histogram=not packed)
    assert table["row"].tolist() == list(range(10))
    assert list(table)[1:] == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(table[name], values)


def _write(folder: Path, examples: pd.DataFrame, sources: Sources) -> list[str]:
    """Write a study as the stages before leave it, and return the command line of the stage."""
    words: dict[str, list[str]] = {"--split": [], "--samples": []}
    for seed in (3, 4):
        split = make_split(examples, OPTIONS, seed)
        write_split(folder / f"split-{seed}.parquet", split, OPTIONS, seed)
        samples = draw_samples(split, 1.0, 1, seed)
        write_samples(folder / f"samples-{seed}.parquet", samples, 1.0, 1, seed)
        words["--split"].append(str(folder / f"split-{seed}.parquet"))
        words["--samples"].append(str(folder / f"samples-{seed}.parquet"))
    for name in ("records", "quality", "features", "pixels"):
        write_table(folder / f"{name}.parquet", getattr(sources, name))
        words[f"--{name}"] = [str(folder / f"{name}.parquet")]
    words |= {"--seeds": ["3", "4"], "--split-name": ["all"]}
    words["--metadata"] = [json.dumps(METADATA_COLUMNS)]
    for name, kind in (("summary", "csv"), ("runs-out", "csv"), ("units-out", "parquet")):
        words[f"--{name}"] = [str(folder / f"{name}.{kind}")]
    return [word for option, values in words.items() for word in (option, *values)]


def test_the_stage_writes_what_an_arm_has_without_loading_torch(tmp_path):
    examples, sources = _tables("site")
    command_line = _write(tmp_path, examples, sources)
    code = (
        f"import runpy, sys; sys.argv = ['fit_shortcuts.py', *{command_line!r}]\n"
        "try:\n"
        f"    runpy.run_path({str(LIBRARY / 'fit_shortcuts.py')!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {"PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

    arms = [f"shortcut:{name}" for name in SHORTCUTS]
    summary = pd.read_csv(tmp_path / "summary.csv", keep_default_na=False)
    assert list(summary) == list(SUMMARY_COLUMNS)
    assert list(summary["arm"].unique()) == arms
    pooled = summary[(summary["set"] == "cv") & (summary["statistic"] == "auc_pooled")]
    values = dict(zip(pooled["arm"], pooled["value"].astype(float), strict=True))
    assert values["shortcut:prior"] == 0.5
    assert values["shortcut:metadata"] > 0.99

    runs = pd.read_csv(tmp_path / "runs-out.csv")
    assert runs.columns[0] == "arm"
    validation = runs[runs["set"] == "validation"].groupby("arm").size()
    assert validation.to_dict() == dict.fromkeys(arms, 2 * OPTIONS.folds)
    units = pd.read_parquet(tmp_path / "units-out.parquet")
    assert units.columns[0] == "arm"
    assert units.groupby("arm").size().to_dict() == dict.fromkeys(arms, EXAMPLES)
    assert units[["score", "score_seed_3", "score_seed_4"]].notna().all(axis=None)
    facts = json.loads(table_metadata(tmp_path / "units-out.parquet")["fewcase"])
    assert facts == {"classes": 2}


def test_three_classes_are_scored():
    examples, sources = _tables("file size", classes=3)
    columns = gather_columns(["prior", "file", "metadata"], examples, sources, METADATA_COLUMNS)
    split = make_split(examples, OPTIONS, 0)
    splits = {0: (split, draw_samples(split, None, 1, 0))}
    scored = score_shortcuts(columns, splits, split="all")
    assert scored.classes == 3
    means = scored.summary[scored.summary["set"] == "cv"].set_index(["arm", "statistic", "class"])
    assert means.loc[("shortcut:prior", "auc_mean", ""), "value"] == 0.5
    assert means.loc[("shortcut:file", "auc_mean", ""), "value"] > 0.99


def test_a_study_without_shortcuts_has_tables_without_lines():
    examples, _ = _tables("nothing")
    split = make_split(examples, OPTIONS, 0)
    scored = score_shortcuts({}, {0: (split, draw_samples(split, 1.0, 1, 0))}, split="all")
    assert scored.summary.empty
    assert list(scored.summary) == list(SUMMARY_COLUMNS)
    assert list(scored.runs)[:3] == ["arm", "seed", "fold"]
    assert list(scored.units)[:2] == ["arm", "set"]


def test_the_same_number_of_files_is_asked_for_every_seed(tmp_path):
    examples, sources = _tables("nothing")
    command_line = _write(tmp_path, examples, sources)
    command_line.remove("4")
    done = subprocess.run(
        [sys.executable, LIBRARY / "fit_shortcuts.py", *command_line],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "2, 1 and 2 values" in done.stderr
    assert "Traceback" not in done.stderr


# Images ------------------------------------------------------------------------------------------


def _image_tables(plant: str) -> tuple[pd.DataFrame, Sources]:
    """Images of three classes, which hide in the file, in the colours, or in the site."""
    random = np.random.default_rng(8)
    labels = random.integers(0, 3, EXAMPLES)
    names = [f"image {i}" for i in range(EXAMPLES)]
    hidden = labels if plant == "site" else random.integers(0, 3, EXAMPLES)
    examples = pd.DataFrame(
        {
            "row": np.arange(EXAMPLES),
            "example": names,
            "parent": names,
            "patient": names,
            "site": np.array(["north", "south", "east"])[hidden],
            "date": pd.NaT,
            "part": "train",
            "label": labels,
        }
    )
    colour = random.integers(100, 140, (EXAMPLES, 3, 8, 8))
    if plant == "colour":
        colour[np.arange(EXAMPLES), labels] += 60
    size = labels if plant == "size" else random.integers(0, 3, EXAMPLES)
    records = pd.DataFrame(
        {
            "record": names,
            "site": examples["site"],
            "date": pd.NaT,
            "part": np.array(["train", "validation", "test"])[labels],
            "class": labels.astype(str),
            "file_type": "png",
            "file_bytes": random.integers(1000, 1100, EXAMPLES),
            "width": 300 + 50 * size,
            "height": 200,
            "channels": 3,
            "path": names,
        }
    )
    pixels = pd.DataFrame(measure_pixels(colour.astype(np.uint8)))
    pixels.insert(0, "row", np.arange(EXAMPLES))
    return examples, Sources(records, pixels=pixels)


@pytest.mark.parametrize("plant", ["size", "colour", "site", "nothing"])
def test_three_classes_of_images_are_found_where_they_hide_and_nowhere_else(plant):
    finder = {"size": "file", "colour": "pixels", "site": "metadata"}.get(plant)
    examples, sources = _image_tables(plant)
    columns = gather_columns(shortcuts_of("tile"), examples, sources, METADATA_COLUMNS)
    assert list(columns) == ["prior", "file", "pixels", "metadata"]
    assert list(columns["metadata"]) == ["site"]
    runs = _runs(examples)
    for name, chosen in columns.items():
        table = _predictions(chosen, runs)
        scores = table[["score_0", "score_1", "score_2"]].to_numpy()
        right = (scores.argmax(axis=1) == table["label"]).mean()
        assert right > 0.97 if name == finder else right < 0.5, name


def test_the_file_of_an_image_has_its_channels_and_never_its_part_or_class():
    examples, sources = _image_tables("nothing")
    sources.records.loc[::2, "channels"] = 1
    columns = gather_columns(SHORTCUTS, examples, sources, METADATA_COLUMNS)
    assert list(columns) == ["prior", "file", "pixels", "metadata"]
    assert list(columns["file"]) == ["file_type", "file_bytes", "width", "height", "channels"]
    with pytest.raises(InputError, match="'part' tells how the data were divided"):
        gather_columns(["metadata"], examples, sources, ["site", "part"])


def test_the_stage_runs_on_images_without_features_and_quality(tmp_path):
    examples, sources = _image_tables("colour")
    split = make_split(examples, OPTIONS, 0)
    write_split(tmp_path / "split", split, OPTIONS, 0)
    write_samples(tmp_path / "samples", draw_samples(split, None, 1, 0), None, 1, 0)
    write_table(tmp_path / "records", sources.records)
    write_table(tmp_path / "pixels", sources.pixels)
    words = ["--split", "split", "--seeds", "0", "--samples", "samples", "--records", "records"]
    words += ["--pixels", "pixels", "--metadata", '["site", "year"]', "--split-name", "all"]
    words += ["--unit-kind", "image", "--summary", "s.csv", "--runs-out", "r.csv"]
    words += ["--units-out", "u.parquet"]
    done = subprocess.run(
        [sys.executable, LIBRARY / "fit_shortcuts.py", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "is left out" not in done.stderr
    summary = pd.read_csv(tmp_path / "s.csv", keep_default_na=False)
    names = ["prior", "file", "pixels", "metadata"]
    assert list(summary["arm"].unique()) == [f"shortcut:{name}" for name in names]
    mean = summary[(summary["set"] == "cv") & (summary["statistic"] == "auc_mean")]
    values = mean[mean["class"] == ""].set_index("arm")["value"].astype(float)
    assert values["shortcut:prior"] == 0.5
    assert values["shortcut:pixels"] > 0.99
