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
from fewcase.splits.flow import ALL, REFUSAL_COLUMNS, REMAINING, STEPS, follow, make_flow
from fewcase.splits.folds import make_split, read_split
from fewcase.splits.sampling import bag_rows, draw_samples, read_samples
from fewcase.study.errors import InputError
from fewcase.study.splits import HeldOut, SplitOptions
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


@settings(max_examples=20, deadline=None)
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


def test_the_flow_counts_examples_once_windows_are_cut():
    records, examples, quality, ingest, signal = tables()
    second = examples[examples["parent"].isin(["a1", "a4"])].assign(row=[98, 99])
    second["example"] = ["a1 second", "a4 second"]
    examples = pd.concat([examples, second], ignore_index=True)
    for name in second["example"]:
        quality.loc[len(quality)] = {"example": name, "missing": 0.0}
    _, _, flow = flow_of(records, examples, quality, ingest, signal)
    whole = flow[(flow["site"] == "all") & (flow["label"] == "all")]
    assert whole["examples"].tolist() == [pd.NA, pd.NA, 8, 6, 4]
    assert whole["recordings"].tolist() == [11, 7, 6, 4, 3]


def test_exactly_one_refusal_decides_for_each_recording_that_left():
    records, examples, quality, ingest, signal = tables()
    # a3 loses one window for its signal, and the other, which came further, for its label.
    records.loc[records["record"] == "a3", "ph"] = np.nan
    second = examples[examples["parent"] == "a3"].assign(example="a3 second", row=99)
    examples = pd.concat([examples, second], ignore_index=True)
    quality.loc[len(quality)] = {"example": "a3 second", "missing": 0.0}
    _, rejected, _ = flow_of(records, examples, quality, ingest, signal)
    of_a3 = rejected[rejected["record"] == "a3"].set_index("reason")["decides"]
    assert of_a3.to_dict() == {"too much signal lost": False, "no label": True}
    others = rejected[(rejected["record"] != "a3") & (rejected["stage"] != "ingest")]
    assert others["decides"].all()


def whole_account(cohort, *, reasons=None, hold_out="east", neg_per_pos=2.0, windows=1):
    """Follow made-up patients of three hospitals, some without a label, to the under-sample."""
    records = cohort.assign(record=cohort["example"], ph=7.3 - 0.3 * cohort["label"])
    records.loc[::17, "ph"] = np.nan
    examples = cohort.drop(columns="label").loc[lambda t: t.index.repeat(windows)]
    examples = examples.reset_index(drop=True).assign(row=lambda t: t.index)
    examples["example"] += [f" window {i % windows}" for i in range(len(examples))]
    random = np.random.default_rng(5)
    quality = pd.DataFrame({"example": examples["example"], "missing": 0.55 * random.random()})
    quality["missing"] = 0.55 * random.random(len(quality))
    nothing = pd.DataFrame({column: pd.Series(dtype=str) for column in REFUSAL_COLUMNS})
    kept, rejected, _ = flow_of(records, examples, quality, nothing, nothing)
    options = SplitOptions(target="ph", hold_out=(HeldOut(hold_out),), folds=3, inner_folds=4)
    split = make_split(kept, options, 0)
    if reasons is not None:
        chosen = split.index[split["fold"] >= 0][: len(reasons)]
        split.loc[chosen, ["fold", "inner"]] = -1
        split.loc[chosen, "test_set"] = "excluded"
        split.loc[chosen, "reason"] = reasons
    return records, kept, rejected, split, draw_samples(split, neg_per_pos, 1, 0)


def steps_of(account):
    """Return the steps of an account, and the rows of each."""
    return [(step, account[account["step"] == step]) for step in account["step"].unique()]


@pytest.mark.parametrize("windows", [1, 2])
def test_at_every_step_what_stays_and_what_leaves_is_what_came(cohort, windows):
    account = follow(*whole_account(cohort, reasons=["duplicate: x"] * 5, windows=windows))
    keys = ["site", "label"]
    before = None
    for step, rows in steps_of(account):
        known = rows["examples"].notna().all()
        unit = "examples" if known and before is not None and before[1] else "recordings"
        if unit == "recordings" and step not in STEPS:
            continue
        after = rows.groupby(keys)[unit].sum()
        if before is not None:
            came = before[0].set_index(keys)[unit]
            assert (after == came.reindex(after.index)).all(), step
        before = (rows[rows["kind"] == REMAINING], known)


def test_the_account_ends_with_what_one_network_is_trained_on(cohort):
    records, kept, rejected, split, samples = whole_account(cohort)
    account = follow(records, kept, rejected, split, samples)
    last = account[(account["site"] == ALL) & (account["label"] == ALL)].iloc[-1]
    rows = bag_rows(samples, 0, 0)
    assert (last["step"], last["kind"]) == ("trained on in fold 1", REMAINING)
    assert last["examples"] == len(rows)
    assert last["patients"] == split["patient"][split["row"].isin(rows)].nunique()
    tests = account[account["kind"] == "test"]
    assert set(tests["reason"]) == {"external test"}
    assert set(tests["site"][tests["recordings"] > 0]) == {"east", ALL}


def test_reasons_of_the_split_are_counted_without_the_names_in_them(cohort):
    reasons = ["duplicate: a is kept", "duplicate: b is kept", "patient in test", ""]
    account = follow(*whole_account(cohort, reasons=reasons))
    rows = account[(account["step"] == "assigned by the split") & (account["kind"] == "left out")]
    rows = rows[(rows["site"] == ALL) & (rows["label"] == ALL)].set_index("reason")
    assert rows["examples"].to_dict() == {
        "duplicate": 2,
        "patient in test": 1,
        "excluded by the split": 1,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda r, e, j, s, m: (r, e, j, s.drop(s.index[7]), m),
            "step 'labelled' does not add up: example 'recording .*is in no box after it",
        ),
        (
            lambda r, e, j, s, m: (r, e, j, pd.concat([s, s[:1]]), m),
            "step 'labelled' does not add up: example .*is counted once too often",
        ),
        (
            lambda r, e, j, s, m: (r, e, j.drop(j.index[j["decides"]][0]), s, m),
            "step 'recorded' does not add up: recording 'recording .*is in no box",
        ),
        (
            lambda r, e, j, s, m: (r, e, j, s.assign(fold=s["fold"].where(s.index != 3, -1)), m),
            "step 'cross-validation' does not add up: example",
        ),
        (
            lambda r, e, j, s, m: (r, e, j, s, m.assign(row=m["row"] + 100_000)),
            "is drawn for fold 0 but outside its training part",
        ),
    ],
)
def test_a_flow_that_does_not_add_up_stops_and_names_what_is_lost(cohort, change, message):
    with pytest.raises(InputError, match=message):
        follow(*change(*whole_account(cohort)))


def test_a_hospital_named_all_is_not_taken_for_the_total(cohort):
    renamed = cohort.assign(site=cohort["site"].replace("north", "all"))
    account = follow(*whole_account(renamed))
    first = account[(account["step"] == "recorded") & (account["label"] == ALL)]
    assert first["recordings"].tolist() == [500, 150, 250, 900]
    assert first["site"].tolist() == ["all", "east", "south", "all"]


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
