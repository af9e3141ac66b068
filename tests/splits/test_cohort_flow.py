"""Every recording is kept or refused with a reason, and counted at each step."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewcase.data.files import read_table, write_table
from fewcase.splits.cohort import make_cohort
from fewcase.splits.flow import REFUSAL_COLUMNS, STEPS, make_flow
from fewcase.splits.folds import read_split
from fewcase.splits.sampling import bag_rows, read_samples
from fewcase.study.errors import InputError
from fewcase.study.targets import read_target

TARGET = read_target({"rule": "below", "column": "ph", "threshold": 7.15}, "target")
WORKFLOW = Path(__file__).parents[2] / "workflow"

# Record, patient, site, pH, share missing (None: refused by the signal stage).
RECORDS = [
    ("a1", "a/1", "a", 7.10, 0.1),
    ("a2", "a/1", "a", 7.30, 0.2),
    ("a3", "a/2", "a", 7.30, 0.6),
    ("a4", "a/3", "a", np.nan, 0.0),
    ("a5", "a/4", "a", 7.00, None),
    ("b1", "b/1", "b", 7.20, 0.5),
    ("b2", "b/2", "b", np.nan, 0.9),
]
AT_INGEST = [
    ("a6", "a/5", "a", "ingest", "truncated signal", "a6.dat ends early"),
    ("b3", "", "b", "ingest", "no patient", "row 9 of table.csv"),
    ("b4", "b/2", "b", "ingest", "name twice", "b4.csv"),
    ("b4", "b/3", "b", "ingest", "name twice", "b4.csv"),
]


def tables(rows=RECORDS, at_ingest=AT_INGEST):
    """Return records, examples, quality, and the refusals of ingest and of the signal stage."""
    table = pd.DataFrame(rows, columns=["record", "patient", "site", "ph", "missing"])
    windows = table[table["missing"].notna()].reset_index(drop=True)
    examples = pd.DataFrame(
        {
            "row": np.arange(len(windows)),
            "example": windows["record"],
            "parent": windows["record"],
            "patient": windows["patient"],
            "site": windows["site"],
            "date": pd.Timestamp("2020-01-01"),
            "minutes_to_delivery": np.nan,
        }
    )
    quality = windows[["missing"]].assign(example=windows["record"])
    short = table[table["missing"].isna()]
    at_signal = short[["record", "patient", "site"]].assign(
        stage="signal", reason="too short", detail="12 minutes, 30 are needed"
    )
    return (
        table.drop(columns="missing"),
        examples,
        quality,
        pd.DataFrame(at_ingest, columns=REFUSAL_COLUMNS, dtype=str),
        at_signal,
    )


def flow_of(records, examples, quality, ingest, signal, max_missing=0.5):
    cohort, refused = make_cohort(examples, quality, records, TARGET, max_missing)
    return cohort, *make_flow(records, cohort, [ingest, signal, refused], TARGET)


def test_the_cohort_has_the_labelled_examples_with_enough_signal():
    cohort, _, _ = flow_of(*tables())
    assert cohort[["example", "label"]].to_numpy().tolist() == [["a1", 1], ["a2", 0], ["b1", 0]]
    assert cohort["label"].dtype == np.int8
    assert cohort["row"].tolist() == [0, 1, 4]  # places in the image store, not in this table


def test_each_refusal_has_its_stage_and_reason():
    _, rejected, _ = flow_of(*tables())
    found = {r.record: (r.stage, r.reason) for r in rejected.itertuples()}
    assert found == {
        "a6": ("ingest", "truncated signal"),
        "b3": ("ingest", "no patient"),
        "b4": ("ingest", "name twice"),
        "a5": ("signal", "too short"),
        "a3": ("cohort", "too much signal lost"),
        "b2": ("cohort", "too much signal lost"),
        "a4": ("cohort", "no label"),
    }
    detail = rejected.set_index("record")["detail"]
    assert detail["a3"] == "a3: share of missing FHR is 0.600; at most 0.5 is allowed"
    assert detail["a4"] == "a4: ph is unknown"


def test_the_flow_counts_recordings_and_patients_after_each_step():
    _, _, flow = flow_of(*tables())
    counts = flow.set_index(["step", "site", "label"])

    def at(site, label):
        rows = [counts.loc[(step, site, label)] for step in STEPS]
        return [(int(row["recordings"]), int(row["patients"])) for row in rows]

    assert at("all", "all") == [(11, 8), (7, 6), (6, 5), (4, 3), (3, 2)]
    assert at("a", "all") == [(6, 5), (5, 4), (4, 3), (3, 2), (2, 1)]
    assert at("b", "all") == [(5, 3), (2, 2), (2, 2), (1, 1), (1, 1)]
    assert at("all", "positive") == [(2, 2), (2, 2), (1, 1), (1, 1), (1, 1)]
    assert at("all", "negative") == [(3, 3), (3, 3), (3, 3), (2, 2), (2, 2)]
    assert at("b", "unlabelled") == [(4, 2), (1, 1), (1, 1), (0, 0), (0, 0)]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(0, 9),
            st.sampled_from([7.0, 7.3, float("nan")]),
            st.sampled_from([None, 0.1, 0.5, 0.51, float("nan")]),
        ),
        max_size=40,
    ),
    n_refused=st.integers(0, 5),
)
def test_whatever_is_recorded_is_kept_or_refused(rows, n_refused):
    named = [
        (f"r{i}", f"{site}/{patient}", site, ph, missing)
        for i, (site, patient, ph, missing) in enumerate(rows)
    ]
    named.append(("kept", "a/1", "a", 7.3, 0.0))
    cohort, rejected, flow = flow_of(*tables(named, AT_INGEST[:n_refused]))
    whole = flow[(flow["site"] == "all") & (flow["label"] == "all")].set_index("step")["recordings"]
    assert whole["recorded"] == len(cohort) + len(rejected)
    assert whole["labelled"] == len(cohort)
    assert whole.is_monotonic_decreasing
    by_site = flow[flow["site"] != "all"].groupby(["step", "label"])["recordings"].sum()
    over_all = flow[flow["site"] == "all"].set_index(["step", "label"])["recordings"]
    assert (by_site == over_all.sort_index()).all()


def test_a_window_whose_share_of_missing_samples_is_unknown_is_refused():
    records, examples, quality, *_ = tables()
    quality.loc[quality["example"] == "a1", "missing"] = np.nan
    cohort, refused = make_cohort(examples, quality, records, TARGET, 0.5)
    assert "a1" not in set(cohort["example"])
    assert refused.set_index("record")["reason"]["a1"] == "too much signal lost"


def test_a_record_with_several_examples_counts_once_and_goes_as_far_as_its_best():
    records, examples, quality, ingest, signal = tables()
    second = examples[examples["parent"] == "a1"].assign(example="a1 second", row=99)
    examples = pd.concat([examples, second], ignore_index=True)
    quality.loc[len(quality)] = {"example": "a1 second", "missing": 0.9}
    cohort, rejected, flow = flow_of(records, examples, quality, ingest, signal)
    assert "a1" in set(cohort["parent"])
    assert "a1 second: share" in rejected["detail"].str.cat()
    whole = flow[(flow["site"] == "all") & (flow["label"] == "all")]
    assert whole["recordings"].tolist() == [11, 7, 6, 4, 3]


def test_a_record_that_vanished_stops_the_flow_with_its_name():
    records, examples, quality, ingest, signal = tables()
    with pytest.raises(InputError, match="record 'a5' is neither kept nor refused"):
        flow_of(records, examples, quality, ingest, signal[:0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, e, q: (r[1:], e, q), "records: no row for 'a1'"),
        (lambda r, e, q: (r, e, q[1:]), "quality: no row for 'a1'"),
        (lambda r, e, q: (pd.concat([r, r[:1]]), e, q), "record 'a1' is there twice"),
        (lambda r, e, q: (r, pd.concat([e, e[:1]]), q), "example 'a1' is there twice"),
    ],
)
def test_tables_of_different_runs_are_refused(change, message):
    records, examples, quality, *_ = tables()
    records, examples, quality = change(records, examples, quality)
    with pytest.raises(InputError, match=message):
        make_cohort(examples, quality, records, TARGET, 0.5)


def test_a_cohort_without_any_example_left_counts_the_reasons():
    records, examples, quality, *_ = tables()
    with pytest.raises(InputError, match=r"none of 6 examples.*signal lost 5.*no label 1"):
        make_cohort(examples, quality, records, TARGET, 0.0)


def test_the_four_stages_run_one_after_the_other(cohort, tmp_path):
    """Cohort, flow, split and sample as command-line programs, and what they say on a mistake."""
    records = cohort.assign(record=cohort["example"], ph=7.3 - 0.3 * cohort["label"])
    quality = pd.DataFrame({"example": cohort["example"], "missing": 0.1, "gaps": 0})
    quality.loc[3, "missing"] = 0.8
    nothing = pd.DataFrame({column: pd.Series(dtype=str) for column in REFUSAL_COLUMNS})
    for name, table in [
        ("records", records[["record", "patient", "site", "date", "ph"]]),
        ("examples", cohort.drop(columns="label")),
        ("quality", quality),
        ("ingest", nothing),
        ("signal", nothing),
    ]:
        write_table(tmp_path / f"{name}.parquet", table)
    target = json.dumps({"rule": "below", "column": "ph", "threshold": 7.15})
    options = {"target": "ph", "folds": 3, "inner_folds": 4, "hold_out": [{"site": "east"}]}
    sampling = json.dumps({"neg_per_pos": 2, "bags": 2})
    stages = [
        "cohort.py --records records.parquet --examples examples.parquet --quality quality.parquet"
        " --max-missing 0.5 --out c/examples.parquet --out-digest c/examples.hash"
        " --out-refused c/unlabelled.parquet --target",
        "flow.py --records records.parquet --examples c/examples.parquet --rejected ingest.parquet"
        " signal.parquet c/unlabelled.parquet --out-rejected c/rejected.parquet"
        " --out-flow c/flow.csv --target",
        "split.py --examples c/examples.parquet --seed 1 --out s/seed-1.parquet --options",
        "sample.py --split s/seed-1.parquet --seed 1 --out s/ratio/seed-1.parquet --options",
    ]
    for stage, last in zip(stages, [target, target, json.dumps(options), sampling], strict=True):
        done = run_stage(stage, last, tmp_path)
        assert done.returncode == 0, done.stderr
    split = read_split(tmp_path / "s/seed-1.parquet")
    samples = read_samples(tmp_path / "s/ratio/seed-1.parquet", split)
    assert len(split) == 899
    assert set(split["site"][split["row"].isin(bag_rows(samples, 0, 1))]) == {"north", "south"}
    assert read_table(tmp_path / "c/rejected.parquet")["record"].tolist() == ["recording 3"]
    flow = pd.read_csv(tmp_path / "c/flow.csv")
    assert flow["step"].unique().tolist() == list(STEPS)

    (tmp_path / "s/seed-1.parquet").unlink()
    done = run_stage(stages[2], json.dumps({**options, "hold_out": [{"site": "esat"}]}), tmp_path)
    assert done.returncode == 1
    assert "Did you mean 'east'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "s/seed-1.parquet").exists()


def run_stage(stage, last, folder):
    script, *rest = stage.split()
    command = [sys.executable, str(WORKFLOW / script), *rest, last]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
