"""The score stage on the command line, and the files that it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import table_metadata, write_json, write_table
from fewcase.evaluation.predictions import read_predictions, read_prevalences
from fewcase.evaluation.scores import join_scored, score_arm, write_scores
from fewcase.study.errors import InputError

ROOT = Path(__file__).parents[2]
STAGE = [sys.executable, str(ROOT / "workflow" / "score.py")]


@pytest.fixture(scope="module")
def arguments(shared_study: Any, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("stage")
    files = shared_study.runs("vit")
    options = []
    for file in files:
        options.append(folder / f"options-{file.seed}-{file.fold}.json")
        facts = {"prevalence": [0.8, 0.2], "trained_prevalence": [0.5, 0.5], "device": "CPU"}
        write_json(options[-1], facts)
    splits = [shared_study.write_split(seed)[0] for seed in shared_study.seeds]
    examples = shared_study.examples
    records = examples.assign(record=examples["parent"], weeks=np.arange(len(examples)) % 8 + 33.0)
    write_table(folder / "records.parquet", records)
    write_table(folder / "ph.parquet", examples.assign(label=1 - examples["label"]).head(200))
    return [
        *("--predictions", *(str(file.path) for file in files)),
        *("--runs", *(f"{file.seed}/{file.fold}" for file in files)),
        *("--run-options", *map(str, options)),
        *("--inner-predictions", *(str(file.path) for file in files)),
        *("--inner-runs", *(f"{file.seed}/{file.fold}/1" for file in files)),
        *("--splits", *map(str, splits)),
        *("--records", str(folder / "records.parquet")),
        *("--subgroups", json.dumps({"term": {"column": "weeks", "edges": [37]}})),
        *("--labels", f"ph={folder / 'ph.parquet'}"),
        *("--arm", "vit", "--split-name", "s"),
    ]


def test_the_stage_writes_summary_runs_units_and_curves(
    arguments: list[str], tmp_path: Path
) -> None:
    outputs = {
        "--summary": tmp_path / "vit.csv",
        "--runs-out": tmp_path / "vit-runs.csv",
        "--units-out": tmp_path / "vit-units.parquet",
        "--curves-out": tmp_path / "vit-curves.csv",
    }
    given = [str(part) for pair in outputs.items() for part in pair]
    done = subprocess.run([*STAGE, *arguments, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(outputs["--summary"], keep_default_na=False)
    assert summary.columns[:5].tolist() == ["arm", "split", "set", "statistic", "class"]
    assert {"cv-group:term=< 37", "test-group:term=≥ 37", "cv-label:ph"} <= set(summary["set"])
    assert set(summary["device"]) == {"CPU"}
    brier = summary[(summary["set"] == "cv") & (summary["statistic"] == "brier")]
    assert brier["method"].tolist() == ["BCa bootstrap"]
    runs = pd.read_csv(outputs["--runs-out"])
    assert (runs["inner"] == 1).sum() == 15
    units = outputs["--units-out"]
    assert len(pd.read_parquet(units)) == 400
    facts = json.loads(table_metadata(units)["fewcase"])
    assert facts == {"classes": 2}
    curves = pd.read_csv(outputs["--curves-out"])
    assert set(curves["set"]) == {"cv", "test"}
    assert {"roc", "reliability", "decision", "decision all", "decision none"} <= set(
        curves["curve"]
    )


def test_subgroups_without_records_are_refused(arguments: list[str], tmp_path: Path) -> None:
    at = arguments.index("--records")
    given = [*arguments[:at], *arguments[at + 2 :], "--summary", str(tmp_path / "a.csv")]
    done = subprocess.run(
        [*STAGE, *given, "--runs-out", str(tmp_path / "b.csv")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "--subgroups: give --records" in done.stderr
    assert not list(tmp_path.iterdir())


def test_options_of_runs_are_paired_with_them(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.json" for i in range(2)]
    write_json(paths[0], {"prevalence": [0.9, 0.1], "trained_prevalence": [0.5, 0.5]})
    write_json(paths[1], {})
    found = read_prevalences([(0, 0), (0, 1)], paths)
    assert list(found) == [(0, 0)]
    assert found[0, 0].trained == (0.5, 0.5)
    with pytest.raises(InputError, match="1 files for 2 runs"):
        read_prevalences([(0, 0), (0, 1)], paths[:1])
    write_json(paths[1], {"prevalence": [0.9, 0.1], "trained_prevalence": [0.4, 0.3, 0.3]})
    with pytest.raises(InputError, match=r"1\.json: prevalence has 2 classes"):
        read_prevalences([(0, 0), (0, 1)], paths)


def test_several_arms_are_joined_with_their_names_first(shared_study: Any, tmp_path: Path) -> None:
    predictions = read_predictions(shared_study.runs("vit"))
    names = ("shortcut:prior", "shortcut:pixels")
    joined = join_scored({name: score_arm(predictions, arm=name, split="s") for name in names})
    for table in (joined.summary, joined.runs, joined.units, joined.curves):
        assert table.columns[0] == "arm"
        assert table["arm"].unique().tolist() == list(names)
    paths = [tmp_path / name for name in ("s.csv", "r.csv", "u.parquet", "c.csv")]
    write_scores(joined, *paths)
    again = [path.read_bytes() for path in paths]
    write_scores(joined, *paths)
    assert [path.read_bytes() for path in paths] == again
