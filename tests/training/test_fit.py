"""The classical baseline leaves what a network leaves, and bad tables of features are refused."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import fewcase
from fewcase.splits.folds import read_split
from fewcase.splits.sampling import read_samples
from fewcase.study.errors import InputError
from fewcase.study.recipe import Recipe
from fewcase.training.fit import fit_run, join_features
from fewcase.training.outputs import HISTORY_COLUMNS
from fewcase.training.run_data import gather_run

LIBRARY = Path(fewcase.__file__).parents[1]


@pytest.fixture(scope="module")
def data(study):
    split = read_split(study / "split.parquet")
    return gather_run(split, read_samples(study / "sample.parquet", split), 0, bags=2)


@pytest.fixture(scope="module")
def features(study):
    return pd.read_parquet(study / "features.parquet")


def test_the_baseline_predicts_every_scored_example(data, features):
    outputs = fit_run(Recipe(model="logistic", bags=2), data, [features])
    predictions = outputs.predictions
    pd.testing.assert_frame_equal(
        predictions.drop(columns=["score_0", "score_1"]), data.scored, check_dtype=True
    )
    held_out = predictions[predictions["role"] != "inner"]
    means = held_out.groupby("label")["score_1"].mean()
    assert means[1] > means[0] + 0.2
    assert list(outputs.history) == list(HISTORY_COLUMNS)
    assert outputs.about["features"] == ["deceleration_area", "baseline_min"]
    assert outputs.about["parameters"] == 3


@pytest.mark.parametrize(
    ("options", "share"),
    [({}, 1 / 2), ({"class_weight": None}, 1 / 3), ({"class_weight": {0: 1, 1: 6}}, 3 / 4)],
)
def test_it_says_how_common_the_classes_are_and_how_common_they_were_in_fitting(
    study, data, features, options, share
):
    """Samples hold two negatives to a positive; class weights count like so many rows."""
    about = fit_run(Recipe(model="logistic", model_options=options), data, [features]).about
    split = read_split(study / "split.parquet")
    part = split[(split["fold"] > 0) & (split["inner"] != 0)]
    assert about["prevalence"] == pytest.approx([1 - part["label"].mean(), part["label"].mean()])
    assert about["trained_prevalence"] == pytest.approx([1 - share, share])


def test_three_classes_have_a_score_each(data, features):
    labels = data.labels + 2 * (np.arange(len(data.labels)) % 5 == 0)
    several = dataclasses.replace(data, labels=np.minimum(labels, 2), prevalence=(0.5, 0.3, 0.2))
    outputs = fit_run(Recipe(model="logistic", bags=2), several, [features])
    scores = outputs.predictions[["score_0", "score_1", "score_2"]]
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)
    assert outputs.weights["bag-0.coefficient"].shape == (3, 2)
    assert outputs.about["trained_prevalence"] == pytest.approx([1 / 3] * 3)


def test_only_training_rows_are_fitted_to(data, features):
    """Features of all others may be anything: the model stays the same."""
    trained = set(np.concatenate([data.rows[bag] for bag in data.bags]))
    changed = features.copy()
    others = ~changed["row"].isin(trained)
    changed.loc[others, ["deceleration_area", "baseline_min"]] = 1e6
    recipe = Recipe(model="logistic", bags=2)
    fitted = [fit_run(recipe, data, [table]).weights for table in (features, changed)]
    assert all((fitted[0][key] == fitted[1][key]).all() for key in fitted[0])


def test_rows_may_come_in_any_order_and_from_two_tables(data, features):
    shuffled = features.sample(frac=1, random_state=0)
    parts = [shuffled[["row", "deceleration_area"]], features[["row", "baseline_min"]]]
    names, values = join_features(parts, data.rows)
    expected = features.set_index("row").loc[data.rows, list(names)].to_numpy()
    np.testing.assert_array_equal(values, expected)


def test_tables_that_lack_a_row_or_repeat_one_are_refused(data, features):
    with pytest.raises(InputError, match=f"row {data.rows[0]} of the split is 0 times"):
        join_features([features[features["row"] != data.rows[0]]], data.rows)
    with pytest.raises(InputError, match="is 2 times"):
        join_features([pd.concat([features, features[features["row"] == data.rows[3]]])], data.rows)
    with pytest.raises(InputError, match="'deceleration_area' is in two tables"):
        join_features([features, features], data.rows)
    with pytest.raises(InputError, match="no numeric column"):
        join_features([features[["row", "site"]]], data.rows)


def test_the_stage_writes_its_files_without_loading_torch(study, tmp_path):
    names = {"weights": "safetensors", "history": "csv", "predictions": "parquet"}
    outputs = {name: tmp_path / f"{name}.{kind}" for name, kind in names.items()}
    outputs["options"] = tmp_path / "options.json"
    command_line = [
        *("--recipe", json.dumps({"model": "logistic", "neg_per_pos": 2.0})),
        *("--split", str(study / "split.parquet"), "--sample", str(study / "sample.parquet")),
        *("--features", str(study / "features.parquet"), "--seed", "0", "--fold", "1"),
        *(word for name, path in outputs.items() for word in (f"--{name}", str(path))),
    ]
    code = (
        f"import runpy, sys; sys.argv = ['fit.py', *{command_line!r}]\n"
        "try:\n"
        f"    runpy.run_path({str(LIBRARY / 'fit.py')!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(LIBRARY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert set(load_file(outputs["weights"])) == {
        *("median", "mean", "scale", "coefficient", "intercept"),
    }
    assert json.loads(outputs["options"].read_text())["recipe"]["model"] == "logistic"


def test_a_missing_split_is_told_in_one_line(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, LIBRARY / "fit.py", "--recipe", "{}", "--seed", "0", "--fold", "0"),
            *("--split", tmp_path / "none.parquet", "--sample", "s", "--features", "f"),
            *("--weights", "w", "--history", "h", "--predictions", "p", "--options", "o"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "none.parquet" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_solver_that_draws_numbers_gives_the_same_model_for_the_same_seed():
    from fewcase.models.classical import fit_logistic

    random = np.random.default_rng(0)
    features = random.normal(size=(60, 4))
    labels = (features[:, 0] + random.normal(size=60) > 0).astype(np.int64)
    options = {"solver": "saga", "max_iter": 20}
    first, same, other = (
        fit_logistic(features, labels, options, seed).coefficient for seed in (1, 1, 2)
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
